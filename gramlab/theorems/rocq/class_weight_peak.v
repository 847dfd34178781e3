(** class-weight-peak: the round at which label averaging gives the class its largest weight. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import block_model.
Open Scope R_scope.

(** p_B^t - p_A^t for real t; for whole t these are the powers. *)
Definition class_weight (p_A p_B t : R) : R := exp (t * ln p_B) - exp (t * ln p_A).

Lemma class_weight_whole p_A p_B n : 0 < p_A -> 0 < p_B ->
  class_weight p_A p_B (INR n) = p_B ^ n - p_A ^ n.
Proof.
  intros HA HB. unfold class_weight. rewrite <- !ln_pow, !exp_ln by (try apply pow_lt; assumption).
  reflexivity.
Qed.

(** t_0 = ln(ln p_A / ln p_B) / ln(p_B / p_A) *)
Definition peak (p_A p_B : R) : R := ln (ln p_A / ln p_B) / ln (p_B / p_A).

Section Peak.
  Variables a b : R.
  Hypotheses (Ha : 0 < a) (Hab : a < b) (Hb : b < 1).
  Let w := class_weight a b.
  Let u := - ln a.
  Let v := - ln b.

  Let Hv : 0 < v.
  Proof. unfold v. assert (ln b < ln 1) by (apply ln_increasing; lra). rewrite ln_1 in H. lra. Qed.
  Let Huv : v < u.
  Proof. unfold u, v. assert (ln a < ln b) by (apply ln_increasing; lra). lra. Qed.

  Let slope s := u * exp (- (s * u)) - v * exp (- (s * v)).

  Let w_derivative s : derivable_pt_lim w s (slope s).
  Proof.
    assert (E : forall c r, derivable_pt_lim (fun s => exp (s * c)) r (exp (r * c) * c)).
    { intros c r. apply (derivable_pt_lim_comp (fun s => s * c) exp); [|apply derivable_pt_lim_exp].
      assert (D := derivable_pt_lim_mult id (fun _ => c) r 1 0 (derivable_pt_lim_id r)
                     (derivable_pt_lim_const c r)).
      unfold id in D. replace (1 * c + r * 0) with c in D by ring. exact D. }
    assert (D := derivable_pt_lim_minus _ _ s _ _ (E (ln b) s) (E (ln a) s)).
    unfold slope, u, v. replace (- (s * - ln a)) with (s * ln a) by ring.
    replace (- (s * - ln b)) with (s * ln b) by ring.
    replace (- ln a * exp (s * ln a) - - ln b * exp (s * ln b))
      with (exp (s * ln b) * ln b - exp (s * ln a) * ln a) by ring. exact D.
  Qed.

  Let t0 := peak a b.
  (** exp(t_0 (u - v)) = u/v *)
  Let t0_spec : t0 * (u - v) = ln (u / v).
  Proof.
    unfold t0, peak.
    assert (E1 : ln a / ln b = u / v) by (unfold u, v in *; field; lra).
    assert (E2 : ln (b / a) = u - v).
    { unfold Rdiv. rewrite ln_mult, ln_Rinv by (try apply Rinv_0_lt_compat; lra). unfold u, v. ring. }
    rewrite E1, E2. field. lra.
  Qed.

  (** The slope is positive before t_0 and negative after it. *)
  Let slope_factor s : slope s = v * exp (- (s * u)) * (exp (t0 * (u - v)) - exp (s * (u - v))).
  Proof.
    assert (Q : 0 < u / v) by (apply Rdiv_lt_0_compat; lra).
    rewrite t0_spec, exp_ln by exact Q. unfold slope.
    replace (exp (- (s * v))) with (exp (- (s * u)) * exp (s * (u - v)))
      by (rewrite <- exp_plus; f_equal; ring).
    field. lra.
  Qed.

  Let front s : 0 < v * exp (- (s * u)).
  Proof. apply Rmult_lt_0_compat; [exact Hv|apply exp_pos]. Qed.

  Lemma weight_rises s r : s < r -> r <= t0 -> w s < w r.
  Proof.
    intros Hs Hr. destruct (MVT_cor2 w slope s r Hs (fun x _ => w_derivative x)) as (x & E & Hx).
    assert (0 < slope x * (r - s)); [|lra]. apply Rmult_lt_0_compat; [|lra].
    rewrite slope_factor. apply Rmult_lt_0_compat; [apply front|].
    assert (exp (x * (u - v)) < exp (t0 * (u - v))); [|lra].
    apply exp_increasing, Rmult_lt_compat_r; lra.
  Qed.

  Lemma weight_falls s r : t0 <= s -> s < r -> w r < w s.
  Proof.
    intros Ht Hs. destruct (MVT_cor2 w slope s r Hs (fun x _ => w_derivative x)) as (x & E & Hx).
    assert (0 < - slope x * (r - s)); [|lra]. apply Rmult_lt_0_compat; [|lra].
    rewrite slope_factor.
    assert (exp (t0 * (u - v)) < exp (x * (u - v))).
    { apply exp_increasing, Rmult_lt_compat_r; lra. }
    assert (0 < v * exp (- (x * u)) * (exp (x * (u - v)) - exp (t0 * (u - v)))); [|lra].
    apply Rmult_lt_0_compat; [apply front|lra].
  Qed.
End Peak.

(** In the block model, w(t) = p_B^t - p_A^t rises to t_0 and falls from there: of the rounds
    1, 2, ... it is largest at the integers next to t_0 (the last one at or below, the first one at
    or above it), and at 1 if t_0 < 1. *)
(** Registry, class-weight-peak: w(t) = p_Bᵗ − p_Aᵗ rises to t₀ = ln(ln p_A/ln
    p_B)/(ln(p_B/p_A)) and falls from there: of the rounds 1, 2, … it is largest at ⌊t₀⌋ or
    ⌈t₀⌉, and at 1 if t₀ < 1 *)
Theorem class_weight_peak (b : block) :
  in_model b ->
  let w := class_weight (p_A b) (p_B b) in
  let t_0 := peak (p_A b) (p_B b) in
  (forall n, w (INR n) = p_B b ^ n - p_A b ^ n) /\
  (forall s r, s < r -> r <= t_0 -> w s < w r) /\
  (forall s r, t_0 <= s -> s < r -> w r < w s) /\
  (forall below above n, (0 < n)%nat ->
     INR below <= t_0 < INR below + 1 -> INR above - 1 < t_0 <= INR above ->
     w (INR n) <= Rmax (w (INR below)) (w (INR above))) /\
  (t_0 < 1 -> forall n, (0 < n)%nat -> w (INR n) <= w 1).
Proof.
  intros (Sizes & Order & Hmu) w t_0.
  destruct (filters_in_order b Sizes Order Hmu) as (HA & HB & HC & HD & H1).
  assert (Hb : p_B b < 1) by lra.
  assert (Rise := weight_rises (p_A b) (p_B b) HA HB Hb). fold w t_0 in Rise.
  assert (Fall := weight_falls (p_A b) (p_B b) HA HB Hb). fold w t_0 in Fall.
  split; [intros; apply class_weight_whole; lra|]. split; [exact Rise|]. split; [exact Fall|]. split.
  - intros below above n _ Hbelow Habove.
    destruct (le_lt_dec n below) as [L|L].
    + apply Rle_trans with (w (INR below)); [|apply Rmax_l].
      destruct (Nat.eq_dec n below) as [->|Ne]; [apply Rle_refl|]. left.
      apply Rise; [apply lt_INR; lia|lra].
    + apply Rle_trans with (w (INR above)); [|apply Rmax_r].
      assert (above <= n)%nat.
      { apply INR_le. apply le_INR in L. rewrite S_INR in L.
        destruct (Rle_lt_dec (INR above) (INR n)) as [A|A]; [exact A|exfalso].
        assert (n < above)%nat by (apply INR_lt, A). apply le_INR in H. rewrite S_INR in H. lra. }
      destruct (Nat.eq_dec n above) as [->|Ne]; [apply Rle_refl|]. left.
      apply Fall; [lra|]. apply lt_INR. lia.
  - intros Ht n Hn. destruct (Nat.eq_dec n 1) as [->|Ne]; [apply Rle_refl|]. left.
    apply Fall; [lra|]. apply (lt_INR 1). lia.
Qed.

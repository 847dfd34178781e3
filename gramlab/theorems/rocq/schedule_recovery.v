(** In the block model, even rounds recover all labels wherever uneven ones of the same total do. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import softmax persistence schedule_order.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** The block model at another mu. *)
Definition at_scale (b : block) (mu : R) : block :=
  Block (n_samples b) (n_classes b) (n_superclasses b) (per_class b) (per_superclass b) (true_class b)
    (superclass b) (same_class b) (same_superclass b) (elsewhere b) mu.

(** Linear rounds at mu_0, mu_1, ...: P^(t) - 1/K = h_(mu_(t-1))(G) ... h_(mu_0)(G) (Y - 1/K). *)
Fixpoint filtered (b : block) (mu : nat -> R) (t : nat) (x : nat -> R) : nat -> R :=
  match t with
  | O => x
  | S r => filter (n_samples b) (block_gram b) (mu r) (filtered b mu r x)
  end.

Definition scheduled (b : block) (Y : nat -> nat -> R) (mu : nat -> R) (t i l : nat) : R :=
  1 / INR (n_classes b) + filtered b mu t (fun j => Y j l - 1 / INR (n_classes b)) i.

(** R(mu) = product of p_B(mu_i)/p_A(mu_i) *)
Definition ratio (b : block) (mu : nat -> R) (t : nat) : R :=
  product t (fun i => p_B (at_scale b (mu i)) / p_A (at_scale b (mu i))).

Section Schedules.

Variables (b : block) (given : nat -> nat).
Hypothesis Sizes : equal_sizes b.
Hypothesis Order : in_order b.
Hypothesis Labels : labels_exist b given.
Hypothesis Balanced : balanced b given.
Hypothesis Inside : inside b given.

Local Notation N := (n_samples b).
Local Notation K := (n_classes b).
Local Notation cls := (true_class b).
Local Notation sup := (superclass b).
Local Notation share := (share b given).

(** Every sample is right: its true class has the only largest prediction. *)
Definition recovers (mu : nat -> R) (t : nat) : Prop :=
  forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
    scheduled b (one_hot given) mu t i l < scheduled b (one_hot given) mu t i (cls i).

Let kept_by (p : block -> R) (mu : nat -> R) (t : nat) : R := product t (fun i => p (at_scale b (mu i))).

(** Rounds multiply the four parts by the products of what each round keeps. *)
Lemma filtered_parts mu t x i : (forall r, (r < t)%nat -> 0 < mu r) -> (i < N)%nat ->
  filtered b mu t x i = kept_by p_A mu t * E_A b x i + kept_by p_B mu t * E_B b x i
    + kept_by p_C mu t * E_C b x i + kept_by p_D mu t * E_D b x i.
Proof.
  revert i. induction t as [|t IH]; intros i Hmu Hi.
  - unfold kept_by. simpl. unfold E_A, E_B, E_C, E_D. ring.
  - simpl filtered. assert (Pm := Hmu t ltac:(lia)).
    set (c := at_scale b (mu t)).
    rewrite (filter_ext N (block_gram b) (mu t) (block_gram_symmetric b) (block_gram_psd b Sizes Order) Pm
      _ _ (fun q Hq => IH q (fun r Hr => Hmu r ltac:(lia)) Hq) i Hi).
    assert (F := block_filter c Sizes Order Pm
      (fun i => kept_by p_A mu t * E_A b x i + kept_by p_B mu t * E_B b x i
        + kept_by p_C mu t * E_C b x i + kept_by p_D mu t * E_D b x i) i Hi).
    change (filter (n_samples c) (block_gram c) (scale c)) with (filter N (block_gram b) (mu t)) in F.
    rewrite F.
    destruct (parts_of_parts b Sizes (kept_by p_A mu t) (kept_by p_B mu t) (kept_by p_C mu t)
      (kept_by p_D mu t) x i Hi) as (QA & QB & QC & QD).
    change (E_A c) with (E_A b). change (E_B c) with (E_B b).
    change (E_C c) with (E_C b). change (E_D c) with (E_D b).
    rewrite QA, QB, QC, QD. unfold kept_by. simpl product. fold c. ring.
Qed.

(** Each product is above 0, and they are in order, strictly between A and B from the first round. *)
Let kept_order mu t : (forall r, (r < t)%nat -> 0 < mu r) ->
  0 < kept_by p_A mu t /\ kept_by p_A mu t <= kept_by p_B mu t /\ kept_by p_B mu t <= kept_by p_C mu t
  /\ ((0 < t)%nat -> kept_by p_A mu t < kept_by p_B mu t).
Proof.
  intros Hmu. induction t as [|t IH].
  - unfold kept_by. simpl. repeat split; try lra. lia.
  - destruct IH as (A & B & C & _); [intros; apply Hmu; lia|].
    destruct (filters_in_order (at_scale b (mu t)) Sizes Order (Hmu t ltac:(lia))) as (FA & FB & FC & _).
    unfold kept_by in *. simpl product.
    set (a := product t _) in A, B |- *. set (b' := product t (fun i => p_B _)) in B, C |- *.
    set (c := product t (fun i => p_C _)) in C |- *.
    set (x := p_A (at_scale b (mu t))) in *. set (y := p_B (at_scale b (mu t))) in *.
    set (z := p_C (at_scale b (mu t))) in *.
    assert (S1 : a * x < a * y) by (apply Rmult_lt_compat_l; lra).
    assert (S2 : a * y <= b' * y) by (apply Rmult_le_compat_r; lra).
    assert (S3 : b' * y <= c * y) by (apply Rmult_le_compat_r; lra).
    assert (S4 : c * y <= c * z) by (apply Rmult_le_compat_l; lra).
    assert (0 < a * x) by (apply Rmult_lt_0_compat; lra).
    repeat split; try lra.
Qed.

(** R = prod p_B / prod p_A *)
Let ratio_products mu t : (forall r, (r < t)%nat -> 0 < mu r) ->
  ratio b mu t = kept_by p_B mu t / kept_by p_A mu t.
Proof.
  intros Hmu. induction t as [|t IH]; [unfold ratio, kept_by; simpl; field|].
  assert (O := kept_order mu t (fun r Hr => Hmu r ltac:(lia))).
  destruct (filters_in_order (at_scale b (mu t)) Sizes Order (Hmu t ltac:(lia))) as (FA & _).
  unfold ratio, kept_by in *. simpl product. rewrite IH by (intros; apply Hmu; lia). field. lra.
Qed.

(** The lead of the true class, as for equal rounds. *)
Let lead_scheduled mu t i l : (forall r, (r < t)%nat -> 0 < mu r) -> (i < N)%nat -> (l < K)%nat ->
  let k := cls i in
  scheduled b (one_hot given) mu t i k - scheduled b (one_hot given) mu t i l
  = kept_by p_A mu t * (ind (Nat.eqb (given i) k) - ind (Nat.eqb (given i) l))
    + (kept_by p_B mu t - kept_by p_A mu t) * (share k k - share k l)
    + (kept_by p_C mu t - kept_by p_B mu t) * ((1 - ind (Nat.eqb (sup l) (sup k))) / INR (per_superclass b)).
Proof.
  intros Hmu Hi Hl k. assert (Hk : (k < K)%nat) by (apply Sizes, Hi).
  assert (Hm := m_pos b Sizes). assert (HKp := K_pos b Sizes).
  unfold scheduled. rewrite !filtered_parts by assumption.
  set (q := 1 / INR K).
  assert (Shift : forall M c, mv N M (fun j => one_hot given j c - q) i
    = mv N M (fun j => one_hot given j c) i - mv N M (fun _ => q) i) by (intros; apply mv_minus).
  unfold E_A, E_B, E_C, E_D, over_class, over_superclass, over_all. rewrite !Shift.
  fold (over_class b). fold (over_superclass b). fold (over_all b).
  rewrite !(over_class_mean b (one_hot given)), !(over_superclass_mean b Sizes (one_hot given)),
    !(over_all_mean b Sizes (one_hot given)).
  rewrite !(overall_balanced b given Sizes Balanced), !(superclass_balanced b given Sizes Balanced Inside)
    by assumption.
  fold k. rewrite Nat.eqb_refl. unfold given_labels.share, one_hot. simpl ind. field. lra.
Qed.

(** The accuracy condition with the products in place of the powers. *)
Lemma recovery_condition mu t : (0 < t)%nat -> (forall r, (r < t)%nat -> 0 < mu r) ->
  recovers mu t <-> every_difference b given (fun x => x > 1 / (ratio b mu t - 1)).
Proof.
  intros Ht Hmu. destruct (kept_order mu t Hmu) as (Ha & _ & Hbc & Hab). specialize (Hab Ht).
  rewrite (ratio_products mu t Hmu).
  set (a := kept_by p_A mu t) in *. set (b' := kept_by p_B mu t) in *. set (c := kept_by p_C mu t) in *.
  replace (1 / (b' / a - 1)) with (a / (b' - a)) by (field; lra).
  assert (Iff : forall x, x > a / (b' - a) <-> a < (b' - a) * x).
  { intros x. split; intros H.
    - apply (Rmult_lt_compat_l (b' - a)) in H; [|lra].
      replace ((b' - a) * (a / (b' - a))) with a in H by (field; lra). exact H.
    - apply (Rmult_lt_reg_l (b' - a)); [lra|].
      replace ((b' - a) * (a / (b' - a))) with a by (field; lra). exact H. }
  split.
  - intros H k k' Hk Hk' Hne Hs. apply Iff.
    destruct (share_sample b given Sizes k k' Hs) as (i & Hi & Ei & Eg).
    assert (R := H i k' Hi Hk' ltac:(congruence)).
    assert (E := lead_scheduled mu t i k' Hmu Hi Hk'). cbv zeta in E. fold a b' c in E.
    rewrite Ei, Eg, Nat.eqb_refl in E. rewrite Ei in R.
    rewrite (proj2 (Nat.eqb_neq k' k) Hne) in E.
    destruct (Nat.eq_dec (sup k) (sup k')) as [Es|Es].
    + rewrite Es, Nat.eqb_refl in E. cbn in E. lra.
    + rewrite (Inside k k' Hk Hk' Es) in Hs. lra.
  - intros H i l Hi Hl Hne. set (k := cls i) in *.
    assert (Hk : (k < K)%nat) by (apply Sizes, Hi).
    assert (Hj : (given i < K)%nat) by (apply Labels, Hi).
    assert (E := lead_scheduled mu t i l Hmu Hi Hl). cbv zeta in E. fold a b' c k in E.
    assert (Hs := share_pos b given Sizes i Hi). fold k in Hs.
    assert (Bonus : 0 <= (c - b') * ((1 - ind (Nat.eqb (sup l) (sup k))) / INR (per_superclass b))).
    { apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, (m_pos b Sizes)].
      destruct (Nat.eqb (sup l) (sup k)); cbn; lra. }
    assert (Cond : forall k', (k' < K)%nat -> k' <> k -> 0 < share k k' ->
              a < (b' - a) * (share k k - share k k'))
      by (intros k' H1 H2 H3; apply Iff, H; assumption).
    assert (Split : forall z, a < (b' - a) * z -> 0 < z).
    { intros z Hz. apply Rnot_le_lt. intros Nz. assert (0 <= (b' - a) * - z) by (apply Rmult_le_pos; lra). lra. }
    destruct (Nat.eqb_spec (given i) l) as [Eg|Eg].
    + rewrite Eg in Hs. specialize (Cond l Hl Hne Hs).
      rewrite Eg, (proj2 (Nat.eqb_neq l k) Hne) in E. cbn [ind] in E. lra.
    + assert (Own : 0 < share k k).
      { destruct (Nat.eq_dec (given i) k) as [E'|E']; [rewrite E' in Hs; exact Hs|].
        specialize (Cond (given i) Hj E' Hs). apply Split in Cond. lra. }
      assert (Gap : 0 < share k k - share k l).
      { destruct (Rle_lt_dec (share k l) 0) as [Z|Z]; [lra|].
        specialize (Cond l Hl Hne Z). now apply Split. }
      assert (0 < (b' - a) * (share k k - share k l)) by (apply Rmult_lt_0_compat; lra).
      assert (Z := ind_nonneg (Nat.eqb (given i) k)). cbn [ind] in E.
      assert (0 <= a * ind (Nat.eqb (given i) k)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** ** The ratio of schedules *)

Let eigenvalues := eigenvalues_in_order b Sizes Order.

Let g (x : R) : R := ln (s_A b + x) - ln (s_B b + x).
Let g' (x : R) : R := / (s_A b + x) - / (s_B b + x).

(** g lies below its tangents. *)
Let tangent x y : 0 <= x -> 0 <= y -> g x - g y <= g' y * (x - y).
Proof.
  intros Hx Hy. destruct eigenvalues as (PA & PB & _). unfold g, g'.
  set (a := s_A b) in *. set (c := s_B b) in *.
  assert (E : ln (a + x) - ln (c + x) - (ln (a + y) - ln (c + y))
    = ln ((a + x) * (c + y) / ((a + y) * (c + x)))).
  { rewrite ln_div, !ln_mult by (try apply Rmult_lt_0_compat; lra). ring. }
  rewrite E. eapply Rle_trans; [apply ln_le_minus|].
  { apply Rdiv_lt_0_compat; apply Rmult_lt_0_compat; lra. }
  assert (D : (/ (a + y) - / (c + y)) * (x - y) - ((a + x) * (c + y) / ((a + y) * (c + x)) - 1)
    = (c - a) * (x - y) ^ 2 / ((a + y) * (c + y) * (c + x))) by (field; lra).
  assert (0 <= (c - a) * (x - y) ^ 2 / ((a + y) * (c + y) * (c + x))); [|lra].
  apply Rmult_le_pos; [apply Rmult_le_pos; [lra|apply pow2_ge_0]|].
  left. apply Rinv_0_lt_compat. repeat apply Rmult_lt_0_compat; lra.
Qed.

Let ratio_exp mu t : (forall r, (r < t)%nat -> 0 <= mu r) ->
  ratio b mu t = exp (\sum_(i < t) (g (mu i) - g 0)).
Proof.
  intros Hmu. rewrite <- product_exp. apply product_ext. intros i Hi. specialize (Hmu i Hi).
  destruct eigenvalues as (PA & PB & _). unfold g, p_B, p_A, h.
  change (s_B (at_scale b (mu i))) with (s_B b). change (s_A (at_scale b (mu i))) with (s_A b).
  change (scale (at_scale b (mu i))) with (mu i). rewrite !Rplus_0_r.
  replace (ln (s_A b + mu i) - ln (s_B b + mu i) - (ln (s_A b) - ln (s_B b)))
    with (ln (s_B b / (s_B b + mu i) / (s_A b / (s_A b + mu i)))).
  - rewrite exp_ln; [reflexivity|]. repeat apply Rdiv_lt_0_compat; lra.
  - rewrite !ln_div by (repeat apply Rdiv_lt_0_compat; lra). ring.
Qed.

Let exp_le x y : x <= y -> exp x <= exp y.
Proof. intros [H|H]; [left; now apply exp_increasing|right; now rewrite H]. Qed.

(** A schedule that majorizes another has the smaller ratio, *)
Lemma ratio_majorizes mu nu t : (forall r, (r < t)%nat -> 0 <= mu r) -> (forall r, (r < t)%nat -> 0 <= nu r) ->
  majorizes t mu nu -> ratio b mu t <= ratio b nu t.
Proof.
  intros Hm Hn (p & q & Pp & Pq & Fall & Tot & Part).
  rewrite !ratio_exp by assumption. apply exp_le.
  rewrite <- (sum_permuted t p (fun i => g (mu i) - g 0) Pp), <- (sum_permuted t q (fun i => g (nu i) - g 0) Pq).
  destruct eigenvalues as (PA & PB & _).
  assert (Pa : forall i, (i < t)%nat -> 0 <= mu (p i)) by (intros i Hi; apply Hm; now apply Pp).
  assert (Pb : forall i, (i < t)%nat -> 0 <= nu (q i)) by (intros i Hi; apply Hn; now apply Pq).
  assert (L : \sum_(i < t) (g' (nu (q i)) * (mu (p i) - nu (q i))) <= 0).
  { apply (abel t (fun i => g' (nu (q i))) (fun i => mu (p i) - nu (q i))).
    - intros i j Hij Hj. assert (F := Fall i j Hij Hj). cbv beta in F. unfold g'.
      assert (B := Pb j Hj). set (x := nu (q i)) in *. set (y := nu (q j)) in *.
      assert (E : forall z, 0 <= z -> / (s_A b + z) - / (s_B b + z)
        = (s_B b - s_A b) * / ((s_A b + z) * (s_B b + z))) by (intros z Hz; field; lra).
      rewrite !E by lra. apply Rmult_le_compat_l; [lra|]. apply Rinv_le_contravar.
      + apply Rmult_lt_0_compat; lra.
      + apply Rmult_le_compat; lra.
    - intros k Hk. rewrite sum_minus. assert (Q := Part k Hk).
      change (sum k (fun i => nu (q i))) with (\sum_(i < k) nu (q i)) in *.
      change (sum k (fun i => mu (p i))) with (\sum_(i < k) mu (p i)) in *. lra.
    - rewrite sum_minus, (sum_permuted t p mu Pp), (sum_permuted t q nu Pq). lra. }
  assert (T : \sum_(i < t) (g (mu (p i)) - g 0) - \sum_(i < t) (g (nu (q i)) - g 0)
    <= \sum_(i < t) (g' (nu (q i)) * (mu (p i) - nu (q i)))).
  { rewrite <- sum_minus. apply sum_le. intros i Hi.
    assert (A := tangent (mu (p i)) (nu (q i)) (Pa i Hi) (Pb i Hi)). lra. }
  lra.
Qed.

(** and none is above exp(Lam (1/s_A - 1/s_B)). *)
Lemma ratio_at_most nu t : (forall r, (r < t)%nat -> 0 <= nu r) ->
  ratio b nu t <= exp (sum t nu * (1 / s_A b - 1 / s_B b)).
Proof.
  intros Hn. rewrite ratio_exp by exact Hn. apply exp_le. rewrite <- sum_scal_r. apply sum_le. intros i Hi.
  assert (A := tangent (nu i) 0 (Hn i Hi) (Rle_refl 0)). unfold g' in A.
  rewrite !Rplus_0_r in A. lra.
Qed.

(** Rounds that are not there, mu = 0, do not change the ratio. *)
Let ratio_padded mu r t : (r <= t)%nat -> (forall i, (r <= i < t)%nat -> mu i = 0) ->
  ratio b mu t = ratio b mu r.
Proof.
  intros Hr Z. destruct eigenvalues as (PA & PB & _).
  induction t as [|t IH]; [replace r with 0%nat by lia; reflexivity|].
  destruct (Nat.eq_dec r (S t)) as [->|Ne]; [reflexivity|].
  unfold ratio in *. simpl product. rewrite IH by (try lia; intros; apply Z; lia).
  rewrite (Z t) by lia. unfold p_B, p_A, h.
  change (s_B (at_scale b 0)) with (s_B b). change (s_A (at_scale b 0)) with (s_A b).
  change (scale (at_scale b 0)) with 0. field. lra.
Qed.

(** Rounds at mu_0, ..., mu_(r-1) > 0 recover every label iff no label is wrong or Delta > 1/(R(mu) - 1);
    if mu majorizes nu, of t >= r rounds, R(mu) <= R(nu) <= exp(Lam (1/s_A - 1/s_B)), so that rounds at nu
    recover every label if those at mu do. *)
(** Registry, schedule-recovery: rounds at μ₁, μ₂, … recover every label ⇔ Δ > 1/(R(μ) − 1) or
    no label is wrong,  R(μ) = ∏ᵢ p_B(μᵢ)/(p_A(μᵢ));  R(μ) ≤ R(ν) ≤ e^(Λ (1/s_A − 1/s_B)), so if
    rounds at μ recover every label, so do those at ν *)
Theorem schedule_recovery mu nu r t : (0 < r <= t)%nat ->
  (forall i, (i < r)%nat -> 0 < mu i) -> (forall i, (r <= i < t)%nat -> mu i = 0) ->
  (forall i, (i < t)%nat -> 0 < nu i) -> majorizes t mu nu ->
  (recovers mu r <-> no_label_wrong b given \/
     exists Delta, least_difference b given Delta /\ Delta > 1 / (ratio b mu r - 1))
  /\ ratio b mu r <= ratio b nu t
  /\ ratio b nu t <= exp (sum t nu * (1 / s_A b - 1 / s_B b))
  /\ (recovers mu r -> recovers nu t).
Proof.
  intros Hr Hm Hz Hn M.
  assert (Hm0 : forall i, (i < t)%nat -> 0 <= mu i).
  { intros i Hi. destruct (lt_dec i r) as [L|L]; [left; now apply Hm|]. rewrite Hz by lia. lra. }
  assert (Hn0 : forall i, (i < t)%nat -> 0 <= nu i) by (intros; left; now apply Hn).
  assert (RM := ratio_majorizes mu nu t Hm0 Hn0 M).
  rewrite (ratio_padded mu r t) in RM by (trivial; lia).
  split; [|split; [exact RM|split; [now apply ratio_at_most|]]].
  - rewrite (recovery_condition mu r) by (trivial; lia). split.
    + intros H. destruct (least_difference_exists b given Sizes Labels) as [H'|(Delta & HD)]; [now left|].
      right. exists Delta. split; [exact HD|]. apply (least_difference_every b given Delta _ HD), H.
    + intros [H|(Delta & HD & H)]; [now apply none_wrong_every|].
      apply (least_difference_every b given Delta _ HD), H.
  - rewrite (recovery_condition mu r), (recovery_condition nu t) by (trivial; lia).
    intros H k k' Hk Hk' Ne Sh. specialize (H k k' Hk Hk' Ne Sh). cbv beta in *.
    destruct (kept_order mu r Hm) as (A & _ & _ & B). specialize (B ltac:(lia)).
    assert (G1 : 1 < ratio b mu r).
    { rewrite (ratio_products mu r Hm). apply Rmult_lt_reg_r with (kept_by p_A mu r); [exact A|].
      replace (kept_by p_B mu r / kept_by p_A mu r * kept_by p_A mu r) with (kept_by p_B mu r) by (field; lra). lra. }
    assert (1 / (ratio b nu t - 1) <= 1 / (ratio b mu r - 1)); [|lra].
    unfold Rdiv. rewrite !Rmult_1_l. apply Rinv_le_contravar; lra.
Qed.

End Schedules.

(** Strongly monotone Lipschitz maps of matrices take every value, by Banach's fixed point theorem;
    so the exact head exists and is unique for every lam > 0, and so do exact rounds. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds.
Open Scope R_scope.

(** ** Geometric sequences of reals converge *)

Lemma geometric_bound (U : nat -> R) c q : 0 <= c -> 0 <= q < 1 ->
  (forall n, Rabs (U (S n) - U n) <= c * q ^ n) ->
  forall n p, Rabs (U (n + p)%nat - U n) <= c / (1 - q) * q ^ n.
Proof.
  intros Hc Hq H n p.
  assert (B : Rabs (U (n + p)%nat - U n) <= c / (1 - q) * q ^ n * (1 - q ^ p)).
  { induction p as [|p IH].
    - rewrite Nat.add_0_r, Rminus_diag_eq, Rabs_R0 by reflexivity. simpl. lra.
    - replace (n + S p)%nat with (S (n + p)) by lia.
      replace (U (S (n + p)) - U n) with ((U (S (n + p)) - U (n + p)%nat) + (U (n + p)%nat - U n))
        by ring.
      eapply Rle_trans; [apply Rabs_triang|].
      eapply Rle_trans; [apply Rplus_le_compat; [apply H|apply IH]|].
      right. rewrite pow_add. simpl. field. lra. }
  eapply Rle_trans; [exact B|].
  assert (0 <= c / (1 - q) * q ^ n).
  { apply Rmult_le_pos; [apply Rmult_le_pos; [assumption|]|apply pow_le; lra].
    left. apply Rinv_0_lt_compat. lra. }
  assert (0 <= q ^ p) by (apply pow_le; lra).
  rewrite <- (Rmult_1_r (c / (1 - q) * q ^ n)) at 2. apply Rmult_le_compat_l; lra.
Qed.

Lemma small_power c q eps : 0 <= c -> 0 <= q < 1 -> 0 < eps ->
  exists n, forall m, (n <= m)%nat -> c * q ^ m < eps.
Proof.
  intros Hc Hq He. destruct (pow_lt_1_zero q) with (y := eps / (c + 1)) as [n H].
  - rewrite Rabs_pos_eq; lra.
  - apply Rdiv_lt_0_compat; lra.
  - exists n. intros m Hm. assert (A := H m Hm). assert (P := pow_le q m ltac:(lra)).
    rewrite Rabs_pos_eq in A by assumption.
    apply Rle_lt_trans with (c * (eps / (c + 1))).
    + apply Rmult_le_compat_l; lra.
    + apply Rlt_le_trans with ((c + 1) * (eps / (c + 1))); [|right; field; lra].
      apply Rmult_lt_compat_r; [|lra]. apply Rdiv_lt_0_compat; lra.
Qed.

Lemma geometric_limit (U : nat -> R) c q : 0 <= c -> 0 <= q < 1 ->
  (forall n, Rabs (U (S n) - U n) <= c * q ^ n) ->
  { l | forall n, Rabs (l - U n) <= c / (1 - q) * q ^ n }.
Proof.
  intros Hc Hq H. assert (B := geometric_bound U c q Hc Hq H).
  assert (Hk : 0 <= c / (1 - q)).
  { apply Rmult_le_pos; [assumption|]. left. apply Rinv_0_lt_compat. lra. }
  destruct (R_complete U) as [l L].
  - intros eps He. destruct (small_power _ q (eps / 2) Hk Hq ltac:(lra)) as [n Hn].
    exists n. intros a b Ha Hb. unfold R_dist.
    replace (U a - U b) with ((U a - U n) - (U b - U n)) by ring.
    eapply Rle_lt_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp.
    assert (Ba := B n (a - n)%nat). assert (Bb := B n (b - n)%nat).
    replace (n + (a - n))%nat with a in Ba by lia. replace (n + (b - n))%nat with b in Bb by lia.
    assert (E := Hn n (le_n n)). lra.
  - exists l. intros n. apply Rnot_lt_le. intros G.
    destruct (L (Rabs (l - U n) - c / (1 - q) * q ^ n)) as [m Hm]; [lra|].
    assert (Z := Hm (n + m)%nat ltac:(lia)). assert (Y := B n m).
    assert (T := Rabs_triang (l - U (n + m)%nat) (U (n + m)%nat - U n)).
    replace (l - U (n + m)%nat + (U (n + m)%nat - U n)) with (l - U n) in T by ring.
    unfold R_dist in Z. rewrite Rabs_minus_sym in Z. lra.
Qed.

(** ** Strongly monotone Lipschitz maps *)

Section Surjective.

Variables (d K : nat) (T : mat -> mat) (lam Lip : R) (u : mat).
Hypothesis lam_pos : 0 < lam.
Hypothesis lam_le : lam <= Lip.
Hypothesis T_lipschitz : forall A B, norm d K (T A - T B) <= Lip * norm d K (A - B).
Hypothesis T_strong : forall A B,
  lam * inner d K (A - B) (A - B) <= inner d K (T A - T B) (A - B).

Let eta := lam / Lip ^ 2.
Let ratio := sqrt (1 - (lam / Lip) ^ 2).

Fixpoint iterate (n : nat) : mat :=
  match n with
  | O => zero
  | S m => (iterate m - eta * (T (iterate m) - u))%M
  end.

Lemma quotient_bounds : 0 < lam / Lip <= 1.
Proof.
  split; [apply Rdiv_lt_0_compat; lra|]. apply Rmult_le_reg_r with Lip; [lra|].
  replace (lam / Lip * Lip) with lam by (field; lra). lra.
Qed.

Lemma ratio_bounds : 0 <= ratio < 1.
Proof.
  assert (Q := quotient_bounds). split; [apply sqrt_pos|]. unfold ratio.
  assert (P : 0 < (lam / Lip) ^ 2) by (apply pow_lt; lra).
  assert (P1 : (lam / Lip) ^ 2 <= 1 ^ 2) by (apply pow_incr; lra).
  rewrite <- sqrt_1 at 2. apply sqrt_lt_1; lra.
Qed.

Lemma eta_pos : 0 < eta.
Proof. unfold eta. apply Rdiv_lt_0_compat; [assumption|]. apply pow_lt. lra. Qed.

Lemma iterate_contracts A B :
  norm d K (A - eta * (T A - u) - (B - eta * (T B - u))) <= ratio * norm d K (A - B).
Proof.
  assert (Q := quotient_bounds). assert (P1 : (lam / Lip) ^ 2 <= 1 ^ 2) by (apply pow_incr; lra).
  apply norm_le_of_square.
  { apply Rmult_le_pos; [apply ratio_bounds|apply norm_nonneg]. }
  rewrite Rpow_mult_distr, norm_square. unfold ratio. rewrite pow2_sqrt by lra.
  set (D := (A - B)%M). set (E := (T A - T B)%M).
  assert (M : meq d K (A - eta * (T A - u) - (B - eta * (T B - u))) (D - eta * E)).
  { intros j k _ _. unfold D, E, sub, scale. ring. }
  rewrite (inner_ext d K _ _ _ _ M M). expand. rewrite (inner_sym d K D E).
  assert (S := T_strong A B). fold D E in S.
  assert (L := T_lipschitz A B). fold D E in L.
  assert (L2 := pow_incr _ _ 2 (conj (norm_nonneg d K E) L)).
  rewrite Rpow_mult_distr, !norm_square in L2.
  apply Rmult_le_compat_l with (r := eta ^ 2) in L2; [|apply pow2_ge_0].
  assert (H := eta_pos). apply Rmult_le_compat_l with (r := 2 * eta) in S; [|lra].
  replace (eta ^ 2 * (Lip ^ 2 * inner d K D D)) with ((lam / Lip) ^ 2 * inner d K D D) in L2
    by (unfold eta; field; lra).
  replace (2 * eta * (lam * inner d K D D)) with (2 * (lam / Lip) ^ 2 * inner d K D D) in S
    by (unfold eta; field; lra).
  lra.
Qed.

Lemma iterate_step n :
  norm d K (iterate (S n) - iterate n) <= norm d K (iterate 1 - iterate 0) * ratio ^ n.
Proof.
  induction n as [|n IH]; [simpl pow; lra|].
  eapply Rle_trans; [apply (iterate_contracts (iterate (S n)) (iterate n))|].
  simpl pow. assert (R := ratio_bounds).
  apply Rmult_le_compat_l with (r := ratio) in IH; [|lra].
  eapply Rle_trans; [exact IH|]. lra.
Qed.

(** T W = u has a solution. *)
Theorem strongly_monotone_surjective : { W | meq d K (T W) u }.
Proof.
  set (c := norm d K (iterate 1 - iterate 0)).
  assert (Hc : 0 <= c) by apply norm_nonneg.
  assert (R := ratio_bounds).
  assert (Entry : forall j k, (j < d)%nat -> (k < K)%nat ->
    { l | forall n, Rabs (l - iterate n j k) <= c / (1 - ratio) * ratio ^ n }).
  { intros j k Hj Hk. apply geometric_limit; trivial. intros n.
    eapply Rle_trans; [|apply iterate_step].
    apply (entry_le_norm d K (iterate (S n) - iterate n)%M j k Hj Hk). }
  set (W := fun j k => match Compare_dec.lt_dec j d, Compare_dec.lt_dec k K with
    | left Hj, left Hk => proj1_sig (Entry j k Hj Hk)
    | _, _ => 0
    end).
  set (b := c / (1 - ratio)).
  assert (Hb : 0 <= b).
  { unfold b, Rdiv. apply Rmult_le_pos; [assumption|]. left. apply Rinv_0_lt_compat. lra. }
  assert (Near : forall n, norm d K (W - iterate n) <= (INR d * INR K + 1) * (b * ratio ^ n)).
  { intros n. assert (P : 0 <= b * ratio ^ n) by (apply Rmult_le_pos; [|apply pow_le]; lra).
    assert (Q : 0 <= INR d * INR K) by (apply Rmult_le_pos; apply pos_INR).
    apply norm_le_of_square; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (INR d * INR K * (b * ratio ^ n) ^ 2).
    - unfold inner.
      apply Rle_trans with (\sum_(j < d) \sum_(k < K) ((b * ratio ^ n) ^ 2)).
      + apply sum_le. intros j Hj. apply sum_le. intros k Hk.
        assert (E : Rabs (W j k - iterate n j k) <= b * ratio ^ n).
        { unfold W. destruct (Compare_dec.lt_dec j d) as [Hj'|]; [|contradiction].
          destruct (Compare_dec.lt_dec k K) as [Hk'|]; [|contradiction].
          apply (proj2_sig (Entry j k Hj' Hk')). }
        rewrite <- Rsqr_pow2. change (Rsqr (W j k - iterate n j k) <= Rsqr (b * ratio ^ n)).
        rewrite (Rsqr_abs (W j k - iterate n j k)).
        apply Rsqr_incr_1; [exact E|apply Rabs_pos|assumption].
      + right. rewrite sum_const, sum_const. ring.
    - rewrite (Rpow_mult_distr (INR d * INR K + 1)).
      apply Rmult_le_compat_r; [apply pow2_ge_0|].
      simpl. assert (0 <= (INR d * INR K) * (INR d * INR K)) by (apply Rmult_le_pos; lra). lra. }
  exists W. apply norm_eq. apply Rnot_lt_le. intros G.
  set (e := norm d K (T W - u)) in *.
  assert (Small : forall n, e <= (Lip * ((INR d * INR K + 1) * b) + c / eta) * ratio ^ n).
  { intros n. unfold e.
    eapply Rle_trans; [apply (norm_sub_triangle d K _ (T (iterate n)))|].
    assert (A := T_lipschitz W (iterate n)). assert (N := Near n).
    apply Rmult_le_compat_l with (r := Lip) in N; [|lra].
    assert (St := iterate_step n). fold c in St.
    assert (E : norm d K (iterate (S n) - iterate n) = eta * norm d K (T (iterate n) - u)).
    { rewrite (norm_ext d K _ ((- eta) * (T (iterate n) - u))%M).
      - rewrite norm_scale, Rabs_Ropp, Rabs_pos_eq; [reflexivity|]. left. apply eta_pos.
      - intros j k _ _. simpl. unfold sub, scale. ring. }
    rewrite E in St. assert (P := eta_pos).
    assert (B : norm d K (T (iterate n) - u) <= c / eta * ratio ^ n).
    { apply Rmult_le_reg_l with eta; [assumption|].
      replace (eta * (c / eta * ratio ^ n)) with (c * ratio ^ n) by (field; lra). exact St. }
    lra. }
  destruct (small_power (Lip * ((INR d * INR K + 1) * b) + c / eta) ratio e) as [n Hn]; trivial.
  - assert (0 <= INR d * INR K) by (apply Rmult_le_pos; apply pos_INR).
    assert (0 <= c / eta) by (apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, eta_pos]; lra).
    assert (0 <= Lip * ((INR d * INR K + 1) * b)) by (apply Rmult_le_pos; [|apply Rmult_le_pos]; lra). lra.
  - assert (Z := Hn n (le_n n)). assert (Y := Small n). lra.
Qed.

End Surjective.

(** ** The softmax is Lipschitz *)

Lemma softmax_derivative K v u k s : (0 < K)%nat ->
  let p := softmax K (fun l => v l + s * u l) in
  derivable_pt_lim (fun s => softmax K (fun l => v l + s * u l) k) s
    (p k * (u k - \sum_(l < K) (p l * u l))).
Proof.
  intros HK p.
  set (Z := fun s => \sum_(l < K) exp (v l + s * u l)).
  assert (HZ : forall s, Z s <> 0) by (intros; apply Rgt_not_eq; now apply exps_pos).
  assert (E : forall l, derivable_pt_lim (fun s => exp (v l + s * u l)) s (exp (v l + s * u l) * u l)).
  { intros l. apply (derivable_pt_lim_comp (fun s => v l + s * u l) exp); [apply derivable_line|].
    apply derivable_pt_lim_exp. }
  assert (D := derivable_pt_lim_div (fun s => exp (v k + s * u k)) Z s _ _ (E k)
    (derivable_sum K (fun l s => exp (v l + s * u l)) _ s (fun l _ => E l)) (HZ s)).
  match type of D with derivable_pt_lim _ _ ?x =>
    replace (p k * (u k - \sum_(l < K) (p l * u l))) with x; [exact D|] end.
  rewrite (sum_ext K (fun l => p l * u l) (fun l => exp (v l + s * u l) * u l * / Z s)).
  - rewrite sum_scal_r. unfold p, softmax. fold (Z s). unfold Rsqr. field. apply HZ.
  - intros l _. unfold p, softmax. fold (Z s). field. apply HZ.
Qed.

(** |softmax(v')_k - softmax(v)_k| <= 2 (sum of |v'_l - v_l|) *)
Lemma softmax_lipschitz K v v' k : (0 < K)%nat -> (k < K)%nat ->
  Rabs (softmax K v' k - softmax K v k) <= 2 * \sum_(l < K) Rabs (v' l - v l).
Proof.
  intros HK Hk. set (u := fun l => v' l - v l).
  destruct (MVT_cor2 (fun s => softmax K (fun l => v l + s * u l) k)
    (fun s => let p := softmax K (fun l => v l + s * u l) in p k * (u k - \sum_(l < K) (p l * u l)))
    0 1 ltac:(lra)) as [s [E _]].
  { intros s _. now apply softmax_derivative. }
  cbv zeta in E. rewrite Rminus_0_r, Rmult_1_r in E.
  rewrite (softmax_ext K (fun l => v l + 1 * u l) v' k) in E by (trivial; intros; unfold u; ring).
  rewrite (softmax_ext K (fun l => v l + 0 * u l) v k) in E by (trivial; intros; ring).
  rewrite E. set (p := softmax K (fun l => v l + s * u l)).
  assert (P : forall l, 0 < p l) by (intros; now apply softmax_pos).
  assert (P1 : forall l, (l < K)%nat -> p l <= 1).
  { intros l Hl. rewrite <- (softmax_sum K HK (fun l => v l + s * u l)).
    apply (sum_term_le K p l Hl). intros. left. apply P. }
  set (a := \sum_(l < K) Rabs (u l)).
  assert (A : Rabs (u k) <= a).
  { apply (sum_term_le K (fun l => Rabs (u l)) k Hk). intros. apply Rabs_pos. }
  assert (B : Rabs (\sum_(l < K) (p l * u l)) <= a).
  { eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros l Hl.
    rewrite Rabs_mult, (Rabs_pos_eq (p l)) by (left; apply P).
    rewrite <- (Rmult_1_l (Rabs (u l))) at 2. apply Rmult_le_compat_r; [apply Rabs_pos|auto]. }
  rewrite Rabs_mult, (Rabs_pos_eq (p k)) by (left; apply P).
  assert (C : Rabs (u k - \sum_(l < K) (p l * u l)) <= 2 * a).
  { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  fold (u k). change (\sum_(l < K) Rabs (v' l - v l)) with a.
  rewrite <- (Rmult_1_l (2 * a)). apply Rmult_le_compat; try apply Rabs_pos; auto. left. apply P.
Qed.

Section Heads.

Variables (N d K : nat) (X : mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.

(** How far a row reaches, and a Lipschitz constant of M, far from the least. *)
Let reach (i : nat) : R := \sum_(j < d) Rabs (X i j).
Let bound : R := 2 * INR K * \sum_(i < N) (reach i * reach i).

Lemma reach_nonneg i : 0 <= reach i.
Proof. apply sum_nonneg. intros. apply Rabs_pos. Qed.

Lemma bound_nonneg : 0 <= bound.
Proof.
  unfold bound. apply Rmult_le_pos; [assert (P := pos_INR K); lra|].
  apply sum_nonneg. intros. apply Rmult_le_pos; apply reach_nonneg.
Qed.

Lemma logits_move W W' i k : (k < K)%nat ->
  Rabs (logits d X W i k - logits d X W' i k) <= reach i * norm d K (W - W').
Proof.
  intros Hk. rewrite <- logits_sub. unfold logits, reach. rewrite <- sum_scal_r.
  eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j Hj. rewrite Rabs_mult.
  apply Rmult_le_compat_l; [apply Rabs_pos|]. now apply entry_le_norm.
Qed.

Lemma predictions_move W W' i k : (k < K)%nat ->
  Rabs (predictions d K X W i k - predictions d K X W' i k)
    <= 2 * INR K * reach i * norm d K (W - W').
Proof.
  intros Hk. unfold predictions.
  eapply Rle_trans; [now apply softmax_lipschitz|].
  rewrite !Rmult_assoc. apply Rmult_le_compat_l; [lra|]. rewrite <- sum_const. apply sum_le.
  intros l Hl. now apply logits_move.
Qed.

Lemma M_move W W' j k : (j < d)%nat -> (k < K)%nat ->
  Rabs (M N d K X W j k - M N d K X W' j k) <= bound * norm d K (W - W').
Proof.
  intros Hj Hk. unfold M, moment, Rdiv. rewrite <- Rmult_minus_distr_r, <- sum_minus, Rabs_mult.
  assert (HN : 1 <= INR N) by (apply (le_INR 1); lia).
  set (w := norm d K (W - W')). assert (Hw : 0 <= w) by apply norm_nonneg.
  assert (B : Rabs (\sum_(i < N) (X i j * predictions d K X W i k - X i j * predictions d K X W' i k))
    <= bound * w).
  { eapply Rle_trans; [apply sum_abs|]. unfold bound.
    rewrite (Rmult_comm (2 * INR K)), Rmult_assoc, <- sum_scal_r. apply sum_le. intros i Hi.
    rewrite <- Rmult_minus_distr_l, Rabs_mult.
    assert (A := predictions_move W W' i k Hk). fold w in A.
    assert (C : Rabs (X i j) <= reach i).
    { apply (sum_term_le d (fun j => Rabs (X i j)) j Hj). intros. apply Rabs_pos. }
    replace (reach i * reach i * (2 * INR K * w)) with (reach i * (2 * INR K * reach i * w)) by ring.
    apply Rmult_le_compat; try apply Rabs_pos; assumption. }
  rewrite (Rabs_pos_eq (/ INR N)) by (left; apply Rinv_0_lt_compat; lra).
  rewrite <- (Rmult_1_r (bound * w)). apply Rmult_le_compat; try assumption.
  - apply Rabs_pos.
  - left. apply Rinv_0_lt_compat. lra.
  - rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
Qed.

Lemma M_lipschitz W W' :
  norm d K (M N d K X W - M N d K X W') <= (INR d * INR K + 1) * bound * norm d K (W - W').
Proof.
  set (w := norm d K (W - W')). assert (Hw : 0 <= w) by apply norm_nonneg.
  assert (Q : 0 <= INR d * INR K) by (apply Rmult_le_pos; apply pos_INR).
  assert (P : 0 <= bound * w) by (apply Rmult_le_pos; [apply bound_nonneg|assumption]).
  apply norm_le_of_square; [rewrite (Rmult_assoc (INR d * INR K + 1)); apply Rmult_le_pos; lra|].
  apply Rle_trans with (INR d * INR K * (bound * w) ^ 2).
  - unfold inner. apply Rle_trans with (\sum_(j < d) \sum_(k < K) ((bound * w) ^ 2)).
    + apply sum_le. intros j Hj. apply sum_le. intros k Hk. unfold sub.
      assert (E := M_move W W' j k Hj Hk). fold w in E.
      rewrite <- (Rsqr_pow2 (bound * w)).
      change (Rsqr (M N d K X W j k - M N d K X W' j k) <= Rsqr (bound * w)).
      rewrite (Rsqr_abs (M N d K X W j k - M N d K X W' j k)).
      apply Rsqr_incr_1; [exact E|apply Rabs_pos|assumption].
    + right. rewrite sum_const, sum_const. ring.
  - rewrite (Rmult_assoc (INR d * INR K + 1)), (Rpow_mult_distr (INR d * INR K + 1)).
    apply Rmult_le_compat_r; [apply pow2_ge_0|].
    simpl. assert (0 <= (INR d * INR K) * (INR d * INR K)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** For every lam > 0 and u, some W solves lam W + M(W) = u; *)
Theorem step_exists lam u : 0 < lam -> { W | meq d K (lam * W + M N d K X W) u }.
Proof.
  intros Hl.
  set (b := (INR d * INR K + 1) * bound).
  assert (Hb : 0 <= b).
  { apply Rmult_le_pos; [|apply bound_nonneg].
    assert (0 <= INR d * INR K) by (apply Rmult_le_pos; apply pos_INR). lra. }
  apply (strongly_monotone_surjective d K (fun W => lam * W + M N d K X W)%M lam (lam + b)); trivial.
  - lra.
  - intros A B.
    apply Rle_trans with (norm d K (lam * (A - B) + (M N d K X A - M N d K X B))).
    + right. apply norm_ext. intros j k _ _. unfold add, sub, scale. ring.
    + eapply Rle_trans; [apply norm_triangle|]. rewrite norm_scale, Rabs_pos_eq by lra.
      assert (E := M_lipschitz A B). fold b in E. lra.
  - intros A B. assert (Hm := M_monotone N d K X N_pos K_pos A B).
    rewrite (inner_ext d K (lam * A + M N d K X A - (lam * B + M N d K X B))
      (lam * (A - B) + (M N d K X A - M N d K X B)) (A - B) (A - B));
      [|intros j k _ _; unfold add, sub, scale; ring|apply meq_refl].
    rewrite inner_add_l, inner_scale_l. lra.
Qed.

(** so for every lam > 0 and targets there is exactly one exact head, *)
Theorem head_exists T lam : 0 < lam ->
  exists W, head N d K X T lam W /\ forall W', head N d K X T lam W' -> meq d K W' W.
Proof.
  intros Hl. destruct (step_exists lam (moment N X T) Hl) as [W H]. exists W. split; [exact H|].
  intros W' H'. now apply (head_unique N d K X N_pos K_pos T lam).
Qed.

(** and exactly one sequence of exact rounds from given targets. *)
Fixpoint rounds_of (Y : mat) (lam : nat -> R) (Hl : forall t, 0 < lam t) (t : nat) : mat :=
  match t with
  | O => zero
  | S s => proj1_sig (step_exists (lam t)
      (match s with O => moment N X Y | _ => M N d K X (rounds_of Y lam Hl s) end) (Hl t))
  end.

Theorem rounds_exist Y lam : (forall t, 0 < lam t) ->
  exists W, (forall n, exact_rounds N d K X Y lam W n) /\
    forall n W', exact_rounds N d K X Y lam W' n ->
      forall t, (1 <= t <= n)%nat -> meq d K (W' t) (W t).
Proof.
  intros Hl. exists (rounds_of Y lam Hl).
  assert (E : forall n, exact_rounds N d K X Y lam (rounds_of Y lam Hl) n).
  { intros n t Ht. destruct t as [|s]; [lia|]. unfold head.
    eapply meq_trans; [apply (proj2_sig (step_exists (lam (S s)) _ (Hl (S s))))|].
    destruct s as [|s]; apply meq_refl. }
  split; [exact E|]. intros n W' H' t Ht. destruct t as [|t]; [lia|].
  assert (P : forall s, (1 <= s <= n)%nat ->
    meq d K (moment N X (plain d K X Y W' s)) (moment N X (plain d K X Y (rounds_of Y lam Hl) s)) ->
    meq d K (W' s) (rounds_of Y lam Hl s)).
  { intros s Hs B. apply (head_unique N d K X N_pos K_pos (plain d K X Y W' s) (lam s)); trivial.
    - now apply H'.
    - eapply meq_trans; [apply (E n s Hs)|]. now apply meq_sym. }
  induction t as [|t IH]; (apply P; [lia|]); [apply meq_refl|].
  apply moment_ext. intros i k Hi Hk. apply predictions_ext; [|assumption]. apply IH. lia.
Qed.

End Heads.

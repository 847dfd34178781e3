(** Two sets of labels come nearer in every round, by what their weights differ. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** For any given targets Y, Y', with u_t = X^T T^(t) / N and u'_t the same of the rounds from Y':

      |u_(t+1) - u'_(t+1)|^2 + lam_t^2 |W_t - W'_t|^2 <= |u_t - u'_t|^2.

    That rows of Y and Y' sum to 1 is not used. *)
(** Registry, firm-nonexpansiveness: ‖uₜ₊₁ − u'ₜ₊₁‖_F² + λₜ² ‖Wₜ − W'ₜ‖_F² ≤ ‖uₜ − u'ₜ‖_F²,  uₜ
    = 1/N Xᵀ T⁽ᵗ⁾,  for any given targets Y, Y' *)
Theorem firm_nonexpansiveness N d K X Y Y' lam W W' n :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_rounds N d K X Y lam W n -> exact_rounds N d K X Y' lam W' n ->
  forall t, (1 <= t <= n)%nat ->
  let u := fun s => moment N X (plain d K X Y W s) in
  let u' := fun s => moment N X (plain d K X Y' W' s) in
  norm d K (u (S t) - u' (S t)) ^ 2 + lam t ^ 2 * norm d K (W t - W' t) ^ 2
    <= norm d K (u t - u' t) ^ 2.
Proof.
  intros HN HK Hl H H' t Ht u u'. rewrite !norm_square.
  assert (A := step_firm d K (M N d K X) (M_monotone N d K X HN HK) (lam t) (u t) (u' t) (W t) (W' t)
    (Rlt_le _ _ (Hl t Ht)) (H t Ht) (H' t Ht)).
  destruct t as [|t]; [lia|]. exact A.
Qed.

(** Equal moments X^T Y / N are the same problem in every round. *)
Corollary rounds_know_moments N d K X Y Y' lam W W' n :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_rounds N d K X Y lam W n -> exact_rounds N d K X Y' lam W' n ->
  meq d K (moment N X Y) (moment N X Y') ->
  forall t, (1 <= t <= n)%nat -> meq d K (W t) (W' t).
Proof.
  intros HN HK Hl H H' E.
  set (u := fun s => moment N X (plain d K X Y W s)).
  set (u' := fun s => moment N X (plain d K X Y' W' s)).
  assert (Step : forall t, (1 <= t <= n)%nat -> norm d K (u t - u' t) ^ 2 <= 0 ->
    norm d K (u (S t) - u' (S t)) ^ 2 <= 0 /\ meq d K (W t) (W' t)).
  { intros t Ht B.
    assert (A := firm_nonexpansiveness N d K X Y Y' lam W W' n HN HK Hl H H' t Ht).
    cbv zeta in A. fold u u' in A. specialize (Hl t Ht).
    change (moment N X (plain d K X Y W t)) with (u t) in A.
    change (moment N X (plain d K X Y' W' t)) with (u' t) in A.
    change (moment N X (plain d K X Y W (S t))) with (u (S t)) in A.
    change (moment N X (plain d K X Y' W' (S t))) with (u' (S t)) in A.
    assert (P : 0 < lam t ^ 2) by now apply pow_lt.
    assert (Q := pow2_ge_0 (norm d K (u (S t) - u' (S t)))).
    assert (Z : 0 <= lam t ^ 2 * norm d K (W t - W' t) ^ 2).
    { apply Rmult_le_pos; [lra|apply pow2_ge_0]. }
    split; [lra|]. apply inner_zero. rewrite <- norm_square.
    apply Rmult_le_reg_l with (lam t ^ 2); [assumption|]. lra. }
  intros t Ht. apply Step; [assumption|]. destruct t as [|t]; [lia|].
  induction t as [|t IH].
  - rewrite norm_square, (inner_ext d K _ zero _ zero), inner_zero_l; [lra| |];
      intros j k Hj Hk; unfold sub, zero, u, u', plain; rewrite E by assumption; ring.
  - apply Step; [lia|]. apply IH. lia.
Qed.

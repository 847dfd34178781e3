(** How near to uniform rounds are depends on the schedule through the total weight decay alone. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds.
Open Scope R_scope.

(** With Lam_t = lam_1 + ... + lam_t and the mean entropy H_t of the predictions P_t

      2 Lam_t (ln K - H_t) + |X^T (P_t - 1/K) / N|^2 + Lam_t^2 |W_t|^2 <= |grad L(0)|^2,

    so ln K - H_t <= |grad L(0)|^2 / (4 Lam_t) and |W_t| <= |grad L(0)| / Lam_t.

    That rows of Y sum to 1 is not used. *)
(** Registry, total-weight-decay: 2 Λₜ (log K − H̄ₜ) + 1/N² ‖Xᵀ (Pₜ − 1/K)‖_F² + Λₜ² ‖Wₜ‖_F² ≤
    ‖∇ L(0)‖_F²,  Λₜ = ∑_(s ≤ t) λₛ, so log K − H̄ₜ ≤ ‖∇ L(0)‖_F²/(4 Λₜ),  ‖Wₜ‖_F ≤ ‖∇
    L(0)‖_F/Λₜ *)
Theorem total_weight_decay N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t <= n)%nat ->
  let Lam := total lam t in
  let c := norm d K (start_gradient N d K X Y) in
  2 * Lam * (ln (INR K) - H_bar N d K X (W t))
    + norm d K (moment N X (predictions d K X (W t) - uniform K)) ^ 2
    + Lam ^ 2 * norm d K (W t) ^ 2 <= c ^ 2
  /\ ln (INR K) - H_bar N d K X (W t) <= c ^ 2 / (4 * Lam)
  /\ norm d K (W t) <= c / Lam.
Proof.
  intros HN HK Hl H t Ht Lam c.
  assert (R := exact_rounds_run N d K X Y lam W t
    (exact_rounds_le N d K X Y lam W n t ltac:(lia) H)).
  assert (P : 0 < Lam) by (apply total_pos; [lia|]; intros; apply Hl; lia).
  assert (T := F_tangent N d K X HN HK).
  assert (A := run_potential d K (M N d K X) (F N d K X) T lam (moment N X Y) W t ltac:(lia)
    (fun s Hs => Hl s ltac:(lia)) R).
  rewrite start_gradient_moments in A by assumption. fold Lam c in A.
  assert (B := potential_rates d K (M N d K X) (F N d K X) T Lam (W t) c P (norm_nonneg d K _) A).
  rewrite conjugate_entropy, conjugate_zero in A, B by assumption.
  replace (- H_bar N d K X (W t) - - ln (INR K)) with (ln (INR K) - H_bar N d K X (W t))
    in A, B by ring.
  split; [|exact B].
  assert (E : meq d K (moment N X (predictions d K X (W t) - uniform K))
    (M N d K X (W t) - M N d K X zero)).
  { apply (meq_trans d K _ _ _ (moment_sub N d K X _ _)). intros j k Hj Hk. unfold sub.
    rewrite (M_zero N d K X) by assumption. reflexivity. }
  rewrite (norm_ext d K _ _ E), !norm_square. exact A.
Qed.

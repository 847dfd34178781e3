(** Rounds against one training at their total weight decay: it lies in a ball that rounds know. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** With Lam = lam_1 + ... + lam_t, Wbar = (lam_1 W_1 + ... + lam_t W_t) / Lam and V the head
    trained once on Y at Lam:

      |V - (Wbar + W_t) / 2| <= |Wbar - W_t| / 2,  so  |V - W_t| <= |Wbar - W_t|.

    That rows of Y sum to 1 is not used. *)
(** Registry, the-ball: ‖V − 1/2 (W̄ₜ + Wₜ)‖_F ≤ 1/2 ‖W̄ₜ − Wₜ‖_F,  W̄ₜ = 1/Λ ∑_(s ≤ t) λₛ Wₛ,
    Λ = ∑_(s ≤ t) λₛ,  V the head trained once on Y at Λ;  so ‖V − Wₜ‖_F ≤ ‖W̄ₜ − Wₜ‖_F *)
Theorem the_ball N d K X Y lam W n V :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t <= n)%nat ->
  head N d K X Y (total lam t) V ->
  norm d K (V - (1 / 2) * (average lam W t + W t)) <= 1 / 2 * norm d K (average lam W t - W t)
  /\ norm d K (V - W t) <= norm d K (average lam W t - W t).
Proof.
  intros HN HK Hl H t Ht HV.
  assert (R := exact_rounds_run N d K X Y lam W t
    (exact_rounds_le N d K X Y lam W n t ltac:(lia) H)).
  assert (P : 0 < total lam t) by (apply total_pos; [lia|]; intros; apply Hl; lia).
  assert (A := run_ball d K (M N d K X) (M_monotone N d K X HN HK) lam (moment N X Y) W t V
    ltac:(lia) R P HV).
  apply ball_of_angle in A. tauto.
Qed.

(** The same for any weights W: with g = grad L(W) at the weight decay Lam, the head trained there
    has |V - (W - g / (2 Lam))| <= |g| / (2 Lam), half the radius of the global certificate. *)
Theorem ball_of_gradient N d K X Y Lam V W :
  (0 < N)%nat -> (0 < K)%nat -> 0 < Lam -> head N d K X Y Lam V ->
  let g := gradient N d K X Y Lam W in
  norm d K (V - (W - (1 / (2 * Lam)) * g)) <= norm d K g / (2 * Lam).
Proof.
  intros HN HK HL HV g.
  set (W' := (W - (1 / Lam) * g)%M).
  assert (A : inner d K (V - W')%M (V - W)%M <= 0).
  { apply ball_angle with (M := M N d K X) (c := Lam) (u := moment N X Y); trivial.
    - now apply M_monotone.
    - intros j k Hj Hk. unfold W', add, sub, scale, g.
      rewrite gradient_moments by assumption. unfold add, sub, scale. field. lra. }
  apply ball_of_angle in A. destruct A as [A _].
  rewrite (norm_ext d K _ (V - (W - (1 / (2 * Lam)) * g))%M) in A.
  - rewrite (norm_ext d K (W' - W)%M ((- / Lam) * g)%M) in A.
    + rewrite norm_scale, Rabs_Ropp, Rabs_inv, Rabs_pos_eq in A by lra.
      replace (norm d K g / (2 * Lam)) with (1 / 2 * (/ Lam * norm d K g)) by (field; lra). exact A.
    + intros j k _ _. unfold W', add, sub, scale. field. lra.
  - intros j k _ _. unfold W', add, sub, scale. field. lra.
Qed.

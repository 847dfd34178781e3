(** Weights shrink from round to round, whatever the schedule, and into a ball. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** |W_(t+1) - W_t / 2| <= |W_t| / 2, that is |W_(t+1)|^2 <= <W_t, W_(t+1)>, so
    |W_(t+1)| <= |W_t|, for any weight decays, one for each round. *)
(** Registry, shrinking-weights: ‖Wₜ₊₁ − 1/2 Wₜ‖_F ≤ 1/2 ‖Wₜ‖_F, that is ‖Wₜ₊₁‖_F² ≤ ⟨Wₜ, Wₜ₊₁⟩,
    so ‖Wₜ₊₁‖_F ≤ ‖Wₜ‖_F *)
Theorem shrinking_weights N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t)%nat -> (S t <= n)%nat ->
  norm d K (W (S t) - (1 / 2) * W t) <= 1 / 2 * norm d K (W t)
  /\ norm d K (W (S t)) ^ 2 <= inner d K (W t) (W (S t))
  /\ norm d K (W (S t)) <= norm d K (W t).
Proof.
  intros HN HK Hl H t Ht Hn.
  assert (R := exact_rounds_run N d K X Y lam W (S t)
    (exact_rounds_le N d K X Y lam W n (S t) Hn H)).
  assert (A := run_shrinks d K (M N d K X) (M_monotone N d K X HN HK) lam (moment N X Y) W t Ht R
    (Hl (S t) ltac:(lia))).
  rewrite norm_square. split; [now apply in_ball|]. split; [assumption|]. now apply in_ball_norm.
Qed.

(** The first two are the same statement, for any two matrices. *)
Lemma ball_is_product d K A B :
  norm d K (B - (1 / 2) * A) <= 1 / 2 * norm d K A <-> norm d K B ^ 2 <= inner d K A B.
Proof.
  rewrite norm_square. split; intros H; [|now apply in_ball].
  assert (E := pow_incr _ _ 2 (conj (norm_nonneg d K (B - (1 / 2) * A)) H)).
  rewrite Rpow_mult_distr, !norm_square in E. expand_in E. rewrite (inner_sym d K B A) in E. lra.
Qed.

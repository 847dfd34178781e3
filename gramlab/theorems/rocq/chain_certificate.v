(** Errors of earlier rounds add up, and no more: a round is firmly nonexpansive. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** The residual of round t at weights W', on the targets that they make themselves:
    e_t = lam_t W'_t + M(W'_t) - xi M(W'_(t-1)) - (1 - xi) X^T Y / N, and for t = 1
    e_1 = lam_1 W'_1 + M(W'_1) - X^T Y / N. *)
Definition residual (N d K : nat) (xi : R) (X Y : mat) (lam : nat -> R) (W' : nat -> mat) (t : nat)
  : mat := (lam t * W' t + M N d K X (W' t) - given_mixed (M N d K X) xi (moment N X Y) W' t)%M.

(** For every W'_1, ..., W'_n beside exact rounds W on T^(t+1) = xi P_t + (1 - xi) Y, any real xi,
    the same rows X in all rounds and any weight decays lam_t > 0:

      lam_t |W'_t - W_t| <= S_t = |e_t| + |xi| S_(t-1),  S_0 = 0;

    and the moments of the predictions are as near: |M(W'_t) - M(W_t)| <= S_t. *)
(** Registry, chain-certificate: λₜ ‖W̃ₜ − Wₜ‖_F ≤ Sₜ = ‖eₜ‖_F + |ξ| Sₜ₋₁,  S₀ = 0,  eₜ = λₜ W̃ₜ
    + M(W̃ₜ) − ξ M(W̃ₜ₋₁) − (1 − ξ) 1/N Xᵀ Y  for every W̃₁, …, W̃ₜ *)
Theorem chain_certificate N d K xi X Y lam W W' n :
  (0 < N)%nat -> (0 < K)%nat -> positive lam n ->
  exact_mixed_rounds N d K xi X Y lam W n ->
  forall t, (1 <= t <= n)%nat ->
  let S := carried xi (fun s => norm d K (residual N d K xi X Y lam W' s)) in
  lam t * norm d K (W' t - W t) <= S t /\ norm d K (M N d K X (W' t) - M N d K X (W t)) <= S t.
Proof.
  intros HN HK Hl H t Ht.
  apply (run_chain d K (M N d K X) (M_monotone N d K X HN HK) lam xi (moment N X Y) W W' n);
    trivial.
  - intros s Hs. left. now apply Hl.
  - now apply exact_mixed_rounds_run.
Qed.

(** All rounds share out one gradient: what they take, weighted by weight decay, adds up exactly. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** lam_1 W_1 + ... + lam_t W_t = X^T (Y - P_t) / N, entry by entry, P_t = softmax(X W_t).

    Neither that rows of Y sum to 1 nor the sign of the weight decays is used. *)
(** Registry, telescope: ∑_(s ≤ t) λₛ Wₛ = 1/N Xᵀ (Y − Pₜ) *)
Theorem telescope N d K X Y lam W n :
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t <= n)%nat ->
  forall j k, (j < d)%nat -> (k < K)%nat ->
  \sum_(s < t) (lam (S s) * W (S s) j k)
    = (\sum_(i < N) (X i j * (Y i k - predictions d K X (W t) i k))) / INR N.
Proof.
  intros H t Ht j k Hj Hk.
  assert (R := exact_rounds_run N d K X Y lam W t
    (exact_rounds_le N d K X Y lam W n t ltac:(lia) H)).
  assert (A := run_telescope d K (M N d K X) lam (moment N X Y) W t ltac:(lia) R j k Hj Hk).
  unfold spent, msum in A. unfold scale in A. rewrite A.
  symmetry. exact (moment_sub N d K X Y (predictions d K X (W t)) j k Hj Hk).
Qed.

(** Against the gradient at 0: lam_1 W_1 + ... + lam_t W_t = - grad L(0) - (M(W_t) - M(0)). *)
Corollary telescope_gradient N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t <= n)%nat ->
  meq d K (spent lam W t)
    ((-1) * gradient N d K X Y 0 zero - (M N d K X (W t) - M N d K X zero)).
Proof.
  intros HN HK H t Ht j k Hj Hk.
  assert (R := exact_rounds_run N d K X Y lam W t
    (exact_rounds_le N d K X Y lam W n t ltac:(lia) H)).
  rewrite (run_telescope d K (M N d K X) lam (moment N X Y) W t ltac:(lia) R j k Hj Hk).
  unfold scale at 1, sub at 2. unfold sub. rewrite gradient_moments by assumption.
  unfold add, sub, scale, zero. ring.
Qed.

(** Entropy grows in every round, by what the weights say, from below and from above. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds.
Open Scope R_scope.

(** lam_t |W_t|^2 <= H_t - H_(t-1) <= lam_t <W_(t-1), W_t> for t >= 2, with the mean entropy
    H_t = - (1/N) sum over rows and classes of P_t ln P_t; here t - 1 is called t.

    Neither that rows of Y sum to 1 nor the sign of the weight decays is used. *)
(** Registry, entropy-step: λₜ ‖Wₜ‖_F² ≤ H̄ₜ − H̄ₜ₋₁ ≤ λₜ ⟨Wₜ₋₁, Wₜ⟩,  t ≥ 2,  H̄ₜ = −1/N ∑ᵢₖ
    P_(t,ik) log P_(t,ik) *)
Theorem entropy_step N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t)%nat -> (S t <= n)%nat ->
  lam (S t) * norm d K (W (S t)) ^ 2 <= H_bar N d K X (W (S t)) - H_bar N d K X (W t)
  /\ H_bar N d K X (W (S t)) - H_bar N d K X (W t) <= lam (S t) * inner d K (W t) (W (S t)).
Proof.
  intros HN HK H t Ht Hn. rewrite norm_square.
  assert (R := exact_rounds_run N d K X Y lam W (S t)
    (exact_rounds_le N d K X Y lam W n (S t) Hn H)).
  assert (A := run_conjugate d K (M N d K X) (F N d K X) (F_tangent N d K X HN HK) lam
    (moment N X Y) W t Ht R).
  rewrite !conjugate_entropy in A by assumption. lra.
Qed.

(** Mixed with the given labels, rounds go to the head trained once at lam / (1 - xi). *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices heads proximal rounds.
Open Scope R_scope.

(** For targets T^(1) = Y, T^(t+1) = xi P_t + (1 - xi) Y with xi < 1, one weight decay lam > 0, and V
    the head trained once on Y at lam / (1 - xi):

      lam^2 |W_t - V|^2 + |M(W_t) - M(V)|^2 <= (|xi|^t / (1 - xi) lam |V|)^2.

    That rows of Y sum to 1 is not used. *)
(** Registry, mixing-limit: λ² ‖Wₜ − V‖_F² + ‖M(Wₜ) − M(V)‖_F² ≤ (|ξ|ᵗ/(1 − ξ) λ ‖V‖_F)²,  M(W)
    = 1/N Xᵀ softmax(XW),  V the head trained once on Y at λ/(1 − ξ);  so Wₜ → V if |ξ| < 1 *)
Theorem mixing_limit N d K xi X Y lam W n V :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lam -> xi < 1 ->
  exact_mixed_rounds N d K xi X Y (fun _ => lam) W n ->
  head N d K X Y (lam / (1 - xi)) V ->
  forall t, (1 <= t <= n)%nat ->
  lam ^ 2 * norm d K (W t - V) ^ 2 + norm d K (M N d K X (W t) - M N d K X V) ^ 2
    <= (Rabs xi ^ t / (1 - xi) * lam * norm d K V) ^ 2.
Proof.
  intros HN HK Hl Hx H HV.
  apply (run_mixed_limit d K (M N d K X) (M_monotone N d K X HN HK) lam xi (moment N X Y) W V n);
    trivial. now apply exact_mixed_rounds_run.
Qed.

(** So |W_t - V| <= |xi|^t / (1 - xi) |V|, *)
Corollary mixing_rate N d K xi X Y lam W n V :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lam -> xi < 1 ->
  exact_mixed_rounds N d K xi X Y (fun _ => lam) W n ->
  head N d K X Y (lam / (1 - xi)) V ->
  forall t, (1 <= t <= n)%nat ->
  norm d K (W t - V) <= Rabs xi ^ t / (1 - xi) * norm d K V.
Proof.
  intros HN HK Hl Hx H HV t Ht.
  assert (A := mixing_limit N d K xi X Y lam W n V HN HK Hl Hx H HV t Ht).
  assert (B := pow2_ge_0 (norm d K (M N d K X (W t) - M N d K X V))).
  assert (C : 0 <= Rabs xi ^ t / (1 - xi) * norm d K V).
  { apply Rmult_le_pos; [|apply norm_nonneg]. unfold Rdiv. apply Rmult_le_pos.
    - apply pow_le, Rabs_pos.
    - left. apply Rinv_0_lt_compat. lra. }
  apply norm_le_of_square; [assumption|]. rewrite <- norm_square.
  apply Rmult_le_reg_l with (lam ^ 2); [now apply pow_lt|].
  replace (lam ^ 2 * (Rabs xi ^ t / (1 - xi) * norm d K V) ^ 2)
    with ((Rabs xi ^ t / (1 - xi) * lam * norm d K V) ^ 2) by (field; lra). lra.
Qed.

(** and W_t goes to V if |xi| < 1. *)
Corollary mixing_converges N d K xi X Y lam W V :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lam -> Rabs xi < 1 ->
  (forall n, exact_mixed_rounds N d K xi X Y (fun _ => lam) W n) ->
  head N d K X Y (lam / (1 - xi)) V ->
  Un_cv (fun t => norm d K (W t - V)) 0.
Proof.
  intros HN HK Hl Hx H HV.
  assert (Hx' : xi < 1) by (assert (A := Rle_abs xi); lra).
  intros eps He.
  set (c := norm d K V / (1 - xi)).
  assert (Hc : 0 <= c).
  { unfold c, Rdiv. apply Rmult_le_pos; [apply norm_nonneg|]. left. apply Rinv_0_lt_compat. lra. }
  destruct (pow_lt_1_zero (Rabs xi)) with (y := eps / (c + 1)) as [n Hn].
  - now rewrite Rabs_Rabsolu.
  - apply Rdiv_lt_0_compat; lra.
  - exists (S n). intros t Ht. unfold R_dist.
    assert (A := mixing_rate N d K xi X Y lam W t V HN HK Hl Hx' (H t) HV t ltac:(lia)).
    assert (B := Hn t ltac:(lia)). rewrite Rabs_pos_eq in B by apply pow_le, Rabs_pos.
    assert (P := norm_nonneg d K (W t - V)).
    rewrite Rminus_0_r, Rabs_pos_eq by assumption.
    apply Rle_lt_trans with (Rabs xi ^ t * c); [unfold c, Rdiv in *; lra|].
    apply Rle_lt_trans with (eps / (c + 1) * c).
    + apply Rmult_le_compat_r; lra.
    + apply Rlt_le_trans with (eps / (c + 1) * (c + 1)).
      * apply Rmult_lt_compat_l; [apply Rdiv_lt_0_compat|]; lra.
      * right. field. lra.
Qed.

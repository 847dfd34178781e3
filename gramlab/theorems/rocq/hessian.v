(** The Hessian of the softmax loss: the derivative of its gradient; symmetric, and at least lam. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
From Gramlab Require Import newton_decrement.
Open Scope R_scope.

Definition mean (K : nat) (p u : nat -> R) : R := \sum_(k < K) (p k * u k).

(** Var_p(u) = sum of p_k u_k^2 - (sum of p_k u_k)^2 *)
Definition variance (K : nat) (p u : nat -> R) : R := mean K p (fun k => u k ^ 2) - mean K p u ^ 2.

(** H D = X^T [P (X D - means)] / N + lam D, row by row the covariance of P_i applied to X D *)
Definition hessian (N d K : nat) (X : mat) (lam : R) (W D : mat) : mat :=
  (moment N X (fun i k => (predictions d K X W i k
     * (logits d X D i k - mean K (predictions d K X W i) (logits d X D i)))%R) + lam * D)%M.

Lemma mean_add K p u v : mean K p (fun k => u k + v k) = mean K p u + mean K p v.
Proof. unfold mean. rewrite <- sum_plus. apply sum_ext. intros. ring. Qed.

Lemma mean_scale K p c u : mean K p (fun k => c * u k) = c * mean K p u.
Proof. unfold mean. rewrite <- sum_scal_l. apply sum_ext. intros. ring. Qed.

Lemma mean_const K p c : sum K p = 1 -> mean K p (fun _ => c) = c.
Proof. intros H. unfold mean. rewrite sum_scal_r, H. ring. Qed.

Lemma mean_ext K p u v : (forall k, (k < K)%nat -> u k = v k) -> mean K p u = mean K p v.
Proof. intros H. unfold mean. apply sum_ext. intros k Hk. now rewrite H. Qed.

(** Var_p(u) = sum of p_k (u_k - mean)^2 *)
Lemma variance_centered K p u : sum K p = 1 ->
  variance K p u = mean K p (fun k => (u k - mean K p u) ^ 2).
Proof.
  intros H. set (m := mean K p u).
  rewrite (mean_ext K p (fun k => (u k - m) ^ 2) (fun k => u k ^ 2 + ((-2 * m) * u k + m ^ 2)))
    by (intros; ring).
  rewrite mean_add, mean_add, mean_scale, mean_const by assumption. unfold variance. fold m. ring.
Qed.

Lemma variance_nonneg K p u : sum K p = 1 -> (forall k, (k < K)%nat -> 0 <= p k) ->
  0 <= variance K p u.
Proof.
  intros H P. rewrite variance_centered by assumption. unfold mean at 1. apply sum_nonneg.
  intros k Hk. apply Rmult_le_pos; [auto|apply pow2_ge_0].
Qed.

Section Hessian.

Variables (N d K : nat) (X : mat) (lam : R) (W : mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.

Local Notation "<< A , B >>" := (inner d K A B).
Local Notation P := (predictions d K X W).
Local Notation H := (hessian N d K X lam W).

(** <H D, V> = the mean over rows of the covariance of X D and X V, plus lam <D, V> *)
Lemma hessian_inner D V : << H D, V >> =
  (\sum_(i < N) (mean K (P i) (fun k => logits d X D i k * logits d X V i k)
     - mean K (P i) (logits d X D i) * mean K (P i) (logits d X V i))) / INR N + lam * << D, V >>.
Proof.
  unfold hessian. rewrite inner_add_l, inner_scale_l, inner_moment. f_equal. f_equal.
  apply sum_ext. intros i _. unfold mean.
  rewrite <- sum_scal_l, <- sum_minus. apply sum_ext. intros k _. ring.
Qed.

Theorem hessian_symmetric : symmetric d K H.
Proof.
  intros A B. rewrite (inner_sym d K A (H B)), !hessian_inner, (inner_sym d K A B). f_equal. f_equal.
  apply sum_ext. intros i _. rewrite (Rmult_comm (mean _ _ (logits d X A i))). f_equal.
  apply mean_ext. intros. ring.
Qed.

(** <H D, D> = the mean over rows of Var_(P_i)(D^T x_i), plus lam |D|^2 *)
Lemma hessian_square D : << H D, D >> =
  (\sum_(i < N) variance K (P i) (logits d X D i)) / INR N + lam * << D, D >>.
Proof.
  rewrite hessian_inner. f_equal. f_equal. apply sum_ext. intros i _. unfold variance.
  rewrite (mean_ext K (P i) (fun k => logits d X D i k ^ 2)
    (fun k => logits d X D i k * logits d X D i k)) by (intros; ring). ring.
Qed.

Theorem hessian_at_least : at_least d K H lam.
Proof.
  intros A. rewrite hessian_square.
  assert (0 <= (\sum_(i < N) variance K (P i) (logits d X A i)) / INR N); [|lra].
  apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, INR_N_pos, N_pos].
  apply sum_nonneg. intros i _. apply variance_nonneg; [now apply softmax_sum|].
  intros. left. now apply softmax_pos.
Qed.

Theorem hessian_linear : linear d K H.
Proof.
  split; [|split].
  - intros A B E j k Hj Hk. unfold hessian, add, scale. rewrite (E j k) by assumption. f_equal.
    apply (moment_ext N d K X); trivial. intros i l _ Hl.
    assert (L : forall m, (m < K)%nat -> logits d X A i m = logits d X B i m).
    { intros m Hm. unfold logits. apply sum_ext. intros n Hn. now rewrite E. }
    rewrite (L l Hl), (mean_ext K (P i) _ _ L). reflexivity.
  - intros A B j k _ _. unfold hessian, moment, add, scale.
    rewrite (sum_ext N _ (fun i =>
      X i j * (P i k * (logits d X A i k - mean K (P i) (logits d X A i)))
      + X i j * (P i k * (logits d X B i k - mean K (P i) (logits d X B i))))).
    + rewrite sum_plus. unfold Rdiv. ring.
    + intros i _. rewrite (mean_ext K (P i) _ (fun k => logits d X A i k + logits d X B i k))
        by (intros; exact (logits_add d X A B i k0)).
      rewrite mean_add. change (fun j k => A j k + B j k) with (A + B)%M. rewrite logits_add. ring.
  - intros c A j k _ _. unfold hessian, moment, add, scale.
    rewrite (sum_ext N _ (fun i =>
      c * (X i j * (P i k * (logits d X A i k - mean K (P i) (logits d X A i)))))).
    + rewrite sum_scal_l. unfold Rdiv. ring.
    + intros i _. rewrite (mean_ext K (P i) _ (fun k => c * logits d X A i k))
        by (intros; exact (logits_scale d X c A i k0)).
      rewrite mean_scale. change (fun j k => c * A j k) with (c * A)%M. rewrite logits_scale. ring.
Qed.

End Hessian.

(** [hessian] is the derivative of [gradient]: along any D, of <grad L(W + s D), V> for any V. *)
Theorem hessian_derivative N d K X T lam W D V s : (0 < N)%nat -> (0 < K)%nat ->
  derivable_pt_lim (fun s => inner d K (gradient N d K X T lam (W + s * D)) V) s
    (inner d K (hessian N d K X lam (W + s * D) D) V).
Proof.
  intros HN HK. unfold hessian. rewrite inner_add_l, inner_scale_l, inner_moment.
  set (c := - inner d K (moment N X T) V + lam * inner d K W V).
  apply derivable_ext with (fun s => (\sum_(i < N) \sum_(k < K)
      (logits d X V i k * softmax K (fun l => logits d X W i l + s * logits d X D i l) k)) * / INR N
    + (c + s * (lam * inner d K D V))).
  - intros r. rewrite (inner_ext d K _ _ _ _ (gradient_moments N d K X T lam (W + r * D))
      (meq_refl d K V)). expand. unfold M. rewrite inner_moment. unfold c.
    rewrite (sum_ext N (fun i => \sum_(k < K) (predictions d K X (W + r * D) i k * logits d X V i k))
      (fun i => \sum_(k < K) (logits d X V i k
         * softmax K (fun l => logits d X W i l + r * logits d X D i l) k))).
    + unfold Rdiv. ring.
    + intros i _. apply sum_ext. intros k Hk. unfold predictions. rewrite Rmult_comm. f_equal.
      apply softmax_ext; trivial. intros l _. now rewrite logits_add, logits_scale.
  - apply (derivable_pt_lim_plus _ (fun s => c + s * (lam * inner d K D V))); [|apply derivable_line].
    apply derivable_ext with (fun s => / INR N * \sum_(i < N) \sum_(k < K)
      (logits d X V i k * softmax K (fun l => logits d X W i l + s * logits d X D i l) k));
      [intros; ring|].
    unfold Rdiv. rewrite Rmult_comm. apply derivable_pt_lim_scal.
    apply (derivable_sum N (fun i s => \sum_(k < K)
      (logits d X V i k * softmax K (fun l => logits d X W i l + s * logits d X D i l) k))).
    intros i _.
    apply (derivable_sum K (fun k s =>
      logits d X V i k * softmax K (fun l => logits d X W i l + s * logits d X D i l) k)).
    intros k Hk.
    assert (Q := softmax_derivative K (logits d X W i) (logits d X D i) k s HK). cbv zeta in Q.
    apply (derivable_pt_lim_scal _ (logits d X V i k)) in Q.
    assert (E : forall l, (l < K)%nat -> predictions d K X (W + s * D) i l
      = softmax K (fun l => logits d X W i l + s * logits d X D i l) l).
    { intros l Hl. apply softmax_ext; trivial. intros m _. now rewrite logits_add, logits_scale. }
    rewrite (E k Hk). unfold mean.
    rewrite (sum_ext K (fun k => predictions d K X (W + s * D) i k * logits d X D i k)
      (fun k => softmax K (fun l => logits d X W i l + s * logits d X D i l) k * logits d X D i k))
      by (intros l Hl; now rewrite E).
    rewrite (Rmult_comm (_ * _) (logits d X V i k)). exact Q.
Qed.

(** The Newton decrement of the softmax loss at W: with g = grad L(W) and H its Hessian. *)
Corollary newton_decrement_of_loss N d K X T lam W D y z : (0 < N)%nat -> (0 < K)%nat -> 0 < lam ->
  let H := hessian N d K X lam W in
  let g := gradient N d K X T lam W in
  let r := (g - H D)%M in
  meq d K (H y) g -> meq d K (H z) r ->
  inner d K g y = inner d K g D + inner d K r D + inner d K r z
  /\ inner d K g y <= inner d K g D + inner d K r D + norm d K r ^ 2 / lam.
Proof.
  intros HN HK Hl H g r. apply (newton_decrement d K H lam); trivial.
  - apply hessian_linear.
  - apply hessian_symmetric.
  - now apply hessian_at_least.
Qed.

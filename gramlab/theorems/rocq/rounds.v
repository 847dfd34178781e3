(** Rounds of exact softmax heads on the same features X: round 1 on the given targets Y, each later
    round on the predictions of the round before, or on those mixed with Y. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds.
Open Scope R_scope.

(** The targets of round t: T^(1) = Y, T^(t+1) = softmax(X W_t). *)
Definition plain (d K : nat) (X Y : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => predictions d K X (W (S s))
  | _ => Y
  end.

(** T^(1) = Y, T^(t+1) = xi softmax(X W_t) + (1 - xi) Y *)
Definition mixed (d K : nat) (xi : R) (X Y : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => xi * predictions d K X (W (S s)) + (1 - xi) * Y
  | _ => Y
  end.

(** Rounds 1, ..., n are solved exactly, round t at the weight decay lam t. *)
Definition exact_rounds (N d K : nat) (X Y : mat) (lam : nat -> R) (W : nat -> mat) (n : nat) :=
  forall t, (1 <= t <= n)%nat -> head N d K X (plain d K X Y W t) (lam t) (W t).

Definition exact_mixed_rounds (N d K : nat) (xi : R) (X Y : mat) (lam : nat -> R)
  (W : nat -> mat) (n : nat) :=
  forall t, (1 <= t <= n)%nat -> head N d K X (mixed d K xi X Y W t) (lam t) (W t).

(** All weight decays of rounds 1, ..., n are positive. *)
Definition positive (lam : nat -> R) (n : nat) := forall t, (1 <= t <= n)%nat -> 0 < lam t.

Lemma exact_rounds_run N d K X Y lam W n : exact_rounds N d K X Y lam W n ->
  run d K (M N d K X) lam (moment N X Y) W n.
Proof.
  intros H t Ht. apply (meq_trans d K _ _ _ (H t Ht)).
  destruct t as [|[|t]]; apply meq_refl.
Qed.

Lemma exact_mixed_rounds_run N d K xi X Y lam W n : exact_mixed_rounds N d K xi X Y lam W n ->
  run_mixed d K (M N d K X) lam xi (moment N X Y) W n.
Proof.
  intros H t Ht. apply (meq_trans d K _ _ _ (H t Ht)).
  destruct t as [|[|t]]; try apply meq_refl. unfold mixed, given_mixed.
  apply (meq_trans d K _ _ _ (moment_add N d K X _ _)).
  intros j k Hj Hk. unfold add. rewrite !(moment_scale N d K X) by assumption. reflexivity.
Qed.

(** Plain rounds are those mixed with xi = 1. *)
Lemma exact_rounds_mixed N d K X Y lam W n : exact_rounds N d K X Y lam W n ->
  exact_mixed_rounds N d K 1 X Y lam W n.
Proof.
  intros H t Ht. apply (meq_trans d K _ _ _ (H t Ht)).
  destruct t as [|[|t]]; try apply meq_refl.
  apply moment_ext. intros i k _ _. unfold plain, mixed, add, scale. ring.
Qed.

Lemma exact_rounds_le N d K X Y lam W n m : (m <= n)%nat ->
  exact_rounds N d K X Y lam W n -> exact_rounds N d K X Y lam W m.
Proof. intros Hm H t Ht. apply H. lia. Qed.

Lemma plain_sum_to_one N d K X Y W t : (0 < K)%nat -> sum_to_one N K Y ->
  sum_to_one N K (plain d K X Y W t).
Proof. intros HK HY. destruct t as [|[|t]]; try assumption. now apply predictions_sum. Qed.

(** Exact rounds are those that minimize their losses one by one. *)
Theorem exact_rounds_minimize N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> positive lam n ->
  (exact_rounds N d K X Y lam W n <->
   forall t, (1 <= t <= n)%nat -> forall V,
     loss N d K X (plain d K X Y W t) (lam t) (W t) <= loss N d K X (plain d K X Y W t) (lam t) V).
Proof.
  intros HN HK HY Hl. split; intros H t Ht; specialize (H t Ht); specialize (Hl t Ht);
    apply (head_minimizes N d K X HN HK _ (lam t) (W t) (Rlt_le _ _ Hl)); trivial;
    now apply plain_sum_to_one.
Qed.

(** ** Entropy and the gradient at 0 *)

(** grad L(0), which does not depend on the weight decay. *)
Definition start_gradient (N d K : nat) (X Y : mat) : mat := gradient N d K X Y 0 zero.

Lemma start_gradient_any N d K X Y lam :
  meq d K (gradient N d K X Y lam zero) (start_gradient N d K X Y).
Proof. intros j k _ _. unfold start_gradient, gradient, add, scale, zero. ring. Qed.

(** The mean entropy of the predictions of W. *)
Definition H_bar (N d K : nat) (X W : mat) : R := mean_entropy N K (predictions d K X W).

Definition uniform (K : nat) : mat := fun _ _ => 1 / INR K.

Section Entropy.

Variables (N d K : nat) (X : mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.

(** The conjugate of F at M(W) is minus the mean entropy of the predictions, *)
Lemma conjugate_entropy W : G d K (M N d K X) (F N d K X) W = - H_bar N d K X W.
Proof. unfold G, H_bar. rewrite mean_entropy_predictions by assumption. ring. Qed.

(** and -ln K at 0. *)
Lemma conjugate_zero : G d K (M N d K X) (F N d K X) zero = - ln (INR K).
Proof. unfold G. rewrite inner_zero_r, F_zero by assumption. ring. Qed.

Lemma M_zero : meq d K (M N d K X zero) (moment N X (uniform K)).
Proof.
  apply moment_ext. intros i k _ Hk. now apply predictions_zero.
Qed.

(** M(0) - X^T Y / N is the gradient at 0. *)
Lemma start_gradient_moments Y :
  inner d K (moment N X Y - M N d K X zero) (moment N X Y - M N d K X zero)
    = norm d K (start_gradient N d K X Y) ^ 2.
Proof.
  rewrite norm_square.
  assert (E : meq d K (start_gradient N d K X Y) ((-1) * (moment N X Y - M N d K X zero))).
  { intros j k Hj Hk. unfold start_gradient. rewrite gradient_moments by assumption.
    unfold add, sub, scale, zero. ring. }
  rewrite (inner_ext d K _ _ _ _ E E), inner_scale_l, inner_scale_r. ring.
Qed.

End Entropy.

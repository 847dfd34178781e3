(** The softmax of K logits, log-sum-exp and entropy; log-sum-exp lies above its tangents. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums.
Open Scope R_scope.

(** softmax(v)_k = exp v_k / (exp v_0 + ... + exp v_(K-1)) *)
Definition softmax (K : nat) (v : nat -> R) : nat -> R :=
  fun k => exp (v k) / \sum_(l < K) exp (v l).

Definition lse (K : nat) (v : nat -> R) : R := ln (\sum_(k < K) exp (v k)).

(** H(p) = - sum of p_k ln p_k *)
Definition entropy (K : nat) (p : nat -> R) : R := - \sum_(k < K) (p k * ln (p k)).

Lemma ln_div x y : 0 < x -> 0 < y -> ln (x / y) = ln x - ln y.
Proof.
  intros Hx Hy. unfold Rdiv. rewrite ln_mult, ln_Rinv; [ring | | |apply Rinv_0_lt_compat]; assumption.
Qed.

Section Softmax.

Variable K : nat.
Hypothesis K_pos : (0 < K)%nat.

Lemma exps_pos v : 0 < \sum_(k < K) exp (v k).
Proof. apply sum_pos; [assumption|]. intros. apply exp_pos. Qed.

Lemma softmax_pos v k : 0 < softmax K v k.
Proof. unfold softmax. apply Rdiv_lt_0_compat; [apply exp_pos | apply exps_pos]. Qed.

Lemma softmax_sum v : \sum_(k < K) softmax K v k = 1.
Proof.
  unfold softmax. rewrite (sum_div K (\sum_(l < K) exp (v l)) (fun k => exp (v k))).
  field. apply Rgt_not_eq, exps_pos.
Qed.

Lemma ln_softmax v k : ln (softmax K v k) = v k - lse K v.
Proof.
  unfold softmax, lse. rewrite ln_div, ln_exp; [reflexivity | apply exp_pos | apply exps_pos].
Qed.

Lemma softmax_ext v v' k : (forall l, (l < K)%nat -> v l = v' l) -> (k < K)%nat ->
  softmax K v k = softmax K v' k.
Proof.
  intros H Hk. unfold softmax. rewrite H by assumption. f_equal. apply sum_ext. intros l Hl.
  now rewrite H.
Qed.

Lemma lse_ext v v' : (forall l, (l < K)%nat -> v l = v' l) -> lse K v = lse K v'.
Proof. intros H. unfold lse. f_equal. apply sum_ext. intros l Hl. now rewrite H. Qed.

Lemma softmax_of_zero k : softmax K (fun _ => 0) k = 1 / INR K.
Proof. unfold softmax. rewrite exp_0, (sum_const K 1). f_equal. ring. Qed.

Lemma lse_of_zero : lse K (fun _ => 0) = ln (INR K).
Proof. unfold lse. f_equal. rewrite exp_0, (sum_const K 1). ring. Qed.

Lemma sum_scal_prob c v : \sum_(k < K) (softmax K v k * c) = c.
Proof. rewrite (sum_scal_r K c (softmax K v)), softmax_sum. ring. Qed.

(** ** Gibbs' inequality *)

Lemma ln_le_minus x : 0 < x -> ln x <= x - 1.
Proof.
  intros H. assert (E := exp_ineq1_le (ln x)). rewrite exp_ln in E by assumption. lra.
Qed.

(** sum of p ln q <= sum of p ln p for positive p, q of the same sum *)
Lemma gibbs p q :
  (forall k, (k < K)%nat -> 0 < p k) -> (forall k, (k < K)%nat -> 0 < q k) ->
  sum K p = sum K q ->
  \sum_(k < K) (p k * ln (q k)) <= \sum_(k < K) (p k * ln (p k)).
Proof.
  intros Hp Hq E.
  apply Rle_trans with (\sum_(k < K) (p k * ln (p k) + (q k - p k))).
  - apply sum_le. intros k Hk. assert (P := Hp k Hk). assert (Q := Hq k Hk).
    assert (L := ln_le_minus (q k / p k) (Rdiv_lt_0_compat _ _ Q P)).
    rewrite ln_div in L by assumption.
    apply (Rmult_le_compat_l (p k)) in L; [|lra].
    replace (p k * (q k / p k - 1)) with (q k - p k) in L by (field; lra). lra.
  - rewrite sum_plus, sum_minus. lra.
Qed.

(** ** Log-sum-exp *)

(** H(softmax v) = lse v - <softmax v, v> *)
Lemma entropy_softmax v : entropy K (softmax K v) = lse K v - \sum_(k < K) (softmax K v k * v k).
Proof.
  unfold entropy.
  rewrite (sum_ext K _ (fun k => softmax K v k * v k - softmax K v k * lse K v))
    by (intros k _; rewrite ln_softmax; ring).
  rewrite sum_minus, sum_scal_prob. ring.
Qed.

(** lse v' >= lse v + <softmax v, v' - v>: log-sum-exp is convex, softmax is its gradient *)
Lemma lse_tangent v v' : lse K v + \sum_(k < K) (softmax K v k * (v' k - v k)) <= lse K v'.
Proof.
  assert (G := gibbs (softmax K v) (softmax K v') (fun k _ => softmax_pos v k)
                 (fun k _ => softmax_pos v' k) (eq_trans (softmax_sum v) (eq_sym (softmax_sum v')))).
  rewrite (sum_ext K (fun k => softmax K v k * ln (softmax K v' k))
             (fun k => softmax K v k * v' k - softmax K v k * lse K v')) in G
    by (intros k _; rewrite ln_softmax; ring).
  rewrite (sum_ext K (fun k => softmax K v k * ln (softmax K v k))
             (fun k => softmax K v k * v k - softmax K v k * lse K v)) in G
    by (intros k _; rewrite ln_softmax; ring).
  rewrite !sum_minus, !sum_scal_prob in G.
  rewrite (sum_ext K (fun k => softmax K v k * (v' k - v k))
             (fun k => softmax K v k * v' k - softmax K v k * v k)) by (intros; ring).
  rewrite sum_minus. lra.
Qed.

(** <softmax v - softmax v', v - v'> >= 0 *)
Lemma softmax_monotone v v' :
  0 <= \sum_(k < K) ((softmax K v k - softmax K v' k) * (v k - v' k)).
Proof.
  assert (A := lse_tangent v v'). assert (B := lse_tangent v' v).
  rewrite (sum_ext K _ (fun k => - (softmax K v k * (v' k - v k)) - softmax K v' k * (v k - v' k)))
    by (intros; ring).
  rewrite sum_minus, sum_opp. lra.
Qed.

(** The entropy of a softmax is at most ln K. *)
Lemma entropy_softmax_le v : entropy K (softmax K v) <= ln (INR K).
Proof.
  assert (T := lse_tangent v (fun _ => 0)). rewrite lse_of_zero in T. rewrite entropy_softmax.
  rewrite (sum_ext K (fun k => softmax K v k * (0 - v k)) (fun k => - (softmax K v k * v k))) in T
    by (intros; ring).
  rewrite sum_opp in T. lra.
Qed.

End Softmax.

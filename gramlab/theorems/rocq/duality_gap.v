(** The duality gap of the softmax objective is |g|^2 / (2 lam), for every W. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads.
Open Scope R_scope.

(** dual(Q) = mean entropy of the rows of Q - (lam/2) |X^T (T - Q) / (N lam)|^2 *)
Definition dual (N d K : nat) (X T : mat) (lam : R) (Q : mat) : R :=
  mean_entropy N K Q - lam / 2 * norm d K (/ lam * moment N X (T - Q)) ^ 2.

(** L(W) - dual(softmax(X W)) = |grad L(W)|^2 / (2 lam) for every W.

    That T >= 0 is not used. *)
(** Registry, duality-gap: L(W) − dual(softmax(XW)) = ‖∇ L(W)‖_F²/(2λ)  for every W *)
Theorem duality_gap N d K X T lam W :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K T -> 0 < lam ->
  loss N d K X T lam W - dual N d K X T lam (predictions d K X W)
    = norm d K (gradient N d K X T lam W) ^ 2 / (2 * lam).
Proof.
  intros HN HK HT Hl. unfold dual. rewrite !norm_square, mean_entropy_predictions by assumption.
  rewrite loss_moments by assumption.
  assert (G := gradient_moments N d K X T lam W).
  assert (D := moment_sub N d K X T (predictions d K X W)).
  rewrite (inner_ext d K _ _ _ _ G G). rewrite inner_scale_l, inner_scale_r.
  rewrite (inner_ext d K _ _ _ _ D D). fold (M N d K X W). expand.
  set (m := moment N X T). set (n := M N d K X W).
  rewrite (inner_sym d K n m), (inner_sym d K W m), (inner_sym d K W n). field. lra.
Qed.

(** Weak duality: dual(Q) <= L(W) for every W and every Q with positive rows of sum 1. *)
Theorem weak_duality N d K X T lam W Q :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K T -> 0 < lam ->
  sum_to_one N K Q -> (forall i k, (i < N)%nat -> (k < K)%nat -> 0 < Q i k) ->
  dual N d K X T lam Q <= loss N d K X T lam W.
Proof.
  intros HN HK HT Hl HQ Hp. rewrite loss_moments by assumption. unfold dual. rewrite norm_square.
  assert (E : mean_entropy N K Q + inner d K (moment N X Q) W <= F N d K X W).
  { unfold mean_entropy, F. rewrite inner_moment. unfold Rdiv.
    rewrite <- Rmult_plus_distr_r, <- sum_plus.
    apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, INR_N_pos, HN|].
    apply sum_le. intros i Hi. unfold entropy.
    set (v := logits d X W i).
    assert (G := gibbs K (Q i) (softmax K v) (fun k Hk => Hp i k Hi Hk)
      (fun k _ => softmax_pos K HK v k)
      (eq_trans (HQ i Hi) (eq_sym (softmax_sum K HK v)))).
    rewrite (sum_ext K _ (fun k => Q i k * v k - Q i k * lse K v)) in G
      by (intros; rewrite ln_softmax by assumption; ring).
    rewrite sum_minus, (sum_scal_r K _ (Q i)), HQ in G by assumption. lra. }
  assert (D := moment_sub N d K X T Q).
  rewrite inner_scale_l, inner_scale_r, (inner_ext d K _ _ _ _ D D).
  set (m := moment N X T) in *. set (q := moment N X Q) in *.
  assert (S := inner_nonneg d K (lam * W - (m - q))%M).
  expand_in S. expand. rewrite (inner_sym d K q m), (inner_sym d K m W), (inner_sym d K q W) in *.
  apply Rmult_le_compat_l with (r := / (2 * lam)) in S; [|left; apply Rinv_0_lt_compat; lra].
  rewrite Rmult_0_r in S.
  match goal with |- ?l <= ?r => replace l with (r - (r - l)) by ring end.
  match type of S with 0 <= ?e => set (gap := e) in S end.
  match goal with |- ?r - ?z <= _ => assert (z = gap + (F N d K X W - mean_entropy N K Q - inner d K W q)) end.
  { unfold gap. field. lra. }
  lra.
Qed.

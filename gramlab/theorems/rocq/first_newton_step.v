(** first-newton-step: the closed form at t = 1 is the first Newton step of the exact softmax loss
    from W = 0. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import filters matrices softmax heads hessian.
From Gramlab Require newton_decrement.
Open Scope R_scope.

(** For targets T whose rows sum to 1, weight decay lambda > 0, mu = K N lambda and X = Z V' (V' V = 1,
    Z' Z = diag s): the Newton step W_0 - H^(-1) g from W_0 = 0, with g and H the gradient and the
    Hessian of the loss at 0, is defined and

      W_0 - H^(-1) g = K V diag(1/(s + mu)) Z' (T - 1/K).

    That [gradient] and [hessian] are the derivatives of [loss] is [loss_derivative] and
    [hessian_derivative]. *)
(** Registry, first-newton-step: W₀ − ∇² L(W₀)⁻¹ ∇ L(W₀) = K V diag(1/(s+μ)) Zᵀ (T − 1/K) *)
Theorem first_newton_step (N d K p : nat) (X T Z V : nat -> nat -> R) (s : nat -> R) (lambda : R) :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lambda -> sum_to_one N K T -> svd N d p X Z V s ->
  let mu := INR K * INR N * lambda in
  let g := gradient N d K X T lambda zero in
  let H := hessian N d K X lambda zero in
  (exists D, meq d K (H D) g) /\
  forall D, meq d K (H D) g ->
    meq d K (zero - D) (fun j k => INR K * sum p (fun r =>
      V j r * (1 / (s r + mu) * dot N (fun i => Z i r) (fun i => T i k - 1 / INR K)))).
Proof.
  intros HN HK Hl HT HS mu g H.
  assert (HNr : 0 < INR N) by (apply lt_0_INR, HN).
  assert (HKr : 0 < INR K) by (apply lt_0_INR, HK).
  assert (Hmu : 0 < mu) by (repeat apply Rmult_lt_0_compat; assumption).
  set (G := gram d X).
  assert (Sy : symmetric N G) by apply gram_symmetric.
  assert (Psd : psd N G) by apply gram_psd.
  set (x := fun k i => T i k - 1 / INR K).
  set (r := fun k => resolvent N G mu (x k)).
  (* the step, by the representer *)
  set (W := (fun j k => INR K * tmv N X (r k) j) : mat).
  assert (Form : meq d K W (fun j k => INR K * sum p (fun r =>
      V j r * (1 / (s r + mu) * dot N (fun i => Z i r) (fun i => T i k - 1 / INR K))))).
  { intros j k Hj _. unfold W. f_equal. rewrite (svd_tmv N d p X Z V s HS) by exact Hj.
    apply sum_ext. intros q Hq. unfold r, G.
    rewrite (svd_dot_resolvent N d p X Z V s mu HS Hmu) by exact Hq.
    change (x k) with (fun i => T i k - 1 / INR K). unfold Rdiv. ring. }
  assert (Rows : forall i, (i < N)%nat -> sum K (fun k => r k i) = 0).
  { intros i Hi.
    apply (shifted_injective N G mu Psd Hmu (fun i => sum K (fun k => r k i)) (fun _ => 0));
      [|exact Hi].
    intros q Hq. rewrite (mv_sum N G K r), <- sum_scal_l, <- sum_plus.
    rewrite (sum_ext K _ (fun k => x k q)) by (intros; apply resolvent_spec; assumption).
    transitivity (1 - INR K * (1 / INR K)).
    - unfold x. rewrite sum_minus, (sum_const K). f_equal. exact (HT q Hq).
    - unfold mv. rewrite sum_zero by (intros; ring). field. lra. }
  assert (Logits : forall i k, logits d X W i k = INR K * mv N G (r k) i).
  { intros i k. unfold G. rewrite mv_gram. unfold logits, W, mv. rewrite <- sum_scal_l.
    apply sum_ext. intros. ring. }
  assert (Mean : forall i, (i < N)%nat -> mean K (predictions d K X zero i) (logits d X W i) = 0).
  { intros i Hi. unfold mean.
    rewrite (sum_ext K _ (fun k => mv N G (r k) i)).
    - rewrite <- (mv_sum N G K r). unfold mv. apply sum_zero. intros q Hq. rewrite Rows by exact Hq. ring.
    - intros k Hk. rewrite (predictions_zero d K X i k Hk), Logits. field. lra. }
  assert (HW : meq d K (H W) (zero - g)).
  { intros j k Hj Hk. unfold H, hessian, g, gradient, add, sub, scale, moment.
    rewrite (sum_ext N _ (fun i => X i j * mv N G (r k) i)).
    - rewrite (sum_ext N (fun i => X i j * (predictions d K X zero i k - T i k))
                 (fun i => - 1 * (X i j * x k i))).
      + rewrite sum_scal_l.
        rewrite (sum_ext N (fun i => X i j * x k i)
                   (fun i => X i j * mv N G (r k) i + mu * (X i j * r k i))).
        * rewrite sum_plus, sum_scal_l. unfold W, tmv, mu. change (zero j k) with 0. field. lra.
        * intros i Hi. assert (E := resolvent_spec N G mu Sy Psd Hmu (x k) i Hi).
          fold (r k) in E. rewrite <- E. ring.
      + intros i Hi. rewrite (predictions_zero d K X i k Hk). unfold x. ring.
    - intros i Hi. rewrite (Mean i Hi), (predictions_zero d K X i k Hk), Logits. field. lra. }
  assert (Lin := hessian_linear N d K X lambda zero). fold H in Lin.
  assert (AtLeast := hessian_at_least N d K X lambda zero HN HK). fold H in AtLeast.
  destruct Lin as (E1 & E2 & E3).
  assert (Neg : meq d K (H ((-1) * W)%M) g).
  { intros j k Hj Hk. rewrite (E3 (-1) W j k Hj Hk). unfold scale. rewrite (HW j k Hj Hk).
    unfold sub, zero. ring. }
  split; [exists ((-1) * W)%M; exact Neg|].
  intros D HD.
  assert (U : meq d K D ((-1) * W)).
  { apply (newton_decrement.map_injective d K H lambda);
      [split; [exact E1|split; [exact E2|exact E3]]|exact AtLeast|exact Hl|].
    apply (meq_trans d K _ _ _ HD). apply meq_sym, Neg. }
  intros j k Hj Hk. rewrite <- (Form j k Hj Hk). unfold sub, zero. rewrite (U j k Hj Hk).
  unfold scale. ring.
Qed.

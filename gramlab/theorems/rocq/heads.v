(** Softmax heads on features X (N rows, d columns), K classes, weight decay lam: the loss, its
    gradient, and the exact head, where the gradient is 0 and the loss is least. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax.
Open Scope R_scope.

(** The logits X W. *)
Definition logits (d : nat) (X W : mat) : mat := fun i k => \sum_(j < d) (X i j * W j k).

(** P(W) = softmax(X W), row by row. *)
Definition predictions (d K : nat) (X W : mat) : mat := fun i => softmax K (logits d X W i).

(** X^T T / N *)
Definition moment (N : nat) (X T : mat) : mat := fun j k => (\sum_(i < N) (X i j * T i k)) / INR N.

(** M(W) = X^T P(W) / N *)
Definition M (N d K : nat) (X W : mat) : mat := moment N X (predictions d K X W).

(** F(W) = the mean of lse(W^T x_i) *)
Definition F (N d K : nat) (X W : mat) : R := (\sum_(i < N) lse K (logits d X W i)) / INR N.

(** The mean entropy of rows. *)
Definition mean_entropy (N K : nat) (P : mat) : R := (\sum_(i < N) entropy K (P i)) / INR N.

Definition cross_entropy (K : nat) (t p : nat -> R) : R := - \sum_(k < K) (t k * ln (p k)).

(** L(W) = the mean of CE(T_i, P_i) + (lam/2) |W|^2 *)
Definition loss (N d K : nat) (X T : mat) (lam : R) (W : mat) : R :=
  (\sum_(i < N) cross_entropy K (T i) (predictions d K X W i)) / INR N + lam / 2 * inner d K W W.

(** grad L(W) = X^T (P - T) / N + lam W *)
Definition gradient (N d K : nat) (X T : mat) (lam : R) (W : mat) : mat :=
  (moment N X (predictions d K X W - T) + lam * W)%M.

Definition sum_to_one (N K : nat) (T : mat) : Prop :=
  forall i, (i < N)%nat -> \sum_(k < K) T i k = 1.

(** An exact head: lam W + M(W) = X^T T / N, its stationarity. *)
Definition head (N d K : nat) (X T : mat) (lam : R) (W : mat) : Prop :=
  meq d K (lam * W + M N d K X W) (moment N X T).

(** ** Derivatives of finite sums *)

Lemma derivable_sum n (f : nat -> R -> R) (f' : nat -> R) x :
  (forall i, (i < n)%nat -> derivable_pt_lim (f i) x (f' i)) ->
  derivable_pt_lim (fun s => \sum_(i < n) f i s) x (sum n f').
Proof.
  induction n as [|n IH]; intros H; simpl.
  - apply derivable_pt_lim_const.
  - apply (derivable_pt_lim_plus (fun s => \sum_(i < n) f i s) (f n)); [apply IH; intros|];
      apply H; lia.
Qed.

Lemma derivable_ext (f g : R -> R) x l :
  (forall s, f s = g s) -> derivable_pt_lim f x l -> derivable_pt_lim g x l.
Proof. intros E H eps He. destruct (H eps He) as [delta D]. exists delta. intros. rewrite <- !E. auto. Qed.

Lemma derivable_line a b x : derivable_pt_lim (fun s => a + s * b) x b.
Proof.
  assert (H : derivable_pt_lim (fun s => a + s * b) x (0 + (1 * b + x * 0))).
  { apply (derivable_pt_lim_plus (fun _ => a) (fun s => s * b)); [apply derivable_pt_lim_const|].
    apply (derivable_pt_lim_mult id (fun _ => b));
      [apply derivable_pt_lim_id | apply derivable_pt_lim_const]. }
  replace (0 + (1 * b + x * 0)) with b in H by ring. exact H.
Qed.

Section Heads.

Variables (N d K : nat) (X : mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.

Local Notation "<< A , B >>" := (inner d K A B).
Local Notation P := (predictions d K X).
Local Notation M := (M N d K X).
Local Notation F := (F N d K X).

Lemma INR_N_pos : 0 < INR N.
Proof. now apply lt_0_INR. Qed.

(** ** Moments *)

Lemma moment_ext T T' :
  (forall i k, (i < N)%nat -> (k < K)%nat -> T i k = T' i k) ->
  meq d K (moment N X T) (moment N X T').
Proof.
  intros H j k Hj Hk. unfold moment. f_equal. apply sum_ext. intros i Hi. now rewrite H.
Qed.

Lemma moment_add T T' : meq d K (moment N X (T + T')) (moment N X T + moment N X T').
Proof.
  intros j k _ _. unfold moment, add. unfold Rdiv. rewrite <- Rmult_plus_distr_r, <- sum_plus.
  f_equal. apply sum_ext. intros. ring.
Qed.

Lemma moment_sub T T' : meq d K (moment N X (T - T')) (moment N X T - moment N X T').
Proof.
  intros j k _ _. unfold moment, sub. unfold Rdiv. rewrite <- Rmult_minus_distr_r, <- sum_minus.
  f_equal. apply sum_ext. intros. ring.
Qed.

Lemma moment_scale c T : meq d K (moment N X (c * T)) (c * moment N X T).
Proof.
  intros j k _ _. unfold moment, scale. unfold Rdiv. rewrite <- Rmult_assoc, <- sum_scal_l.
  f_equal. apply sum_ext. intros. ring.
Qed.

(** <X^T T / N, W> = <T, X W> / N *)
Lemma inner_moment T W :
  << moment N X T, W >> = (\sum_(i < N) \sum_(k < K) (T i k * logits d X W i k)) / INR N.
Proof.
  unfold inner, moment, logits.
  transitivity (\sum_(j < d) \sum_(k < K) \sum_(i < N) (X i j * T i k * W j k / INR N)).
  - apply sum_ext. intros j _. apply sum_ext. intros k _. unfold Rdiv.
    rewrite !sum_scal_r. ring.
  - rewrite sum_swap.
    rewrite (sum_ext K _ (fun k => \sum_(i < N) \sum_(j < d) (X i j * T i k * W j k / INR N)))
      by (intros; apply sum_swap).
    rewrite sum_swap. rewrite <- sum_div. apply sum_ext. intros i _.
    rewrite <- sum_div. apply sum_ext. intros k _. rewrite sum_div. f_equal.
    rewrite <- sum_scal_l. apply sum_ext. intros. ring.
Qed.

Lemma logits_add W D i k : logits d X (W + D) i k = logits d X W i k + logits d X D i k.
Proof. unfold logits, add. rewrite <- sum_plus. apply sum_ext. intros. ring. Qed.

Lemma logits_sub W D i k : logits d X (W - D) i k = logits d X W i k - logits d X D i k.
Proof. unfold logits, sub. rewrite <- sum_minus. apply sum_ext. intros. ring. Qed.

Lemma logits_scale c W i k : logits d X (c * W) i k = c * logits d X W i k.
Proof. unfold logits, scale. rewrite <- sum_scal_l. apply sum_ext. intros. ring. Qed.

Lemma logits_zero i k : logits d X zero i k = 0.
Proof. unfold logits, zero. apply sum_zero. intros. ring. Qed.

Lemma F_ext W W' : meq d K W W' -> F W = F W'.
Proof.
  intros H. unfold heads.F. f_equal. apply sum_ext. intros i _. apply lse_ext. intros k Hk.
  unfold logits. apply sum_ext. intros j Hj. now rewrite H.
Qed.

Lemma predictions_ext W W' i k : meq d K W W' -> (k < K)%nat -> P W i k = P W' i k.
Proof.
  intros H Hk. apply softmax_ext; [|assumption]. intros l Hl. unfold logits. apply sum_ext.
  intros j Hj. now rewrite H.
Qed.

Lemma M_ext W W' : meq d K W W' -> meq d K (M W) (M W').
Proof. intros H. apply moment_ext. intros i k _ Hk. now apply predictions_ext. Qed.

Lemma predictions_sum W : sum_to_one N K (P W).
Proof. intros i _. now apply softmax_sum. Qed.

Lemma predictions_zero i k : (k < K)%nat -> P zero i k = 1 / INR K.
Proof.
  intros Hk. unfold predictions. rewrite (softmax_ext K _ (fun _ => 0)); [|intros; apply logits_zero|assumption].
  now apply softmax_of_zero.
Qed.

(** ** F is convex, M is its gradient *)

(** F(W') >= F(W) + <M(W), W' - W> *)
Lemma F_tangent W W' : F W + << M W, (W' - W)%M >> <= F W'.
Proof.
  unfold heads.F, heads.M. rewrite inner_moment. unfold Rdiv.
  rewrite <- Rmult_plus_distr_r, <- sum_plus.
  apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, INR_N_pos|].
  apply sum_le. intros i _.
  rewrite (sum_ext K _ (fun k => P W i k * (logits d X W' i k - logits d X W i k)))
    by (intros; rewrite logits_sub; reflexivity).
  now apply lse_tangent.
Qed.

(** <M(W) - M(W'), W - W'> >= 0 *)
Theorem M_monotone W W' : 0 <= << (M W - M W')%M, (W - W')%M >>.
Proof.
  assert (A := F_tangent W W'). assert (B := F_tangent W' W).
  expand_in A. expand_in B. expand. lra.
Qed.

Lemma F_zero : F zero = ln (INR K).
Proof.
  unfold heads.F. rewrite (sum_ext N _ (fun _ => ln (INR K))).
  - rewrite sum_const. field. apply Rgt_not_eq, INR_N_pos.
  - intros i _. rewrite (lse_ext K _ (fun _ => 0)); [now apply lse_of_zero|].
    intros. apply logits_zero.
Qed.

(** The mean entropy of the predictions is F(W) - <M(W), W>. *)
Lemma mean_entropy_predictions W : mean_entropy N K (P W) = F W - << M W, W >>.
Proof.
  unfold mean_entropy, heads.F, heads.M. rewrite inner_moment. unfold Rdiv.
  rewrite <- Rmult_minus_distr_r, <- sum_minus. f_equal. apply sum_ext. intros i _.
  now apply entropy_softmax.
Qed.

Lemma mean_entropy_le W : mean_entropy N K (P W) <= ln (INR K).
Proof.
  unfold mean_entropy. apply Rle_trans with ((\sum_(i < N) ln (INR K)) / INR N).
  - unfold Rdiv. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, INR_N_pos|].
    apply sum_le. intros i _. now apply entropy_softmax_le.
  - rewrite sum_const. right. field. apply Rgt_not_eq, INR_N_pos.
Qed.

(** ** The loss *)

(** grad L(W) = lam W + M(W) - X^T T / N *)
Lemma gradient_moments T lam W :
  meq d K (gradient N d K X T lam W) (lam * W + M W - moment N X T).
Proof.
  intros j k Hj Hk. unfold gradient. unfold add at 1. rewrite moment_sub by assumption.
  unfold heads.M, add, sub. ring.
Qed.

Lemma head_gradient T lam W :
  head N d K X T lam W <-> meq d K (gradient N d K X T lam W) zero.
Proof.
  split; intros H j k Hj Hk.
  - rewrite gradient_moments by assumption. unfold sub, zero. rewrite (H j k) by assumption. ring.
  - specialize (H j k Hj Hk). rewrite gradient_moments in H by assumption.
    unfold sub, zero in H. lra.
Qed.

(** For targets whose rows sum to 1, L(W) = F(W) - <X^T T / N, W> + (lam/2) |W|^2. *)
Lemma loss_moments T lam W : sum_to_one N K T ->
  loss N d K X T lam W = F W - << moment N X T, W >> + lam / 2 * << W, W >>.
Proof.
  intros HT. unfold loss, heads.F. rewrite inner_moment. f_equal. unfold Rdiv.
  rewrite <- Rmult_minus_distr_r, <- sum_minus. f_equal. apply sum_ext. intros i Hi.
  unfold cross_entropy, predictions.
  rewrite (sum_ext K _ (fun k => T i k * logits d X W i k - T i k * lse K (logits d X W i)))
    by (intros; rewrite ln_softmax by assumption; ring).
  rewrite sum_minus, (sum_scal_r K _ (T i)), HT by assumption. ring.
Qed.

(** Strong convexity: L(W') >= L(W) + <grad L(W), W' - W> + (lam/2) |W' - W|^2. *)
Lemma loss_tangent T lam W W' : sum_to_one N K T ->
  loss N d K X T lam W + << gradient N d K X T lam W, (W' - W)%M >>
    + lam / 2 * << (W' - W)%M, (W' - W)%M >> <= loss N d K X T lam W'.
Proof.
  intros HT. rewrite !loss_moments by assumption.
  rewrite (inner_ext d K _ _ _ _ (gradient_moments T lam W) (meq_refl d K _)).
  assert (A := F_tangent W W'). expand_in A. expand.
  rewrite (inner_sym d K W' W). lra.
Qed.

(** The derivative of lse(v + s u) at s = 0 is <softmax v, u>. *)
Lemma lse_derivative v u :
  derivable_pt_lim (fun s => lse K (fun k => v k + s * u k)) 0 (\sum_(k < K) (softmax K v k * u k)).
Proof.
  replace (\sum_(k < K) (softmax K v k * u k))
    with (/ (\sum_(k < K) exp (v k + 0 * u k)) * \sum_(k < K) (exp (v k + 0 * u k) * u k)).
  - apply (derivable_pt_lim_comp (fun s => \sum_(k < K) exp (v k + s * u k)) ln).
    + apply (derivable_sum K (fun k s => exp (v k + s * u k))). intros k _.
      apply (derivable_pt_lim_comp (fun s => v k + s * u k) exp); [apply derivable_line|].
      apply derivable_pt_lim_exp.
    + apply derivable_pt_lim_ln. now apply exps_pos.
  - rewrite <- sum_scal_l. apply sum_ext. intros k _. unfold softmax.
    rewrite (sum_ext K (fun k => exp (v k + 0 * u k)) (fun k => exp (v k)))
      by (intros; f_equal; ring).
    replace (v k + 0 * u k) with (v k) by ring. field.
    apply Rgt_not_eq. now apply exps_pos.
Qed.

(** [gradient] is the gradient of [loss]: its derivative along any D is <grad L(W), D>. *)
Theorem loss_derivative T lam W D : sum_to_one N K T ->
  derivable_pt_lim (fun s => loss N d K X T lam (W + s * D)) 0
    << gradient N d K X T lam W, D >>.
Proof.
  intros HT.
  rewrite (inner_ext d K _ _ _ _ (gradient_moments T lam W) (meq_refl d K D)). expand.
  set (m := moment N X T).
  apply derivable_ext with (fun s =>
    (\sum_(i < N) lse K (fun k => logits d X W i k + s * logits d X D i k)) / INR N +
    ((- << m, W >> + s * - << m, D >>) +
    (lam / 2 * << W, W >> + s * (lam * << W, D >> + s * (lam / 2 * << D, D >>))))).
  - intros s. rewrite loss_moments by assumption. fold m. unfold heads.F. expand.
    rewrite (inner_sym d K D W).
    rewrite (sum_ext N (fun i => lse K (logits d X (W + s * D) i))
      (fun i => lse K (fun k => logits d X W i k + s * logits d X D i k))).
    + field. apply Rgt_not_eq, INR_N_pos.
    + intros i _. apply lse_ext. intros k _. now rewrite logits_add, logits_scale.
  - replace (lam * << W, D >> + << M W, D >> - << m, D >>)
      with (<< M W, D >> + (- << m, D >> + lam * << W, D >>)) by ring.
    apply (derivable_pt_lim_plus (fun s => (\sum_(i < N) lse K _) / INR N)).
    + unfold heads.M. rewrite inner_moment.
      apply derivable_ext with (fun s =>
        / INR N * \sum_(i < N) lse K (fun k => logits d X W i k + s * logits d X D i k));
        [intros; unfold Rdiv; ring|].
      unfold Rdiv. rewrite Rmult_comm. apply derivable_pt_lim_scal.
      apply (derivable_sum N (fun i s => lse K (fun k => logits d X W i k + s * logits d X D i k))).
      intros i _. apply lse_derivative.
    + apply (derivable_pt_lim_plus (fun s => - << m, W >> + s * - << m, D >>)); [apply derivable_line|].
      set (a := lam * << W, D >>). set (b := lam / 2 * << D, D >>). set (c := lam / 2 * << W, W >>).
      assert (Q : derivable_pt_lim (fun s => c + s * (a + s * b)) 0 (0 + (1 * (a + 0 * b) + 0 * b))).
      { apply (derivable_pt_lim_plus (fun _ => c) (fun s => s * (a + s * b)));
          [apply derivable_pt_lim_const|].
        apply (derivable_pt_lim_mult id (fun s => a + s * b));
          [apply derivable_pt_lim_id | apply derivable_line]. }
      replace (0 + (1 * (a + 0 * b) + 0 * b)) with a in Q by ring. exact Q.
Qed.

(** ** The exact head *)

(** At most one W solves lam W + M(W) = u. *)
Theorem head_unique T lam W W' : 0 < lam ->
  head N d K X T lam W -> head N d K X T lam W' -> meq d K W W'.
Proof.
  intros Hl H H'. apply inner_zero. assert (Hm := M_monotone W W').
  assert (E : << (lam * (W - W') + (M W - M W'))%M, (W - W')%M >> = 0).
  { rewrite (inner_ext d K _ zero _ (W - W')%M); [apply inner_zero_l| |apply meq_refl].
    intros j k Hj Hk. specialize (H j k Hj Hk). specialize (H' j k Hj Hk).
    unfold add, sub, scale, zero in *. lra. }
  rewrite inner_add_l, inner_scale_l in E.
  assert (0 <= << (W - W')%M, (W - W')%M >>) by apply inner_nonneg.
  apply Rmult_le_reg_l with lam; [assumption|]. lra.
Qed.

(** For lam >= 0 and targets whose rows sum to 1, the exact heads are the minimizers of the loss. *)
Theorem head_minimizes T lam W : 0 <= lam -> sum_to_one N K T ->
  (head N d K X T lam W <-> forall W', loss N d K X T lam W <= loss N d K X T lam W').
Proof.
  intros Hl HT. rewrite head_gradient. split.
  - intros H W'. assert (A := loss_tangent T lam W W' HT).
    rewrite (inner_ext d K _ zero _ _ H (meq_refl d K _)), inner_zero_l in A.
    assert (0 <= lam / 2 * << (W' - W)%M, (W' - W)%M >>); [|lra].
    apply Rmult_le_pos; [lra|apply inner_nonneg].
  - intros H. set (g := gradient N d K X T lam W). apply inner_zero.
    assert (Hd := loss_derivative T lam W g HT). fold g in Hd.
    assert (Z : << g, g >> = 0).
    { set (f := fun s => loss N d K X T lam (W + s * g)) in Hd.
      assert (E : derive_pt f 0 (exist _ _ Hd) = 0).
      { apply deriv_minimum with (-1) 1; [lra|lra|]. intros x _ _. unfold f.
        assert (E0 : loss N d K X T lam (W + 0 * g) = loss N d K X T lam W).
        { rewrite !loss_moments by assumption. expand. rewrite (F_ext (W + 0 * g) W); [ring|].
          intros j k _ _. unfold add, scale. ring. }
        rewrite E0. apply H. }
      exact E. }
    expand. lra.
Qed.

End Heads.

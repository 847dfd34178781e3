(** The laws of rounds need convexity alone: regression, counts and multilabel heads obey them. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds.
Open Scope R_scope.

(** M(W) = X^T a(X W) / N, where a takes the m logits of a row to m numbers. *)
Definition link_moment (N d : nat) (X : mat) (a : (nat -> R) -> nat -> R) (W : mat) : mat :=
  moment N X (fun i => a (logits d X W i)).

(** The laws for rounds lam_t W_t + M(W_t) = M(W_(t-1)), M(W_0) = X^T Y / N: the telescope, weights
    that shrink, and the ball around one training V at the total weight decay. *)
Definition laws_of_rounds (d m : nat) (M : mat -> mat) (u1 : mat) (lam : nat -> R)
  (W : nat -> mat) (n : nat) : Prop :=
  (forall t, (1 <= t <= n)%nat -> meq d m (spent lam W t) (u1 - M (W t)))
  /\ (forall t, (1 <= t)%nat -> (S t <= n)%nat ->
       norm d m (W (S t) - (1 / 2) * W t) <= 1 / 2 * norm d m (W t))
  /\ (forall t V, (1 <= t <= n)%nat -> meq d m (total lam t * V + M V) u1 ->
       norm d m (V - (1 / 2) * (average lam W t + W t)) <= 1 / 2 * norm d m (average lam W t - W t)).

(** They hold for any monotone M. *)
Theorem laws_of_monotone_rounds d m M u1 lam W n :
  (forall V V', 0 <= inner d m (M V - M V')%M (V - V')%M) ->
  (forall t, (1 <= t <= n)%nat -> 0 < lam t) ->
  run d m M lam u1 W n -> laws_of_rounds d m M u1 lam W n.
Proof.
  intros HM Hl H. split; [|split].
  - intros t Ht. apply run_telescope; [lia|]. apply run_le with n; [lia|assumption].
  - intros t Ht Hn. apply in_ball. apply run_shrinks with M lam u1; trivial.
    + apply run_le with n; assumption.
    + apply Hl. lia.
  - intros t V Ht HV. apply ball_of_angle. apply run_ball with M u1; trivial; [lia| |].
    + apply run_le with n; [lia|assumption].
    + apply total_pos; [lia|]. intros. apply Hl. lia.
Qed.

(** ** Convex functions *)

Definition convex (A : R -> R) : Prop :=
  forall x y s, 0 <= s <= 1 -> A ((1 - s) * x + s * y) <= (1 - s) * A x + s * A y.

Definition derivative (A A' : R -> R) : Prop := forall v, derivable_pt_lim A v (A' v).

(** A convex function lies above its tangents, *)
Lemma convex_tangent A A' : convex A -> derivative A A' ->
  forall x y, A x + A' x * (y - x) <= A y.
Proof.
  intros C D x y. apply Rnot_lt_le. intros B.
  assert (L : derivable_pt_lim (fun s => A (x + s * (y - x))) 0 (A' x * (y - x))).
  { apply (derivable_pt_lim_comp (fun s => x + s * (y - x)) A); [apply derivable_line|].
    replace (x + 0 * (y - x)) with x by ring. apply D. }
  destruct (L (A x + A' x * (y - x) - A y)) as [delta H]; [lra|].
  set (h := Rmin (delta / 2) 1).
  assert (Hd := cond_pos delta).
  assert (Hh : 0 < h) by (unfold h; apply Rmin_glb_lt; lra).
  assert (H1 : h <= 1) by apply Rmin_r. assert (H2 : h <= delta / 2) by apply Rmin_l.
  assert (B1 : Rabs h < delta) by (rewrite Rabs_pos_eq; lra).
  specialize (H h ltac:(lra) B1). apply Rabs_def2 in H. destruct H as [_ H].
  rewrite Rplus_0_l in H. replace (x + 0 * (y - x)) with x in H by ring.
  assert (E := C x y h ltac:(lra)).
  replace ((1 - h) * x + h * y) with (x + h * (y - x)) in E by ring.
  assert (Q : (A (x + h * (y - x)) - A x) / h <= A y - A x).
  { apply Rmult_le_reg_r with h; [assumption|].
    replace ((A (x + h * (y - x)) - A x) / h * h) with (A (x + h * (y - x)) - A x) by (field; lra).
    lra. }
  lra.
Qed.

(** and a function above its tangents is convex. *)
Lemma tangent_convex A A' : (forall x y, A x + A' x * (y - x) <= A y) -> convex A.
Proof.
  intros T x y s Hs. set (z := (1 - s) * x + s * y).
  assert (B := T z x). assert (C := T z y).
  apply Rmult_le_compat_l with (r := 1 - s) in B; [|lra].
  apply Rmult_le_compat_l with (r := s) in C; [|lra].
  assert (E : (1 - s) * (A z + A' z * (x - z)) + s * (A z + A' z * (y - z)) = A z)
    by (unfold z; ring).
  lra.
Qed.

(** ** Heads of a convex log-partition *)

(** F(W) = the mean over rows of A(W^T x_i), for A of m logits with the gradient a. *)
Definition link_F (N d : nat) (X : mat) (A : (nat -> R) -> R) (W : mat) : R :=
  (\sum_(i < N) A (logits d X W i)) / INR N.

(** If A lies above its tangents, F does. *)
Lemma link_tangent N d m X A a : (0 < N)%nat ->
  (forall v v', A v + \sum_(k < m) (a v k * (v' k - v k)) <= A v') ->
  forall W W', link_F N d X A W + inner d m (link_moment N d X a W) (W' - W)%M
    <= link_F N d X A W'.
Proof.
  intros HN T W W'. unfold link_F, link_moment. rewrite inner_moment. unfold Rdiv.
  rewrite <- Rmult_plus_distr_r, <- sum_plus.
  apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, INR_N_pos, HN|].
  apply sum_le. intros i _.
  rewrite (sum_ext m _ (fun k => a (logits d X W i) k * (logits d X W' i k - logits d X W i k)))
    by (intros; rewrite logits_sub; reflexivity).
  apply T.
Qed.

(** For M(W) = X^T A'(X W) / N, A convex with the derivative A', and weight decays lam_t > 0, rounds
    lam_t W_t + M(W_t) = M(W_(t-1)), M(W_0) = X^T Y / N, of any number m of outputs obey

      lam_1 W_1 + ... + lam_t W_t = X^T Y / N - M(W_t),   |W_(t+1) - W_t / 2| <= |W_t| / 2,
      |V - (Wbar_t + W_t) / 2| <= |Wbar_t - W_t| / 2,

    V the head trained once on Y at the total weight decay, Wbar_t the average by weight decay. *)
(** Registry, canonical-links: λₜ Wₜ + M(Wₜ) = M(Wₜ₋₁), M(W₀) = 1/N Xᵀ Y:  ∑_(s ≤ t) λₛ Wₛ = 1/N
    Xᵀ Y − M(Wₜ),  ‖Wₜ₊₁ − 1/2 Wₜ‖_F ≤ 1/2 ‖Wₜ‖_F,  ‖V − 1/2 (W̄ₜ + Wₜ)‖_F ≤ 1/2 ‖W̄ₜ − Wₜ‖_F *)
Theorem canonical_links N d m X Y A A' lam W n :
  (0 < N)%nat -> convex A -> derivative A A' -> (forall t, (1 <= t <= n)%nat -> 0 < lam t) ->
  let M := link_moment N d X (fun v k => A' (v k)) in
  run d m M lam (moment N X Y) W n -> laws_of_rounds d m M (moment N X Y) lam W n.
Proof.
  intros HN C D Hl M H. apply laws_of_monotone_rounds; trivial.
  apply gradient_monotone with (F := link_F N d X (fun v => \sum_(k < m) A (v k))).
  apply link_tangent; [assumption|]. intros v v'. rewrite <- sum_plus. apply sum_le. intros k _.
  now apply convex_tangent.
Qed.

(** The same for a log-partition of all outputs at once, which lies above its tangents; of log-sum-exp
    these are softmax heads. *)
Theorem canonical_links_of_vectors N d m X Y A a lam W n :
  (0 < N)%nat -> (forall v v', A v + \sum_(k < m) (a v k * (v' k - v k)) <= A v') ->
  (forall t, (1 <= t <= n)%nat -> 0 < lam t) ->
  let M := link_moment N d X a in
  run d m M lam (moment N X Y) W n -> laws_of_rounds d m M (moment N X Y) lam W n.
Proof.
  intros HN T Hl M H. apply laws_of_monotone_rounds; trivial.
  apply gradient_monotone with (F := link_F N d X A). now apply link_tangent.
Qed.

(** ** The three links *)

(** Squared loss: A(v) = v^2 / 2 *)
Lemma squared_link : convex (fun v => v ^ 2 / 2) /\ derivative (fun v => v ^ 2 / 2) (fun v => v).
Proof.
  split.
  - apply tangent_convex with (fun v => v). intros x y. assert (P := pow2_ge_0 (y - x)). lra.
  - intros v. assert (L : derivable_pt_lim (fun v => / 2 * (v * v)) v (/ 2 * (1 * v + v * 1))).
    { apply derivable_pt_lim_scal. apply (derivable_pt_lim_mult id id); apply derivable_pt_lim_id. }
    replace (/ 2 * (1 * v + v * 1)) with v in L by field.
    apply derivable_ext with (fun v => / 2 * (v * v)); [intros; field|exact L].
Qed.

(** Labels: A(v) = ln(1 + exp v) *)
Lemma logistic_link :
  convex (fun v => ln (1 + exp v)) /\ derivative (fun v => ln (1 + exp v)) (fun v => exp v / (1 + exp v)).
Proof.
  split.
  - apply tangent_convex with (fun v => exp v / (1 + exp v)). intros x y.
    set (two := fun v (k : nat) => match k with O => 0 | _ => v end).
    assert (T := lse_tangent 2 ltac:(lia) (two x) (two y)). unfold lse, softmax in T. simpl in T.
    rewrite exp_0 in T. replace (0 + 1) with 1 in T by ring. lra.
  - intros v. assert (P := exp_pos v).
    assert (L : derivable_pt_lim (fun v => ln (1 + exp v)) v (/ (1 + exp v) * (0 + exp v))).
    { apply (derivable_pt_lim_comp (fun v => 1 + exp v) ln).
      - apply (derivable_pt_lim_plus (fun _ => 1) exp); [apply derivable_pt_lim_const|].
        apply derivable_pt_lim_exp.
      - apply derivable_pt_lim_ln. lra. }
    replace (/ (1 + exp v) * (0 + exp v)) with (exp v / (1 + exp v)) in L by (field; lra). exact L.
Qed.

(** Counts: A(v) = exp v *)
Lemma poisson_link : convex exp /\ derivative exp exp.
Proof.
  split; [|intros v; apply derivable_pt_lim_exp].
  apply tangent_convex with exp. intros x y.
  replace y with (x + (y - x)) at 2 by ring. rewrite exp_plus.
  assert (P := exp_pos x). assert (E := exp_ineq1_le (y - x)).
  apply Rmult_le_compat_l with (r := exp x) in E; lra.
Qed.

(** Squared loss is ridge regression: M(W) = X^T X W / N. *)
Lemma squared_link_ridge N d m X W :
  meq d m (link_moment N d X (fun v k => v k) W) (moment N X (logits d X W)).
Proof. apply meq_refl. Qed.

(** Near the optimum the Newton decrement bounds the distance to it, by self-concordance. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal existence newton_decrement hessian.
Open Scope R_scope.

(** ** Along a line of logits v + s u the variance falls no faster than exp(- R s) *)

Lemma mean_derivative K v u g s : (0 < K)%nat ->
  let p := softmax K (fun l => v l + s * u l) in
  derivable_pt_lim (fun s => mean K (softmax K (fun l => v l + s * u l)) g) s
    (mean K p (fun k => (u k - mean K p u) * g k)).
Proof.
  intros HK p. unfold mean at 1 2.
  apply (derivable_sum K (fun k s => softmax K (fun l => v l + s * u l) k * g k)). intros k _.
  apply derivable_ext with (fun s => g k * softmax K (fun l => v l + s * u l) k); [intros; ring|].
  replace (p k * ((u k - mean K p u) * g k)) with (g k * (p k * (u k - mean K p u))) by ring.
  apply derivable_pt_lim_scal. now apply (softmax_derivative K v u k s).
Qed.

(** The derivative of the variance is the third central moment. *)
Lemma variance_derivative K v u s : (0 < K)%nat ->
  let p := softmax K (fun l => v l + s * u l) in
  derivable_pt_lim (fun s => variance K (softmax K (fun l => v l + s * u l)) u) s
    (mean K p (fun k => (u k - mean K p u) ^ 3)).
Proof.
  intros HK p. set (m := mean K p u).
  assert (A := mean_derivative K v u (fun k => u k ^ 2) s HK). cbv zeta in A. fold p m in A.
  assert (B := mean_derivative K v u u s HK). cbv zeta in B. fold p m in B.
  assert (C := derivable_pt_lim_mult _ _ s _ _ B B).
  assert (D := derivable_pt_lim_minus _ _ s _ _ A C). fold p m in D.
  match type of D with derivable_pt_lim _ _ ?x =>
    replace (mean K p (fun k => (u k - m) ^ 3)) with x end.
  - eapply derivable_ext; [|exact D]. intros r. unfold variance, minus_fct, mult_fct. ring.
  - assert (S : sum K p = 1) by now apply softmax_sum.
    assert (Z : mean K p (fun k => u k - m) = 0).
    { rewrite (mean_ext K p _ (fun k => u k + - m)) by (intros; ring).
      rewrite mean_add, mean_const by assumption. fold m. ring. }
    rewrite (mean_ext K p (fun k => (u k - m) ^ 3)
      (fun k => (u k - m) * u k ^ 2 + ((-2 * m) * ((u k - m) * u k) + m ^ 2 * (u k - m))))
      by (intros; ring).
    rewrite !mean_add, !mean_scale, Z. change (mean K (softmax K (fun l => v l + s * u l)) u) with m. ring.
Qed.

(** If no u_k is farther than R from another, the third central moment is at least - R Var. *)
Lemma third_moment K p u R : sum K p = 1 -> (forall k, (k < K)%nat -> 0 <= p k) ->
  (forall k l, (k < K)%nat -> (l < K)%nat -> u l - u k <= R) ->
  - R * variance K p u <= mean K p (fun k => (u k - mean K p u) ^ 3).
Proof.
  intros S P H. rewrite variance_centered by assumption. set (m := mean K p u).
  rewrite <- mean_scale. unfold mean. apply sum_le. intros k Hk.
  apply Rmult_le_compat_l; [now apply P|].
  assert (B : m <= u k + R).
  { unfold m, mean. apply Rle_trans with (\sum_(l < K) (p l * (u k + R))).
    - apply sum_le. intros l Hl. apply Rmult_le_compat_l; [now apply P|].
      specialize (H k l Hk Hl). lra.
    - rewrite sum_scal_r, S. lra. }
  replace ((u k - m) ^ 3) with ((u k - m) * (u k - m) ^ 2) by ring.
  apply Rmult_le_compat_r; [apply pow2_ge_0|]. lra.
Qed.

(** ** Two facts on derivatives *)

Lemma grows (f f' : R -> R) s : 0 <= s ->
  (forall r, 0 <= r <= s -> derivable_pt_lim f r (f' r)) ->
  (forall r, 0 <= r <= s -> 0 <= f' r) -> f 0 <= f s.
Proof.
  intros Hs D P. destruct (Rle_lt_or_eq_dec 0 s Hs) as [L|E]; [|rewrite <- E; lra].
  destruct (MVT_cor2 f f' 0 s L D) as [c [E C]].
  assert (0 <= f' c) by (apply P; lra).
  assert (0 <= f' c * (s - 0)) by (apply Rmult_le_pos; lra). lra.
Qed.

Lemma exp_line_derivative a s : derivable_pt_lim (fun s => exp (a * s)) s (a * exp (a * s)).
Proof.
  assert (L : derivable_pt_lim (fun s => 0 + s * a) s a) by apply derivable_line.
  assert (E := derivable_pt_lim_comp _ exp s _ _ L (derivable_pt_lim_exp (0 + s * a))).
  replace (exp (0 + s * a) * a) with (a * exp (a * s)) in E
    by (rewrite Rmult_comm; f_equal; f_equal; ring).
  apply derivable_ext with (2 := E). intros r. unfold comp. f_equal. ring.
Qed.

(** Q' >= - R Q gives Q(s) >= exp(- R s) Q(0). *)
Lemma decay_bound (Q Q' : R -> R) R s : 0 <= s ->
  (forall r, 0 <= r <= s -> derivable_pt_lim Q r (Q' r)) ->
  (forall r, 0 <= r <= s -> - R * Q r <= Q' r) -> exp (- R * s) * Q 0 <= Q s.
Proof.
  intros Hs D H.
  assert (G : exp (R * 0) * Q 0 <= exp (R * s) * Q s).
  { apply (grows (fun s => exp (R * s) * Q s) (fun r => R * exp (R * r) * Q r + exp (R * r) * Q' r));
      trivial.
    - intros r Hr. apply (derivable_pt_lim_mult (fun s => exp (R * s)) Q);
        [apply exp_line_derivative | now apply D].
    - intros r Hr. assert (P := exp_pos (R * r)). specialize (H r Hr).
      apply Rmult_le_compat_l with (r := exp (R * r)) in H; lra. }
  rewrite Rmult_0_r, exp_0, Rmult_1_l in G.
  apply Rmult_le_compat_l with (r := exp (- R * s)) in G; [|left; apply exp_pos].
  rewrite <- Rmult_assoc, <- exp_plus in G.
  replace (- R * s + R * s) with 0 in G by ring. rewrite exp_0, Rmult_1_l in G. exact G.
Qed.

(** ** The loss along the segment to the optimum *)

Section Local.

Variables (N d K : nat) (X T : mat) (lam B : R) (W V : mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis lam_pos : 0 < lam.
(** B is a bound on the norms of the rows, such as the largest. *)
Hypothesis B_pos : 0 < B.
Hypothesis rows_short : forall i, (i < N)%nat -> \sum_(j < d) (X i j ^ 2) <= B ^ 2.
Hypothesis V_head : head N d K X T lam V.

Local Notation "<< A , B >>" := (inner d K A B).
Local Notation H := (hessian N d K X lam W).
Local Notation g := (gradient N d K X T lam W).

Let D := (V - W)%M.
Let c := sqrt 2 * B / sqrt lam.
Let n := sqrt << H D, D >>.
Let u (i : nat) := logits d X D i.
Let path (s : R) (i : nat) := softmax K (fun l => logits d X W i l + s * u i l).

(** f''(s) *)
Let Q (s : R) := (\sum_(i < N) variance K (path s i) (u i)) / INR N + lam * << D, D >>.

Lemma path_predictions s i k : (k < K)%nat -> predictions d K X (W + s * D) i k = path s i k.
Proof. intros Hk. apply softmax_ext; trivial. intros l _. now rewrite logits_add, logits_scale. Qed.

Lemma path_hessian s : << hessian N d K X lam (W + s * D) D, D >> = Q s.
Proof.
  rewrite hessian_square. unfold Q. f_equal. f_equal. apply sum_ext. intros i _.
  unfold variance, mean. f_equal; [|f_equal]; apply sum_ext; intros k Hk;
    now rewrite path_predictions.
Qed.

Lemma path_start : << H D, D >> = Q 0.
Proof.
  rewrite hessian_square. unfold Q. f_equal. f_equal. apply sum_ext. intros i _.
  assert (E : forall k, (k < K)%nat -> predictions d K X W i k = path 0 i k).
  { intros k Hk. apply softmax_ext; trivial. intros l _. ring. }
  unfold variance, mean. f_equal; [|f_equal]; apply sum_ext; intros k Hk; now rewrite E.
Qed.

Lemma variance_path_nonneg s i : 0 <= variance K (path s i) (u i).
Proof.
  apply variance_nonneg; [now apply softmax_sum|]. intros. left. now apply softmax_pos.
Qed.

Lemma Q_at_least s : lam * << D, D >> <= Q s.
Proof.
  assert (0 <= (\sum_(i < N) variance K (path s i) (u i)) / INR N); [|unfold Q; lra].
  apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, INR_N_pos, N_pos].
  apply sum_nonneg. intros. apply variance_path_nonneg.
Qed.

(** |f'''| <= R f'' from below, if R bounds the change of all logit differences. *)
Lemma Q_decay R s : 0 <= R -> 0 <= s ->
  (forall i k l, (i < N)%nat -> (k < K)%nat -> (l < K)%nat -> u i l - u i k <= R) ->
  exp (- R * s) * Q 0 <= Q s.
Proof.
  intros HR Hs Hu.
  apply (decay_bound Q (fun s => (\sum_(i < N) mean K (path s i)
    (fun k => (u i k - mean K (path s i) (u i)) ^ 3)) / INR N)); trivial.
  - intros r _.
    assert (A : derivable_pt_lim (fun s => / INR N * \sum_(i < N) variance K (path s i) (u i)) r
      (/ INR N * \sum_(i < N) mean K (path r i) (fun k => (u i k - mean K (path r i) (u i)) ^ 3))).
    { apply derivable_pt_lim_scal.
      apply (derivable_sum N (fun i s => variance K (path s i) (u i))).
      intros i _. now apply (variance_derivative K (logits d X W i) (u i) r). }
    assert (A' := derivable_pt_lim_plus _ _ r _ _ A
      (derivable_pt_lim_const (lam * << D, D >>) r)).
    rewrite Rplus_0_r in A'.
    match goal with |- derivable_pt_lim _ _ (?x / ?y) =>
      replace (x / y) with (/ y * x) by (unfold Rdiv; ring) end.
    apply derivable_ext with (2 := A'). intros x. unfold plus_fct, fct_cte, Q. unfold Rdiv. ring.
  - intros r _. unfold Q.
    assert (P : 0 <= lam * << D, D >>) by (apply Rmult_le_pos; [lra|apply inner_nonneg]).
    assert (P' : 0 <= R * (lam * << D, D >>)) by now apply Rmult_le_pos.
    assert (I : 0 < / INR N) by (apply Rinv_0_lt_compat, INR_N_pos, N_pos).
    apply Rle_trans with (- R * ((\sum_(i < N) variance K (path r i) (u i)) / INR N)); [lra|].
    unfold Rdiv. rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [lra|].
    rewrite <- sum_scal_l. apply sum_le. intros i Hi.
    apply third_moment; [now apply softmax_sum| |auto]. intros. left. now apply softmax_pos.
Qed.

(** - <g, D> >= |D|_H^2 (1 - exp(- R)) / R *)
Lemma slope_bound R : 0 < R ->
  (forall i k l, (i < N)%nat -> (k < K)%nat -> (l < K)%nat -> u i l - u i k <= R) ->
  Q 0 * ((1 - exp (- R)) / R) <= - << g, D >>.
Proof.
  intros HR Hu.
  set (f := fun s => << gradient N d K X T lam (W + s * D), D >>).
  assert (G : f 0 + Q 0 / R * exp (- R * 0) <= f 1 + Q 0 / R * exp (- R * 1)).
  { apply (grows (fun s => f s + Q 0 / R * exp (- R * s))
      (fun s => Q s + Q 0 / R * (- R * exp (- R * s)))); [lra| |].
    - intros r _. apply (derivable_pt_lim_plus f (fun s => Q 0 / R * exp (- R * s))).
      + rewrite <- path_hessian. now apply hessian_derivative.
      + apply derivable_pt_lim_scal, exp_line_derivative.
    - intros r Hr. assert (E := Q_decay R r (Rlt_le _ _ HR) (proj1 Hr) Hu).
      replace (Q 0 / R * (- R * exp (- R * r))) with (- (exp (- R * r) * Q 0)) by (field; lra). lra. }
  assert (F1 : f 1 = 0).
  { unfold f. rewrite (inner_ext d K _ zero _ D); [apply inner_zero_l| |apply meq_refl].
    intros j k Hj Hk. assert (Z := V_head). rewrite head_gradient in Z.
    rewrite <- (Z j k Hj Hk).
    rewrite !gradient_moments by assumption. unfold sub, add, scale.
    rewrite (M_ext N d K X (W + 1 * D) V) by (trivial; intros a b _ _; unfold D, add, sub, scale; ring).
    unfold D, sub. ring. }
  assert (F0 : f 0 = << g, D >>).
  { unfold f. apply inner_ext; [|apply meq_refl]. intros j k Hj Hk.
    rewrite !gradient_moments by assumption. unfold sub, add, scale.
    rewrite (M_ext N d K X (W + 0 * D) W) by (trivial; intros a b _ _; unfold D, add, sub, scale; ring).
    ring. }
  rewrite F1, F0, Rmult_0_r, exp_0, Rmult_1_r in G. rewrite Rmult_1_r in G.
  replace (Q 0 * ((1 - exp (- R)) / R)) with (Q 0 / R - Q 0 / R * exp (- R)) by (field; lra). lra.
Qed.

(** ** Logit differences *)

(** The difference of two logits of a row moves by at most sqrt 2 |x_i| |D|_F. *)
Lemma difference_square i k l : (i < N)%nat -> (k < K)%nat -> (l < K)%nat -> k <> l ->
  (u i l - u i k) ^ 2 <= 2 * B ^ 2 * << D, D >>.
Proof.
  intros Hi Hk Hl Hkl.
  set (delta := fun a m : nat => if Nat.eqb m a then 1 else 0).
  set (E := (fun j m => X i j * (delta l m - delta k m)) : mat).
  assert (Dl : forall a f, (a < K)%nat -> \sum_(m < K) (f m * delta a m) = f a).
  { intros a f Ha. rewrite (sum_single K _ a Ha).
    - unfold delta. rewrite Nat.eqb_refl. ring.
    - intros m _ Hm. unfold delta. apply Nat.eqb_neq in Hm. rewrite Hm. ring. }
  assert (A : << D, E >> = u i l - u i k).
  { unfold inner, u, logits. rewrite <- sum_minus. apply sum_ext. intros j _. unfold E.
    rewrite (sum_ext K _ (fun m => X i j * D j m * delta l m - X i j * D j m * delta k m))
      by (intros; ring).
    rewrite sum_minus, !Dl by assumption. ring. }
  assert (S : << E, E >> <= 2 * B ^ 2).
  { apply Rle_trans with (2 * \sum_(j < d) (X i j ^ 2)).
    - right. rewrite <- sum_scal_l. unfold inner. apply sum_ext. intros j _. unfold E.
      rewrite (sum_ext K _ (fun m => X i j ^ 2 * delta l m + X i j ^ 2 * delta k m)).
      + rewrite sum_plus, !(Dl _ (fun _ => X i j ^ 2)) by assumption. ring.
      + intros m _. unfold delta.
        destruct (Nat.eqb_spec m l); destruct (Nat.eqb_spec m k); [lia|ring|ring|ring].
    - apply Rmult_le_compat_l; [lra|]. now apply rows_short. }
  rewrite <- A. eapply Rle_trans; [apply cauchy_schwarz_square|].
  rewrite Rmult_comm. apply Rmult_le_compat_r; [apply inner_nonneg|assumption].
Qed.

Lemma c_pos : 0 < c.
Proof.
  unfold c. apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; [apply sqrt_lt_R0; lra|assumption]|].
  now apply sqrt_lt_R0.
Qed.

Lemma n_square : n ^ 2 = << H D, D >>.
Proof.
  unfold n. rewrite <- Rsqr_pow2. apply Rsqr_sqrt.
  assert (L := hessian_at_least N d K X lam W N_pos K_pos D). assert (P := inner_nonneg d K D).
  assert (0 <= lam * << D, D >>) by (apply Rmult_le_pos; lra). lra.
Qed.

Lemma n_nonneg : 0 <= n.
Proof. apply sqrt_pos. Qed.

Lemma difference_bound i k l : (i < N)%nat -> (k < K)%nat -> (l < K)%nat -> u i l - u i k <= c * n.
Proof.
  intros Hi Hk Hl.
  assert (P : 0 <= c * n) by (apply Rmult_le_pos; [left; apply c_pos|apply n_nonneg]).
  destruct (Nat.eq_dec k l) as [->|Hkl]; [lra|].
  assert (S := difference_square i k l Hi Hk Hl Hkl).
  assert (L := hessian_at_least N d K X lam W N_pos K_pos D). rewrite <- n_square in L.
  assert (C2 : lam * c ^ 2 = 2 * B ^ 2).
  { unfold c, Rdiv. rewrite !Rpow_mult_distr, pow_inv.
    rewrite !pow2_sqrt by lra. field. lra. }
  assert (E : (u i l - u i k) ^ 2 <= (c * n) ^ 2).
  { rewrite Rpow_mult_distr. apply Rmult_le_reg_l with lam; [assumption|].
    rewrite <- Rmult_assoc, C2.
    apply Rmult_le_compat_l with (r := 2 * B ^ 2) in L;
      [|apply Rmult_le_pos; [lra|apply pow2_ge_0]].
    apply Rmult_le_compat_l with (r := lam) in S; [|lra]. lra. }
  apply Rnot_lt_le. intros F.
  assert (Z : (c * n) ^ 2 < (u i l - u i k) ^ 2); [|lra].
  rewrite <- !Rsqr_pow2. apply Rsqr_incrst_1; lra.
Qed.

(** ** The certificate *)

(** <H y, D>^2 <= <H y, y> <H D, D>: the Cauchy-Schwarz inequality of H *)
Lemma hessian_cauchy_schwarz y : << H y, D >> ^ 2 <= << H y, y >> * << H D, D >>.
Proof.
  set (a := << H y, y >>). set (b := << H D, D >>). set (e := << H y, D >>).
  destruct (hessian_linear N d K X lam W) as [_ [Hadd Hscale]].
  assert (Sym := hessian_symmetric N d K X lam W).
  assert (Pos : forall A, 0 <= << H A, A >>).
  { intros A. assert (L := hessian_at_least N d K X lam W N_pos K_pos A).
    assert (0 <= lam * << A, A >>) by (apply Rmult_le_pos; [lra|apply inner_nonneg]). lra. }
  assert (E : forall s t, 0 <= s ^ 2 * a + 2 * s * t * e + t ^ 2 * b).
  { intros s t. assert (P := Pos (s * y + t * D)%M).
    assert (Lin : meq d K (H (s * y + t * D)%M) (s * H y + t * H D)).
    { apply (meq_trans d K _ _ _ (Hadd (s * y)%M (t * D)%M)). intros j k Hj Hk. unfold add.
      rewrite (Hscale s y), (Hscale t D) by assumption. reflexivity. }
    rewrite (inner_ext d K _ _ _ _ Lin (meq_refl d K _)) in P. expand_in P.
    assert (S : << H D, y >> = e) by (unfold e; rewrite Sym, inner_sym; reflexivity).
    rewrite S in P. fold a b e in P. lra. }
  assert (Pb : 0 <= b) by apply Pos.
  destruct (Rle_lt_or_eq_dec 0 b Pb) as [L|Z].
  - assert (P := E b (- e)). apply Rmult_le_reg_l with b; [assumption|]. lra.
  - rewrite <- Z in *. destruct (Req_dec e 0) as [->|He]; [lra|].
    assert (P := E 1 (- (a + 1) / (2 * e))).
    replace (1 ^ 2 * a + 2 * 1 * (- (a + 1) / (2 * e)) * e + (- (a + 1) / (2 * e)) ^ 2 * 0)
      with (-1) in P by (field; assumption). lra.
Qed.

(** With H the Hessian at W, V the exact head, |g|_(H^-1) = nu, that is nu^2 = <g, y> for H y = g,
    c = sqrt 2 B / sqrt lam for a bound B > 0 on the norms of rows, and c nu < 1: for r = - ln(1 - c nu)

      (V - W)^T x_i has osc at most r for every row i,   |V - W|_H <= r / c,

    and r / c is nu r / (1 - exp(- r)) where nu > 0. *)
(** Registry, local-certificate: maxᵢ osc((W* − W)ᵀ xᵢ) ≤ r = −ln(1 − cν),  ‖W − W*‖_H ≤ (ν
    r)/(1 − e⁻ʳ) = r/c *)
Theorem local_certificate y nu :
  meq d K (H y) g -> 0 <= nu -> nu ^ 2 = << g, y >> -> c * nu < 1 ->
  let r := - ln (1 - c * nu) in
  (forall i k l, (i < N)%nat -> (k < K)%nat -> (l < K)%nat ->
     logits d X (V - W) i l - logits d X (V - W) i k <= r)
  /\ sqrt << H (V - W)%M, (V - W)%M >> <= r / c
  /\ (0 < nu -> r / c = nu * r / (1 - exp (- r))).
Proof.
  intros Hy Hn En Hc r. fold D n. assert (Pc := c_pos). assert (Pn := n_nonneg).
  assert (Er : exp (- r) = 1 - c * nu) by (unfold r; rewrite Ropp_involutive; apply exp_ln; lra).
  assert (Main : c * n <= r).
  { destruct (Rle_lt_or_eq_dec 0 n Pn) as [L|Z].
    - assert (S := slope_bound (c * n) ltac:(now apply Rmult_lt_0_compat)
        (fun i k l Hi Hk Hl => difference_bound i k l Hi Hk Hl)).
      rewrite <- path_start, <- n_square in S.
      assert (G : - << g, D >> <= nu * n).
      { assert (C := hessian_cauchy_schwarz y).
        rewrite !(inner_ext d K _ _ _ _ Hy (meq_refl d K _)), <- n_square, <- En in C.
        rewrite <- Rpow_mult_distr in C. apply Rnot_lt_le. intros F.
        assert (P : 0 <= nu * n) by now apply Rmult_le_pos.
        assert (F2 : (nu * n) ^ 2 < (- << g, D >>) ^ 2)
          by (rewrite <- !Rsqr_pow2; apply Rsqr_incrst_1; lra).
        replace ((- << g, D >>) ^ 2) with (<< g, D >> ^ 2) in F2 by ring. lra. }
      replace (n ^ 2 * ((1 - exp (- (c * n))) / (c * n))) with (n * ((1 - exp (- (c * n))) / c)) in S
        by (field; lra).
      assert (I : (1 - exp (- (c * n))) / c <= nu).
      { apply Rmult_le_reg_l with n; [assumption|]. lra. }
      apply Rmult_le_compat_l with (r := c) in I; [|lra].
      replace (c * ((1 - exp (- (c * n))) / c)) with (1 - exp (- (c * n))) in I by (field; lra).
      apply Rnot_lt_le. intros F.
      assert (E := exp_increasing (- (c * n)) (- r) ltac:(lra)). lra.
    - rewrite <- Z, Rmult_0_r. unfold r.
      assert (0 <= c * nu) by (apply Rmult_le_pos; lra).
      assert (ln (1 - c * nu) <= ln 1); [|rewrite ln_1 in *; lra].
      destruct (Req_dec (c * nu) 0) as [E0|]; [rewrite E0, Rminus_0_r; lra|].
      left. apply ln_increasing; lra. }
  split; [|split].
  - intros i k l Hi Hk Hl. eapply Rle_trans; [now apply (difference_bound i k l)|exact Main].
  - apply Rmult_le_reg_l with c; [assumption|]. replace (c * (r / c)) with r by (field; lra). exact Main.
  - intros Pnu. rewrite Er. replace (1 - (1 - c * nu)) with (c * nu) by ring. field. split; lra.
Qed.

(** In the Frobenius norm: |V - W| <= r / (sqrt 2 B). *)
Corollary local_certificate_norm y nu :
  meq d K (H y) g -> 0 <= nu -> nu ^ 2 = << g, y >> -> c * nu < 1 ->
  norm d K (V - W) <= - ln (1 - c * nu) / (sqrt 2 * B).
Proof.
  intros Hy Hn En Hc. destruct (local_certificate y nu Hy Hn En Hc) as [_ [A _]]. fold D n in A.
  assert (L := hessian_at_least N d K X lam W N_pos K_pos D). rewrite <- n_square in L.
  assert (S : sqrt lam * norm d K D <= n).
  { rewrite <- (sqrt_pow2 n n_nonneg). unfold norm. rewrite <- sqrt_mult_alt by lra.
    now apply sqrt_le_1_alt. }
  assert (Q0 : 0 < sqrt lam) by now apply sqrt_lt_R0.
  assert (Q2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra).
  apply Rmult_le_reg_l with (sqrt lam); [assumption|]. fold D.
  eapply Rle_trans; [exact S|]. eapply Rle_trans; [exact A|]. right. unfold c. field.
  repeat split; lra.
Qed.

End Local.

(** local-certificate: near the optimum the Newton decrement bounds the distance to it, by
    self-concordance. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads existence newton_decrement hessian.
Open Scope R_scope.

(** A function whose derivative is nonnegative does not fall. *)
Lemma rises f f' a b : a < b -> (forall s, a <= s <= b -> derivable_pt_lim f s (f' s)) ->
  (forall s, a <= s <= b -> 0 <= f' s) -> f a <= f b.
Proof.
  intros Hab D H. destruct (MVT_cor2 f f' a b Hab D) as (x & E & Hx).
  assert (0 <= f' x * (b - a)) by (apply Rmult_le_pos; [apply H; lra|lra]). lra.
Qed.

Lemma two_entries K (w : nat -> R) a b : (a < K)%nat -> (b < K)%nat -> a <> b ->
  w a * w a + w b * w b <= \sum_(k < K) (w k * w k).
Proof.
  intros Ha Hb Ne. induction K as [|K IH]; [lia|]. simpl.
  assert (Z := Rle_0_sqr (w K)). unfold Rsqr in Z.
  assert (S := fun i Hi => sum_term_le K (fun k => w k * w k) i Hi (fun i _ => Rle_0_sqr (w i))).
  cbv beta in S. destruct (Nat.eq_dec a K) as [->|Na].
  - assert (Q := S b ltac:(lia)). lra.
  - destruct (Nat.eq_dec b K) as [->|Nb].
    + assert (Q := S a ltac:(lia)). lra.
    + assert (Q := IH ltac:(lia) ltac:(lia)). lra.
Qed.

Lemma gradient_ext N d K X T lam W W' :
  meq d K W W' -> meq d K (gradient N d K X T lam W) (gradient N d K X T lam W').
Proof.
  intros E j k Hj Hk. rewrite !(gradient_moments N d K X) by assumption.
  change (lam * W j k + M N d K X W j k - moment N X T j k
          = lam * W' j k + M N d K X W' j k - moment N X T j k).
  rewrite (M_ext N d K X _ _ E j k Hj Hk), (E j k Hj Hk). reflexivity.
Qed.

(** ** Moments along a line of logits *)

Section Moments.
  Variables (K : nat) (v u : nat -> R).
  Hypothesis HK : (0 < K)%nat.

  Let p s := softmax K (fun l => v l + s * u l).
  Let m s := mean K (p s) u.

  Let p_sum s : sum K (p s) = 1. Proof. apply softmax_sum, HK. Qed.

  Let mean_derivative (w : nat -> R) s :
    derivable_pt_lim (fun s => mean K (p s) w) s (\sum_(k < K) (w k * (p s k * (u k - m s)))).
  Proof.
    apply derivable_ext with (fun s => \sum_(k < K) (w k * p s k)).
    - intros r. unfold mean. apply sum_ext. intros. ring.
    - apply (derivable_sum K (fun k s => w k * p s k)). intros k _.
      apply (derivable_pt_lim_scal (fun s => p s k)).
      exact (softmax_derivative K v u k s HK).
  Qed.

  (** The derivative of Var_p(s)(u) is the third central moment. *)
  Lemma variance_derivative s :
    derivable_pt_lim (fun s => variance K (p s) u) s (mean K (p s) (fun k => (u k - m s) ^ 3)).
  Proof.
    assert (D2 := mean_derivative (fun k => u k ^ 2) s). assert (D1 := mean_derivative u s).
    replace (mean K (p s) (fun k => (u k - m s) ^ 3))
      with (\sum_(k < K) (u k ^ 2 * (p s k * (u k - m s)))
            - ((\sum_(k < K) (u k * (p s k * (u k - m s)))) * m s
               + m s * (\sum_(k < K) (u k * (p s k * (u k - m s)))))).
    - apply derivable_ext with (fun s => mean K (p s) (fun k => u k ^ 2) - mean K (p s) u * mean K (p s) u).
      + intros r. unfold variance. ring.
      + apply (derivable_pt_lim_minus (fun s => mean K (p s) (fun k => u k ^ 2))
                 (fun s => mean K (p s) u * mean K (p s) u)); [exact D2|].
        exact (derivable_pt_lim_mult (fun s => mean K (p s) u) (fun s => mean K (p s) u) s _ _ D1 D1).
    - set (q := \sum_(k < K) (u k * (p s k * (u k - m s)))).
      assert (Zero : \sum_(k < K) (p s k * (u k - m s)) = 0).
      { rewrite (sum_ext K _ (fun k => p s k * u k - m s * p s k)) by (intros; ring).
        rewrite sum_minus, sum_scal_l, p_sum. unfold m, mean. ring. }
      unfold mean.
      rewrite (sum_ext K (fun k => p s k * (u k - m s) ^ 3) (fun k =>
        (u k ^ 2 * (p s k * (u k - m s)) - 2 * m s * (u k * (p s k * (u k - m s))))
        + m s ^ 2 * (p s k * (u k - m s)))) by (intros; ring).
      rewrite sum_plus, sum_minus, !sum_scal_l, Zero. fold q. ring.
  Qed.

  (** |third moment| <= R Var where all differences of u are at most R *)
  Lemma third_moment s R : (forall k l, (k < K)%nat -> (l < K)%nat -> u k - u l <= R) ->
    - (R * variance K (p s) u) <= mean K (p s) (fun k => (u k - m s) ^ 3).
  Proof.
    intros H. assert (P : forall k, 0 <= p s k) by (intros; left; apply softmax_pos, HK).
    rewrite (variance_centered K (p s) u (p_sum s)). fold (m s). unfold mean at 1 2.
    rewrite <- sum_scal_l, <- sum_opp. apply sum_le. intros k Hk.
    assert (B : - R <= u k - m s).
    { replace (u k - m s) with (\sum_(l < K) (p s l * (u k - u l))).
      - replace (- R) with (\sum_(l < K) (p s l * - R)) by (rewrite sum_scal_r, p_sum; ring).
        apply sum_le. intros l Hl. apply Rmult_le_compat_l; [apply P|].
        assert (Q := H l k Hl Hk). lra.
      - rewrite (sum_ext K _ (fun l => p s l * u k - p s l * u l)) by (intros; ring).
        rewrite sum_minus, sum_scal_r, p_sum. unfold m, mean. ring. }
    assert (Q : 0 <= p s k * (u k - m s) ^ 2) by (apply Rmult_le_pos; [apply P|apply pow2_ge_0]).
    assert (0 <= p s k * (u k - m s) ^ 2 * (u k - m s + R)) by (apply Rmult_le_pos; lra).
    replace ((u k - m s) ^ 3) with ((u k - m s) ^ 2 * (u k - m s)) by ring. lra.
  Qed.
End Moments.

Section Certificate.
  Variables (N d K : nat) (X T : mat) (lam : R) (W Wstar : mat) (top : R).
  Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : 0 < lam).
  (** W* is the exact head, top bounds the lengths of the rows of X. *)
  Hypothesis Head : head N d K X T lam Wstar.
  Hypotheses (Htop : 0 <= top)
    (Rows : forall i, (i < N)%nat -> \sum_(j < d) (X i j * X i j) <= top * top).

  Local Notation "<< A , B >>" := (inner d K A B).
  Let H := hessian N d K X lam W.
  Let g := gradient N d K X T lam W.
  Let D := (Wstar - W)%M.

  (** |W* - W| in the norm of H *)
  Definition distance_H : R := sqrt << H D, D >>.

  Let Hsq : 0 <= << H D, D >>.
  Proof.
    assert (A := hessian_at_least N d K X lam W HN HK D). fold H in A.
    assert (0 <= lam * << D, D >>) by (apply Rmult_le_pos; [lra|apply inner_nonneg]). lra.
  Qed.
  Let n := distance_H.
  Let n_sq : n * n = << H D, D >>.
  Proof. apply sqrt_sqrt, Hsq. Qed.
  Let n_nonneg : 0 <= n.
  Proof. apply sqrt_pos. Qed.

  (** c = sqrt 2 max |x_i| / sqrt lam *)
  Let c := sqrt 2 * top / sqrt lam.
  Let sl : 0 < sqrt lam. Proof. apply sqrt_lt_R0, Hl. Qed.
  Let c_nonneg : 0 <= c.
  Proof.
    apply Rmult_le_pos; [apply Rmult_le_pos; [apply sqrt_pos|exact Htop]|].
    left. apply Rinv_0_lt_compat, sl.
  Qed.

  (** The logits of a row change, between two classes, by at most c |W* - W|_H. *)
  Let change i a b : (i < N)%nat -> (a < K)%nat -> (b < K)%nat ->
    logits d X D i a - logits d X D i b <= c * n.
  Proof.
    intros Hi Ha Hb.
    assert (Bd : 0 <= c * n) by (apply Rmult_le_pos; assumption).
    apply Rsqr_incr_0_var; [|exact Bd]. unfold Rsqr.
    (* (x'(D_a - D_b))^2 <= |x|^2 |D_a - D_b|^2 <= top^2 2 |D|^2 *)
    assert (C := cauchy_schwarz_square 1 d (fun _ j => X i j) (fun _ j => D j a - D j b)).
    unfold inner in C. cbn [sum] in C. rewrite !Rplus_0_l in C.
    assert (E : logits d X D i a - logits d X D i b = \sum_(j < d) (X i j * (D j a - D j b))).
    { unfold logits. rewrite <- sum_minus. apply sum_ext. intros. ring. }
    rewrite E.
    assert (F : \sum_(j < d) ((D j a - D j b) * (D j a - D j b)) <= 2 * << D, D >>).
    { unfold inner. rewrite <- sum_scal_l. apply sum_le. intros j Hj.
      destruct (Nat.eq_dec a b) as [->|Ne].
      - assert (0 <= \sum_(k < K) (D j k * D j k)) by (apply sum_nonneg; intros; apply Rle_0_sqr). lra.
      - assert (Q : D j a * D j a + D j b * D j b <= \sum_(k < K) (D j k * D j k)).
        { apply (two_entries K (D j)); assumption. }
        assert (S := Rle_0_sqr (D j a + D j b)). unfold Rsqr in S. lra. }
    assert (A := hessian_at_least N d K X lam W HN HK D). fold H in A. rewrite <- n_sq in A.
    assert (Rx := Rows i Hi).
    set (x2 := \sum_(j < d) (X i j * X i j)) in *.
    set (w2 := \sum_(j < d) ((D j a - D j b) * (D j a - D j b))) in *.
    set (dd := << D, D >>) in *.
    assert (Hx2 : 0 <= x2) by (apply sum_nonneg; intros; apply Rle_0_sqr).
    assert (Hw2 : 0 <= w2) by (apply sum_nonneg; intros; apply Rle_0_sqr).
    assert (Hdd : 0 <= dd) by apply inner_nonneg.
    assert (Cc : c * n * (c * n) = 2 * (top * top) * (n * n) / lam).
    { unfold c. transitivity (sqrt 2 * sqrt 2 * (top * top) * (n * n) / (sqrt lam * sqrt lam)).
      - field. lra.
      - rewrite !sqrt_sqrt by lra. reflexivity. }
    rewrite Cc. apply Rle_trans with (x2 * w2); [lra|].
    apply Rle_trans with (top * top * (2 * dd)).
    { apply Rmult_le_compat; assumption. }
    apply (Rmult_le_reg_r lam); [exact Hl|].
    replace (2 * (top * top) * (n * n) / lam * lam) with (2 * (top * top) * (n * n)) by (field; lra).
    replace (top * top * (2 * dd) * lam) with (2 * (top * top) * (lam * dd)) by ring.
    apply Rmult_le_compat_l; [|exact A]. assert (Z := Rle_0_sqr top). unfold Rsqr in Z. lra.
  Qed.

  (** Along the segment: f(s) = <grad L(W + s D), D> and its derivative, the Hessian's form. *)
  Let f s := << gradient N d K X T lam (W + s * D), D >>.
  Let f1 s := << hessian N d K X lam (W + s * D) D, D >>.

  Let f_derivative s : derivable_pt_lim f s (f1 s).
  Proof. apply hessian_derivative; assumption. Qed.

  Let P s i := softmax K (fun l => logits d X W i l + s * logits d X D i l).
  Let f1_variances s : f1 s =
    (\sum_(i < N) variance K (P s i) (logits d X D i)) / INR N + lam * << D, D >>.
  Proof.
    unfold f1. rewrite hessian_square. f_equal. f_equal. apply sum_ext. intros i _.
    assert (E : forall l, (l < K)%nat -> predictions d K X (W + s * D) i l = P s i l).
    { intros l Hl'. apply softmax_ext; [|exact Hl']. intros. rewrite logits_add, logits_scale. reflexivity. }
    unfold variance, mean. f_equal; [|f_equal]; apply sum_ext; intros k Hk; rewrite E by exact Hk;
      reflexivity.
  Qed.

  Let N_pos : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.

  (** f1(s) >= exp(-R s) n^2 for R = c n *)
  Let R := c * n.
  Let R_nonneg : 0 <= R. Proof. apply Rmult_le_pos; assumption. Qed.

  Let f1_at_least s : 0 <= s -> exp (- (R * s)) * (n * n) <= f1 s.
  Proof.
    intros Hs.
    set (f2 := fun s => (\sum_(i < N) mean K (P s i)
                (fun k => (logits d X D i k - mean K (P s i) (logits d X D i)) ^ 3)) / INR N).
    assert (D1 : forall s, derivable_pt_lim f1 s (f2 s)).
    { intros r. apply derivable_ext with (fun s =>
        / INR N * (\sum_(i < N) variance K (P s i) (logits d X D i)) + lam * << D, D >>).
      { intros q. rewrite f1_variances. unfold Rdiv. ring. }
      replace (f2 r) with (/ INR N * (\sum_(i < N) mean K (P r i)
        (fun k => (logits d X D i k - mean K (P r i) (logits d X D i)) ^ 3)) + 0)
        by (unfold f2, Rdiv; ring).
      apply (derivable_pt_lim_plus (fun s => / INR N * (\sum_(i < N) variance K (P s i) (logits d X D i)))
               (fun _ => lam * << D, D >>)); [|apply derivable_pt_lim_const].
      apply (derivable_pt_lim_scal (fun s => \sum_(i < N) variance K (P s i) (logits d X D i))).
      apply (derivable_sum N (fun i s => variance K (P s i) (logits d X D i))). intros i _.
      apply variance_derivative, HK. }
    assert (Low : forall s, 0 <= R * f1 s + f2 s).
    { intros r. rewrite f1_variances. unfold f2.
      assert (Z : 0 <= R * (lam * << D, D >>)).
      { apply Rmult_le_pos; [exact R_nonneg|]. apply Rmult_le_pos; [lra|apply inner_nonneg]. }
      assert (S : 0 <= R * ((\sum_(i < N) variance K (P r i) (logits d X D i)) / INR N)
                       + (\sum_(i < N) mean K (P r i)
                (fun k => (logits d X D i k - mean K (P r i) (logits d X D i)) ^ 3)) / INR N).
      { replace (R * ((\sum_(i < N) variance K (P r i) (logits d X D i)) / INR N)
                       + (\sum_(i < N) mean K (P r i)
                (fun k => (logits d X D i k - mean K (P r i) (logits d X D i)) ^ 3)) / INR N)
          with ((\sum_(i < N) (R * variance K (P r i) (logits d X D i) + mean K (P r i)
                (fun k => (logits d X D i k - mean K (P r i) (logits d X D i)) ^ 3))) / INR N)
          by (rewrite sum_plus, sum_scal_l; unfold Rdiv; ring).
        apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, N_pos]. apply sum_nonneg. intros i Hi.
        assert (M : - (R * variance K (P r i) (logits d X D i)) <= mean K (P r i)
                (fun k => (logits d X D i k - mean K (P r i) (logits d X D i)) ^ 3)).
        { apply (third_moment K (logits d X W i) (logits d X D i) HK r R).
          intros k l Hk Hl'. apply change; assumption. }
        lra. }
      lra. }
    assert (G : forall s, derivable_pt_lim (fun s => exp (R * s) * f1 s) s
                (exp (R * s) * (R * f1 s + f2 s))).
    { intros r. replace (exp (R * r) * (R * f1 r + f2 r))
        with (exp (R * r) * (R * 1) * f1 r + exp (R * r) * f2 r) by ring.
      apply (derivable_pt_lim_mult (fun s => exp (R * s)) f1); [|apply D1].
      apply (derivable_pt_lim_comp (fun s => R * s) exp); [|apply derivable_pt_lim_exp].
      apply (derivable_pt_lim_scal (fun s => s)), derivable_pt_lim_id. }
    assert (F0 : f1 0 = n * n).
    { rewrite n_sq, f1_variances. unfold H. rewrite hessian_square. f_equal. f_equal.
      apply sum_ext. intros i _. unfold variance, mean.
      assert (E : forall l, (l < K)%nat -> P 0 i l = predictions d K X W i l)
        by (intros l Hl'; apply softmax_ext; [intros; ring|exact Hl']).
      f_equal; [|f_equal]; apply sum_ext; intros k Hk; rewrite E by exact Hk; reflexivity. }
    destruct (Req_dec s 0) as [->|Z].
    { rewrite F0, Rmult_0_r, Ropp_0, exp_0. lra. }
    assert (M := rises (fun s => exp (R * s) * f1 s) _ 0 s ltac:(lra) (fun r _ => G r)
                   (fun r _ => Rmult_le_pos _ _ (Rlt_le _ _ (exp_pos _)) (Low r))).
    cbv beta in M. rewrite Rmult_0_r, exp_0, F0 in M.
    apply (Rmult_le_reg_l (exp (R * s))); [apply exp_pos|].
    rewrite <- Rmult_assoc, <- exp_plus. replace (R * s + - (R * s)) with 0 by ring. rewrite exp_0.
    lra.
  Qed.

  (** f(1) = 0: the gradient at W* is 0. *)
  Let f_end : f 1 = 0.
  Proof.
    unfold f. rewrite (inner_ext d K _ zero _ D); [apply inner_zero_l| |apply meq_refl].
    assert (E : meq d K (W + 1 * D) Wstar) by (intros j k _ _; unfold D, add, scale, sub; ring).
    assert (G := proj1 (head_gradient N d K X T lam Wstar) Head).
    apply (meq_trans d K _ _ _ (gradient_ext N d K X T lam _ _ E) G).
  Qed.

  (** The Newton decrement: nu^2 = <g, y> with H y = g. *)
  Variable y : mat.
  Hypothesis Hy : meq d K (H y) g.
  Let nu := sqrt << g, y >>.

  Let decrement : - << g, D >> <= nu * n.
  Proof.
    destruct (hessian_linear N d K X lam W) as (E1 & E2 & E3). fold H in E1, E2, E3.
    assert (Sym := hessian_symmetric N d K X lam W). fold H in Sym.
    assert (Low := hessian_at_least N d K X lam W HN HK). fold H in Low.
    assert (Gy : << g, y >> = << H y, y >>).
    { apply inner_ext; [apply meq_sym, Hy|apply meq_refl]. }
    assert (GD : << g, D >> = << H y, D >>).
    { apply inner_ext; [apply meq_sym, Hy|apply meq_refl]. }
    assert (Quad : forall a, 0 <= << g, y >> + 2 * a * << g, D >> + a * a * (n * n)).
    { intros a. assert (Q := Low (y + a * D)%M).
      assert (Z : 0 <= lam * << (y + a * D)%M, (y + a * D)%M >>)
        by (apply Rmult_le_pos; [lra|apply inner_nonneg]).
      assert (HE : meq d K (H (y + a * D)%M) (H y + a * H D)).
      { intros j k Hj Hk. rewrite (E2 y (a * D)%M j k Hj Hk). unfold add.
        rewrite (E3 a D j k Hj Hk). reflexivity. }
      rewrite (inner_ext d K _ _ _ _ HE (meq_refl d K (y + a * D))) in Q.
      expand_in Q. rewrite n_sq, Gy, GD.
      rewrite (Sym D y), (inner_sym d K D (H y)) in Q. expand_in Z. lra. }
    assert (Hg : 0 <= << g, y >>) by (assert (Q := Quad 0); lra).
    assert (Hnu : nu * nu = << g, y >>) by (apply sqrt_sqrt, Hg).
    assert (Hnu0 : 0 <= nu) by apply sqrt_pos.
    assert (B : 0 <= nu * n) by (apply Rmult_le_pos; assumption).
    destruct (Rle_lt_dec 0 (<< g, D >>)) as [L|L]; [lra|].
    apply Rsqr_incr_0_var; [|exact B]. unfold Rsqr. rewrite <- Hnu in Quad.
    set (b := << g, D >>) in *.
    destruct (Req_dec n 0) as [Zn|Zn].
    - (* then b = 0 *)
      exfalso. assert (Q := Quad ((nu * nu + 1) / (- 2 * b))). rewrite Zn in Q.
      replace (2 * ((nu * nu + 1) / (-2 * b)) * b) with (- (nu * nu + 1)) in Q by (field; lra). lra.
    - assert (Hn : 0 < n) by lra.
      assert (Q := Quad (- b / (n * n))).
      assert (Hnn : 0 < n * n) by (apply Rmult_lt_0_compat; assumption).
      apply (Rmult_le_compat_l (n * n)) in Q; [|lra].
      replace (n * n * (nu * nu + 2 * (- b / (n * n)) * b + - b / (n * n) * (- b / (n * n)) * (n * n)))
        with (nu * n * (nu * n) - b * b) in Q by (field; lra). lra.
  Qed.

  (** For c nu < 1 and r = -ln(1 - c nu):  max_i osc((W* - W)' x_i) <= r  and
      |W - W*|_H <= nu r / (1 - exp(-r)) = r / c  (where c nu = 0, the limit r -> 0: nu). *)
  Theorem local_certificate : c * nu < 1 ->
    let r := - ln (1 - c * nu) in
    (forall i a b, (i < N)%nat -> (a < K)%nat -> (b < K)%nat ->
       logits d X (Wstar - W)%M i a - logits d X (Wstar - W)%M i b <= r) /\
    (0 < c * nu -> distance_H <= nu * r / (1 - exp (- r)) /\ nu * r / (1 - exp (- r)) = r / c) /\
    (c * nu = 0 -> distance_H <= nu).
  Proof.
    intros Hc r.
    assert (Hnu : 0 <= nu) by apply sqrt_pos.
    assert (Hcn : 0 <= c * nu) by (apply Rmult_le_pos; assumption).
    assert (Er : exp (- r) = 1 - c * nu).
    { unfold r. rewrite Ropp_involutive. apply exp_ln. lra. }
    assert (F0 : f 0 = << g, D >>).
    { unfold f. apply inner_ext; [|apply meq_refl].
      assert (E : meq d K (W + 0 * D) W) by (intros j k _ _; unfold add, scale; ring).
      exact (gradient_ext N d K X T lam _ _ E). }
    assert (Dec := decrement).
    (* c n <= r *)
    assert (Main : R <= r).
    { destruct (Req_dec R 0) as [Z|Z].
      - rewrite Z. unfold r. rewrite <- ln_1, <- (Ropp_involutive (ln 1)). apply Ropp_le_contravar.
        rewrite ln_1, Ropp_0, <- ln_1. destruct Hcn as [A|A].
        + left. apply ln_increasing; lra.
        + rewrite <- A, Rminus_0_r. apply Rle_refl.
      - assert (HR : 0 < R) by lra.
        assert (Hn : 0 < n) by (destruct (Req_dec n 0) as [A|A]; [exfalso; apply Z; unfold R; rewrite A; ring|lra]).
        (* f(s) + n^2 exp(-R s)/R rises *)
        assert (M := rises (fun s => f s + n * n / R * exp (- (R * s)))
                       (fun s => f1 s + n * n / R * (exp (- (R * s)) * - (R * 1))) 0 1 ltac:(lra)).
        cbv beta in M.
        assert (M' : f 0 + n * n / R * exp (- (R * 0)) <= f 1 + n * n / R * exp (- (R * 1))).
        { apply M.
          - intros s _. apply (derivable_pt_lim_plus f (fun s => n * n / R * exp (- (R * s))));
              [apply f_derivative|].
            apply (derivable_pt_lim_scal (fun s => exp (- (R * s)))).
            apply (derivable_pt_lim_comp (fun s => - (R * s)) exp); [|apply derivable_pt_lim_exp].
            apply (derivable_pt_lim_opp (fun s => R * s)).
            apply (derivable_pt_lim_scal (fun s => s)), derivable_pt_lim_id.
          - intros s Hs. assert (L := f1_at_least s ltac:(lra)).
            replace (n * n / R * (exp (- (R * s)) * - (R * 1))) with (- (exp (- (R * s)) * (n * n)))
              by (field; exact Z). lra. }
        rewrite f_end, F0, Rmult_0_r, Ropp_0, exp_0, !Rmult_1_r in M'.
        (* nu n >= n^2 (1 - exp(-R))/R, so exp(-R) >= 1 - c nu *)
        assert (B : n * n / R * (1 - exp (- R)) <= nu * n) by lra.
        assert (B' : 1 - exp (- R) <= c * nu).
        { apply (Rmult_le_reg_l (n * n / R));
            [apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; assumption|exact HR]|].
          replace (n * n / R * (c * nu)) with (nu * n) by (unfold R; field; split;
            [lra|intros A; apply Z; unfold R; rewrite A; ring]). exact B. }
        assert (L : ln (1 - c * nu) <= - R).
        { rewrite <- (ln_exp (- R)). destruct (Rle_lt_or_eq_dec (1 - c * nu) (exp (- R)) ltac:(lra)) as [A|A].
          - left. apply ln_increasing; lra.
          - rewrite A. apply Rle_refl. }
        unfold r. lra. }
    split; [|split].
    - intros i a b Hi Ha Hb. apply Rle_trans with (c * n); [apply change; assumption|exact Main].
    - intros Pos. assert (Hcpos : 0 < c) by (destruct (Req_dec c 0) as [A|A]; [rewrite A in Pos; lra|lra]).
      assert (Hnpos : 0 < nu) by (destruct (Req_dec nu 0) as [A|A]; [rewrite A in Pos; lra|lra]).
      assert (E : nu * r / (1 - exp (- r)) = r / c) by (rewrite Er; field; split; lra).
      split; [|exact E]. rewrite E. fold n. apply (Rmult_le_reg_l c); [exact Hcpos|].
      replace (c * (r / c)) with r by (field; lra). exact Main.
    - intros Z. fold n.
      assert (Rz : c = 0 \/ nu = 0) by (apply Rmult_integral, Z).
      assert (R0 : R = 0).
      { apply Rle_antisym; [|exact R_nonneg]. apply Rle_trans with (1 := Main). unfold r.
        rewrite Z, Rminus_0_r, ln_1. lra. }
      (* the Hessian's form does not fall along the segment *)
      assert (M := rises (fun s => f s - n * n * s) (fun s => f1 s - n * n * 1) 0 1 ltac:(lra)).
      cbv beta in M.
      assert (M' : f 0 - n * n * 0 <= f 1 - n * n * 1).
      { apply M.
        - intros s _. apply (derivable_pt_lim_minus f (fun s => n * n * s)); [apply f_derivative|].
          apply (derivable_pt_lim_scal (fun s => s)), derivable_pt_lim_id.
        - intros s Hs. assert (L := f1_at_least s ltac:(lra)).
          rewrite R0, Rmult_0_l, Ropp_0, exp_0 in L. lra. }
      rewrite f_end, F0 in M'.
      destruct (Req_dec n 0) as [A|A]; [lra|].
      apply (Rmult_le_reg_r n); [lra|]. lra.
  Qed.
End Certificate.

(** perturbation: close Gram matrices give close predictions. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import filters spectral.
From Gramlab Require Export perturbation_numbers.
Open Scope R_scope.

(** |T x| <= delta |x| for all x: the spectral norm of T, which is the least such delta, is at most
    delta. *)
Definition norm_at_most (N : nat) (T : (nat -> R) -> nat -> R) (delta : R) : Prop :=
  0 <= delta /\ forall x, norm2 N (T x) <= delta * delta * norm2 N x.

Lemma sum_reverse t f : sum t (fun i => f (t - 1 - i)%nat) = sum t f.
Proof.
  induction t as [|t IH]; [reflexivity|]. rewrite sum_shift. cbn [sum].
  replace (S t - 1 - 0)%nat with t by lia.
  rewrite (sum_ext t _ (fun i => f (t - 1 - i)%nat)).
  - rewrite IH. ring.
  - intros i Hi. f_equal. lia.
Qed.

Lemma filter_power_shift N G mu t x :
  filter_power N G mu t (filter N G mu x) = filter_power N G mu (S t) x.
Proof. induction t as [|t IH]; [reflexivity|]. cbn [filter_power] in *. rewrite IH. reflexivity. Qed.

Section One.
  Variables (N : nat) (G : nat -> nat -> R) (mu : R).
  Hypotheses (Sy : symmetric N G) (P : psd N G) (Hmu : 0 < mu).

  Lemma resolvent_symmetric x y :
    dot N x (resolvent N G mu y) = dot N (resolvent N G mu x) y.
  Proof.
    set (u := resolvent N G mu x). set (w := resolvent N G mu y).
    rewrite <- (dot_ext N _ w x w (resolvent_spec N G mu Sy P Hmu x) (fun _ _ => eq_refl)).
    rewrite <- (dot_ext N u _ u y (fun _ _ => eq_refl) (resolvent_spec N G mu Sy P Hmu y)).
    fold u w. rewrite (dot_comm N (fun i => _ + _)), !dot_plus_r, !dot_scal_r.
    rewrite (symmetric_dot N G Sy w u), (dot_comm N (mv N G w)), (dot_comm N w u). reflexivity.
  Qed.

  Lemma filter_symmetric x y : dot N x (filter N G mu y) = dot N (filter N G mu x) y.
  Proof.
    assert (E : forall z i, (i < N)%nat -> filter N G mu z i = z i - mu * resolvent N G mu z i).
    { intros z i Hi. assert (R := resolvent_filter N G mu Sy P Hmu z i Hi). lra. }
    rewrite (dot_ext N x _ x _ (fun _ _ => eq_refl) (E y)).
    rewrite (dot_ext N _ y _ y (E x) (fun _ _ => eq_refl)).
    rewrite dot_minus_r, dot_scal_r, resolvent_symmetric.
    rewrite (dot_comm N (fun i => _ - _)), dot_minus_r, dot_scal_r, (dot_comm N y x),
      (dot_comm N y). reflexivity.
  Qed.

  Lemma filter_power_symmetric t x y :
    dot N x (filter_power N G mu t y) = dot N (filter_power N G mu t x) y.
  Proof.
    revert x. induction t as [|t IH]; intros x; [reflexivity|].
    change (filter_power N G mu (S t) y) with (filter N G mu (filter_power N G mu t y)).
    rewrite filter_symmetric, IH, filter_power_shift. reflexivity.
  Qed.

  (** 0 <= h(G)^t <= 1 *)
  Lemma filter_power_form t x : 0 <= dot N x (filter_power N G mu t x) <= norm2 N x.
  Proof.
    destruct (spectral_theorem N G Sy) as (v & s & B).
    assert (E : dot N x (filter_power N G mu t x)
                = sum N (fun r => (s r / (s r + mu)) ^ t * (dot N (v r) x * dot N (v r) x))).
    { destruct (B) as (_ & C & _).
      rewrite (dot_ext N x _ (fun i => sum N (fun r => dot N (v r) x * v r i))
                 (filter_power N G mu t x) (C x) (fun _ _ => eq_refl)).
      rewrite dot_comm, (dot_sum_r N N _ (fun r i => dot N (v r) x * v r i)).
      apply sum_ext. intros r Hr. rewrite dot_scal_r, (dot_comm N (filter_power N G mu t x)).
      rewrite (eigenbasis_filter_power N G v s Sy B P mu Hmu t r x Hr). ring. }
    rewrite E, (eigenbasis_norm N G v s B x).
    assert (Q : forall r, (r < N)%nat -> 0 <= (s r / (s r + mu)) ^ t <= 1).
    { intros r Hr. assert (S := eigenvalue_nonneg N G v s Sy B P r Hr).
      assert (0 <= s r / (s r + mu) <= 1).
      { split; [apply Rmult_le_pos; [exact S|left; apply Rinv_0_lt_compat; lra]|].
        apply (Rmult_le_reg_r (s r + mu)); [lra|].
        replace (s r / (s r + mu) * (s r + mu)) with (s r) by (field; lra). lra. }
      split; [apply pow_le; lra|]. rewrite <- (pow1 t). apply pow_incr. lra. }
    split.
    - apply sum_nonneg. intros r Hr. apply Rmult_le_pos; [apply Q, Hr|apply Rle_0_sqr].
    - apply sum_le. intros r Hr. rewrite <- (Rmult_1_l (dot N (v r) x * dot N (v r) x)) at 2.
      apply Rmult_le_compat_r; [apply Rle_0_sqr|apply Q, Hr].
  Qed.

  (** sum of y_i |(G + mu)^(-1) h(G)^i z|^2 <= (kappa/mu^2) |z|^2 *)
  Lemma column_bound t (y : nat -> R) kappa z :
    (forall p, 0 <= p <= 1 -> height t y p <= kappa) ->
    \sum_(i < t) (y i * norm2 N (resolvent N G mu (filter_power N G mu i z)))
    <= kappa / (mu * mu) * norm2 N z.
  Proof.
    intros Hk. destruct (spectral_theorem N G Sy) as (v & s & B).
    rewrite (sum_ext t _ (fun i => sum N (fun r => y i
      * ((s r / (s r + mu)) ^ i / (s r + mu)) * ((s r / (s r + mu)) ^ i / (s r + mu))
      * (dot N (v r) z * dot N (v r) z)))).
    - rewrite sum_swap, (eigenbasis_norm N G v s B z), <- sum_scal_l. apply sum_le. intros r Hr.
      rewrite sum_scal_r. apply Rmult_le_compat_r; [apply Rle_0_sqr|].
      assert (S := eigenvalue_nonneg N G v s Sy B P r Hr). set (p := s r / (s r + mu)).
      assert (Hp : 0 <= p <= 1).
      { unfold p. split; [apply Rmult_le_pos; [exact S|left; apply Rinv_0_lt_compat; lra]|].
        apply (Rmult_le_reg_r (s r + mu)); [lra|].
        replace (s r / (s r + mu) * (s r + mu)) with (s r) by (field; lra). lra. }
      assert (E : / (s r + mu) = (1 - p) / mu) by (unfold p; field; lra).
      rewrite (sum_ext t _ (fun i => / (mu * mu) * ((1 - p) * (1 - p) * (y i * (p ^ i * p ^ i))))).
      + rewrite !sum_scal_l. unfold Rdiv. rewrite Rmult_comm.
        apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, Rmult_lt_0_compat; assumption|].
        apply (Hk p Hp).
      + intros i _. unfold Rdiv. rewrite E. field. lra.
    - intros i _. rewrite (eigenbasis_norm N G v s B), <- sum_scal_l. apply sum_ext. intros r Hr.
      rewrite (eigenbasis_resolvent N G v s Sy B P mu Hmu),
        (eigenbasis_filter_power N G v s Sy B P mu Hmu) by exact Hr.
      unfold Rdiv. ring.
  Qed.
End One.

Section Two.
  Variables (N : nat) (G G' : nat -> nat -> R) (mu : R).
  Hypotheses (Sy : symmetric N G) (P : psd N G) (Sy' : symmetric N G') (P' : psd N G') (Hmu : 0 < mu).

  Let Delta i j := G i j - G' i j.
  Let mv_Delta x i : mv N Delta x i = mv N G x i - mv N G' x i.
  Proof. unfold mv, Delta. rewrite <- sum_minus. apply sum_ext. intros. ring. Qed.

  (** h(G) - h(G') = mu (G + mu)^(-1) (G - G') (G' + mu)^(-1) *)
  Let difference u w : dot N u (filter N G mu w) - dot N u (filter N G' mu w)
    = mu * dot N (resolvent N G mu u) (mv N Delta (resolvent N G' mu w)).
  Proof.
    rewrite <- (resolvent_symmetric N G mu Sy P Hmu), <- dot_scal_r, <- dot_minus_r.
    apply dot_ext; [reflexivity|]. intros i Hi.
    assert (R := resolvent_filter N G mu Sy P Hmu w i Hi).
    assert (R' := resolvent_filter N G' mu Sy' P' Hmu w i Hi).
    assert (E : resolvent N G' mu w i - resolvent N G mu w i
                = resolvent N G mu (mv N Delta (resolvent N G' mu w)) i).
    { revert i Hi R R'. intros i Hi _ _. revert i Hi.
      apply (resolvent_unique N G mu Sy P Hmu _
               (fun i => resolvent N G' mu w i - resolvent N G mu w i)).
      intros i Hi. rewrite mv_minus, mv_Delta.
      assert (E1 := resolvent_spec N G mu Sy P Hmu w i Hi).
      assert (E2 := resolvent_spec N G' mu Sy' P' Hmu w i Hi). lra. }
    rewrite <- E. lra.
  Qed.

  (** h(G)^t - h(G')^t = sum of h(G)^i (h(G) - h(G')) h(G')^(t-1-i) *)
  Let telescope t : forall z x,
    dot N z (filter_power N G mu t x) - dot N z (filter_power N G' mu t x)
    = \sum_(i < t) (mu * dot N (resolvent N G mu (filter_power N G mu i z))
        (mv N Delta (resolvent N G' mu (filter_power N G' mu (t - 1 - i) x)))).
  Proof.
    induction t as [|t IH]; intros z x; [cbn; ring|].
    rewrite sum_shift. cbn [filter_power]. replace (S t - 1 - 0)%nat with t by lia.
    rewrite <- (difference z (filter_power N G' mu t x)).
    rewrite (sum_ext t _ (fun i => mu * dot N
      (resolvent N G mu (filter_power N G mu i (filter N G mu z)))
      (mv N Delta (resolvent N G' mu (filter_power N G' mu (t - 1 - i) x))))).
    - rewrite <- IH, !(filter_symmetric N G mu Sy P Hmu z). ring.
    - intros i Hi. rewrite filter_power_shift. replace (S t - 1 - S i)%nat with (t - 1 - i)%nat by lia.
      reflexivity.
  Qed.

  Let gap t x i := filter_power N G mu t x i - filter_power N G' mu t x i.

  (** The spectral norm of h(G)^t - h(G')^t is at most (kappa/mu) |G - G'|, for all positive weights
      with y_i y_(t-1-i) = 1. *)
  Theorem perturbation_weights t (y : nat -> R) kappa delta :
    (forall i, (i < t)%nat -> 0 < y i) -> (forall i, (i < t)%nat -> y i * y (t - 1 - i)%nat = 1) ->
    (forall p, 0 <= p <= 1 -> height t y p <= kappa) ->
    norm_at_most N (mv N Delta) delta ->
    norm_at_most N (gap t) (kappa * delta / mu).
  Proof.
    intros Hy Hyy Hk (Hd & HD).
    assert (Hk0 : 0 <= kappa).
    { assert (H := Hk 1 ltac:(lra)). unfold height in H. lra. }
    set (K := kappa * delta / mu).
    assert (HK : 0 <= K).
    { apply Rmult_le_pos; [apply Rmult_le_pos; assumption|left; apply Rinv_0_lt_compat, Hmu]. }
    split; [exact HK|]. intros x. set (z := gap t x).
    set (a := fun i => resolvent N G mu (filter_power N G mu i z)).
    set (b := fun i => resolvent N G' mu (filter_power N G' mu i x)).
    (* 2 <a, Delta b> <= delta (c y |a|^2 + |b|^2 / (c y)) *)
    assert (Pair : forall f g c, 0 < c ->
      2 * dot N f (mv N Delta g) <= delta * (c * norm2 N f + / c * norm2 N g)).
    { intros f g c Hc. assert (C := cauchy_schwarz N f (mv N Delta g)). assert (Dg := HD g).
      assert (Qf := norm2_nonneg N f). assert (Qg := norm2_nonneg N g).
      set (u := norm2 N f) in *. set (w := norm2 N g) in *. set (d := dot N f (mv N Delta g)) in *.
      apply Rsqr_incr_0_var.
      - unfold Rsqr.
        apply Rle_trans with (4 * (delta * delta * (u * w))).
        + assert (u * norm2 N (mv N Delta g) <= u * (delta * delta * w))
            by (apply Rmult_le_compat_l; assumption). lra.
        + replace (delta * (c * u + / c * w) * (delta * (c * u + / c * w)))
            with (delta * delta * ((c * u + / c * w) * (c * u + / c * w))) by ring.
          rewrite <- Rmult_assoc, (Rmult_comm 4), Rmult_assoc.
          apply Rmult_le_compat_l; [apply Rle_0_sqr|].
          assert (Q := Rle_0_sqr (c * u - / c * w)). unfold Rsqr in Q.
          assert (E : c * u * (/ c * w) = u * w) by (field; lra). lra.
      - apply Rmult_le_pos; [exact Hd|]. assert (0 < / c) by (apply Rinv_0_lt_compat, Hc).
        apply Rplus_le_le_0_compat; apply Rmult_le_pos; lra. }
    assert (Sa := column_bound N G mu Sy P Hmu t y kappa z Hk).
    assert (Sb := column_bound N G' mu Sy' P' Hmu t y kappa x Hk).
    fold (a) in Sa.
    assert (T := telescope t z x).
    assert (Ez : dot N z (filter_power N G mu t x) - dot N z (filter_power N G' mu t x) = norm2 N z)
      by (rewrite <- dot_minus_r; reflexivity).
    rewrite Ez in T.
    assert (Main : forall c, 0 < c ->
      2 * norm2 N z <= K * (c * norm2 N z + / c * norm2 N x)).
    { intros c Hc. rewrite T at 1. rewrite <- sum_scal_l.
      apply Rle_trans with (mu * delta * (c * (\sum_(i < t) (y i * norm2 N (a i)))
                            + / c * (\sum_(i < t) (y i * norm2 N (b i))))).
      - rewrite <- (sum_reverse t (fun i => y i * norm2 N (b i))).
        rewrite <- (sum_scal_l t c), <- (sum_scal_l t (/ c)), <- sum_plus, <- sum_scal_l.
        apply sum_le. intros i Hi.
        assert (Yi := Hy i Hi). assert (Hcy : 0 < c * y i) by (apply Rmult_lt_0_compat; assumption).
        assert (Q := Pair (a i) (b (t - 1 - i)%nat) (c * y i) Hcy).
        apply (Rmult_le_compat_l mu) in Q; [|lra].
        assert (Inv : / (c * y i) = / c * y (t - 1 - i)%nat).
        { apply (Rmult_eq_reg_l (c * y i)); [|lra]. rewrite Rinv_r by lra.
          transitivity (c * / c * (y i * y (t - 1 - i)%nat)); [|ring].
          rewrite Rinv_r, Hyy by (lra || exact Hi). ring. }
        rewrite Inv in Q. unfold a, b in *. lra.
      - apply Rle_trans with (mu * delta * (c * (kappa / (mu * mu) * norm2 N z)
                              + / c * (kappa / (mu * mu) * norm2 N x))).
        + apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|].
          assert (0 < / c) by (apply Rinv_0_lt_compat, Hc).
          apply Rplus_le_compat; apply Rmult_le_compat_l; try lra; assumption.
        + right. unfold K. field. lra. }
    assert (Qz := norm2_nonneg N z). assert (Qx := norm2_nonneg N x).
    destruct (Rle_lt_or_eq_dec 0 K HK) as [Pos|Zero].
    - assert (M := Main (/ K) ltac:(apply Rinv_0_lt_compat, Pos)). rewrite Rinv_inv in M.
      replace (K * (/ K * norm2 N z + K * norm2 N x)) with (norm2 N z + K * K * norm2 N x) in M
        by (field; lra). lra.
    - assert (M := Main 1 ltac:(lra)). rewrite <- Zero in *. lra.
  Qed.

  (** ... and at most 1. *)
  Theorem perturbation_one t : norm_at_most N (gap t) 1.
  Proof.
    split; [lra|]. intros x. set (w := gap t x).
    (* <z, D z> lies between -|z|^2 and |z|^2, D symmetric *)
    assert (Form : forall z, - norm2 N z <= dot N z (gap t z) <= norm2 N z).
    { intros z. unfold gap. rewrite dot_minus_r.
      assert (A := filter_power_form N G mu Sy P Hmu t z).
      assert (B := filter_power_form N G' mu Sy' P' Hmu t z). lra. }
    assert (Gap : forall c z i, (i < N)%nat ->
              gap t (fun j => w j + c * z j) i = gap t w i + c * gap t z i).
    { intros c z i Hi. unfold gap.
      rewrite (filter_power_plus N G mu Sy P Hmu t w (fun j => c * z j) i Hi),
        (filter_power_plus N G' mu Sy' P' Hmu t w (fun j => c * z j) i Hi),
        (filter_power_scal N G mu Sy P Hmu t c z i Hi), (filter_power_scal N G' mu Sy' P' Hmu t c z i Hi).
      ring. }
    assert (Expand : forall c, dot N (fun j => w j + c * x j) (gap t (fun j => w j + c * x j))
              = dot N w (gap t w) + 2 * c * norm2 N w + c * c * dot N x (gap t x)).
    { intros c. rewrite (dot_ext N _ _ (fun j => w j + c * x j) _ (fun _ _ => eq_refl) (Gap c x)).
      rewrite dot_plus_r, dot_scal_r.
      rewrite (dot_comm N (fun j => w j + c * x j) (gap t w)),
        (dot_comm N (fun j => w j + c * x j) (gap t x)), !dot_plus_r, !dot_scal_r.
      rewrite (dot_comm N (gap t w) w), (dot_comm N (gap t x) x).
      assert (E : dot N (gap t w) x = norm2 N w).
      { unfold gap. rewrite dot_comm, dot_minus_r.
        rewrite (filter_power_symmetric N G mu Sy P Hmu t x w),
          (filter_power_symmetric N G' mu Sy' P' Hmu t x w).
        rewrite (dot_comm N _ w), (dot_comm N _ w), <- dot_minus_r. reflexivity. }
      rewrite E. change (dot N (gap t x) w) with (norm2 N w). ring. }
    assert (F1 := Form (fun j => w j + 1 * x j)). assert (F2 := Form (fun j => w j + -1 * x j)).
    rewrite Expand in F1, F2.
    assert (Sum : norm2 N (fun j => w j + 1 * x j) + norm2 N (fun j => w j + -1 * x j)
                  = 2 * norm2 N w + 2 * norm2 N x).
    { unfold norm2, dot. rewrite <- !sum_scal_l, <- !sum_plus. apply sum_ext. intros. ring. }
    lra.
  Qed.
End Two.

Lemma weight_pos t alpha i : 0 < alpha -> 0 < weight t alpha i.
Proof.
  intros Ha. assert (0 <= INR i) by apply pos_INR. assert (0 <= INR (t - 1 - i)) by apply pos_INR.
  apply Rdiv_lt_0_compat; lra.
Qed.

Lemma weight_inverse t alpha i : 0 < alpha -> (i < t)%nat ->
  weight t alpha i * weight t alpha (t - 1 - i) = 1.
Proof.
  intros Ha Hi. unfold weight. replace (t - 1 - (t - 1 - i))%nat with i by lia.
  assert (0 <= INR i) by apply pos_INR. assert (0 <= INR (t - 1 - i)) by apply pos_INR.
  field. lra.
Qed.

(** There is such a kappa_t, for every t. *)
Theorem kappa_exists (t : nat) : exists k, kappa t k.
Proof. exact (perturbation_numbers.kappa_exists t). Qed.

(** The bound, with kappa_t the infimum over alpha. *)
Theorem perturbation_bound (N : nat) (G G' : nat -> nat -> R) (mu k delta : R) (t : nat) :
  symmetric N G -> psd N G -> symmetric N G' -> psd N G' -> 0 < mu ->
  kappa t k -> norm_at_most N (mv N (fun i j => G i j - G' i j)) delta ->
  norm_at_most N (fun x i => filter_power N G mu t x i - filter_power N G' mu t x i)
    (Rmin 1 (k * delta / mu)).
Proof.
  intros Sy P Sy' P' Hmu (Lower & Greatest) Hd.
  assert (One := perturbation_one N G G' mu Sy P Sy' P' Hmu t).
  assert (Bound : forall k', kappa_bound t k' ->
    norm_at_most N (fun x i => filter_power N G mu t x i - filter_power N G' mu t x i)
      (k' * delta / mu)).
  { intros k' (alpha & Ha & Hk).
    apply (perturbation_weights N G G' mu Sy P Sy' P' Hmu t (weight t alpha)); try assumption.
    - intros. apply weight_pos, Ha.
    - intros. apply weight_inverse; assumption. }
  assert (Hd0 : 0 <= delta) by apply Hd.
  assert (Hk0 : 0 <= k) by (apply Greatest; intros k'; apply kappa_bound_nonneg).
  assert (Limit : norm_at_most N (fun x i => filter_power N G mu t x i - filter_power N G' mu t x i)
                    (k * delta / mu)).
  { set (q := delta / mu).
    assert (Hq : 0 <= q) by (apply Rmult_le_pos; [exact Hd0|left; apply Rinv_0_lt_compat, Hmu]).
    replace (k * delta / mu) with (k * q) by (unfold q, Rdiv; ring).
    split; [apply Rmult_le_pos; assumption|]. intros x.
    set (w := norm2 N (fun i => filter_power N G mu t x i - filter_power N G' mu t x i)).
    set (z := q * q * norm2 N x).
    assert (Hz : 0 <= z) by (apply Rmult_le_pos; [apply Rle_0_sqr|apply norm2_nonneg]).
    assert (Hw : 0 <= w) by apply norm2_nonneg.
    replace (k * q * (k * q) * norm2 N x) with (k * k * z) by (unfold z; ring).
    assert (B : forall k', kappa_bound t k' -> w <= k' * k' * z).
    { intros k' Hk'. destruct (Bound k' Hk') as (_ & B).
      replace (k' * k' * z) with (k' * delta / mu * (k' * delta / mu) * norm2 N x)
        by (unfold z, q, Rdiv; ring). apply B. }
    destruct (Rle_lt_or_eq_dec 0 z Hz) as [Pos|Zero].
    - (* sqrt(w/z) is at most all bounds, so at most kappa_t *)
      assert (R : sqrt (w / z) <= k).
      { apply Greatest. intros k' Hk'. assert (Hk'0 := kappa_bound_nonneg t k' Hk').
        rewrite <- (sqrt_square k' Hk'0). apply sqrt_le_1_alt.
        apply (Rmult_le_reg_r z); [exact Pos|].
        replace (w / z * z) with w by (field; lra). apply B, Hk'. }
      assert (Hwz : 0 <= w / z) by (apply Rmult_le_pos; [exact Hw|left; apply Rinv_0_lt_compat, Pos]).
      assert (Q : w / z <= k * k).
      { rewrite <- (sqrt_sqrt (w / z) Hwz). apply Rmult_le_compat; try apply sqrt_pos; exact R. }
      apply (Rmult_le_compat_r z) in Q; [|exact Hz].
      replace (w / z * z) with w in Q by (field; lra). exact Q.
    - destruct (kappa_bound_exists t) as (k' & Hk'). assert (Q := B k' Hk'). rewrite <- Zero in *. lra. }
  apply Rmin_case; assumption.
Qed.

(** No constant below L_t will do in place of kappa_t, even for 1 x 1 matrices; so L_t <= kappa_t. *)
Theorem perturbation_sharp (t : nat) (mu k : R) : (0 < t)%nat -> 0 < mu ->
  (forall N G G' delta, symmetric N G -> psd N G -> symmetric N G' -> psd N G' ->
     norm_at_most N (mv N (fun i j => G i j - G' i j)) delta ->
     norm_at_most N (fun x i => filter_power N G mu t x i - filter_power N G' mu t x i)
       (k * delta / mu)) ->
  steepest t <= k.
Proof.
  intros Ht Hmu H.
  (* scalars: |h(r)^t - h(s)^t| <= (k/mu) |r - s| *)
  set (f := fun s => (s / (s + mu)) ^ t).
  assert (Scalar : forall r s, 0 <= s -> s < r -> f r - f s <= k / mu * (r - s)).
  { intros r s Hs Hr.
    assert (Form : forall c x, dot 1 x (mv 1 (fun _ _ => c) x) = c * (x 0%nat * x 0%nat))
      by (intros; unfold dot, mv; cbn; ring).
    assert (Psd : forall c, 0 <= c -> psd 1 (fun _ _ => c)).
    { intros c Hc x. rewrite Form. apply Rmult_le_pos; [exact Hc|apply Rle_0_sqr]. }
    assert (Sym : forall c, symmetric 1 (fun _ _ => c)) by (intros c i j _ _; reflexivity).
    assert (Pow : forall c n, 0 <= c ->
              filter_power 1 (fun _ _ => c) mu n (fun _ => 1) 0%nat = (c / (c + mu)) ^ n).
    { intros c n Hc. induction n as [|n IH]; [reflexivity|]. cbn [filter_power pow].
      symmetry.
      assert (U := filter_unique 1 (fun _ _ => c) mu (Sym c) (Psd c Hc) Hmu
                     (filter_power 1 (fun _ _ => c) mu n (fun _ => 1))
                     (fun _ => c / (c + mu) * (c / (c + mu)) ^ n)).
      apply U; [|lia]. intros i _. unfold mv. cbn [sum]. rewrite IH. field. lra. }
    destruct (H 1%nat (fun _ _ => r) (fun _ _ => s) (r - s) (Sym r) (Psd r ltac:(lra)) (Sym s)
                (Psd s Hs)) as (Hk & B).
    { split; [lra|]. intros x. unfold norm2, dot, mv. cbn. right. ring. }
    assert (B1 := B (fun _ => 1)). unfold norm2, dot in B1. cbn [sum] in B1.
    rewrite (Pow r t ltac:(lra)), (Pow s t Hs) in B1. fold (f r) (f s) in B1.
    assert (Hk' : 0 <= k / mu * (r - s)) by (unfold Rdiv in *; lra).
    apply Rsqr_incr_0_var; [|exact Hk']. unfold Rsqr. unfold Rdiv in *. lra. }
  (* the derivative of h^t at s with h(s) = (t - 1)/(t + 1) *)
  destruct t as [|t']; [lia|]. clear Ht.
  set (s0 := mu * INR t' / 2).
  assert (T0 : 0 <= INR t') by apply pos_INR.
  assert (Hs0 : 0 <= s0) by (unfold s0; apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
  assert (D : derivable_pt_lim f s0
    (INR (S t') * (s0 / (s0 + mu)) ^ t' * ((1 * (s0 + mu) - 1 * s0) / Rsqr (s0 + mu)))).
  { unfold f.
    apply (derivable_pt_lim_comp (fun s => s / (s + mu)) (fun x => x ^ S t')).
    - assert (Q := derivable_pt_lim_div id (fun s => s + mu) s0 1 1).
      unfold id in Q. apply Q.
      + apply derivable_pt_lim_id.
      + assert (E := derivable_pt_lim_plus id (fun _ => mu) s0 1 0 (derivable_pt_lim_id s0)
                       (derivable_pt_lim_const mu s0)).
        rewrite Rplus_0_r in E. exact E.
      + lra.
    - apply derivable_pt_lim_pow. }
  set (L := INR (S t') * (s0 / (s0 + mu)) ^ t' * ((1 * (s0 + mu) - 1 * s0) / Rsqr (s0 + mu))) in D.
  assert (HL : L = steepest (S t') / mu).
  { unfold L, steepest. replace (S t' - 1)%nat with t' by lia. rewrite S_INR.
    assert (E : s0 + mu = mu * (INR t' + 2) / 2) by (unfold s0; field).
    rewrite E. replace (s0 / (mu * (INR t' + 2) / 2)) with ((INR t' + 1 - 1) / (INR t' + 1 + 1))
      by (unfold s0; field; split; lra).
    unfold Rsqr, s0. field. repeat split; lra. }
  assert (Le : L <= k / mu).
  { apply le_epsilon. intros eps He. destruct (D eps He) as (delta & HD).
    assert (Hpos : 0 < delta) by apply cond_pos.
    assert (Hne : delta / 2 <> 0) by (apply Rgt_not_eq; lra).
    assert (Habs : Rabs (delta / 2) < delta) by (rewrite Rabs_pos_eq; lra).
    assert (Q := HD (delta / 2) Hne Habs).
    apply Rabs_def2 in Q as (_ & Q).
    assert (S := Scalar (s0 + delta / 2) s0 Hs0 ltac:(lra)).
    assert (S' : (f (s0 + delta / 2) - f s0) / (delta / 2) <= k / mu).
    { apply (Rmult_le_reg_r (delta / 2)); [lra|].
      replace ((f (s0 + delta / 2) - f s0) / (delta / 2) * (delta / 2))
        with (f (s0 + delta / 2) - f s0) by (field; lra). lra. }
    lra. }
  rewrite HL in Le. apply (Rmult_le_reg_r (/ mu)); [apply Rinv_0_lt_compat, Hmu|exact Le].
Qed.

(** For positive semidefinite G and G' and mu > 0, in spectral norms,

      |h(G)^t - h(G')^t| <= min(1, kappa_t |G - G'| / mu),

    kappa_t the least over alpha > 0 of the largest value on [0, 1] of
    (1 - p)^2 times the sum over i < t of (i + alpha)/(t - 1 - i + alpha) p^(2i);

      L_t <= kappa_t, and kappa_t <= (3/2) L_t for t <= 60,

    where no constant below L_t = t ((t - 1)/(t + 1))^(t - 1) 4/(t + 1)^2 will do in place of kappa_t.
    ([norm_at_most N T delta] says that the spectral norm of T is at most delta.) *)
(** Registry, perturbation: ‖h(G)ᵗ − h(G')ᵗ‖₂ ≤ min(1, κₜ ‖G − G'‖₂/μ),  κₜ = min_(α > 0) max_(0
    ≤ p ≤ 1) (1−p)² ∑ᵢ₌₀ᵗ⁻¹ (i + α)/(t − 1 − i + α) p²ⁱ;  Lₜ ≤ κₜ ≤ 3/2 Lₜ for t ≤ 60, where no
    constant below Lₜ = t ((t−1)/(t+1))ᵗ⁻¹ 4/((t+1)²) will do *)
Theorem perturbation (t : nat) (kappa_t : R) : (0 < t)%nat -> kappa t kappa_t ->
  let holds constant bounded := forall N G G' mu delta,
    symmetric N G -> psd N G -> symmetric N G' -> psd N G' -> 0 < mu ->
    norm_at_most N (mv N (fun i j => G i j - G' i j)) delta ->
    norm_at_most N (fun x i => filter_power N G mu t x i - filter_power N G' mu t x i)
      (bounded (constant * delta / mu)) in
  holds kappa_t (Rmin 1) /\
  steepest t <= kappa_t /\ ((t <= 60)%nat -> kappa_t <= 3 / 2 * steepest t) /\
  forall constant, holds constant (fun x => x) -> steepest t <= constant.
Proof.
  intros Ht Hk holds.
  assert (Main : holds kappa_t (Rmin 1))
    by (intros N G G' mu delta Sy P Sy' P' Hmu Hd; apply perturbation_bound; assumption).
  assert (Least : forall constant, holds constant (fun x => x) -> steepest t <= constant).
  { intros c H. apply (perturbation_sharp t 1 c Ht Rlt_0_1).
    intros N G G' delta Sy P Sy' P' Hd. apply (H N G G' 1 delta); try assumption. apply Rlt_0_1. }
  split; [exact Main|]. split; [|split; [|exact Least]].
  - apply Least. intros N G G' mu delta Sy P Sy' P' Hmu Hd.
    destruct (Main N G G' mu delta Sy P Sy' P' Hmu Hd) as (H0 & H).
    assert (L : Rmin 1 (kappa_t * delta / mu) <= kappa_t * delta / mu) by apply Rmin_r.
    split; [lra|]. intros x. eapply Rle_trans; [apply H|]. apply Rmult_le_compat_r; [apply norm2_nonneg|].
    apply Rmult_le_compat; lra.
  - intros H60. apply Hk. apply kappa_near. lia.
Qed.

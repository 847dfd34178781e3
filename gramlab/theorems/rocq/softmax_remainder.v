(** softmax-remainder and softmax-remainder-sharp: how far the softmax is from its linearization. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import sums vectors softmax heads existence.
Open Scope R_scope.

(** |softmax(v) - 1/K - (v - mean v)/K|, the sum of absolute values over the K classes *)
Definition remainder (K : nat) (v : nat -> R) : R :=
  \sum_(k < K) Rabs (softmax K v k - 1 / INR K - (v k - sum K v / INR K) / INR K).

(** ** The extremal problem: a law on [0, 1] *)

(** A constant k with 27 k^2 = 1 is 1/(3 sqrt 3). *)
Section Extremal.
  Variable k : R.
  Hypotheses (Hk : 0 < k) (Hk2 : 27 * (k * k) = 1).

  Lemma k_at_least : 3 / 16 <= k.
  Proof. destruct (Rle_lt_dec (3 / 16) k) as [H|H]; [exact H|exfalso]. nra. Qed.

  (** z - z^3 <= 2 k for z >= 0 *)
  Lemma cubic z : 0 <= z -> z - z * z * z <= 2 * k.
  Proof.
    intros Hz. assert (Q : 0 <= (z - 3 * k) * (z - 3 * k) * (z + 6 * k)).
    { apply Rmult_le_pos; [apply Rle_0_sqr|lra]. }
    assert (E : (z - 3 * k) * (z - 3 * k) * (z + 6 * k)
                = z * z * z - 27 * (k * k) * z + 2 * k * (27 * (k * k))) by ring.
    rewrite E, Hk2 in Q. lra.
  Qed.

  (** 2 a b (w - 2 b w^2) <= k for a + b = 1, b <= 1/2 and w in [0, 1] *)
  Lemma two_points a b w : 0 <= a -> 0 <= b -> a + b = 1 -> b <= / 2 -> 0 <= w <= 1 ->
    2 * (a * b) * (w - 2 * b * (w * w)) <= k.
  Proof.
    intros Ha Hb Hab Hb2 Hw. assert (K := k_at_least).
    destruct (Rle_lt_dec (/ 4) b) as [L|L].
    - (* 8 b (w - 2 b w^2) = 1 - (4 b w - 1)^2 *)
      assert (Q := Rle_0_sqr (4 * b * w - 1)). unfold Rsqr in Q.
      assert (Q' : b * (w - 2 * b * (w * w)) <= / 8) by lra.
      assert (a * (b * (w - 2 * b * (w * w))) <= a * / 8) by (apply Rmult_le_compat_l; assumption).
      lra.
    - assert (G : w - 2 * b * (w * w) <= 1 - 2 * b).
      { assert (0 <= (1 - w) * (1 - 2 * b * (1 + w))); [|lra].
        apply Rmult_le_pos; [lra|].
        assert (b * (1 + w) <= b * 2) by (apply Rmult_le_compat_l; lra). lra. }
      assert (Hab0 : 0 <= a * b) by (apply Rmult_le_pos; assumption).
      assert (2 * (a * b) * (w - 2 * b * (w * w)) <= 2 * (a * b) * (1 - 2 * b))
        by (apply Rmult_le_compat_l; lra).
      assert (C := cubic (1 - 2 * b) ltac:(lra)).
      assert (E : 2 * (a * b) * (1 - 2 * b) = / 2 * ((1 - 2 * b) - (1 - 2 * b) * (1 - 2 * b) * (1 - 2 * b))).
      { replace a with (1 - b) by lra. field. }
      lra.
  Qed.

  (** Masses a and b, means u and w on [0, 1]. *)
  Lemma two_groups a b u w : 0 <= a -> 0 <= b -> a + b = 1 -> 0 <= u <= 1 -> 0 <= w <= 1 ->
    2 * (a * b) * (w - u * u - 2 * (a * u + b * w) * (w - u)) <= k.
  Proof.
    intros Ha Hb Hab Hu Hw. assert (K := k_at_least).
    assert (E : w - u * u - 2 * (a * u + b * w) * (w - u)
                = w - 2 * b * (w * w) + (b - a) * (2 * u * w - u * u)).
    { replace a with (1 - b) by lra. ring. }
    rewrite E. assert (Hab0 : 0 <= a * b) by (apply Rmult_le_pos; assumption).
    destruct (Rle_lt_dec a b) as [L|L].
    - assert (Q := Rle_0_sqr (u - w)). unfold Rsqr in Q.
      assert ((b - a) * (2 * u * w - u * u) <= (b - a) * (w * w)) by (apply Rmult_le_compat_l; lra).
      assert (Q2 := Rle_0_sqr (w - / 2)). unfold Rsqr in Q2.
      assert (Q3 := Rle_0_sqr (a - b)). unfold Rsqr in Q3.
      assert (Q4 : a * b <= / 4).
      { replace b with (1 - a) in Q3 |- * by lra. lra. }
      assert (B : w - 2 * b * (w * w) + (b - a) * (2 * u * w - u * u) <= / 4).
      { replace (2 * b) with (1 + (b - a)) by lra. lra. }
      assert (2 * (a * b) * (w - 2 * b * (w * w) + (b - a) * (2 * u * w - u * u)) <= 2 * (a * b) * / 4)
        by (apply Rmult_le_compat_l; lra).
      lra.
    - assert (U : u * u - 2 * u * w <= u * (1 - 2 * w)).
      { assert (u * u <= 1 * u) by (apply Rmult_le_compat_r; lra). lra. }
      destruct (Rle_lt_dec (1 - 2 * w) 0) as [M|M].
      + assert (N : (b - a) * (2 * u * w - u * u) <= 0).
        { replace ((b - a) * (2 * u * w - u * u)) with ((a - b) * (u * u - 2 * u * w)) by ring.
          assert ((a - b) * (u * u - 2 * u * w) <= (a - b) * 0); [|lra].
          apply Rmult_le_compat_l; [lra|].
          assert (u * (1 - 2 * w) <= u * 0) by (apply Rmult_le_compat_l; lra). lra. }
        assert (2 * (a * b) * (w - 2 * b * (w * w) + (b - a) * (2 * u * w - u * u))
                <= 2 * (a * b) * (w - 2 * b * (w * w))) by (apply Rmult_le_compat_l; lra).
        assert (T := two_points a b w Ha Hb Hab ltac:(lra) Hw). lra.
      + assert (N : (b - a) * (2 * u * w - u * u) <= (a - b) * (1 - 2 * w)).
        { replace ((b - a) * (2 * u * w - u * u)) with ((a - b) * (u * u - 2 * u * w)) by ring.
          apply Rmult_le_compat_l; [lra|].
          assert (u * (1 - 2 * w) <= 1 * (1 - 2 * w)) by (apply Rmult_le_compat_r; lra). lra. }
        assert (F : w - 2 * b * (w * w) + (a - b) * (1 - 2 * w)
                    = (1 - w) - 2 * b * ((1 - w) * (1 - w))).
        { replace a with (1 - b) by lra. ring. }
        assert (2 * (a * b) * (w - 2 * b * (w * w) + (b - a) * (2 * u * w - u * u))
                <= 2 * (a * b) * ((1 - w) - 2 * b * ((1 - w) * (1 - w))))
          by (apply Rmult_le_compat_l; lra).
        assert (T := two_points a b (1 - w) Ha Hb Hab ltac:(lra) ltac:(lra)). lra.
  Qed.

  (** For a law p on K points x in [0, 1] with mean m and variance V: E |(X - m)^2 - V| <= k. *)
  Lemma spread_unit K (p x : nat -> R) :
    (forall i, (i < K)%nat -> 0 <= p i) -> sum K p = 1 ->
    (forall i, (i < K)%nat -> 0 <= x i <= 1) ->
    let m := \sum_(i < K) (p i * x i) in
    let V := \sum_(i < K) (p i * ((x i - m) * (x i - m))) in
    \sum_(i < K) (p i * Rabs ((x i - m) * (x i - m) - V)) <= k.
  Proof.
    intros Hp H1 Hx m V.
    (* A, where (x - m)^2 < V, with mass alpha, first and second moment U and T *)
    set (a := fun i => if Rlt_dec ((x i - m) * (x i - m)) V then 1 else 0).
    assert (Ha : forall i, a i = 0 \/ a i = 1) by (intros i; unfold a; destruct Rlt_dec; auto).
    set (alpha := \sum_(i < K) (a i * p i)). set (U := \sum_(i < K) (a i * p i * x i)).
    set (T := \sum_(i < K) (a i * p i * (x i * x i))).
    set (M2 := \sum_(i < K) (p i * (x i * x i))).
    assert (HV : V = M2 - m * m).
    { unfold V, M2.
      rewrite (sum_ext K _ (fun i => p i * (x i * x i) - 2 * m * (p i * x i) + m * m * p i))
        by (intros; ring).
      rewrite sum_plus, sum_minus, !sum_scal_l, H1. fold m. ring. }
    assert (E : \sum_(i < K) (p i * Rabs ((x i - m) * (x i - m) - V))
                = 2 * (alpha * V - (T - 2 * m * U + m * m * alpha))).
    { rewrite (sum_ext K _ (fun i => (p i * ((x i - m) * (x i - m)) - V * p i)
        + 2 * (V * (a i * p i) - (a i * p i * (x i * x i) - 2 * m * (a i * p i * x i)
                                  + m * m * (a i * p i))))).
      - rewrite sum_plus, sum_minus, !sum_scal_l, !sum_minus, sum_plus, sum_minus, !sum_scal_l, H1.
        fold V alpha U T. ring.
      - intros i _. unfold a. destruct Rlt_dec as [L|L].
        + rewrite Rabs_left by lra. ring.
        + rewrite Rabs_pos_eq by lra. ring. }
    rewrite E.
    assert (Pos : forall i, (i < K)%nat -> 0 <= a i * p i).
    { intros i Hi. apply Rmult_le_pos; [destruct (Ha i) as [-> | ->]; lra|apply Hp, Hi]. }
    assert (Neg : forall i, (i < K)%nat -> 0 <= (1 - a i) * p i).
    { intros i Hi. apply Rmult_le_pos; [destruct (Ha i) as [-> | ->]; lra|apply Hp, Hi]. }
    assert (A0 : 0 <= alpha) by (apply sum_nonneg; exact Pos).
    assert (B0 : 1 - alpha = \sum_(i < K) ((1 - a i) * p i)).
    { rewrite (sum_ext K _ (fun i => p i - a i * p i)) by (intros; ring).
      rewrite sum_minus, H1. reflexivity. }
    assert (B1 : 0 <= 1 - alpha) by (rewrite B0; apply sum_nonneg; exact Neg).
    assert (U0 : 0 <= U) by (apply sum_nonneg; intros; apply Rmult_le_pos; [apply Pos|apply Hx]; auto).
    assert (U1 : U <= alpha).
    { apply sum_le. intros i Hi. rewrite <- (Rmult_1_r (a i * p i)) at 2.
      apply Rmult_le_compat_l; [apply Pos, Hi|apply Hx, Hi]. }
    assert (Wm : m - U = \sum_(i < K) ((1 - a i) * p i * x i)).
    { unfold m, U. rewrite <- sum_minus. apply sum_ext. intros. ring. }
    assert (W0 : 0 <= m - U)
      by (rewrite Wm; apply sum_nonneg; intros; apply Rmult_le_pos; [apply Neg|apply Hx]; auto).
    assert (W1 : m - U <= 1 - alpha).
    { rewrite Wm, B0. apply sum_le. intros i Hi. rewrite <- (Rmult_1_r ((1 - a i) * p i)) at 2.
      apply Rmult_le_compat_l; [apply Neg, Hi|apply Hx, Hi]. }
    assert (Chord : M2 - T <= m - U).
    { rewrite Wm. unfold M2, T. rewrite <- sum_minus. apply sum_le. intros i Hi.
      replace (p i * (x i * x i) - a i * p i * (x i * x i)) with ((1 - a i) * p i * (x i * x i)) by ring.
      apply Rmult_le_compat_l; [apply Neg, Hi|]. destruct (Hx i Hi).
      assert (x i * x i <= 1 * x i) by (apply Rmult_le_compat_r; lra). lra. }
    (* Jensen: sum of a p (x - c)^2 >= 0 *)
    assert (Jensen : forall c, 0 <= T - 2 * c * U + c * c * alpha).
    { intros c. replace (T - 2 * c * U + c * c * alpha)
        with (\sum_(i < K) (a i * p i * ((x i - c) * (x i - c)))).
      - apply sum_nonneg. intros i Hi. apply Rmult_le_pos; [apply Pos, Hi|apply Rle_0_sqr].
      - rewrite (sum_ext K _ (fun i => a i * p i * (x i * x i) - 2 * c * (a i * p i * x i)
                                       + c * c * (a i * p i))) by (intros; ring).
        rewrite sum_plus, sum_minus, !sum_scal_l. fold T U alpha. ring. }
    set (beta := 1 - alpha) in *.
    assert (Value : alpha * V - (T - 2 * m * U + m * m * alpha)
                    = alpha * (M2 - T) - beta * T - 2 * alpha * (m * m) + 2 * m * U).
    { rewrite HV. unfold beta. ring. }
    assert (Upper : alpha * (M2 - T) <= alpha * (m - U)) by (apply Rmult_le_compat_l; assumption).
    rewrite Value. assert (K0 := k_at_least).
    destruct (Req_dec alpha 0) as [Z|Z].
    { rewrite Z in *. assert (U = 0) by lra. subst U. rewrite H in *.
      assert (J := Jensen 0). assert (0 <= beta * T) by (apply Rmult_le_pos; lra). lra. }
    destruct (Req_dec beta 0) as [Zb|Zb].
    { rewrite Zb in *. assert (Em : m = U) by lra. assert (Ea : alpha = 1) by (unfold beta in Zb; lra).
      rewrite Ea in *. rewrite <- Em in *. lra. }
    assert (Ap : 0 < alpha) by lra. assert (Bp : 0 < beta) by lra.
    set (u := U / alpha). set (w := (m - U) / beta).
    assert (Eu : U = alpha * u) by (unfold u; field; exact Z).
    assert (Ew : m - U = beta * w) by (unfold w; field; exact Zb).
    assert (Hu : 0 <= u <= 1).
    { split; [apply Rmult_le_pos; [exact U0|left; apply Rinv_0_lt_compat, Ap]|].
      apply (Rmult_le_reg_l alpha); [exact Ap|]. rewrite <- Eu. lra. }
    assert (Hw : 0 <= w <= 1).
    { split; [apply Rmult_le_pos; [exact W0|left; apply Rinv_0_lt_compat, Bp]|].
      apply (Rmult_le_reg_l beta); [exact Bp|]. rewrite <- Ew. lra. }
    assert (J := Jensen u). assert (HT : alpha * (u * u) <= T) by (rewrite Eu in J; lra).
    assert (Em : m = alpha * u + beta * w) by (rewrite <- Eu, <- Ew; ring).
    assert (G := two_groups alpha beta u w A0 B1 ltac:(unfold beta; ring) Hu Hw).
    assert (beta * (alpha * (u * u)) <= beta * T) by (apply Rmult_le_compat_l; assumption).
    assert (Sum : alpha * (m - U) - 2 * alpha * (m * m) + 2 * m * U - beta * (alpha * (u * u))
      = alpha * beta * (w - u * u - 2 * (alpha * u + beta * w) * (w - u))).
    { rewrite Ew, Eu, Em. unfold beta. ring. }
    lra.
  Qed.

  (** The same on [lo, hi]. *)
  Lemma spread K (p v : nat -> R) lo hi :
    (forall i, (i < K)%nat -> 0 <= p i) -> sum K p = 1 ->
    (forall i, (i < K)%nat -> lo <= v i <= hi) -> lo <= hi ->
    let m := \sum_(i < K) (p i * v i) in
    let V := \sum_(i < K) (p i * ((v i - m) * (v i - m))) in
    \sum_(i < K) (p i * Rabs ((v i - m) * (v i - m) - V)) <= k * ((hi - lo) * (hi - lo)).
  Proof.
    intros Hp H1 Hv Hlo m V. set (r := hi - lo).
    destruct (Req_dec r 0) as [Z|Z].
    - (* all v are equal *)
      assert (Ev : forall i, (i < K)%nat -> v i = lo)
        by (intros i Hi; destruct (Hv i Hi); unfold r in Z; lra).
      assert (Em : m = lo).
      { unfold m. rewrite (sum_ext K _ (fun i => p i * lo)) by (intros; rewrite Ev by assumption; ring).
        rewrite sum_scal_r, H1. ring. }
      assert (EV : V = 0).
      { unfold V. apply sum_zero. intros i Hi. rewrite Ev, Em by exact Hi. ring. }
      rewrite sum_zero; [rewrite Z; lra|]. intros i Hi. rewrite EV, Ev, Em by exact Hi.
      replace ((lo - lo) * (lo - lo) - 0) with 0 by ring. rewrite Rabs_R0. ring.
    - assert (Hr : 0 < r) by (unfold r in *; lra).
      set (x := fun i => (v i - lo) / r).
      assert (Ex : forall i, v i = lo + r * x i) by (intros; unfold x; field; exact Z).
      assert (Hx : forall i, (i < K)%nat -> 0 <= x i <= 1).
      { intros i Hi. destruct (Hv i Hi). unfold x. split.
        - apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat, Hr].
        - apply (Rmult_le_reg_r r); [exact Hr|].
          replace ((v i - lo) / r * r) with (v i - lo) by (field; exact Z). unfold r. lra. }
      assert (S := spread_unit K p x Hp H1 Hx). cbv zeta in S.
      set (mx := \sum_(i < K) (p i * x i)) in *.
      assert (Em : m = lo + r * mx).
      { unfold m, mx. rewrite <- sum_scal_l.
        rewrite (sum_ext K _ (fun i => lo * p i + r * (p i * x i)))
          by (intros; rewrite Ex; ring).
        rewrite sum_plus, !sum_scal_l, H1. ring. }
      set (Vx := \sum_(i < K) (p i * ((x i - mx) * (x i - mx)))) in *.
      assert (EV : V = r * r * Vx).
      { unfold V, Vx. rewrite <- sum_scal_l. apply sum_ext. intros i _. rewrite Ex, Em. ring. }
      apply Rle_trans with (r * r * k); [|lra].
      apply Rle_trans with (r * r * \sum_(i < K) (p i * Rabs ((x i - mx) * (x i - mx) - Vx))).
      + rewrite <- sum_scal_l. right. apply sum_ext. intros i _.
        rewrite Ex, Em, EV.
        replace ((lo + r * x i - (lo + r * mx)) * (lo + r * x i - (lo + r * mx)) - r * r * Vx)
          with (r * r * ((x i - mx) * (x i - mx) - Vx)) by ring.
        rewrite Rabs_mult, (Rabs_pos_eq (r * r)) by (apply Rle_0_sqr). ring.
      + apply Rmult_le_compat_l; [apply Rle_0_sqr|exact S].
  Qed.
End Extremal.

(** ** Taylor *)

(** f'' >= c on [0, e] gives f(e) >= f(0) + f'(0) e + c e^2 / 2. *)
Lemma taylor_below f f' f'' c e : 0 < e ->
  (forall s, 0 <= s <= e -> derivable_pt_lim f s (f' s)) ->
  (forall s, 0 <= s <= e -> derivable_pt_lim f' s (f'' s)) ->
  (forall s, 0 <= s <= e -> c <= f'' s) ->
  f 0 + f' 0 * e + c * (e * e) / 2 <= f e.
Proof.
  intros He D1 D2 Hc.
  assert (L : forall b, 0 < b <= e -> f' 0 + c * b <= f' b).
  { intros b Hb. destruct (MVT_cor2 f' f'' 0 b) as (x & E & Hx); [lra|intros; apply D2; lra|].
    assert (c * b <= f'' x * (b - 0)); [|lra]. rewrite Rminus_0_r.
    apply Rmult_le_compat_r; [lra|apply Hc; lra]. }
  set (g := fun s => f s - (f' 0 * s + c / 2 * (s * s))).
  destruct (MVT_cor2 g (fun s => f' s - (f' 0 * 1 + c / 2 * (1 * s + s * 1))) 0 e) as (x & E & Hx).
  - exact He.
  - intros s Hs. unfold g. apply (derivable_pt_lim_minus f (fun s => f' 0 * s + c / 2 * (s * s)));
      [apply D1, Hs|].
    apply (derivable_pt_lim_plus (fun s => f' 0 * s) (fun s => c / 2 * (s * s))).
    + apply (derivable_pt_lim_scal (fun s => s)), derivable_pt_lim_id.
    + apply (derivable_pt_lim_scal (fun s => s * s)).
      apply (derivable_pt_lim_mult (fun s => s) (fun s => s)); apply derivable_pt_lim_id.
  - assert (Lx := L x ltac:(lra)).
    assert (0 <= (f' x - (f' 0 * 1 + c / 2 * (1 * x + x * 1))) * (e - 0)); [|unfold g in E; lra].
    apply Rmult_le_pos; lra.
Qed.

(** ** The bound *)

Section Path.
  Variables (K : nat) (v : nat -> R).
  Hypothesis HK : (0 < K)%nat.

  (** p(s) = softmax(s v), its mean and its variance *)
  Let p s := softmax K (fun l => 0 + s * v l).
  Let m s := \sum_(l < K) (p s l * v l).
  Let V s := \sum_(l < K) (p s l * ((v l - m s) * (v l - m s))).

  Let Dp s k : derivable_pt_lim (fun s => p s k) s (p s k * (v k - m s)).
  Proof. exact (softmax_derivative K (fun _ => 0) v k s HK). Qed.

  Let p_sum s : sum K (p s) = 1.
  Proof. apply softmax_sum, HK. Qed.

  Let Dm s : derivable_pt_lim m s (V s).
  Proof.
    assert (E : V s = \sum_(l < K) (v l * (p s l * (v l - m s)))).
    { unfold V.
      rewrite (sum_ext K _ (fun l => v l * (p s l * (v l - m s)) - m s * (p s l * v l - m s * p s l)))
        by (intros; ring).
      rewrite sum_minus, sum_scal_l, sum_minus, sum_scal_l, p_sum. fold (m s). ring. }
    rewrite E.
    apply derivable_ext with (fun s => \sum_(l < K) (v l * p s l)).
    - intros r. unfold m. apply sum_ext. intros. ring.
    - apply (derivable_sum K (fun l s => v l * p s l)). intros l _.
      apply (derivable_pt_lim_scal (fun s => p s l)), Dp.
  Qed.

  Let Dpp s k : derivable_pt_lim (fun s => p s k * (v k - m s)) s
    (p s k * ((v k - m s) * (v k - m s) - V s)).
  Proof.
    replace (p s k * ((v k - m s) * (v k - m s) - V s))
      with (p s k * (v k - m s) * (v k - m s) + p s k * (0 - V s)) by ring.
    apply (derivable_pt_lim_mult (fun s => p s k) (fun s => v k - m s)); [apply Dp|].
    apply (derivable_pt_lim_minus (fun _ => v k) m); [apply derivable_pt_lim_const|apply Dm].
  Qed.

  Lemma remainder_bound k lo hi : 0 < k -> 27 * (k * k) = 1 ->
    (forall i, (i < K)%nat -> lo <= v i <= hi) ->
    remainder K v <= k / 2 * ((hi - lo) * (hi - lo)).
  Proof.
    intros Hk Hk2 Hv.
    assert (Hlo : lo <= hi) by (destruct (Hv 0%nat HK); lra).
    set (R := fun i => softmax K v i - 1 / INR K - (v i - sum K v / INR K) / INR K).
    (* minus the signs of the remainder *)
    set (e := fun i => if Rle_dec 0 (R i) then -1 else 1).
    assert (He : forall i, Rabs (R i) = - (e i * R i)).
    { intros i. unfold e. destruct Rle_dec; [rewrite Rabs_pos_eq by lra|rewrite Rabs_left by lra]; ring. }
    assert (Abs : forall i, Rabs (e i) = 1).
    { intros i. unfold e. destruct Rle_dec; [rewrite Rabs_left by lra; ring|apply Rabs_pos_eq; lra]. }
    set (C := k * ((hi - lo) * (hi - lo))).
    assert (T := taylor_below (fun s => \sum_(i < K) (e i * p s i))
      (fun s => \sum_(i < K) (e i * (p s i * (v i - m s))))
      (fun s => \sum_(i < K) (e i * (p s i * ((v i - m s) * (v i - m s) - V s)))) (- C) 1).
    cbv beta in T.
    assert (P0 : forall i, (i < K)%nat -> p 0 i = 1 / INR K).
    { intros i Hi. unfold p. rewrite (softmax_ext K _ (fun _ => 0)) by (trivial; intros; ring).
      apply softmax_of_zero. }
    assert (P1 : forall i, (i < K)%nat -> p 1 i = softmax K v i).
    { intros i Hi. apply softmax_ext; [|exact Hi]. intros. ring. }
    assert (M0 : m 0 = sum K v / INR K).
    { unfold m. rewrite (sum_ext K _ (fun l => / INR K * v l))
        by (intros; rewrite P0 by assumption; unfold Rdiv; ring).
      rewrite sum_scal_l. unfold Rdiv. ring. }
    assert (T' : \sum_(i < K) (e i * p 0 i) + (\sum_(i < K) (e i * (p 0 i * (v i - m 0)))) * 1
                 + - C * (1 * 1) / 2 <= \sum_(i < K) (e i * p 1 i)).
    { apply T; [lra| | |].
      - intros s _. apply (derivable_sum K (fun i s => e i * p s i)). intros i _.
        apply (derivable_pt_lim_scal (fun s => p s i)), Dp.
      - intros s _. apply (derivable_sum K (fun i s => e i * (p s i * (v i - m s)))). intros i _.
        apply (derivable_pt_lim_scal (fun s => p s i * (v i - m s))), Dpp.
      - intros s _.
        assert (Pp : forall i, (i < K)%nat -> 0 <= p s i) by (intros; left; apply softmax_pos, HK).
        assert (S := spread k Hk Hk2 K (p s) v lo hi Pp (p_sum s) Hv Hlo). cbv zeta in S.
        fold (m s) in S. fold (V s) in S. fold C in S.
        enough (- (\sum_(i < K) (p s i * Rabs ((v i - m s) * (v i - m s) - V s)))
                <= \sum_(i < K) (e i * (p s i * ((v i - m s) * (v i - m s) - V s)))) by lra.
        rewrite <- sum_opp. apply sum_le. intros i Hi.
        set (d := (v i - m s) * (v i - m s) - V s).
        assert (Q : Rabs (e i * (p s i * d)) = p s i * Rabs d).
        { rewrite !Rabs_mult, Abs, (Rabs_pos_eq (p s i)) by (apply Pp, Hi). ring. }
        assert (Z := Rle_abs (- (e i * (p s i * d)))). rewrite Rabs_Ropp, Q in Z. lra. }
    assert (E : remainder K v = \sum_(i < K) (e i * p 0 i) + \sum_(i < K) (e i * (p 0 i * (v i - m 0)))
                                - \sum_(i < K) (e i * p 1 i)).
    { unfold remainder. rewrite <- sum_plus, <- sum_minus. apply sum_ext. intros i Hi.
      change (Rabs (R i) = e i * p 0 i + e i * (p 0 i * (v i - m 0)) - e i * p 1 i).
      rewrite He, P1, P0, M0 by exact Hi. unfold R, Rdiv. ring. }
    unfold C in T'. lra.
  Qed.
End Path.

Lemma third_root : 0 < 1 / (3 * sqrt 3) /\ 27 * (1 / (3 * sqrt 3) * (1 / (3 * sqrt 3))) = 1.
Proof.
  assert (H : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (E : sqrt 3 * sqrt 3 = 3) by (apply sqrt_sqrt; lra).
  split; [apply Rdiv_lt_0_compat; lra|].
  replace (27 * (1 / (3 * sqrt 3) * (1 / (3 * sqrt 3)))) with (3 / (sqrt 3 * sqrt 3)) by (field; lra).
  rewrite E. field.
Qed.

(** osc(v) = max v - min v over the K classes *)
Definition osc (K : nat) (v : nat -> R) (o : R) : Prop :=
  exists i j, (i < K)%nat /\ (j < K)%nat /\ o = v j - v i /\
    forall l, (l < K)%nat -> v i <= v l <= v j.

(** |softmax(v) - 1/K - (v - mean v)/K|_1 <= osc(v)^2 / 4 *)
(** Registry, softmax-remainder: ‖softmax(v) − 1/K − 1/K (v − v̄)‖₁ ≤ 1/4 osc(v)² *)
Theorem softmax_remainder (K : nat) (v : nat -> R) (o : R) :
  osc K v o -> remainder K v <= / 4 * o ^ 2.
Proof.
  intros (i & j & Hi & Hj & -> & H). destruct third_root as (H0 & H1).
  set (k := 1 / (3 * sqrt 3)) in *.
  assert (B := remainder_bound K v ltac:(lia) k (v i) (v j) H0 H1 H).
  assert (Hk : k <= / 2) by (destruct (Rle_lt_dec k (/ 2)) as [L|L]; [exact L|exfalso; nra]).
  assert (Q : k / 2 * ((v j - v i) * (v j - v i)) <= / 4 * ((v j - v i) * (v j - v i)))
    by (apply Rmult_le_compat_r; [apply Rle_0_sqr|lra]).
  replace ((v j - v i) ^ 2) with ((v j - v i) * (v j - v i)) by ring. lra.
Qed.

(** ** The sharp constant *)

Lemma sum_two K j a b : (j <= K)%nat ->
  sum K (fun l => if Nat.ltb l j then a else b) = INR j * a + (INR K - INR j) * b.
Proof.
  intros Hj. replace K with (j + (K - j))%nat by lia. rewrite sum_split.
  rewrite (sum_ext j _ (fun _ => a)).
  - rewrite (sum_ext (K - j) _ (fun _ => b)).
    + rewrite !sum_const, plus_INR. ring.
    + intros i Hi. replace (Nat.ltb (j + i) j) with false; [reflexivity|].
      symmetry. apply Nat.ltb_ge. lia.
  - intros i Hi. replace (Nat.ltb i j) with true; [reflexivity|]. symmetry. apply Nat.ltb_lt. exact Hi.
Qed.

(** j of K classes ahead by e: with p = j/K and q = 1 - p, the remainder is at least
    2 p (exp e / (p exp e + q) - 1 - q e). *)
Lemma remainder_two K j e : (0 < K)%nat -> (j <= K)%nat ->
  let p := INR j / INR K in
  2 * p * (exp e / (p * exp e + (1 - p)) - 1 - (1 - p) * e)
  <= remainder K (fun l => if Nat.ltb l j then e else 0).
Proof.
  intros HK Hj p.
  assert (HKr : 0 < INR K) by (apply lt_0_INR, HK). assert (Hjr : 0 <= INR j) by apply pos_INR.
  assert (HjK : INR j <= INR K) by (apply le_INR, Hj).
  set (v := fun l => if Nat.ltb l j then e else 0).
  assert (Ep : INR j = p * INR K) by (unfold p; field; lra).
  assert (Hp : 0 <= p <= 1).
  { split; [apply Rmult_le_pos; [exact Hjr|left; apply Rinv_0_lt_compat, HKr]|].
    apply (Rmult_le_reg_r (INR K)); [exact HKr|]. rewrite <- Ep. lra. }
  assert (He := exp_pos e).
  assert (D : 0 < p * exp e + (1 - p)).
  { assert (Q : 0 <= p * exp e) by (apply Rmult_le_pos; lra).
    destruct (Req_dec p 1) as [->|Z]; lra. }
  assert (Z : \sum_(l < K) exp (v l) = INR K * (p * exp e + (1 - p))).
  { unfold v. rewrite (sum_ext K _ (fun l => if Nat.ltb l j then exp e else 1)).
    - rewrite sum_two, Ep by exact Hj. ring.
    - intros l _. destruct (Nat.ltb l j); [reflexivity|apply exp_0]. }
  assert (M : sum K v = INR K * (p * e)) by (unfold v; rewrite sum_two, Ep by exact Hj; ring).
  set (a := exp e / (p * exp e + (1 - p)) - 1 - (1 - p) * e).
  set (b := 1 / (p * exp e + (1 - p)) - 1 + p * e).
  assert (E : remainder K v = p * Rabs a + (1 - p) * Rabs b).
  { unfold remainder.
    rewrite (sum_ext K _ (fun l => if Nat.ltb l j then / INR K * Rabs a else / INR K * Rabs b)).
    - rewrite sum_two, Ep by exact Hj. field. lra.
    - intros l _. unfold softmax. rewrite Z, M. unfold v.
      destruct (Nat.ltb l j); rewrite <- (Rabs_pos_eq (/ INR K)) at 1
        by (left; apply Rinv_0_lt_compat, HKr); rewrite <- Rabs_mult; f_equal; unfold a, b;
        rewrite ?exp_0; field; split; lra. }
  rewrite E.
  assert (Bal : p * a + (1 - p) * b = 0) by (unfold a, b; field; lra).
  assert (Ra := Rle_abs a). assert (Rb := Rle_abs (- b)). rewrite Rabs_Ropp in Rb.
  assert (p * a <= p * Rabs a) by (apply Rmult_le_compat_l; lra).
  assert ((1 - p) * - b <= (1 - p) * Rabs b) by (apply Rmult_le_compat_l; lra). lra.
Qed.

(** The second derivative of exp s / (p exp s + q) at 0 is q (q - p). *)
Lemma two_point_taylor p c : 0 <= p < 1 -> c < (1 - p) * (1 - 2 * p) ->
  exists e, 0 < e /\ c * (e * e) / 2 <= exp e / (p * exp e + (1 - p)) - 1 - (1 - p) * e.
Proof.
  intros Hp Hc. set (q := 1 - p).
  set (D := fun s => p * exp s + q).
  assert (HD : forall s, 0 < D s).
  { intros s. unfold D, q. assert (0 <= p * exp s) by (apply Rmult_le_pos; [lra|left; apply exp_pos]). lra. }
  assert (dD : forall s, derivable_pt_lim D s (p * exp s)).
  { intros s. unfold D. rewrite <- (Rplus_0_r (p * exp s)).
    apply (derivable_pt_lim_plus (fun s => p * exp s) (fun _ => q)).
    - apply derivable_pt_lim_scal, derivable_pt_lim_exp.
    - apply derivable_pt_lim_const. }
  set (f := fun s => exp s / D s).
  (* f' = f - p f^2 *)
  assert (df : forall s, derivable_pt_lim f s (f s - p * (f s * f s))).
  { intros s. assert (Q := derivable_pt_lim_div exp D s _ _ (derivable_pt_lim_exp s) (dD s)
                       (Rgt_not_eq _ _ (HD s))).
    replace (f s - p * (f s * f s)) with ((exp s * D s - p * exp s * exp s) / Rsqr (D s)); [exact Q|].
    unfold f, Rsqr. assert (H := HD s). field. lra. }
  set (f2 := fun s => (f s - p * (f s * f s)) - p * ((f s - p * (f s * f s)) * f s
                                                   + f s * (f s - p * (f s * f s)))).
  assert (df2 : forall s, derivable_pt_lim (fun s => f s - p * (f s * f s)) s (f2 s)).
  { intros s. unfold f2. apply (derivable_pt_lim_minus f (fun s => p * (f s * f s))); [apply df|].
    apply (derivable_pt_lim_scal (fun s => f s * f s)).
    apply (derivable_pt_lim_mult f f); apply df. }
  assert (F0 : f 0 = 1) by (unfold f, D, q; rewrite exp_0; field; lra).
  assert (F2 : f2 0 = (1 - p) * (1 - 2 * p)) by (unfold f2; rewrite F0; ring).
  (* f2 is continuous at 0 *)
  assert (Cont : continuity_pt f2 0).
  { assert (cf : continuity_pt f 0).
    { apply derivable_continuous_pt. exists (f 0 - p * (f 0 * f 0)). apply df. }
    assert (cp : forall a : R, continuity_pt (fun _ => a) 0)
      by (intros a; apply continuity_pt_const; intros x y; reflexivity).
    assert (c1 : continuity_pt (fun s => f s - p * (f s * f s)) 0).
    { apply (continuity_pt_minus f (fun s => p * (f s * f s))); [exact cf|].
      apply (continuity_pt_mult (fun _ => p) (fun s => f s * f s)); [apply cp|].
      apply (continuity_pt_mult f f); exact cf. }
    unfold f2.
    apply (continuity_pt_minus (fun s => f s - p * (f s * f s))
      (fun s => p * ((f s - p * (f s * f s)) * f s + f s * (f s - p * (f s * f s))))); [exact c1|].
    apply (continuity_pt_mult (fun _ => p)
      (fun s => (f s - p * (f s * f s)) * f s + f s * (f s - p * (f s * f s)))); [apply cp|].
    apply (continuity_pt_plus (fun s => (f s - p * (f s * f s)) * f s)
      (fun s => f s * (f s - p * (f s * f s)))).
    - apply (continuity_pt_mult (fun s => f s - p * (f s * f s)) f); assumption.
    - apply (continuity_pt_mult f (fun s => f s - p * (f s * f s))); assumption. }
  destruct (Cont (f2 0 - c) ltac:(rewrite F2; lra)) as (eta & Heta & H).
  exists (eta / 2). split; [lra|].
  assert (T := taylor_below f (fun s => f s - p * (f s * f s)) f2 c (eta / 2) ltac:(lra)
                 (fun s _ => df s) (fun s _ => df2 s)).
  cbv beta in T. rewrite F0 in T. unfold f at 1, D, q in T.
  enough (1 + (1 - p * (1 * 1)) * (eta / 2) + c * (eta / 2 * (eta / 2)) / 2
          <= exp (eta / 2) / (p * exp (eta / 2) + (1 - p))) by (unfold q; lra).
  apply T. intros s Hs.
  destruct (Req_dec s 0) as [->|Z]; [rewrite F2; lra|].
  assert (Q : R_dist (f2 s) (f2 0) < f2 0 - c).
  { apply H. split; [split; [exact I|lra]|]. simpl. unfold R_dist. rewrite Rminus_0_r.
    rewrite Rabs_pos_eq by lra. lra. }
  unfold R_dist in Q. apply Rabs_def2 in Q. lra.
Qed.

(** |softmax(v) - 1/K - (v - mean v)/K|_1 <= osc(v)^2 / (6 sqrt 3), and no smaller constant serves
    every K. *)
(** Registry, softmax-remainder-sharp: ‖softmax(v) − 1/K − 1/K (v − v̄)‖₁ ≤ osc(v)²/(6√3),  and
    no smaller constant serves every K *)
Theorem softmax_remainder_sharp :
  (forall K v o, osc K v o -> remainder K v <= o ^ 2 / (6 * sqrt 3)) /\
  (forall C, (forall K v o, osc K v o -> remainder K v <= C * o ^ 2) -> 1 / (6 * sqrt 3) <= C).
Proof.
  destruct third_root as (H0 & H1).
  assert (Hs : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  set (k := 1 / (3 * sqrt 3)) in *.
  assert (Ek : 1 / (6 * sqrt 3) = k / 2) by (unfold k; field; lra).
  split.
  - intros K v o (i & j & Hi & Hj & -> & H).
    assert (B := remainder_bound K v ltac:(lia) k (v i) (v j) H0 H1 H).
    replace ((v j - v i) ^ 2 / (6 * sqrt 3)) with (k / 2 * ((v j - v i) * (v j - v i)));
      [exact B|unfold k; field; lra].
  - intros C0 H. rewrite Ek. destruct (Rle_lt_dec (k / 2) C0) as [L|L]; [exact L|exfalso].
    set (C := Rmax C0 0).
    assert (HC : 0 <= C) by apply Rmax_r. assert (HC0 : C0 <= C) by apply Rmax_l.
    assert (LC : C < k / 2) by (apply Rmax_lub_lt; lra).
    assert (Hk3 : 3 * k < 1).
    { destruct (Rlt_le_dec (3 * k) 1) as [A|A]; [exact A|exfalso]. nra. }
    (* p = j/K near (1 - 3k)/2 *)
    destruct (archimed_cor1 ((k / 2 - C) / 3) ltac:(apply Rdiv_lt_0_compat; lra)) as (K & HK & HKpos).
    assert (HKr : 0 < INR K) by (apply lt_0_INR, HKpos).
    set (t := (1 - 3 * k) / 2).
    assert (Near : forall M, exists j, (j <= M)%nat /\ INR j <= t * INR M < INR j + 1).
    { induction M as [|M (j & Hj & B)]; [exists 0%nat; cbn; split; [lia|lra]|].
      rewrite S_INR. destruct (Rlt_le_dec (t * (INR M + 1)) (INR j + 1)) as [A|A].
      - exists j. split; [lia|]. unfold t in *. lra.
      - exists (S j). split; [lia|]. rewrite S_INR. unfold t in *. lra. }
    destruct (Near K) as (j & Hj & B).
    set (p := INR j / INR K).
    assert (Ep : INR j = p * INR K) by (unfold p; field; lra).
    assert (Hpt : p <= t < p + / INR K).
    { split; apply (Rmult_le_reg_r (INR K)) || apply (Rmult_lt_reg_r (INR K)); trivial.
      - rewrite <- Ep. lra.
      - rewrite Rmult_plus_distr_r, Rinv_l, <- Ep by lra. lra. }
    assert (Hp0 : 0 <= p) by (apply Rmult_le_pos; [apply pos_INR|left; apply Rinv_0_lt_compat, HKr]).
    assert (Hinv : / INR K <= 1).
    { rewrite <- Rinv_1. apply Rinv_le_contravar; [lra|]. apply (le_INR 1). lia. }
    (* p q (q - p) = k/2 - (z - 3k)^2 (z + 6k)/4 with z = 1 - 2p *)
    set (d := t - p). assert (Hd : 0 <= d < / INR K) by (unfold d; lra).
    assert (Val : p * (1 - p) * (1 - 2 * p) = k / 2 - d * d * (9 * k + 2 * d)).
    { unfold d, t.
      assert (E : p * (1 - p) * (1 - 2 * p) - (k / 2 * (27 * (k * k)))
                  = - (((1 - 3 * k) / 2 - p) * ((1 - 3 * k) / 2 - p) * (9 * k + 2 * ((1 - 3 * k) / 2 - p)))
                    + (1 - 27 * (k * k)) * ((1 - 2 * p) / 4)) by field.
      rewrite H1 in E. lra. }
    assert (Small : d * d * (9 * k + 2 * d) < k / 2 - C).
    { assert (Q : d * d <= / INR K * 1) by (apply Rmult_le_compat; lra).
      assert (Hd1 : d <= / 2) by (unfold d, t; lra).
      assert (d * d * (9 * k + 2 * d) <= d * d * 3).
      { destruct (Req_dec d 0) as [Z|Z]; [rewrite Z; lra|].
        assert (9 * k + 2 * d <= 3 \/ 3 < 9 * k + 2 * d) as [A|A] by lra.
        - apply Rmult_le_compat_l; [apply Rle_0_sqr|exact A].
        - exfalso. unfold d, t in A. lra. }
      assert (Q3 : / INR K * 3 < k / 2 - C) by lra. lra. }
    assert (Hlt : C < p * (1 - p) * (1 - 2 * p)) by lra.
    assert (Hp : 0 < p).
    { destruct (Rle_lt_or_eq_dec 0 p Hp0) as [A|A]; [exact A|rewrite <- A in Hlt; lra]. }
    assert (Hp1 : p < 1) by (unfold t in Hpt; lra).
    set (c := (C / p + (1 - p) * (1 - 2 * p)) / 2).
    assert (Hc1 : C < p * c).
    { unfold c. replace (p * ((C / p + (1 - p) * (1 - 2 * p)) / 2))
        with ((C + p * (1 - p) * (1 - 2 * p)) / 2) by (field; lra). lra. }
    assert (Hc2 : c < (1 - p) * (1 - 2 * p)).
    { apply (Rmult_lt_reg_l p); [exact Hp|]. unfold c.
      replace (p * ((C / p + (1 - p) * (1 - 2 * p)) / 2))
        with ((C + p * (1 - p) * (1 - 2 * p)) / 2) by (field; lra). lra. }
    destruct (two_point_taylor p c ltac:(lra) Hc2) as (e & He & T).
    assert (R := remainder_two K j e HKpos Hj). cbv zeta in R. fold p in R.
    assert (j0 : (0 < j)%nat) by (apply INR_lt; rewrite Ep; apply Rmult_lt_0_compat; assumption).
    assert (jK : (j < K)%nat).
    { apply INR_lt. rewrite Ep. rewrite <- (Rmult_1_l (INR K)) at 2. apply Rmult_lt_compat_r; lra. }
    assert (O : osc K (fun l => if Nat.ltb l j then e else 0) e).
    { exists j, 0%nat. split; [exact jK|]. split; [exact HKpos|].
      rewrite (proj2 (Nat.ltb_lt 0 j) j0), (proj2 (Nat.ltb_ge j j) (le_n j)).
      split; [ring|]. intros l _. destruct (Nat.ltb l j); lra. }
    assert (U := H K _ e O).
    assert (HB : 0 < e * e) by (apply Rmult_lt_0_compat; assumption).
    assert (2 * p * (c * (e * e) / 2) <= 2 * p * (exp e / (p * exp e + (1 - p)) - 1 - (1 - p) * e))
      by (apply Rmult_le_compat_l; lra).
    assert (C0 * (e * e) <= C * (e * e)) by (apply Rmult_le_compat_r; lra).
    assert (C * (e * e) < p * c * (e * e)) by (apply Rmult_lt_compat_r; assumption).
    replace (e ^ 2) with (e * e) in U by ring. lra.
Qed.

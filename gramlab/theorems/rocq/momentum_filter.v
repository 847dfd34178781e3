(** What momentum keeps of an eigenvalue: less than plain rounds, at a rate, and with a sign. *)

From Coq Require Import Reals Lra Lia.
Open Scope R_scope.

(** q_0 = 1, q_1 = h, q_(t+1) = h (q_t + (t - 1)/(t + 2) (q_t - q_(t-1))) *)
Definition momentum_filter_of (h : R) (q : nat -> R) : Prop :=
  q 0%nat = 1 /\ q 1%nat = h /\
  forall t, (1 <= t)%nat ->
    q (S t) = h * (q t + (INR t - 1) / (INR t + 2) * (q t - q (pred t))).

Section Momentum.

Variables (s mu : R) (q : nat -> R).
Hypothesis s_pos : 0 < s.
Hypothesis mu_pos : 0 < mu.

Let h := s / (s + mu).
Let x := mu / s.
Hypothesis filter : momentum_filter_of h q.

Let x_pos : 0 < x. Proof. now apply Rdiv_lt_0_compat. Qed.
Let h_x : h * (1 + x) = 1. Proof. unfold h, x. field. lra. Qed.
Let h_range : 0 < h < 1.
Proof.
  unfold h. split; [apply Rdiv_lt_0_compat; lra|]. apply Rmult_lt_reg_r with (s + mu); [lra|].
  replace (s / (s + mu) * (s + mu)) with s by (field; lra). lra.
Qed.

(** z_t = q_(t-1) + (t + 1)/2 (q_t - q_(t-1)) *)
Let z t := q (pred t) + (INR t + 1) / 2 * (q t - q (pred t)).

(** (x/4) (t + 1)^2 q_t^2 + z_t^2 never grows. *)
Lemma energy t : (1 <= t)%nat -> x / 4 * (INR t + 1) ^ 2 * q t ^ 2 + z t ^ 2 <= 1.
Proof.
  destruct filter as (Q0 & Q1 & Step). intros Ht. destruct t as [|t]; [lia|].
  induction t as [|t IH].
  - unfold z. simpl. rewrite Q0, Q1.
    replace (x / 4 * ((1 + 1) * ((1 + 1) * 1)) * (h * (h * 1))
      + (1 + (1 + 1) / 2 * (h - 1)) * ((1 + (1 + 1) / 2 * (h - 1)) * 1))
      with (h * (h * (1 + x))) by field.
    rewrite h_x. lra.
  - specialize (IH ltac:(lia)). assert (E := Step (S t) ltac:(lia)). unfold z in *. simpl pred in *.
    rewrite (S_INR (S t)). assert (T : 1 <= INR (S t)) by (rewrite S_INR; assert (P := pos_INR t); lra).
    set (T0 := INR (S t)) in *. set (a := q t) in *. set (b := q (S t)) in *. set (c := q (S (S t))) in *.
    assert (G : b + (T0 - 1) / (T0 + 2) * (b - a) = (1 + x) * c).
    { rewrite E. rewrite <- Rmult_assoc, (Rmult_comm (1 + x)), h_x. ring. }
    (* z_t is z_(t+1) + x (t + 2)/2 q_(t+1) *)
    set (z' := b + (T0 + 1 + 1) / 2 * (c - b)) in *.
    assert (Z : a + (T0 + 1) / 2 * (b - a) = z' + x * ((T0 + 2) / 2) * c).
    { assert (G' : x * c = b + (T0 - 1) / (T0 + 2) * (b - a) - c) by lra.
      replace (x * ((T0 + 2) / 2) * c) with ((T0 + 2) / 2 * (x * c)) by ring.
      rewrite G'. unfold z'. field. lra. }
    rewrite Z in IH.
    assert (K1 : 0 <= x * (T0 * (T0 + 2)) * (c - b) ^ 2).
    { apply Rmult_le_pos; [apply Rmult_le_pos; [lra|apply Rmult_le_pos; lra]|apply pow2_ge_0]. }
    assert (K2 : 0 <= x * b ^ 2) by (apply Rmult_le_pos; [lra|apply pow2_ge_0]).
    assert (K3 : 0 <= x * (T0 + 2) * c ^ 2)
      by (apply Rmult_le_pos; [apply Rmult_le_pos; lra|apply pow2_ge_0]).
    assert (K4 : 0 <= (x * ((T0 + 2) / 2) * c) ^ 2) by apply pow2_ge_0.
    assert (D : x / 4 * (T0 + 1) ^ 2 * b ^ 2 + (z' + x * ((T0 + 2) / 2) * c) ^ 2
      - (x / 4 * (T0 + 1 + 1) ^ 2 * c ^ 2 + z' ^ 2)
      = x * (T0 * (T0 + 2)) * (c - b) ^ 2 / 4 + x * b ^ 2 / 4 + x * (T0 + 2) * c ^ 2 / 2
        + (x * ((T0 + 2) / 2) * c) ^ 2) by (unfold z'; field).
    lra.
Qed.

Let z_le t : (1 <= t)%nat -> -1 <= z t <= 1.
Proof.
  intros Ht. assert (E := energy t Ht).
  assert (P : 0 <= x / 4 * (INR t + 1) ^ 2 * q t ^ 2).
  { apply Rmult_le_pos; [apply Rmult_le_pos; [lra|apply pow2_ge_0]|apply pow2_ge_0]. }
  assert (B : Rabs (z t) <= 1).
  { rewrite <- (Rabs_R1). apply Rsqr_le_abs_0. rewrite !Rsqr_pow2. lra. }
  assert (A := Rle_abs (z t)). assert (A' := Rle_abs (- z t)). rewrite Rabs_Ropp in A'. lra.
Qed.

(** |q_t| <= 1: it lies between q_(t-1) and z_t. *)
Lemma filter_at_most_1 t : -1 <= q t <= 1.
Proof.
  destruct filter as (Q0 & _). induction t as [|t IH]; [rewrite Q0; lra|].
  assert (Z := z_le (S t) ltac:(lia)). unfold z in Z. simpl pred in Z.
  rewrite S_INR in Z. assert (P := pos_INR t).
  set (w := (INR t + 1 + 1) / 2) in *. assert (W : 1 <= w) by (unfold w; lra).
  (* w q_(t+1) = z + (w - 1) q_t *)
  assert (E : w * q (S t) = (q t + w * (q (S t) - q t)) + (w - 1) * q t) by ring.
  assert (U1 : (w - 1) * q t <= (w - 1) * 1) by (apply Rmult_le_compat_l; lra).
  assert (U2 : (w - 1) * -1 <= (w - 1) * q t) by (apply Rmult_le_compat_l; lra).
  split; apply Rmult_le_reg_l with w; lra.
Qed.

(** q_t - q_(t+1) <= (t + 3)/4 x *)
Let step_at_most t : (1 <= t)%nat -> q t - q (S t) <= (INR t + 3) / 4 * x.
Proof.
  destruct filter as (Q0 & Q1 & Step). intros Ht. destruct t as [|t]; [lia|].
  assert (Bound : forall t d, (1 <= t)%nat -> 0 <= d ->
    (INR t - 1) / (INR t + 2) * (q (pred t) - q t) <= d * x -> q t - q (S t) <= x * (1 + d)).
  { clear t Ht. intros t d Ht Hd H. rewrite (Step t Ht).
    assert (L := proj2 (filter_at_most_1 t)).
    set (g := (INR t - 1) / (INR t + 2) * (q t - q (pred t))).
    assert (G : - g <= d * x) by (unfold g; lra).
    assert (M : h * - g <= h * (d * x)) by (apply Rmult_le_compat_l; lra).
    assert (H1 : 1 - h = h * x) by lra.
    replace (q t - h * (q t + g)) with ((1 - h) * q t + h * - g) by ring. rewrite H1.
    assert (M1 : h * x * q t <= h * x * 1) by (apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|exact L]).
    assert (M2 : h * (x * (1 + d)) <= 1 * (x * (1 + d)))
      by (apply Rmult_le_compat_r; [apply Rmult_le_pos; lra|lra]).
    lra. }
  induction t as [|t IH].
  - assert (B := Bound 1%nat 0 ltac:(lia) ltac:(lra)). simpl INR in *. simpl pred in *.
    replace ((1 + 3) / 4 * x) with (x * (1 + 0)) by field. apply B.
    replace ((1 - 1) / (1 + 2) * (q 0%nat - q 1%nat)) with 0 by field. lra.
  - specialize (IH ltac:(lia)). assert (P := pos_INR t). rewrite (S_INR (S t)).
    assert (B := Bound (S (S t)) ((INR (S t) + 1 - 1) / 4) ltac:(lia)). simpl pred in B.
    rewrite (S_INR (S t)) in B. rewrite S_INR in *.
    set (T0 := INR t) in *.
    assert (B' := B ltac:(lra)).
    replace ((T0 + 1 + 1 + 3) / 4 * x) with (x * (1 + (T0 + 1 + 1 - 1) / 4)) by field.
    apply B'.
    apply Rle_trans with ((T0 + 1 + 1 - 1) / (T0 + 1 + 1 + 2) * ((T0 + 1 + 3) / 4 * x)).
    + apply Rmult_le_compat_l; [|exact IH]. apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra.
    + right. field. lra.
Qed.

(** For s > 0, mu > 0 and every t >= 1

      1 - (t^2 + 5 t + 2)/8 mu/s <= q_t,   |q_t| <= 2/(t + 1) sqrt(s/mu),
      q_t <= h^t if q_1, ..., q_(t-1) >= 0,   and q_3 < 0 iff mu > 4 s. *)
(** Registry, momentum-filter: 1 − (t² + 5t + 2)/8 μ/s ≤ qₜ,  |qₜ| ≤ 2/(t + 1) √(s/μ),  qₜ ≤ hᵗ
    if q₁, …, qₜ₋₁ ≥ 0;  q₃ < 0 ⇔ μ > 4s *)
Theorem momentum_filter t : (1 <= t)%nat ->
  1 - (INR t ^ 2 + 5 * INR t + 2) / 8 * (mu / s) <= q t
  /\ Rabs (q t) <= 2 / (INR t + 1) * sqrt (s / mu)
  /\ ((forall r, (1 <= r < t)%nat -> 0 <= q r) -> q t <= h ^ t)
  /\ (q 3%nat < 0 <-> 4 * s < mu).
Proof.
  destruct filter as (Q0 & Q1 & Step). intros Ht. split; [|split; [|split]].
  - fold x. destruct t as [|t]; [lia|]. induction t as [|t IH].
    + simpl INR. rewrite Q1. assert (H1 : 1 - h = h * x) by lra.
      assert (h * x <= 1 * x) by (apply Rmult_le_compat_r; lra). lra.
    + specialize (IH ltac:(lia)). assert (D := step_at_most (S t) ltac:(lia)).
      rewrite (S_INR (S t)). set (T0 := INR (S t)) in *.
      replace (((T0 + 1) ^ 2 + 5 * (T0 + 1) + 2) / 8 * x)
        with ((T0 ^ 2 + 5 * T0 + 2) / 8 * x + (T0 + 3) / 4 * x) by field. lra.
  - assert (E := energy t Ht). assert (P := pos_INR t).
    assert (Z := pow2_ge_0 (z t)).
    assert (Q : sqrt (s / mu) * sqrt (s / mu) = s / mu) by (apply sqrt_sqrt; left; now apply Rdiv_lt_0_compat).
    assert (S0 := sqrt_pos (s / mu)).
    assert (B : 0 <= 2 / (INR t + 1) * sqrt (s / mu)).
    { apply Rmult_le_pos; [|exact S0]. left. apply Rdiv_lt_0_compat; lra. }
    rewrite <- (Rabs_pos_eq _ B). apply Rsqr_le_abs_0. rewrite Rsqr_mult. unfold Rsqr at 3. rewrite Q.
    unfold Rsqr. apply Rmult_le_reg_l with (x / 4 * (INR t + 1) ^ 2).
    + apply Rmult_lt_0_compat; [lra|apply pow_lt; lra].
    + replace (x / 4 * (INR t + 1) ^ 2 * (2 / (INR t + 1) * (2 / (INR t + 1)) * (s / mu))) with 1
        by (unfold x; field; lra).
      lra.
  - intros Pos.
    assert (Falls : forall r, (r < t)%nat -> q (S r) <= h * q r /\ q (S r) <= q r).
    { induction r as [|r IH]; intros Hr; [rewrite Q0, Q1; lra|].
      destruct (IH ltac:(lia)) as (_ & Down). assert (P0 := Pos (S r) ltac:(lia)).
      rewrite (Step (S r)) by lia. simpl pred. rewrite S_INR. assert (P := pos_INR r).
      assert (N : (INR r + 1 - 1) / (INR r + 1 + 2) * (q (S r) - q r) <= 0).
      { assert (0 <= (INR r + 1 - 1) / (INR r + 1 + 2) * (q r - q (S r))); [|lra].
        apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra. }
      set (g := (INR r + 1 - 1) / (INR r + 1 + 2) * (q (S r) - q r)) in *.
      assert (A : h * (q (S r) + g) <= h * q (S r)) by (apply Rmult_le_compat_l; lra).
      assert (B : h * q (S r) <= 1 * q (S r)) by (apply Rmult_le_compat_r; lra). lra. }
    assert (Pow : forall r, (r <= t)%nat -> q r <= h ^ r).
    { induction r as [|r IH]; intros Hr; [rewrite Q0; simpl; lra|].
      destruct (Falls r ltac:(lia)) as (A & _). simpl.
      assert (h * q r <= h * h ^ r) by (apply Rmult_le_compat_l; [lra|apply IH; lia]). lra. }
    now apply Pow.
  - assert (Q2 := Step 1%nat ltac:(lia)). simpl in Q2. rewrite Q0, Q1 in Q2.
    assert (Q3 := Step 2%nat ltac:(lia)). simpl in Q3. rewrite Q2, Q1 in Q3.
    replace (h * (h * (h + (1 - 1) / (1 + 2) * (h - 1)) + (1 + 1 - 1) / (1 + 1 + 2) *
      (h * (h + (1 - 1) / (1 + 2) * (h - 1)) - h))) with (h * h * ((5 * h - 1) / 4)) in Q3 by field.
    rewrite Q3. assert (H2 : 0 < h * h) by (apply Rmult_lt_0_compat; lra).
    assert (I : 5 * h - 1 < 0 <-> 4 * s < mu).
    { replace (5 * h - 1) with ((4 * s - mu) * / (s + mu)) by (unfold h; field; lra).
      assert (Z : 0 < / (s + mu)) by (apply Rinv_0_lt_compat; lra). split; intros A.
      - apply Rnot_le_lt. intros B. assert (0 <= (4 * s - mu) * / (s + mu)) by (apply Rmult_le_pos; lra). lra.
      - assert (0 < (mu - 4 * s) * / (s + mu)) by (apply Rmult_lt_0_compat; lra). lra. }
    rewrite <- I. split; intros A.
    + apply Rnot_le_lt. intros B. assert (0 <= h * h * ((5 * h - 1) / 4)) by (apply Rmult_le_pos; lra). lra.
    + assert (0 < h * h * ((1 - 5 * h) / 4)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

End Momentum.

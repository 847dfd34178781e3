(** False: a student of the generalized cross entropy is a function of its targets. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads intervals.
Open Scope R_scope.

(** L_q(W; T) = (1/N) sum of T_ik (1 - p_ik^q)/q + (lam/2) |W|^2 *)
Definition gce_loss (N d K : nat) (X T : mat) (q lam : R) (W : mat) : R :=
  (\sum_(i < N) \sum_(k < K) (T i k * ((1 - Rpower (predictions d K X W i k) q) / q))) / INR N
  + lam / 2 * norm d K W ^ 2.

(** W is a local minimum, where descent from near it ends. *)
Definition local_minimum (d K : nat) (L : mat -> R) (W : mat) : Prop :=
  exists eps, 0 < eps /\ forall V, norm d K (V - W) < eps -> L W <= L V.

Definition X9 : mat := fun i _ => match i with O => 1 | _ => 4 end.
Definition T9 : mat := fun i k => if Nat.eqb i k then 1 else 0.

(** p^q of a row whose other logit is v ahead, and the loss along w = W_0 - W_1 *)
Definition pq (v : R) : R := exp (- (7 / 10) * ln (1 + exp v)).
Definition along (w : R) : R :=
  ((1 - pq (- w)) / (7 / 10) + (1 - pq (4 * w)) / (7 / 10)) / 2 + 1 / 400 * w ^ 2.

Lemma pq_continuous v : continuity_pt pq v.
Proof.
  apply derivable_continuous_pt.
  assert (P := exp_pos v).
  assert (D1 := derivable_pt_lim_plus (fun _ => 1) exp v 0 (exp v) (derivable_pt_lim_const 1 v) (derivable_pt_lim_exp v)).
  assert (D2 := derivable_pt_lim_comp _ ln v _ _ D1 (derivable_pt_lim_ln (1 + exp v) ltac:(lra))).
  assert (D3 := derivable_pt_lim_scal _ (- (7 / 10)) v _ D2).
  assert (D4 := derivable_pt_lim_comp _ exp v _ _ D3 (derivable_pt_lim_exp _)).
  eexists. exact D4.
Qed.

Lemma along_continuous w : continuity_pt along w.
Proof.
  assert (L1 : continuity_pt (fun w => pq (- w)) w).
  { apply (continuity_pt_comp (fun w => - w) pq); [|apply pq_continuous].
    apply derivable_continuous_pt. exists (- (1)). apply (derivable_pt_lim_opp id). apply derivable_pt_lim_id. }
  assert (L2 : continuity_pt (fun w => pq (4 * w)) w).
  { apply (continuity_pt_comp (fun w => 4 * w) pq); [|apply pq_continuous].
    apply derivable_continuous_pt. exists (4 * 1). apply (derivable_pt_lim_scal id). apply derivable_pt_lim_id. }
  assert (L3 : continuity_pt (fun w => 1 / 400 * w ^ 2) w).
  { apply derivable_continuous_pt. eexists. apply (derivable_pt_lim_scal (fun w => w ^ 2)). apply derivable_pt_lim_pow. }
  assert (C : forall c : R, continuity_pt (fun _ => c) w) by (intros c; apply continuity_pt_const; intros x y; reflexivity).
  apply (continuity_pt_plus (fun w => ((1 - pq (- w)) / (7 / 10) + (1 - pq (4 * w)) / (7 / 10)) / 2)); [|exact L3].
  apply (continuity_pt_mult (fun w => (1 - pq (- w)) / (7 / 10) + (1 - pq (4 * w)) / (7 / 10)) (fun _ => / 2)); [|apply C].
  apply (continuity_pt_plus (fun w => (1 - pq (- w)) / (7 / 10)) (fun w => (1 - pq (4 * w)) / (7 / 10))).
  - apply (continuity_pt_mult (fun w => 1 - pq (- w)) (fun _ => / (7 / 10))); [|apply C].
    apply (continuity_pt_minus (fun _ => 1)); [apply C|exact L1].
  - apply (continuity_pt_mult (fun w => 1 - pq (4 * w)) (fun _ => / (7 / 10))); [|apply C].
    apply (continuity_pt_minus (fun _ => 1)); [apply C|exact L2].
Qed.

(** L_q(W) is [along] of the difference, and lam/4 times the square of the sum. *)
Lemma gce_split W : gce_loss 2 1 2 X9 T9 (7 / 10) (1 / 100) W
  = along (W 0%nat 0%nat - W 0%nat 1%nat) + 1 / 400 * (W 0%nat 0%nat + W 0%nat 1%nat) ^ 2.
Proof.
  assert (Pq : forall a b, Rpower (exp a / (0 + exp a + exp b)) (7 / 10) = pq (b - a)).
  { intros a b. assert (Ea := exp_pos a). assert (Eb := exp_pos b).
    unfold Rpower, pq. f_equal.
    replace (exp a / (0 + exp a + exp b)) with (/ (1 + exp (b - a))).
    - rewrite ln_Rinv by (assert (Q := exp_pos (b - a)); lra). ring.
    - replace (b - a) with (b + - a) by ring. rewrite exp_plus, exp_Ropp. field. lra. }
  assert (Pq' : forall a b, Rpower (exp b / (0 + exp a + exp b)) (7 / 10) = pq (a - b)).
  { intros a b. rewrite <- Pq. f_equal. f_equal. ring. }
  unfold gce_loss. rewrite norm_square. unfold inner, predictions, softmax, logits, X9, T9.
  cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rpower exp IZR].
  rewrite !Pq, !Pq'. unfold along.
  set (p := W 0%nat 0%nat). set (r := W 0%nat 1%nat).
  replace (0 + 1 * r - (0 + 1 * p)) with (- (p - r)) by ring.
  replace (0 + 4 * p - (0 + 4 * r)) with (4 * (p - r)) by ring. field.
Qed.

(** Between two points above a third one there is a local minimum. *)
Lemma valley a m b : a < m < b -> along m < along a -> along m < along b ->
  exists W, a < W 0%nat 0%nat - W 0%nat 1%nat < b
    /\ local_minimum 1%nat 2%nat (gce_loss 2 1 2 X9 T9 (7 / 10) (1 / 100)) W.
Proof.
  intros Hm Ha Hb.
  destruct (continuity_ab_min along a b ltac:(lra) (fun c _ => along_continuous c)) as (c & Min & Hc).
  assert (Mc := Min m ltac:(lra)).
  assert (Lc : a < c) by (destruct Hc as [[L|E] _]; [exact L|rewrite <- E in Mc; lra]).
  assert (Rc : c < b) by (destruct Hc as [_ [L|E]]; [exact L|rewrite E in Mc; lra]).
  set (U := (fun _ k => match k with O => c / 2 | _ => - (c / 2) end) : mat).
  assert (U0 : U 0%nat 0%nat = c / 2) by reflexivity. assert (U1 : U 0%nat 1%nat = - (c / 2)) by reflexivity.
  exists U. rewrite U0, U1. split; [lra|].
  exists (Rmin (c - a) (b - c) / 2). split.
  { assert (0 < Rmin (c - a) (b - c)) by (apply Rmin_glb_lt; lra). lra. }
  intros V Near. rewrite !gce_split, U0, U1.
  set (w := V 0%nat 0%nat - V 0%nat 1%nat).
  assert (B1 := Rmin_l (c - a) (b - c)). assert (B2 := Rmin_r (c - a) (b - c)).
  assert (E0 := entry_le_norm 1%nat 2%nat (V - U)%M 0%nat 0%nat ltac:(lia) ltac:(lia)).
  assert (E1 := entry_le_norm 1%nat 2%nat (V - U)%M 0%nat 1%nat ltac:(lia) ltac:(lia)).
  unfold sub at 1 in E0. unfold sub at 1 in E1. rewrite U0 in E0. rewrite U1 in E1.
  set (e := norm 1%nat 2%nat (V - U)%M) in *.
  assert (A0 := Rle_abs (V 0%nat 0%nat - c / 2)). assert (A0' := Rle_abs (- (V 0%nat 0%nat - c / 2))).
  assert (A1 := Rle_abs (V 0%nat 1%nat - - (c / 2))). assert (A1' := Rle_abs (- (V 0%nat 1%nat - - (c / 2)))).
  rewrite Rabs_Ropp in A0', A1'.
  assert (In : a <= w <= b) by (unfold w; lra).
  assert (M := Min w In). assert (Z := pow2_ge_0 (V 0%nat 0%nat + V 0%nat 1%nat)).
  replace ((c / 2 + - (c / 2)) ^ 2) with 0 by ring. replace (c / 2 - - (c / 2)) with c by field. fold w. lra.
Qed.

(** x = 1, 4, labels 0, 1, q = 0.7, lam = 1/100: L_q has a local minimum with W_0 < W_1, which predicts
    class 1 on both rows, and one with W_0 > W_1, which predicts class 0. *)
(** Registry, gce-optimum, which is false: descent from any start leads to the same predicted
    classes,  L_q(W; T) = 1/N ∑_(i,k) Tᵢₖ (1 − pᵢₖ^q)/q + λ/2 ‖W‖_F² *)
Theorem gce_optimum : ~ (forall N d K X T q lam W V,
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K T ->
  (forall i k, (i < N)%nat -> (k < K)%nat -> 0 <= T i k) -> 0 < lam -> 0 < q < 1 ->
  local_minimum d K (gce_loss N d K X T q lam) W -> local_minimum d K (gce_loss N d K X T q lam) V ->
  forall i k, (i < N)%nat -> (k < K)%nat ->
  (forall l, (l < K)%nat -> l <> k -> logits d X W i l < logits d X W i k) ->
  (forall l, (l < K)%nat -> l <> k -> logits d X V i l < logits d X V i k)).
Proof.
  intros Claim.
  destruct (valley (-2) (-6 / 10) 0 ltac:(lra)) as (W & HW & LW).
  { unfold along, pq. apply Rlt_trans with (1 / 2); bounded. }
  { unfold along, pq. apply Rlt_trans with (1 / 2); bounded. }
  destruct (valley 1 3 8 ltac:(lra)) as (V & HV & LV).
  { unfold along, pq. apply Rlt_trans with (78 / 100); bounded. }
  { unfold along, pq. apply Rlt_trans with (78 / 100); bounded. }
  assert (C := Claim 2%nat 1%nat 2%nat X9 T9 (7 / 10) (1 / 100) W V ltac:(lia) ltac:(lia)
    ltac:(intros i Hi; destruct i as [|[|i]]; try lia; unfold T9; simpl; lra)
    ltac:(intros i k _ _; unfold T9; destruct (Nat.eqb i k); lra) ltac:(lra) ltac:(lra) LW LV
    0%nat 1%nat ltac:(lia) ltac:(lia)).
  assert (A : logits 1 X9 V 0%nat 0%nat < logits 1 X9 V 0%nat 1%nat).
  { apply C; [|lia|lia]. intros l Hl Ne. replace l with 0%nat by lia.
    unfold logits, X9. simpl. lra. }
  unfold logits, X9 in A. simpl in A. lra.
Qed.

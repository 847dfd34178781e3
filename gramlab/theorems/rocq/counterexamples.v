(** Four sentences about rounds that are false, each refuted by one instance. Its exact heads are not
    given in closed form: they exist, and a table of decimals is proved to be near them, by the chain
    certificate with the residuals bounded in interval arithmetic. *)

From Coq Require Import Reals Lra Lia List.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
From Gramlab Require Import chain_certificate.
From Gramlab Require Import intervals.
Import ListNotations.
Open Scope R_scope.

Definition table (rows : list (list R)) : mat := fun i k => nth k (nth i rows []) 0.

(** Labels as one-hot rows. *)
Definition one_hot (labels : nat -> nat) : mat := fun i k => if Nat.eqb k (labels i) then 1 else 0.

(** Row i is predicted as class k: its logit is above each other one. *)
Definition predicts (d K : nat) (X W : mat) (i k : nat) : bool :=
  forallb (fun l => if Nat.eqb l k then true
    else if Rlt_dec (logits d X W i l) (logits d X W i k) then true else false) (seq 0 K).

(** How many of N rows whose given label is not the true one are predicted as their true class. *)
Definition recovered (N d K : nat) (X W : mat) (labels truth : nat -> nat) : nat :=
  length (filter (fun i => (negb (Nat.eqb (labels i) (truth i)) && predicts d K X W i (truth i))%bool)
    (seq 0 N)).

(** ** What is near to exact heads *)

Lemma norm_le_entries d K (A : mat) e : 0 <= e ->
  (forall j k, (j < d)%nat -> (k < K)%nat -> Rabs (A j k) <= e) ->
  norm d K A <= (INR d * INR K + 1) * e.
Proof.
  intros He H. assert (Q : 0 <= INR d * INR K) by (apply Rmult_le_pos; apply pos_INR).
  apply norm_le_of_square; [apply Rmult_le_pos; lra|].
  apply Rle_trans with (INR d * INR K * e ^ 2).
  - unfold inner. apply Rle_trans with (\sum_(j < d) \sum_(k < K) (e ^ 2)).
    + apply sum_le. intros j Hj. apply sum_le. intros k Hk. assert (E := H j k Hj Hk).
      rewrite <- Rsqr_pow2. change (Rsqr (A j k) <= Rsqr e). rewrite (Rsqr_abs (A j k)).
      apply Rsqr_incr_1; [exact E|apply Rabs_pos|assumption].
    + right. rewrite sum_const, sum_const. ring.
  - rewrite Rpow_mult_distr. apply Rmult_le_compat_r; [apply pow2_ge_0|]. simpl.
    assert (0 <= (INR d * INR K) * (INR d * INR K)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** Two rounds: residuals with entries of at most e put W'_1 within (d K + 1) e / lam_1 of W_1, and
    W'_2 within 2 (d K + 1) e / lam_2 of W_2, entry by entry. *)
Lemma two_rounds_near N d K X Y lam W W' e : (0 < N)%nat -> (0 < K)%nat -> positive lam 2 ->
  exact_rounds N d K X Y lam W 2 -> 0 <= e ->
  (forall t j k, (1 <= t <= 2)%nat -> (j < d)%nat -> (k < K)%nat ->
     Rabs (residual N d K 1 X Y lam W' t j k) <= e) ->
  forall j k, (j < d)%nat -> (k < K)%nat ->
  lam 1%nat * Rabs (W' 1%nat j k - W 1%nat j k) <= (INR d * INR K + 1) * e
  /\ lam 2%nat * Rabs (W' 2%nat j k - W 2%nat j k) <= 2 * ((INR d * INR K + 1) * e).
Proof.
  intros HN HK Hl H He B j k Hj Hk.
  assert (C : forall t, (1 <= t <= 2)%nat ->
    norm d K (residual N d K 1 X Y lam W' t) <= (INR d * INR K + 1) * e).
  { intros t Ht. apply norm_le_entries; [assumption|]. intros. now apply B. }
  assert (E : forall t, (1 <= t <= 2)%nat ->
    lam t * Rabs (W' t j k - W t j k)
      <= carried 1 (fun s => norm d K (residual N d K 1 X Y lam W' s)) t).
  { intros t Ht. destruct (chain_certificate N d K 1 X Y lam W W' 2 HN HK Hl
      (exact_rounds_mixed N d K X Y lam W 2 H) t Ht) as [A _].
    eapply Rle_trans; [|exact A].
    apply Rmult_le_compat_l; [left; now apply Hl|].
    apply (entry_le_norm d K (W' t - W t)%M j k Hj Hk). }
  assert (E1 := E 1%nat ltac:(lia)). assert (E2 := E 2%nat ltac:(lia)).
  assert (C1 := C 1%nat ltac:(lia)). assert (C2 := C 2%nat ltac:(lia)).
  simpl carried in E1, E2. rewrite Rabs_R1 in *. lra.
Qed.

(** One training at lam. *)
Lemma head_near N d K X Y lam V V' e : (0 < N)%nat -> (0 < K)%nat -> 0 < lam ->
  head N d K X Y lam V -> 0 <= e ->
  (forall j k, (j < d)%nat -> (k < K)%nat ->
     Rabs (lam * V' j k + M N d K X V' j k - moment N X Y j k) <= e) ->
  forall j k, (j < d)%nat -> (k < K)%nat ->
  lam * Rabs (V' j k - V j k) <= (INR d * INR K + 1) * e.
Proof.
  intros HN HK Hl H He B j k Hj Hk.
  set (u := (lam * V' + M N d K X V')%M).
  assert (C : norm d K (u - moment N X Y) <= (INR d * INR K + 1) * e)
    by (apply norm_le_entries; assumption).
  assert (A := step_weights d K (M N d K X) (M_monotone N d K X HN HK) lam u (moment N X Y) V' V
    (Rlt_le _ _ Hl) (meq_refl d K u) H).
  eapply Rle_trans; [|exact C]. eapply Rle_trans; [|exact A].
  apply Rmult_le_compat_l; [lra|]. apply (entry_le_norm d K (V' - V)%M j k Hj Hk).
Qed.

Lemma within x y e : Rabs (x - y) <= e -> x - e <= y <= x + e.
Proof.
  intros H. assert (A := Rle_abs (x - y)). assert (B := Rle_abs (- (x - y))). rewrite Rabs_Ropp in B. lra.
Qed.

(** Bounds residuals of tables. *)
Ltac numbers := unfold table, one_hot, given_mixed, M, moment, predictions, softmax, logits,
  add, sub, scale; cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rle Rlt pow Rabs exp IZR].
(** ** Less to compute: rows of residuals sum to 0 over classes *)

Lemma moment_row_sum N K X T j : sum_to_one N K T ->
  \sum_(k < K) moment N X T j k = (\sum_(i < N) X i j) / INR N.
Proof.
  intros H. unfold moment. rewrite sum_div, sum_swap. f_equal. apply sum_ext. intros i Hi.
  rewrite sum_scal_l, H by assumption. ring.
Qed.

Lemma residual_row_sum N d K X Y lam W' t j : (0 < K)%nat -> sum_to_one N K Y ->
  \sum_(k < K) W' t j k = 0 -> \sum_(k < K) residual N d K 1 X Y lam W' t j k = 0.
Proof.
  intros HK HY HW. change (sum K (W' t j) = 0) in HW. unfold residual, sub, add, scale.
  rewrite sum_minus, sum_plus, sum_scal_l, HW.
  unfold M at 1. rewrite moment_row_sum by now apply predictions_sum.
  destruct t as [|[|t]]; unfold given_mixed.
  - rewrite moment_row_sum by assumption. ring.
  - rewrite moment_row_sum by assumption. ring.
  - unfold add, scale, M. rewrite sum_plus, !sum_scal_l, !moment_row_sum; trivial; [ring|].
    now apply predictions_sum.
Qed.

(** Two classes: the first column is enough, *)
Lemma first_column N X Y lam W' e : sum_to_one N 2 Y ->
  (forall t j, (1 <= t <= 2)%nat -> (j < 2)%nat -> \sum_(k < 2) W' t j k = 0) ->
  (forall t j, (1 <= t <= 2)%nat -> (j < 2)%nat ->
     Rabs (residual N 2 2 1 X Y lam W' t j 0%nat) <= e) ->
  forall t j k, (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 2)%nat ->
  Rabs (residual N 2 2 1 X Y lam W' t j k) <= e.
Proof.
  intros HY HW H t j k Ht Hj Hk. specialize (H t j Ht Hj).
  assert (S := residual_row_sum N 2 2 X Y lam W' t j ltac:(lia) HY (HW t j Ht Hj)). simpl in S.
  destruct k as [|[|k]]; try lia; [exact H|].
  replace (residual N 2 2 1 X Y lam W' t j 1%nat) with (- residual N 2 2 1 X Y lam W' t j 0%nat) by lra.
  now rewrite Rabs_Ropp.
Qed.

(** and of three, if two are equal. *)
Lemma first_of_three N X Y lam W' e : sum_to_one N 3 Y ->
  (forall t j, (1 <= t <= 2)%nat -> (j < 2)%nat -> \sum_(k < 3) W' t j k = 0) ->
  (forall t j, (1 <= t <= 2)%nat -> (j < 2)%nat ->
     Rabs (residual N 2 3 1 X Y lam W' t j 0%nat) <= e
     /\ residual N 2 3 1 X Y lam W' t j 1%nat = residual N 2 3 1 X Y lam W' t j 0%nat) ->
  forall t j k, (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 3)%nat ->
  Rabs (residual N 2 3 1 X Y lam W' t j k) <= 2 * e.
Proof.
  intros HY HW H t j k Ht Hj Hk. destruct (H t j Ht Hj) as [B E].
  assert (S := residual_row_sum N 2 3 X Y lam W' t j ltac:(lia) HY (HW t j Ht Hj)). simpl in S.
  set (r := residual N 2 3 1 X Y lam W' t j) in *. assert (P := Rabs_pos (r 0%nat)).
  destruct k as [|[|[|k]]]; try lia; [lra|rewrite E; lra|].
  replace (r 2%nat) with (- (2 * r 0%nat)) by lra.
  rewrite Rabs_Ropp, Rabs_mult, (Rabs_pos_eq 2) by lra. lra.
Qed.

Ltac cases t j := destruct t as [|[|[|t]]]; try lia; destruct j as [|[|j]]; try lia.

Lemma one_hot_sum N labels : (forall i, (i < N)%nat -> (labels i < 2)%nat) ->
  sum_to_one N 2 (one_hot labels).
Proof.
  intros H i Hi. specialize (H i Hi). unfold one_hot.
  destruct (labels i) as [|[|l]]; try lia; simpl; ring.
Qed.

Definition ones (t : nat) : R := 1.

Lemma ones_pos t : 0 < ones t.
Proof. unfold ones. lra. Qed.

(** ** The entropy of every row grows: false *)

Definition X1 := table [[1; 0]; [2; -2]].
Definition labels1 (i : nat) : nat := match i with O => 0 | _ => 1 end.
Definition W1 (t : nat) : mat := match t with
  | 1%nat => table [[-6322 / 10 ^ 6; 6322 / 10 ^ 6]; [257903 / 10 ^ 6; -257903 / 10 ^ 6]]
  | _ => table [[-71575 / 10 ^ 6; 71575 / 10 ^ 6]; [87857 / 10 ^ 6; -87857 / 10 ^ 6]]
  end.

Lemma residuals1 t j k : (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 2)%nat ->
  Rabs (residual 2 2 2 1 X1 (one_hot labels1) ones W1 t j k) <= 1 / 10 ^ 5.
Proof.
  revert t j k. apply first_column.
  - apply one_hot_sum. intros i Hi. unfold labels1. destruct i as [|[|[|[|i]]]]; lia.
  - intros t j Ht Hj. cases t j; unfold W1, table; simpl; lra.
  - intros t j Ht Hj. cases t j;
      unfold residual, X1, W1, labels1, ones; numbers; bounded.
Qed.

(** x = (1, 0), (2, -2), labels 0, 1, lam = 1: from round 1 to 2 the entropy of row 0 falls. *)
(** Registry, row-entropy, which is false: H(pᵢ⁽ᵗ⁺¹⁾) ≥ H(pᵢ⁽ᵗ⁾)  for every row i *)
Theorem row_entropy : ~ (forall N d K X Y lam W n,
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  forall t i, (1 <= t)%nat -> (S t <= n)%nat -> (i < N)%nat ->
  entropy K (predictions d K X (W t) i) <= entropy K (predictions d K X (W (S t)) i)).
Proof.
  intros Claim.
  destruct (rounds_exist 2 2 2 X1 ltac:(lia) ltac:(lia) (one_hot labels1) ones ones_pos)
    as [W [HW _]].
  assert (C := Claim 2%nat 2%nat 2%nat X1 (one_hot labels1) ones W 2%nat ltac:(lia) ltac:(lia)
    (one_hot_sum 2 labels1 ltac:(intros [|[|i]]; simpl; lia)) (fun t _ => ones_pos t) (HW 2%nat)
    1%nat 0%nat ltac:(lia) ltac:(lia) ltac:(lia)).
  assert (B := two_rounds_near 2 2 2 X1 (one_hot labels1) ones W W1 (1 / 10 ^ 5) ltac:(lia)
    ltac:(lia) (fun t _ => ones_pos t) (HW 2%nat) ltac:(lra) residuals1).
  assert (B0 := B 0%nat 0%nat ltac:(lia) ltac:(lia)).
  assert (B1 := B 0%nat 1%nat ltac:(lia) ltac:(lia)).
  destruct B0 as [B10 B20]. destruct B1 as [B11 B21]. unfold ones in *.
  rewrite Rmult_1_l in B10, B20, B11, B21.
  apply within in B10. apply within in B20. apply within in B11. apply within in B21.
  unfold W1, table in B10, B20, B11, B21. simpl in B10, B20, B11, B21.
  revert C. apply Rlt_not_le.
  unfold entropy, predictions, softmax, logits, X1, table.
  cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rle Rlt pow Rabs exp IZR ln].
  set (a := W 1%nat 0%nat 0%nat) in *. set (b := W 1%nat 0%nat 1%nat) in *.
  set (c := W 2%nat 0%nat 0%nat) in *. set (e := W 2%nat 0%nat 1%nat) in *.
  rewrite !Rmult_0_l, !Rplus_0_r, !Rplus_0_l, !Rmult_1_l.
  apply Rlt_trans with (6920 / 10000); bounded.
Qed.

(** ** Rounds never lose what they recovered: false *)

Definition X2 := table [[1; 1]; [-1; 0]; [0; 2]].
Definition labels2 (i : nat) : nat := match i with 2%nat => 0 | _ => 1 end.
Definition truth2 (i : nat) : nat := match i with O => 1 | _ => 0 end.
Definition W2 (t : nat) : mat := match t with
  | 1%nat => table [[-11522 / 10 ^ 6; 11522 / 10 ^ 6]; [92349 / 10 ^ 6; -92349 / 10 ^ 6]]
  | _ => table [[3615 / 10 ^ 6; -3615 / 10 ^ 6]; [40242 / 10 ^ 6; -40242 / 10 ^ 6]]
  end.

Lemma residuals2 t j k : (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 2)%nat ->
  Rabs (residual 3 2 2 1 X2 (one_hot labels2) ones W2 t j k) <= 1 / 10 ^ 5.
Proof.
  revert t j k. apply first_column.
  - apply one_hot_sum. intros i Hi. unfold labels2. destruct i as [|[|[|[|i]]]]; lia.
  - intros t j Ht Hj. cases t j; unfold W2, table; simpl; lra.
  - intros t j Ht Hj. cases t j;
      unfold residual, X2, W2, labels2, ones; numbers; bounded.
Qed.

(** x = (1, 1), (-1, 0), (0, 2), given labels 1, 1, 0, true 1, 0, 0, lam = 1: round 1 recovers 1 of 1
    mislabelled row, round 2 none. *)
(** Registry, recovery-monotone, which is false: the share of mislabelled rows that are
    predicted as their true class never falls from round to round *)
Theorem recovery_monotone : ~ (forall N d K X lam W n labels truth,
  (0 < N)%nat -> (0 < K)%nat -> (forall i, (i < N)%nat -> (labels i < K)%nat /\ (truth i < K)%nat) ->
  positive lam n -> exact_rounds N d K X (one_hot labels) lam W n ->
  forall t, (1 <= t)%nat -> (S t <= n)%nat ->
  (recovered N d K X (W t) labels truth <= recovered N d K X (W (S t)) labels truth)%nat).
Proof.
  intros Claim.
  destruct (rounds_exist 3 2 2 X2 ltac:(lia) ltac:(lia) (one_hot labels2) ones ones_pos)
    as [W [HW _]].
  assert (C := Claim 3%nat 2%nat 2%nat X2 ones W 2%nat labels2 truth2 ltac:(lia) ltac:(lia)
    ltac:(intros [|[|[|i]]] Hi; simpl; lia) (fun t _ => ones_pos t) (HW 2%nat)
    1%nat ltac:(lia) ltac:(lia)).
  assert (B := two_rounds_near 3 2 2 X2 (one_hot labels2) ones W W2 (1 / 10 ^ 5) ltac:(lia)
    ltac:(lia) (fun t _ => ones_pos t) (HW 2%nat) ltac:(lra) residuals2).
  destruct (B 0%nat 0%nat ltac:(lia) ltac:(lia)) as [B10 B20].
  destruct (B 0%nat 1%nat ltac:(lia) ltac:(lia)) as [B11 B21]. unfold ones in *.
  rewrite Rmult_1_l in B10, B20, B11, B21.
  apply within in B10. apply within in B20. apply within in B11. apply within in B21.
  unfold W2, table in B10, B20, B11, B21. simpl in B10, B20, B11, B21.
  assert (P1 : predicts 2 2 X2 (W 1%nat) 1 0 = true).
  { unfold predicts. simpl. destruct (Rlt_dec _ _) as [L|L]; [reflexivity|]. exfalso. apply L.
    unfold logits, X2, table. simpl. lra. }
  assert (P2 : predicts 2 2 X2 (W 2%nat) 1 0 = false).
  { unfold predicts. simpl. destruct (Rlt_dec _ _) as [L|L]; [|reflexivity]. exfalso. revert L.
    unfold logits, X2, table. simpl. lra. }
  unfold recovered in C. cbn -[predicts] in C. rewrite P1, P2 in C. simpl in C. lia.
Qed.

(** ** Rounds recover what one training at the total weight decay recovers: false *)

Definition X3 := table [[-1; 0]; [-3; 1]; [1; -3]; [-2; 3]].
Definition labels3 (i : nat) : nat := match i with O | 3%nat => 1 | _ => 0 end.
Definition truth3 (i : nat) : nat := match i with 3%nat => 1 | _ => 0 end.
Definition W3 (t : nat) : mat := match t with
  | 1%nat => table [[-68616 / 10 ^ 6; 68616 / 10 ^ 6]; [-228719 / 10 ^ 6; 228719 / 10 ^ 6]]
  | _ => table [[8375 / 10 ^ 6; -8375 / 10 ^ 6]; [-117122 / 10 ^ 6; 117122 / 10 ^ 6]]
  end.
Definition V3 := table [[-25768 / 10 ^ 6; 25768 / 10 ^ 6]; [-155911 / 10 ^ 6; 155911 / 10 ^ 6]].

Lemma residuals3 t j k : (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 2)%nat ->
  Rabs (residual 4 2 2 1 X3 (one_hot labels3) ones W3 t j k) <= 1 / 10 ^ 5.
Proof.
  revert t j k. apply first_column.
  - apply one_hot_sum. intros i Hi. unfold labels3. destruct i as [|[|[|[|i]]]]; lia.
  - intros t j Ht Hj. cases t j; unfold W3, table; simpl; lra.
  - intros t j Ht Hj. cases t j;
      unfold residual, X3, W3, labels3, ones; numbers; bounded.
Qed.

Lemma residual_of_V3 j k : (j < 2)%nat -> (k < 2)%nat ->
  Rabs (total ones 2 * V3 j k + M 4 2 2 X3 V3 j k - moment 4 X3 (one_hot labels3) j k) <= 1 / 10 ^ 5.
Proof.
  intros Hj Hk. unfold total, ones. destruct j as [|[|j]]; try lia; destruct k as [|[|k]]; try lia;
    unfold X3, V3, labels3; numbers; bounded.
Qed.

(** x = (-1, 0), (-3, 1), (1, -3), (-2, 3), given labels 1, 0, 0, 1, true 0, 0, 0, 1: two rounds at
    lam = 1 recover none of 1 mislabelled row, one training at 2 recovers it. *)
(** Registry, recovery-ahead, which is false: round t predicts at least as many mislabelled rows
    as their true class as the head trained once on Y at ∑_(s ≤ t) λₛ *)
Theorem recovery_ahead : ~ (forall N d K X lam W n labels truth V,
  (0 < N)%nat -> (0 < K)%nat -> (forall i, (i < N)%nat -> (labels i < K)%nat /\ (truth i < K)%nat) ->
  positive lam n -> exact_rounds N d K X (one_hot labels) lam W n ->
  forall t, (1 <= t <= n)%nat -> head N d K X (one_hot labels) (total lam t) V ->
  (recovered N d K X V labels truth <= recovered N d K X (W t) labels truth)%nat).
Proof.
  intros Claim.
  destruct (rounds_exist 4 2 2 X3 ltac:(lia) ltac:(lia) (one_hot labels3) ones ones_pos)
    as [W [HW _]].
  assert (T : 0 < total ones 2) by (unfold total, ones; simpl; lra).
  destruct (head_exists 4 2 2 X3 ltac:(lia) ltac:(lia) (one_hot labels3) (total ones 2) T) as [V [HV _]].
  assert (C := Claim 4%nat 2%nat 2%nat X3 ones W 2%nat labels3 truth3 V ltac:(lia) ltac:(lia)
    ltac:(intros [|[|[|[|i]]]] Hi; simpl; lia) (fun t _ => ones_pos t) (HW 2%nat)
    2%nat ltac:(lia) HV).
  assert (B := two_rounds_near 4 2 2 X3 (one_hot labels3) ones W W3 (1 / 10 ^ 5) ltac:(lia)
    ltac:(lia) (fun t _ => ones_pos t) (HW 2%nat) ltac:(lra) residuals3).
  destruct (B 0%nat 0%nat ltac:(lia) ltac:(lia)) as [_ B20].
  destruct (B 0%nat 1%nat ltac:(lia) ltac:(lia)) as [_ B21].
  assert (D := head_near 4 2 2 X3 (one_hot labels3) (total ones 2) V V3 (1 / 10 ^ 5) ltac:(lia)
    ltac:(lia) T HV ltac:(lra) residual_of_V3).
  assert (D0 := D 0%nat 0%nat ltac:(lia) ltac:(lia)).
  assert (D1 := D 0%nat 1%nat ltac:(lia) ltac:(lia)).
  unfold total, ones in D0, D1, B20, B21. simpl in D0, D1. rewrite Rmult_1_l in B20, B21.
  apply within in B20. apply within in B21.
  unfold W3, table in B20, B21. simpl in B20, B21.
  assert (D0' : Rabs (V3 0%nat 0%nat - V 0%nat 0%nat) <= 1 / 10 ^ 4) by lra. apply within in D0'.
  assert (D1' : Rabs (V3 0%nat 1%nat - V 0%nat 1%nat) <= 1 / 10 ^ 4) by lra. apply within in D1'.
  unfold V3, table in D0', D1'. simpl in D0', D1'.
  assert (P1 : predicts 2 2 X3 V 0 0 = true).
  { unfold predicts. simpl. destruct (Rlt_dec _ _) as [L|L]; [reflexivity|]. exfalso. apply L.
    unfold logits, X3, table. simpl. lra. }
  assert (P2 : predicts 2 2 X3 (W 2%nat) 0 0 = false).
  { unfold predicts. simpl. destruct (Rlt_dec _ _) as [L|L]; [|reflexivity]. exfalso. revert L.
    unfold logits, X3, table. simpl. lra. }
  unfold recovered in C. cbn -[predicts] in C. rewrite P1, P2 in C. simpl in C. lia.
Qed.

(** ** Rounds are more uniform than one training at the total weight decay: false *)

Definition X4 := table [[-7; 1]; [-6; -1]; [2; 0]].
Definition Y4 := table [[0; 0; 1]; [1 / 2; 1 / 2; 0]; [0; 0; 1]].
Definition lam4 (t : nat) : R := match t with 1%nat => 1 / 100 | _ => 10 end.
Definition W4 (t : nat) : mat := match t with
  | 1%nat => table
    [[-162394997866 / 10 ^ 12; -162394997866 / 10 ^ 12; 324789995732 / 10 ^ 12];
     [-2027054813887 / 10 ^ 12; -2027054813887 / 10 ^ 12; 4054109627774 / 10 ^ 12]]
  | _ => table
    [[10990081685 / 10 ^ 12; 10990081685 / 10 ^ 12; -21980163370 / 10 ^ 12];
     [-14175115531 / 10 ^ 12; -14175115531 / 10 ^ 12; 28350231062 / 10 ^ 12]]
  end.
Definition V4 := table
  [[10892023698 / 10 ^ 12; 10892023698 / 10 ^ 12; -21784047396 / 10 ^ 12];
   [-16141018144 / 10 ^ 12; -16141018144 / 10 ^ 12; 32282036287 / 10 ^ 12]].

Lemma lam4_pos t : 0 < lam4 t.
Proof. unfold lam4. destruct t as [|[|t]]; lra. Qed.

Lemma Y4_sum : sum_to_one 3 3 Y4.
Proof. intros i Hi. destruct i as [|[|[|i]]]; try lia; unfold Y4, table; simpl; lra. Qed.

Lemma residuals4 t j k : (1 <= t <= 2)%nat -> (j < 2)%nat -> (k < 3)%nat ->
  Rabs (residual 3 2 3 1 X4 Y4 lam4 W4 t j k) <= 1 / 10 ^ 10.
Proof.
  intros Ht Hj Hk. apply Rle_trans with (2 * (4 / 10 ^ 11)); [|lra].
  revert t j k Ht Hj Hk. apply first_of_three.
  - exact Y4_sum.
  - intros t j Ht Hj. cases t j; unfold W4, table; simpl; lra.
  - intros t j Ht Hj. split.
    + cases t j; unfold residual, X4, Y4, W4, lam4; numbers; bounded.
    + cases t j; unfold residual, X4, Y4, W4, lam4; numbers; reflexivity.
Qed.

Lemma residual_of_V4 j k : (j < 2)%nat -> (k < 3)%nat ->
  Rabs (total lam4 2 * V4 j k + M 3 2 3 X4 V4 j k - moment 3 X4 Y4 j k) <= 1 / 10 ^ 10.
Proof.
  intros Hj Hk. unfold total, lam4.
  destruct j as [|[|j]]; try lia; destruct k as [|[|[|k]]]; try lia;
    unfold X4, Y4, V4; numbers; bounded.
Qed.

(** x = (-7, 1), (-6, -1), (2, 0), targets (0, 0, 1), (1/2, 1/2, 0), (0, 0, 1), lam = 1/100 and 10:
    the mean entropy of round 2 is below that of one training at 10.01. *)
(** Registry, entropy-ahead, which is false: H̄ₜ ≥ H̄(V),  V the head trained once on Y at ∑_(s
    ≤ t) λₛ *)
Theorem entropy_ahead : ~ (forall N d K X Y lam W n V,
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  forall t, (1 <= t <= n)%nat -> head N d K X Y (total lam t) V ->
  H_bar N d K X V <= H_bar N d K X (W t)).
Proof.
  intros Claim.
  assert (HY := Y4_sum).
  destruct (rounds_exist 3 2 3 X4 ltac:(lia) ltac:(lia) Y4 lam4 lam4_pos) as [W [HW _]].
  assert (T : 0 < total lam4 2) by (unfold total, lam4; simpl; lra).
  destruct (head_exists 3 2 3 X4 ltac:(lia) ltac:(lia) Y4 (total lam4 2) T) as [V [HV _]].
  assert (C := Claim 3%nat 2%nat 3%nat X4 Y4 lam4 W 2%nat V ltac:(lia) ltac:(lia) HY
    (fun t _ => lam4_pos t) (HW 2%nat) 2%nat ltac:(lia) HV).
  assert (B := two_rounds_near 3 2 3 X4 Y4 lam4 W W4 (1 / 10 ^ 10) ltac:(lia)
    ltac:(lia) (fun t _ => lam4_pos t) (HW 2%nat) ltac:(lra) residuals4).
  assert (D := head_near 3 2 3 X4 Y4 (total lam4 2) V V4 (1 / 10 ^ 10) ltac:(lia)
    ltac:(lia) T HV ltac:(lra) residual_of_V4).
  assert (BW : forall j k, (j < 2)%nat -> (k < 3)%nat ->
    W4 2%nat j k - 1 / 10 ^ 9 <= W 2%nat j k <= W4 2%nat j k + 1 / 10 ^ 9).
  { intros j k Hj Hk. apply within. destruct (B j k Hj Hk) as [_ E]. simpl lam4 in E.
    simpl INR in E. lra. }
  assert (BV : forall j k, (j < 2)%nat -> (k < 3)%nat ->
    V4 j k - 1 / 10 ^ 9 <= V j k <= V4 j k + 1 / 10 ^ 9).
  { intros j k Hj Hk. apply within. assert (E := D j k Hj Hk). unfold total, lam4 in E.
    simpl in E. lra. }
  revert C. apply Rlt_not_le. clear Claim HW HV B D.
  assert (a0 := BW 0%nat 0%nat ltac:(lia) ltac:(lia)). assert (a1 := BW 0%nat 1%nat ltac:(lia) ltac:(lia)).
  assert (a2 := BW 0%nat 2%nat ltac:(lia) ltac:(lia)). assert (a3 := BW 1%nat 0%nat ltac:(lia) ltac:(lia)).
  assert (a4 := BW 1%nat 1%nat ltac:(lia) ltac:(lia)). assert (a5 := BW 1%nat 2%nat ltac:(lia) ltac:(lia)).
  assert (b0 := BV 0%nat 0%nat ltac:(lia) ltac:(lia)). assert (b1 := BV 0%nat 1%nat ltac:(lia) ltac:(lia)).
  assert (b2 := BV 0%nat 2%nat ltac:(lia) ltac:(lia)). assert (b3 := BV 1%nat 0%nat ltac:(lia) ltac:(lia)).
  assert (b4 := BV 1%nat 1%nat ltac:(lia) ltac:(lia)). assert (b5 := BV 1%nat 2%nat ltac:(lia) ltac:(lia)).
  unfold W4, V4, table in a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5.
  cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rle Rlt pow IZR] in a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5.
  unfold H_bar, mean_entropy, entropy, predictions, softmax, logits, X4, table.
  cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rle Rlt pow IZR exp ln].
  set (A0 := W 2%nat 0%nat 0%nat) in *. set (A1 := W 2%nat 0%nat 1%nat) in *.
  set (A2 := W 2%nat 0%nat 2%nat) in *. set (A3 := W 2%nat 1%nat 0%nat) in *.
  set (A4 := W 2%nat 1%nat 1%nat) in *. set (A5 := W 2%nat 1%nat 2%nat) in *.
  set (B0 := V 0%nat 0%nat) in *. set (B1 := V 0%nat 1%nat) in *. set (B2 := V 0%nat 2%nat) in *.
  set (B3 := V 1%nat 0%nat) in *. set (B4 := V 1%nat 1%nat) in *. set (B5 := V 1%nat 2%nat) in *.
  clearbody A0 A1 A2 A3 A4 A5 B0 B1 B2 B3 B4 B5. clear BW BV W V HY T.
  apply Rlt_trans with (1094620 / 1000000); bounded.
Qed.

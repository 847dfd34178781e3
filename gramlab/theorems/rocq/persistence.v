(** Exact students of targets that are right are right, where classes are alike: none is lost. *)

From Coq Require Import Reals Lra Lia Arith FinFun.
From Gramlab Require Import sums matrices softmax heads proximal rounds.
Open Scope R_scope.

(** ** Permutations of rows *)

(** pi takes 0, ..., N - 1 to 0, ..., N - 1, one to one. *)
Definition permutes (N : nat) (pi : nat -> nat) := bFun N pi /\ bInjective N pi.

Lemma sum_permuted N pi f : permutes N pi -> \sum_(i < N) f (pi i) = sum N f.
Proof.
  intros [Fun Inj].
  assert (Sur := proj1 (bInjective_bSurjective Fun) Inj).
  transitivity (\sum_(i < N) \sum_(j < N) (if Nat.eqb (pi i) j then f j else 0)).
  - apply sum_ext. intros i Hi. rewrite (sum_single N _ (pi i) (Fun i Hi)).
    + now rewrite Nat.eqb_refl.
    + intros j _ Hj. now rewrite (proj2 (Nat.eqb_neq (pi i) j)) by auto.
  - rewrite sum_swap. apply sum_ext. intros j Hj. destruct (Sur j Hj) as (i & Hi & E).
    rewrite (sum_single N _ i Hi).
    + now rewrite E, Nat.eqb_refl.
    + intros k Hk Ne. rewrite (proj2 (Nat.eqb_neq (pi k) j)); [reflexivity|].
      intros E'. apply Ne. apply Inj; trivial. congruence.
Qed.

(** ** Rounds by the Gram matrix *)

Section Rounds.

Variables (N K : nat) (G : nat -> nat -> R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.

(** Logits v of an exact head on targets T: a v = G (T - softmax v), a = N lam. *)
Definition solves (a : R) (T v : mat) := forall i k, (i < N)%nat -> (k < K)%nat ->
  a * v i k = \sum_(j < N) (G i j * (T j k - softmax K (v j) k)).

(** G = X X^T has nonnegative squares, and what has square 0 is sent to 0. *)
Hypothesis G_positive : forall x, 0 <= \sum_(i < N) \sum_(j < N) (x i * G i j * x j).
Hypothesis G_kernel : forall x, \sum_(i < N) \sum_(j < N) (x i * G i j * x j) = 0 ->
  forall i, (i < N)%nat -> \sum_(j < N) (G i j * x j) = 0.

(** The logits are determined by the targets. *)
Lemma solves_unique a T v w : 0 < a -> solves a T v -> solves a T w ->
  forall i k, (i < N)%nat -> (k < K)%nat -> v i k = w i k.
Proof.
  intros Ha Hv Hw.
  set (delta := fun k i => softmax K (v i) k - softmax K (w i) k).
  assert (Diff : forall i k, (i < N)%nat -> (k < K)%nat ->
    a * (v i k - w i k) = - \sum_(j < N) (G i j * delta k j)).
  { intros i k Hi Hk. rewrite Rmult_minus_distr_l, Hv, Hw by assumption.
    rewrite <- sum_minus, <- sum_opp. apply sum_ext. intros j _. unfold delta. ring. }
  set (q := fun k => \sum_(i < N) \sum_(j < N) (delta k i * G i j * delta k j)).
  assert (Zero : sum K q <= 0).
  { assert (E : sum K q = - (a * \sum_(i < N) \sum_(k < K) (delta k i * (v i k - w i k)))).
    { rewrite sum_swap, <- sum_scal_l, <- sum_opp. apply sum_ext. intros k Hk. unfold q.
      rewrite <- sum_scal_l, <- sum_opp. apply sum_ext. intros i Hi.
      replace (- (a * (delta k i * (v i k - w i k)))) with (delta k i * - (a * (v i k - w i k))) by ring.
      rewrite Diff, Ropp_involutive, <- sum_scal_l by assumption. apply sum_ext. intros. ring. }
    assert (0 <= a * \sum_(i < N) \sum_(k < K) (delta k i * (v i k - w i k))).
    { apply Rmult_le_pos; [lra|]. apply sum_nonneg. intros i _. apply (softmax_monotone K K_pos). }
    lra. }
  assert (Pos : forall k, (k < K)%nat -> 0 <= q k) by (intros; apply G_positive).
  assert (Each : forall k, (k < K)%nat -> q k = 0).
  { intros k Hk. apply (sum_nonneg_zero K q k Pos); [|exact Hk].
    assert (S := sum_nonneg K q Pos). lra. }
  intros i k Hi Hk. assert (E := Diff i k Hi Hk).
  rewrite (G_kernel (delta k) (Each k Hk) i Hi) in E.
  apply Rmult_eq_reg_l with a; lra.
Qed.

(** A permutation of rows together with one of classes. *)
Variables (pi sigma : nat -> nat).
Hypothesis pi_permutes : permutes N pi.
Hypothesis sigma_permutes : permutes K sigma.
Hypothesis G_same : forall i j, (i < N)%nat -> (j < N)%nat -> G (pi i) (pi j) = G i j.

Definition same (A : mat) := forall i k, (i < N)%nat -> (k < K)%nat -> A (pi i) (sigma k) = A i k.

Lemma softmax_same v : same v -> same (fun i => softmax K (v i)).
Proof.
  intros H i k Hi Hk. unfold softmax. rewrite H by assumption. f_equal.
  rewrite <- (sum_permuted K sigma (fun l => exp (v (pi i) l)) sigma_permutes).
  apply sum_ext. intros l Hl. now rewrite H.
Qed.

(** Targets that it leaves alone make logits that it leaves alone. *)
Lemma solves_same a T v : 0 < a -> same T -> solves a T v -> same v.
Proof.
  intros Ha HT Hv. unfold same. apply (solves_unique a T (fun i k => v (pi i) (sigma k)) v Ha); [|exact Hv].
  intros i k Hi Hk. rewrite Hv by (apply pi_permutes || apply sigma_permutes; assumption).
  rewrite <- (sum_permuted N pi _ pi_permutes). apply sum_ext. intros j Hj.
  rewrite G_same, HT by assumption. f_equal. f_equal. unfold softmax. f_equal.
  symmetry. apply (sum_permuted K sigma (fun l => exp (v (pi j) l)) sigma_permutes).
Qed.

(** Sums over rows are the same for classes that sigma takes to each other. *)
Lemma same_sums A k : same A -> (k < K)%nat -> \sum_(i < N) A i (sigma k) = \sum_(i < N) A i k.
Proof.
  intros H Hk. rewrite <- (sum_permuted N pi (fun i => A i (sigma k)) pi_permutes).
  apply sum_ext. intros i Hi. now apply H.
Qed.

End Rounds.

(** ** Classes that are alike *)

(** Inner products of the block model without superclasses: 1, c inside classes, e elsewhere. *)
Definition class_gram (cls : nat -> nat) (c e : R) (i j : nat) : R :=
  if Nat.eqb i j then 1 else if Nat.eqb (cls i) (cls j) then c else e.

(** Given labels as one-hot rows. *)
Definition one_hot (y : nat -> nat) : mat := fun i k => if Nat.eqb (y i) k then 1 else 0.

(** The shift of classes by one. *)
Definition shift (K k : nat) : nat := (S k mod K)%nat.

(** Every row is predicted as its true class, by a margin. *)
Definition perfect (N d K : nat) (X : mat) (cls : nat -> nat) (W : mat) :=
  forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i -> logits d X W i l < logits d X W i (cls i).

Lemma shift_permutes K : (0 < K)%nat -> permutes K (shift K).
Proof.
  intros HK. split; [intros k _; unfold shift; apply Nat.mod_upper_bound; lia|].
  intros k l Hk Hl E. unfold shift in E.
  destruct (Nat.eq_dec (S k) K) as [A|A], (Nat.eq_dec (S l) K) as [B|B]; [lia| | |].
  - rewrite A, Nat.mod_same, Nat.mod_small in E by lia. lia.
  - rewrite B, Nat.mod_same, Nat.mod_small in E by lia. lia.
  - rewrite !Nat.mod_small in E by lia. lia.
Qed.

(** Classes 0 < 1 < ... are reached from 0 by shifts. *)
Lemma shift_orbit K (f : nat -> R) : (forall k, (k < K)%nat -> f (shift K k) = f k) ->
  forall k, (k < K)%nat -> f k = f 0%nat.
Proof.
  intros H. induction k as [|k IH]; intros Hk; [reflexivity|].
  rewrite <- IH by lia. rewrite <- (H k) by lia. unfold shift. now rewrite Nat.mod_small by lia.
Qed.

(** A permutation of the rows takes class k to class k + 1, and with it the targets. *)
Definition alike_by (N K : nat) (cls : nat -> nat) (T : mat) (pi : nat -> nat) :=
  permutes N pi /\ (forall i, (i < N)%nat -> cls (pi i) = shift K (cls i)) /\ same N K pi (shift K) T.

(** A cyclic shift of the classes leaves the rows of T what they are. *)
Definition alike (N K : nat) (cls : nat -> nat) (T : mat) := exists pi, alike_by N K cls T pi.

(** No label is ahead of the true one in a row, and none level with it in the mean of the class. *)
Definition never_behind (N K : nat) (cls : nat -> nat) (T : mat) :=
  (forall i l, (i < N)%nat -> (l < K)%nat -> T i l <= T i (cls i)) /\
  (forall k l, (k < K)%nat -> (l < K)%nat -> l <> k ->
    0 < \sum_(i < N) (if Nat.eqb k (cls i) then T i k - T i l else 0)).

Section Persistence.

(** N rows of d features in K classes. *)
Variables (N d K : nat) (X : mat) (cls : nat -> nat) (c e : R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis cls_lt : forall i, (i < N)%nat -> (cls i < K)%nat.
Hypothesis order : 0 <= e < c.
Hypothesis c_lt_1 : c < 1.
(** The block model without superclasses. *)
Hypothesis features : forall i j, (i < N)%nat -> (j < N)%nat ->
  \sum_(f < d) (X i f * X j f) = class_gram cls c e i j.

Let G := class_gram cls c e.
Let PN : 0 < INR N. Proof. now apply lt_0_INR. Qed.

(** Sums of X X^T *)
Lemma gram_square x : \sum_(i < N) \sum_(j < N) (x i * G i j * x j)
  = \sum_(f < d) ((\sum_(i < N) (x i * X i f)) ^ 2).
Proof.
  transitivity (\sum_(f < d) \sum_(i < N) \sum_(j < N) (x i * X i f * (x j * X j f))).
  - rewrite (sum_swap d N). apply sum_ext. intros i Hi. rewrite (sum_swap d N).
    apply sum_ext. intros j Hj. unfold G. rewrite <- features by assumption.
    rewrite <- sum_scal_l, <- sum_scal_r. apply sum_ext. intros. ring.
  - apply sum_ext. intros f _. rewrite <- (sum_prod N N (fun i => x i * X i f) (fun j => x j * X j f)). ring.
Qed.

Lemma gram_positive x : 0 <= \sum_(i < N) \sum_(j < N) (x i * G i j * x j).
Proof. rewrite gram_square. apply sum_nonneg. intros. apply pow2_ge_0. Qed.

Lemma gram_kernel x : \sum_(i < N) \sum_(j < N) (x i * G i j * x j) = 0 ->
  forall i, (i < N)%nat -> \sum_(j < N) (G i j * x j) = 0.
Proof.
  rewrite gram_square. intros Z i Hi.
  rewrite (sum_ext N _ (fun j => \sum_(f < d) (X i f * (x j * X j f)))).
  - rewrite sum_swap. apply sum_zero. intros f Hf. rewrite sum_scal_l.
    assert (E := sum_nonneg_zero d (fun f => (\sum_(i < N) (x i * X i f)) ^ 2) f
      (fun _ _ => pow2_ge_0 _) Z Hf). cbv beta in E.
    assert (E' : \sum_(i < N) (x i * X i f) = 0) by (apply Rsqr_0_uniq; rewrite Rsqr_pow2; exact E).
    rewrite E'. ring.
  - intros j Hj. unfold G. rewrite <- features by assumption. rewrite <- sum_scal_r.
    apply sum_ext. intros. ring.
Qed.

(** Logits of an exact head *)
Lemma head_solves T lam W : head N d K X T lam W -> solves N K G (INR N * lam) T (logits d X W).
Proof.
  intros H i k Hi Hk. unfold logits at 1.
  rewrite (sum_ext N _ (fun j => \sum_(f < d) (X i f * (X j f * (T j k - predictions d K X W j k))))).
  - rewrite sum_swap. rewrite <- sum_scal_l. apply sum_ext. intros f Hf. rewrite sum_scal_l.
    specialize (H f k Hf Hk). unfold add, scale, M, moment in H.
    rewrite (sum_ext N _ (fun j => X j f * T j k - X j f * predictions d K X W j k)) by (intros; ring).
    rewrite sum_minus.
    assert (E : INR N * lam * W f k = \sum_(j < N) (X j f * T j k)
      - \sum_(j < N) (X j f * predictions d K X W j k)).
    { replace (INR N * lam * W f k) with (INR N * (lam * W f k)) by ring.
      replace (lam * W f k) with ((\sum_(j < N) (X j f * T j k)) / INR N
        - (\sum_(j < N) (X j f * predictions d K X W j k)) / INR N) by lra.
      field. lra. }
    rewrite <- E. ring.
  - intros j Hj. unfold G. rewrite <- features by assumption. rewrite <- sum_scal_r.
    apply sum_ext. intros. unfold predictions. ring.
Qed.

(** An exact head leaves alike what was alike. *)
Let head_alike pi T lam W : 0 < lam -> alike_by N K cls T pi -> head N d K X T lam W ->
  alike_by N K cls (predictions d K X W) pi.
Proof.
  intros Hl (P & E & Same) HW. split; [exact P|split; [exact E|]].
  assert (Sh := shift_permutes K K_pos).
  assert (Gsame : forall i j, (i < N)%nat -> (j < N)%nat -> G (pi i) (pi j) = G i j).
  { intros i j Hi Hj. unfold G, class_gram. rewrite (E i Hi), (E j Hj).
    destruct (Nat.eqb_spec i j) as [->|Ne]; [now rewrite Nat.eqb_refl|].
    rewrite (proj2 (Nat.eqb_neq (pi i) (pi j))) by (intros A; apply Ne; now apply P).
    destruct (Nat.eqb_spec (cls i) (cls j)) as [->|Nc]; [now rewrite Nat.eqb_refl|].
    rewrite (proj2 (Nat.eqb_neq _ _)); [reflexivity|]. intros A. apply Nc. apply Sh; auto. }
  apply (softmax_same N K pi (shift K) Sh).
  apply (solves_same N K G K_pos gram_positive gram_kernel pi (shift K) P Sh Gsame (INR N * lam) T);
    trivial; [now apply Rmult_lt_0_compat|now apply head_solves].
Qed.

(** Order of logits and of predictions. *)
Let softmax_order u a b : softmax K u a < softmax K u b <-> u a < u b.
Proof.
  unfold softmax. assert (Z := Rinv_0_lt_compat _ (exps_pos K K_pos u)).
  unfold Rdiv. split; intros H.
  - apply Rmult_lt_reg_r in H; [|exact Z]. now apply exp_lt_inv.
  - apply Rmult_lt_compat_r; [exact Z|]. now apply exp_increasing.
Qed.

(** The exact softmax head fitted to targets in which no label is ahead of the true one, and none
    level with it in the mean of the class, is right on every sample. *)
(** Registry, persistence: Tᵢₖ ≥ Tᵢₗ for every i of class k and every l, with class means T̄ₖₖ >
    T̄ₖₗ (l ≠ k): the exact softmax head fitted to T is right on every sample;  so exact rounds
    that are right on every sample at t are so at t + 1, whatever λₜ₊₁ *)
Theorem right_targets T lam W : 0 < lam -> alike N K cls T -> never_behind N K cls T ->
  head N d K X T lam W -> perfect N d K X cls W.
Proof.
  intros Hl (pi & Al) (Ahead & Mean) HW.
  assert (Al' := head_alike pi T lam W Hl Al HW).
  destruct Al as (P & _ & ST). destruct Al' as (_ & _ & SP).
  set (P' := predictions d K X W) in *. set (v := logits d X W).
  assert (Sol := head_solves _ _ _ HW). fold v in Sol.
  (* sums over rows do not depend on the class *)
  assert (Sums : forall k, (k < K)%nat -> \sum_(j < N) (T j k - P' j k) = \sum_(j < N) (T j 0%nat - P' j 0%nat)).
  { apply (shift_orbit K (fun k => \sum_(j < N) (T j k - P' j k))). intros k Hk.
    apply (same_sums N K pi (shift K) P (fun i k => T i k - P' i k)); [|exact Hk].
    intros i l Hi Hl'. now rewrite ST, SP. }
  assert (Pa : 0 < INR N * lam) by (apply Rmult_lt_0_compat; assumption).
  intros i l Hi Hl' Ne. set (k := cls i) in *. assert (Hk : (k < K)%nat) by (apply cls_lt, Hi).
  (* differences of class k and label l, in the rows of class k *)
  set (D := fun j => T j k - T j l). set (F := fun j => P' j k - P' j l).
  set (x := fun j => v j k - v j l).
  set (Mt := \sum_(j < N) (if Nat.eqb k (cls j) then D j - F j else 0)).
  assert (Eq : forall j, (j < N)%nat -> cls j = k ->
    INR N * lam * x j = (1 - c) * (D j - F j) + (c - e) * Mt).
  { intros j Hj Cj. unfold x. rewrite Rmult_minus_distr_l, !Sol by assumption. rewrite <- sum_minus.
    rewrite (sum_ext N _ (fun q => (if Nat.eqb j q then (1 - c) * (D j - F j) else 0)
      + (c - e) * (if Nat.eqb k (cls q) then D q - F q else 0)
      + e * ((T q k - P' q k) - (T q l - P' q l)))).
    - rewrite !sum_plus, !sum_scal_l, (sum_minus N (fun q => T q k - P' q k)),
        (Sums k Hk), (Sums l Hl').
      rewrite (sum_single N _ j Hj), Nat.eqb_refl; [unfold Mt; ring|].
      intros q _ Hq. now rewrite (proj2 (Nat.eqb_neq j q)) by auto.
    - intros q _. unfold G, class_gram, D, F. rewrite Cj.
      change (softmax K (v q)) with (P' q).
      destruct (Nat.eqb_spec j q) as [<-|].
      + rewrite Cj, Nat.eqb_refl. ring.
      + destruct (Nat.eqb k (cls q)); ring. }
  assert (DPos : forall j, (j < N)%nat -> cls j = k -> 0 <= D j).
  { intros j Hj Cj. unfold D. assert (A := Ahead j l Hj Hl'). rewrite Cj in A. lra. }
  assert (Sign : forall j, 0 < F j <-> 0 < x j).
  { intros j. unfold F, x. assert (A := softmax_order (v j) l k).
    change (softmax K (v j)) with (P' j) in A. lra. }
  assert (MPos : 0 < Mt).
  { apply Rnot_le_lt. intros Le.
    (* M <= 0 would make F <= D in every row of the class, and F < D where F > 0 *)
    assert (Less : forall j, (j < N)%nat -> cls j = k -> F j < D j \/ F j <= 0).
    { intros j Hj Cj. destruct (Rle_lt_dec (F j) 0) as [A|A]; [now right|left].
      apply Rnot_le_lt. intros B.
      assert (0 < x j) by now apply Sign. assert (C := Eq j Hj Cj).
      assert (0 < INR N * lam * x j) by (apply Rmult_lt_0_compat; assumption).
      assert (0 <= (1 - c) * (F j - D j)) by (apply Rmult_le_pos; lra).
      assert (0 <= (c - e) * - Mt) by (apply Rmult_le_pos; lra). lra. }
    assert (Le' : forall j, (j < N)%nat ->
      0 <= (fun j => if Nat.eqb k (cls j) then D j - F j else 0) j).
    { intros j Hj. cbv beta. destruct (Nat.eqb_spec k (cls j)) as [Cj|]; [|lra].
      assert (A := DPos j Hj (eq_sym Cj)). destruct (Less j Hj (eq_sym Cj)); lra. }
    (* so all D - F are 0, and with them D itself *)
    assert (Z : \sum_(j < N) (if Nat.eqb k (cls j) then D j else 0) = 0).
    { apply sum_zero. intros j Hj. destruct (Nat.eqb_spec k (cls j)) as [Cj|]; [|reflexivity].
      assert (A := sum_term_le N (fun j => if Nat.eqb k (cls j) then D j - F j else 0) j Hj Le').
      cbv beta in A. fold Mt in A. rewrite <- Cj, Nat.eqb_refl in A.
      assert (B := DPos j Hj (eq_sym Cj)). destruct (Less j Hj (eq_sym Cj)); lra. }
    assert (A := Mean k l Hk Hl' Ne). unfold D in Z. lra. }
  assert (X0 : 0 < x i).
  { apply Rnot_le_lt. intros Le.
    assert (NF : F i <= 0) by (apply Rnot_lt_le; intros A; apply Sign in A; lra).
    assert (B := DPos i Hi eq_refl). assert (C := Eq i Hi eq_refl).
    assert (0 <= (1 - c) * (D i - F i)) by (apply Rmult_le_pos; lra).
    assert (0 < (c - e) * Mt) by (apply Rmult_lt_0_compat; lra).
    assert (0 <= INR N * lam * - x i) by (apply Rmult_le_pos; lra). lra. }
  change (v i l < v i k). unfold x in X0. lra.
Qed.

(** So exact rounds that are right on every sample at t are so at t + 1, at any weight decay. *)
Theorem persistence T lam W t : alike N K cls T -> positive lam (S t) -> (1 <= t)%nat ->
  (forall k, (k < K)%nat -> exists i, (i < N)%nat /\ cls i = k) ->
  exact_rounds N d K X T lam W (S t) ->
  perfect N d K X cls (W t) -> perfect N d K X cls (W (S t)).
Proof.
  intros (pi & Al) Hl Ht Some HW Right.
  assert (Same : forall s, (s <= t)%nat -> alike_by N K cls (plain d K X T W (S s)) pi).
  { induction s as [|s IH]; intros Hs; [exact Al|].
    apply (head_alike pi (plain d K X T W (S s)) (lam (S s))); [apply Hl; lia|apply IH; lia|apply HW; lia]. }
  apply (right_targets (plain d K X T W (S t)) (lam (S t))); [apply Hl; lia| | |apply HW; lia].
  { exists pi. apply Same. lia. }
  destruct t as [|t]; [lia|]. simpl.
  assert (Ahead : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
    predictions d K X (W (S t)) i l < predictions d K X (W (S t)) i (cls i)).
  { intros i l Hi Hl' Ne. apply softmax_order, Right; assumption. }
  split.
  - intros i l Hi Hl'. destruct (Nat.eq_dec l (cls i)) as [->|Ne]; [lra|]. left. now apply Ahead.
  - intros k l Hk Hl' Ne. destruct (Some k Hk) as (i & Hi & Ci).
    apply Rlt_le_trans with (if Nat.eqb k (cls i)
      then predictions d K X (W (S t)) i k - predictions d K X (W (S t)) i l else 0).
    + rewrite <- Ci, Nat.eqb_refl. assert (A := Ahead i l Hi Hl' ltac:(congruence)). lra.
    + apply (sum_term_le N (fun i => if Nat.eqb k (cls i)
        then predictions d K X (W (S t)) i k - predictions d K X (W (S t)) i l else 0) i Hi).
      intros j Hj. destruct (Nat.eqb_spec k (cls j)) as [->|]; [|lra].
      assert (A := Ahead j l Hj Hl' ltac:(congruence)). lra.
Qed.

End Persistence.

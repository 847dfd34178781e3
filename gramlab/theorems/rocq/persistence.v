(** Exact rounds never lose perfect accuracy once they have it, where classes are alike. *)

From Coq Require Import Reals Lra Lia Arith List FinFun Permutation.
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

(** How many i < N have the value x of f. *)
Definition count (N : nat) (f : nat -> nat) (x : nat) : nat :=
  count_occ Nat.eq_dec (map f (seq 0 N)) x.

(** If each value occurs equally often, a permutation takes one function to the other. *)
Lemma permutation_of_counts N f g : (forall x, count N f x = count N g x) ->
  exists pi, permutes N pi /\ forall i, (i < N)%nat -> g (pi i) = f i.
Proof.
  intros H.
  assert (P : Permutation (map g (seq 0 N)) (map f (seq 0 N))).
  { apply (Permutation_count_occ Nat.eq_dec). intros x. symmetry. apply H. }
  apply (proj1 (Permutation_nth _ _ 0%nat)) in P. cbv zeta in P.
  rewrite !map_length, !seq_length in P. destruct P as (_ & pi & Fun & Inj & E).
  exists pi. split; [split; assumption|]. intros i Hi. specialize (E i Hi).
  assert (V : forall h m, (m < N)%nat -> nth m (map h (seq 0 N)) 0%nat = h m).
  { intros h m Hm. rewrite (nth_indep _ 0%nat (h 0%nat)) by (rewrite map_length, seq_length; exact Hm).
    rewrite map_nth, seq_nth by exact Hm. reflexivity. }
  rewrite !V in E by (trivial; now apply Fun). now symmetry.
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

Section Persistence.

(** N rows of d features in K classes; given labels y. *)
Variables (N d K : nat) (X : mat) (cls y : nat -> nat) (c e : R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis cls_lt : forall i, (i < N)%nat -> (cls i < K)%nat.
Hypothesis y_lt : forall i, (i < N)%nat -> (y i < K)%nat.
Hypothesis order : 0 <= e < c.
Hypothesis c_lt_1 : c < 1.
(** The block model without superclasses, *)
Hypothesis features : forall i j, (i < N)%nat -> (j < N)%nat ->
  \sum_(f < d) (X i f * X j f) = class_gram cls c e i j.
(** of which a cyclic shift of the classes leaves the numbers of (true, given) pairs what they are. *)
Hypothesis circulant : forall k l, (k < K)%nat -> (l < K)%nat ->
  count N (fun i => (cls i * K + y i)%nat) (shift K k * K + shift K l)%nat
  = count N (fun i => (cls i * K + y i)%nat) (k * K + l)%nat.

Let G := class_gram cls c e.
Let PN : 0 < INR N. Proof. now apply lt_0_INR. Qed.

Let row_permutation : exists pi, permutes N pi /\
  forall i, (i < N)%nat -> cls (pi i) = shift K (cls i) /\ y (pi i) = shift K (y i).
Proof.
  set (key := fun i => (cls i * K + y i)%nat).
  set (next := fun i => (shift K (cls i) * K + shift K (y i))%nat).
  assert (Lt : forall k, (k < K)%nat -> (shift K k < K)%nat)
    by (intros k Hk; apply (shift_permutes K K_pos); exact Hk).
  assert (Dec : forall a b a' b', (b < K)%nat -> (b' < K)%nat ->
    (a * K + b = a' * K + b')%nat -> a = a' /\ b = b').
  { intros a b a' b' Hb Hb' E. assert (a = a') by nia. subst. lia. }
  destruct (permutation_of_counts N next key) as (pi & P & E).
  - intros x.
    (* x is the key of a pair (shift k, shift l), or of none *)
    destruct (lt_dec x (K * K)) as [Lx|Lx].
    + destruct (bInjective_bSurjective (proj1 (shift_permutes K K_pos))) as [Sur _].
      specialize (Sur (proj2 (shift_permutes K K_pos))).
      assert (Dx : (x = x / K * K + x mod K)%nat) by (rewrite Nat.mul_comm; apply Nat.div_mod; lia).
      assert (Hq : (x / K < K)%nat) by (apply Nat.div_lt_upper_bound; lia).
      assert (Hr : (x mod K < K)%nat) by (apply Nat.mod_upper_bound; lia).
      destruct (Sur _ Hq) as (k & Hk & Ek). destruct (Sur _ Hr) as (l & Hl & El).
      rewrite Dx, <- Ek, <- El. change (fun i => (cls i * K + y i)%nat) with key in circulant.
      rewrite circulant by assumption. unfold count.
      (* i counts on the left when (cls i, y i) = (k, l) *)
      assert (Q : forall s, (forall i, In i s -> (i < N)%nat) ->
        count_occ Nat.eq_dec (map next s) (shift K k * K + shift K l)%nat
        = count_occ Nat.eq_dec (map key s) (k * K + l)%nat).
      { induction s as [|i s IH]; intros Hs; [reflexivity|]. simpl.
        rewrite IH by (intros; apply Hs; now right).
        assert (Hi : (i < N)%nat) by (apply Hs; now left).
        destruct (Nat.eq_dec (next i) (shift K k * K + shift K l)) as [A|A];
          destruct (Nat.eq_dec (key i) (k * K + l)) as [B|B]; trivial; exfalso.
        - apply B. unfold next in A. apply Dec in A as (A1 & A2); [|apply Lt, y_lt, Hi|now apply Lt].
          apply (shift_permutes K K_pos) in A1; [|now apply cls_lt|exact Hk].
          apply (shift_permutes K K_pos) in A2; [|now apply y_lt|exact Hl].
          unfold key. congruence.
        - apply A. unfold key in B. apply Dec in B as (B1 & B2); [|now apply y_lt|exact Hl].
          unfold next. now rewrite B1, B2. }
      apply Q. intros i Hi. apply in_seq in Hi. lia.
    + assert (None : forall h, (forall i, (i < N)%nat -> (h i < K * K)%nat) ->
        count N h x = 0%nat).
      { intros h Hh. apply count_occ_not_In. intros Hin. apply in_map_iff in Hin as (i & Ei & Hi).
        apply in_seq in Hi. specialize (Hh i ltac:(lia)). lia. }
      rewrite !None; trivial; intros i Hi; unfold key, next.
      * assert (A := cls_lt i Hi). assert (B := y_lt i Hi). nia.
      * assert (A := Lt _ (cls_lt i Hi)). assert (B := Lt _ (y_lt i Hi)). nia.
  - exists pi. split; [exact P|]. intros i Hi. specialize (E i Hi). unfold key, next in E.
    apply Dec in E; [exact E|apply y_lt; apply P, Hi|apply Lt, y_lt, Hi].
Qed.

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

(** Exact softmax rounds t right on every sample: round t + 1 is too, at any weight decay. *)
Theorem persistence lam W t : positive lam (S t) -> (1 <= t)%nat ->
  exact_rounds N d K X (one_hot y) lam W (S t) ->
  perfect N d K X cls (W t) -> perfect N d K X cls (W (S t)).
Proof.
  intros Hl Ht HW Right.
  destruct row_permutation as (pi & P & E).
  assert (Sh := shift_permutes K K_pos).
  assert (Gsame : forall i j, (i < N)%nat -> (j < N)%nat -> G (pi i) (pi j) = G i j).
  { intros i j Hi Hj. unfold G, class_gram. destruct (E i Hi) as (Ei & _). destruct (E j Hj) as (Ej & _).
    rewrite Ei, Ej.
    destruct (Nat.eqb_spec i j) as [->|Ne]; [now rewrite Nat.eqb_refl|].
    rewrite (proj2 (Nat.eqb_neq (pi i) (pi j))) by (intros A; apply Ne; now apply P).
    destruct (Nat.eqb_spec (cls i) (cls j)) as [->|Nc]; [now rewrite Nat.eqb_refl|].
    rewrite (proj2 (Nat.eqb_neq _ _)); [reflexivity|]. intros A. apply Nc. apply Sh; auto. }
  (* every round is the same after the shift *)
  assert (Same : forall s, (1 <= s <= S t)%nat ->
    same N K pi (shift K) (plain d K X (one_hot y) W s) /\ same N K pi (shift K) (logits d X (W s))).
  { assert (Step : forall s, (1 <= s <= S t)%nat -> same N K pi (shift K) (plain d K X (one_hot y) W s) ->
      same N K pi (shift K) (logits d X (W s))).
    { intros s Hs HT. assert (Ls := Hl s Hs).
      apply (solves_same N K G K_pos gram_positive gram_kernel pi (shift K) P Sh Gsame
        (INR N * lam s) (plain d K X (one_hot y) W s)); trivial.
      - apply Rmult_lt_0_compat; assumption.
      - apply head_solves, HW, Hs. }
    induction s as [|[|s] IH]; intros Hs; [lia| |].
    - assert (HT : same N K pi (shift K) (plain d K X (one_hot y) W 1)).
      { intros i k Hi Hk. simpl. unfold one_hot. destruct (E i Hi) as (_ & Ey). rewrite Ey.
        destruct (Nat.eqb_spec (y i) k) as [->|Ne]; [now rewrite Nat.eqb_refl|].
        rewrite (proj2 (Nat.eqb_neq _ _)); [reflexivity|]. intros A. apply Ne. apply Sh; auto. }
      split; [exact HT|now apply Step].
    - destruct (IH ltac:(lia)) as (_ & Sv).
      assert (HT : same N K pi (shift K) (plain d K X (one_hot y) W (S (S s)))).
      { exact (softmax_same N K pi (shift K) Sh _ Sv). }
      split; [exact HT|now apply Step]. }
  destruct t as [|t]; [lia|].
  set (Q := predictions d K X (W (S t))). set (P' := predictions d K X (W (S (S t)))).
  set (v := logits d X (W (S (S t)))).
  destruct (Same (S (S t)) ltac:(lia)) as (SQ & Sv). change (plain d K X (one_hot y) W (S (S t))) with Q in SQ.
  assert (SP : same N K pi (shift K) P') by exact (softmax_same N K pi (shift K) Sh _ Sv).
  (* sums over rows do not depend on the class *)
  assert (Sums : forall k, (k < K)%nat -> \sum_(j < N) (Q j k - P' j k) = \sum_(j < N) (Q j 0%nat - P' j 0%nat)).
  { apply (shift_orbit K (fun k => \sum_(j < N) (Q j k - P' j k))). intros k Hk.
    apply (same_sums N K pi (shift K) P (fun i k => Q i k - P' i k)); [|exact Hk].
    intros i l Hi Hl'. now rewrite SQ, SP. }
  assert (Ls := Hl (S (S t)) ltac:(lia)).
  assert (Pa : 0 < INR N * lam (S (S t))) by (apply Rmult_lt_0_compat; assumption).
  assert (Sol := head_solves _ _ _ (HW (S (S t)) ltac:(lia))).
  change (plain d K X (one_hot y) W (S (S t))) with Q in Sol. fold v in Sol.
  (* order of logits and of predictions *)
  assert (Mono : forall u a b, softmax K u a < softmax K u b <-> u a < u b).
  { intros u a b. unfold softmax. assert (Z := Rinv_0_lt_compat _ (exps_pos K K_pos u)).
    unfold Rdiv. split; intros H.
    - apply Rmult_lt_reg_r in H; [|exact Z]. now apply exp_lt_inv.
    - apply Rmult_lt_compat_r; [exact Z|]. now apply exp_increasing. }
  intros i l Hi Hl' Ne. set (k := cls i) in *. assert (Hk : (k < K)%nat) by (apply cls_lt, Hi).
  (* differences of class k and label l, in the rows of class k *)
  set (D := fun j => Q j k - Q j l). set (F := fun j => P' j k - P' j l).
  set (x := fun j => v j k - v j l).
  set (Mt := \sum_(j < N) (if Nat.eqb k (cls j) then D j - F j else 0)).
  assert (Eq : forall j, (j < N)%nat -> cls j = k ->
    INR N * lam (S (S t)) * x j = (1 - c) * (D j - F j) + (c - e) * Mt).
  { intros j Hj Cj. unfold x. rewrite Rmult_minus_distr_l, !Sol by assumption. rewrite <- sum_minus.
    rewrite (sum_ext N _ (fun q => (if Nat.eqb j q then (1 - c) * (D j - F j) else 0)
      + (c - e) * (if Nat.eqb k (cls q) then D q - F q else 0)
      + e * ((Q q k - P' q k) - (Q q l - P' q l)))).
    - rewrite !sum_plus, !sum_scal_l, (sum_minus N (fun q => Q q k - P' q k)),
        (Sums k Hk), (Sums l Hl').
      rewrite (sum_single N _ j Hj), Nat.eqb_refl; [unfold Mt; ring|].
      intros q _ Hq. now rewrite (proj2 (Nat.eqb_neq j q)) by auto.
    - intros q _. unfold G, class_gram, D, F. rewrite Cj.
      change (softmax K (v q)) with (P' q).
      destruct (Nat.eqb_spec j q) as [<-|].
      + rewrite Cj, Nat.eqb_refl. ring.
      + destruct (Nat.eqb k (cls q)); ring. }
  assert (DPos : forall j, (j < N)%nat -> cls j = k -> 0 < D j).
  { intros j Hj Cj. unfold D. assert (A : Q j l < Q j k); [|lra].
    apply Mono. assert (B := Right j l Hj Hl'). rewrite Cj in B. apply B. auto. }
  assert (Sign : forall j, 0 < F j <-> 0 < x j).
  { intros j. unfold F, x. assert (A := Mono (v j) l k). change (softmax K (v j)) with (P' j) in A. lra. }
  assert (MPos : 0 < Mt).
  { apply Rnot_le_lt. intros Le.
    (* M <= 0 would make F < D in every row of the class *)
    assert (Less : forall j, (j < N)%nat -> cls j = k -> F j < D j).
    { intros j Hj Cj. apply Rnot_le_lt. intros A.
      assert (B := DPos j Hj Cj). assert (0 < x j) by (apply Sign; lra).
      assert (C := Eq j Hj Cj).
      assert (0 < INR N * lam (S (S t)) * x j) by (apply Rmult_lt_0_compat; assumption).
      assert (0 <= (1 - c) * (F j - D j)) by (apply Rmult_le_pos; lra).
      assert (0 <= (c - e) * - Mt) by (apply Rmult_le_pos; lra). lra. }
    assert (0 < Mt); [|lra]. unfold Mt.
    apply Rlt_le_trans with (if Nat.eqb k (cls i) then D i - F i else 0).
    - fold k. rewrite Nat.eqb_refl. assert (A := Less i Hi eq_refl). lra.
    - apply (sum_term_le N (fun j => if Nat.eqb k (cls j) then D j - F j else 0) i Hi).
      intros j Hj. destruct (Nat.eqb_spec k (cls j)) as [Cj|]; [|lra].
      assert (A := Less j Hj (eq_sym Cj)). lra. }
  assert (X0 : 0 < x i).
  { apply Rnot_le_lt. intros Le.
    assert (NF : F i <= 0) by (apply Rnot_lt_le; intros A; apply Sign in A; lra).
    assert (B := DPos i Hi eq_refl). assert (C := Eq i Hi eq_refl).
    assert (0 < (1 - c) * (D i - F i)) by (apply Rmult_lt_0_compat; lra).
    assert (0 < (c - e) * Mt) by (apply Rmult_lt_0_compat; lra).
    assert (0 <= INR N * lam (S (S t)) * - x i) by (apply Rmult_le_pos; lra). lra. }
  change (v i l < v i k). unfold x in X0. lra.
Qed.

End Persistence.

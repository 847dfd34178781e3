(** Matrices as functions of two indices, of which those below d and K count; the inner product
    [inner d K A B] = sum of A j k * B j k, and the Frobenius norm that belongs to it. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums.
Open Scope R_scope.

Definition mat := nat -> nat -> R.

Declare Scope mat_scope.
Delimit Scope mat_scope with M.
Bind Scope mat_scope with mat.

Definition zero : mat := fun _ _ => 0.
Definition add (A B : mat) : mat := fun j k => A j k + B j k.
Definition sub (A B : mat) : mat := fun j k => A j k - B j k.
Definition scale (c : R) (A : mat) : mat := fun j k => c * A j k.

Infix "+" := add : mat_scope.
Infix "-" := sub : mat_scope.
Infix "*" := scale : mat_scope.
Arguments add A%M B%M.
Arguments sub A%M B%M.
Arguments scale c%R A%M.

(** Equality of the entries that count. *)
Definition meq (d K : nat) (A B : mat) : Prop :=
  forall j k, (j < d)%nat -> (k < K)%nat -> A j k = B j k.
Arguments meq d K A%M B%M.

Definition inner (d K : nat) (A B : mat) : R := \sum_(j < d) \sum_(k < K) (A j k * B j k).
Arguments inner d K A%M B%M.

Definition norm (d K : nat) (A : mat) : R := sqrt (inner d K A A).
Arguments norm d K A%M.

(** The sum of matrices A 0, ..., A (n - 1). *)
Definition msum (n : nat) (A : nat -> mat) : mat := fun j k => \sum_(s < n) A s j k.

Section Matrices.

Variables d K : nat.

Local Notation "A == B" := (meq d K A B) (at level 70).
Local Notation "<< A , B >>" := (inner d K A B).
Local Notation "| A |" := (norm d K A) (at level 30).

(** ** Equality *)

Lemma meq_refl A : A == A.
Proof. intros j k _ _. reflexivity. Qed.

Lemma meq_sym A B : A == B -> B == A.
Proof. intros H j k Hj Hk. symmetry. now apply H. Qed.

Lemma meq_trans A B C : A == B -> B == C -> A == C.
Proof. intros H H' j k Hj Hk. rewrite H, H' by assumption. reflexivity. Qed.

Lemma inner_ext A A' B B' : A == A' -> B == B' -> << A, B >> = << A', B' >>.
Proof.
  intros HA HB. unfold inner. apply sum_ext. intros j Hj. apply sum_ext. intros k Hk.
  rewrite HA, HB by assumption. reflexivity.
Qed.

Lemma norm_ext A B : A == B -> |A| = |B|.
Proof. intros H. unfold norm. f_equal. now apply inner_ext. Qed.

(** ** The inner product is bilinear and symmetric *)

Lemma inner_sym A B : << A, B >> = << B, A >>.
Proof. unfold inner. apply sum_ext. intros j _. apply sum_ext. intros k _. ring. Qed.

Lemma inner_add_l A B C : << A + B, C >> = << A, C >> + << B, C >>.
Proof.
  unfold inner, add. rewrite <- sum_plus. apply sum_ext. intros j _.
  rewrite <- sum_plus. apply sum_ext. intros k _. ring.
Qed.

Lemma inner_sub_l A B C : << A - B, C >> = << A, C >> - << B, C >>.
Proof.
  unfold inner, sub. rewrite <- sum_minus. apply sum_ext. intros j _.
  rewrite <- sum_minus. apply sum_ext. intros k _. ring.
Qed.

Lemma inner_scale_l c A B : << c * A, B >> = c * << A, B >>.
Proof.
  unfold inner, scale. rewrite <- sum_scal_l. apply sum_ext. intros j _.
  rewrite <- sum_scal_l. apply sum_ext. intros k _. ring.
Qed.

Lemma inner_add_r A B C : << A, B + C >> = << A, B >> + << A, C >>.
Proof. rewrite inner_sym, inner_add_l, (inner_sym B), (inner_sym C). reflexivity. Qed.

Lemma inner_sub_r A B C : << A, B - C >> = << A, B >> - << A, C >>.
Proof. rewrite inner_sym, inner_sub_l, (inner_sym B), (inner_sym C). reflexivity. Qed.

Lemma inner_scale_r c A B : << A, c * B >> = c * << A, B >>.
Proof. rewrite inner_sym, inner_scale_l, (inner_sym B). reflexivity. Qed.

Lemma inner_zero_l A : << zero, A >> = 0.
Proof.
  unfold inner, zero. apply sum_zero. intros j _. apply sum_zero. intros k _. ring.
Qed.

Lemma inner_zero_r A : << A, zero >> = 0.
Proof. rewrite inner_sym. apply inner_zero_l. Qed.

Lemma inner_nonneg A : 0 <= << A, A >>.
Proof.
  unfold inner. apply sum_nonneg. intros j _. apply sum_nonneg. intros k _. apply Rle_0_sqr.
Qed.

Lemma inner_entry A j k : (j < d)%nat -> (k < K)%nat -> A j k * A j k <= << A, A >>.
Proof.
  intros Hj Hk. unfold inner.
  eapply Rle_trans; [apply (sum_term_le K (fun k => A j k * A j k) k Hk); intros; apply Rle_0_sqr|].
  apply (sum_term_le d (fun j => \sum_(k < K) (A j k * A j k)) j Hj).
  intros i _. apply sum_nonneg. intros; apply Rle_0_sqr.
Qed.

Lemma inner_zero A B : << A - B, A - B >> <= 0 -> A == B.
Proof.
  intros H j k Hj Hk. assert (He := inner_entry (A - B)%M j k Hj Hk).
  unfold sub at 1 2 in He.
  assert (Hs : Rsqr (A j k - B j k) = 0).
  { assert (Hp := Rle_0_sqr (A j k - B j k)). unfold Rsqr in *. lra. }
  apply Rsqr_0_uniq in Hs. lra.
Qed.

(** ** The norm *)

Lemma norm_nonneg A : 0 <= |A|.
Proof. apply sqrt_pos. Qed.

Lemma norm_square A : |A| ^ 2 = << A, A >>.
Proof. unfold norm. rewrite <- Rsqr_pow2. apply Rsqr_sqrt, inner_nonneg. Qed.

Lemma norm_le_of_square A c : 0 <= c -> << A, A >> <= c ^ 2 -> |A| <= c.
Proof.
  intros Hc H. unfold norm. rewrite <- (sqrt_pow2 c) by assumption. now apply sqrt_le_1_alt.
Qed.

Lemma norm_le A B : << A, A >> <= << B, B >> -> |A| <= |B|.
Proof. intros H. unfold norm. now apply sqrt_le_1_alt. Qed.

Lemma norm_zero : |zero| = 0.
Proof. unfold norm. rewrite inner_zero_l. apply sqrt_0. Qed.

Lemma norm_eq A B : |(A - B)%M| <= 0 -> A == B.
Proof.
  intros H. apply inner_zero. rewrite <- norm_square.
  assert (H' := norm_nonneg (A - B)%M). assert (E : |(A - B)%M| = 0) by lra. rewrite E. lra.
Qed.

Lemma norm_scale c A : |(c * A)%M| = Rabs c * |A|.
Proof.
  unfold norm. rewrite inner_scale_l, inner_scale_r, <- Rmult_assoc, sqrt_mult_alt.
  - rewrite <- (sqrt_Rsqr_abs c). reflexivity.
  - apply Rle_0_sqr.
Qed.

Lemma norm_sub_sym A B : |(A - B)%M| = |(B - A)%M|.
Proof. unfold norm, inner, sub. f_equal. apply sum_ext. intros. apply sum_ext. intros. ring. Qed.

Lemma cauchy_schwarz_square A B : << A, B >> ^ 2 <= << A, A >> * << B, B >>.
Proof.
  set (a := << A, A >>). set (b := << B, B >>). set (c := << A, B >>).
  assert (Hb : 0 <= b) by apply inner_nonneg.
  assert (E : forall s r, 0 <= s * s * a - 2 * s * r * c + r * r * b).
  { intros s r. assert (H := inner_nonneg (s * A - r * B)%M).
    rewrite inner_sub_l, !inner_sub_r, !inner_scale_l, !inner_scale_r, (inner_sym B A) in H.
    fold a b c in H. replace (_ - _ + _) with (s * (s * a) - s * (r * c) - (r * (s * c) - r * (r * b)))
      by ring. exact H. }
  destruct (Rle_lt_or_eq_dec 0 b Hb) as [Hp|Hz].
  - assert (H := E b c). apply Rmult_le_reg_l with b; [assumption|]. nra.
  - rewrite <- Hz in *. destruct (Req_dec c 0) as [->|Hc]; [lra|].
    assert (H := E 1 ((a + 1) / c)).
    replace (1 * 1 * a - 2 * 1 * ((a + 1) / c) * c + (a + 1) / c * ((a + 1) / c) * 0)
      with (- a - 2) in H by (field; assumption).
    assert (0 <= a) by apply inner_nonneg. lra.
Qed.

(** Cauchy and Schwarz *)
Lemma cauchy_schwarz A B : << A, B >> <= |A| * |B|.
Proof.
  apply Rle_trans with (Rabs (<< A, B >>)); [apply Rle_abs|].
  rewrite <- sqrt_Rsqr_abs. unfold norm. rewrite <- sqrt_mult by apply inner_nonneg.
  apply sqrt_le_1_alt. rewrite Rsqr_pow2. apply cauchy_schwarz_square.
Qed.

Lemma norm_triangle A B : |(A + B)%M| <= |A| + |B|.
Proof.
  assert (HA := norm_nonneg A). assert (HB := norm_nonneg B).
  apply norm_le_of_square; [lra|].
  rewrite inner_add_l, !inner_add_r, (inner_sym B A), <- !norm_square.
  assert (H := cauchy_schwarz A B). lra.
Qed.

Lemma norm_sub_triangle A B C : |(A - C)%M| <= |(A - B)%M| + |(B - C)%M|.
Proof.
  eapply Rle_trans; [|apply norm_triangle]. right. apply norm_ext. intros j k _ _.
  unfold add, sub. ring.
Qed.

Lemma entry_le_norm A j k : (j < d)%nat -> (k < K)%nat -> Rabs (A j k) <= |A|.
Proof.
  intros Hj Hk. unfold norm. rewrite <- sqrt_Rsqr_abs. apply sqrt_le_1_alt. now apply inner_entry.
Qed.

End Matrices.

(** Writes inner products of sums, differences and multiples as sums of inner products. *)
Ltac expand :=
  repeat rewrite ?inner_add_l, ?inner_add_r, ?inner_sub_l, ?inner_sub_r,
    ?inner_scale_l, ?inner_scale_r, ?inner_zero_l, ?inner_zero_r.
Ltac expand_in H :=
  repeat rewrite ?inner_add_l, ?inner_add_r, ?inner_sub_l, ?inner_sub_r,
    ?inner_scale_l, ?inner_scale_r, ?inner_zero_l, ?inner_zero_r in H.

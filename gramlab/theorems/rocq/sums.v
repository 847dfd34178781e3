(** Finite sums of reals, [\sum_(i < n) f i] = f 0 + ... + f (n - 1), and what proofs need of them. *)

From Coq Require Import Reals Lra Lia.
Open Scope R_scope.

Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with
  | O => 0
  | S m => sum m f + f m
  end.

Notation "\sum_ ( i < n ) F" := (sum n (fun i => F))
  (at level 41, i name, n at level 50, F at level 41, format "\sum_ ( i  <  n )  F") : R_scope.

(** ** Equality *)

Lemma sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof.
  induction n as [|n IH]; simpl; intros H; [reflexivity|].
  rewrite IH, (H n) by (intros; try apply H; lia). reflexivity.
Qed.

Lemma sum_zero n f : (forall i, (i < n)%nat -> f i = 0) -> sum n f = 0.
Proof.
  induction n as [|n IH]; simpl; intros H; [reflexivity|].
  rewrite IH, (H n) by (intros; try apply H; lia). ring.
Qed.

(** ** Linearity *)

Lemma sum_plus n f g : \sum_(i < n) (f i + g i) = sum n f + sum n g.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

Lemma sum_minus n f g : \sum_(i < n) (f i - g i) = sum n f - sum n g.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

Lemma sum_opp n f : \sum_(i < n) (- f i) = - sum n f.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

Lemma sum_scal_l n c f : \sum_(i < n) (c * f i) = c * sum n f.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

Lemma sum_scal_r n c f : \sum_(i < n) (f i * c) = sum n f * c.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

Lemma sum_div n c f : \sum_(i < n) (f i / c) = sum n f / c.
Proof. unfold Rdiv. apply sum_scal_r. Qed.

Lemma sum_const n c : \sum_(i < n) c = INR n * c.
Proof.
  induction n as [|n IH]; [simpl; ring|].
  change (sum (S n) (fun _ => c)) with (sum n (fun _ => c) + c).
  rewrite IH, S_INR. ring.
Qed.

(** The order of two sums does not matter. *)
Lemma sum_swap n m (f : nat -> nat -> R) :
  \sum_(i < n) \sum_(j < m) f i j = \sum_(j < m) \sum_(i < n) f i j.
Proof.
  induction n as [|n IH]; simpl.
  - symmetry. apply sum_zero. reflexivity.
  - rewrite IH, <- sum_plus. reflexivity.
Qed.

Lemma sum_split n m f : sum (n + m) f = sum n f + \sum_(i < m) f (n + i)%nat.
Proof.
  induction m as [|m IH]; simpl.
  - rewrite Nat.add_0_r. ring.
  - rewrite Nat.add_succ_r. simpl. rewrite IH. ring.
Qed.

(** Sums of products of sums *)
Lemma sum_prod n m f g : sum n f * sum m g = \sum_(i < n) \sum_(j < m) (f i * g j).
Proof.
  rewrite <- sum_scal_r. apply sum_ext. intros i _. symmetry. apply sum_scal_l.
Qed.

(** A sum of which one term differs from 0. *)
Lemma sum_single n f a :
  (a < n)%nat -> (forall i, (i < n)%nat -> i <> a -> f i = 0) -> sum n f = f a.
Proof.
  induction n as [|n IH]; simpl; intros Ha H; [lia|].
  destruct (Nat.eq_dec a n) as [->|Hn].
  - rewrite sum_zero by (intros; apply H; lia). ring.
  - rewrite IH, (H n) by (intros; try apply H; lia). ring.
Qed.

Lemma sum_telescope n f : \sum_(i < n) (f i - f (S i)) = f O - f n.
Proof. induction n as [|n IH]; simpl; [ring | rewrite IH; ring]. Qed.

(** ** Order *)

Lemma sum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> sum n f <= sum n g.
Proof.
  induction n as [|n IH]; simpl; intros H; [lra|].
  apply Rplus_le_compat; [apply IH; intros; apply H; lia | apply H; lia].
Qed.

Lemma sum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof.
  intros H. rewrite <- (sum_zero n (fun _ => 0)) by reflexivity. now apply sum_le.
Qed.

Lemma sum_pos n f : (0 < n)%nat -> (forall i, (i < n)%nat -> 0 < f i) -> 0 < sum n f.
Proof.
  destruct n as [|n]; simpl; intros Hn H; [lia|].
  apply Rplus_le_lt_0_compat; [|apply H; lia].
  apply sum_nonneg. intros. apply Rlt_le, H. lia.
Qed.

Lemma sum_term_le n f a :
  (a < n)%nat -> (forall i, (i < n)%nat -> 0 <= f i) -> f a <= sum n f.
Proof.
  induction n as [|n IH]; simpl; intros Ha H; [lia|].
  destruct (Nat.eq_dec a n) as [->|Hn].
  - assert (0 <= sum n f) by (apply sum_nonneg; intros; apply H; lia). lra.
  - assert (f a <= sum n f) by (apply IH; intros; try apply H; lia).
    assert (0 <= f n) by (apply H; lia). lra.
Qed.

(** A sum of nonnegative terms is 0 only if each of them is. *)
Lemma sum_nonneg_zero n f a :
  (forall i, (i < n)%nat -> 0 <= f i) -> sum n f = 0 -> (a < n)%nat -> f a = 0.
Proof.
  intros H H0 Ha. assert (Hf := sum_term_le n f a Ha H). assert (0 <= f a) by now apply H. lra.
Qed.

Lemma sum_abs n f : Rabs (sum n f) <= \sum_(i < n) Rabs (f i).
Proof.
  induction n as [|n IH]; simpl; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|lra].
Qed.

(** ** Products *)

Fixpoint product (n : nat) (f : nat -> R) : R :=
  match n with
  | O => 1
  | S m => product m f * f m
  end.

Lemma product_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> product n f = product n g.
Proof.
  induction n as [|n IH]; simpl; intros H; [reflexivity|].
  rewrite IH, (H n) by (intros; try apply H; lia). reflexivity.
Qed.

Lemma product_exp n f : product n (fun i => exp (f i)) = exp (sum n f).
Proof. induction n as [|n IH]; simpl; [now rewrite exp_0|]. now rewrite IH, exp_plus. Qed.

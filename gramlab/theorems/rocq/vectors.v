(** Indicators, vectors and matrices as functions on natural numbers.

    A vector of length N is a function [nat -> R] of which only the values at 0, ..., N - 1
    count; a matrix is a function [nat -> nat -> R]. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Export sums.
Open Scope R_scope.

(** ** More on sums *)

Lemma sum_shift n f : sum (S n) f = f 0%nat + sum n (fun i => f (S i)).
Proof.
  induction n as [|n IH]; [cbn; ring|].
  change (sum (S (S n)) f) with (sum (S n) f + f (S n)). rewrite IH. cbn. ring.
Qed.

Lemma sum_pos_term n f : 0 < sum n f -> exists i, (i < n)%nat /\ 0 < f i.
Proof.
  induction n as [|n IH]; cbn; intros H; [lra|].
  destruct (Rlt_le_dec 0 (f n)) as [Hf|Hf].
  - exists n. split; [lia|exact Hf].
  - destruct IH as (i & Hi & Hp); [lra|]. exists i. split; [lia|exact Hp].
Qed.

Lemma sum_pos_one n f k :
  (forall i, (i < n)%nat -> 0 <= f i) -> (k < n)%nat -> 0 < f k -> 0 < sum n f.
Proof. intros H Hk Hf. assert (f k <= sum n f) by (apply sum_term_le; assumption). lra. Qed.

(** ** Indicators *)

(** [ind b] is 1 if b holds and 0 otherwise. *)
Definition ind (b : bool) : R := if b then 1 else 0.

Lemma ind_nonneg b : 0 <= ind b.
Proof. destruct b; cbn; lra. Qed.

Lemma sum_ind n f k : (k < n)%nat -> sum n (fun i => ind (Nat.eqb i k) * f i) = f k.
Proof.
  induction n as [|n IH]; intros Hk; [lia|]. cbn.
  destruct (Nat.eq_dec k n) as [->|Hn].
  - rewrite sum_zero, Nat.eqb_refl; cbn; [ring|].
    intros i Hi. rewrite (proj2 (Nat.eqb_neq i n)) by lia. cbn. ring.
  - rewrite IH by lia. rewrite (proj2 (Nat.eqb_neq n k)) by lia. cbn. ring.
Qed.

Lemma sum_ind' n f k : (k < n)%nat -> sum n (fun i => ind (Nat.eqb k i) * f i) = f k.
Proof.
  intros Hk. rewrite <- (sum_ind n f k Hk). apply sum_ext. intros i _.
  rewrite Nat.eqb_sym. reflexivity.
Qed.

(** ** Vectors and matrices *)

(** Inner product of two vectors, squared norm, and matrix times vector. *)
Definition dot (n : nat) (x y : nat -> R) : R := sum n (fun i => x i * y i).
Definition norm2 (n : nat) (x : nat -> R) : R := dot n x x.
Definition mv (n : nat) (M : nat -> nat -> R) (x : nat -> R) (i : nat) : R :=
  sum n (fun j => M i j * x j).

Lemma dot_comm n x y : dot n x y = dot n y x.
Proof. apply sum_ext. intros. ring. Qed.

Lemma norm2_nonneg n x : 0 <= norm2 n x.
Proof. apply sum_nonneg. intros. nra. Qed.

Lemma norm2_zero n x : norm2 n x = 0 -> forall i, (i < n)%nat -> x i = 0.
Proof.
  intros H i Hi.
  assert (E : x i * x i = 0).
  { apply (sum_nonneg_zero n (fun i => x i * x i)); [intros; nra|exact H|exact Hi]. }
  nra.
Qed.

Lemma norm2_ext n x y : (forall i, (i < n)%nat -> x i = y i) -> norm2 n x = norm2 n y.
Proof. intros H. apply sum_ext. intros i Hi. rewrite H by exact Hi. reflexivity. Qed.

Lemma mv_ext n M x y i : (forall j, (j < n)%nat -> x j = y j) -> mv n M x i = mv n M y i.
Proof. intros H. apply sum_ext. intros j Hj. rewrite H by exact Hj. reflexivity. Qed.

Lemma mv_plus n M x y i : mv n M (fun j => x j + y j) i = mv n M x i + mv n M y i.
Proof. unfold mv. rewrite <- sum_plus. apply sum_ext. intros. ring. Qed.

Lemma mv_minus n M x y i : mv n M (fun j => x j - y j) i = mv n M x i - mv n M y i.
Proof. unfold mv. rewrite <- sum_minus. apply sum_ext. intros. ring. Qed.

Lemma mv_scal n M a x i : mv n M (fun j => a * x j) i = a * mv n M x i.
Proof. unfold mv. rewrite <- sum_scal_l. apply sum_ext. intros. ring. Qed.

Lemma mv_sum n M p x i :
  mv n M (fun j => sum p (fun r => x r j)) i = sum p (fun r => mv n M (x r) i).
Proof.
  unfold mv.
  rewrite (sum_ext n _ (fun j => sum p (fun r => M i j * x r j))).
  2:{ intros. rewrite sum_scal_l. reflexivity. }
  apply sum_swap.
Qed.

Lemma dot_plus_r n x y z : dot n x (fun i => y i + z i) = dot n x y + dot n x z.
Proof. unfold dot. rewrite <- sum_plus. apply sum_ext. intros. ring. Qed.

Lemma dot_minus_r n x y z : dot n x (fun i => y i - z i) = dot n x y - dot n x z.
Proof. unfold dot. rewrite <- sum_minus. apply sum_ext. intros. ring. Qed.

Lemma dot_scal_r n a x y : dot n x (fun i => a * y i) = a * dot n x y.
Proof. unfold dot. rewrite <- sum_scal_l. apply sum_ext. intros. ring. Qed.

Lemma dot_scal_l n a x y : dot n (fun i => a * x i) y = a * dot n x y.
Proof. unfold dot. rewrite <- sum_scal_l. apply sum_ext. intros. ring. Qed.

Lemma dot_ext n x y x' y' :
  (forall i, (i < n)%nat -> x i = x' i) -> (forall i, (i < n)%nat -> y i = y' i) ->
  dot n x y = dot n x' y'.
Proof. intros H H'. apply sum_ext. intros i Hi. rewrite H, H' by exact Hi. reflexivity. Qed.

Lemma dot_sum_r n p x y :
  dot n x (fun i => sum p (fun r => y r i)) = sum p (fun r => dot n x (y r)).
Proof.
  unfold dot.
  rewrite (sum_ext n _ (fun i => sum p (fun r => x i * y r i))).
  2:{ intros. rewrite sum_scal_l. reflexivity. }
  apply sum_swap.
Qed.

(** Cauchy-Schwarz inequality. *)
Lemma cauchy_schwarz n x y : dot n x y * dot n x y <= norm2 n x * norm2 n y.
Proof.
  assert (E : norm2 n (fun i => norm2 n y * x i - dot n x y * y i)
              = norm2 n y * (norm2 n x * norm2 n y - dot n x y * dot n x y)).
  { unfold norm2. rewrite dot_minus_r, !dot_scal_r.
    rewrite !(dot_comm n (fun i => _ - _)), !dot_minus_r, !dot_scal_r.
    rewrite (dot_comm n y x). ring. }
  assert (H : 0 <= norm2 n y * (norm2 n x * norm2 n y - dot n x y * dot n x y)).
  { rewrite <- E. apply norm2_nonneg. }
  destruct (Req_dec (norm2 n y) 0) as [Z|Z].
  - assert (D : dot n x y = 0).
    { apply sum_zero. intros i Hi. rewrite (norm2_zero n y Z i Hi). ring. }
    rewrite D, Z. lra.
  - assert (0 < norm2 n y) by (assert (0 <= norm2 n y) by apply norm2_nonneg; lra).
    nra.
Qed.

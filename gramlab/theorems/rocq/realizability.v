(** How large entrywise noise on a block Gram matrix may be for the sum to be a Gram matrix. *)

From Coq Require Import Reals Lra Lia PeanoNat.
From Gramlab Require Import sums.
Open Scope R_scope.

(** ** Positive semidefinite matrices are Gram matrices *)

Definition form (n : nat) (A : nat -> nat -> R) (v : nat -> R) : R :=
  \sum_(i < n) \sum_(j < n) (v i * A i j * v j).

Definition symmetric_on (n : nat) (A : nat -> nat -> R) :=
  forall i j, (i < n)%nat -> (j < n)%nat -> A i j = A j i.
Definition semidefinite (n : nat) (A : nat -> nat -> R) := forall v, 0 <= form n A v.

(** A = X X^T on n rows, for some X of some width. *)
Definition gram_matrix (n : nat) (A : nat -> nat -> R) :=
  exists (p : nat) (X : nat -> nat -> R), forall i j, (i < n)%nat -> (j < n)%nat ->
    A i j = \sum_(l < p) (X i l * X j l).

Lemma form_ext n A B v w : (forall i j, (i < n)%nat -> (j < n)%nat -> A i j = B i j) ->
  (forall i, (i < n)%nat -> v i = w i) -> form n A v = form n B w.
Proof.
  intros H Hv. unfold form. apply sum_ext. intros i Hi. apply sum_ext. intros j Hj.
  now rewrite H, !Hv.
Qed.

(** The last row and column apart *)
Lemma form_last n A v : symmetric_on (S n) A ->
  form (S n) A v = form n A v + 2 * v n * (\sum_(j < n) (A n j * v j)) + A n n * v n ^ 2.
Proof.
  intros H. unfold form.
  change (sum (S n) (fun i => \sum_(j < S n) (v i * A i j * v j)))
    with ((\sum_(i < n) (\sum_(j < n) (v i * A i j * v j) + v i * A i n * v n))
          + (\sum_(j < n) (v n * A n j * v j) + v n * A n n * v n)).
  rewrite sum_plus.
  rewrite (sum_ext n (fun i => v i * A i n * v n) (fun i => v n * (A n i * v i)))
    by (intros i Hi; rewrite (H i n) by lia; ring).
  rewrite (sum_ext n (fun j => v n * A n j * v j) (fun i => v n * (A n i * v i)))
    by (intros; ring).
  rewrite sum_scal_l. ring.
Qed.

Lemma semidefinite_gram n A : symmetric_on n A -> semidefinite n A ->
  exists X, forall i j, (i < n)%nat -> (j < n)%nat -> A i j = \sum_(l < n) (X i l * X j l).
Proof.
  revert A. induction n as [|n IH]; intros A Sy P; [exists (fun _ _ => 0); lia|].
  set (a := A n n).
  (* on the first n rows, less what the last column makes *)
  assert (Split : exists b : nat -> R, (forall i, (i < n)%nat -> A i n = b i * b n) /\ b n * b n = a
    /\ exists X, forall i j, (i < n)%nat -> (j < n)%nat ->
         A i j - b i * b j = \sum_(l < n) (X i l * X j l)).
  { assert (Form : forall v, 0 <= form n A v + 2 * v n * (\sum_(j < n) (A n j * v j)) + a * v n ^ 2)
      by (intros v; rewrite <- form_last by assumption; apply P).
    assert (Pa : 0 <= a).
    { assert (F := Form (fun i => if Nat.eqb i n then 1 else 0)). cbv beta in F.
      assert (Z : forall i, (i < n)%nat -> (if Nat.eqb i n then 1 else 0) = 0)
        by (intros i Hi; rewrite (proj2 (Nat.eqb_neq i n)) by lia; reflexivity).
      rewrite Nat.eqb_refl in F.
      rewrite (form_ext n A A _ (fun _ => 0)) in F by (trivial; exact Z).
      rewrite (sum_zero n (fun j => A n j * _)) in F by (intros i Hi; rewrite Z by assumption; ring).
      unfold form in F. rewrite (sum_zero n (fun i => \sum_(j < n) (0 * A i j * 0))) in F
        by (intros; apply sum_zero; intros; ring). lra. }
    destruct (Rle_lt_or_eq_dec 0 a Pa) as [L|Z].
    - assert (R : exists r, r <> 0 /\ a = r * r).
      { exists (sqrt a). split; [apply Rgt_not_eq, sqrt_lt_R0; assumption|].
        symmetry. apply sqrt_sqrt. lra. }
      destruct R as [r [Hr Er]].
      exists (fun i => A i n / r). split; [|split].
      + intros i Hi. change (A n n) with a. rewrite Er. field. assumption.
      + change (A n n) with a. rewrite Er. field. assumption.
      + apply IH.
        * intros i j Hi Hj. rewrite (Sy i j) by lia. ring.
        * intros v. set (s := \sum_(j < n) (A n j * v j)).
          assert (F := Form (fun i => if Nat.eqb i n then - s / a else v i)). cbv beta in F.
          assert (V : forall i, (i < n)%nat -> (if Nat.eqb i n then - s / a else v i) = v i)
            by (intros i Hi; rewrite (proj2 (Nat.eqb_neq i n)) by lia; reflexivity).
          rewrite Nat.eqb_refl in F. rewrite (form_ext n A A _ v) in F by (trivial; exact V).
          rewrite (sum_ext n (fun j => A n j * _) (fun j => A n j * v j)) in F
            by (intros i Hi; rewrite V by assumption; reflexivity).
          fold s in F.
          assert (E : form n (fun i j => A i j - A i n / r * (A j n / r)) v
            = form n A v - s * s / a).
          { unfold form.
            rewrite (sum_ext n _ (fun i => (\sum_(j < n) (v i * A i j * v j))
              - \sum_(j < n) (A n i * v i * (A n j * v j) / a))).
            - rewrite sum_minus. f_equal. unfold s. rewrite sum_prod.
              rewrite <- sum_div. apply sum_ext. intros i Hi. rewrite <- sum_div. reflexivity.
            - intros i Hi. rewrite <- sum_minus. apply sum_ext. intros j Hj.
              rewrite (Sy n i), (Sy n j) by lia. rewrite Er. field. assumption. }
          rewrite E.
          replace (2 * (- s / a) * s) with (- 2 * (s * s / a)) in F by (field; lra).
          replace (a * (- s / a) ^ 2) with (s * s / a) in F by (field; lra). lra.
    - exists (fun _ => 0). split; [|split].
      + intros i Hi.
        destruct (Req_dec (A n i) 0) as [E|E]; [rewrite (Sy i n), E by lia; ring|exfalso].
        set (t := - (A i i + 1) / (2 * A n i)).
        assert (F := Form (fun k => if Nat.eqb k n then t else if Nat.eqb k i then 1 else 0)). cbv beta in F.
         rewrite Nat.eqb_refl in F.
        rewrite (form_ext n A A _ (fun k => if Nat.eqb k i then 1 else 0)) in F.
        2:{ trivial. }
        2:{ intros k Hk. rewrite (proj2 (Nat.eqb_neq k n)) by lia. reflexivity. }
        rewrite (sum_single n _ i Hi) in F.
        2:{ intros k Hk Hki. rewrite (proj2 (Nat.eqb_neq k n)), (proj2 (Nat.eqb_neq k i)) by lia. ring. }
        rewrite (proj2 (Nat.eqb_neq i n)), Nat.eqb_refl in F by lia.
        unfold form in F. rewrite (sum_single n _ i Hi) in F.
        2:{ intros k Hk Hki. apply sum_zero. intros l _. rewrite (proj2 (Nat.eqb_neq k i)) by lia. ring. }
        rewrite (sum_single n _ i Hi) in F.
        2:{ intros k Hk Hki. rewrite (proj2 (Nat.eqb_neq k i)) by lia. ring. }
        rewrite !Nat.eqb_refl in F. rewrite <- Z in F.
        replace (1 * A i i * 1 + 2 * t * (A n i * 1) + 0 * t ^ 2) with (-1) in F
          by (unfold t; field; assumption). lra.
      + fold a. rewrite <- Z. ring.
      + destruct (IH A) as [X HX].
        * intros i j Hi Hj. apply Sy; lia.
        * intros v. assert (F := Form (fun i => if Nat.eqb i n then 0 else v i)). cbv beta in F. 
          rewrite Nat.eqb_refl in F. rewrite (form_ext n A A _ v) in F; [|trivial|].
          -- lra.
          -- intros i Hi. rewrite (proj2 (Nat.eqb_neq i n)) by lia. reflexivity.
        * exists X. intros i j Hi Hj. rewrite <- HX by assumption. ring. }
  destruct Split as [b [B [Bn [X HX]]]].
  exists (fun i l => if Nat.eqb l n then b i else if Nat.eqb i n then 0 else X i l).
  intros i j Hi Hj. simpl. rewrite Nat.eqb_refl.
  destruct (Nat.eq_dec i n) as [->|Ei]; destruct (Nat.eq_dec j n) as [->|Ej].
  - rewrite sum_zero; [fold a; rewrite <- Bn; ring|]. intros l Hl.
    rewrite (proj2 (Nat.eqb_neq l n)), Nat.eqb_refl by lia. ring.
  - rewrite sum_zero; [rewrite (Sy n j), B by lia; ring|]. intros l Hl.
    rewrite (proj2 (Nat.eqb_neq l n)), Nat.eqb_refl by lia. ring.
  - rewrite sum_zero; [rewrite B by lia; ring|]. intros l Hl.
    rewrite (proj2 (Nat.eqb_neq l n)), Nat.eqb_refl by lia. ring.
  - rewrite (sum_ext n _ (fun l => X i l * X j l)).
    + rewrite <- HX by lia. ring.
    + intros l Hl. rewrite (proj2 (Nat.eqb_neq l n)), (proj2 (Nat.eqb_neq i n)),
        (proj2 (Nat.eqb_neq j n)) by lia. reflexivity.
Qed.

(** X X^T is positive semidefinite. *)
Lemma gram_semidefinite n A : gram_matrix n A -> semidefinite n A.
Proof.
  intros [p [X H]] v.
  assert (E : form n A v = \sum_(l < p) ((\sum_(i < n) (v i * X i l)) ^ 2)).
  { unfold form. rewrite (sum_ext p _ (fun l => \sum_(i < n) \sum_(j < n) (v i * X i l * (v j * X j l)))).
    - rewrite (sum_swap p n). apply sum_ext. intros i Hi. rewrite (sum_swap p n).
      apply sum_ext. intros j Hj. rewrite H by assumption. rewrite <- sum_scal_l, <- sum_scal_r.
      apply sum_ext. intros. ring.
    - intros l _. rewrite <- sum_prod. ring. }
  rewrite E. apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

(** ** The block model *)

(** K classes of n rows each, m classes a superclass: 1 on the diagonal, c in a class, d in a
    superclass, e elsewhere. *)
Definition block (n m : nat) (c d e : R) (i j : nat) : R :=
  if Nat.eqb i j then 1
  else if Nat.eqb (i / n) (j / n) then c
  else if Nat.eqb (i / n / m) (j / n / m) then d else e.

Definition same (f : nat -> nat) (i j : nat) : R := if Nat.eqb (f i) (f j) then 1 else 0.

Lemma block_sum n m c d e i j : block n m c d e i j =
  (1 - c) * same (fun k => k) i j + (c - d) * same (fun k => k / n)%nat i j
    + (d - e) * same (fun k => k / n / m)%nat i j + e.
Proof.
  unfold block, same. destruct (Nat.eqb_spec i j) as [->|]; [rewrite !Nat.eqb_refl; ring|].
  destruct (Nat.eqb_spec (i / n) (j / n)) as [->|]; [rewrite !Nat.eqb_refl; ring|].
  destruct (Nat.eqb (i / n / m) (j / n / m)); ring.
Qed.

(** Whether two rows share a value of f is a Gram matrix. *)
Lemma same_semidefinite N f v : (forall i, (i < N)%nat -> (f i < N)%nat) -> 0 <= form N (same f) v.
Proof.
  intros H. set (g := fun k i : nat => if Nat.eqb (f i) k then v i else 0).
  assert (E : form N (same f) v = \sum_(k < N) ((\sum_(i < N) g k i) ^ 2)).
  { transitivity (\sum_(k < N) \sum_(i < N) \sum_(j < N) (g k i * g k j)).
    - rewrite (sum_swap N N (fun k i => \sum_(j < N) (g k i * g k j))).
      unfold form. apply sum_ext. intros i Hi.
      rewrite (sum_swap N N (fun k j => g k i * g k j)). apply sum_ext. intros j Hj.
      rewrite (sum_single N _ (f i)); [|now apply H|].
      + unfold g, same. cbv beta. rewrite Nat.eqb_refl, (Nat.eqb_sym (f i) (f j)).
        destruct (Nat.eqb (f j) (f i)); ring.
      + intros k _ Hk. unfold g. rewrite (proj2 (Nat.eqb_neq (f i) k)) by auto. ring.
    - apply sum_ext. intros k _. rewrite <- (sum_prod N N (fun i => g k i) (fun j => g k j)). ring. }
  rewrite E. apply sum_nonneg. intros. apply pow2_ge_0.
Qed.

Lemma form_same_index N v : form N (same (fun k => k)) v = \sum_(i < N) (v i ^ 2).
Proof.
  unfold form. apply sum_ext. intros i Hi. rewrite (sum_single N _ i Hi).
  - unfold same. rewrite Nat.eqb_refl. ring.
  - intros j _ Hj. unfold same. rewrite (proj2 (Nat.eqb_neq i j)) by auto. ring.
Qed.

Lemma form_plus N A B v : form N (fun i j => A i j + B i j) v = form N A v + form N B v.
Proof.
  unfold form. rewrite <- sum_plus. apply sum_ext. intros i _. rewrite <- sum_plus.
  apply sum_ext. intros. ring.
Qed.

Lemma form_scal N a A v : form N (fun i j => a * A i j) v = a * form N A v.
Proof.
  unfold form. rewrite <- sum_scal_l. apply sum_ext. intros i _. rewrite <- sum_scal_l.
  apply sum_ext. intros. ring.
Qed.

Lemma form_const N a v : form N (fun _ _ => a) v = a * (\sum_(i < N) v i) ^ 2.
Proof.
  simpl. rewrite Rmult_1_r, sum_prod, <- sum_scal_l. unfold form. apply sum_ext. intros i _.
  rewrite <- sum_scal_l. apply sum_ext. intros. ring.
Qed.

Lemma form_block N n m c d e v : form N (block n m c d e) v =
  (1 - c) * (\sum_(i < N) (v i ^ 2)) + (c - d) * form N (same (fun k => k / n)%nat) v
    + (d - e) * form N (same (fun k => k / n / m)%nat) v + e * (\sum_(i < N) v i) ^ 2.
Proof.
  rewrite <- form_same_index, <- !form_scal, <- form_const, <- !form_plus.
  apply form_ext; [|trivial]. intros. apply block_sum.
Qed.

(** The least eigenvalue is at least 1 - c. *)
Lemma block_at_least N n m c d e v : (0 < n)%nat -> (0 < m)%nat -> 0 <= e -> e <= d -> d <= c ->
  (1 - c) * (\sum_(i < N) (v i ^ 2)) <= form N (block n m c d e) v.
Proof.
  intros Hn Hm He Hd Hc. rewrite form_block.
  assert (B : forall i, (i < N)%nat -> (i / n < N)%nat).
  { intros i Hi. apply Nat.le_lt_trans with i; [|assumption]. now apply Nat.div_le_upper_bound; nia. }
  assert (A1 : 0 <= form N (same (fun k => k / n)%nat) v) by now apply same_semidefinite.
  assert (A2 : 0 <= form N (same (fun k => k / n / m)%nat) v).
  { apply same_semidefinite. intros i Hi. apply Nat.le_lt_trans with (i / n)%nat; [|auto].
    apply Nat.div_le_upper_bound; nia. }
  assert (A3 := pow2_ge_0 (\sum_(i < N) v i)).
  apply (Rmult_le_pos (c - d)) in A1; [|lra]. apply (Rmult_le_pos (d - e)) in A2; [|lra].
  apply (Rmult_le_pos e) in A3; [|lra]. lra.
Qed.

(** ** Noise *)

(** Symmetric, zero on the diagonal, entries of at most eps in size. *)
Definition noise (N : nat) (eps : R) (E : nat -> nat -> R) :=
  symmetric_on N E /\ (forall i, (i < N)%nat -> E i i = 0)
  /\ forall i j, (i < N)%nat -> (j < N)%nat -> Rabs (E i j) <= eps.

Lemma square_of_sum N v : (\sum_(i < N) v i) ^ 2 <= INR N * \sum_(i < N) (v i ^ 2).
Proof.
  assert (P : 0 <= \sum_(i < N) \sum_(j < N) ((v i - v j) ^ 2)).
  { apply sum_nonneg. intros. apply sum_nonneg. intros. apply pow2_ge_0. }
  rewrite (sum_ext N _ (fun i => INR N * v i ^ 2 + (\sum_(j < N) (v j ^ 2))
    - 2 * v i * (\sum_(j < N) v j))) in P.
  - rewrite sum_minus, sum_plus, sum_scal_l, sum_const in P.
    rewrite (sum_scal_r N (\sum_(j < N) v j) (fun i => 2 * v i)), (sum_scal_l N 2 v) in P.
    change (sum N (fun i => v i)) with (sum N v) in *. lra.
  - intros i _. rewrite <- (sum_const N (v i ^ 2)), <- sum_scal_l, <- sum_plus, <- sum_minus.
    apply sum_ext. intros. ring.
Qed.

Lemma noise_form N eps E v : noise N eps E ->
  - (eps * (INR N - 1) * (\sum_(i < N) (v i ^ 2))) <= form N E v.
Proof.
  intros [_ [D B]]. destruct N as [|N']; [unfold form; simpl; lra|]. set (N := S N') in *.
  assert (He : 0 <= eps) by (apply Rle_trans with (Rabs (E 0%nat 0%nat)); [apply Rabs_pos|apply B; lia]).
  assert (L : form N (fun i j => eps * same (fun k => k) i j + (- eps) * 1) (fun i => Rabs (v i))
    <= form N E v).
  { unfold form. apply sum_le. intros i Hi. apply sum_le. intros j Hj. unfold same.
    destruct (Nat.eqb_spec i j) as [->|Eij].
    - rewrite D by assumption. lra.
    - assert (A := B i j Hi Hj).
      assert (C := Rle_abs (- (v i * E i j * v j))). rewrite Rabs_Ropp, !Rabs_mult in C.
      assert (Q : Rabs (v i) * Rabs (E i j) * Rabs (v j) <= Rabs (v i) * eps * Rabs (v j)).
      { apply Rmult_le_compat_r; [apply Rabs_pos|]. apply Rmult_le_compat_l; [apply Rabs_pos|assumption]. }
      lra. }
  rewrite form_plus, (form_scal N eps), (form_scal N (- eps)), form_same_index, form_const in L.
  rewrite (sum_ext N (fun i => Rabs (v i) ^ 2) (fun i => v i ^ 2)) in L by (intros; apply pow2_abs).
  assert (S := square_of_sum N (fun i => Rabs (v i))). cbv beta in S.
  rewrite (sum_ext N (fun i => Rabs (v i) ^ 2) (fun i => v i ^ 2)) in S by (intros; apply pow2_abs).
  apply Rmult_le_compat_l with (r := eps) in S; [|assumption]. lra.
Qed.

(** ** The alternating vector *)

Definition alternating (i : nat) : R := if Nat.even i then 1 else -1.

Lemma alternating_square i : alternating i * alternating i = 1.
Proof. unfold alternating. destruct (Nat.even i); ring. Qed.

Lemma alternating_sum n : Nat.even n = true -> sum n alternating = 0.
Proof.
  intros H. apply Nat.even_spec in H. destruct H as [h ->].
  induction h as [|h IH]; [reflexivity|].
  replace (2 * S h)%nat with (S (S (2 * h))) by lia. simpl. simpl in IH. rewrite IH.
  unfold alternating. change (h + (h + 0))%nat with (2 * h)%nat.
  replace (Nat.even (S (2 * h))) with false.
  - replace (Nat.even (2 * h)) with true by (symmetry; apply Nat.even_spec; exists h; lia). ring.
  - symmetry. rewrite Nat.even_succ, <- Nat.negb_even.
    replace (Nat.even (2 * h)) with true by (symmetry; apply Nat.even_spec; exists h; lia). reflexivity.
Qed.

Lemma sum_blocks K n f : sum (K * n) f = \sum_(k < K) \sum_(r < n) f (k * n + r)%nat.
Proof.
  induction K as [|K IH]; [reflexivity|].
  replace (S K * n)%nat with (K * n + n)%nat by lia. rewrite sum_split, IH. reflexivity.
Qed.

(** It balances in every class of even size. *)
Lemma alternating_balances K n g : Nat.even n = true -> (0 < n)%nat ->
  \sum_(i < K * n) (g (i / n)%nat * alternating i) = 0.
Proof.
  intros H Hn. rewrite sum_blocks. apply sum_zero. intros k _.
  rewrite (sum_ext n _ (fun r => g k * alternating r)).
  - rewrite sum_scal_l, alternating_sum by assumption. ring.
  - intros r Hr. rewrite Nat.div_add_l, Nat.div_small by lia. rewrite Nat.add_0_r. f_equal.
    unfold alternating. rewrite Nat.even_add, Nat.even_mul, H, Bool.orb_true_r.
    destruct (Nat.even r); reflexivity.
Qed.

Lemma form_same_alternating K n (f : nat -> nat) : Nat.even n = true -> (0 < n)%nat ->
  form (K * n) (same (fun i => f (i / n)%nat)) alternating = 0.
Proof.
  intros H Hn. unfold form. apply sum_zero. intros i _.
  rewrite <- (alternating_balances K n (fun k => alternating i * if Nat.eqb (f (i / n)%nat) (f k) then 1 else 0) H Hn).
  apply sum_ext. intros j _. unfold same. ring.
Qed.

(** ** The theorem *)

Lemma block_symmetric n m c d e i j : block n m c d e i j = block n m c d e j i.
Proof. unfold block. rewrite (Nat.eqb_sym i), (Nat.eqb_sym (i / n)), (Nat.eqb_sym (i / n / m)). reflexivity. Qed.

(** eps <= (1 - c)/(N - 1) is enough, for classes of any size. *)
Theorem realizability_sufficient K n m c d e eps :
  (0 < n)%nat -> (0 < m)%nat -> (2 <= K * n)%nat -> 0 <= e -> e <= d -> d <= c -> c < 1 ->
  eps <= (1 - c) / (INR (K * n) - 1) ->
  forall E, noise (K * n) eps E -> gram_matrix (K * n) (fun i j => block n m c d e i j + E i j).
Proof.
  intros Hn Hm HN He Hd Hc H1 Heps E HE. set (N := (K * n)%nat) in *.
  assert (PN : 1 < INR N) by (apply (lt_INR 1); lia).
  destruct (semidefinite_gram N (fun i j => block n m c d e i j + E i j)) as [X HX].
  - intros i j Hi Hj. rewrite block_symmetric. destruct HE as [Sy _]. now rewrite (Sy i j).
  - intros v. rewrite form_plus.
    assert (A := block_at_least N n m c d e v Hn Hm He Hd Hc). assert (B := noise_form N eps E v HE).
    assert (S : 0 <= \sum_(i < N) (v i ^ 2)) by (apply sum_nonneg; intros; apply pow2_ge_0).
    assert (Q : eps * (INR N - 1) <= 1 - c).
    { apply Rmult_le_compat_r with (r := INR N - 1) in Heps; [|lra].
      replace ((1 - c) / (INR N - 1) * (INR N - 1)) with (1 - c) in Heps by (field; lra). exact Heps. }
    apply Rmult_le_compat_r with (r := \sum_(i < N) (v i ^ 2)) in Q; lra.
  - exists N, X. exact HX.
Qed.

(** With classes of even size n, N = K n rows and 0 <= e <= d <= c < 1:

      G + E = X X^T for some X, for every symmetric E of zero diagonal with |E_ij| <= eps,
      if and only if eps <= (1 - c)/(N - 1). *)
(** Registry, realizability: G + E = XXᵀ for some X, for every E with |Eᵢⱼ| ≤ ε ⇔ ε ≤ (1 − c)/(N
    − 1) *)
Theorem realizability K n m c d e eps :
  (0 < K)%nat -> (0 < n)%nat -> Nat.even n = true -> (0 < m)%nat ->
  0 <= e -> e <= d -> d <= c -> c < 1 ->
  (forall E, noise (K * n) eps E -> gram_matrix (K * n) (fun i j => block n m c d e i j + E i j))
  <-> eps <= (1 - c) / (INR (K * n) - 1).
Proof.
  intros HK Hn Hev Hm He Hd Hc H1.
  assert (HN : (2 <= K * n)%nat).
  { apply Nat.even_spec in Hev. destruct Hev as [h ->]. nia. }
  split; [|now apply realizability_sufficient].
  intros H. set (N := (K * n)%nat) in *.
  assert (PN : 1 < INR N) by (apply (lt_INR 1); lia).
  destruct (Rlt_le_dec eps 0) as [Neg|Pos].
  { apply Rle_trans with 0; [lra|]. apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra. }
  set (E := fun i j => if Nat.eqb i j then 0 else - eps * (alternating i * alternating j)).
  assert (HE : noise N eps E).
  { split; [|split].
    - intros i j _ _. unfold E. rewrite (Nat.eqb_sym i). destruct (Nat.eqb j i); ring.
    - intros i _. unfold E. now rewrite Nat.eqb_refl.
    - intros i j _ _. unfold E. destruct (Nat.eqb i j); [rewrite Rabs_R0; assumption|].
      unfold alternating. destruct (Nat.even i), (Nat.even j);
        (apply Rabs_le; lra). }
  assert (P := gram_semidefinite _ _ (H E HE) alternating).
  rewrite form_plus, form_block in P.
  assert (Z1 := form_same_alternating K n (fun k => k) Hev Hn). fold N in Z1.
  assert (Z2 := form_same_alternating K n (fun k => k / m)%nat Hev Hn). fold N in Z2.
  cbv beta in Z1, Z2. rewrite Z1, Z2 in P.
  assert (Z3 : \sum_(i < N) alternating i = 0).
  { rewrite <- (alternating_balances K n (fun _ => 1) Hev Hn). fold N. apply sum_ext. intros. ring. }
  rewrite Z3 in P.
  assert (S : \sum_(i < N) (alternating i ^ 2) = INR N).
  { rewrite (sum_ext N _ (fun _ => 1)); [rewrite sum_const; ring|]. intros i _.
    rewrite <- (alternating_square i). ring. }
  rewrite S in P.
  assert (FE : form N E alternating = - eps * (INR N * (INR N - 1))).
  { rewrite (form_ext N E (fun i j => eps * same (fun k => k) i j + - eps * (alternating i * alternating j))
      alternating alternating); [|intros i j _ _|trivial].
    - rewrite form_plus, form_scal, form_same_index, S, form_scal.
      assert (Q : form N (fun i j => alternating i * alternating j) alternating = INR N * INR N).
      { unfold form. rewrite <- (sum_const N (INR N)). apply sum_ext. intros i _.
        rewrite (sum_ext N _ (fun _ => 1)); [rewrite sum_const; ring|]. intros j _.
        transitivity ((alternating i * alternating i) * (alternating j * alternating j)); [ring|].
        rewrite !alternating_square. ring. }
      rewrite Q. ring.
    - unfold E, same. destruct (Nat.eqb_spec i j) as [->|]; [rewrite alternating_square; ring|ring]. }
  rewrite FE in P.
  apply Rmult_le_reg_r with (INR N - 1); [lra|].
  replace ((1 - c) / (INR N - 1) * (INR N - 1)) with (1 - c) by (field; lra).
  apply Rmult_le_reg_l with (INR N); [lra|]. simpl in P. lra.
Qed.

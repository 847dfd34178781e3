(** What given labels cannot tell: classes that have traded their names. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums.
Open Scope R_scope.

(** The probability of given labels j_0, ..., j_(N-1) for true labels y, whatever the features:
    rows are independent, row i has the label j with probability C (y i) j. *)
Definition law (N : nat) (C : nat -> nat -> R) (y j : nat -> nat) : R :=
  product N (fun i => C (y i) (j i)).

(** How many i < N have a_i = y_i. *)
Fixpoint hits (N : nat) (a y : nat -> nat) : nat :=
  match N with
  | O => 0
  | S m => hits m a y + if Nat.eqb (a m) (y m) then 1 else 0
  end.

(** If y'_i = sigma(y_i) and C'_(sigma(k), j) = C_kj, then given labels have the same law under (y, C)
    and (y', C'), and for any a, whatever it is computed from,

      (1/N) #{a_i = y_i} + (1/N) #{a_i = y'_i} <= 1 + (1/N) #{sigma(y_i) = y_i}.

    That sigma is a permutation is not used. *)
Theorem traded_names N K (C C' : nat -> nat -> R) (sigma y y' : nat -> nat) :
  (0 < N)%nat -> (forall i, (i < N)%nat -> (y i < K)%nat) ->
  (forall i, (i < N)%nat -> y' i = sigma (y i)) ->
  (forall k j, (k < K)%nat -> (j < K)%nat -> C' (sigma k) j = C k j) ->
  (forall j, (forall i, (i < N)%nat -> (j i < K)%nat) -> law N C y j = law N C' y' j)
  /\ forall a, INR (hits N a y) / INR N + INR (hits N a y') / INR N
       <= 1 + INR (hits N (fun i => sigma (y i)) y) / INR N.
Proof.
  intros HN Hy Hs HC. split.
  - intros j Hj. unfold law. clear HN.
    assert (P : forall n, (n <= N)%nat ->
      product n (fun i => C (y i) (j i)) = product n (fun i => C' (y' i) (j i))).
    { induction n as [|n IH]; intros Hn; [reflexivity|]. simpl. rewrite IH by lia.
      rewrite Hs, HC by (try apply Hy; try apply Hj; lia). reflexivity. }
    now apply P.
  - intros a.
    assert (P : forall n, (n <= N)%nat ->
      (hits n a y + hits n a y' <= n + hits n (fun i => sigma (y i)) y)%nat).
    { induction n as [|n IH]; intros Hn; [simpl; lia|]. specialize (IH ltac:(lia)). simpl.
      rewrite (Hs n) by lia.
      destruct (Nat.eqb_spec (a n) (y n)); destruct (Nat.eqb_spec (a n) (sigma (y n)));
        destruct (Nat.eqb_spec (sigma (y n)) (y n)); lia. }
    specialize (P N (le_n N)). apply le_INR in P. rewrite !plus_INR in P.
    assert (Q := lt_0_INR N HN). apply Rmult_le_reg_r with (INR N); [assumption|].
    replace ((INR (hits N a y) / INR N + INR (hits N a y') / INR N) * INR N)
      with (INR (hits N a y) + INR (hits N a y')) by (field; lra).
    replace ((1 + INR (hits N (fun i => sigma (y i)) y) / INR N) * INR N)
      with (INR N + INR (hits N (fun i => sigma (y i)) y)) by (field; lra). exact P.
Qed.

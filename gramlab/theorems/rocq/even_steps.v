(** False beyond the block model: even rounds may lose labels that one training recovers. *)

From Coq Require Import Reals Lra Lia Arith List Bool.
From Gramlab Require Import persistence schedule_order filters.
Open Scope R_scope.

(** Linear rounds at mu_0, ..., mu_(t-1) on rows X: P^(t) - 1/K = h_(mu_(t-1))(G) ... h_(mu_0)(G) (Y - 1/K). *)
Fixpoint through (N : nat) (G : nat -> nat -> R) (mu : nat -> R) (t : nat) (x : nat -> R) : nat -> R :=
  match t with
  | O => x
  | S r => filter N G (mu r) (through N G mu r x)
  end.

Definition linear (N d K : nat) (X : nat -> nat -> R) (labels : nat -> nat) (mu : nat -> R) (t i l : nat) : R :=
  1 / INR K + through N (gram d X) mu t (fun j => ind (Nat.eqb (labels j) l) - 1 / INR K) i.

(** How many rows whose given label is not the true one are predicted as their true class. *)
Definition recovered_rows (N K : nat) (P : nat -> nat -> R) (labels truth : nat -> nat) : nat :=
  length (List.filter (fun i => negb (Nat.eqb (labels i) (truth i)) &&
    forallb (fun l => if Nat.eqb l (truth i) then true
      else if Rlt_dec (P i l) (P i (truth i)) then true else false) (seq 0 K)) (seq 0 N)).

Definition X8 (i j : nat) : R := match i, j with
  | O, O => -2 | 1%nat, O => 1 | 2%nat, O => -1 | 2%nat, 1%nat => -1 | _, _ => 0
  end.
Definition labels8 (i : nat) : nat := match i with 2%nat => 0 | _ => 1 end.
Definition truth8 (i : nat) : nat := match i with O => 1 | _ => 0 end.
Definition once (i : nat) : R := match i with O => 6 | _ => 0 end.
Definition even (i : nat) : R := 3.

(** A vector of three numbers. *)
Definition three (a b c : R) (i : nat) : R := match i with O => a | 1%nat => b | _ => c end.

Lemma three_filtered mu a b c a' b' c' : 0 < mu ->
  (4 * a' - 2 * b' + 2 * c') + mu * a' = 4 * a - 2 * b + 2 * c ->
  (-2 * a' + b' - c') + mu * b' = -2 * a + b - c ->
  (2 * a' - b' + 2 * c') + mu * c' = 2 * a - b + 2 * c ->
  forall x, (forall i, (i < 3)%nat -> x i = three a b c i) ->
  forall i, (i < 3)%nat -> filter 3 (gram 2 X8) mu x i = three a' b' c' i.
Proof.
  intros Hmu E0 E1 E2 x Hx i Hi. symmetry. revert i Hi.
  apply (filter_unique 3 (gram 2 X8) mu (gram_symmetric 3 2 X8) (gram_psd 3 2 X8) Hmu). intros i Hi.
  rewrite (mv_ext 3 (gram 2 X8) x (three a b c) i Hx).
  destruct i as [|[|[|i]]]; try lia; unfold mv, gram, dot, X8; simpl; lra.
Qed.

(** x = (-2, 0), (1, 0), (-1, -1), given labels 1, 1, 0, true 1, 0, 0: one training at mu = 6 recovers the
    one mislabelled row, two rounds at mu = 3 do not. *)
(** Registry, even-steps, which is false: linear rounds at ν predict at least as many
    mislabelled rows as their true class as those at μ *)
Theorem even_steps : ~ (forall N d K X labels truth mu nu r t,
  (0 < r <= t)%nat -> (forall i, (i < r)%nat -> 0 < mu i) -> (forall i, (r <= i < t)%nat -> mu i = 0) ->
  (forall i, (i < t)%nat -> 0 < nu i) -> majorizes t mu nu ->
  (recovered_rows N K (linear N d K X labels mu r) labels truth
    <= recovered_rows N K (linear N d K X labels nu t) labels truth)%nat).
Proof.
  intros Claim.
  assert (Id : permutes 2 (fun i => i)) by (split; [intros i Hi; exact Hi|intros i j _ _ E; exact E]).
  assert (Maj : majorizes 2 once even).
  { exists (fun i => i), (fun i => i). split; [exact Id|]. split; [exact Id|].
    split; [intros i j _ _; unfold even; lra|]. split; [simpl; unfold even; lra|].
    intros k Hk. destruct k as [|[|[|k]]]; try lia; simpl; unfold even; lra. }
  assert (C := Claim 3%nat 2%nat 2%nat X8 labels8 truth8 once even 1%nat 2%nat ltac:(lia)
    ltac:(intros i Hi; replace i with 0%nat by lia; simpl; lra)
    ltac:(intros i Hi; replace i with 1%nat by lia; reflexivity)
    ltac:(intros; unfold even; lra) Maj).
  (* deviations of class 0, and of class 1 *)
  assert (D0 : forall i, (i < 3)%nat -> ind (Nat.eqb (labels8 i) 0) - 1 / INR 2 = three (-1/2) (-1/2) (1/2) i).
  { intros i Hi. destruct i as [|[|[|i]]]; try lia; simpl; lra. }
  assert (D1 : forall i, (i < 3)%nat -> ind (Nat.eqb (labels8 i) 1) - 1 / INR 2 = three (1/2) (1/2) (-1/2) i).
  { intros i Hi. destruct i as [|[|[|i]]]; try lia; simpl; lra. }
  assert (A0 := three_filtered 6 (-1/2) (-1/2) (1/2) (-1/83) (1/166) (11/166) ltac:(lra) ltac:(lra) ltac:(lra)
    ltac:(lra) _ D0 1%nat ltac:(lia)).
  assert (A1 := three_filtered 6 (1/2) (1/2) (-1/2) (1/83) (-1/166) (-11/166) ltac:(lra) ltac:(lra) ltac:(lra)
    ltac:(lra) _ D1 1%nat ltac:(lia)).
  assert (B0 := three_filtered 3 (-1/35) (1/70) (4/35) (4/1225) (-2/1225) (73/2450) ltac:(lra) ltac:(lra)
    ltac:(lra) ltac:(lra) _ (three_filtered 3 (-1/2) (-1/2) (1/2) (-1/35) (1/70) (4/35) ltac:(lra) ltac:(lra)
    ltac:(lra) ltac:(lra) _ D0) 1%nat ltac:(lia)).
  assert (B1 := three_filtered 3 (1/35) (-1/70) (-4/35) (-4/1225) (2/1225) (-73/2450) ltac:(lra) ltac:(lra)
    ltac:(lra) ltac:(lra) _ (three_filtered 3 (1/2) (1/2) (-1/2) (1/35) (-1/70) (-4/35) ltac:(lra) ltac:(lra)
    ltac:(lra) ltac:(lra) _ D1) 1%nat ltac:(lia)).
  assert (P0 : linear 3 2 2 X8 labels8 once 1 1 0 = 1 / INR 2 + 1/166) by (unfold linear; f_equal; exact A0).
  assert (P1 : linear 3 2 2 X8 labels8 once 1 1 1 = 1 / INR 2 + -1/166) by (unfold linear; f_equal; exact A1).
  assert (Q0 : linear 3 2 2 X8 labels8 even 2 1 0 = 1 / INR 2 + -2/1225) by (unfold linear; f_equal; exact B0).
  assert (Q1 : linear 3 2 2 X8 labels8 even 2 1 1 = 1 / INR 2 + 2/1225) by (unfold linear; f_equal; exact B1).
  unfold recovered_rows in C. cbn -[linear INR] in C. rewrite P0, P1, Q0, Q1 in C.
  destruct (Rlt_dec (1 / INR 2 + -1/166) (1 / INR 2 + 1/166)) as [L|L] in C; [|apply L; lra].
  destruct (Rlt_dec (1 / INR 2 + 2/1225) (1 / INR 2 + -2/1225)) as [M|M] in C; [lra|].
  simpl in C. lia.
Qed.

(** partial-labels-unconditional: false. A row maximum on the diagonal is not enough for the student
    of the teacher's top two labels; it can tie. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import given_labels partial_labels.
Open Scope R_scope.

(** The statement: under the hypotheses of [partial_labels], the student is right on all samples. *)
Definition partial_labels_unconditional_statement : Prop :=
  forall (b : block) (given : nat -> nat) (T : nat -> nat -> R),
  in_model b -> labels_exist b given -> balanced b given -> inside b given ->
  (2 <= per_superclass b)%nat ->
  (forall k l, (k < n_classes b)%nat -> (l < n_classes b)%nat -> l <> k ->
     share b given k l < share b given k k) ->
  top_two b (prediction b (one_hot given) 1) T ->
  (forall j, (j < n_classes b)%nat -> sum (n_classes b) (fun k => class_mean b T k j) = 1) ->
  forall i, (i < n_samples b)%nat -> right b (prediction b T 1) i.

(** Two classes of three samples, one of three labels wrong; c = 2/5, d = 1/10, e = 0, mu = 1. *)
Definition two_classes : block :=
  {| n_samples := 6; n_classes := 2; n_superclasses := 1; per_class := 3; per_superclass := 2;
     true_class := fun i => if Nat.ltb i 3 then 0%nat else 1%nat; superclass := fun _ => 0%nat;
     same_class := 2 / 5; same_superclass := 1 / 10; elsewhere := 0; scale := 1 |}.
Definition two_classes_given (i : nat) : nat :=
  match i with 0 => 0 | 1 => 0 | 2 => 1 | 3 => 1 | 4 => 1 | _ => 0 end.

(** Registry, partial-labels-unconditional, which is false: the student of the teacher's top two
    labels is right on all samples *)
Theorem partial_labels_unconditional : ~ partial_labels_unconditional_statement.
Proof.
  intros H. set (b := two_classes). set (given := two_classes_given).
  set (T := fun _ _ : nat => 1 / 2).
  assert (Two : forall k, (k < n_classes b)%nat -> k = 0%nat \/ k = 1%nat) by (cbn; lia).
  assert (Shares : share b given 0 0 = 2 / 3 /\ share b given 0 1 = 1 / 3 /\
                   share b given 1 0 = 1 / 3 /\ share b given 1 1 = 2 / 3).
  { unfold share, class_mean, one_hot. cbn. repeat split; field. }
  destruct Shares as (E00 & E01 & E10 & E11).
  assert (M : in_model b).
  { split; [|unfold in_order; cbn; repeat split; lra].
    split; [cbn; lia|]. split; [cbn; lia|].
    split.
    { intros i _. unfold b, two_classes. cbn [true_class n_classes]. destruct (Nat.ltb i 3); lia. }
    split; [cbn; lia|]. split.
    - intros k Hk. destruct (Two k Hk) as [-> | ->]; cbn; ring.
    - intros s Hs. cbn in Hs. assert (s = 0%nat) as -> by lia. cbn. ring. }
  assert (R : right b (prediction b T 1) 0%nat).
  { apply (H b given).
    - exact M.
    - intros i Hi. cbn in *. unfold given, two_classes_given.
      do 6 (destruct i as [|i]; [lia|]). lia.
    - intros j Hj. cbn [n_classes b two_classes sum].
      destruct (Two j Hj) as [-> | ->]; rewrite ?E00, ?E01, ?E10, ?E11; field.
    - intros k j _ _ Hne. exfalso. apply Hne. reflexivity.
    - cbn. lia.
    - intros k l Hk Hl Hne. destruct (Two k Hk) as [-> | ->], (Two l Hl) as [-> | ->];
        try (exfalso; apply Hne; reflexivity); rewrite ?E00, ?E01, ?E10, ?E11; lra.
    - intros i _. exists 0%nat, 1%nat. cbn [n_classes b two_classes].
      repeat split; try lia; exfalso; destruct (Two l H0); contradiction.
    - intros j _. unfold class_mean, T. cbn. field.
    - cbn. lia. }
  (* all targets are 1/2, so all predictions are *)
  specialize (R 1%nat ltac:(cbn; lia) ltac:(cbn; lia)). unfold prediction in R.
  assert (Z : forall i l, (i < n_samples b)%nat ->
    filter_power (n_samples b) (block_gram b) (scale b) 1
      (fun j => T j l - 1 / INR (n_classes b)) i = 0).
  { intros i l Hi. cbn [filter_power]. symmetry. revert i Hi.
    apply (filter_unique _ _ _ (block_gram_symmetric b) (block_gram_psd b (proj1 M) (proj1 (proj2 M)))
             (proj2 (proj2 M)) _ (fun _ => 0)).
    intros i _. rewrite Rmult_0_r, Rplus_0_r. apply mv_ext. intros. unfold T. cbn. field. }
  rewrite !Z in R by (cbn; lia). lra.
Qed.

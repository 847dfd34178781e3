(** student-over-teacher: two classes, and the noise rates at which the teacher fails where the
    first student is perfect. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** Two balanced classes in one superclass with a share eta of wrong labels in each, 0 < eta < 1.
    The teacher (round 1) is right on no wrong label and the first student (round 2) on all samples

      <->  (1 - 1/(rho - 1))/2 <= eta < (1 - 1/(rho^2 - 1))/2;

    at the lower end the teacher ties on every wrong label. *)
(** Registry, student-over-teacher: the teacher is right on no wrong label and the first student
    on all samples ⇔ 1/2 (1 − 1/(ρ − 1)) ≤ η < 1/2 (1 − 1/(ρ² − 1));  at the lower end it ties *)
Theorem student_over_teacher (b : block) (given : nat -> nat) (eta : R) :
  in_model b -> labels_exist b given ->
  n_classes b = 2%nat -> n_superclasses b = 1%nat ->
  share b given 0 1 = eta -> share b given 1 0 = eta -> 0 < eta < 1 ->
  let P := prediction b (one_hot given) in
  let lower := / 2 * (1 - 1 / (rho b - 1)) in
  let upper := / 2 * (1 - 1 / (rho b ^ 2 - 1)) in
  ((forall i, (i < n_samples b)%nat -> given i <> true_class b i -> ~ right b (P 1%nat) i) /\
   perfect b given 2 <-> lower <= eta < upper) /\
  (eta = lower -> forall i, (i < n_samples b)%nat -> given i <> true_class b i ->
     P 1%nat i (given i) = P 1%nat i (true_class b i)).
Proof.
  intros (Sizes & Order & Hmu) Labels K2 S1 E01 E10 Heta P lower upper.
  assert (Row0 : share b given 0 0 = 1 - eta).
  { assert (R := share_row b given Sizes Labels 0). rewrite K2 in R. cbn in R.
    specialize (R ltac:(lia)). lra. }
  assert (Row1 : share b given 1 1 = 1 - eta).
  { assert (R := share_row b given Sizes Labels 1). rewrite K2 in R. cbn in R.
    specialize (R ltac:(lia)). lra. }
  assert (Sup : forall k, (k < n_classes b)%nat -> superclass b k = 0%nat).
  { intros k Hk. assert (superclass b k < n_superclasses b)%nat by (apply Sizes, Hk). lia. }
  assert (Balanced : balanced b given).
  { intros j Hj. rewrite K2 in *. cbn.
    assert (j = 0%nat \/ j = 1%nat) as [-> | ->] by lia; lra. }
  assert (Inside : inside b given) by (intros k j Hk Hj Hne; rewrite !Sup in Hne by assumption; lia).
  assert (Two : forall k, (k < n_classes b)%nat -> k = 0%nat \/ k = 1%nat) by (rewrite K2; lia).
  (* A wrong label's lead in round 1: -p_A + (p_B - p_A) (1 - 2 eta) *)
  set (a := p_A b). set (c := p_B b).
  destruct (filters_in_order b Sizes Order Hmu) as (HA & HB & _). fold a in HA, HB. fold c in HB.
  assert (Lead : forall i, (i < n_samples b)%nat -> given i <> true_class b i ->
    P 1%nat i (true_class b i) - P 1%nat i (given i) = - a + (c - a) * (1 - 2 * eta)).
  { intros i Hi Hw.
    assert (Hk : (true_class b i < n_classes b)%nat) by (apply Sizes, Hi).
    assert (Hj := Labels i Hi).
    assert (E := lead_balanced b given Sizes Order Hmu Balanced Inside 1 i (given i) Hi Hj).
    cbv zeta in E. fold P a c in E. rewrite E, !Sup, Nat.eqb_refl by assumption.
    rewrite (proj2 (Nat.eqb_neq _ _) Hw), Nat.eqb_refl. cbn [ind]. rewrite !pow_1.
    destruct (Two _ Hk) as [E1|E1], (Two _ Hj) as [E2|E2]; rewrite E1, E2 in *;
      try (exfalso; apply Hw; reflexivity); rewrite ?Row0, ?Row1, ?E01, ?E10; unfold Rdiv; ring. }
  assert (Wrong : exists i, (i < n_samples b)%nat /\ given i <> true_class b i).
  { destruct (share_sample b given Sizes 0 1 ltac:(lra)) as (i & Hi & H1 & H2).
    exists i. split; [exact Hi|]. rewrite H1, H2. discriminate. }
  assert (Hrho : rho b = c / a) by reflexivity.
  assert (Lower : lower <= eta <-> - a + (c - a) * (1 - 2 * eta) <= 0).
  { unfold lower. rewrite Hrho. replace (1 / (c / a - 1)) with (a / (c - a)) by (field; lra).
    split; intros H.
    - apply (Rmult_le_compat_l (2 * (c - a))) in H; [|lra].
      replace (2 * (c - a) * (/ 2 * (1 - a / (c - a)))) with (c - a - a) in H by (field; lra). lra.
    - apply (Rmult_le_reg_l (2 * (c - a))); [lra|].
      replace (2 * (c - a) * (/ 2 * (1 - a / (c - a)))) with (c - a - a) by (field; lra). lra. }
  assert (Teacher : (forall i, (i < n_samples b)%nat -> given i <> true_class b i ->
                       ~ right b (P 1%nat) i) <-> lower <= eta).
  { rewrite Lower. split.
    - intros H. destruct Wrong as (i & Hi & Hw). apply Rnot_lt_le. intros Q.
      apply (H i Hi Hw). intros l Hl Hne. rewrite <- (Lead i Hi Hw) in Q.
      replace l with (given i); [lra|].
      assert (Hk : (true_class b i < n_classes b)%nat) by (apply Sizes, Hi).
      assert (Hj := Labels i Hi).
      destruct (Two _ Hk), (Two _ Hj), (Two _ Hl); lia.
    - intros H i Hi Hw R. assert (Q := R (given i) (Labels i Hi) Hw). rewrite <- (Lead i Hi Hw) in H.
      lra. }
  assert (Student : perfect b given 2 <-> eta < upper).
  { rewrite (accuracy_condition b given Sizes Order Hmu Labels Balanced Inside 2 ltac:(lia)).
    set (x := 1 / (rho b ^ 2 - 1)).
    assert (E : eta < upper <-> 1 - eta - eta > x) by (unfold upper; fold x; lra).
    rewrite E. split.
    - intros H. assert (Q := H 0%nat 1%nat). cbv beta in Q. rewrite K2, E01, Row0 in Q.
      apply Q; lia || lra.
    - intros H k k' Hk Hk' Hne Hs.
      destruct (Two _ Hk) as [-> | ->], (Two _ Hk') as [-> | ->];
        try (exfalso; apply Hne; reflexivity); rewrite ?Row0, ?Row1, ?E01, ?E10; exact H. }
  split; [rewrite Teacher, Student; tauto|].
  intros H i Hi Hw. assert (E := Lead i Hi Hw).
  enough (- a + (c - a) * (1 - 2 * eta) = 0) by lra.
  rewrite H. unfold lower. rewrite Hrho. field. lra.
Qed.

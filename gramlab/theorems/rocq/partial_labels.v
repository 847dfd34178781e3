(** partial-labels: exactly when a student of the teacher's two largest labels recovers every label
    of a class. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** T is 1/2 on each of the two largest labels of P, sample by sample, and no tie decides which
    these are. *)
Definition top_two (b : block) (P T : nat -> nat -> R) : Prop :=
  forall i, (i < n_samples b)%nat ->
  exists u v, (u < n_classes b)%nat /\ (v < n_classes b)%nat /\ u <> v /\
    T i u = 1 / 2 /\ T i v = 1 / 2 /\
    forall l, (l < n_classes b)%nat -> l <> u -> l <> v -> T i l = 0 /\ P i l < P i u /\ P i l < P i v.

Section PartialLabels.
  Variables (b : block) (given : nat -> nat) (T : nat -> nat -> R).
  Local Notation N := (n_samples b).
  Local Notation K := (n_classes b).
  Local Notation n := (INR (per_class b)).
  Local Notation m := (INR (per_superclass b)).
  Local Notation cls := (true_class b).
  Local Notation sup := (superclass b).
  Local Notation C := (share b given).

  Hypothesis Model : in_model b.
  Hypothesis Labels : labels_exist b given.
  Hypotheses (Balanced : balanced b given) (Inside : inside b given).
  Hypothesis Pairs : (2 <= per_superclass b)%nat.
  (** C_kk > C_kl for all l <> k *)
  Hypothesis RowMaximum : forall k l, (k < K)%nat -> (l < K)%nat -> l <> k -> C k l < C k k.

  Let Sizes : equal_sizes b := proj1 Model.
  Let Order : in_order b := proj1 (proj2 Model).
  Let Hmu : 0 < scale b := proj2 (proj2 Model).
  Let teacher := prediction b (one_hot given) 1.
  Hypothesis Clear : top_two b teacher T.

  (** The class means of the two-hot targets, and that these are balanced. *)
  Let C' := class_mean b T.
  Hypothesis BalancedTwoHot : forall j, (j < K)%nat -> sum K (fun k => C' k j) = 1.

  Let student := prediction b T 1.
  Let r := 1 / (rho b - 1).

  Let Hn := n_pos b Sizes.
  Let Hm := m_pos b Sizes.
  Let a := p_A b.
  Let f := p_B b.
  Let g := p_C b.
  Let Ha : 0 < a. Proof. apply (filters_in_order b Sizes Order Hmu). Qed.
  Let Hf : a < f. Proof. apply (filters_in_order b Sizes Order Hmu). Qed.
  Let Hg : f <= g. Proof. apply (filters_in_order b Sizes Order Hmu). Qed.

  Let class_exists i : (i < N)%nat -> (cls i < K)%nat.
  Proof. apply Sizes. Qed.

  Let outside l k := ind (negb (Nat.eqb (sup l) (sup k))) / m.
  Let outside_nonneg l k : 0 <= outside l k.
  Proof. apply Rmult_le_pos; [apply ind_nonneg|left; apply Rinv_0_lt_compat, Hm]. Qed.
  Let outside_same l k : sup l = sup k -> outside l k = 0.
  Proof. intros E. unfold outside. rewrite E, Nat.eqb_refl. cbn. unfold Rdiv. ring. Qed.
  Let outside_le l k : sup l <> sup k -> forall q, outside q k <= outside l k.
  Proof.
    intros E q. unfold outside. rewrite (proj2 (Nat.eqb_neq _ _) E). cbn.
    apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, Hm|].
    destruct (Nat.eqb (sup q) (sup k)); cbn; lra.
  Qed.

  (** The teacher on a sample of class k with the given label j: for all labels x and y. *)
  Let teacher_lead i x y : (i < N)%nat -> (x < K)%nat -> (y < K)%nat ->
    teacher i x - teacher i y
    = a * (ind (Nat.eqb (given i) x) - ind (Nat.eqb (given i) y))
      + (f - a) * (C (cls i) x - C (cls i) y) + (g - f) * (outside y (cls i) - outside x (cls i)).
  Proof.
    intros Hi Hx Hy.
    assert (E1 := lead_balanced b given Sizes Order Hmu Balanced Inside 1 i x Hi Hx).
    assert (E2 := lead_balanced b given Sizes Order Hmu Balanced Inside 1 i y Hi Hy).
    cbv zeta in E1, E2. rewrite !pow_1 in E1, E2. fold teacher a f g in E1, E2.
    assert (O : forall l, (1 - ind (Nat.eqb (sup l) (sup (cls i)))) / m = outside l (cls i)).
    { intros l. unfold outside. destruct (Nat.eqb (sup l) (sup (cls i))); cbn; f_equal; ring. }
    rewrite O in E1, E2. lra.
  Qed.

  (** A label that is given in class k lies in its superclass. *)
  Let share_inside k l : (k < K)%nat -> (l < K)%nat -> 0 < C k l -> sup l = sup k.
  Proof.
    intros Hk Hl H. destruct (Nat.eq_dec (sup l) (sup k)) as [E|E]; [exact E|].
    rewrite (Inside k l Hk Hl (not_eq_sym E)) in H. lra.
  Qed.

  (** Another class of the same superclass. *)
  Let neighbour k : (k < K)%nat -> exists l, (l < K)%nat /\ l <> k /\ sup l = sup k.
  Proof.
    intros Hk.
    assert (Q : 0 < sum K (fun l => ind (Nat.eqb (sup l) (sup k)) - ind (Nat.eqb l k) * 1)).
    { rewrite sum_minus, (count_superclass' b Sizes k Hk), (sum_ind K (fun _ => 1) k Hk).
      apply le_INR in Pairs. cbn in Pairs. lra. }
    apply sum_pos_term in Q as (l & Hl & Q). exists l. split; [exact Hl|].
    destruct (Nat.eqb_spec (sup l) (sup k)), (Nat.eqb_spec l k); cbn in Q; try lra. auto.
  Qed.

  (** The true class is in every top two; the other of the two lies in its superclass. *)
  Let second i : (i < N)%nat -> exists q, (q < K)%nat /\ q <> cls i /\ sup q = sup (cls i) /\
    T i (cls i) = 1 / 2 /\ T i q = 1 / 2 /\
    forall l, (l < K)%nat -> l <> cls i -> l <> q -> T i l = 0 /\ teacher i l < teacher i q.
  Proof.
    intros Hi. set (k := cls i). assert (Hk : (k < K)%nat) by (apply class_exists, Hi).
    assert (Hj := Labels i Hi).
    (* only the given label can be ahead of k *)
    assert (Ahead : forall l, (l < K)%nat -> l <> k -> l <> given i -> teacher i l < teacher i k).
    { intros l Hl Hne Hg'. assert (E := teacher_lead i k l Hi Hk Hl). fold k in E.
      rewrite (proj2 (Nat.eqb_neq (given i) l) (not_eq_sym Hg')), (outside_same k k eq_refl) in E.
      assert (R := RowMaximum k l Hk Hl Hne). assert (O := outside_nonneg l k).
      assert (0 < (f - a) * (C k k - C k l)) by (apply Rmult_lt_0_compat; lra).
      assert (0 <= (g - f) * outside l k) by (apply Rmult_le_pos; lra).
      assert (0 <= a * ind (Nat.eqb (given i) k)) by (apply Rmult_le_pos; [lra|apply ind_nonneg]).
      cbn [ind] in E. lra. }
    destruct (Clear i Hi) as (u & v & Hu & Hv & Huv & Tu & Tv & Rest).
    assert (Pair : exists q, (q < K)%nat /\ q <> k /\ T i k = 1 / 2 /\ T i q = 1 / 2 /\
      forall l, (l < K)%nat -> l <> k -> l <> q -> T i l = 0 /\ teacher i l < teacher i q).
    { destruct (Nat.eq_dec u k) as [->|Nu].
      - exists v. repeat split; auto; apply Rest; auto.
      - destruct (Nat.eq_dec v k) as [->|Nv].
        + exists u. repeat split; auto; apply Rest; auto.
        + exfalso. destruct (Rest k Hk (not_eq_sym Nu) (not_eq_sym Nv)) as (_ & Lu & Lv).
          destruct (Nat.eq_dec u (given i)) as [Eu|Eu].
          * assert (Q := Ahead v Hv Nv ltac:(congruence)). lra.
          * assert (Q := Ahead u Hu Nu Eu). lra. }
    destruct Pair as (q & Hq & Hqk & Tk & Tq & Rest'). exists q.
    repeat split; auto; try (apply Rest'; auto).
    (* a neighbour of k is not behind a label outside *)
    destruct (Nat.eq_dec (sup q) (sup k)) as [E|E]; [exact E|exfalso].
    destruct (neighbour k Hk) as (l & Hl & Hlk & Es).
    destruct (Rest' l Hl Hlk ltac:(congruence)) as (_ & L).
    assert (E' := teacher_lead i l q Hi Hl Hq). fold k in E'.
    assert (Gq : given i <> q).
    { intros Eg. apply E. rewrite <- Eg. apply share_inside; [exact Hk|exact Hj|].
      apply (share_pos b given Sizes i Hi). }
    rewrite (proj2 (Nat.eqb_neq _ _) Gq), (outside_same l k Es),
      (Inside k q Hk Hq (not_eq_sym E)) in E'. cbn [ind] in E'.
    assert (0 <= a * ind (Nat.eqb (given i) l)) by (apply Rmult_le_pos; [lra|apply ind_nonneg]).
    assert (0 <= (f - a) * C k l) by (apply Rmult_le_pos; [lra|apply (share_nonneg b given Sizes)]).
    assert (0 <= (g - f) * outside q k) by (apply Rmult_le_pos; [lra|apply outside_nonneg]). lra.
  Qed.

  (** Two-hot targets are 1/2 at most; class means are 1/2 at the class itself. *)
  Let target_bounds i l : (i < N)%nat -> (l < K)%nat -> 0 <= T i l <= 1 / 2.
  Proof.
    intros Hi Hl. destruct (second i Hi) as (q & Hq & Hqk & _ & Tk & Tq & Rest).
    destruct (Nat.eq_dec l (cls i)) as [->|]; [lra|].
    destruct (Nat.eq_dec l q) as [->|]; [lra|].
    destruct (Rest l Hl) as (-> & _); auto. lra.
  Qed.

  Let mean_of k l c : (k < K)%nat ->
    (forall i, (i < N)%nat -> cls i = k -> T i l = c) -> C' k l = c.
  Proof.
    intros Hk H. unfold C', class_mean.
    rewrite (sum_ext N _ (fun i => ind (Nat.eqb (cls i) k) * c)).
    - rewrite sum_scal_r. assert (Q := proj1 (proj2 (proj2 (proj2 (proj2 Sizes)))) k Hk).
      rewrite Q. field. lra.
    - intros i Hi. destruct (Nat.eqb_spec (cls i) k) as [E|E]; cbn; [rewrite (H i Hi E)|]; ring.
  Qed.

  (** 1/2 - C'_kl is the mean of 1/2 - T_il >= 0: zero iff all are. *)
  Let mean_half k l : (k < K)%nat -> (l < K)%nat ->
    C' k l <= 1 / 2 /\
    (C' k l = 1 / 2 -> forall i, (i < N)%nat -> cls i = k -> T i l = 1 / 2).
  Proof.
    intros Hk Hl.
    assert (E : n * (1 / 2 - C' k l) = sum N (fun i => ind (Nat.eqb (cls i) k) * (1 / 2 - T i l))).
    { unfold C', class_mean.
      rewrite (sum_ext N (fun i => ind (Nat.eqb (cls i) k) * (1 / 2 - T i l))
                 (fun i => ind (Nat.eqb (cls i) k) * (1 / 2) - ind (Nat.eqb (cls i) k) * T i l))
        by (intros; ring).
      rewrite sum_minus, sum_scal_r.
      assert (Q := proj1 (proj2 (proj2 (proj2 (proj2 Sizes)))) k Hk). rewrite Q. field. lra. }
    assert (Pos : forall i, (i < N)%nat -> 0 <= ind (Nat.eqb (cls i) k) * (1 / 2 - T i l)).
    { intros i Hi. assert (B := target_bounds i l Hi Hl).
      apply Rmult_le_pos; [apply ind_nonneg|lra]. }
    assert (S := sum_nonneg N _ Pos). split.
    - apply (Rmult_le_reg_l n); [exact Hn|]. lra.
    - intros H i Hi Ei. rewrite H, Rminus_diag_eq, Rmult_0_r in E by reflexivity.
      assert (Z := sum_nonneg_zero N _ i Pos (eq_sym E) Hi). cbv beta in Z.
      rewrite Ei, Nat.eqb_refl in Z. cbn in Z. lra.
  Qed.

  Let mean_nonneg k l : (l < K)%nat -> 0 <= C' k l.
  Proof.
    intros Hl. apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, Hn|]. apply sum_nonneg.
    intros i Hi. apply Rmult_le_pos; [apply ind_nonneg|apply target_bounds; assumption].
  Qed.

  Let mean_own k : (k < K)%nat -> C' k k = 1 / 2.
  Proof.
    intros Hk. apply mean_of; [exact Hk|]. intros i Hi E.
    destruct (second i Hi) as (q & _ & _ & _ & Tk & _). rewrite <- E. exact Tk.
  Qed.

  Let mean_inside k l : (k < K)%nat -> (l < K)%nat -> sup k <> sup l -> C' k l = 0.
  Proof.
    intros Hk Hl Hne. apply mean_of; [exact Hk|]. intros i Hi E.
    destruct (second i Hi) as (q & _ & _ & Es & _ & _ & Rest).
    apply Rest; [exact Hl|congruence|congruence].
  Qed.

  (** The student on a sample of class k. *)
  Let student_lead i l : (i < N)%nat -> (l < K)%nat ->
    student i (cls i) - student i l
    = a * (1 / 2 - T i l) + (f - a) * (1 / 2 - C' (cls i) l) + (g - f) * outside l (cls i).
  Proof.
    intros Hi Hl. set (k := cls i). assert (Hk : (k < K)%nat) by (apply class_exists, Hi).
    unfold student. rewrite !(prediction_averages b Sizes Order Hmu T 1 i) by exact Hi.
    fold k. fold (C' k k) (C' k l). rewrite !pow_1. fold a f g.
    rewrite (overall_mean_balanced b Sizes T k (BalancedTwoHot k Hk)).
    rewrite (overall_mean_balanced b Sizes T l (BalancedTwoHot l Hl)).
    rewrite (superclass_mean_balanced b Sizes T (sup k) k (BalancedTwoHot k Hk))
      by (intros; apply mean_inside; assumption).
    rewrite (superclass_mean_balanced b Sizes T (sup k) l (BalancedTwoHot l Hl))
      by (intros; apply mean_inside; assumption).
    rewrite (mean_own k Hk), Nat.eqb_refl.
    destruct (second i Hi) as (q & _ & _ & _ & Tk & _). fold k in Tk. rewrite Tk.
    unfold outside. destruct (Nat.eqb (sup l) (sup k)); cbn; unfold Rdiv; ring.
  Qed.

  (** A sample of class k, and a clean one. *)
  Let clean k : (k < K)%nat -> exists i, (i < N)%nat /\ cls i = k /\ given i = k.
  Proof.
    intros Hk. apply (share_sample b given Sizes). destruct (neighbour k Hk) as (l & Hl & Hne & _).
    assert (R := RowMaximum k l Hk Hl Hne). assert (Q := share_nonneg b given Sizes k l). lra.
  Qed.

  Definition right_on_class (k : nat) : Prop :=
    forall i, (i < N)%nat -> cls i = k -> right b student i.
  Definition second_label (k l : nat) : Prop :=
    (l < K)%nat /\ l <> k /\ forall q, (q < K)%nat -> q <> k -> C k q <= C k l.

  (** Student right on class k <-> the two-hot mean C'_kl < 1/2 for all l <> k. *)
  Let by_mean k : (k < K)%nat ->
    (right_on_class k <-> forall l, (l < K)%nat -> l <> k -> C' k l < 1 / 2).
  Proof.
    intros Hk. split.
    - intros H l Hl Hne. destruct (mean_half k l Hk Hl) as (Le & Half).
      destruct (Rle_lt_or_eq_dec _ _ Le) as [L|E]; [exact L|exfalso].
      destruct (clean k Hk) as (i & Hi & Ei & _).
      assert (R := H i Hi Ei l Hl ltac:(congruence)).
      assert (D := student_lead i l Hi Hl). rewrite Ei, E, (Half E i Hi Ei), outside_same in D.
      + rewrite Ei in R. lra.
      + destruct (Nat.eq_dec (sup l) (sup k)) as [Es|Es]; [exact Es|].
        rewrite (mean_inside k l Hk Hl (not_eq_sym Es)) in E. lra.
    - intros H i Hi Ei l Hl Hne. assert (D := student_lead i l Hi Hl). rewrite Ei in *.
      assert (L := H l Hl Hne). assert (B := target_bounds i l Hi Hl).
      assert (0 < (f - a) * (1 / 2 - C' k l)) by (apply Rmult_lt_0_compat; lra).
      assert (0 <= (g - f) * outside l k) by (apply Rmult_le_pos; [lra|apply outside_nonneg]).
      assert (0 <= a * (1 / 2 - T i l)) by (apply Rmult_le_pos; lra). lra.
  Qed.

  Let threshold x : x < r <-> (f - a) * x < a.
  Proof.
    assert (E : r = a / (f - a)) by (unfold r, rho; fold a f; field; lra). rewrite E. split; intros H.
    - apply (Rmult_lt_compat_l (f - a)) in H; [|lra].
      replace ((f - a) * (a / (f - a))) with a in H by (field; lra). exact H.
    - apply (Rmult_lt_reg_l (f - a)); [lra|].
      replace ((f - a) * (a / (f - a))) with a by (field; lra). exact H.
  Qed.

  (** The condition on C: without it all samples of the class have one second label. *)
  Let condition k l : Prop :=
    exists j, (j < K)%nat /\ j <> k /\ j <> l /\ 0 < C k j /\ C k l - C k j < r.

  Let one_second k l : (k < K)%nat -> second_label k l ->
    ~ condition k l -> exists q, (q < K)%nat /\ q <> k /\ sup q = sup k /\
      forall i, (i < N)%nat -> cls i = k -> T i q = 1 / 2.
  Proof.
    intros Hk (Hl & Hlk & Max) Not.
    destruct (Rle_lt_dec (C k l) 0) as [Zero|Pos].
    - (* no label of the class is wrong: all its samples have the same predictions *)
      assert (Own : forall i, (i < N)%nat -> cls i = k -> given i = k).
      { intros i Hi Ei. destruct (Nat.eq_dec (given i) k) as [E|E]; [exact E|exfalso].
        assert (Q := share_pos b given Sizes i Hi). rewrite Ei in Q.
        assert (M := Max (given i) (Labels i Hi) E). lra. }
      destruct (clean k Hk) as (i0 & Hi0 & Ei0 & _).
      destruct (second i0 Hi0) as (q & Hq & Hqk & Es & _ & Tq & Rest). rewrite Ei0 in *.
      exists q. repeat split; try assumption. intros i Hi Ei.
      destruct (second i Hi) as (q' & Hq' & Hqk' & Es' & _ & Tq' & Rest'). rewrite Ei in *.
      destruct (Nat.eq_dec q' q) as [->|E]; [exact Tq'|exfalso].
      destruct (Rest q' Hq' Hqk' E) as (_ & L).
      destruct (Rest' q Hq Hqk (not_eq_sym E)) as (_ & L').
      assert (D := teacher_lead i0 q q' Hi0 Hq Hq'). assert (D' := teacher_lead i q q' Hi Hq Hq').
      rewrite (Own i Hi Ei), Ei in D'. rewrite (Own i0 Hi0 Ei0), Ei0 in D. lra.
    - (* l is inside, and second for all *)
      assert (Sl : sup l = sup k) by (apply share_inside; assumption).
      exists l. repeat split; try assumption. intros i Hi Ei.
      destruct (second i Hi) as (q & Hq & Hqk & Es & _ & Tq & Rest). rewrite Ei in *.
      destruct (Nat.eq_dec q l) as [<-|E]; [exact Tq|exfalso].
      destruct (Rest l Hl Hlk (not_eq_sym E)) as (_ & L).
      assert (D := teacher_lead i l q Hi Hl Hq). rewrite Ei, !outside_same in D by assumption.
      assert (M := Max q Hq Hqk).
      assert (0 <= (f - a) * (C k l - C k q)) by (apply Rmult_le_pos; lra).
      assert (0 <= a * ind (Nat.eqb (given i) l)) by (apply Rmult_le_pos; [lra|apply ind_nonneg]).
      destruct (Nat.eqb_spec (given i) q) as [Eg|Eg]; cbn [ind] in D; [|lra].
      apply Not. exists q. repeat split; try assumption.
      + rewrite <- Eg, <- Ei. apply (share_pos b given Sizes i Hi).
      + apply threshold. assert (Q : Nat.eqb (given i) l = false) by (apply Nat.eqb_neq; congruence).
        rewrite Q in D. cbn [ind] in D. lra.
  Qed.

  (** The student is right on all of class k
      <-> C'_kl < 1/2 for all l <> k
      <-> some j, neither k nor l*, has C_kj > 0 and C_kl* - C_kj < r,

      where l* is the second label of row k of C and r = 1/(rho - 1); otherwise it ties. *)
  (** Registry, partial-labels: the student is right on all of class k ⇔ C̃ₖₗ < 1/2 for all l ≠
      k ⇔ some j ∉ {k, l*} has Cₖⱼ > 0, C_kl* − Cₖⱼ < r;  l* = argmax_(l ≠ k) Cₖₗ, r = 1/(ρ −
      1); otherwise it ties *)
  Theorem partial_labels (k l : nat) :
    (k < K)%nat -> second_label k l ->
    (right_on_class k <-> forall q, (q < K)%nat -> q <> k -> C' k q < 1 / 2) /\
    (right_on_class k <->
     exists j, (j < K)%nat /\ j <> k /\ j <> l /\ 0 < C k j /\ C k l - C k j < 1 / (rho b - 1)) /\
    (~ right_on_class k -> exists q, (q < K)%nat /\ q <> k /\
       forall i, (i < N)%nat -> cls i = k ->
         student i q = student i k /\ forall l', (l' < K)%nat -> student i l' <= student i k).
  Proof.
    intros Hk Second. fold r. fold (condition k l).
    assert (Suff : condition k l -> right_on_class k).
    { intros (j & Hj & Hjk & Hjl & Cj & Gap). apply by_mean; [exact Hk|]. intros q Hq Hqk.
      destruct (mean_half k q Hk Hq) as (Le & Half).
      destruct (Rle_lt_or_eq_dec _ _ Le) as [L|E]; [exact L|exfalso].
      destruct Second as (Hl & Hlk & Max).
      (* a clean sample has l second, one that is given j does not *)
      assert (Pos : 0 < C k l) by (assert (M := Max j Hj Hjk); lra).
      assert (Sl : sup l = sup k) by (apply share_inside; assumption).
      assert (Sj : sup j = sup k) by (apply share_inside; assumption).
      assert (Sq : sup q = sup k).
      { destruct (Nat.eq_dec (sup q) (sup k)) as [Es|Es]; [exact Es|].
        rewrite (mean_inside k q Hk Hq (not_eq_sym Es)) in E. lra. }
      assert (Own : forall i, (i < N)%nat -> cls i = k -> forall x, (x < K)%nat -> x <> k -> x <> q ->
                teacher i x < teacher i q).
      { intros i Hi Ei x Hx Hxk Hxq.
        destruct (second i Hi) as (q' & Hq' & Hqk' & _ & _ & Tq' & Rest). rewrite Ei in *.
        assert (Tq := Half E i Hi Ei).
        destruct (Nat.eq_dec q' q) as [->|Ne]; [apply Rest; assumption|exfalso].
        destruct (Rest q Hq Hqk (not_eq_sym Ne)) as (Z & _). lra. }
      destruct (clean k Hk) as (i0 & Hi0 & Ei0 & Eg0).
      destruct (share_sample b given Sizes k j Cj) as (i & Hi & Ei & Eg).
      assert (Ql : q = l).
      { destruct (Nat.eq_dec q l) as [->|Ne]; [reflexivity|exfalso].
        assert (L := Own i0 Hi0 Ei0 l Hl Hlk (not_eq_sym Ne)).
        assert (D := teacher_lead i0 l q Hi0 Hl Hq).
        rewrite Ei0, Eg0, !outside_same in D by assumption.
        rewrite (proj2 (Nat.eqb_neq k l) (not_eq_sym Hlk)),
          (proj2 (Nat.eqb_neq k q) (not_eq_sym Hqk)) in D. cbn [ind] in D.
        assert (M := Max q Hq Hqk).
        assert (0 <= (f - a) * (C k l - C k q)) by (apply Rmult_le_pos; lra). lra. }
      subst q. assert (L := Own i Hi Ei j Hj Hjk Hjl).
      assert (D := teacher_lead i l j Hi Hl Hj). rewrite Ei, Eg, !outside_same in D by assumption.
      rewrite Nat.eqb_refl, (proj2 (Nat.eqb_neq j l) Hjl) in D. cbn [ind] in D.
      apply threshold in Gap. lra. }
    assert (Dec : condition k l \/ ~ condition k l).
    { (* finitely many labels *)
      assert (Q : forall M, (M <= K)%nat ->
        (exists j, (j < M)%nat /\ j <> k /\ j <> l /\ 0 < C k j /\ C k l - C k j < r) \/
        ~ exists j, (j < M)%nat /\ j <> k /\ j <> l /\ 0 < C k j /\ C k l - C k j < r).
      { induction M as [|M IH]; intros HM; [right; intros (j & Hj & _); lia|].
        destruct (IH ltac:(lia)) as [(j & Hj & H)|H]; [left; exists j; split; [lia|exact H]|].
        destruct (Nat.eq_dec M k) as [Ek|Nk].
        { right. intros (j & Hj & H1 & H'). apply H. exists j. split; [|auto]. lia. }
        destruct (Nat.eq_dec M l) as [El|Nl].
        { right. intros (j & Hj & H1 & H2 & H'). apply H. exists j. split; [|auto]. lia. }
        destruct (Rlt_le_dec 0 (C k M)) as [H1|H1].
        2:{ right. intros (j & Hj & A1 & A2 & A3 & A4). apply H. exists j. split; [|auto].
            destruct (Nat.eq_dec j M) as [->|]; [lra|lia]. }
        destruct (Rlt_le_dec (C k l - C k M) r) as [H2|H2].
        - left. exists M. repeat split; auto.
        - right. intros (j & Hj & A1 & A2 & A3 & A4). apply H. exists j. split; [|auto].
          destruct (Nat.eq_dec j M) as [->|]; [lra|lia]. }
      apply Q. lia. }
    assert (Tie : ~ condition k l -> exists q, (q < K)%nat /\ q <> k /\ C' k q = 1 / 2 /\
       forall i, (i < N)%nat -> cls i = k ->
         student i q = student i k /\ forall l', (l' < K)%nat -> student i l' <= student i k).
    { intros Not. destruct (one_second k l Hk Second Not) as (q & Hq & Hqk & Es & Tq).
      assert (Cq : C' k q = 1 / 2) by (apply mean_of; assumption).
      exists q. repeat split; try assumption.
      - assert (D := student_lead i q H Hq). rewrite H0, Cq, (Tq i H H0), outside_same in D by exact Es.
        lra.
      - intros l' Hl'. assert (D := student_lead i l' H Hl'). rewrite H0 in D.
        assert (B := target_bounds i l' H Hl').
        destruct (mean_half k l' Hk Hl') as (Le & _).
        assert (0 <= (f - a) * (1 / 2 - C' k l')) by (apply Rmult_le_pos; lra).
        assert (0 <= (g - f) * outside l' k) by (apply Rmult_le_pos; [lra|apply outside_nonneg]).
        assert (0 <= a * (1 / 2 - T i l')) by (apply Rmult_le_pos; lra). lra. }
    assert (Nec : right_on_class k -> condition k l).
    { intros H. destruct Dec as [D|D]; [exact D|exfalso].
      destruct (Tie D) as (q & Hq & Hqk & Cq & _).
      assert (L := proj1 (by_mean k Hk) H q Hq Hqk). lra. }
    split; [apply by_mean, Hk|]. split; [split; assumption|].
    intros H. destruct Dec as [D|D]; [exfalso; apply H, Suff, D|].
    destruct (Tie D) as (q & Hq & Hqk & _ & Q). exists q. auto.
  Qed.

  (** Where all wrong labels of a class are the same (pair flips, two classes, superclasses of two
      classes), the student is not right on the class, whatever the other numbers are. *)
  Corollary pair_flip_ties (k l : nat) :
    (k < K)%nat -> (l < K)%nat -> l <> k ->
    (forall j, (j < K)%nat -> j <> k -> j <> l -> C k j = 0) -> ~ right_on_class k.
  Proof.
    intros Hk Hl Hlk Z H.
    assert (Second : second_label k l).
    { repeat split; auto. intros q Hq Hqk. destruct (Nat.eq_dec q l) as [->|E]; [lra|].
      rewrite Z by assumption. apply (share_nonneg b given Sizes). }
    destruct (partial_labels k l Hk Second) as (_ & Iff & _).
    apply Iff in H as (j & Hj & Hjk & Hjl & Cj & _). rewrite (Z j Hj Hjk Hjl) in Cj. lra.
  Qed.
End PartialLabels.

(** unbalanced-condition: when a training label is recovered although some labels are given more
    often than others. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** m_l, the mean of column l of C *)
Definition column_mean (b : block) (given : nat -> nat) (l : nat) : R :=
  / INR (n_classes b) * sum (n_classes b) (fun k => share b given k l).

(** The mean of C_kl over the classes k of a superclass *)
Definition share_in_superclass (b : block) (given : nat -> nat) (s l : nat) : R :=
  / INR (per_superclass b)
  * sum (n_classes b) (fun k => ind (Nat.eqb (superclass b k) s) * share b given k l).

(** With superclasses: sample i of class k, given the label j, is right in round t iff for all l <> k

      p_A^t (1[j=k] - 1[j=l]) + (p_B^t - p_A^t) (C_kk - C_kl)
        + (p_C^t - p_B^t) (C_sk - C_sl) + (p_D^t - p_C^t) (m_k - m_l) > 0,

    C_sl the mean of C_kl over the classes of the superclass s of k. *)
(** Registry, unbalanced-condition: a sample of class k given the label j is right at round t ⇔
    p_Aᵗ (1[j=k] − 1[j=l]) + (p_Bᵗ − p_Aᵗ)(Cₖₖ − Cₖₗ) + (p_Cᵗ − p_Bᵗ)(C̄ₛₖ − C̄ₛₗ) + (p_Dᵗ −
    p_Cᵗ)(mₖ − mₗ) > 0 for all l ≠ k, where s is the superclass of k *)
Theorem unbalanced_condition (b : block) (given : nat -> nat) (t i : nat) :
  in_model b -> labels_exist b given -> (i < n_samples b)%nat ->
  let k := true_class b i in let j := given i in
  let C := share b given in
  let C_s := share_in_superclass b given (superclass b k) in
  let m := column_mean b given in
  right b (prediction b (one_hot given) t) i <->
  forall l, (l < n_classes b)%nat -> l <> k ->
    p_A b ^ t * (ind (Nat.eqb j k) - ind (Nat.eqb j l))
    + (p_B b ^ t - p_A b ^ t) * (C k k - C k l)
    + (p_C b ^ t - p_B b ^ t) * (C_s k - C_s l)
    + (p_D b ^ t - p_C b ^ t) * (m k - m l) > 0.
Proof.
  intros (Sizes & Order & Hmu) Labels Hi k j C C_s m.
  split; intros H l Hl Hne; specialize (H l Hl Hne);
    assert (E := lead b given Sizes Order Hmu t i l Hi); cbv zeta in E; fold k j in E;
    change (superclass_mean b (one_hot given) (superclass b k)) with C_s in E;
    change (overall_mean b (one_hot given)) with m in E; unfold C in *; fold k in H |- *; lra.
Qed.

(** Where there is one superclass, or d = e: iff for all l <> k

      p_A^t (1[j=k] - 1[j=l]) + (p_B^t - p_A^t) (C_kk - C_kl) + (p_D^t - p_B^t) (m_k - m_l) > 0. *)
Theorem unbalanced_condition_one_group (b : block) (given : nat -> nat) (t i : nat) :
  in_model b -> labels_exist b given -> (i < n_samples b)%nat ->
  n_superclasses b = 1%nat \/ same_superclass b = elsewhere b ->
  let k := true_class b i in let j := given i in
  let C := share b given in
  let m := column_mean b given in
  right b (prediction b (one_hot given) t) i <->
  forall l, (l < n_classes b)%nat -> l <> k ->
    p_A b ^ t * (ind (Nat.eqb j k) - ind (Nat.eqb j l))
    + (p_B b ^ t - p_A b ^ t) * (C k k - C k l)
    + (p_D b ^ t - p_B b ^ t) * (m k - m l) > 0.
Proof.
  intros M Labels Hi One k j C m.
  assert (Q : forall l, (p_C b ^ t - p_B b ^ t)
                * (share_in_superclass b given (superclass b k) l - m l) = 0).
  { intros l. destruct One as [One|One].
    - assert (Sizes := proj1 M).
      assert (HK := count_classes b Sizes). rewrite One in HK. cbn in HK. rewrite Rmult_1_l in HK.
      assert (Z : forall q, (q < n_classes b)%nat -> superclass b q = 0%nat).
      { intros q Hq. assert (superclass b q < n_superclasses b)%nat by (apply Sizes, Hq). lia. }
      assert (Hk : (k < n_classes b)%nat) by (apply Sizes, Hi).
      unfold m, column_mean, share_in_superclass. rewrite HK.
      rewrite (sum_ext _ (fun q => ind (Nat.eqb (superclass b q) (superclass b k)) * _)
                 (fun q => share b given q l)); [ring|].
      intros q Hq. rewrite !Z by assumption. cbn. ring.
    - replace (p_C b) with (p_B b); [ring|]. unfold p_B, p_C. f_equal. unfold s_C. rewrite One. ring. }
  assert (S := unbalanced_condition b given t i M Labels Hi).
  cbv zeta in S. fold k j C m in S. rewrite S.
  split; intros H l Hl Hne; specialize (H l Hl Hne); assert (Qk := Q k); assert (Ql := Q l); lra.
Qed.

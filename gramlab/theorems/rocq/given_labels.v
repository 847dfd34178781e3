(** Given labels in the block model: the share of each class that is given each label, and by how
    much the prediction of the true class leads. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Export block_model.
Open Scope R_scope.

(** Sample i is given the label [given i]: its target is one-hot. *)
Definition one_hot (given : nat -> nat) (i l : nat) : R := ind (Nat.eqb (given i) l).

Section Given.
  Variables (b : block) (given : nat -> nat).
  Local Notation N := (n_samples b).
  Local Notation K := (n_classes b).
  Local Notation n := (INR (per_class b)).
  Local Notation m := (INR (per_superclass b)).
  Local Notation cls := (true_class b).
  Local Notation sup := (superclass b).

  (** C_kj, the fraction of class k that is given the label j. *)
  Definition share (k j : nat) : R := class_mean b (one_hot given) k j.

  Definition labels_exist : Prop := forall i, (i < N)%nat -> (given i < K)%nat.
  (** All labels are given equally often. *)
  Definition balanced : Prop := forall j, (j < K)%nat -> sum K (fun k => share k j) = 1.
  (** No label outside the superclass of the true class is given. *)
  Definition inside : Prop :=
    forall k j, (k < K)%nat -> (j < K)%nat -> sup k <> sup j -> share k j = 0.

  (** Sample i is right in round t: its true class has the only largest prediction. *)
  Definition right (P : nat -> nat -> R) (i : nat) : Prop :=
    forall l, (l < K)%nat -> l <> cls i -> P i l < P i (cls i).
  Definition perfect (t : nat) : Prop :=
    forall i, (i < N)%nat -> right (prediction b (one_hot given) t) i.

  Hypotheses (Sizes : equal_sizes b) (Order : in_order b) (Hmu : 0 < scale b).
  Hypothesis Labels : labels_exist.
  Let Hn := n_pos b Sizes.
  Let Hm := m_pos b Sizes.

  Lemma share_nonneg k j : 0 <= share k j.
  Proof.
    apply Rmult_le_pos; [left; apply Rinv_0_lt_compat, Hn|]. apply sum_nonneg. intros.
    apply Rmult_le_pos; apply ind_nonneg.
  Qed.

  Lemma share_pos i : (i < N)%nat -> 0 < share (cls i) (given i).
  Proof.
    intros Hi. apply Rmult_lt_0_compat; [apply Rinv_0_lt_compat, Hn|].
    apply (sum_pos_one N _ i).
    - intros. apply Rmult_le_pos; apply ind_nonneg.
    - exact Hi.
    - unfold one_hot. rewrite !Nat.eqb_refl. cbn. lra.
  Qed.

  Lemma share_sample k j : 0 < share k j -> exists i, (i < N)%nat /\ cls i = k /\ given i = j.
  Proof.
    intros H. unfold share, class_mean in H.
    assert (Q : 0 < sum N (fun i => ind (Nat.eqb (cls i) k) * one_hot given i j)).
    { apply (Rmult_lt_reg_l (/ n)); [apply Rinv_0_lt_compat, Hn|]. rewrite Rmult_0_r. exact H. }
    apply sum_pos_term in Q as (i & Hi & Q). exists i. split; [exact Hi|]. unfold one_hot in Q.
    destruct (Nat.eqb_spec (cls i) k); destruct (Nat.eqb_spec (given i) j); cbn in Q;
      try lra. auto.
  Qed.

  Lemma share_row k : (k < K)%nat -> sum K (share k) = 1.
  Proof.
    intros Hk. assert (H := proj1 (proj2 (proj2 (proj2 (proj2 Sizes)))) k Hk).
    unfold share, class_mean.
    rewrite sum_scal_l, sum_swap.
    rewrite (sum_ext N _ (fun i => ind (Nat.eqb (cls i) k))).
    - rewrite H. field. lra.
    - intros i Hi. rewrite sum_scal_l. unfold one_hot.
      rewrite (sum_ext K _ (fun l => ind (Nat.eqb (given i) l) * 1)) by (intros; ring).
      rewrite (sum_ind' K (fun _ => 1)) by (apply Labels, Hi). ring.
  Qed.

  (** ** Leads *)

  (** By label averaging, for any given labels. *)
  Lemma lead t i l : (i < N)%nat ->
    let k := cls i in
    let C_s := superclass_mean b (one_hot given) (sup k) in
    let C := overall_mean b (one_hot given) in
    prediction b (one_hot given) t i k - prediction b (one_hot given) t i l
    = p_A b ^ t * (ind (Nat.eqb (given i) k) - ind (Nat.eqb (given i) l))
    + (p_B b ^ t - p_A b ^ t) * (share k k - share k l)
    + (p_C b ^ t - p_B b ^ t) * (C_s k - C_s l)
    + (p_D b ^ t - p_C b ^ t) * (C k - C l).
  Proof.
    intros Hi k C_s C. rewrite !(prediction_averages b Sizes Order Hmu) by exact Hi.
    fold k C_s C. unfold share, one_hot. ring.
  Qed.

  Hypotheses (Balanced : balanced) (Inside : inside).

  Lemma overall_balanced l : (l < K)%nat -> overall_mean b (one_hot given) l = 1 / INR K.
  Proof.
    intros Hl. apply (overall_mean_balanced b Sizes). apply Balanced, Hl.
  Qed.

  Lemma superclass_balanced s l : (l < K)%nat ->
    superclass_mean b (one_hot given) s l = ind (Nat.eqb (sup l) s) / m.
  Proof.
    intros Hl. apply (superclass_mean_balanced b Sizes); [apply Balanced, Hl|].
    intros k Hk E. apply (Inside k l Hk Hl E).
  Qed.

  (** With balanced labels that stay inside superclasses: a rival outside the superclass is
      further behind. *)
  Lemma lead_balanced t i l : (i < N)%nat -> (l < K)%nat ->
    let k := cls i in
    prediction b (one_hot given) t i k - prediction b (one_hot given) t i l
    = p_A b ^ t * (ind (Nat.eqb (given i) k) - ind (Nat.eqb (given i) l))
    + (p_B b ^ t - p_A b ^ t) * (share k k - share k l)
    + (p_C b ^ t - p_B b ^ t) * ((1 - ind (Nat.eqb (sup l) (sup k))) / m).
  Proof.
    intros Hi Hl k. assert (Hk : (k < K)%nat) by (apply Sizes, Hi).
    assert (E := lead t i l Hi). cbv zeta in E. fold k in E. rewrite E.
    rewrite !overall_balanced, !superclass_balanced, Nat.eqb_refl by assumption.
    cbn [ind]. assert (HK := K_pos b Sizes). field. split; lra.
  Qed.

  (** ** The condition of all samples being right *)

  (** rho = p_B / p_A *)
  Definition rho : R := p_B b / p_A b.

  Lemma rho_gt_1 : 1 < rho.
  Proof.
    destruct (filters_in_order b Sizes Order Hmu) as (HA & HB & _). unfold rho.
    apply (Rmult_lt_reg_r (p_A b)); [exact HA|]. unfold Rdiv.
    rewrite Rmult_assoc, Rinv_l by lra. lra.
  Qed.

  (** p_A^t / (p_B^t - p_A^t) = 1 / (rho^t - 1) *)
  Lemma threshold_rho t : (0 < t)%nat ->
    p_A b ^ t / (p_B b ^ t - p_A b ^ t) = 1 / (rho ^ t - 1).
  Proof.
    intros Ht. destruct (powers_strict b Sizes Order Hmu t Ht) as (H & _).
    destruct (powers_in_order b Sizes Order Hmu t) as (HA & _).
    destruct (filters_in_order b Sizes Order Hmu) as (HA' & _).
    unfold rho, Rdiv. rewrite Rpow_mult_distr, pow_inv. field. split; lra.
  Qed.

  (** For all k' <> k with C_kk' > 0. *)
  Definition every_difference (good : R -> Prop) : Prop :=
    forall k k', (k < K)%nat -> (k' < K)%nat -> k' <> k -> 0 < share k k' ->
      good (share k k - share k k').

  Lemma accuracy_condition t : (0 < t)%nat ->
    perfect t <-> every_difference (fun x => x > 1 / (rho ^ t - 1)).
  Proof.
    intros Ht. rewrite <- (threshold_rho t Ht).
    destruct (powers_strict b Sizes Order Hmu t Ht) as (Hab & _).
    destruct (powers_in_order b Sizes Order Hmu t) as (Ha & _ & Hbc & _).
    set (a := p_A b ^ t) in *. set (b' := p_B b ^ t) in *. set (c := p_C b ^ t) in *.
    assert (Iff : forall x, x > a / (b' - a) <-> a < (b' - a) * x).
    { intros x. split; intros H.
      - apply (Rmult_lt_compat_l (b' - a)) in H; [|lra].
        replace ((b' - a) * (a / (b' - a))) with a in H by (field; lra). exact H.
      - apply (Rmult_lt_reg_l (b' - a)); [lra|].
        replace ((b' - a) * (a / (b' - a))) with a by (field; lra). exact H. }
    split.
    - intros H k k' Hk Hk' Hne Hs. apply Iff.
      destruct (share_sample k k' Hs) as (i & Hi & Ei & Eg).
      assert (R := H i Hi k' Hk' ltac:(congruence)).
      assert (E := lead_balanced t i k' Hi Hk'). cbv zeta in E. fold a b' c in E.
      rewrite Ei, Eg, Nat.eqb_refl in E. rewrite Ei in R.
      rewrite (proj2 (Nat.eqb_neq k' k) Hne) in E.
      destruct (Nat.eq_dec (sup k) (sup k')) as [Es|Es].
      + rewrite Es, Nat.eqb_refl in E. cbn in E. lra.
      + rewrite (Inside k k' Hk Hk' Es) in Hs. lra.
    - intros H i Hi l Hl Hne. set (k := cls i) in *.
      assert (Hk : (k < K)%nat) by (apply Sizes, Hi).
      assert (Hj : (given i < K)%nat) by (apply Labels, Hi).
      assert (E := lead_balanced t i l Hi Hl). cbv zeta in E. fold a b' c k in E.
      assert (Hs := share_pos i Hi). fold k in Hs.
      assert (Bonus : 0 <= (c - b') * ((1 - ind (Nat.eqb (sup l) (sup k))) / m)).
      { apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, Hm].
        destruct (Nat.eqb (sup l) (sup k)); cbn; lra. }
      assert (Cond : forall k', (k' < K)%nat -> k' <> k -> 0 < share k k' ->
                a < (b' - a) * (share k k - share k k'))
        by (intros k' H1 H2 H3; apply Iff, H; assumption).
      destruct (Nat.eqb_spec (given i) l) as [Eg|Eg].
      + rewrite Eg in Hs. specialize (Cond l Hl Hne Hs).
        rewrite Eg, (proj2 (Nat.eqb_neq l k) Hne) in E. cbn [ind] in E. lra.
      + assert (Own : 0 < share k k).
        { destruct (Nat.eq_dec (given i) k) as [E'|E']; [rewrite E' in Hs; exact Hs|].
          specialize (Cond (given i) Hj E' Hs). nra. }
        assert (Gap : 0 < share k k - share k l).
        { destruct (Rle_lt_dec (share k l) 0) as [Z|Z]; [lra|].
          specialize (Cond l Hl Hne Z). nra. }
        assert (0 < (b' - a) * (share k k - share k l)) by (apply Rmult_lt_0_compat; lra).
        assert (Z := ind_nonneg (Nat.eqb (given i) k)). cbn [ind] in E.
        assert (0 <= a * ind (Nat.eqb (given i) k)) by (apply Rmult_le_pos; lra). lra.
  Qed.

  (** ** The least difference Delta, where some label is wrong *)

  Definition no_label_wrong : Prop := forall i, (i < N)%nat -> given i = cls i.

  (** Delta = min of C_kk - C_kk' over k' <> k with C_kk' > 0 *)
  Definition least_difference (Delta : R) : Prop :=
    every_difference (fun x => Delta <= x) /\
    exists k k', (k < K)%nat /\ (k' < K)%nat /\ k' <> k /\ 0 < share k k' /\
      Delta = share k k - share k k'.

  Lemma none_wrong_every good : no_label_wrong -> every_difference good.
  Proof.
    intros H k k' Hk Hk' Hne Hs. destruct (share_sample k k' Hs) as (i & Hi & Ei & Eg).
    exfalso. apply Hne. rewrite <- Eg, (H i Hi). exact Ei.
  Qed.

  Lemma least_difference_exists : no_label_wrong \/ exists Delta, least_difference Delta.
  Proof.
    assert (Q : forall M, (M <= N)%nat ->
      (forall i, (i < M)%nat -> given i = cls i) \/
      exists i, (i < M)%nat /\ given i <> cls i /\
        forall j, (j < M)%nat -> given j <> cls j ->
          share (cls i) (cls i) - share (cls i) (given i)
          <= share (cls j) (cls j) - share (cls j) (given j)).
    { induction M as [|M IH]; intros HM; [left; lia|].
      destruct (Nat.eq_dec (given M) (cls M)) as [E|E].
      - destruct (IH ltac:(lia)) as [H|(i & Hi & H1 & H2)].
        + left. intros i Hi. destruct (Nat.eq_dec i M) as [->|]; [exact E|apply H; lia].
        + right. exists i. split; [lia|]. split; [exact H1|]. intros j Hj Hw.
          apply H2; [|exact Hw]. destruct (Nat.eq_dec j M) as [->|]; [contradiction|lia].
      - destruct (IH ltac:(lia)) as [H|(i & Hi & H1 & H2)].
        + right. exists M. split; [lia|]. split; [exact E|]. intros j Hj Hw.
          destruct (Nat.eq_dec j M) as [->|]; [lra|]. exfalso. apply Hw, H. lia.
        + destruct (Rle_lt_dec (share (cls i) (cls i) - share (cls i) (given i))
                      (share (cls M) (cls M) - share (cls M) (given M))) as [L|L].
          * right. exists i. split; [lia|]. split; [exact H1|]. intros j Hj Hw.
            destruct (Nat.eq_dec j M) as [->|]; [exact L|apply H2; [lia|exact Hw]].
          * right. exists M. split; [lia|]. split; [exact E|]. intros j Hj Hw.
            destruct (Nat.eq_dec j M) as [->|]; [lra|].
            assert (Q := H2 j ltac:(lia) Hw). lra. }
    destruct (Q N (le_n N)) as [H|(i & Hi & H1 & H2)]; [left; exact H|right].
    exists (share (cls i) (cls i) - share (cls i) (given i)). split.
    - intros k k' Hk Hk' Hne Hs. destruct (share_sample k k' Hs) as (j & Hj & <- & <-).
      apply H2; assumption.
    - exists (cls i), (given i).
      split; [apply Sizes, Hi|]. split; [apply Labels, Hi|]. split; [exact H1|].
      split; [apply share_pos, Hi|reflexivity].
  Qed.

  Lemma least_difference_every Delta x :
    least_difference Delta -> (every_difference (fun y => y > x) <-> Delta > x).
  Proof.
    intros (H & k & k' & Hk & Hk' & Hne & Hs & E). split.
    - intros Q. rewrite E. apply Q; assumption.
    - intros Q q q' Hq Hq' Hn' Hs'. specialize (H q q' Hq Hq' Hn' Hs'). cbv beta in H. lra.
  Qed.
End Given.

(** ** Thresholds *)

(** Delta > 1/(R - 1) iff Delta > 0 and R > 1 + 1/Delta. *)
Lemma threshold_power r Delta :
  1 < r -> (Delta > 1 / (r - 1) <-> Delta > 0 /\ r > 1 + 1 / Delta).
Proof.
  intros Hr.
  assert (P : 0 < 1 / (r - 1)) by (apply Rdiv_lt_0_compat; lra).
  split.
  - intros H. assert (HD : Delta > 0) by lra. split; [exact HD|].
    apply (Rmult_lt_reg_l Delta); [exact HD|].
    replace (Delta * (1 + 1 / Delta)) with (Delta + 1) by (field; lra).
    apply (Rmult_lt_compat_l (r - 1)) in H; [|lra].
    replace ((r - 1) * (1 / (r - 1))) with 1 in H by (field; lra). lra.
  - intros (HD & H). apply (Rmult_lt_reg_l (r - 1)); [lra|].
    replace ((r - 1) * (1 / (r - 1))) with 1 by (field; lra).
    apply (Rmult_lt_compat_l Delta) in H; [|exact HD].
    replace (Delta * (1 + 1 / Delta)) with (Delta + 1) in H by (field; lra). lra.
Qed.

(** r^t > 1 + 1/Delta iff t > ln(1 + 1/Delta)/ln r. *)
Lemma threshold_rounds r Delta t :
  1 < r -> 0 < Delta -> (r ^ t > 1 + 1 / Delta <-> INR t > ln (1 + 1 / Delta) / ln r).
Proof.
  intros Hr HD.
  assert (L : 0 < ln r) by (rewrite <- ln_1; apply ln_increasing; lra).
  assert (Q : 0 < 1 / Delta) by (apply Rdiv_lt_0_compat; lra).
  assert (Hp : 0 < r ^ t) by (apply pow_lt; lra).
  assert (E : ln (1 + 1 / Delta) = ln (1 + 1 / Delta) / ln r * ln r) by (field; lra).
  split; intros H.
  - apply (Rmult_lt_reg_r (ln r)); [exact L|]. rewrite <- E, <- ln_pow by lra.
    apply ln_increasing; lra.
  - apply (Rmult_lt_compat_r (ln r)) in H; [|exact L]. rewrite <- E, <- ln_pow in H by lra.
    apply ln_lt_inv; lra.
Qed.

(** top-k-students: students of the teacher's k largest labels under symmetric noise, ties drawn at
    random.

    The linear part of the theorem, for a teacher of any number of rounds, any superclasses where d = e,
    and ties that are drawn equally often. The exact softmax student of an exact teacher is in
    top_k_exact.v. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** Sums of which all terms but one or two are the same. *)
Lemma sum_but_one K (f : nat -> R) c v : (c < K)%nat ->
  (forall l, (l < K)%nat -> l <> c -> f l = v) -> sum K f = f c + (INR K - 1) * v.
Proof.
  intros Hc H.
  rewrite (sum_ext K f (fun l => ind (Nat.eqb l c) * (f c - v) + v)).
  - rewrite sum_plus, (sum_ind K (fun _ => f c - v) c Hc), sum_const. ring.
  - intros l Hl. destruct (Nat.eqb_spec l c) as [->|Ne]; cbn; [ring|]. rewrite (H l Hl Ne). ring.
Qed.

Lemma sum_but_two K (f : nat -> R) c j v : (c < K)%nat -> (j < K)%nat -> c <> j ->
  (forall l, (l < K)%nat -> l <> c -> l <> j -> f l = v) -> sum K f = f c + f j + (INR K - 2) * v.
Proof.
  intros Hc Hj Hcj H.
  rewrite (sum_ext K f (fun l => ind (Nat.eqb l c) * (f c - v) + (ind (Nat.eqb l j) * (f j - v) + v))).
  - rewrite !sum_plus, (sum_ind K (fun _ => f c - v) c Hc), (sum_ind K (fun _ => f j - v) j Hj), sum_const.
    ring.
  - intros l Hl. destruct (Nat.eqb_spec l c) as [Ec|Nc], (Nat.eqb_spec l j) as [Ej|Nj]; cbn.
    + exfalso. congruence.
    + rewrite Ec. ring.
    + rewrite Ej. ring.
    + rewrite (H l Hl Nc Nj). ring.
Qed.

Section TopK.
  Variables (b : block) (given : nat -> nat) (t k : nat) (eta : R) (T : nat -> nat -> R).
  Local Notation N := (n_samples b).
  Local Notation K := (n_classes b).
  Local Notation n := (INR (per_class b)).
  Local Notation cls := (true_class b).
  Local Notation C := (share b given).

  Hypothesis Model : in_model b.
  Hypothesis Labels : labels_exist b given.
  (** No superclasses: S = 1 or d = e. *)
  Hypothesis One : n_superclasses b = 1%nat \/ same_superclass b = elsewhere b.
  (** Symmetric noise of rate eta < (K - 1)/K *)
  Hypothesis Noise : forall c l, (c < K)%nat -> (l < K)%nat ->
    C c l = if Nat.eqb l c then 1 - eta else eta / (INR K - 1).
  Hypotheses (Eta0 : 0 <= eta) (Eta1 : eta < (INR K - 1) / INR K).
  Hypothesis Choice : (2 <= k < K)%nat.

  (** The teacher after t >= 1 rounds, and its targets: 1/k on k labels, none of which is behind one
      that is left out. *)
  Hypothesis Rounds : (0 < t)%nat.
  Let teacher := prediction b (one_hot given) t.
  Hypothesis Targets : forall i, (i < N)%nat ->
    (forall l, (l < K)%nat -> T i l = 0 \/ T i l = 1 / INR k) /\
    sum K (T i) = 1 /\
    (forall l l', (l < K)%nat -> (l' < K)%nat -> teacher i l' < teacher i l ->
       T i l' = 1 / INR k -> T i l = 1 / INR k).

  (** How often label l is among the targets of the samples of class c that are given the label j. *)
  Definition chosen (c j l : nat) : R :=
    sum N (fun i => ind (Nat.eqb (cls i) c) * (ind (Nat.eqb (given i) j) * T i l)).
  (** Tied places are drawn uniformly, each outcome equally often: labels that tie for all samples of a
      class and a given label are chosen equally often among them. *)
  Hypothesis Uniform : forall c j l l', (c < K)%nat -> (j < K)%nat -> (l < K)%nat -> (l' < K)%nat ->
    (forall i, (i < N)%nat -> cls i = c -> given i = j -> teacher i l = teacher i l') ->
    chosen c j l = chosen c j l'.

  Let Sizes : equal_sizes b := proj1 Model.
  Let Order : in_order b := proj1 (proj2 Model).
  Let Hmu : 0 < scale b := proj2 (proj2 Model).
  Let Hn := n_pos b Sizes.
  Let HK3 : 3 <= INR K. Proof. assert (H := le_INR 3 K ltac:(lia)). cbn in H. lra. Qed.
  Let Hk2 : 2 <= INR k. Proof. assert (H := le_INR 2 k ltac:(lia)). cbn in H. lra. Qed.
  Let HkK : INR k < INR K. Proof. apply lt_INR. lia. Qed.

  Let gap : 0 < 1 - eta - eta / (INR K - 1).
  Proof.
    apply (Rmult_lt_compat_r (INR K)) in Eta1; [|lra].
    replace ((INR K - 1) / INR K * INR K) with (INR K - 1) in Eta1 by (field; lra).
    apply (Rmult_lt_reg_r (INR K - 1)); [lra|].
    replace ((1 - eta - eta / (INR K - 1)) * (INR K - 1)) with (INR K - 1 - eta * INR K) by (field; lra).
    lra.
  Qed.

  (** Leads where superclasses play no part and all labels are given equally often. *)
  Let no_superclasses (Y : nat -> nat -> R) r i x l : (i < N)%nat -> (x < K)%nat -> (l < K)%nat ->
    (forall l, (l < K)%nat -> sum K (fun c => class_mean b Y c l) = 1) ->
    prediction b Y r i x - prediction b Y r i l
    = p_A b ^ r * (Y i x - Y i l)
      + (p_B b ^ r - p_A b ^ r) * (class_mean b Y (cls i) x - class_mean b Y (cls i) l).
  Proof.
    intros Hi Hx Hl Bal. rewrite !(prediction_averages b Sizes Order Hmu Y r i) by exact Hi.
    rewrite !(overall_mean_balanced b Sizes Y) by (apply Bal; assumption).
    destruct One as [S1|De].
    - assert (Q : forall y, (y < K)%nat -> superclass_mean b Y (superclass b (cls i)) y = 1 / INR K).
      { intros y Hy. assert (HKm := count_classes b Sizes). rewrite S1 in HKm. cbn in HKm.
        unfold superclass_mean.
        rewrite (sum_ext K _ (fun c => class_mean b Y c y)).
        - rewrite (Bal y Hy), HKm. field. assert (Hm := m_pos b Sizes). lra.
        - intros c Hc. assert (Z : forall p, (p < K)%nat -> superclass b p = 0%nat).
          { intros p Hp. assert (superclass b p < n_superclasses b)%nat by (apply Sizes, Hp). lia. }
          rewrite (Z c Hc), (Z (cls i)) by (apply Sizes, Hi). cbn. ring. }
      rewrite !Q by assumption. ring.
    - replace (p_C b) with (p_B b); [ring|]. unfold p_B, p_C. f_equal. unfold s_C. rewrite De. ring.
  Qed.

  Let Balanced l : (l < K)%nat -> sum K (fun c => C c l) = 1.
  Proof.
    intros Hl. rewrite (sum_but_one K _ l (eta / (INR K - 1)) Hl).
    - rewrite (Noise l l Hl Hl), Nat.eqb_refl. field. lra.
    - intros c Hc Ne. rewrite (Noise c l Hc Hl), (proj2 (Nat.eqb_neq l c)) by (intros ->; auto). reflexivity.
  Qed.

  Let a := p_A b ^ t.
  Let f := p_B b ^ t.
  Let Ha : 0 < a. Proof. apply (powers_in_order b Sizes Order Hmu t). Qed.
  Let Hf : a < f. Proof. apply (powers_strict b Sizes Order Hmu t Rounds). Qed.

  Let lead i x l : (i < N)%nat -> (x < K)%nat -> (l < K)%nat ->
    teacher i x - teacher i l
    = a * (ind (Nat.eqb (given i) x) - ind (Nat.eqb (given i) l)) + (f - a) * (C (cls i) x - C (cls i) l).
  Proof. intros Hi Hx Hl. exact (no_superclasses (one_hot given) t i x l Hi Hx Hl Balanced). Qed.

  (** Teacher: true and given label are ahead of all others, and these tie. *)
  Let teacher_order i l : (i < N)%nat -> (l < K)%nat -> l <> cls i -> l <> given i ->
    teacher i l < teacher i (cls i) /\ teacher i l < teacher i (given i) \/
    given i = cls i /\ teacher i l < teacher i (cls i).
  Proof.
    intros Hi Hl Nc Ng. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi). assert (Hj := Labels i Hi).
    assert (E := lead i (cls i) l Hi Hc Hl). assert (E' := lead i (given i) l Hi Hj Hl).
    rewrite !(Noise (cls i)), Nat.eqb_refl, (proj2 (Nat.eqb_neq l (cls i)) Nc) in E by assumption.
    rewrite !(Noise (cls i)), (proj2 (Nat.eqb_neq l (cls i)) Nc) in E' by assumption.
    rewrite (proj2 (Nat.eqb_neq (given i) l)) in E, E' by (intros Z; apply Ng; auto).
    rewrite Nat.eqb_refl in E'. cbn [ind] in E, E'.
    assert (0 < (f - a) * (1 - eta - eta / (INR K - 1))) by (apply Rmult_lt_0_compat; [lra|exact gap]).
    assert (0 <= a * ind (Nat.eqb (given i) (cls i))) by (apply Rmult_le_pos; [lra|apply ind_nonneg]).
    destruct (Nat.eqb_spec (given i) (cls i)) as [Eq|Ne]; [right|left]; split; try lra. exact Eq.
  Qed.

  Let others_tie i l l' : (i < N)%nat -> (l < K)%nat -> (l' < K)%nat ->
    l <> cls i -> l' <> cls i -> l <> given i -> l' <> given i -> teacher i l = teacher i l'.
  Proof.
    intros Hi Hl Hl' Nc Nc' Ng Ng'. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi).
    assert (E := lead i l l' Hi Hl Hl').
    rewrite !(Noise (cls i)), (proj2 (Nat.eqb_neq l (cls i)) Nc), (proj2 (Nat.eqb_neq l' (cls i)) Nc') in E
      by assumption.
    rewrite (proj2 (Nat.eqb_neq (given i) l)), (proj2 (Nat.eqb_neq (given i) l')) in E
      by (intros Z; auto). cbn [ind] in E. lra.
  Qed.

  Let target_le i l : (i < N)%nat -> (l < K)%nat -> 0 <= T i l <= 1 / INR k.
  Proof.
    intros Hi Hl. assert (0 < 1 / INR k) by (apply Rdiv_lt_0_compat; lra).
    destruct (proj1 (Targets i Hi) l Hl) as [-> | ->]; lra.
  Qed.

  (** A label that only one other can match is among the targets. *)
  Let in_targets i x y : (i < N)%nat -> (x < K)%nat -> (y < K)%nat ->
    (forall l, (l < K)%nat -> l <> x -> l <> y -> teacher i l < teacher i x) -> T i x = 1 / INR k.
  Proof.
    intros Hi Hx Hy Ahead. destruct (Targets i Hi) as (Two & Sum & Mono).
    destruct (Two x Hx) as [Z|E]; [exfalso|exact E].
    (* all labels but y are left out, so the targets sum to 1/k at most *)
    assert (Out : forall l, (l < K)%nat -> l <> y -> T i l = 0).
    { intros l Hl Ny. destruct (Nat.eq_dec l x) as [->|Nx]; [exact Z|].
      destruct (Two l Hl) as [E|E]; [exact E|exfalso].
      assert (E' := Mono x l Hx Hl (Ahead l Hl Nx Ny) E). rewrite Z in E'.
      assert (0 < 1 / INR k) by (apply Rdiv_lt_0_compat; lra). lra. }
    rewrite (sum_but_one K (T i) y 0 Hy Out) in Sum.
    assert (B := target_le i y Hi Hy).
    assert (1 / INR k <= / 2).
    { unfold Rdiv. rewrite Rmult_1_l. apply Rinv_le_contravar; lra. }
    lra.
  Qed.

  Let target_own i : (i < N)%nat -> T i (cls i) = 1 / INR k.
  Proof.
    intros Hi. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi).
    apply (in_targets i (cls i) (given i) Hi Hc (Labels i Hi)). intros l Hl Nc Ng.
    destruct (teacher_order i l Hi Hl Nc Ng) as [(L & _)|(_ & L)]; exact L.
  Qed.

  Let target_given i : (i < N)%nat -> T i (given i) = 1 / INR k.
  Proof.
    intros Hi. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi).
    destruct (Nat.eq_dec (given i) (cls i)) as [->|Ne]; [apply target_own, Hi|].
    apply (in_targets i (given i) (cls i) Hi (Labels i Hi) Hc). intros l Hl Ng Nc.
    destruct (teacher_order i l Hi Hl Nc Ng) as [(_ & L)|(E & _)]; [exact L|contradiction].
  Qed.

  (** Counts: n C_cj samples of class c are given j; each has targets that sum to 1. *)
  Let count c j := sum N (fun i => ind (Nat.eqb (cls i) c) * ind (Nat.eqb (given i) j)).
  Let count_share c j : count c j = n * C c j.
  Proof. unfold share, class_mean, count, one_hot. rewrite <- Rmult_assoc, Rinv_r by lra. ring. Qed.

  Let chosen_value c j l v : (forall i, (i < N)%nat -> cls i = c -> given i = j -> T i l = v) ->
    chosen c j l = count c j * v.
  Proof.
    intros H. unfold chosen, count. rewrite <- sum_scal_r. apply sum_ext. intros i Hi.
    destruct (Nat.eqb_spec (cls i) c) as [E|E]; cbn; [|ring].
    destruct (Nat.eqb_spec (given i) j) as [E'|E']; cbn; [|ring]. rewrite (H i Hi E E'). ring.
  Qed.

  Let chosen_sum c j : sum K (chosen c j) = count c j.
  Proof.
    unfold chosen, count. rewrite sum_swap. apply sum_ext. intros i Hi.
    rewrite sum_scal_l, sum_scal_l. destruct (Targets i Hi) as (_ & S & _).
    transitivity (ind (Nat.eqb (cls i) c) * (ind (Nat.eqb (given i) j) * 1)); [|ring].
    f_equal. f_equal. exact S.
  Qed.

  (** Of clean samples, each wrong label is chosen by (1 - 1/k)/(K - 1) of them. *)
  Let chosen_clean c l : (c < K)%nat -> (l < K)%nat -> l <> c ->
    chosen c c l = n * C c c * (1 - 1 / INR k) / (INR K - 1).
  Proof.
    intros Hc Hl Ne. assert (S := chosen_sum c c).
    rewrite (sum_but_one K (chosen c c) c (chosen c c l) Hc) in S.
    - rewrite (chosen_value c c c (1 / INR k)), count_share in S
        by (intros i Hi E _; rewrite <- E; apply target_own, Hi).
      assert (E : (INR K - 1) * chosen c c l = n * C c c * (1 - 1 / INR k)) by lra.
      rewrite <- E. field. lra.
    - intros q Hq Nq. apply Uniform; try assumption. intros i Hi Ei Eg.
      apply others_tie; congruence || assumption.
  Qed.

  (** Of those given j, each label that is neither true nor given by (1 - 2/k)/(K - 2). *)
  Let chosen_wrong c j l : (c < K)%nat -> (j < K)%nat -> (l < K)%nat -> j <> c -> l <> c -> l <> j ->
    chosen c j l = n * C c j * (1 - 2 / INR k) / (INR K - 2).
  Proof.
    intros Hc Hj Hl Nj Nc Nl. assert (S := chosen_sum c j).
    rewrite (sum_but_two K (chosen c j) c j (chosen c j l) Hc Hj (not_eq_sym Nj)) in S.
    - rewrite (chosen_value c j c (1 / INR k)) in S
        by (intros i Hi E _; rewrite <- E; apply target_own, Hi).
      rewrite (chosen_value c j j (1 / INR k)), count_share in S
        by (intros i Hi _ E; rewrite <- E; apply target_given, Hi).
      assert (E : (INR K - 2) * chosen c j l = n * C c j * (1 - 2 / INR k)) by (unfold Rdiv in *; lra).
      rewrite <- E. field. lra.
    - intros q Hq Nq Nq'. apply Uniform; try assumption. intros i Hi Ei Eg.
      apply others_tie; congruence || assumption.
  Qed.

  (** Class means of the targets: 1/k on the class, (1 - 1/k)/(K - 1) beside it. *)
  Let mean_chosen c l : class_mean b T c l = / n * sum K (fun j => chosen c j l).
  Proof.
    unfold class_mean. f_equal. unfold chosen. rewrite sum_swap. apply sum_ext. intros i Hi.
    rewrite sum_scal_l. f_equal.
    symmetry. apply (sum_ind' K (fun _ => T i l)), Labels, Hi.
  Qed.

  Let mean_own c : (c < K)%nat -> class_mean b T c c = 1 / INR k.
  Proof.
    intros Hc. unfold class_mean.
    rewrite (sum_ext N _ (fun i => ind (Nat.eqb (cls i) c) * (1 / INR k))).
    - rewrite sum_scal_r. assert (Q := proj1 (proj2 (proj2 (proj2 (proj2 Sizes)))) c Hc). rewrite Q.
      field. lra.
    - intros i Hi. destruct (Nat.eqb_spec (cls i) c) as [<-|]; cbn; [rewrite target_own by exact Hi|]; ring.
  Qed.

  Let mean_other c l : (c < K)%nat -> (l < K)%nat -> l <> c ->
    class_mean b T c l = (1 - 1 / INR k) / (INR K - 1).
  Proof.
    intros Hc Hl Ne. rewrite mean_chosen.
    assert (Vl : chosen c l l = n * C c l * (1 / INR k)).
    { rewrite (chosen_value c l l (1 / INR k)), count_share; [reflexivity|].
      intros i Hi _ E. rewrite <- E. apply target_given, Hi. }
    rewrite (sum_but_two K (fun j => chosen c j l) c l
               (n * (eta / (INR K - 1)) * (1 - 2 / INR k) / (INR K - 2)) Hc Hl (not_eq_sym Ne)).
    - rewrite (chosen_clean c l Hc Hl Ne), Vl, (Noise c c Hc Hc), (Noise c l Hc Hl), Nat.eqb_refl,
        (proj2 (Nat.eqb_neq l c) Ne). field. repeat split; lra.
    - intros j Hj Nc Nl. rewrite (chosen_wrong c j l Hc Hj Hl Nc Ne (not_eq_sym Nl)), (Noise c j Hc Hj),
        (proj2 (Nat.eqb_neq j c) Nc). reflexivity.
  Qed.

  Let student := prediction b T 1.

  Let margin := (p_B b - p_A b) * ((INR K - INR k) / (INR k * (INR K - 1))).

  (** The student of the k largest labels of a teacher after t rounds is right on every sample, with
      least margin (p_B - p_A) (K - k)/(k (K - 1)) > 0. *)
  Theorem top_k_students_linear :
    0 < margin /\
    (forall i, (i < N)%nat -> right b student i) /\
    (forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i -> margin <= student i (cls i) - student i l) /\
    (forall i, (i < N)%nat -> exists l, (l < K)%nat /\ l <> cls i /\
       student i (cls i) - student i l = margin).
  Proof.
    destruct (filters_in_order b Sizes Order Hmu) as (HA & HB & _).
    assert (Pos : 0 < margin).
    { apply Rmult_lt_0_compat; [lra|]. apply Rdiv_lt_0_compat; [lra|]. apply Rmult_lt_0_compat; lra. }
    assert (Bal : forall l, (l < K)%nat -> sum K (fun c => class_mean b T c l) = 1).
    { intros l Hl. rewrite (sum_but_one K _ l ((1 - 1 / INR k) / (INR K - 1)) Hl).
      - rewrite (mean_own l Hl). field. split; lra.
      - intros c Hc Ne. apply mean_other; auto. }
    assert (Lead : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
              student i (cls i) - student i l = p_A b * (1 / INR k - T i l) + margin).
    { intros i l Hi Hl Ne. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi).
      unfold student. rewrite (no_superclasses T 1 i (cls i) l Hi Hc Hl Bal), !pow_1.
      rewrite (mean_own _ Hc), (mean_other _ l Hc Hl Ne), (target_own i Hi). unfold margin. field. split; lra. }
    assert (Least : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
              margin <= student i (cls i) - student i l).
    { intros i l Hi Hl Ne. rewrite (Lead i l Hi Hl Ne). assert (B := target_le i l Hi Hl).
      assert (0 <= p_A b * (1 / INR k - T i l)) by (apply Rmult_le_pos; lra). lra. }
    split; [exact Pos|]. split; [|split; [exact Least|]].
    - intros i Hi l Hl Ne. assert (Q := Least i l Hi Hl Ne). lra.
    - intros i Hi. assert (Hc : (cls i < K)%nat) by (apply Sizes, Hi).
      destruct (Targets i Hi) as (Two & Sum & _).
      (* another label is among the targets, as they sum to 1 > 1/k *)
      assert (Q : 0 < sum K (fun l => T i l - ind (Nat.eqb l (cls i)) * (1 / INR k))).
      { rewrite sum_minus, (sum_ind K (fun _ => 1 / INR k) (cls i) Hc).
        assert (1 / INR k <= / 2) by (unfold Rdiv; rewrite Rmult_1_l; apply Rinv_le_contravar; lra).
        assert (S : sum K (fun l => T i l) = 1) by exact Sum. lra. }
      apply sum_pos_term in Q as (l & Hl & Q). exists l. split; [exact Hl|].
      destruct (Nat.eqb_spec l (cls i)) as [->|Ne].
      + rewrite (target_own i Hi) in Q. cbn [ind] in Q. lra.
      + split; [exact Ne|]. cbn [ind] in Q. rewrite (Lead i l Hi Hl Ne).
        destruct (Two l Hl) as [E|E]; rewrite E in *; [lra|ring].
  Qed.
End TopK.

(** The block model: its Gram matrix, the four averaging operators that it is made of, and
    label averaging, on which the theorems about the block model rest. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Export filters.
Open Scope R_scope.

(** N samples in K classes of n, and S superclasses of m classes. Sample i has the true class
    [true_class i], class k lies in the superclass [superclass k]; any order of the samples. *)
Record block := Block {
  n_samples : nat;
  n_classes : nat;
  n_superclasses : nat;
  per_class : nat;
  per_superclass : nat;
  true_class : nat -> nat;
  superclass : nat -> nat;
  same_class : R;       (* c, the inner product of two samples of one class *)
  same_superclass : R;  (* d, of two samples of one superclass *)
  elsewhere : R;        (* e, of any other two *)
  scale : R             (* mu = K N lambda *)
}.

(** ** Averages over groups of samples *)

(** The matrix that replaces every entry by the average over its group of w samples. *)
Definition average (group : nat -> nat) (w : R) (i j : nat) : R :=
  / w * ind (Nat.eqb (group i) (group j)).

Section Average.
  Variables (N : nat) (f g : nat -> nat) (w v : R).
  Hypothesis Hw : w <> 0.
  Hypothesis Count : forall i, (i < N)%nat -> sum N (fun j => ind (Nat.eqb (f i) (f j))) = w.
  (** Groups of g are unions of groups of f. *)
  Hypothesis Coarser : forall i j, (i < N)%nat -> (j < N)%nat -> f i = f j -> g i = g j.

  Let P := mv N (average f w).
  Let Q := mv N (average g v).

  (** Averages over large groups are the same on the small ones. *)
  Lemma average_of_coarser x i : (i < N)%nat -> P (Q x) i = Q x i.
  Proof.
    intros Hi. unfold P, mv at 1, average.
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb (f i) (f j)) * (/ w * Q x i))).
    - rewrite sum_scal_r, Count by exact Hi. field. exact Hw.
    - intros j Hj. destruct (Nat.eqb_spec (f i) (f j)) as [E|E]; cbn; [|ring].
      replace (Q x j) with (Q x i); [ring|]. unfold Q, mv, average.
      rewrite (Coarser i j Hi Hj E). reflexivity.
  Qed.

  Lemma average_of_finer x i : (i < N)%nat -> Q (P x) i = Q x i.
  Proof.
    intros Hi. unfold Q, mv at 1, average.
    rewrite (sum_ext N _ (fun j => sum N (fun l =>
               / v * / w * (ind (Nat.eqb (g i) (g j)) * ind (Nat.eqb (f j) (f l))) * x l))).
    - rewrite sum_swap. unfold mv, average. apply sum_ext. intros l Hl.
      rewrite sum_scal_r. f_equal. rewrite sum_scal_l.
      rewrite (sum_ext N _ (fun j => ind (Nat.eqb (g i) (g l)) * ind (Nat.eqb (f l) (f j)))).
      + rewrite sum_scal_l, Count by exact Hl.
        transitivity (/ v * (/ w * w) * ind (Nat.eqb (g i) (g l))); [ring|].
        rewrite Rinv_l by exact Hw. ring.
      + intros j Hj. rewrite (Nat.eqb_sym (f j) (f l)).
        destruct (Nat.eqb_spec (f l) (f j)) as [E|E]; cbn; [|ring].
        rewrite (Coarser l j Hl Hj E). reflexivity.
    - intros j Hj. unfold P, mv, average. rewrite <- sum_scal_l. apply sum_ext. intros. ring.
  Qed.
End Average.

Lemma average_symmetric N f w x y :
  dot N x (mv N (average f w) y) = dot N (mv N (average f w) x) y.
Proof.
  unfold dot, mv, average.
  rewrite (sum_ext N _ (fun i => sum N (fun j => x i * (/ w * ind (Nat.eqb (f i) (f j)) * y j))))
    by (intros; rewrite sum_scal_l; reflexivity).
  rewrite sum_swap. apply sum_ext. intros j _. rewrite <- sum_scal_r. apply sum_ext.
  intros i _. rewrite Nat.eqb_sym. ring.
Qed.

(** A sum over classes of sums over the samples of each. *)
Lemma sum_by_group N K (f : nat -> nat) (a b : nat -> R) :
  (forall i, (i < N)%nat -> (f i < K)%nat) ->
  sum K (fun k => a k * sum N (fun i => ind (Nat.eqb (f i) k) * b i))
  = sum N (fun i => a (f i) * b i).
Proof.
  intros H.
  rewrite (sum_ext K _ (fun k => sum N (fun i => a k * (ind (Nat.eqb (f i) k) * b i))))
    by (intros; rewrite sum_scal_l; reflexivity).
  rewrite sum_swap. apply sum_ext. intros i Hi.
  rewrite (sum_ext K _ (fun k => ind (Nat.eqb (f i) k) * (a k * b i))) by (intros; ring).
  apply (sum_ind' K (fun k => a k * b i)), H, Hi.
Qed.

(** ** The model *)

Section Model.
  Variable b : block.

  Local Notation N := (n_samples b).
  Local Notation K := (n_classes b).
  Local Notation S' := (n_superclasses b).
  Local Notation n := (INR (per_class b)).
  Local Notation m := (INR (per_superclass b)).
  Local Notation cls := (true_class b).
  Local Notation sup := (superclass b).
  Local Notation c := (same_class b).
  Local Notation d := (same_superclass b).
  Local Notation e := (elsewhere b).
  Local Notation mu := (scale b).

  (** K classes of n samples each, in S superclasses of m classes each. *)
  Definition equal_sizes : Prop :=
    (0 < per_class b)%nat /\ (0 < K)%nat /\
    (forall i, (i < N)%nat -> (cls i < K)%nat) /\
    (forall k, (k < K)%nat -> (sup k < S')%nat) /\
    (forall k, (k < K)%nat -> sum N (fun i => ind (Nat.eqb (cls i) k)) = n) /\
    (forall s, (s < S')%nat -> sum K (fun k => ind (Nat.eqb (sup k) s)) = m).

  (** 0 <= e <= d < c < 1 *)
  Definition in_order : Prop := 0 <= e <= d /\ d < c < 1.

  Definition in_model : Prop := equal_sizes /\ in_order /\ 0 < mu.

  Definition block_gram (i j : nat) : R :=
    if Nat.eqb i j then 1
    else if Nat.eqb (cls i) (cls j) then c
    else if Nat.eqb (sup (cls i)) (sup (cls j)) then d else e.

  (** The four eigenvalues, and what the filter keeps of each. *)
  Definition s_A : R := 1 - c.
  Definition s_B : R := s_A + n * (c - d).
  Definition s_C : R := s_B + n * m * (d - e).
  Definition s_D : R := s_C + n * INR K * e.
  Definition h (s : R) : R := s / (s + mu).
  Definition p_A := h s_A.
  Definition p_B := h s_B.
  Definition p_C := h s_C.
  Definition p_D := h s_D.

  (** Averages over the class, the superclass and all samples. *)
  Definition over_class := mv N (average cls n).
  Definition over_superclass := mv N (average (fun i => sup (cls i)) (n * m)).
  Definition over_all := mv N (average (fun _ => 0%nat) (n * INR K)).

  Hypothesis Sizes : equal_sizes.

  Lemma n_pos : 0 < n. Proof. apply lt_0_INR, Sizes. Qed.
  Lemma K_pos : 0 < INR K. Proof. apply lt_0_INR, Sizes. Qed.

  Lemma count_class i : (i < N)%nat -> sum N (fun j => ind (Nat.eqb (cls i) (cls j))) = n.
  Proof.
    intros Hi. destruct Sizes as (_ & _ & H & _ & H' & _).
    rewrite <- (H' (cls i)) by (apply H, Hi). apply sum_ext. intros. rewrite Nat.eqb_sym. reflexivity.
  Qed.

  Lemma count_superclass' k : (k < K)%nat -> sum K (fun l => ind (Nat.eqb (sup l) (sup k))) = m.
  Proof. intros Hk. destruct Sizes as (_ & _ & _ & H & _ & H'). apply H', H, Hk. Qed.

  Lemma m_pos : 0 < m.
  Proof.
    destruct Sizes as (_ & HK & _). rewrite <- (count_superclass' 0 HK).
    apply (sum_pos_one K _ 0%nat); [intros; apply ind_nonneg|exact HK|].
    rewrite Nat.eqb_refl. cbn. lra.
  Qed.

  Lemma count_superclass i :
    (i < N)%nat -> sum N (fun j => ind (Nat.eqb (sup (cls i)) (sup (cls j)))) = n * m.
  Proof.
    intros Hi. destruct Sizes as (_ & _ & H & _ & H' & _).
    rewrite <- (count_superclass' (cls i)) by (apply H, Hi).
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb (sup (cls j)) (sup (cls i))) * 1))
      by (intros; rewrite Nat.eqb_sym; ring).
    rewrite <- (sum_by_group N K cls (fun k => ind (Nat.eqb (sup k) (sup (cls i)))) (fun _ => 1) H).
    rewrite <- sum_scal_l. apply sum_ext. intros k Hk.
    rewrite <- (H' k Hk). rewrite Rmult_comm. f_equal. apply sum_ext. intros. ring.
  Qed.

  Lemma count_all : INR N = n * INR K.
  Proof.
    destruct Sizes as (_ & _ & H & _ & H' & _).
    replace (INR N) with (sum N (fun _ => 1 * 1)) by (rewrite sum_const; ring).
    rewrite <- (sum_by_group N K cls (fun _ => 1) (fun _ => 1) H).
    rewrite (sum_ext K _ (fun _ => n)).
    - rewrite sum_const. ring.
    - intros k Hk. rewrite <- (H' k Hk), Rmult_1_l. apply sum_ext. intros. ring.
  Qed.

  (** Number of classes: K = S m. *)
  Lemma count_classes : INR K = INR S' * m.
  Proof.
    destruct Sizes as (_ & _ & _ & H & _ & H').
    replace (INR K) with (sum K (fun _ => 1 * 1)) by (rewrite sum_const; ring).
    rewrite <- (sum_by_group K S' sup (fun _ => 1) (fun _ => 1) H).
    rewrite <- sum_const. apply sum_ext. intros s Hs.
    rewrite <- (H' s Hs), Rmult_1_l. apply sum_ext. intros. ring.
  Qed.

  Let Hn := n_pos.
  Let Hm := m_pos.
  Let HK := K_pos.
  Let Hnm : n * m <> 0. Proof. apply Rmult_integral_contrapositive; split; lra. Qed.
  Let HnK : n * INR K <> 0. Proof. apply Rmult_integral_contrapositive; split; lra. Qed.
  Let count_everything i : (i < N)%nat -> sum N (fun _ => ind (Nat.eqb 0 0)) = n * INR K.
  Proof. intros _. cbn. rewrite sum_const, count_all. ring. Qed.

  (** Each average of averages is the average over the larger groups. *)
  Lemma class_class x i : (i < N)%nat -> over_class (over_class x) i = over_class x i.
  Proof. apply average_of_coarser; [lra|exact count_class|auto]. Qed.
  Lemma class_super x i : (i < N)%nat -> over_class (over_superclass x) i = over_superclass x i.
  Proof. apply average_of_coarser; [lra|exact count_class|congruence]. Qed.
  Lemma class_all x i : (i < N)%nat -> over_class (over_all x) i = over_all x i.
  Proof. apply average_of_coarser; [lra|exact count_class|auto]. Qed.
  Lemma super_class x i : (i < N)%nat -> over_superclass (over_class x) i = over_superclass x i.
  Proof. apply average_of_finer; [lra|exact count_class|congruence]. Qed.
  Lemma super_super x i : (i < N)%nat -> over_superclass (over_superclass x) i = over_superclass x i.
  Proof. apply average_of_coarser; [exact Hnm|exact count_superclass|auto]. Qed.
  Lemma super_all x i : (i < N)%nat -> over_superclass (over_all x) i = over_all x i.
  Proof. apply average_of_coarser; [exact Hnm|exact count_superclass|auto]. Qed.
  Lemma all_class x i : (i < N)%nat -> over_all (over_class x) i = over_all x i.
  Proof. apply average_of_finer; [lra|exact count_class|auto]. Qed.
  Lemma all_super x i : (i < N)%nat -> over_all (over_superclass x) i = over_all x i.
  Proof. apply average_of_finer; [exact Hnm|exact count_superclass|auto]. Qed.
  Lemma all_all x i : (i < N)%nat -> over_all (over_all x) i = over_all x i.
  Proof. apply average_of_coarser; [exact HnK|exact count_everything|auto]. Qed.

  (** G = (1 - c) I + n (c - d) over_class + n m (d - e) over_superclass + n K e over_all *)
  Lemma gram_apply x i : (i < N)%nat ->
    mv N block_gram x i = (1 - c) * x i + n * (c - d) * over_class x i
      + n * m * (d - e) * over_superclass x i + n * INR K * e * over_all x i.
  Proof.
    intros Hi. unfold over_class, over_superclass, over_all, mv, average.
    rewrite <- (sum_ind' N x i Hi) at 1.
    rewrite <- !sum_scal_l, <- !sum_plus. apply sum_ext. intros j _. unfold block_gram.
    destruct (Nat.eqb_spec i j) as [<-|_].
    - rewrite !Nat.eqb_refl. cbn. field. lra.
    - destruct (Nat.eqb_spec (cls i) (cls j)) as [->|_]; [rewrite Nat.eqb_refl|
        destruct (Nat.eqb_spec (sup (cls i)) (sup (cls j)))]; cbn; field; lra.
  Qed.

  (** The four parts of a vector: E_A x, E_B x, E_C x, E_D x. *)
  Definition E_A x i := x i - over_class x i.
  Definition E_B x i := over_class x i - over_superclass x i.
  Definition E_C x i := over_superclass x i - over_all x i.
  Definition E_D x i := over_all x i.

  Lemma gram_parts x i : (i < N)%nat ->
    mv N block_gram x i = s_A * E_A x i + s_B * E_B x i + s_C * E_C x i + s_D * E_D x i.
  Proof.
    intros Hi. rewrite gram_apply by exact Hi. unfold E_A, E_B, E_C, E_D, s_D, s_C, s_B, s_A. ring.
  Qed.

  Let comb (a1 a2 a3 a4 : R) (x : nat -> R) (i : nat) : R :=
    a1 * E_A x i + a2 * E_B x i + a3 * E_C x i + a4 * E_D x i.

  Let average_comb M a1 a2 a3 a4 x i :
    mv N M (comb a1 a2 a3 a4 x) i =
    a1 * mv N M x i + (a2 - a1) * mv N M (over_class x) i
    + (a3 - a2) * mv N M (over_superclass x) i + (a4 - a3) * mv N M (over_all x) i.
  Proof.
    rewrite (mv_ext N M _ (fun j => a1 * x j + ((a2 - a1) * over_class x j
              + ((a3 - a2) * over_superclass x j + (a4 - a3) * over_all x j)))).
    - rewrite !mv_plus, !mv_scal. ring.
    - intros. unfold comb, E_A, E_B, E_C, E_D. ring.
  Qed.

  (** A combination of the parts has these averages. *)
  Lemma over_class_comb a1 a2 a3 a4 x i : (i < N)%nat ->
    over_class (fun i => a1 * E_A x i + a2 * E_B x i + a3 * E_C x i + a4 * E_D x i) i
    = a2 * E_B x i + a3 * E_C x i + a4 * E_D x i.
  Proof.
    intros Hi. change (mv N (average cls n) (comb a1 a2 a3 a4 x) i =
      a2 * E_B x i + a3 * E_C x i + a4 * E_D x i).
    rewrite average_comb. fold over_class. rewrite class_class, class_super, class_all by exact Hi.
    unfold E_B, E_C, E_D. ring.
  Qed.

  Lemma over_superclass_comb a1 a2 a3 a4 x i : (i < N)%nat ->
    over_superclass (fun i => a1 * E_A x i + a2 * E_B x i + a3 * E_C x i + a4 * E_D x i) i
    = a3 * E_C x i + a4 * E_D x i.
  Proof.
    intros Hi. change (mv N (average (fun i => sup (cls i)) (n * m)) (comb a1 a2 a3 a4 x) i =
      a3 * E_C x i + a4 * E_D x i).
    rewrite average_comb. fold over_superclass. rewrite super_class, super_super, super_all by exact Hi.
    unfold E_C, E_D. ring.
  Qed.

  Lemma over_all_comb a1 a2 a3 a4 x i : (i < N)%nat ->
    over_all (fun i => a1 * E_A x i + a2 * E_B x i + a3 * E_C x i + a4 * E_D x i) i
    = a4 * E_D x i.
  Proof.
    intros Hi. change (mv N (average (fun _ => 0%nat) (n * INR K)) (comb a1 a2 a3 a4 x) i =
      a4 * E_D x i).
    rewrite average_comb. fold over_all. rewrite all_class, all_super, all_all by exact Hi.
    unfold E_D. ring.
  Qed.

  Lemma parts_of_parts a1 a2 a3 a4 x i : (i < N)%nat ->
    let y := fun i => a1 * E_A x i + a2 * E_B x i + a3 * E_C x i + a4 * E_D x i in
    E_A y i = a1 * E_A x i /\ E_B y i = a2 * E_B x i /\
    E_C y i = a3 * E_C x i /\ E_D y i = a4 * E_D x i.
  Proof.
    intros Hi y.
    change (E_A y i) with (y i - over_class y i).
    change (E_B y i) with (over_class y i - over_superclass y i).
    change (E_C y i) with (over_superclass y i - over_all y i).
    change (E_D y i) with (over_all y i).
    unfold y. rewrite over_class_comb, over_superclass_comb, over_all_comb by exact Hi.
    repeat split; ring.
  Qed.

  Lemma block_gram_symmetric : symmetric N block_gram.
  Proof.
    intros i j _ _. unfold block_gram.
    rewrite (Nat.eqb_sym j i), (Nat.eqb_sym (cls j)), (Nat.eqb_sym (sup (cls j))). reflexivity.
  Qed.

  Let dot_average f w x :
    (forall x i, (i < N)%nat -> mv N (average f w) (mv N (average f w) x) i = mv N (average f w) x i) ->
    0 <= dot N x (mv N (average f w) x).
  Proof.
    intros H.
    rewrite <- (dot_ext N x _ x _ (fun _ _ => eq_refl) (H x)), average_symmetric.
    apply norm2_nonneg.
  Qed.

  Hypothesis Order : in_order.

  Lemma eigenvalues_in_order : 0 < s_A /\ s_A < s_B /\ s_B <= s_C /\ s_C <= s_D.
  Proof.
    destruct Order as ((He & Hd) & Hc & H1). unfold s_D, s_C, s_B, s_A.
    assert (0 < n * (c - d)) by (apply Rmult_lt_0_compat; lra).
    assert (0 <= n * m * (d - e)) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
    assert (0 <= n * INR K * e) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
    lra.
  Qed.

  Lemma block_gram_psd : psd N block_gram.
  Proof.
    intros x.
    rewrite (dot_ext N x _ x _ (fun _ _ => eq_refl) (gram_apply x)).
    rewrite !dot_plus_r, !dot_scal_r.
    assert (H1 := dot_average cls n x class_class).
    assert (H2 := dot_average (fun i => sup (cls i)) (n * m) x super_super).
    assert (H3 := dot_average (fun _ => 0%nat) (n * INR K) x all_all).
    fold over_class in H1. fold over_superclass in H2. fold over_all in H3.
    assert (H0 := norm2_nonneg N x). unfold norm2 in H0.
    destruct Order as ((He & Hd) & Hc & H4).
    assert (0 <= n * (c - d)) by (apply Rmult_le_pos; lra).
    assert (0 <= n * m * (d - e)) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
    assert (0 <= n * INR K * e) by (apply Rmult_le_pos; [apply Rmult_le_pos|]; lra).
    repeat apply Rplus_le_le_0_compat; apply Rmult_le_pos; lra || assumption.
  Qed.

  Hypothesis Hmu : 0 < mu.

  Let G := block_gram.
  Let Sy := block_gram_symmetric.
  Let Psd := block_gram_psd.

  (** h(G) multiplies the four parts by p_A, p_B, p_C, p_D. *)
  Lemma block_filter x i : (i < N)%nat ->
    filter N G mu x i = p_A * E_A x i + p_B * E_B x i + p_C * E_C x i + p_D * E_D x i.
  Proof.
    intros Hi. symmetry. revert i Hi. apply filter_unique; [exact Sy|exact Psd|exact Hmu|].
    intros i Hi. unfold G. rewrite (gram_parts x i Hi), gram_apply by exact Hi.
    rewrite over_class_comb, over_superclass_comb, over_all_comb by exact Hi.
    destruct eigenvalues_in_order as (HA & HB & HC & HD).
    assert (Q : forall s, 0 < s -> s * h s = s - mu * h s)
      by (intros s Hs; unfold h; field; lra).
    assert (QA := Q s_A HA). assert (QB := Q s_B ltac:(lra)).
    assert (QC := Q s_C ltac:(lra)). assert (QD := Q s_D ltac:(lra)).
    fold p_A in QA. fold p_B in QB. fold p_C in QC. fold p_D in QD.
    replace (1 - c) with s_A by reflexivity.
    replace (n * (c - d)) with (s_B - s_A) by (unfold s_B; ring).
    replace (n * m * (d - e)) with (s_C - s_B) by (unfold s_C; ring).
    replace (n * INR K * e) with (s_D - s_C) by (unfold s_D; ring).
    transitivity ((s_A * p_A + mu * p_A) * E_A x i + (s_B * p_B + mu * p_B) * E_B x i
      + (s_C * p_C + mu * p_C) * E_C x i + (s_D * p_D + mu * p_D) * E_D x i); [ring|].
    rewrite QA, QB, QC, QD. ring.
  Qed.

  Lemma block_filter_power t x i : (i < N)%nat ->
    filter_power N G mu t x i
    = p_A ^ t * E_A x i + p_B ^ t * E_B x i + p_C ^ t * E_C x i + p_D ^ t * E_D x i.
  Proof.
    revert i. induction t as [|t IH]; intros i Hi.
    - cbn. unfold E_A, E_B, E_C, E_D. ring.
    - cbn [filter_power pow].
      rewrite (filter_ext N G mu Sy Psd Hmu _ _ IH i Hi), block_filter by exact Hi.
      destruct (parts_of_parts (p_A ^ t) (p_B ^ t) (p_C ^ t) (p_D ^ t) x i Hi) as (-> & -> & -> & ->).
      ring.
  Qed.

  Lemma filters_in_order : 0 < p_A /\ p_A < p_B /\ p_B <= p_C /\ p_C <= p_D /\ p_D < 1.
  Proof.
    destruct eigenvalues_in_order as (HA & HB & HC & HD).
    assert (Mono : forall s r, 0 < s -> s <= r -> h s <= h r).
    { intros s r Hs Hr. unfold h. apply (Rmult_le_reg_r ((s + mu) * (r + mu)));
        [apply Rmult_lt_0_compat; lra|].
      replace (s / (s + mu) * ((s + mu) * (r + mu))) with (s * (r + mu)) by (field; lra).
      replace (r / (r + mu) * ((s + mu) * (r + mu))) with (r * (s + mu)) by (field; lra).
      nra. }
    assert (Strict : h s_A < h s_B).
    { unfold h. apply (Rmult_lt_reg_r ((s_A + mu) * (s_B + mu)));
        [apply Rmult_lt_0_compat; lra|].
      replace (s_A / (s_A + mu) * ((s_A + mu) * (s_B + mu))) with (s_A * (s_B + mu)) by (field; lra).
      replace (s_B / (s_B + mu) * ((s_A + mu) * (s_B + mu))) with (s_B * (s_A + mu)) by (field; lra).
      nra. }
    repeat split.
    - apply Rdiv_lt_0_compat; lra.
    - exact Strict.
    - apply Mono; lra.
    - apply Mono; lra.
    - unfold p_D, h. apply (Rmult_lt_reg_r (s_D + mu)); [lra|].
      replace (s_D / (s_D + mu) * (s_D + mu)) with s_D by (field; lra). lra.
  Qed.

  (** Their powers keep the order, strictly for t >= 1 where it is strict. *)
  Lemma powers_in_order t :
    0 < p_A ^ t /\ p_A ^ t <= p_B ^ t /\ p_B ^ t <= p_C ^ t /\ p_C ^ t <= p_D ^ t /\ p_D ^ t <= 1.
  Proof.
    destruct filters_in_order as (HA & HB & HC & HD & H1).
    assert (Q : forall x y, 0 < x -> x <= y -> x ^ t <= y ^ t)
      by (intros x y Hx Hy; apply pow_incr; lra).
    split; [apply pow_lt; exact HA|].
    split; [apply Q; lra|]. split; [apply Q; lra|]. split; [apply Q; lra|].
    rewrite <- (pow1 t). apply Q; lra.
  Qed.

  Lemma powers_strict t : (0 < t)%nat -> p_A ^ t < p_B ^ t /\ p_D ^ t < 1.
  Proof.
    intros Ht. destruct filters_in_order as (HA & HB & HC & HD & H1).
    assert (Q : forall x y, 0 < x -> x < y -> x ^ t < y ^ t).
    { intros x y Hx Hy. destruct t as [|t']; [lia|]. clear Ht. cbn.
      assert (0 < x ^ t') by (apply pow_lt; exact Hx).
      assert (x ^ t' <= y ^ t') by (apply pow_incr; lra). nra. }
    split; [apply Q; lra|]. rewrite <- (pow1 t). apply Q; lra.
  Qed.

  (** ** Averages of given labels *)

  Variable Y : nat -> nat -> R.  (* given labels or targets, N rows of K *)

  (** C, the class means, in superclasses, and over all. *)
  Definition class_mean (k l : nat) : R := / n * sum N (fun i => ind (Nat.eqb (cls i) k) * Y i l).
  Definition superclass_mean (s l : nat) : R :=
    / m * sum K (fun k => ind (Nat.eqb (sup k) s) * class_mean k l).
  Definition overall_mean (l : nat) : R := / INR K * sum K (fun k => class_mean k l).

  Lemma over_class_mean i l : over_class (fun i => Y i l) i = class_mean (cls i) l.
  Proof.
    unfold over_class, mv, average, class_mean. rewrite <- sum_scal_l. apply sum_ext.
    intros. rewrite Nat.eqb_sym. ring.
  Qed.

  Lemma over_superclass_mean i l :
    over_superclass (fun i => Y i l) i = superclass_mean (sup (cls i)) l.
  Proof.
    destruct Sizes as (_ & _ & H & _).
    unfold over_superclass, mv, average, superclass_mean, class_mean.
    rewrite (sum_ext K _ (fun k => / n * (ind (Nat.eqb (sup k) (sup (cls i)))
               * sum N (fun j => ind (Nat.eqb (cls j) k) * Y j l)))) by (intros; ring).
    rewrite sum_scal_l,
      (sum_by_group N K cls (fun k => ind (Nat.eqb (sup k) (sup (cls i)))) (fun j => Y j l) H).
    rewrite <- !sum_scal_l. apply sum_ext. intros. rewrite (Nat.eqb_sym (sup (cls i))). field. lra.
  Qed.

  Lemma over_all_mean i l : over_all (fun i => Y i l) i = overall_mean l.
  Proof.
    destruct Sizes as (_ & _ & H & _).
    unfold over_all, mv, average, overall_mean, class_mean.
    rewrite (sum_ext K _ (fun k => / n * (1 * sum N (fun j => ind (Nat.eqb (cls j) k) * Y j l))))
      by (intros; ring).
    rewrite (sum_scal_l K (/ n)), (sum_by_group N K cls (fun k => 1) (fun j => Y j l) H).
    rewrite <- !sum_scal_l. apply sum_ext. intros. cbn [Nat.eqb ind]. field. lra.
  Qed.

  (** Where all labels are given equally often and stay inside superclasses, the mean over all
      samples is 1/K, and that over a superclass is 1/m on its labels and 0 elsewhere. *)
  Lemma overall_mean_balanced l :
    sum K (fun k => class_mean k l) = 1 -> overall_mean l = 1 / INR K.
  Proof. intros H. unfold overall_mean. rewrite H. field. lra. Qed.

  Lemma superclass_mean_balanced s l :
    sum K (fun k => class_mean k l) = 1 ->
    (forall k, (k < K)%nat -> sup k <> sup l -> class_mean k l = 0) ->
    superclass_mean s l = ind (Nat.eqb (sup l) s) / m.
  Proof.
    intros H Inside. unfold superclass_mean.
    rewrite (sum_ext K _ (fun k => ind (Nat.eqb (sup l) s) * class_mean k l)).
    - rewrite sum_scal_l, H. field. lra.
    - intros k Hk. destruct (Nat.eq_dec (sup k) (sup l)) as [E|E]; [rewrite E; reflexivity|].
      rewrite (Inside k Hk E). ring.
  Qed.

  Let average_minus_const f w q x i : (i < N)%nat -> w <> 0 ->
    sum N (fun j => ind (Nat.eqb (f i) (f j))) = w ->
    mv N (average f w) (fun j => x j - q) i = mv N (average f w) x i - q.
  Proof.
    intros Hi Hw E. rewrite mv_minus. f_equal. unfold mv, average.
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb (f i) (f j)) * (/ w * q))) by (intros; ring).
    rewrite sum_scal_r, E. field. exact Hw.
  Qed.

  (** P^(t) = 1/K + h(G)^t (Y - 1/K), the predictions of round t of the linear theory. *)
  Definition prediction (t i l : nat) : R :=
    1 / INR K + filter_power N block_gram mu t (fun j => Y j l - 1 / INR K) i.

  Theorem prediction_averages t i l : (i < N)%nat ->
    prediction t i l = 1 / INR K
      + p_A ^ t * (Y i l - class_mean (cls i) l)
      + p_B ^ t * (class_mean (cls i) l - superclass_mean (sup (cls i)) l)
      + p_C ^ t * (superclass_mean (sup (cls i)) l - overall_mean l)
      + p_D ^ t * (overall_mean l - 1 / INR K).
  Proof.
    intros Hi. unfold prediction. rewrite block_filter_power by exact Hi.
    unfold E_A, E_B, E_C, E_D.
    unfold over_class, over_superclass, over_all.
    rewrite (average_minus_const cls n _ (fun j => Y j l) i Hi ltac:(lra) (count_class i Hi)).
    rewrite (average_minus_const (fun i => sup (cls i)) (n * m) _ (fun j => Y j l) i Hi Hnm
               (count_superclass i Hi)).
    rewrite (average_minus_const (fun _ => 0%nat) (n * INR K) _ (fun j => Y j l) i Hi HnK
               (count_everything i Hi)).
    fold over_class. fold over_superclass. fold over_all.
    rewrite over_class_mean, over_superclass_mean, over_all_mean. ring.
  Qed.
  (** Round by round: P^(0) = Y, and each round solves
      (G + mu) (P^(t+1) - 1/K) = G (P^(t) - 1/K); these systems have one solution, [prediction]. *)
  Theorem prediction_recursion (P : nat -> nat -> nat -> R) :
    (forall i l, (i < N)%nat -> (l < K)%nat -> P 0%nat i l = Y i l) ->
    (forall t i l, (i < N)%nat -> (l < K)%nat ->
       sum N (fun j => block_gram i j * (P (S t) j l - 1 / INR K)) + mu * (P (S t) i l - 1 / INR K)
       = sum N (fun j => block_gram i j * (P t j l - 1 / INR K))) ->
    forall t i l, (i < N)%nat -> (l < K)%nat -> P t i l = prediction t i l.
  Proof.
    intros H0 H t i l Hi Hl. unfold prediction.
    assert (E := proj1 (filter_recursion N G mu Sy Psd Hmu (fun t j => P t j l - 1 / INR K))
                   (fun t i Hi => H t i l Hi Hl) t i Hi).
    cbv beta in E.
    rewrite (filter_power_ext N G mu Sy Psd Hmu t _ (fun j => P 0%nat j l - 1 / INR K));
      [fold G in E; rewrite <- E; ring| |exact Hi].
    intros j Hj. rewrite H0 by assumption. reflexivity.
  Qed.

  Theorem prediction_step t i l : (i < N)%nat ->
    sum N (fun j => block_gram i j * (prediction (S t) j l - 1 / INR K))
      + mu * (prediction (S t) i l - 1 / INR K)
    = sum N (fun j => block_gram i j * (prediction t j l - 1 / INR K)).
  Proof.
    intros Hi. unfold prediction. cbn [filter_power].
    set (x := filter_power N block_gram mu t (fun j => Y j l - 1 / INR K)).
    assert (F := filter_spec N G mu Sy Psd Hmu x i Hi). unfold mv in F. fold G.
    set (y := filter N G mu x) in *.
    rewrite (sum_ext N (fun j => G i j * (1 / INR K + x j - 1 / INR K)) (fun j => G i j * x j)),
      (sum_ext N (fun j => G i j * (1 / INR K + y j - 1 / INR K)) (fun j => G i j * y j))
      by (intros; ring).
    rewrite <- F. ring.
  Qed.
End Model.

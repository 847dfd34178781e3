(** block-spectrum: the Gram matrix of the block model has four eigenvalues. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import block_model spectral.
Open Scope R_scope.

(** [dimension N E m]: the vectors x with E x = x have an orthonormal basis of m vectors. *)
Definition dimension (N : nat) (E : (nat -> R) -> nat -> R) (m : R) : Prop :=
  exists k v, INR k = m /\ orthonormal N k v /\
    (forall r i, (r < k)%nat -> (i < N)%nat -> E (v r) i = v r i) /\
    (forall x, (forall i, (i < N)%nat -> E x i = x i) ->
       forall i, (i < N)%nat -> x i = sum k (fun r => dot N (v r) x * v r i)).

(** [projection N E m]: E is a symmetric idempotent, the orthogonal projection on its range, which has
    the dimension m. *)
Definition projection (N : nat) (E : (nat -> R) -> nat -> R) (m : R) : Prop :=
  (forall x i, (i < N)%nat -> E (E x) i = E x i) /\
  (forall x y, dot N x (E y) = dot N (E x) y) /\
  dimension N E m.

(** ** The dimension of the range of a projection is its trace *)

Definition trace (N : nat) (E : (nat -> R) -> nat -> R) : R :=
  sum N (fun i => E (fun j => ind (Nat.eqb j i)) i).

(** An enumeration of the selected ones among 0, ..., N - 1. *)
Lemma selection N (sel : nat -> bool) : exists k idx,
  (forall r, (r < k)%nat -> (idx r < N)%nat /\ sel (idx r) = true) /\
  (forall r q, (r < k)%nat -> (q < k)%nat -> idx r = idx q -> r = q) /\
  (forall f, sum k (fun r => f (idx r)) = sum N (fun r => ind (sel r) * f r)).
Proof.
  induction N as [|N (k & idx & H1 & H2 & H3)].
  - exists 0%nat, (fun r => r). split; [lia|]. split; [lia|reflexivity].
  - destruct (sel N) eqn:E.
    + exists (S k), (fun r => if Nat.eqb r k then N else idx r). split; [|split].
      * intros r Hr. destruct (Nat.eqb_spec r k) as [->|Ne]; [auto|].
        destruct (H1 r ltac:(lia)). split; [lia|assumption].
      * intros r q Hr Hq. destruct (Nat.eqb_spec r k) as [->|Nr], (Nat.eqb_spec q k) as [->|Nq]; intros Eq.
        -- reflexivity.
        -- destruct (H1 q ltac:(lia)). lia.
        -- destruct (H1 r ltac:(lia)). lia.
        -- apply H2; lia.
      * intros f. cbn [sum]. rewrite Nat.eqb_refl, E. cbn [ind].
        rewrite (sum_ext k _ (fun r => f (idx r))).
        -- rewrite H3. ring.
        -- intros r Hr. rewrite (proj2 (Nat.eqb_neq r k)) by lia. reflexivity.
    + exists k, idx. split; [|split; [exact H2|]].
      * intros r Hr. destruct (H1 r Hr). split; [lia|assumption].
      * intros f. cbn [sum]. rewrite E, H3. cbn [ind]. ring.
Qed.

Lemma dimension_is_trace N E M :
  (forall x i, (i < N)%nat -> E x i = mv N M x i) ->
  (forall x i, (i < N)%nat -> E (E x) i = E x i) ->
  (forall x y, dot N x (E y) = dot N (E x) y) ->
  dimension N E (trace N E).
Proof.
  intros HM Idem Symm.
  set (e := fun i j => ind (Nat.eqb j i)).
  assert (Entry : forall i j, (i < N)%nat -> (j < N)%nat -> E (e j) i = M i j).
  { intros i j Hi Hj. rewrite HM by exact Hi. unfold mv, e.
    rewrite (sum_ext N _ (fun q => ind (Nat.eqb q j) * M i q)) by (intros; ring).
    apply (sum_ind N (M i) j Hj). }
  assert (Sy : symmetric N M).
  { intros i j Hi Hj. rewrite <- !Entry by assumption.
    transitivity (dot N (E (e j)) (e i)); [symmetry; apply dot_unit, Hi|].
    rewrite <- Symm, dot_comm. apply dot_unit, Hj. }
  destruct (spectral_theorem N M Sy) as (v & s & B). destruct (B) as (O & C & Ev).
  (* eigenvalues are 0 or 1 *)
  assert (EE : forall r i, (r < N)%nat -> (i < N)%nat -> E (v r) i = s r * v r i)
    by (intros; rewrite HM by assumption; apply Ev; assumption).
  assert (Val : forall r, (r < N)%nat -> s r = 0 \/ s r = 1).
  { intros r Hr.
    assert (Q : s r * s r = s r).
    { assert (D : dot N (v r) (E (E (v r))) = dot N (v r) (E (v r)))
        by (apply dot_ext; [reflexivity|intros; apply Idem; assumption]).
      rewrite Symm in D.
      rewrite (dot_ext N _ _ (fun i => s r * v r i) (fun i => s r * v r i)
                 (fun i Hi => EE r i Hr Hi) (fun i Hi => EE r i Hr Hi)) in D.
      rewrite (dot_ext N (v r) (E (v r)) (v r) (fun i => s r * v r i) (fun _ _ => eq_refl)
                 (fun i Hi => EE r i Hr Hi)) in D.
      rewrite dot_scal_l, !dot_scal_r, (O r r Hr Hr), Nat.eqb_refl in D. cbn in D. lra. }
    assert (Z : s r * (s r - 1) = 0) by lra. apply Rmult_integral in Z as [Z|Z]; [left|right]; lra. }
  set (sel := fun r => if Req_EM_T (s r) 1 then true else false).
  assert (Sel : forall r, (r < N)%nat -> ind (sel r) = s r).
  { intros r Hr. unfold sel. destruct (Req_EM_T (s r) 1) as [Q|Q]; cbn; [lra|].
    destruct (Val r Hr); [lra|contradiction]. }
  destruct (selection N sel) as (k & idx & H1 & H2 & H3).
  exists k, (fun r => v (idx r)). split; [|split; [|split]].
  - (* the trace is the sum of the eigenvalues *)
    assert (T : trace N E = sum N s).
    { unfold trace. fold e.
      rewrite (sum_ext N _ (fun i => sum N (fun r => s r * (v r i * v r i)))).
      - rewrite sum_swap. apply sum_ext. intros r Hr. rewrite sum_scal_l.
        assert (Q := O r r Hr Hr). rewrite Nat.eqb_refl in Q. unfold dot in Q. rewrite Q. cbn. ring.
      - intros i Hi. change (fun j => ind (Nat.eqb j i)) with (e i).
        rewrite (HM (e i) i Hi), (mv_ext N M (e i) _ i (C (e i))).
        rewrite (mv_sum N M N (fun r q => dot N (v r) (e i) * v r q)). apply sum_ext. intros r Hr.
        rewrite mv_scal, (Ev r i Hr Hi). unfold e. rewrite dot_unit by exact Hi. ring. }
    rewrite T, <- (Rmult_1_r (INR k)), <- sum_const, (H3 (fun _ => 1)). apply sum_ext.
    intros r Hr. rewrite (Sel r Hr). ring.
  - intros r q Hr Hq. destruct (H1 r Hr) as (A1 & _). destruct (H1 q Hq) as (A2 & _).
    rewrite (O _ _ A1 A2). destruct (Nat.eqb_spec r q) as [->|Ne]; [rewrite Nat.eqb_refl; reflexivity|].
    rewrite (proj2 (Nat.eqb_neq (idx r) (idx q))); [reflexivity|].
    intros Q. apply Ne. apply H2; assumption.
  - intros r i Hr Hi. destruct (H1 r Hr) as (A1 & A2). rewrite (EE _ _ A1 Hi).
    assert (Q := Sel _ A1). rewrite A2 in Q. cbn in Q. rewrite <- Q. ring.
  - intros x Hx i Hi. rewrite (H3 (fun r => dot N (v r) x * v r i)). rewrite (C x i Hi) at 1.
    apply sum_ext. intros r Hr. rewrite (Sel r Hr).
    (* <v_r, x> = <v_r, E x> = s_r <v_r, x> *)
    assert (Q : dot N (v r) x = s r * dot N (v r) x).
    { rewrite <- (dot_ext N (v r) _ (v r) x (fun _ _ => eq_refl) Hx) at 1. rewrite Symm.
      rewrite (dot_ext N _ x (fun i => s r * v r i) x (fun i Hi => EE r i Hr Hi) (fun _ _ => eq_refl)).
      apply dot_scal_l. }
    rewrite Q at 1. ring.
Qed.

Section Spectrum.
  Variable b : block.
  Hypotheses (Sizes : equal_sizes b) (Order : in_order b).

  Local Notation N := (n_samples b).
  Local Notation K := (INR (n_classes b)).
  Local Notation S' := (INR (n_superclasses b)).
  Local Notation n := (INR (per_class b)).
  Local Notation m := (INR (per_superclass b)).
  Local Notation cls := (true_class b).
  Local Notation sup := (superclass b).

  Let Hn := n_pos b Sizes.
  Let Hm := m_pos b Sizes.
  Let HK := K_pos b Sizes.

  Let trace_average f w (E : (nat -> R) -> nat -> R) : w <> 0 ->
    (forall x i, E x i = mv N (average f w) x i) -> trace N E = INR N / w.
  Proof.
    intros Hw H. unfold trace. rewrite (sum_ext N _ (fun i => / w)).
    - rewrite sum_const. field. exact Hw.
    - intros i Hi. rewrite H. unfold mv, average.
      rewrite (sum_ext N _ (fun j => ind (Nat.eqb j i) * (/ w * ind (Nat.eqb (f i) (f j)))))
        by (intros; ring).
      rewrite (sum_ind N (fun j => / w * ind (Nat.eqb (f i) (f j))) i Hi), Nat.eqb_refl.
      cbn. ring.
  Qed.

  Let trace_class : trace N (over_class b) = K.
  Proof.
    rewrite (trace_average cls n) by (reflexivity || lra).
    rewrite (count_all b Sizes). field. lra.
  Qed.

  Let trace_superclass : trace N (over_superclass b) = S'.
  Proof.
    rewrite (trace_average (fun i => sup (cls i)) (n * m)).
    - rewrite (count_all b Sizes), (count_classes b Sizes). field. lra.
    - apply Rmult_integral_contrapositive; split; lra.
    - reflexivity.
  Qed.

  Let trace_all : trace N (over_all b) = 1.
  Proof.
    assert (n * K <> 0) by (apply Rmult_integral_contrapositive; split; lra).
    rewrite (trace_average (fun _ => 0%nat) (n * K)) by (reflexivity || assumption).
    rewrite (count_all b Sizes). field. lra.
  Qed.

  Let trace_identity : trace N (fun x => x) = n * K.
  Proof.
    unfold trace. rewrite (sum_ext N _ (fun _ => 1)).
    - rewrite sum_const, (count_all b Sizes). ring.
    - intros. rewrite Nat.eqb_refl. reflexivity.
  Qed.

  Let trace_difference P Q p q :
    trace N P = p -> trace N Q = q -> trace N (fun x i => P x i - Q x i) = p - q.
  Proof. intros <- <-. unfold trace. apply sum_minus. Qed.

  Let symmetric_difference (P Q : (nat -> R) -> nat -> R) :
    (forall x y, dot N x (P y) = dot N (P x) y) -> (forall x y, dot N x (Q y) = dot N (Q x) y) ->
    forall x y, dot N x (fun i => P y i - Q y i) = dot N (fun i => P x i - Q x i) y.
  Proof.
    intros HP HQ x y. rewrite dot_minus_r, HP, HQ.
    rewrite (dot_comm N (fun i => _ - _)), dot_minus_r, (dot_comm N y), (dot_comm N y). reflexivity.
  Qed.

  (** Averages of vectors that are constant on groups, and of vectors that sum to 0 over groups. *)
  Let average_constant f w x i : (i < N)%nat -> w <> 0 ->
    sum N (fun j => ind (Nat.eqb (f i) (f j))) = w ->
    (forall j, (j < N)%nat -> f i = f j -> x i = x j) -> mv N (average f w) x i = x i.
  Proof.
    intros Hi Hw Count H. unfold mv, average.
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb (f i) (f j)) * (/ w * x i))).
    - rewrite sum_scal_r, Count. field. exact Hw.
    - intros j Hj. destruct (Nat.eqb_spec (f i) (f j)) as [E|E]; cbn; [|ring].
      rewrite (H j Hj E). ring.
  Qed.

  Let average_zero f w x i : w <> 0 ->
    (mv N (average f w) x i = 0 <-> sum N (fun j => ind (Nat.eqb (f i) (f j)) * x j) = 0).
  Proof.
    intros Hw. unfold mv, average.
    rewrite (sum_ext N _ (fun j => / w * (ind (Nat.eqb (f i) (f j)) * x j))) by (intros; ring).
    rewrite sum_scal_l. split; intros H.
    - apply (Rmult_eq_reg_l (/ w)); [rewrite H; ring|apply Rinv_neq_0_compat, Hw].
    - rewrite H. ring.
  Qed.

  Let ext f g (H : forall i, (i < N)%nat -> f i = g i) i (Hi : (i < N)%nat) :
    E_A b f i = E_A b g i /\ E_B b f i = E_B b g i /\ E_C b f i = E_C b g i /\ E_D b f i = E_D b g i.
  Proof.
    assert (H1 : over_class b f i = over_class b g i) by (apply mv_ext, H).
    assert (H2 : over_superclass b f i = over_superclass b g i) by (apply mv_ext, H).
    assert (H3 : over_all b f i = over_all b g i) by (apply mv_ext, H).
    assert (H0 := H i Hi). unfold E_A, E_B, E_C, E_D. repeat split; congruence.
  Qed.

  (** Projections of the four parts. *)
  Let products x i (Hi : (i < N)%nat) :
    (E_A b (E_A b x) i = E_A b x i /\ E_B b (E_A b x) i = 0 /\
     E_C b (E_A b x) i = 0 /\ E_D b (E_A b x) i = 0) /\
    (E_A b (E_B b x) i = 0 /\ E_B b (E_B b x) i = E_B b x i /\
     E_C b (E_B b x) i = 0 /\ E_D b (E_B b x) i = 0) /\
    (E_A b (E_C b x) i = 0 /\ E_B b (E_C b x) i = 0 /\
     E_C b (E_C b x) i = E_C b x i /\ E_D b (E_C b x) i = 0) /\
    (E_A b (E_D b x) i = 0 /\ E_B b (E_D b x) i = 0 /\
     E_C b (E_D b x) i = 0 /\ E_D b (E_D b x) i = E_D b x i).
  Proof.
    assert (Q : forall a1 a2 a3 a4 y,
      (forall j, (j < N)%nat ->
         y j = a1 * E_A b x j + a2 * E_B b x j + a3 * E_C b x j + a4 * E_D b x j) ->
      E_A b y i = a1 * E_A b x i /\ E_B b y i = a2 * E_B b x i /\
      E_C b y i = a3 * E_C b x i /\ E_D b y i = a4 * E_D b x i).
    { intros a1 a2 a3 a4 y Hy.
      destruct (parts_of_parts b Sizes a1 a2 a3 a4 x i Hi) as (<- & <- & <- & <-).
      apply ext; assumption. }
    assert (QA := Q 1 0 0 0 (E_A b x) ltac:(intros; ring)).
    assert (QB := Q 0 1 0 0 (E_B b x) ltac:(intros; ring)).
    assert (QC := Q 0 0 1 0 (E_C b x) ltac:(intros; ring)).
    assert (QD := Q 0 0 0 1 (E_D b x) ltac:(intros; ring)).
    clear Q. rewrite !Rmult_1_l, !Rmult_0_l in *. tauto.
  Qed.

  (** G = s_A E_A + s_B E_B + s_C E_C + s_D E_D, where the E are orthogonal projections that add up
      to the identity and annihilate each other, of dimensions K(n - 1), K - S, S - 1 and 1,
      and 0 < s_A < s_B <= s_C <= s_D. Their ranges are the vectors that

        E_A: sum to 0 over the class of each sample,
        E_B: are constant on classes and sum to 0 over each superclass,
        E_C: are constant on superclasses and sum to 0,
        E_D: are constant. *)
  (** Registry, block-spectrum: G = ∑_• s_• E_•:  s_A = 1 − c (K(n−1)-fold, inside a class),
      s_B = s_A + n(c−d) (K−S, class differences inside a superclass),  s_C = s_B + nm(d−e)
      (S−1, superclass differences),  s_D = s_C + nKe (1, all ones);  0 < s_A < s_B ≤ s_C ≤ s_D *)
  Theorem block_spectrum :
    (forall x i, (i < N)%nat ->
       mv N (block_gram b) x i = s_A b * E_A b x i + s_B b * E_B b x i
                               + s_C b * E_C b x i + s_D b * E_D b x i) /\
    (forall x i, x i = E_A b x i + E_B b x i + E_C b x i + E_D b x i) /\
    (forall x i, (i < N)%nat ->
       E_B b (E_A b x) i = 0 /\ E_C b (E_A b x) i = 0 /\ E_D b (E_A b x) i = 0 /\
       E_A b (E_B b x) i = 0 /\ E_C b (E_B b x) i = 0 /\ E_D b (E_B b x) i = 0 /\
       E_A b (E_C b x) i = 0 /\ E_B b (E_C b x) i = 0 /\ E_D b (E_C b x) i = 0 /\
       E_A b (E_D b x) i = 0 /\ E_B b (E_D b x) i = 0 /\ E_C b (E_D b x) i = 0) /\
    projection N (E_A b) (K * (n - 1)) /\ projection N (E_B b) (K - S') /\
    projection N (E_C b) (S' - 1) /\ projection N (E_D b) 1 /\
    (0 < s_A b /\ s_A b < s_B b /\ s_B b <= s_C b /\ s_C b <= s_D b) /\
    (forall x, (forall i, (i < N)%nat -> E_A b x i = x i) <->
       (forall i, (i < N)%nat -> sum N (fun j => ind (Nat.eqb (cls i) (cls j)) * x j) = 0)) /\
    (forall x, (forall i, (i < N)%nat -> E_B b x i = x i) <->
       (forall i j, (i < N)%nat -> (j < N)%nat -> cls i = cls j -> x i = x j) /\
       (forall i, (i < N)%nat ->
          sum N (fun j => ind (Nat.eqb (sup (cls i)) (sup (cls j))) * x j) = 0)) /\
    (forall x, (forall i, (i < N)%nat -> E_C b x i = x i) <->
       (forall i j, (i < N)%nat -> (j < N)%nat -> sup (cls i) = sup (cls j) -> x i = x j) /\
       sum N x = 0) /\
    (forall x, (forall i, (i < N)%nat -> E_D b x i = x i) <->
       (forall i j, (i < N)%nat -> (j < N)%nat -> x i = x j)).
  Proof.
    assert (Hnm : n * m <> 0) by (apply Rmult_integral_contrapositive; split; lra).
    assert (HnK : n * K <> 0) by (apply Rmult_integral_contrapositive; split; lra).
    assert (Sym1 : forall x y, dot N x (over_class b y) = dot N (over_class b x) y)
      by (intros; apply average_symmetric).
    assert (Sym2 : forall x y, dot N x (over_superclass b y) = dot N (over_superclass b x) y)
      by (intros; apply average_symmetric).
    assert (Sym3 : forall x y, dot N x (over_all b y) = dot N (over_all b x) y)
      by (intros; apply average_symmetric).
    assert (Const1 : forall x i, (i < N)%nat ->
              (forall j, (j < N)%nat -> cls i = cls j -> x i = x j) -> over_class b x i = x i)
      by (intros; apply average_constant; [assumption|lra|apply (count_class b Sizes)|]; assumption).
    assert (Const2 : forall x i, (i < N)%nat ->
              (forall j, (j < N)%nat -> sup (cls i) = sup (cls j) -> x i = x j) ->
              over_superclass b x i = x i)
      by (intros; apply average_constant; [assumption|exact Hnm|apply (count_superclass b Sizes)|];
          assumption).
    assert (Count3 : sum N (fun _ => ind (Nat.eqb 0 0)) = n * K)
      by (cbn; rewrite sum_const, (count_all b Sizes); ring).
    assert (Const3 : forall x i, (i < N)%nat ->
              (forall j, (j < N)%nat -> x i = x j) -> over_all b x i = x i)
      by (intros; apply average_constant; [assumption|exact HnK|exact Count3|]; auto).
    assert (Zero3 : forall x i, over_all b x i = 0 <-> sum N x = 0).
    { intros x i. unfold over_all. rewrite (average_zero _ _ x i HnK).
      rewrite (sum_ext N (fun j => ind (Nat.eqb 0 0) * x j) x) by (intros; cbn; ring). tauto. }
    (* each E as a matrix *)
    assert (Dim : forall P Q p q E,
      (forall x i, (i < N)%nat -> E x i = mv N P x i - mv N Q x i) ->
      (forall x i, (i < N)%nat -> E (E x) i = E x i) -> (forall x y, dot N x (E y) = dot N (E x) y) ->
      trace N E = p - q -> dimension N E (p - q)).
    { intros P Q p q E H Idem Symm <-. apply (dimension_is_trace N E (fun i j => P i j - Q i j)); trivial.
      intros x i Hi. rewrite (H x i Hi). unfold mv. rewrite <- sum_minus. apply sum_ext. intros. ring. }
    set (I_ := fun i j => ind (Nat.eqb i j)).
    assert (HI : forall x i, (i < N)%nat -> mv N I_ x i = x i) by (intros; apply sum_ind'; assumption).
    split; [exact (gram_parts b Sizes)|].
    split; [intros; unfold E_A, E_B, E_C, E_D; ring|].
    split; [intros x i Hi; assert (Q := products x i Hi); tauto|].
    assert (SA : forall x y, dot N x (E_A b y) = dot N (E_A b x) y)
      by (apply (symmetric_difference (fun x => x)); [reflexivity|exact Sym1]).
    assert (SB : forall x y, dot N x (E_B b y) = dot N (E_B b x) y)
      by (apply symmetric_difference; assumption).
    assert (SC : forall x y, dot N x (E_C b y) = dot N (E_C b x) y)
      by (apply symmetric_difference; assumption).
    assert (IA : forall x i, (i < N)%nat -> E_A b (E_A b x) i = E_A b x i)
      by (intros x i Hi; apply (products x i Hi)).
    assert (IB : forall x i, (i < N)%nat -> E_B b (E_B b x) i = E_B b x i)
      by (intros x i Hi; apply (products x i Hi)).
    assert (IC : forall x i, (i < N)%nat -> E_C b (E_C b x) i = E_C b x i)
      by (intros x i Hi; apply (products x i Hi)).
    assert (ID : forall x i, (i < N)%nat -> E_D b (E_D b x) i = E_D b x i)
      by (intros x i Hi; apply (products x i Hi)).
    split.
    { split; [exact IA|]. split; [exact SA|]. replace (K * (n - 1)) with (n * K - K) by ring.
      apply (Dim I_ (average cls n)); [|exact IA|exact SA|].
      - intros x i Hi. rewrite HI by exact Hi. reflexivity.
      - apply (trace_difference (fun x => x)); assumption. }
    split.
    { split; [exact IB|]. split; [exact SB|].
      apply (Dim (average cls n) (average (fun i => sup (cls i)) (n * m))); [reflexivity|exact IB|exact SB|].
      apply trace_difference; assumption. }
    split.
    { split; [exact IC|]. split; [exact SC|].
      apply (Dim (average (fun i => sup (cls i)) (n * m)) (average (fun _ => 0%nat) (n * K)));
        [reflexivity|exact IC|exact SC|].
      apply trace_difference; assumption. }
    split.
    { split; [exact ID|]. split; [exact Sym3|]. rewrite <- trace_all.
      apply (dimension_is_trace N (E_D b) (average (fun _ => 0%nat) (n * K)));
        [reflexivity|exact ID|exact Sym3]. }
    split; [exact (eigenvalues_in_order b Sizes Order)|].
    split; [|split; [|split]]; intros x.
    - split; intros H i Hi; specialize (H i Hi).
      + apply (average_zero cls n); [lra|]. unfold E_A in H. fold (over_class b). lra.
      + apply (average_zero cls n) in H; [|lra]. unfold E_A. fold (over_class b) in H. lra.
    - split.
      + intros H. split.
        * intros i j Hi Hj E. rewrite <- (H i Hi), <- (H j Hj).
          unfold E_B, over_class, over_superclass, mv, average. rewrite E. reflexivity.
        * intros i Hi. apply (average_zero (fun i => sup (cls i)) (n * m)); [exact Hnm|].
          fold (over_superclass b).
          assert (Z : over_superclass b (E_B b x) i = over_superclass b x i) by (apply mv_ext, H).
          rewrite <- Z. unfold E_B, over_superclass at 1. rewrite mv_minus.
          fold (over_superclass b). rewrite (super_class b Sizes), (super_super b Sizes) by exact Hi.
          ring.
      + intros (HC & H0) i Hi. unfold E_B. rewrite Const1 by auto.
        assert (Z := proj2 (average_zero (fun i => sup (cls i)) (n * m) x i Hnm) (H0 i Hi)).
        fold (over_superclass b) in Z. rewrite Z. ring.
    - split.
      + intros H. split.
        * intros i j Hi Hj E. rewrite <- (H i Hi), <- (H j Hj).
          unfold E_C, over_superclass, over_all, mv, average. rewrite E. reflexivity.
        * destruct (Nat.eq_dec N 0) as [Z|Z]; [rewrite Z; reflexivity|].
          apply (Zero3 x 0%nat).
          assert (Q : over_all b (E_C b x) 0%nat = over_all b x 0%nat) by (apply mv_ext, H).
          rewrite <- Q. unfold E_C, over_all at 1. rewrite mv_minus. fold (over_all b).
          rewrite (all_super b Sizes), (all_all b Sizes) by lia. ring.
      + intros (HC & H0) i Hi. unfold E_C. rewrite Const2 by auto.
        rewrite (proj2 (Zero3 x i) H0). ring.
    - split.
      + intros H i j Hi Hj. rewrite <- (H i Hi), <- (H j Hj). reflexivity.
      + intros H i Hi. apply Const3; auto.
  Qed.
End Spectrum.

(** Students of the k largest labels are right under symmetric noise: all of top-k-students, linear and
    exact, for rows that look the same after any renaming of the classes. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import sums block_model matrices softmax heads proximal rounds persistence.
Open Scope R_scope.

(** N samples of K classes of n, without superclasses: one superclass of all classes. *)
Definition without_superclasses (N K n : nat) (cls : nat -> nat) (c d mu : R) : block :=
  Block N K 1 n K cls (fun _ => 0%nat) c d d mu.

(** The exchange of two classes. *)
Definition exchange (a b k : nat) : nat := if Nat.eqb k a then b else if Nat.eqb k b then a else k.

Lemma exchange_permutes K a b : (a < K)%nat -> (b < K)%nat -> permutes K (exchange a b).
Proof.
  intros Ha Hb. unfold exchange. split.
  - intros k Hk. destruct (Nat.eqb k a), (Nat.eqb k b); assumption.
  - intros k l Hk Hl E.
    destruct (Nat.eqb_spec k a), (Nat.eqb_spec k b), (Nat.eqb_spec l a), (Nat.eqb_spec l b);
      subst; try reflexivity; try lia; congruence.
Qed.

Lemma exchange_first a b : exchange a b a = b.
Proof. unfold exchange. now rewrite Nat.eqb_refl. Qed.

Lemma exchange_fixed a b k : k <> a -> k <> b -> exchange a b k = k.
Proof.
  intros Ha Hb. unfold exchange.
  now rewrite (proj2 (Nat.eqb_neq k a)), (proj2 (Nat.eqb_neq k b)) by assumption.
Qed.

(** Rows with classes cls, given labels y and targets T look the same after any renaming of the
    classes: noise is symmetric, and where places of T are tied, every outcome was drawn equally often. *)
Definition alike (N K : nat) (cls y : nat -> nat) (T : mat) : Prop :=
  forall sigma, permutes K sigma -> exists pi, permutes N pi /\ forall i, (i < N)%nat ->
    cls (pi i) = sigma (cls i) /\ y (pi i) = sigma (y i) /\
    forall l, (l < K)%nat -> T (pi i) (sigma l) = T i l.

(** Row i of T is 1/k on k labels, and no label outside is predicted higher by P than one inside. *)
Definition top_targets (N K k : nat) (P T : mat) : Prop :=
  forall i, (i < N)%nat ->
    (forall l, (l < K)%nat -> T i l = 0 \/ T i l = 1 / INR k) /\
    \sum_(l < K) T i l = 1 /\
    forall l l', (l < K)%nat -> (l' < K)%nat -> T i l = 1 / INR k -> T i l' = 0 -> P i l' <= P i l.

Section TopK.

Variables (N K n k : nat) (cls y : nat -> nat) (c d eta : R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis n_pos : (0 < n)%nat.
Hypothesis k_range : (2 <= k < K)%nat.
Hypothesis cls_lt : forall i, (i < N)%nat -> (cls i < K)%nat.
Hypothesis y_lt : forall i, (i < N)%nat -> (y i < K)%nat.
Hypothesis sizes : forall q, (q < K)%nat -> \sum_(i < N) ind (Nat.eqb (cls i) q) = INR n.
Hypothesis order : 0 <= d < c.
Hypothesis c_lt_1 : c < 1.
(** Symmetric noise: a fraction eta/(K - 1) of class q is given each other label. *)
Hypothesis noise : forall q l, (q < K)%nat -> (l < K)%nat -> q <> l ->
  \sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) l)) = INR n * (eta / (INR K - 1)).
Hypothesis rate : eta < (INR K - 1) / INR K.

Let K_pos : (0 < K)%nat. Proof. lia. Qed.
Let Pn : 0 < INR n. Proof. now apply lt_0_INR. Qed.
Let PN : 0 < INR N. Proof. now apply lt_0_INR. Qed.
Let PK : 2 < INR K. Proof. apply (lt_INR 2). lia. Qed.
Let Pk : 1 < INR k. Proof. apply (lt_INR 1). lia. Qed.
Let Pkk : INR k < INR K. Proof. apply lt_INR. lia. Qed.

(** Of class q, 1 - eta is given its own label, more than any other. *)
Let clean_count q : (q < K)%nat ->
  \sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) q)) = INR n * (1 - eta).
Proof.
  intros Hq.
  assert (All : \sum_(l < K) \sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) l)) = INR n).
  { rewrite sum_swap, <- (sizes q Hq). apply sum_ext. intros i Hi. rewrite sum_scal_l.
    rewrite (sum_ext K _ (fun l => ind (Nat.eqb (y i) l) * 1)) by (intros; ring).
    rewrite (sum_ind' K (fun _ => 1) (y i) (y_lt i Hi)). ring. }
  rewrite (sum_ext K _ (fun l => ind (Nat.eqb l q)
      * (\sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) q)) - INR n * (eta / (INR K - 1)))
      + INR n * (eta / (INR K - 1)))) in All.
  - rewrite sum_plus, (sum_ind K (fun _ => _) q Hq), sum_const in All.
    replace (INR n * (1 - eta)) with (INR n - INR n * eta) by ring.
    replace (INR K * (INR n * (eta / (INR K - 1)))) with (INR n * eta + INR n * (eta / (INR K - 1))) in All
      by (field; lra). lra.
  - intros l Hl. destruct (Nat.eqb_spec l q) as [->|Ne]; simpl; [ring|].
    rewrite noise by auto. ring.
Qed.

Let rate_gap : eta / (INR K - 1) < 1 - eta.
Proof.
  apply Rmult_lt_reg_r with (INR K - 1); [lra|].
  replace (eta / (INR K - 1) * (INR K - 1)) with eta by (field; lra).
  apply Rmult_lt_compat_r with (r := INR K) in rate; [|lra].
  replace ((INR K - 1) / INR K * INR K) with (INR K - 1) in rate by (field; lra). lra.
Qed.

(** ** Targets *)

Section Targets.

Variables (P T : mat).
Hypothesis top : top_targets N K k P T.
(** The teacher P puts no label but the given one as high as the true class. *)
Hypothesis teacher : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i -> l <> y i ->
  P i l < P i (cls i).
Hypothesis draws : alike N K cls y T.

(** So the true class is among the k largest labels. *)
Lemma true_class_in i : (i < N)%nat -> T i (cls i) = 1 / INR k.
Proof.
  intros Hi. destruct (top i Hi) as (Val & Sum & Ord).
  destruct (Val (cls i) (cls_lt i Hi)) as [Z|E]; [|exact E]. exfalso.
  assert (Out : forall l, (l < K)%nat -> l <> y i -> T i l = 0).
  { intros l Hl Ne. destruct (Nat.eq_dec l (cls i)) as [->|Nc]; [exact Z|].
    destruct (Val l Hl) as [Zl|El]; [exact Zl|]. exfalso.
    assert (A := Ord l (cls i) Hl (cls_lt i Hi) El Z). assert (B := teacher i l Hi Hl Nc Ne). lra. }
  change (sum K (T i) = 1) in Sum. rewrite (sum_single K _ (y i) (y_lt i Hi) Out) in Sum.
  assert (Inv : 1 / INR k < 1).
  { apply Rmult_lt_reg_r with (INR k); [lra|]. replace (1 / INR k * INR k) with 1 by (field; lra). lra. }
  destruct (Val (y i) (y_lt i Hi)) as [Zy|Ey]; lra.
Qed.

(** Sums over a class of what looks the same after a renaming do not depend on the other label. *)
Lemma class_sums (A : mat) q l l' pi : permutes N pi -> (q < K)%nat -> (l < K)%nat -> (l' < K)%nat ->
  l <> q -> l' <> q ->
  (forall i, (i < N)%nat -> cls (pi i) = exchange l l' (cls i)) ->
  same N K pi (exchange l l') A ->
  \sum_(i < N) (ind (Nat.eqb (cls i) q) * A i l') = \sum_(i < N) (ind (Nat.eqb (cls i) q) * A i l).
Proof.
  intros Hpi Hq Hl Hl' Nl Nl' Hc HA.
  rewrite <- (sum_permuted N pi (fun i => ind (Nat.eqb (cls i) q) * A i l') Hpi).
  apply sum_ext. intros i Hi. rewrite Hc by exact Hi.
  assert (E := HA i l Hi Hl). rewrite exchange_first in E. rewrite E. f_equal. f_equal.
  unfold exchange. destruct (Nat.eqb_spec (cls i) l) as [->|Na].
  - rewrite (proj2 (Nat.eqb_neq l' q)), (proj2 (Nat.eqb_neq l q)) by assumption. reflexivity.
  - destruct (Nat.eqb_spec (cls i) l') as [->|Nb]; [|reflexivity].
    rewrite (proj2 (Nat.eqb_neq l' q)), (proj2 (Nat.eqb_neq l q)) by assumption. reflexivity.
Qed.

(** Class q holds its own label in every target, and each other label equally often. *)
Lemma target_sums q l : (q < K)%nat -> (l < K)%nat ->
  \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i l)
    = if Nat.eqb l q then INR n / INR k else INR n * (1 - 1 / INR k) / (INR K - 1).
Proof.
  intros Hq Hl.
  assert (Own : \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i q) = INR n / INR k).
  { rewrite (sum_ext N _ (fun i => ind (Nat.eqb (cls i) q) * (1 / INR k))).
    - rewrite sum_scal_r, sizes by exact Hq. field. lra.
    - intros i Hi. destruct (Nat.eqb_spec (cls i) q) as [<-|]; simpl; [|ring].
      rewrite true_class_in by exact Hi. reflexivity. }
  assert (Rest : forall l l', (l < K)%nat -> (l' < K)%nat -> l <> q -> l' <> q ->
    \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i l') = \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i l)).
  { intros a b Ha Hb Na Nb. destruct (draws (exchange a b) (exchange_permutes K a b Ha Hb)) as (pi & Hpi & E).
    apply (class_sums T q a b pi); trivial; [intros i Hi; apply (E i Hi)|].
    intros i m Hi Hm. now apply (E i Hi). }
  destruct (Nat.eqb_spec l q) as [->|Ne]; [exact Own|].
  assert (All : \sum_(m < K) \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i m) = INR n).
  { rewrite sum_swap, <- (sizes q Hq). apply sum_ext. intros i Hi. rewrite sum_scal_l.
    destruct (top i Hi) as (_ & Sum & _). change (sum K (T i) = 1) in Sum. rewrite Sum. ring. }
  set (rest := \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i l)) in *.
  rewrite (sum_ext K _ (fun m => ind (Nat.eqb m q) * (INR n / INR k - rest) + rest)) in All.
  - rewrite sum_plus, (sum_ind K (fun _ => INR n / INR k - rest) q Hq), sum_const in All.
    apply Rmult_eq_reg_l with (INR K - 1); [|lra].
    replace ((INR K - 1) * (INR n * (1 - 1 / INR k) / (INR K - 1))) with (INR n - INR n / INR k)
      by (field; lra). lra.
  - intros m Hm. destruct (Nat.eqb_spec m q) as [->|Nm]; simpl; [rewrite Own; ring|].
    rewrite (Rest l m) by assumption. fold rest. ring.
Qed.

(** By (K - k)/(k (K - 1)) more for the true class. *)
Lemma target_gap q l : (q < K)%nat -> (l < K)%nat -> l <> q ->
  / INR n * (\sum_(i < N) (ind (Nat.eqb (cls i) q) * T i q) - \sum_(i < N) (ind (Nat.eqb (cls i) q) * T i l))
    = (INR K - INR k) / (INR k * (INR K - 1)).
Proof.
  intros Hq Hl Ne. rewrite !target_sums, Nat.eqb_refl, (proj2 (Nat.eqb_neq l q)) by assumption.
  field. lra.
Qed.

Lemma gap_pos : 0 < (INR K - INR k) / (INR k * (INR K - 1)).
Proof. apply Rdiv_lt_0_compat; [lra|]. apply Rmult_lt_0_compat; lra. Qed.

End Targets.

(** ** The linear theory *)

Section Linear.

Variable mu : R.
Hypothesis mu_pos : 0 < mu.

Let b := without_superclasses N K n cls c d mu.

Let Sizes : equal_sizes b.
Proof.
  split; [exact n_pos|]. split; [exact K_pos|]. split; [exact cls_lt|]. split; [intros; simpl; lia|].
  split; [exact sizes|]. intros s Hs. simpl in *. replace s with 0%nat by lia. simpl.
  rewrite sum_const. ring.
Qed.

Let Order : in_order b. Proof. split; simpl; lra. Qed.

(** Margins where all labels have the same sum over all rows. *)
Lemma linear_margin T t i l : (i < N)%nat -> (l < K)%nat ->
  (forall m, (m < K)%nat -> \sum_(q < K) class_mean b T q m = 1) ->
  prediction b T t i (cls i) - prediction b T t i l
  = p_A b ^ t * (T i (cls i) - T i l)
    + (p_B b ^ t - p_A b ^ t) * (class_mean b T (cls i) (cls i) - class_mean b T (cls i) l).
Proof.
  intros Hi Hl Col. assert (Hc := cls_lt i Hi).
  rewrite !(prediction_averages b Sizes Order mu_pos T t i) by exact Hi.
  assert (O : forall m, (m < K)%nat -> overall_mean b T m = 1 / INR K).
  { intros m Hm. apply (overall_mean_balanced b Sizes T m). now apply Col. }
  assert (Su : forall s m, (m < K)%nat -> superclass_mean b T (superclass b s) m = 1 / INR K).
  { intros s m Hm. unfold superclass_mean. simpl.
    rewrite (sum_ext K _ (fun q => class_mean b T q m)) by (intros; ring).
    rewrite Col by exact Hm. field. lra. }
  rewrite !O, !Su by assumption. simpl. ring.
Qed.

Let given_columns m : (m < K)%nat -> \sum_(q < K) class_mean b (one_hot y) q m = 1.
Proof.
  intros Hm. unfold class_mean. simpl. rewrite sum_scal_l.
  rewrite (sum_ext K _ (fun q => ind (Nat.eqb q m) * (INR n * (1 - eta) - INR n * (eta / (INR K - 1)))
    + INR n * (eta / (INR K - 1)))).
  - rewrite sum_plus, (sum_ind K (fun _ => INR n * (1 - eta) - INR n * (eta / (INR K - 1))) m Hm), sum_const.
    field. lra.
  - intros q Hq. change (fun i => ind (Nat.eqb (cls i) q) * one_hot y i m)
      with (fun i => ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) m)).
    destruct (Nat.eqb_spec q m) as [->|Ne]; simpl; [rewrite clean_count by exact Hm; ring|].
    rewrite noise by assumption. ring.
Qed.

(** A teacher after t >= 1 rounds puts no label but the given one as high as the true class. *)
Lemma linear_teacher t i l : (1 <= t)%nat -> (i < N)%nat -> (l < K)%nat -> l <> cls i -> l <> y i ->
  prediction b (one_hot y) t i l < prediction b (one_hot y) t i (cls i).
Proof.
  intros Ht Hi Hl Nc Ny. assert (M := linear_margin (one_hot y) t i l Hi Hl given_columns).
  assert (Hc := cls_lt i Hi).
  destruct (powers_in_order b Sizes Order mu_pos t) as (PA & _).
  destruct (powers_strict b Sizes Order mu_pos t ltac:(lia)) as (PB & _).
  assert (E : class_mean b (one_hot y) (cls i) (cls i) - class_mean b (one_hot y) (cls i) l
    = (1 - eta) - eta / (INR K - 1)).
  { unfold class_mean. simpl.
    change (fun q => ind (Nat.eqb (cls q) (cls i)) * one_hot y q (cls i))
      with (fun q => ind (Nat.eqb (cls q) (cls i)) * ind (Nat.eqb (y q) (cls i))).
    change (fun q => ind (Nat.eqb (cls q) (cls i)) * one_hot y q l)
      with (fun q => ind (Nat.eqb (cls q) (cls i)) * ind (Nat.eqb (y q) l)).
    rewrite clean_count, noise by auto. field. lra. }
  rewrite E in M.
  assert (Z : one_hot y i l = 0) by (unfold one_hot; rewrite (proj2 (Nat.eqb_neq (y i) l)) by auto; reflexivity).
  assert (O : 0 <= one_hot y i (cls i)) by (unfold one_hot; destruct (Nat.eqb (y i) (cls i)); lra).
  rewrite Z, Rminus_0_r in M.
  assert (0 <= p_A b ^ t * one_hot y i (cls i)) by (apply Rmult_le_pos; lra).
  assert (0 < (p_B b ^ t - p_A b ^ t) * (1 - eta - eta / (INR K - 1))) by (apply Rmult_lt_0_compat; lra).
  lra.
Qed.

(** K classes of n without superclasses, 0 <= d < c < 1, mu > 0, symmetric noise eta < (K - 1)/K,
    2 <= k < K; T = 1/k on the k largest labels of the linear teacher after t >= 1 rounds, ties drawn
    with every outcome equally often: the linear student on T is right on every sample, with the
    least margin (p_B - p_A) (K - k)/(k (K - 1)) > 0. *)
Theorem top_k_students t T : (1 <= t)%nat ->
  top_targets N K k (prediction b (one_hot y) t) T -> alike N K cls y T ->
  let gap := (p_B b - p_A b) * ((INR K - INR k) / (INR k * (INR K - 1))) in
  0 < gap
  /\ (forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
        gap <= prediction b T 1 i (cls i) - prediction b T 1 i l)
  /\ exists i l, (i < N)%nat /\ (l < K)%nat /\ l <> cls i /\
        prediction b T 1 i (cls i) - prediction b T 1 i l = gap.
Proof.
  intros Ht Top Draws gap.
  assert (Tea := fun i l => linear_teacher t i l Ht).
  destruct (powers_in_order b Sizes Order mu_pos 1) as (PA & _).
  destruct (powers_strict b Sizes Order mu_pos 1 ltac:(lia)) as (PB & _).
  rewrite !pow_1 in PA, PB.
  assert (Pg := gap_pos).
  assert (Col : forall m, (m < K)%nat -> \sum_(q < K) class_mean b T q m = 1).
  { intros m Hm. unfold class_mean. simpl. rewrite sum_scal_l.
    rewrite (sum_ext K _ (fun q => ind (Nat.eqb q m)
        * (INR n / INR k - INR n * (1 - 1 / INR k) / (INR K - 1)) + INR n * (1 - 1 / INR k) / (INR K - 1))).
    - rewrite sum_plus, (sum_ind K (fun _ => INR n / INR k - INR n * (1 - 1 / INR k) / (INR K - 1)) m Hm),
        sum_const. field. lra.
    - intros q Hq. rewrite (target_sums _ T Top Tea Draws q m Hq Hm), (Nat.eqb_sym m q).
      destruct (Nat.eqb q m); simpl; ring. }
  assert (Margin : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i ->
    prediction b T 1 i (cls i) - prediction b T 1 i l = p_A b * (1 / INR k - T i l) + gap).
  { intros i l Hi Hl Ne. rewrite (linear_margin T 1 i l Hi Hl Col), !pow_1.
    rewrite (true_class_in _ T Top Tea i Hi). unfold gap.
    rewrite <- (target_gap _ T Top Tea Draws (cls i) l (cls_lt i Hi) Hl Ne). unfold class_mean. simpl. ring. }
  split; [apply Rmult_lt_0_compat; lra|]. split.
  - intros i l Hi Hl Ne. rewrite Margin by assumption.
    destruct (Top i Hi) as (Val & _). assert (Inv : 0 < 1 / INR k) by (apply Rdiv_lt_0_compat; lra).
    assert (0 <= p_A b * (1 / INR k - T i l)); [|lra].
    apply Rmult_le_pos; [lra|]. destruct (Val l Hl) as [->| ->]; lra.
  - (* k >= 2: another label is in the target of sample 0 *)
    destruct (Top 0%nat N_pos) as (Val & Sum & _). change (sum K (T 0%nat) = 1) in Sum.
    assert (Some : exists l, (l < K)%nat /\ l <> cls 0%nat /\ T 0%nat l = 1 / INR k).
    { assert (Hc := cls_lt 0%nat N_pos).
      assert (Pos : 0 < \sum_(l < K) (if Nat.eqb l (cls 0%nat) then 0 else T 0%nat l)).
      { rewrite (sum_ext K _ (fun l => T 0%nat l - ind (Nat.eqb l (cls 0%nat)) * T 0%nat l)).
        - rewrite sum_minus, Sum, (sum_ind K (T 0%nat) _ Hc), (true_class_in _ T Top Tea 0%nat N_pos).
          assert (Inv : 1 / INR k < 1).
          { apply Rmult_lt_reg_r with (INR k); [lra|]. replace (1 / INR k * INR k) with 1 by (field; lra). lra. }
          lra.
        - intros l _. destruct (Nat.eqb l (cls 0%nat)); simpl; ring. }
      apply sum_pos_term in Pos as (l & Hl & Pl). exists l.
      destruct (Nat.eqb_spec l (cls 0%nat)) as [|Ne]; [lra|].
      split; [exact Hl|]. split; [exact Ne|]. destruct (Val l Hl) as [Z|E]; [lra|exact E]. }
    destruct Some as (l & Hl & Ne & E). exists 0%nat, l. repeat split; trivial.
    rewrite Margin, E by assumption. ring.
Qed.

End Linear.

(** ** Exact softmax *)

Section Exact.

Variables (f : nat) (X : mat) (lam lam' : R) (W V T : mat).
Hypothesis lam_pos : 0 < lam.
Hypothesis lam'_pos : 0 < lam'.
(** Features of the same model, *)
Hypothesis features : forall i j, (i < N)%nat -> (j < N)%nat ->
  \sum_(q < f) (X i q * X j q) = class_gram cls c d i j.
(** an exact teacher W on the given labels, and an exact student V on T. *)
Hypothesis teacher_exact : head N f K X (one_hot y) lam W.
Hypothesis student_exact : head N f K X T lam' V.
Hypothesis top : top_targets N K k (predictions f K X W) T.
Hypothesis draws : alike N K cls y T.

Let G := class_gram cls c d.
Let Gpos := gram_positive N f X cls c d features.
Let Gker := gram_kernel N f X cls c d features.

Let gram_same pi sigma : permutes N pi -> permutes K sigma ->
  (forall i, (i < N)%nat -> cls (pi i) = sigma (cls i)) ->
  forall i j, (i < N)%nat -> (j < N)%nat -> G (pi i) (pi j) = G i j.
Proof.
  intros Hpi Hs Hc i j Hi Hj. unfold G, class_gram. rewrite !Hc by assumption.
  destruct (Nat.eqb_spec i j) as [->|Ne]; [now rewrite Nat.eqb_refl|].
  rewrite (proj2 (Nat.eqb_neq (pi i) (pi j))) by (intros A; apply Ne; now apply Hpi).
  destruct (Nat.eqb_spec (cls i) (cls j)) as [->|Nc]; [now rewrite Nat.eqb_refl|].
  rewrite (proj2 (Nat.eqb_neq _ _)); [reflexivity|]. intros A. apply Nc. apply Hs; auto.
Qed.

(** Logits of an exact head are the same after a renaming that leaves its targets alone. *)
Let head_same S la U pi sigma : 0 < la -> head N f K X S la U -> permutes N pi -> permutes K sigma ->
  (forall i, (i < N)%nat -> cls (pi i) = sigma (cls i)) -> same N K pi sigma S ->
  same N K pi sigma (logits f X U).
Proof.
  intros Hla HU Hpi Hs Hc HS.
  apply (solves_same N K G K_pos Gpos Gker pi sigma Hpi Hs (gram_same pi sigma Hpi Hs Hc)
    (INR N * la) S); trivial.
  - apply Rmult_lt_0_compat; assumption.
  - now apply head_solves.
Qed.

Let given_same pi sigma : permutes K sigma ->
  (forall i, (i < N)%nat -> y (pi i) = sigma (y i)) -> same N K pi sigma (one_hot y).
Proof.
  intros Hs Hy i l Hi Hl. unfold one_hot. rewrite Hy by exact Hi.
  destruct (Nat.eqb_spec (y i) l) as [->|Ne]; [now rewrite Nat.eqb_refl|].
  rewrite (proj2 (Nat.eqb_neq _ _)); [reflexivity|]. intros A. apply Ne. apply Hs; auto.
Qed.

(** Predictions are ordered as logits. *)
Let mono u a b : softmax K u a < softmax K u b <-> u a < u b.
Proof.
  unfold softmax. assert (Z := Rinv_0_lt_compat _ (exps_pos K K_pos u)). unfold Rdiv. split; intros H.
  - apply Rmult_lt_reg_r in H; [|exact Z]. now apply exp_lt_inv.
  - apply Rmult_lt_compat_r; [exact Z|]. now apply exp_increasing.
Qed.

(** For targets S whose sums and those of the predictions over all rows agree in all classes: with
    M the sum over class q of (S - P)_q - (S - P)_l,
    N lam (v_iq - v_il) = (1 - c)((S - P)_iq - (S - P)_il) + (c - d) M in the rows of class q. *)
Let class_equation S la U q l l' i : head N f K X S la U ->
  (l < K)%nat -> (l' < K)%nat -> (i < N)%nat -> cls i = q ->
  let R := fun i l => S i l - predictions f K X U i l in
  \sum_(j < N) R j l = \sum_(j < N) R j l' ->
  INR N * la * (logits f X U i l - logits f X U i l')
    = (1 - c) * (R i l - R i l')
      + (c - d) * (\sum_(j < N) (ind (Nat.eqb (cls j) q) * R j l) - \sum_(j < N) (ind (Nat.eqb (cls j) q) * R j l')).
Proof.
  intros HU Hl Hl' Hi Ci R Sums.
  assert (Sol := head_solves N f K X cls c d N_pos features S la U HU).
  rewrite Rmult_minus_distr_l, !Sol by assumption.
  assert (Row : forall m, \sum_(j < N) (class_gram cls c d i j * R j m)
    = (1 - c) * R i m + (c - d) * (\sum_(j < N) (ind (Nat.eqb (cls j) q) * R j m)) + d * \sum_(j < N) R j m).
  { intros m. rewrite (sum_ext N _ (fun j => ind (Nat.eqb j i) * ((1 - c) * R j m)
      + (c - d) * (ind (Nat.eqb (cls j) q) * R j m) + d * R j m)).
    - rewrite !sum_plus, (sum_ind N (fun j => (1 - c) * R j m) i Hi), !sum_scal_l. reflexivity.
    - intros j _. unfold class_gram. rewrite Ci, (Nat.eqb_sym i j), (Nat.eqb_sym q).
      destruct (Nat.eqb_spec j i) as [->|]; [rewrite Ci, Nat.eqb_refl; simpl; ring|].
      destruct (Nat.eqb (cls j) q); simpl; ring. }
  change (fun j => class_gram cls c d i j * (S j l - softmax K (logits f X U j) l))
    with (fun j => class_gram cls c d i j * R j l).
  change (fun j => class_gram cls c d i j * (S j l' - softmax K (logits f X U j) l'))
    with (fun j => class_gram cls c d i j * R j l').
  rewrite !Row, Sums. ring.
Qed.

(** Sums of residuals over all rows, and over a class for labels other than it, after renamings. *)
Let residual_sums S la U : 0 < la -> head N f K X S la U -> alike N K cls y S ->
  let R := fun i l => S i l - predictions f K X U i l in
  forall l l', (l < K)%nat -> (l' < K)%nat ->
  \sum_(j < N) R j l = \sum_(j < N) R j l'
  /\ forall q, (q < K)%nat -> l <> q -> l' <> q ->
     \sum_(j < N) (ind (Nat.eqb (cls j) q) * R j l) = \sum_(j < N) (ind (Nat.eqb (cls j) q) * R j l').
Proof.
  intros Hla HU HS R l l' Hl Hl'. assert (Hx := exchange_permutes K l l' Hl Hl').
  destruct (HS (exchange l l') Hx) as (pi & Hpi & E).
  assert (SS : same N K pi (exchange l l') S) by (intros i m Hi Hm; now apply (E i Hi)).
  assert (Sv := head_same S la U pi (exchange l l') Hla HU Hpi Hx (fun i Hi => proj1 (E i Hi)) SS).
  assert (SP : same N K pi (exchange l l') (predictions f K X U))
    by exact (softmax_same N K pi (exchange l l') Hx _ Sv).
  assert (SR : same N K pi (exchange l l') R) by (intros i m Hi Hm; unfold R; now rewrite SS, SP).
  split.
  - assert (A := same_sums N K pi (exchange l l') Hpi R l SR Hl). rewrite exchange_first in A. now symmetry.
  - intros q Hq Nl Nl'. symmetry.
    exact (class_sums R q l l' pi Hpi Hq Hl Hl' Nl Nl' (fun i Hi => proj1 (E i Hi)) SR).
Qed.

Let given_alike : alike N K cls y (one_hot y).
Proof.
  intros sigma Hs. destruct (draws sigma Hs) as (pi & Hpi & E). exists pi. split; [exact Hpi|].
  intros i Hi. destruct (E i Hi) as (A & B & _). split; [exact A|]. split; [exact B|]. intros l Hl.
  apply given_same; trivial. intros j Hj. now apply (E j Hj).
Qed.

Let P := predictions f K X W.
Let R i l := one_hot y i l - P i l.
Let v := logits f X W.

(** Rows of one true class and one given label are predicted alike. *)
Let kind_same i i' l : (i < N)%nat -> (i' < N)%nat -> (l < K)%nat ->
  cls i = cls i' -> y i = y i' -> v i l = v i' l.
Proof.
  intros Hi Hi' Hl Ec Ey.
  assert (Hr := exchange_permutes N i i' Hi Hi').
  assert (Id : permutes K (fun l => l)) by (split; [intros q Hq; exact Hq|intros q r _ _ A; exact A]).
  assert (Kind : forall g : nat -> nat, g i = g i' -> forall j, g (exchange i i' j) = g j).
  { intros g Eg j. unfold exchange. destruct (Nat.eqb_spec j i) as [->|]; [now rewrite Eg|].
    destruct (Nat.eqb_spec j i') as [->|]; [exact Eg|reflexivity]. }
  assert (S2 := head_same (one_hot y) lam W (exchange i i') (fun l => l) lam_pos teacher_exact Hr Id
    (fun j _ => Kind cls Ec j) (given_same _ _ Id (fun j _ => Kind y Ey j)) i l Hi Hl).
  rewrite exchange_first in S2. fold v in S2. now symmetry.
Qed.

(** In a row, labels that are neither the true class nor the given one tie. *)
Let others_tie i l l' : (i < N)%nat -> (l < K)%nat -> (l' < K)%nat ->
  l <> cls i -> l <> y i -> l' <> cls i -> l' <> y i -> v i l = v i l'.
Proof.
  intros Hi Hl Hl' Nl Ml Nl' Ml'. assert (Hx := exchange_permutes K l l' Hl Hl').
  destruct (given_alike (exchange l l') Hx) as (pi & Hpi & E).
  assert (S1 := head_same (one_hot y) lam W pi (exchange l l') lam_pos teacher_exact Hpi Hx
    (fun j Hj => proj1 (E j Hj)) (given_same pi _ Hx (fun j Hj => proj1 (proj2 (E j Hj)))) i l Hi Hl).
  rewrite exchange_first in S1. fold v in S1.
  destruct (E i Hi) as (Ec & Ey & _). rewrite exchange_fixed in Ec, Ey by auto.
  rewrite <- S1. apply kind_same; trivial. now apply Hpi.
Qed.

Let P_tie i l l' : v i l = v i l' -> P i l = P i l'.
Proof. intros E. unfold P, predictions, softmax. fold v. now rewrite E. Qed.

Let P_pos i l : 0 < P i l.
Proof. now apply softmax_pos. Qed.

Let P_sum i : sum K (P i) = 1.
Proof. now apply softmax_sum. Qed.

(** A clean row: its own label, and K - 1 others. *)
Let clean_row i o : (i < N)%nat -> (o < K)%nat -> y i = cls i -> o <> cls i ->
  P i (cls i) + (INR K - 1) * P i o = 1.
Proof.
  intros Hi Ho Ey No. apply eq_trans with (sum K (P i)); [symmetry|apply P_sum].
  rewrite (sum_ext K (P i) (fun l => ind (Nat.eqb l (cls i)) * (P i (cls i) - P i o) + P i o)).
  - rewrite sum_plus, (sum_ind K (fun _ => P i (cls i) - P i o) _ (cls_lt i Hi)), sum_const. ring.
  - intros l Hl. destruct (Nat.eqb_spec l (cls i)) as [->|Nl]; simpl; [ring|].
    rewrite (P_tie i l o); [ring|]. apply others_tie; trivial; congruence.
Qed.

(** A wrong row: the true class, the given label, and K - 2 others. *)
Let wrong_row i o : (i < N)%nat -> (o < K)%nat -> y i <> cls i -> o <> cls i -> o <> y i ->
  P i (cls i) + P i (y i) + (INR K - 2) * P i o = 1.
Proof.
  intros Hi Ho Ny No Mo. apply eq_trans with (sum K (P i)); [symmetry|apply P_sum].
  rewrite (sum_ext K (P i) (fun l => ind (Nat.eqb l (cls i)) * (P i (cls i) - P i o)
    + ind (Nat.eqb l (y i)) * (P i (y i) - P i o) + P i o)).
  - rewrite !sum_plus, (sum_ind K (fun _ => P i (cls i) - P i o) _ (cls_lt i Hi)),
      (sum_ind K (fun _ => P i (y i) - P i o) _ (y_lt i Hi)), sum_const. ring.
  - intros l Hl. destruct (Nat.eqb_spec l (cls i)) as [->|Nl].
    + rewrite (proj2 (Nat.eqb_neq (cls i) (y i))) by auto. simpl. ring.
    + destruct (Nat.eqb_spec l (y i)) as [->|Ml]; simpl; [ring|].
      rewrite (P_tie i l o); [ring|]. now apply others_tie.
Qed.

Let third a b : exists o, (o < K)%nat /\ o <> a /\ o <> b.
Proof.
  destruct (Nat.eq_dec 0 a) as [Ea|Na], (Nat.eq_dec 0 b) as [Eb|Nb].
  - exists 1%nat. lia.
  - destruct (Nat.eq_dec 1 b) as [|]; [exists 2%nat|exists 1%nat]; lia.
  - destruct (Nat.eq_dec 1 a) as [|]; [exists 2%nat|exists 1%nat]; lia.
  - exists 0%nat. lia.
Qed.

Let class_sum q l := \sum_(j < N) (ind (Nat.eqb (cls j) q) * R j l).

Let teacher_sums := residual_sums (one_hot y) lam W lam_pos teacher_exact given_alike.

(** Where M <= 0 the true class is predicted so little in wrong rows, *)
Let wrong_bound q o i0 i : (q < K)%nat -> (o < K)%nat -> o <> q ->
  class_sum q q - class_sum q o <= 0 ->
  (i0 < N)%nat -> cls i0 = q -> y i0 = q -> (i < N)%nat -> cls i = q -> y i <> q ->
  (INR K - 1) * P i q <= 1 - P i0 q.
Proof.
  intros Hq Ho0 No0 Mle Hi0 C0 Y0 Hi Ci Yi.
  destruct (third q (y i)) as (o' & Ho & No & Mo).
  assert (Mo' : class_sum q q - class_sum q o' <= 0).
  { destruct (teacher_sums o o' Ho0 Ho) as (_ & A). specialize (A q Hq No0 No).
    change (class_sum q o = class_sum q o') in A. lra. }
  assert (Hy := y_lt i Hi).
  assert (Eq : forall l l' j, (l < K)%nat -> (l' < K)%nat -> (j < N)%nat -> cls j = q ->
    INR N * lam * (v j l - v j l') = (1 - c) * (R j l - R j l') + (c - d) * (class_sum q l - class_sum q l')).
  { intros l l' j Hl Hl' Hj Cj. apply (class_equation (one_hot y) lam W q l l' j); trivial.
    apply (teacher_sums l l' Hl Hl'). }
  assert (Pa : 0 < INR N * lam) by (apply Rmult_lt_0_compat; assumption).
  assert (E1 := Eq q o' i Hq Ho Hi Ci). assert (E2 := Eq (y i) o' i Hy Ho Hi Ci).
  assert (E3 := Eq q o' i0 Hq Ho Hi0 C0).
  assert (Same : class_sum q (y i) = class_sum q o').
  { destruct (teacher_sums (y i) o' Hy Ho) as (_ & A). now apply A. }
  assert (H0 : forall j l, y j <> l -> one_hot y j l = 0)
    by (intros j l A; unfold one_hot; now rewrite (proj2 (Nat.eqb_neq (y j) l) A)).
  assert (H1 : forall j, one_hot y j (y j) = 1) by (intros j; unfold one_hot; now rewrite Nat.eqb_refl).
  unfold R in E1, E2, E3. rewrite (H0 i q), (H0 i o') in E1 by auto.
  rewrite (H1 i), (H0 i o') in E2 by auto.
  rewrite <- Y0 in E3 at 2. rewrite (H1 i0), (H0 i0 o') in E3 by congruence.
  assert (W1 := wrong_row i o' Hi Ho ltac:(congruence) ltac:(congruence) ltac:(auto)). rewrite Ci in W1.
  assert (W0 := clean_row i0 o' Hi0 Ho ltac:(congruence) ltac:(congruence)). rewrite C0 in W0.
  assert (P1 := P_pos i q). assert (P2 := P_pos i (y i)). assert (P3 := P_pos i o').
  assert (P4 := P_pos i0 q). assert (P5 := P_pos i0 o').
  assert (G0 : 0 <= (c - d) * - (class_sum q q - class_sum q o')) by (apply Rmult_le_pos; lra).
  (* the true class is not ahead of the others *)
  assert (A1 : P i q <= P i o').
  { apply Rnot_lt_le. intros A. assert (B : v i o' < v i q) by (apply (mono (v i) o' q); exact A).
    assert (0 < INR N * lam * (v i q - v i o')) by (apply Rmult_lt_0_compat; lra).
    assert (0 <= (1 - c) * (P i q - P i o')) by (apply Rmult_le_pos; lra). lra. }
  (* the given label is as high as the true class in a clean row *)
  assert (A2 : P i0 q <= P i (y i)).
  { apply Rnot_lt_le. intros A.
    assert (B : P i0 o' < P i o').
    { apply Rmult_lt_reg_l with (INR K - 1); [lra|]. lra. }
    assert (C : INR N * lam * (v i0 q - v i0 o') < INR N * lam * (v i (y i) - v i o')).
    { rewrite E2, E3, Same.
      assert (0 < (1 - c) * ((P i0 q - P i0 o') - (P i (y i) - P i o'))) by (apply Rmult_lt_0_compat; lra). lra. }
    apply Rmult_lt_reg_l in C; [|exact Pa].
    assert (D : P i (y i) * P i0 o' < P i0 q * P i o').
    { apply Rlt_trans with (P i0 q * P i0 o'); [now apply Rmult_lt_compat_r|now apply Rmult_lt_compat_l]. }
    unfold P, predictions, softmax in D. fold v in D.
    assert (Z := exps_pos K K_pos (v i)). assert (Z0 := exps_pos K K_pos (v i0)).
    set (z := \sum_(l < K) exp (v i l)) in *. set (z0 := \sum_(l < K) exp (v i0 l)) in *.
    assert (F : exp (v i (y i) + v i0 o') < exp (v i0 q + v i o')).
    { rewrite !exp_plus. apply Rmult_lt_reg_r with (/ (z * z0)).
      - apply Rinv_0_lt_compat, Rmult_lt_0_compat; assumption.
      - replace (exp (v i (y i)) * exp (v i0 o') * / (z * z0)) with (exp (v i (y i)) / z * (exp (v i0 o') / z0))
          by (field; lra).
        replace (exp (v i0 q) * exp (v i o') * / (z * z0)) with (exp (v i0 q) / z0 * (exp (v i o') / z))
          by (field; lra). exact D. }
    apply exp_lt_inv in F. lra. }
  assert (A3 : (INR K - 2) * P i q <= (INR K - 2) * P i o') by (apply Rmult_le_compat_l; lra). lra.
Qed.

(** which their number does not allow: M > 0. *)
Let teacher_excess q o : (q < K)%nat -> (o < K)%nat -> o <> q -> 0 < class_sum q q - class_sum q o.
Proof.
  intros Hq Ho No. apply Rnot_le_lt. intros Mle.
  (* a clean row *)
  assert (Eta : 0 <= eta / (INR K - 1)).
  { assert (A := noise q o Hq Ho ltac:(auto)).
    assert (B : 0 <= INR n * (eta / (INR K - 1))).
    { rewrite <- A. apply sum_nonneg. intros. apply Rmult_le_pos; apply ind_nonneg. }
    apply Rmult_le_reg_l with (INR n); [exact Pn|]. lra. }
  assert (Pos : 0 < \sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) q))).
  { rewrite clean_count by exact Hq. apply Rmult_lt_0_compat; lra. }
  apply sum_pos_term in Pos as (i0 & Hi0 & Pos).
  destruct (Nat.eqb_spec (cls i0) q) as [C0|], (Nat.eqb_spec (y i0) q) as [Y0|]; simpl in Pos; try lra.
  assert (W0 := clean_row i0 o Hi0 Ho ltac:(congruence) ltac:(congruence)). rewrite C0 in W0.
  assert (P5 := P_pos i0 o). assert (0 < (INR K - 1) * P i0 o) by (apply Rmult_lt_0_compat; lra).
  set (p := P i0 q) in *.
  (* the sum over the class is large *)
  assert (Low : (1 - p) * (INR n * (1 - eta) - INR n * eta / (INR K - 1)) <= class_sum q q).
  { replace ((1 - p) * (INR n * (1 - eta) - INR n * eta / (INR K - 1)))
      with ((\sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) q))) * (1 - p)
        - ((\sum_(i < N) ind (Nat.eqb (cls i) q))
             - (\sum_(i < N) (ind (Nat.eqb (cls i) q) * ind (Nat.eqb (y i) q))))
          * ((1 - p) / (INR K - 1))).
    2:{ rewrite clean_count, sizes by exact Hq. field. lra. }
    rewrite <- sum_minus, <- !sum_scal_r, <- sum_minus. unfold class_sum. apply sum_le. intros i Hi.
    destruct (Nat.eqb_spec (cls i) q) as [Ci|]; simpl; [|lra].
    unfold R, one_hot. destruct (Nat.eqb_spec (y i) q) as [Yi|Yi]; simpl.
    - assert (E : P i q = p); [|rewrite E; lra]. unfold p, P, predictions, softmax. fold v.
      rewrite (kind_same i i0 q) by (trivial; congruence). f_equal. apply sum_ext. intros l Hl.
      f_equal. apply kind_same; trivial; congruence.
    - assert (B := wrong_bound q o i0 i Hq Ho No Mle Hi0 C0 Y0 Hi Ci Yi). fold p in B.
      assert (P i q <= (1 - p) / (INR K - 1)); [|lra].
      apply Rmult_le_reg_l with (INR K - 1); [lra|].
      replace ((INR K - 1) * ((1 - p) / (INR K - 1))) with (1 - p) by (field; lra). exact B. }
  (* and that of the other labels is its opposite, shared out *)
  assert (Zero : \sum_(l < K) class_sum q l = 0).
  { unfold class_sum. rewrite sum_swap. apply sum_zero. intros i Hi. rewrite sum_scal_l. unfold R.
    rewrite sum_minus, P_sum.
    assert (O : \sum_(l < K) one_hot y i l = 1).
    { rewrite (sum_ext K _ (fun l => ind (Nat.eqb (y i) l) * 1)).
      - apply (sum_ind' K (fun _ => 1) (y i) (y_lt i Hi)).
      - intros l _. unfold one_hot. destruct (Nat.eqb (y i) l); simpl; ring. }
    change (sum K (one_hot y i) = 1) in O. rewrite O. ring. }
  rewrite (sum_ext K _ (fun l => ind (Nat.eqb l q) * (class_sum q q - class_sum q o) + class_sum q o)) in Zero.
  - rewrite sum_plus, (sum_ind K (fun _ => class_sum q q - class_sum q o) q Hq), sum_const in Zero.
    assert (G1 : 0 < (1 - p) * (INR n * (1 - eta) - INR n * eta / (INR K - 1))).
    { apply Rmult_lt_0_compat; [lra|].
      replace (INR n * (1 - eta) - INR n * eta / (INR K - 1)) with (INR n * (1 - eta - eta / (INR K - 1)))
        by (field; lra). apply Rmult_lt_0_compat; lra. }
    assert (Neg : class_sum q o < 0).
    { apply Rnot_le_lt. intros A. assert (0 <= (INR K - 1) * class_sum q o) by (apply Rmult_le_pos; lra). lra. }
    lra.
  - intros l Hl. destruct (Nat.eqb_spec l q) as [->|Nl]; simpl; [ring|].
    destruct (teacher_sums l o Hl Ho) as (_ & A). specialize (A q Hq Nl No).
    change (class_sum q l = class_sum q o) in A. rewrite A. ring.
Qed.

(** The exact teacher puts no label but the given one as high as the true class. *)
Lemma exact_teacher i l : (i < N)%nat -> (l < K)%nat -> l <> cls i -> l <> y i -> P i l < P i (cls i).
Proof.
  intros Hi Hl Nc Ny. apply (mono (v i) l (cls i)). apply Rnot_le_lt. intros A. assert (Hc := cls_lt i Hi).
  assert (B : P i (cls i) <= P i l).
  { apply Rnot_lt_le. intros B. assert (v i l < v i (cls i)) by (apply (mono (v i) l (cls i)); exact B). lra. }
  assert (E := class_equation (one_hot y) lam W (cls i) (cls i) l i teacher_exact Hc Hl Hi eq_refl
    (proj1 (teacher_sums (cls i) l Hc Hl))).
  assert (M := teacher_excess (cls i) l Hc Hl Nc). unfold class_sum, R in M. cbv beta zeta in E.
  change (predictions f K X W) with P in E. fold v in E.
  assert (Z : one_hot y i l = 0) by (unfold one_hot; rewrite (proj2 (Nat.eqb_neq (y i) l)) by auto; reflexivity).
  assert (O : 0 <= one_hot y i (cls i)) by (unfold one_hot; destruct (Nat.eqb (y i) (cls i)); lra).
  rewrite Z in E.
  assert (0 <= INR N * lam * (v i l - v i (cls i))).
  { apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; lra. }
  assert (0 <= (1 - c) * (one_hot y i (cls i) - P i (cls i) - (0 - P i l))) by (apply Rmult_le_pos; lra).
  match type of M with 0 < ?m => assert (0 < (c - d) * m) by (apply Rmult_lt_0_compat; lra) end. lra.
Qed.

(** The exact softmax student of an exact teacher is right on every sample, at every weight decay. *)
Theorem top_k_students_exact i l : (i < N)%nat -> (l < K)%nat -> l <> cls i ->
  predictions f K X V i l < predictions f K X V i (cls i).
Proof.
  intros Hi Hl Ne. set (q := cls i). assert (Hq : (q < K)%nat) by now apply cls_lt.
  set (P' := predictions f K X V). set (w := logits f X V).
  assert (Tea : forall i l, (i < N)%nat -> (l < K)%nat -> l <> cls i -> l <> y i -> P i l < P i (cls i))
    by exact exact_teacher.
  assert (Own := true_class_in P T top Tea).
  assert (Sums := residual_sums T lam' V lam'_pos student_exact draws q l Hq Hl).
  destruct Sums as (Sums & _).
  set (D := fun j => T j q - T j l). set (E := fun j => P' j q - P' j l).
  set (M := \sum_(j < N) (ind (Nat.eqb (cls j) q) * (D j - E j))).
  assert (Pa : 0 < INR N * lam') by (apply Rmult_lt_0_compat; assumption).
  assert (Eq : forall j, (j < N)%nat -> cls j = q ->
    INR N * lam' * (w j q - w j l) = (1 - c) * (D j - E j) + (c - d) * M).
  { intros j Hj Cj.
    assert (A := class_equation T lam' V q q l j student_exact Hq Hl Hj Cj Sums). cbv beta zeta in A.
    change (logits f X V) with w in A. change (predictions f K X V) with P' in A. rewrite A.
    rewrite <- sum_minus. unfold M, D, E. f_equal; [ring|]. f_equal. apply sum_ext. intros. ring. }
  assert (Dpos : forall j, (j < N)%nat -> cls j = q -> 0 <= D j).
  { intros j Hj Cj. unfold D. rewrite <- Cj, Own by exact Hj. destruct (top j Hj) as (Val & _).
    assert (Inv : 0 < 1 / INR k) by (apply Rdiv_lt_0_compat; lra). destruct (Val l Hl) as [->| ->]; lra. }
  assert (Sign : forall j, 0 < E j <-> 0 < w j q - w j l).
  { intros j. unfold E. assert (A := mono (w j) l q). change (softmax K (w j)) with (P' j) in A. lra. }
  assert (Tot : 0 < \sum_(j < N) (ind (Nat.eqb (cls j) q) * D j)).
  { assert (A := target_gap P T top Tea draws q l Hq Hl Ne). assert (B := gap_pos). rewrite <- A in B.
    rewrite <- sum_minus in B. apply Rmult_lt_reg_l with (/ INR n); [now apply Rinv_0_lt_compat|].
    rewrite Rmult_0_r. eapply Rlt_le_trans; [exact B|]. right. f_equal. apply sum_ext. intros. unfold D. ring. }
  assert (MPos : 0 < M).
  { apply Rnot_le_lt. intros Le.
    assert (G0 : 0 <= (c - d) * - M) by (apply Rmult_le_pos; lra).
    assert (Less : forall j, (j < N)%nat -> cls j = q -> E j <= D j).
    { intros j Hj Cj. apply Rnot_lt_le. intros A. assert (B := Dpos j Hj Cj).
      assert (0 < w j q - w j l) by (apply Sign; lra). assert (C := Eq j Hj Cj).
      assert (0 < INR N * lam' * (w j q - w j l)) by (apply Rmult_lt_0_compat; assumption).
      assert (0 <= (1 - c) * (E j - D j)) by (apply Rmult_le_pos; lra). lra. }
    assert (Terms : forall j, (j < N)%nat -> 0 <= ind (Nat.eqb (cls j) q) * (D j - E j)).
    { intros j Hj. destruct (Nat.eqb_spec (cls j) q) as [Cj|]; simpl; [|lra].
      assert (A := Less j Hj Cj). lra. }
    assert (M0 : M = 0) by (assert (A := sum_nonneg N _ Terms); unfold M in *; lra).
    assert (Nil : \sum_(j < N) (ind (Nat.eqb (cls j) q) * D j) = 0); [|lra].
    apply sum_zero. intros j Hj. assert (Z := sum_nonneg_zero N _ j Terms M0 Hj). cbv beta in Z.
    destruct (Nat.eqb_spec (cls j) q) as [Cj|]; simpl in *; [|ring].
    assert (C := Eq j Hj Cj). rewrite M0 in C.
    assert (DE : D j = E j) by lra. rewrite DE in C.
    assert (X0 : w j q - w j l = 0).
    { apply Rmult_eq_reg_l with (INR N * lam'); lra. }
    assert (Ee : E j <= 0).
    { apply Rnot_lt_le. intros A. apply Sign in A. lra. }
    assert (B := Dpos j Hj Cj). lra. }
  apply (mono (w i) l q). apply Rnot_le_lt. intros A.
  assert (NE : E i <= 0) by (apply Rnot_lt_le; intros B; apply Sign in B; lra).
  assert (B := Dpos i Hi eq_refl). assert (C := Eq i Hi eq_refl).
  assert (0 <= (1 - c) * (D i - E i)) by (apply Rmult_le_pos; lra).
  assert (0 < (c - d) * M) by (apply Rmult_lt_0_compat; lra).
  assert (0 <= INR N * lam' * (w i l - w i q)) by (apply Rmult_le_pos; lra). lra.
Qed.

End Exact.

End TopK.

(** mixture: one student with a mixed target forgets the own label, so that it is as good as
    infinitely many rounds. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** The mixed target xi P^(1) + (1 - xi) Y with xi = 1/(1 - p_A), and its student. *)
Definition mixed_target (b : block) (given : nat -> nat) (i l : nat) : R :=
  let xi := 1 / (1 - p_A b) in
  xi * prediction b (one_hot given) 1 i l + (1 - xi) * one_hot given i l.
Definition mixed_student (b : block) (given : nat -> nat) : nat -> nat -> R :=
  prediction b (mixed_target b given) 1.

(** With labels that are given equally often and stay inside superclasses: target and prediction
    are the same for all samples of a class, the target is a distribution, and every label is
    recovered <-> no label is wrong or Delta > 0. *)
(** Registry, mixture: with the target ξ P⁽¹⁾ + (1 − ξ) Y, ξ = 1/(1 − p_A): target and
    prediction are the same for all samples of a class, the target is a distribution, and every
    label is recovered ⇔ Δ > 0 or no label is wrong *)
Theorem mixture (b : block) (given : nat -> nat) :
  in_model b -> labels_exist b given -> balanced b given -> inside b given ->
  (forall i i' l, (i < n_samples b)%nat -> (i' < n_samples b)%nat -> (l < n_classes b)%nat ->
     true_class b i = true_class b i' ->
     mixed_target b given i l = mixed_target b given i' l /\
     mixed_student b given i l = mixed_student b given i' l) /\
  (forall i, (i < n_samples b)%nat ->
     (forall l, (l < n_classes b)%nat -> 0 <= mixed_target b given i l) /\
     sum (n_classes b) (mixed_target b given i) = 1) /\
  ((forall i, (i < n_samples b)%nat -> right b (mixed_student b given) i) <->
   no_label_wrong b given \/ exists Delta, least_difference b given Delta /\ Delta > 0).
Proof.
  intros (Sizes & Order & Hmu) Labels Balanced Inside.
  assert (Hn := n_pos b Sizes). assert (Hm := m_pos b Sizes). assert (HK := K_pos b Sizes).
  destruct (filters_in_order b Sizes Order Hmu) as (HA & HB & HC & HD & H1).
  set (xi := 1 / (1 - p_A b)).
  set (G := block_gram b). set (N := n_samples b). set (mu := scale b).
  assert (Sy : symmetric N G) by apply block_gram_symmetric.
  assert (Psd : psd N G) by (apply block_gram_psd; assumption).
  set (Y := one_hot given).
  assert (Xi : xi * p_A b + (1 - xi) = 0) by (unfold xi; field; lra).
  assert (Keep : forall p, p_A b <= p ->
            0 <= xi * p + (1 - xi) /\ (p_A b < p -> 0 < xi * p + (1 - xi))).
  { intros p Hp. replace (xi * p + (1 - xi)) with ((p - p_A b) / (1 - p_A b))
      by (unfold xi; field; lra).
    split.
    - apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra.
    - intros Hp'. apply Rdiv_lt_0_compat; lra. }
  (* the target, part by part *)
  assert (Target : forall i l, (i < N)%nat -> (l < n_classes b)%nat ->
    let k := true_class b i in
    mixed_target b given i l = 1 / INR (n_classes b)
      + (xi * p_B b + (1 - xi))
        * (share b given k l - ind (Nat.eqb (superclass b l) (superclass b k)) / INR (per_superclass b))
      + (xi * p_C b + (1 - xi))
        * (ind (Nat.eqb (superclass b l) (superclass b k)) / INR (per_superclass b)
           - 1 / INR (n_classes b))).
  { intros i l Hi Hl k. unfold mixed_target. fold xi Y.
    rewrite (prediction_averages b Sizes Order Hmu Y 1 i l Hi). fold k. unfold Y.
    rewrite (overall_balanced b given Sizes Balanced l Hl).
    rewrite (superclass_balanced b given Sizes Balanced Inside _ l Hl).
    fold (share b given k l). fold Y. rewrite !pow_1.
    assert (E : xi * p_A b * (Y i l - share b given k l)
                = (xi - 1) * (Y i l - share b given k l)).
    { replace (xi * p_A b) with (xi - 1) by lra. reflexivity. }
    unfold Rdiv in *. ring_simplify. ring_simplify in E. lra. }
  (* the student *)
  assert (Student : forall i l, (i < N)%nat ->
    mixed_student b given i l
    = xi * prediction b Y 2 i l + (1 - xi) * prediction b Y 1 i l).
  { intros i l Hi. unfold mixed_student, prediction at 1. cbn [filter_power].
    set (x := fun j => Y j l - 1 / INR (n_classes b)).
    fold N G mu.
    rewrite (filter_ext N G mu Sy Psd Hmu _ (fun j => xi * filter N G mu x j + (1 - xi) * x j)).
    - rewrite (filter_plus N G mu Sy Psd Hmu), !(filter_scal N G mu Sy Psd Hmu) by exact Hi.
      unfold prediction. cbn [filter_power]. fold N G mu x. ring.
    - intros j Hj. unfold mixed_target, prediction. cbn [filter_power]. fold N G mu Y x xi.
      unfold x. ring.
    - exact Hi. }
  set (f_B := xi * p_B b ^ 2 + (1 - xi) * p_B b).
  set (f_C := xi * p_C b ^ 2 + (1 - xi) * p_C b).
  assert (HfB : 0 < f_B).
  { unfold f_B. replace (xi * p_B b ^ 2 + (1 - xi) * p_B b) with (p_B b * (xi * p_B b + (1 - xi)))
      by ring. apply Rmult_lt_0_compat; [lra|]. apply (Keep (p_B b)); lra. }
  assert (HfC : f_B <= f_C).
  { unfold f_B, f_C.
    replace (xi * p_B b ^ 2 + (1 - xi) * p_B b) with (p_B b * (xi * p_B b + (1 - xi))) by ring.
    replace (xi * p_C b ^ 2 + (1 - xi) * p_C b) with (p_C b * (xi * p_C b + (1 - xi))) by ring.
    apply Rmult_le_compat; [lra|apply (Keep (p_B b)); lra|lra|].
    apply Rplus_le_compat_r, Rmult_le_compat_l; [|lra]. unfold xi.
    left. apply Rdiv_lt_0_compat; lra. }
  assert (Lead : forall i l, (i < N)%nat -> (l < n_classes b)%nat ->
    let k := true_class b i in
    mixed_student b given i k - mixed_student b given i l
    = f_B * (share b given k k - share b given k l)
      + (f_C - f_B)
        * ((1 - ind (Nat.eqb (superclass b l) (superclass b k))) / INR (per_superclass b))).
  { intros i l Hi Hl k. rewrite !Student by exact Hi.
    assert (E1 := lead_balanced b given Sizes Order Hmu Balanced Inside 1 i l Hi Hl).
    assert (E2 := lead_balanced b given Sizes Order Hmu Balanced Inside 2 i l Hi Hl).
    cbv zeta in E1, E2. fold k Y in E1, E2. rewrite !pow_1 in E1.
    transitivity (xi * (prediction b Y 2 i k - prediction b Y 2 i l)
                  + (1 - xi) * (prediction b Y 1 i k - prediction b Y 1 i l)); [ring|].
    rewrite E1, E2. unfold f_B, f_C.
    set (u := ind _ - ind _). set (w := share b given k k - share b given k l).
    set (z := (1 - ind _) / _).
    assert (Q : xi * (p_A b ^ 2 * u) + (1 - xi) * (p_A b * u) = 0).
    { transitivity (p_A b * u * (xi * p_A b + (1 - xi))); [ring|]. rewrite Xi. ring. }
    assert (Q' : xi * (p_A b ^ 2 * w) + (1 - xi) * (p_A b * w) = 0).
    { transitivity (p_A b * w * (xi * p_A b + (1 - xi))); [ring|]. rewrite Xi. ring. }
    lra. }
  split; [|split].
  - intros i i' l Hi Hi' Hl E.
    split; [rewrite (Target i l Hi Hl), (Target i' l Hi' Hl), E; reflexivity|].
    rewrite !Student by assumption.
    rewrite !(prediction_averages b Sizes Order Hmu Y) by assumption. rewrite <- E.
    set (k := true_class b i). rewrite !pow_1.
    assert (Q : forall v, xi * (p_A b ^ 2 * v) + (1 - xi) * (p_A b * v) = 0).
    { intros v. transitivity (p_A b * v * (xi * p_A b + (1 - xi))); [ring|]. rewrite Xi. ring. }
    assert (Q1 := Q (Y i l - class_mean b Y k l)). assert (Q2 := Q (Y i' l - class_mean b Y k l)).
    lra.
  - intros i Hi. set (k := true_class b i).
    assert (Hk : (k < n_classes b)%nat) by (apply Sizes, Hi).
    split.
    + intros l Hl. rewrite (Target i l Hi Hl). fold k.
      set (q := ind (Nat.eqb (superclass b l) (superclass b k)) / INR (per_superclass b)).
      assert (Hq : 0 <= q).
      { apply Rmult_le_pos; [apply ind_nonneg|left; apply Rinv_0_lt_compat, Hm]. }
      assert (Hs := share_nonneg b given Sizes k l).
      set (f := xi * p_B b + (1 - xi)). set (g := xi * p_C b + (1 - xi)).
      assert (Hf : 0 <= f) by (apply (Keep (p_B b)); lra).
      assert (Hxi : 0 < xi) by (apply Rdiv_lt_0_compat; lra).
      assert (Hfg : f <= g).
      { unfold f, g. apply Rplus_le_compat_r, Rmult_le_compat_l; lra. }
      assert (Hg : g <= 1).
      { unfold g. assert (xi * p_C b <= xi * 1) by (apply Rmult_le_compat_l; lra). lra. }
      assert (HK' : 0 < 1 / INR (n_classes b)) by (apply Rdiv_lt_0_compat; lra).
      assert (0 <= f * share b given k l) by (apply Rmult_le_pos; assumption).
      assert (0 <= (g - f) * q) by (apply Rmult_le_pos; lra).
      assert (0 <= (1 - g) * (1 / INR (n_classes b))) by (apply Rmult_le_pos; lra). lra.
    + rewrite (sum_ext _ _ _ (fun l Hl => Target i l Hi Hl)). cbv zeta. fold k.
      rewrite !sum_plus, !sum_scal_l, !sum_minus, !sum_const, sum_div.
      rewrite (share_row b given Sizes Labels k Hk).
      rewrite (count_superclass' b Sizes k Hk). field; repeat split; lra.
  - split.
    + intros H. destruct (least_difference_exists b given Sizes Labels) as [H'|(Delta & HL)];
        [left; exact H'|right]. exists Delta. split; [exact HL|].
      apply (least_difference_every b given Delta 0 HL).
      intros k k' Hk Hk' Hne Hs.
      destruct (share_sample b given Sizes k k' Hs) as (i & Hi & Ei & Eg).
      assert (R := H i Hi k' Hk' ltac:(congruence)). assert (E := Lead i k' Hi Hk').
      cbv zeta in E. rewrite Ei in E, R.
      destruct (Nat.eq_dec (superclass b k) (superclass b k')) as [Es|Es].
      * rewrite Es, Nat.eqb_refl in E. cbn [ind] in E. unfold Rdiv in E.
        assert (0 < f_B * (share b given k k - share b given k k')) by lra. nra.
      * rewrite (Inside k k' Hk Hk' Es) in Hs. lra.
    + intros H i Hi l Hl Hne. set (k := true_class b i).
      assert (Hk : (k < n_classes b)%nat) by (apply Sizes, Hi).
      assert (E := Lead i l Hi Hl). cbv zeta in E. fold k in E.
      assert (Bonus : 0 <= (f_C - f_B) * ((1 - ind (Nat.eqb (superclass b l) (superclass b k)))
                                          / INR (per_superclass b))).
      { apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, Hm].
        destruct (Nat.eqb (superclass b l) (superclass b k)); cbn; lra. }
      assert (Every : every_difference b given (fun x => x > 0)).
      { destruct H as [H|(Delta & HL & H)]; [apply none_wrong_every; assumption|].
        apply (least_difference_every b given Delta 0 HL), H. }
      assert (Hs := share_pos b given Sizes i Hi). fold k in Hs.
      assert (Own : 0 < share b given k k).
      { destruct (Nat.eq_dec (given i) k) as [E'|E']; [rewrite E' in Hs; exact Hs|].
        assert (Q := Every k (given i) Hk (Labels i Hi) E' Hs). cbv beta in Q. lra. }
      assert (Gap : 0 < share b given k k - share b given k l).
      { destruct (Rle_lt_dec (share b given k l) 0) as [Z|Z]; [lra|].
        exact (Every k l Hk Hl Hne Z). }
      assert (0 < f_B * (share b given k k - share b given k l)) by (apply Rmult_lt_0_compat; lra).
      lra.
Qed.

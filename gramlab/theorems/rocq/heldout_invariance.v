(** heldout-invariance: a new point of class k is given the commonest label of class k, in every
    round. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** The inner product of a new point of class k with sample i. *)
Definition new_gram (b : block) (k i : nat) : R :=
  if Nat.eqb (true_class b i) k then same_class b
  else if Nat.eqb (superclass b (true_class b i)) (superclass b k) then same_superclass b
  else elsewhere b.

(** p^(t)(x) = 1/K + g' (G + mu)^(-1) (P^(t-1) - 1/K), g the inner products of x with the samples:
    the prediction of the head of round t for a new point x of class k (W = X' alpha, with
    alpha = K (G + mu)^(-1) (P^(t-1) - 1/K), [closed_form_representer]). *)
Definition new_prediction (b : block) (Y : nat -> nat -> R) (t k l : nat) : R :=
  1 / INR (n_classes b) + dot (n_samples b) (new_gram b k)
    (resolvent (n_samples b) (block_gram b) (scale b)
       (fun j => prediction b Y (t - 1) j l - 1 / INR (n_classes b))).

(** With labels that are given equally often and stay inside superclasses: in every round
    t = 1, 2, ..., the labels of largest p^(t)(x) for a new x of class k are those of largest C_kl,
    ties included. *)
(** Registry, heldout-invariance: argmaxₗ p⁽ᵗ⁾(x)ₗ = argmaxₗ Cₖₗ  for every t ≥ 1 and every new
    x of class k, ties included *)
Theorem heldout_invariance (b : block) (given : nat -> nat) (t k l : nat) :
  in_model b -> labels_exist b given -> balanced b given -> inside b given ->
  (0 < t)%nat -> (k < n_classes b)%nat -> (l < n_classes b)%nat ->
  let p := new_prediction b (one_hot given) t k in
  (forall l', (l' < n_classes b)%nat -> p l' <= p l) <->
  (forall l', (l' < n_classes b)%nat -> share b given k l' <= share b given k l).
Proof.
  intros (Sizes & Order & Hmu) Labels Balanced Inside Ht Hk Hl p.
  assert (Hn := n_pos b Sizes). assert (Hm := m_pos b Sizes). assert (HK := K_pos b Sizes).
  destruct (eigenvalues_in_order b Sizes Order) as (SA & SB & SC & SD).
  set (G := block_gram b). set (N := n_samples b). set (mu := scale b). fold mu in Hmu.
  assert (Sy : symmetric N G) by apply block_gram_symmetric.
  assert (Psd : psd N G) by (apply block_gram_psd; assumption).
  set (Y := one_hot given).
  (* a sample of class k *)
  assert (Sample : exists i, (i < N)%nat /\ true_class b i = k).
  { assert (Q : 0 < sum N (fun i => ind (Nat.eqb (true_class b i) k))).
    { destruct Sizes as (_ & _ & _ & _ & H & _). unfold N. rewrite (H k Hk). exact Hn. }
    apply sum_pos_term in Q as (i & Hi & Q). exists i. split; [exact Hi|].
    destruct (Nat.eqb_spec (true_class b i) k); [assumption|cbn in Q; lra]. }
  destruct Sample as (i & Hi & Ei).
  (* its row of G is that of a new point but for the diagonal *)
  assert (Row : forall x, dot N (new_gram b k) x = mv N G x i - s_A b * x i).
  { intros x. rewrite <- (sum_ind' N x i Hi). unfold dot, mv.
    rewrite <- sum_scal_l, <- sum_minus. apply sum_ext. intros j Hj.
    unfold new_gram, G, block_gram, s_A. rewrite <- Ei.
    rewrite (Nat.eqb_sym (true_class b j)), (Nat.eqb_sym (superclass b (true_class b j))).
    destruct (Nat.eqb_spec i j) as [<-|_]; [rewrite Nat.eqb_refl|]; cbn [ind]; ring. }
  destruct t as [|t']; [lia|]. clear Ht.
  assert (Kept : forall q, p q - 1 / INR (n_classes b)
    = (prediction b Y (S t') i q - 1 / INR (n_classes b))
      - s_A b / mu * (prediction b Y t' i q - prediction b Y (S t') i q)).
  { intros q. unfold p, new_prediction. fold N G mu Y. replace (S t' - 1)%nat with t' by lia.
    set (x := fun j => prediction b Y t' j q - 1 / INR (n_classes b)).
    rewrite Row.
    assert (X : forall j, x j
                = filter_power N G mu t' (fun j => Y j q - 1 / INR (n_classes b)) j)
      by (intros j; unfold x, prediction; fold N G mu; ring).
    assert (F : filter N G mu x i = prediction b Y (S t') i q - 1 / INR (n_classes b)).
    { unfold prediction. fold N G mu. cbn [filter_power].
      rewrite (filter_ext N G mu Sy Psd Hmu _ _ (fun j _ => X j) i Hi). ring. }
    assert (R := resolvent_filter N G mu Sy Psd Hmu x i Hi).
    assert (R' := resolvent_spec N G mu Sy Psd Hmu x i Hi).
    rewrite F in R. unfold x at 2 in R.
    assert (R1 : resolvent N G mu x i
                 = / mu * (prediction b Y t' i q - prediction b Y (S t') i q)).
    { apply (Rmult_eq_reg_l mu); [|lra]. rewrite R. field. lra. }
    replace (mv N G (resolvent N G mu x) i) with (x i - mu * resolvent N G mu x i) by lra.
    rewrite R, R1. unfold x. field. lra. }
  (* what is kept of the parts: q = p^t (s - s_A)/s *)
  set (keep := fun s => (s / (s + mu)) ^ S t' * ((s - s_A b) / s)).
  assert (Keep : forall s, 0 < s -> (s / (s + mu)) ^ S t'
            - s_A b / mu * ((s / (s + mu)) ^ t' - (s / (s + mu)) ^ S t') = keep s).
  { intros s Hs. unfold keep. cbn [pow]. set (z := (s / (s + mu)) ^ t'). field. lra. }
  assert (KA : keep (s_A b) = 0) by (unfold keep; unfold Rdiv; ring).
  set (f_B := keep (s_B b)). set (f_C := keep (s_C b)).
  assert (HfB : 0 < f_B).
  { apply Rmult_lt_0_compat; [apply pow_lt|]; apply Rdiv_lt_0_compat; lra. }
  assert (HfC : f_B <= f_C).
  { assert (Pow := powers_in_order b Sizes Order Hmu (S t')).
    apply Rmult_le_compat.
    - left. apply pow_lt, Rdiv_lt_0_compat; lra.
    - left. apply Rdiv_lt_0_compat; lra.
    - apply (proj1 (proj2 (proj2 Pow))).
    - unfold Rdiv. rewrite !Rmult_minus_distr_r, !Rinv_r by lra.
      apply Rplus_le_compat_l, Ropp_le_contravar, Rmult_le_compat_l; [lra|].
      apply Rinv_le_contravar; lra. }
  assert (Diff : forall q r, (q < n_classes b)%nat -> (r < n_classes b)%nat ->
    p q - p r = f_B * (share b given k q - share b given k r)
      + (f_C - f_B) * ((ind (Nat.eqb (superclass b q) (superclass b k))
                        - ind (Nat.eqb (superclass b r) (superclass b k)))
                       / INR (per_superclass b))).
  { intros q r Hq Hr.
    assert (Eq : forall q, (q < n_classes b)%nat -> p q - 1 / INR (n_classes b)
      = keep (s_A b) * (Y i q - share b given k q)
      + f_B * (share b given k q - ind (Nat.eqb (superclass b q) (superclass b k))
                                   / INR (per_superclass b))
      + f_C * (ind (Nat.eqb (superclass b q) (superclass b k)) / INR (per_superclass b)
               - 1 / INR (n_classes b))).
    { clear q r Hq Hr. intros q Hq. rewrite Kept.
      rewrite !(prediction_averages b Sizes Order Hmu Y) by exact Hi. rewrite Ei.
      unfold Y.
      rewrite (overall_balanced b given Sizes Balanced q Hq).
      rewrite (superclass_balanced b given Sizes Balanced Inside _ q Hq).
      unfold f_B, f_C. rewrite <- !Keep by lra.
      change (s_A b / (s_A b + mu)) with (p_A b). change (s_B b / (s_B b + mu)) with (p_B b).
      change (s_C b / (s_C b + mu)) with (p_C b). unfold share, Rdiv. ring. }
    assert (E1 := Eq q Hq). assert (E2 := Eq r Hr). rewrite KA in E1, E2. unfold Rdiv in *. lra. }
  assert (Row1 := share_row b given Sizes Labels k Hk).
  assert (Positive : exists r, (r < n_classes b)%nat /\ 0 < share b given k r)
    by (apply sum_pos_term; rewrite Row1; lra).
  assert (Same : forall q, (q < n_classes b)%nat -> 0 < share b given k q ->
            superclass b q = superclass b k).
  { intros q Hq Hs. destruct (Nat.eq_dec (superclass b q) (superclass b k)) as [E|E]; [exact E|].
    rewrite (Inside k q Hk Hq ltac:(congruence)) in Hs. lra. }
  assert (Hinv : 0 < / INR (per_superclass b)) by (apply Rinv_0_lt_compat, Hm).
  destruct Positive as (r & Hr & Hrs).
  split.
  - intros H.
    assert (Sl : superclass b l = superclass b k).
    { destruct (Nat.eq_dec (superclass b l) (superclass b k)) as [E|E]; [exact E|exfalso].
      assert (Q := H r Hr). assert (D := Diff r l Hr Hl).
      rewrite (Same r Hr Hrs), Nat.eqb_refl, (proj2 (Nat.eqb_neq _ _) E) in D.
      rewrite (Inside k l Hk Hl ltac:(congruence)) in D. cbn [ind] in D.
      assert (0 < f_B * (share b given k r - 0)) by (apply Rmult_lt_0_compat; lra).
      assert (0 <= (f_C - f_B) * ((1 - 0) / INR (per_superclass b))).
      { apply Rmult_le_pos; [lra|]. unfold Rdiv. lra. }
      lra. }
    intros q Hq.
    destruct (Nat.eq_dec (superclass b q) (superclass b k)) as [E|E].
    + assert (Q := H q Hq). assert (D := Diff q l Hq Hl).
      rewrite Sl, E, Nat.eqb_refl in D. unfold Rdiv in D.
      assert (f_B * (share b given k q - share b given k l) <= 0) by lra. nra.
    + rewrite (Inside k q Hk Hq ltac:(congruence)). apply share_nonneg, Sizes.
  - intros H q Hq.
    assert (Sl : superclass b l = superclass b k).
    { apply Same; [exact Hl|]. assert (Q := H r Hr). lra. }
    assert (D := Diff q l Hq Hl). rewrite Sl, Nat.eqb_refl in D. cbn [ind] in D.
    assert (Q := H q Hq).
    assert (0 <= f_B * (share b given k l - share b given k q)) by (apply Rmult_le_pos; lra).
    assert (0 <= (f_C - f_B) * ((1 - ind (Nat.eqb (superclass b q) (superclass b k)))
                                / INR (per_superclass b))).
    { apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; [|lra].
      destruct (Nat.eqb (superclass b q) (superclass b k)); cbn; lra. }
    unfold Rdiv in *. lra.
Qed.

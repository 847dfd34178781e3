(** theory-is-near: how far exact rounds are from the linear theory at most, from weight decay, Gram
    matrix and targets alone. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import filters matrices softmax heads rounds total_weight_decay.
From Gramlab Require Import softmax_remainder error_recursion.
Open Scope R_scope.

(** A linear map of vectors by its values on the unit vectors. *)
Lemma linear_by_units N (T : (nat -> R) -> nat -> R) x i :
  (forall f g, (forall j, (j < N)%nat -> f j = g j) -> T f i = T g i) ->
  (forall f g, T (fun j => f j + g j) i = T f i + T g i) ->
  (forall a f, T (fun j => a * f j) i = a * T f i) ->
  T x i = \sum_(m < N) (x m * T (fun j => ind (Nat.eqb j m)) i).
Proof.
  intros Ext Plus Scal.
  assert (Sum : forall n, T (fun j => \sum_(m < n) (x m * ind (Nat.eqb j m))) i
                = \sum_(m < n) (x m * T (fun j => ind (Nat.eqb j m)) i)).
  { induction n as [|n IH]; cbn.
    - rewrite (Ext (fun _ => 0) (fun _ => 0 * 0)) by (intros; ring).
      rewrite (Scal 0 (fun _ => 0)). ring.
    - rewrite Plus, IH, Scal. reflexivity. }
  rewrite <- Sum. apply Ext. intros j Hj.
  rewrite (sum_ext N _ (fun m => ind (Nat.eqb j m) * x m)) by (intros; ring).
  symmetry. apply (sum_ind' N x j Hj).
Qed.

Section Near.
  Variables (N d K : nat) (X Y : mat) (lambda : R) (W : nat -> mat) (n : nat).
  Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : 0 < lambda).
  Hypothesis HY : sum_to_one N K Y.
  (** Rounds 1, ..., n are solved exactly at the weight decay lambda. *)
  Hypothesis Rounds : exact_rounds N d K X Y (fun _ => lambda) W n.

  Let mu := INR K * INR N * lambda.
  Let G := gram d X.
  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let HKr : 0 < INR K. Proof. apply lt_0_INR, HK. Qed.
  Let Hmu : 0 < mu. Proof. unfold mu. repeat apply Rmult_lt_0_compat; auto. Qed.
  Let Sy : symmetric N G := gram_symmetric N d X.
  Let Psd : psd N G := gram_psd N d X.

  Let E := error N d K X Y lambda W.
  Let Source := source N d K X Y lambda W.

  (** (h(G)^s (I + G/mu)^(-1))_im *)
  Definition entry (s i m : nat) : R :=
    filter_power N (gram d X) (INR K * INR N * lambda) s
      (damped N d K X lambda (fun j => ind (Nat.eqb j m))) i.

  (** b_i = |grad L(0)|^2 / (3 sqrt 3 lambda^2)
        times the sum over j = 1, ..., t of 1/j^2 times the sum over m of |entry_(t-j)| |x_m|^2 *)
  Definition near_bound (t i : nat) : R :=
    norm d K (start_gradient N d K X Y) ^ 2 / (3 * sqrt 3 * lambda ^ 2)
    * \sum_(j < t) (1 / INR (S j) ^ 2
        * \sum_(m < N) (Rabs (entry (t - S j) i m) * \sum_(a < d) (X m a * X m a))).

  Let targets_plain t : passed_on d K X Y W t = plain d K X Y W (S t).
  Proof. destruct t; reflexivity. Qed.

  Let zero_gradient t : (S t <= n)%nat -> forall a k, (a < d)%nat -> (k < K)%nat ->
    left_gradient N d K X Y lambda W (S t) a k = 0.
  Proof.
    intros Ht a k Ha Hk. unfold left_gradient. replace (S t - 1)%nat with t by lia.
    rewrite targets_plain.
    assert (H := proj1 (head_gradient N d K X _ lambda (W (S t))) (Rounds (S t) ltac:(lia))).
    exact (H a k Ha Hk).
  Qed.

  (** The rows of W sum to zero, so those of the logits do. *)
  Let logits_rows t i : (S t <= n)%nat -> sum K (logits d X (W (S t)) i) = 0.
  Proof.
    intros Ht. unfold logits. rewrite sum_swap. apply sum_zero. intros a Ha. rewrite sum_scal_l.
    assert (Z : lambda * sum K (fun k => W (S t) a k) = 0).
    { assert (G0 : sum K (fun k => left_gradient N d K X Y lambda W (S t) a k) = 0)
        by (apply sum_zero; intros; apply zero_gradient; assumption).
      set (mm := fun k => moment N X (predictions d K X (W (S t)) - passed_on d K X Y W (S t - 1))%M a k).
      assert (G1 : sum K mm + lambda * sum K (fun k => W (S t) a k) = 0)
        by (rewrite <- G0, <- sum_scal_l, <- sum_plus; reflexivity).
      assert (M : sum K mm = 0).
      { unfold mm, moment. rewrite sum_div, sum_swap, sum_zero; [unfold Rdiv; ring|]. intros i' Hi'.
        rewrite sum_scal_l. unfold sub. rewrite sum_minus.
        assert (S1 := predictions_sum N d K X HK (W (S t)) i' Hi').
        replace (S t - 1)%nat with t by lia.
        assert (S2 := plain_sum_to_one N d K X Y W (S t) HK HY i' Hi'). rewrite <- targets_plain in S2.
        transitivity (X i' a * (1 - 1)); [|ring]. f_equal. f_equal; [exact S1|exact S2]. }
      lra. }
    assert (Z' : sum K (fun k => W (S t) a k) = 0) by (apply (Rmult_eq_reg_l lambda); lra).
    transitivity (X i a * 0); [f_equal; exact Z'|ring].
  Qed.

  (** Of exact heads the source is the softmax remainder. *)
  Let source_remainder t i : (S t <= n)%nat -> (i < N)%nat ->
    \sum_(k < K) Rabs (Source (S t) i k) = remainder K (logits d X (W (S t)) i).
  Proof.
    intros Ht Hi. unfold remainder. apply sum_ext. intros k Hk. f_equal.
    unfold Source, source. rewrite (logits_rows t i Ht).
    assert (Z : logits d X (left_gradient N d K X Y lambda W (S t)) i k = 0).
    { unfold logits. apply sum_zero. intros a Ha. rewrite (zero_gradient t Ht a k Ha Hk). ring. }
    rewrite Z. unfold passed_on, predictions. unfold Rdiv. ring.
  Qed.

  (** osc(v)^2 <= 2 |x|^2 |W|^2 *)
  Let spread_bound V i lo hi : (lo < K)%nat -> (hi < K)%nat ->
    (logits d X V i hi - logits d X V i lo) ^ 2
    <= 2 * (\sum_(a < d) (X i a * X i a)) * norm d K V ^ 2.
  Proof.
    intros Hlo Hhi. rewrite norm_square.
    set (v := logits d X V i). set (x2 := \sum_(a < d) (X i a * X i a)).
    assert (Hx2 : 0 <= x2) by (apply sum_nonneg; intros; apply Rle_0_sqr).
    assert (Col : forall k, v k * v k <= x2 * \sum_(a < d) (V a k * V a k)).
    { intros k. assert (C := vectors.cauchy_schwarz d (X i) (fun a => V a k)).
      unfold dot, norm2 in C. exact C. }
    assert (Sq : \sum_(k < K) (v k * v k) <= x2 * inner d K V V).
    { unfold inner. rewrite sum_swap, <- sum_scal_l. apply sum_le. intros k _. apply Col. }
    assert (Bd : (v hi - v lo) ^ 2 <= 2 * \sum_(k < K) (v k * v k)).
    { assert (Two : v hi * v hi <= \sum_(k < K) (v k * v k) /\
                    (hi <> lo -> v hi * v hi + v lo * v lo <= \sum_(k < K) (v k * v k))).
      { split; [apply (sum_term_le K (fun k => v k * v k) hi Hhi); intros; apply Rle_0_sqr|].
        intros Ne. clear Sq Col. revert Hlo Hhi Ne. generalize K. intros K'.
        induction K' as [|K' IH]; intros Hlo Hhi Ne; [lia|]. simpl.
        assert (S := fun q Hq => sum_term_le K' (fun k => v k * v k) q Hq (fun q _ => Rle_0_sqr (v q))).
        cbv beta in S. assert (Z := Rle_0_sqr (v K')). unfold Rsqr in Z.
        destruct (Nat.eq_dec hi K') as [->|Nh].
        - assert (Q := S lo ltac:(lia)). lra.
        - destruct (Nat.eq_dec lo K') as [->|Nl].
          + assert (Q := S hi ltac:(lia)). lra.
          + assert (Q := IH ltac:(lia) ltac:(lia) Ne). lra. }
      destruct Two as (T1 & T2). set (s := \sum_(k < K) (v k * v k)) in *.
      replace ((v hi - v lo) ^ 2) with ((v hi - v lo) * (v hi - v lo)) by ring.
      destruct (Nat.eq_dec hi lo) as [Eq|Ne].
      - rewrite Eq in *. assert (Z := Rle_0_sqr (v lo)). unfold Rsqr in Z.
        replace ((v lo - v lo) * (v lo - v lo)) with 0 by ring. lra.
      - assert (Q := T2 Ne). assert (Z := Rle_0_sqr (v hi + v lo)). unfold Rsqr in Z. lra. }
    lra.
  Qed.

  Let c := norm d K (start_gradient N d K X Y).

  (** The remainder of row m in round j is at most |x_m|^2 |grad L(0)|^2 / (3 sqrt 3 lambda^2 j^2). *)
  Let remainder_bound t m : (S t <= n)%nat -> (m < N)%nat ->
    remainder K (logits d X (W (S t)) m)
    <= c ^ 2 / (3 * sqrt 3 * lambda ^ 2) * (1 / INR (S t) ^ 2 * \sum_(a < d) (X m a * X m a)).
  Proof.
    intros Ht Hm. set (v := logits d X (W (S t)) m). set (x2 := \sum_(a < d) (X m a * X m a)).
    assert (Hx2 : 0 <= x2) by (apply sum_nonneg; intros; apply Rle_0_sqr).
    assert (Hs : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
    assert (Ht' : 0 < INR (S t)) by (apply lt_0_INR; lia).
    (* the largest and the smallest logit *)
    assert (Ext : forall M, (0 < M)%nat -> exists lo hi, (lo < M)%nat /\ (hi < M)%nat /\
              forall l, (l < M)%nat -> v lo <= v l <= v hi).
    { induction M as [|M IH]; intros HM; [lia|].
      destruct M as [|M]; [exists 0%nat, 0%nat; repeat split; try lia;
        replace l with 0%nat by lia; apply Rle_refl|].
      destruct (IH ltac:(lia)) as (lo & hi & Hlo & Hhi & B).
      exists (if Rle_dec (v lo) (v (S M)) then lo else S M),
        (if Rle_dec (v (S M)) (v hi) then hi else S M).
      destruct (Rle_dec (v lo) (v (S M))), (Rle_dec (v (S M)) (v hi)); repeat split; try lia;
        destruct (Nat.eq_dec l (S M)) as [->|]; try lra; assert (Q := B l ltac:(lia)); lra. }
    destruct (Ext K HK) as (lo & hi & Hlo & Hhi & B).
    assert (O : osc K v (v hi - v lo)) by (exists lo, hi; auto).
    assert (R := proj1 softmax_remainder_sharp K v _ O).
    assert (Sp := spread_bound (W (S t)) m lo hi Hlo Hhi). fold v x2 in Sp.
    destruct (total_weight_decay N d K X Y (fun _ => lambda) W n HN HK (fun _ _ => Hl) Rounds (S t)
                ltac:(lia)) as (_ & _ & Wn).
    cbv zeta in Wn. fold c in Wn. unfold proximal.total in Wn. rewrite sum_const in Wn.
    assert (Hc : 0 <= c) by apply norm_nonneg.
    assert (Hw : 0 <= norm d K (W (S t))) by apply norm_nonneg.
    assert (W2 : norm d K (W (S t)) ^ 2 <= (c / (INR (S t) * lambda)) ^ 2) by (apply pow_incr; lra).
    assert (Q : (v hi - v lo) ^ 2 <= 2 * x2 * (c / (INR (S t) * lambda)) ^ 2).
    { eapply Rle_trans; [exact Sp|]. apply Rmult_le_compat_l; lra. }
    eapply Rle_trans; [exact R|]. apply (Rmult_le_reg_r (6 * sqrt 3)); [lra|].
    replace ((v hi - v lo) ^ 2 / (6 * sqrt 3) * (6 * sqrt 3)) with ((v hi - v lo) ^ 2) by (field; lra).
    replace (c ^ 2 / (3 * sqrt 3 * lambda ^ 2) * (1 / INR (S t) ^ 2 * x2) * (6 * sqrt 3))
      with (2 * x2 * (c / (INR (S t) * lambda)) ^ 2) by (field; repeat split; lra).
    exact Q.
  Qed.

  (** The error is a sum over rounds j and rows m. *)
  Let error_entries t i k : (i < N)%nat ->
    E t i k = \sum_(j < t) \sum_(m < N) (Source (S j) m k * entry (t - S j) i m).
  Proof.
    intros Hi. destruct (error_recursion N d K X Y lambda W HN HK Hl) as (_ & _ & Sum).
    unfold E. rewrite (Sum t i k Hi). apply sum_ext. intros j _.
    apply (linear_by_units N (fun f => filter_power N G mu (t - S j) (damped N d K X lambda f))
             (fun q => Source (S j) q k) i).
    - intros f g H. apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hi]. intros q Hq.
      unfold damped. f_equal. apply (resolvent_ext N G mu Sy Psd Hmu); assumption.
    - intros f g. rewrite <- (filter_power_plus N G mu Sy Psd Hmu) by exact Hi.
      apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hi]. intros q Hq. unfold damped.
      fold mu G. rewrite (resolvent_plus N G mu Sy Psd Hmu) by exact Hq. ring.
    - intros a f. rewrite <- (filter_power_scal N G mu Sy Psd Hmu) by exact Hi.
      apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hi]. intros q Hq. unfold damped.
      fold mu G. rewrite (resolvent_scal N G mu Sy Psd Hmu) by exact Hq. ring.
  Qed.

  (** |P_i^(t) - P_lin,i^(t)|_1 <= b_i; and where b_i is below the margin of P_lin,i^(t), both predict
      one class: the one that P_lin puts first is first in P^(t). *)
  Theorem theory_is_near t i : (1 <= t <= n)%nat -> (i < N)%nat ->
    \sum_(k < K) Rabs (predictions d K X (W t) i k - linear_prediction N d K X Y lambda t i k)
      <= near_bound t i /\
    forall l, (l < K)%nat ->
      (forall k, (k < K)%nat -> k <> l -> near_bound t i
         < linear_prediction N d K X Y lambda t i l - linear_prediction N d K X Y lambda t i k) ->
      forall k, (k < K)%nat -> k <> l ->
        predictions d K X (W t) i k < predictions d K X (W t) i l.
  Proof.
    intros Ht Hi.
    assert (Err : forall k, predictions d K X (W t) i k - linear_prediction N d K X Y lambda t i k = E t i k).
    { intros k. unfold E, error. destruct t; [lia|]. reflexivity. }
    assert (Bound : \sum_(k < K) Rabs (E t i k) <= near_bound t i).
    { apply Rle_trans with (\sum_(k < K) \sum_(j < t) \sum_(m < N)
        (Rabs (Source (S j) m k) * Rabs (entry (t - S j) i m))).
      - apply sum_le. intros k _. rewrite (error_entries t i k Hi).
        eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j _.
        eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros m _. rewrite Rabs_mult.
        apply Rle_refl.
      - rewrite sum_swap. unfold near_bound. rewrite <- sum_scal_l. apply sum_le. intros j Hj.
        rewrite sum_swap, <- !sum_scal_l. apply sum_le. intros m Hm.
        rewrite sum_scal_r, (source_remainder j m ltac:(lia) Hm).
        assert (R := remainder_bound j m ltac:(lia) Hm). fold c.
        set (x2 := \sum_(a < d) (X m a * X m a)) in *.
        apply Rle_trans with (c ^ 2 / (3 * sqrt 3 * lambda ^ 2) * (1 / INR (S j) ^ 2 * x2)
                              * Rabs (entry (t - S j) i m)).
        + apply Rmult_le_compat_r; [apply Rabs_pos|exact R].
        + right. ring. }
    split.
    - rewrite (sum_ext K _ (fun k => Rabs (E t i k))) by (intros; rewrite Err; reflexivity). exact Bound.
    - intros l Hl' Margin k Hk Hne. specialize (Margin k Hk Hne).
      assert (Two : Rabs (E t i k) + Rabs (E t i l) <= \sum_(k < K) Rabs (E t i k)).
      { clear Margin Bound Err. revert Hk Hl'. generalize K. intros K'.
        induction K' as [|K' IH]; intros Hk Hl'; [lia|]. simpl.
        assert (Z := Rabs_pos (E t i K')).
        assert (S := fun q Hq => sum_term_le K' (fun k => Rabs (E t i k)) q Hq (fun q _ => Rabs_pos (E t i q))).
        cbv beta in S. destruct (Nat.eq_dec k K') as [->|Nk].
        - assert (Q := S l ltac:(lia)). lra.
        - destruct (Nat.eq_dec l K') as [->|Nl].
          + assert (Q := S k ltac:(lia)). lra.
          + assert (Q := IH ltac:(lia) ltac:(lia)). lra. }
      assert (A1 := Rle_abs (E t i k)). assert (A2 := Rle_abs (- E t i l)). rewrite Rabs_Ropp in A2.
      assert (Ek := Err k). assert (El := Err l). lra.
  Qed.
End Near.

(** closed-form: the closed form of every round solves the linearized stationarity equations, and
    nothing else does. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters.
Open Scope R_scope.

Section ClosedForm.
  (** N rows of d features, K classes, targets Y whose rows sum to 1, weight decay. *)
  Variables (N d K : nat) (X Y : nat -> nat -> R) (lambda : R).
  Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : 0 < lambda).
  Hypothesis (HY : forall i, (i < N)%nat -> sum K (Y i) = 1).

  Let mu := INR K * INR N * lambda.
  Let G := gram d X.
  Let D (i k : nat) : R := Y i k - 1 / INR K.
  Let column (A : nat -> nat -> R) (k i : nat) : R := A i k.

  (** The linearized rounds: A_0 = D, and for t >= 1
      W_t = (1/(N lambda)) X' (A_(t-1) - A_t),  A_t = (1/K) (X W_t - its mean over classes). *)
  Definition linear_rounds (W A : nat -> nat -> nat -> R) : Prop :=
    (forall i k, (i < N)%nat -> (k < K)%nat -> A 0%nat i k = Y i k - 1 / INR K) /\
    (forall t j k, (j < d)%nat -> (k < K)%nat ->
       W (S t) j k = 1 / (INR N * lambda) * sum N (fun i => X i j * (A t i k - A (S t) i k))) /\
    (forall t i k, (i < N)%nat -> (k < K)%nat ->
       let logits l := sum d (fun j => X i j * W (S t) j l) in
       A (S t) i k = 1 / INR K * (logits k - sum K logits / INR K)).

  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let HKr : 0 < INR K. Proof. apply lt_0_INR, HK. Qed.
  Let Hmu : 0 < mu. Proof. unfold mu. apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat|]; auto. Qed.
  Let Sy : symmetric N G := gram_symmetric N d X.
  Let P : psd N G := gram_psd N d X.

  Let D_rows i : (i < N)%nat -> sum K (D i) = 0.
  Proof.
    intros Hi. unfold D. rewrite sum_minus, sum_const. specialize (HY i Hi).
    rewrite HY. field. lra.
  Qed.

  (** If the rows of both A_t and A_(t+1) sum to zero, so do those of the logits. *)
  Let logits_rows (B : nat -> nat -> R) (V : nat -> nat -> R) i :
    (forall q, (q < N)%nat -> sum K (B q) = 0) ->
    (forall j k, (j < d)%nat -> (k < K)%nat -> V j k = tmv N X (column B k) j) ->
    sum K (fun l => sum d (fun j => X i j * V j l)) = 0.
  Proof.
    intros HB HV. rewrite sum_swap. apply sum_zero. intros j Hj. rewrite sum_scal_l.
    rewrite (sum_ext K _ (fun k => sum N (fun q => X q j * B q k)))
      by (intros k Hk; apply HV; assumption).
    rewrite sum_swap, sum_zero; [ring|]. intros q Hq. rewrite sum_scal_l, HB by exact Hq. ring.
  Qed.

  (** Any features: A_t = h(G)^t D and W_t = K X' (G + mu)^(-1) h(G)^(t-1) D, and nothing else. *)
  Theorem closed_form_representer (W A : nat -> nat -> nat -> R) :
    linear_rounds W A <->
    (forall t i k, (i < N)%nat -> (k < K)%nat -> A t i k = filter_power N G mu t (column D k) i) /\
    (forall t j k, (j < d)%nat -> (k < K)%nat ->
       W (S t) j k
       = INR K * tmv N X (resolvent N G mu (filter_power N G mu t (column D k))) j).
  Proof.
    assert (Scale : / (INR N * lambda) = INR K / mu) by (unfold mu; field; lra).
    split.
    - intros (H0 & HW & HA).
      assert (Rows : forall t i, (i < N)%nat -> sum K (A t i) = 0).
      { intros [|t] i Hi.
        - rewrite (sum_ext K _ (D i)); [apply D_rows, Hi|]. intros. apply H0; assumption.
        - rewrite (sum_ext K _ _ (fun k Hk => HA t i k Hi Hk)). cbv zeta.
          rewrite sum_scal_l, sum_minus, sum_const. field. lra. }
      assert (Logits : forall t i k, (i < N)%nat -> (k < K)%nat ->
        INR K * A (S t) i k = sum d (fun j => X i j * W (S t) j k)).
      { intros t i k Hi Hk. rewrite (HA t i k Hi Hk). cbv zeta.
        rewrite (logits_rows
                   (fun q l => / (INR N * lambda) * (A t q l - A (S t) q l)) (W (S t)) i).
        - field. lra.
        - intros q Hq. rewrite sum_scal_l, sum_minus, !Rows by exact Hq. ring.
        - intros j l Hj Hl'. rewrite (HW t j l Hj Hl'). unfold tmv, column.
          rewrite <- sum_scal_l. apply sum_ext. intros. field. lra. }
      assert (Step : forall k, (k < K)%nat -> forall t i, (i < N)%nat ->
        mv N G (column (A (S t)) k) i + mu * column (A (S t)) k i = mv N G (column (A t) k) i).
      { intros k Hk t i Hi.
        assert (E : mu * A (S t) i k = mv N G (fun q => A t q k - A (S t) q k) i).
        { replace (mu * A (S t) i k) with (INR N * lambda * (INR K * A (S t) i k))
            by (unfold mu; ring).
          unfold G. rewrite Logits, mv_gram by assumption. unfold mv.
          rewrite <- sum_scal_l. apply sum_ext. intros j Hj. rewrite HW by assumption.
          unfold tmv. field. lra. }
        rewrite mv_minus in E. unfold column. lra. }
      assert (Closed : forall t i k, (i < N)%nat -> (k < K)%nat ->
                A t i k = filter_power N G mu t (column D k) i).
      { intros t i k Hi Hk.
        assert (F := proj1 (filter_recursion N G mu Sy P Hmu (fun t => column (A t) k)) (Step k Hk)).
        cbv beta in F. unfold column at 1 in F. rewrite F by exact Hi.
        apply filter_power_ext; try assumption. intros. apply H0; assumption. }
      split; [exact Closed|].
      intros t j k Hj Hk. rewrite HW by assumption. unfold tmv. rewrite <- !sum_scal_l.
      apply sum_ext. intros i Hi.
      set (b := filter_power N G mu t (column D k)).
      assert (E : mu * resolvent N G mu b i = A t i k - A (S t) i k).
      { rewrite !Closed by assumption. apply resolvent_filter; assumption. }
      rewrite <- E. unfold mu. field. lra.
    - intros (HA & HW).
      assert (Rows : forall t i, (i < N)%nat ->
                sum K (fun k => filter_power N G mu t (column D k) i) = 0).
      { induction t as [|t IH]; intros i Hi; [apply D_rows, Hi|]. cbn [filter_power].
        set (y k := filter_power N G mu t (column D k)).
        assert (Z : forall x, (forall q, (q < N)%nat -> mv N G x q + mu * x q = 0) ->
                    forall q, (q < N)%nat -> x q = 0).
        { intros x Hx. apply (shifted_injective N G mu P Hmu x (fun _ => 0)).
          intros q Hq. rewrite Hx by exact Hq. unfold mv. rewrite sum_zero; [ring|].
          intros. ring. }
        apply (Z (fun i => sum K (fun k => filter N G mu (y k) i))); [|exact Hi].
        intros q Hq. rewrite mv_sum, <- sum_scal_l, <- sum_plus.
        rewrite (sum_ext K _ (fun k => mv N G (y k) q))
          by (intros; apply filter_spec; assumption).
        rewrite <- mv_sum. unfold mv. apply sum_zero. intros. unfold y.
        rewrite IH by assumption. ring. }
      assert (Res : forall t i k, (i < N)%nat -> (k < K)%nat ->
        mu * resolvent N G mu (filter_power N G mu t (column D k)) i = A t i k - A (S t) i k).
      { intros t i k Hi Hk. rewrite !HA by assumption. apply resolvent_filter; assumption. }
      split; [|split].
      + intros i k Hi Hk. rewrite HA by assumption. reflexivity.
      + intros t j k Hj Hk. rewrite HW by assumption. unfold tmv. rewrite <- !sum_scal_l.
        apply sum_ext. intros i Hi. rewrite <- Res by assumption. unfold mu. field. lra.
      + intros t i k Hi Hk. cbv zeta.
        assert (Wz : forall l, (l < K)%nat ->
          sum d (fun j => X i j * W (S t) j l) = INR K * A (S t) i l).
        { intros l Hl'.
          rewrite (sum_ext d _ (fun j => INR K * (X i j *
             tmv N X (resolvent N G mu (filter_power N G mu t (column D l))) j)))
            by (intros j Hj; rewrite HW by assumption; ring).
          rewrite sum_scal_l. f_equal.
          change (sum d _) with
            (mv d X (tmv N X (resolvent N G mu (filter_power N G mu t (column D l)))) i).
          rewrite <- mv_gram. fold G. rewrite HA by assumption. cbn [filter_power].
          set (b := filter_power N G mu t (column D l)).
          assert (E : mv N G (resolvent N G mu b) i = b i - mu * resolvent N G mu b i).
          { rewrite <- (resolvent_spec N G mu Sy P Hmu b i Hi) at 1. ring. }
          rewrite E. unfold b at 2. rewrite Res, !HA by assumption. cbn. fold b. ring. }
        rewrite (sum_ext K _ _ Wz), sum_scal_l, (Wz k Hk).
        rewrite (sum_ext K (A (S t) i) (fun k => filter_power N G mu (S t) (column D k) i))
          by (intros; apply HA; assumption).
        rewrite Rows by exact Hi. field. lra.
  Qed.

  (** The rounds exist, and they are determined. *)
  Corollary closed_form_exists : exists W A, linear_rounds W A.
  Proof.
    exists (fun t j k => INR K * tmv N X (resolvent N G mu
              (filter_power N G mu (pred t) (column D k))) j),
      (fun t i k => filter_power N G mu t (column D k) i).
    apply closed_form_representer. split; reflexivity.
  Qed.

  Corollary closed_form_unique W A W' A' :
    linear_rounds W A -> linear_rounds W' A' ->
    (forall t i k, (i < N)%nat -> (k < K)%nat -> A t i k = A' t i k) /\
    (forall t j k, (j < d)%nat -> (k < K)%nat -> W (S t) j k = W' (S t) j k).
  Proof.
    intros H H'. apply closed_form_representer in H as (HA & HW).
    apply closed_form_representer in H' as (HA' & HW').
    split; intros; [rewrite HA, HA'|rewrite HW, HW']; reflexivity || assumption.
  Qed.

  (** The theorem as it is printed, with X = Z V' (V' V = 1, Z' Z = diag s):
      A_t = h(G)^t D  and  W_t = K V diag(s^(t-1)/(s + mu)^t) Z' D  for t = 1, 2, ... *)
  (** Registry, closed-form: Wₜ = 1/(Nλ) Xᵀ (Aₜ₋₁ − Aₜ), Aₜ = 1/K (XWₜ − X̅W̅ₜ̅), A₀ = D ⇔ Aₜ =
      h(G)ᵗ D, Wₜ = K V diag(sᵗ⁻¹/((s+μ)ᵗ)) Zᵀ D *)
  Theorem closed_form (p : nat) (Z V : nat -> nat -> R) (s : nat -> R) (W A : nat -> nat -> nat -> R) :
    svd N d p X Z V s ->
    linear_rounds W A <->
    (forall t i k, (i < N)%nat -> (k < K)%nat -> A t i k = filter_power N G mu t (column D k) i) /\
    (forall t j k, (j < d)%nat -> (k < K)%nat ->
       W (S t) j k = INR K * sum p (fun r =>
         V j r * (s r ^ t / (s r + mu) ^ S t * dot N (fun i => Z i r) (column D k)))).
  Proof.
    intros HS. rewrite closed_form_representer.
    assert (E : forall t j k, (j < d)%nat ->
      tmv N X (resolvent N G mu (filter_power N G mu t (column D k))) j
      = sum p (fun r => V j r * (s r ^ t / (s r + mu) ^ S t * dot N (fun i => Z i r) (column D k)))).
    { intros t j k Hj. rewrite (svd_tmv N d p X Z V s HS) by exact Hj.
      apply sum_ext. intros r Hr. unfold G.
      rewrite (svd_dot_resolvent N d p X Z V s mu HS Hmu),
        (svd_dot_filter_power N d p X Z V s mu HS Hmu) by exact Hr.
      assert (Q := svd_nonneg N d p X Z V s HS r Hr).
      unfold Rdiv. rewrite Rpow_mult_distr, pow_inv. cbn [pow].
      rewrite Rinv_mult; ring. }
    split; intros (HA & HW); (split; [exact HA|]); intros t j k Hj Hk; rewrite HW, E by assumption;
      reflexivity.
  Qed.
End ClosedForm.

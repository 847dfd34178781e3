(** Heads trained at 1 and read at tau: to first order each round's deviations shrink by 1/tau more. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import sums filters closed_form softmax existence.
Open Scope R_scope.

(** The first order of softmax(z / tau) at z = 0 is 1/K + (z - its mean over classes)/(K tau). *)
Theorem softmax_first_order K tau (z : nat -> R) k : (0 < K)%nat -> tau <> 0 -> (k < K)%nat ->
  softmax K (fun _ => 0) k = 1 / INR K /\
  derivable_pt_lim (fun s => softmax K (fun l => s * z l / tau) k) 0
    ((z k - sum K z / INR K) / (INR K * tau)).
Proof.
  intros HK Ht Hk. split; [apply softmax_of_zero|].
  assert (P : INR K <> 0) by (apply Rgt_not_eq, lt_0_INR, HK).
  assert (D := softmax_derivative K (fun _ => 0) (fun l => z l / tau) k 0 HK). cbv zeta in D.
  assert (E : forall l, softmax K (fun l => 0 + 0 * (z l / tau)) l = 1 / INR K).
  { intros l. rewrite <- (softmax_of_zero K l). unfold softmax. f_equal; [f_equal; ring|].
    apply sum_ext. intros. f_equal. ring. }
  rewrite E in D.
  rewrite (sum_ext K _ (fun l => z l * (/ tau * / INR K))) in D
    by (intros; rewrite E; field; split; assumption).
  rewrite sum_scal_r in D.
  replace ((z k - sum K z / INR K) / (INR K * tau))
    with (1 / INR K * (z k / tau - sum K z * (/ tau * / INR K))) by (field; split; assumption).
  apply heads.derivable_ext with (2 := D). intros s. unfold softmax. f_equal.
  - f_equal. field. assumption.
  - apply sum_ext. intros. f_equal. field. assumption.
Qed.

Section Reading.

Variables (N d K : nat) (X Y : nat -> nat -> R) (lambda tau : R).
Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : 0 < lambda) (Ht : 0 < tau).
Hypothesis HY : forall i, (i < N)%nat -> sum K (Y i) = 1.

Let mu := INR K * INR N * lambda.
Let G := gram d X.
Let D (i k : nat) : R := Y i k - 1 / INR K.

(** Linearized rounds of heads trained at 1 and read at tau: A_0 = D, and for t >= 1, with the logits
    Z_t = X W_t less their mean over classes,
    W_t = (1/(N lambda)) X' (A_(t-1) - Z_t / K),  A_t = Z_t / (K tau). *)
Definition centered (W : nat -> nat -> R) (i k : nat) : R :=
  let logits l := sum d (fun j => X i j * W j l) in logits k - sum K logits / INR K.

Definition read_rounds (W A : nat -> nat -> nat -> R) : Prop :=
  (forall i k, (i < N)%nat -> (k < K)%nat -> A 0%nat i k = Y i k - 1 / INR K) /\
  (forall t j k, (j < d)%nat -> (k < K)%nat ->
     W (S t) j k = 1 / (INR N * lambda)
       * sum N (fun i => X i j * (A t i k - centered (W (S t)) i k / INR K))) /\
  (forall t i k, (i < N)%nat -> (k < K)%nat ->
     A (S t) i k = centered (W (S t)) i k / (INR K * tau)).

Let centered_scale c W i k : centered (fun j l => c * W j l) i k = c * centered W i k.
Proof.
  unfold centered. rewrite Rmult_minus_distr_l. f_equal.
  - rewrite <- sum_scal_l. apply sum_ext. intros. ring.
  - unfold Rdiv. rewrite <- Rmult_assoc. f_equal. rewrite <- sum_scal_l. apply sum_ext.
    intros l _. rewrite <- sum_scal_l. apply sum_ext. intros. ring.
Qed.

(** P_tau^(t) - 1/K = tau^(-t) h(G)^t D, where h(G)^t D is P_1^(t) - 1/K, the same read at 1; so the
    order of the classes is the same in every row. *)
(** Registry, temperature-reading: P_τ⁽ᵗ⁾ − 1/K = τ⁻ᵗ h(G)ᵗ D = τ⁻ᵗ (P₁⁽ᵗ⁾ − 1/K),  argmax
    P_τ⁽ᵗ⁾ = argmax P₁⁽ᵗ⁾ *)
Theorem temperature_reading W A : read_rounds W A ->
  forall t i, (i < N)%nat ->
  (forall k, (k < K)%nat -> A t i k = / tau ^ t * filter_power N G mu t (fun q => D q k) i)
  /\ forall k l, (k < K)%nat -> (l < K)%nat ->
       (A t i k < A t i l <->
        filter_power N G mu t (fun q => D q k) i < filter_power N G mu t (fun q => D q l) i).
Proof.
  intros (H0 & HW & HA) t i Hi.
  assert (P : INR K <> 0) by (apply Rgt_not_eq, lt_0_INR, HK).
  assert (Pt : forall s, tau ^ s <> 0) by (intros; apply pow_nonzero; lra).
  assert (Main : forall k, (k < K)%nat ->
    A t i k = / tau ^ t * filter_power N G mu t (fun q => D q k) i).
  { intros k Hk.
    (* times tau^t they are the plain linear rounds *)
    assert (L : linear_rounds N d K X Y lambda (fun t j l => tau ^ pred t * W t j l)
      (fun t q l => tau ^ t * A t q l)).
    { split; [|split].
      - intros q l Hq Hk'. simpl. rewrite H0 by assumption. ring.
      - intros s j l Hj Hl'. simpl pred. rewrite HW by assumption.
        rewrite <- Rmult_assoc, (Rmult_comm (tau ^ s)), Rmult_assoc. f_equal.
        rewrite <- sum_scal_l. apply sum_ext. intros q Hq. rewrite HA by assumption.
        simpl. field. repeat split; try assumption; lra.
      - intros s q l Hq Hl'. simpl pred. cbv zeta.
        change (tau ^ S s * A (S s) q l = 1 / INR K * centered (fun j l => tau ^ s * W (S s) j l) q l).
        rewrite centered_scale, HA by assumption. simpl. field. repeat split; try assumption; lra. }
    apply (closed_form_representer N d K X Y lambda HN HK Hl HY) in L as (F & _).
    specialize (F t i k Hi Hk). cbv beta in F. unfold G, mu, D. rewrite <- F. field. apply Pt. }
  split; [exact Main|]. intros k l Hk Hl'. rewrite !Main by assumption.
  assert (Q : 0 < / tau ^ t) by (apply Rinv_0_lt_compat, pow_lt, Ht).
  split; intros Q'; [now apply Rmult_lt_reg_l with (/ tau ^ t)|now apply Rmult_lt_compat_l].
Qed.

End Reading.

(** P_tau^(t) - 1/K = tau^(-t) (P_1^(t) - 1/K) for rounds read at tau and rounds read at 1. *)
Theorem read_at_one (N d K : nat) (X Y : nat -> nat -> R) (lambda tau : R) :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lambda -> 0 < tau ->
  (forall i, (i < N)%nat -> sum K (Y i) = 1) -> forall W A V B,
  read_rounds N d K X Y lambda tau W A -> read_rounds N d K X Y lambda 1 V B ->
  forall t i, (i < N)%nat ->
  (forall k, (k < K)%nat -> A t i k = / tau ^ t * B t i k)
  /\ forall k l, (k < K)%nat -> (l < K)%nat -> (A t i k < A t i l <-> B t i k < B t i l).
Proof.
  intros HN HK Hl Ht HY W A V B HA HB t i Hi.
  destruct (temperature_reading N d K X Y lambda tau HN HK Hl Ht HY W A HA t i Hi) as (F & L).
  destruct (temperature_reading N d K X Y lambda 1 HN HK Hl Rlt_0_1 HY V B HB t i Hi) as (F' & L').
  split.
  - intros k Hk. rewrite F, F' by exact Hk. rewrite pow1, Rinv_1. ring.
  - intros k l Hk Hl'. rewrite (L k l Hk Hl'), (L' k l Hk Hl'). reflexivity.
Qed.

(** weak-to-strong: linearized rounds on features of their own are the filters of their Gram
    matrices, one after the other. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters.
Open Scope R_scope.

(** The filters of n rounds from round s on, the earliest first: round t has features X t of width
    d t, and the constant mu t. *)
Fixpoint after (N : nat) (d : nat -> nat) (X : nat -> nat -> nat -> R) (mu : nat -> R)
    (s n : nat) (y : nat -> R) : nat -> R :=
  match n with
  | O => y
  | S m => filter N (gram (d (s + m)%nat) (X (s + m)%nat)) (mu (s + m)%nat)
             (after N d X mu s m y)
  end.

Section WeakToStrong.
  (** N rows; features, width and weight decay of each round, counted from 0; K classes, targets Y
      whose rows sum to 1. *)
  Variables (N K : nat) (d : nat -> nat) (X : nat -> nat -> nat -> R) (lambda : nat -> R).
  Variable (Y : nat -> nat -> R).
  Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : forall t, 0 < lambda t).
  Hypothesis (HY : forall i, (i < N)%nat -> sum K (Y i) = 1).

  Let mu (t : nat) : R := INR K * INR N * lambda t.
  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let HKr : 0 < INR K. Proof. apply lt_0_INR, HK. Qed.
  Let Hmu t : 0 < mu t.
  Proof. unfold mu. apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat|]; auto. Qed.

  (** The linearized rounds: A_0 = Y - 1/K, and with X_t the features of the next round
      W_t = (1/(N lambda_t)) X_t' (A_t - A_(t+1)),
      A_(t+1) = (1/K) (X_t W_t - its mean over classes). *)
  Definition rounds_on (W A : nat -> nat -> nat -> R) : Prop :=
    (forall i k, (i < N)%nat -> (k < K)%nat -> A 0%nat i k = Y i k - 1 / INR K) /\
    (forall t j k, (j < d t)%nat -> (k < K)%nat ->
       W t j k = 1 / (INR N * lambda t) * sum N (fun i => X t i j * (A t i k - A (S t) i k))) /\
    (forall t i k, (i < N)%nat -> (k < K)%nat ->
       let logits l := sum (d t) (fun j => X t i j * W t j l) in
       A (S t) i k = 1 / INR K * (logits k - sum K logits / INR K)).

  Let rows W A : rounds_on W A -> forall t i, (i < N)%nat -> sum K (A t i) = 0.
  Proof.
    intros (H0 & HW & HA) [|t] i Hi.
    - rewrite (sum_ext K _ (fun k => Y i k - 1 / INR K)) by (intros; apply H0; assumption).
      rewrite sum_minus, sum_const, HY by exact Hi. field. lra.
    - rewrite (sum_ext K _ _ (fun k Hk => HA t i k Hi Hk)). cbv zeta.
      rewrite sum_scal_l, sum_minus, sum_const. field. lra.
  Qed.

  (** Their logits sum to 0 over classes, so that K A_(t+1) = X_t W_t. *)
  Let logits W A : rounds_on W A -> forall t i k, (i < N)%nat -> (k < K)%nat ->
    INR K * A (S t) i k = sum (d t) (fun j => X t i j * W t j k).
  Proof.
    intros H t i k Hi Hk. assert (Rows := rows W A H). destruct H as (H0 & HW & HA).
    assert (Z : sum K (fun l => sum (d t) (fun j => X t i j * W t j l)) = 0).
    { rewrite sum_swap. apply sum_zero. intros j Hj. rewrite sum_scal_l.
      rewrite (sum_ext K _ (fun l => 1 / (INR N * lambda t)
                 * sum N (fun q => X t q j * (A t q l - A (S t) q l))))
        by (intros; apply HW; assumption).
      rewrite sum_scal_l, (sum_swap K N), (sum_zero N); [ring|]. intros q Hq.
      rewrite sum_scal_l, sum_minus, !Rows by exact Hq. ring. }
    rewrite (HA t i k Hi Hk). cbv zeta. rewrite Z. field. lra.
  Qed.

  (** Registry, weak-to-strong: Wₜ = 1/(Nλₜ) Xₜᵀ (Aₜ₋₁ − Aₜ), Aₜ = 1/K (Xₜ Wₜ − X̅ₜ̅ ̅W̅ₜ̅), A₀
      = Y − 1/K,  so Aₜ = h_μₜ(Gₜ) ⋯ h_μ₁(G₁) A₀,  h_μ(s) = s/(s + μ) *)
  Theorem weak_to_strong (W A : nat -> nat -> nat -> R) :
    rounds_on W A ->
    forall t i k, (i < N)%nat -> (k < K)%nat ->
      A t i k = after N d X (fun s => INR K * INR N * lambda s) 0 t
                  (fun q => Y q k - 1 / INR K) i.
  Proof.
    intros H. assert (Logits := logits W A H). destruct H as (H0 & HW & HA).
    induction t as [|t IH]; intros i k Hi Hk; [apply H0; assumption|]. cbn [after Nat.add].
    assert (Sy := gram_symmetric N (d t) (X t)). assert (P := gram_psd N (d t) (X t)).
    rewrite <- (filter_ext N _ (mu t) Sy P (Hmu t) (fun q => A t q k))
      by (try exact Hi; intros; apply IH; assumption).
    apply (filter_unique N _ (mu t) Sy P (Hmu t) _ (fun q => A (S t) q k)); [|exact Hi].
    intros q Hq.
    assert (E : mu t * A (S t) q k
                = mv N (gram (d t) (X t)) (fun p => A t p k - A (S t) p k) q).
    { replace (mu t * A (S t) q k) with (INR N * lambda t * (INR K * A (S t) q k))
        by (unfold mu; ring).
      rewrite Logits, mv_gram by assumption. unfold mv. rewrite <- sum_scal_l.
      apply sum_ext. intros j Hj. rewrite HW by assumption. unfold tmv.
      specialize (Hl t). field. lra. }
    rewrite mv_minus in E. lra.
  Qed.
End WeakToStrong.

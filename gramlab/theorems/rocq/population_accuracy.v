(** population-accuracy: exactly when every training label, clean or wrong, is recovered. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** In the block model, with labels that are given equally often and stay inside superclasses, for
    every round t = 1, 2, ...:

      the largest entry of P_i^(t) is unique and the true class, for every sample i
      <->  C_kk - C_kk' > 1/(rho^t - 1) for all k' <> k with C_kk' > 0
      <->  no label is wrong, or Delta > 0 and t > ln(1 + 1/Delta)/ln rho,

    rho = p_B/p_A, Delta = min of C_kk - C_kk' over k' <> k with C_kk' > 0. *)
(** Registry, population-accuracy: argmax Pᵢ⁽ᵗ⁾ is unique and true for every i ⇔ Cₖₖ − Cₖₖ' >
    1/(ρᵗ − 1) for all k' ≠ k with Cₖₖ' > 0 ⇔ Δ > 0, t > ln(1 + 1/Δ)/(ln ρ) or no label is
    wrong;  ρ = p_B / p_A, Δ = min_(Cₖₖ' > 0) (Cₖₖ − Cₖₖ') *)
Theorem population_accuracy (b : block) (given : nat -> nat) (t : nat) :
  in_model b -> labels_exist b given -> balanced b given -> inside b given -> (0 < t)%nat ->
  (perfect b given t <->
   forall k k', (k < n_classes b)%nat -> (k' < n_classes b)%nat -> k' <> k ->
     0 < share b given k k' ->
     share b given k k - share b given k k' > 1 / (rho b ^ t - 1)) /\
  (perfect b given t <->
   no_label_wrong b given \/
   exists Delta, least_difference b given Delta /\
     Delta > 0 /\ INR t > ln (1 + 1 / Delta) / ln (rho b)).
Proof.
  intros (Sizes & Order & Hmu) Labels Balanced Inside Ht.
  assert (Acc := accuracy_condition b given Sizes Order Hmu Labels Balanced Inside t Ht).
  assert (Hrho := rho_gt_1 b Sizes Order Hmu).
  split; [exact Acc|]. rewrite Acc.
  assert (Hpow : 1 < rho b ^ t) by (apply Rlt_pow_R1; assumption).
  assert (Iff : forall Delta, Delta > 1 / (rho b ^ t - 1) <->
            Delta > 0 /\ INR t > ln (1 + 1 / Delta) / ln (rho b)).
  { intros Delta. rewrite threshold_power by exact Hpow.
    split; intros (HD & H); (split; [exact HD|]);
      apply (threshold_rounds (rho b) Delta t Hrho HD); exact H. }
  split.
  - intros H. destruct (least_difference_exists b given Sizes Labels) as [H'|(Delta & HD)].
    + left. exact H'.
    + right. exists Delta. split; [exact HD|]. apply Iff.
      apply (least_difference_every b given Delta (1 / (rho b ^ t - 1)) HD), H.
  - intros [H|(Delta & HD & H)].
    + apply none_wrong_every; assumption.
    + apply (least_difference_every b given Delta _ HD), Iff, H.
Qed.

(** label-averaging: every round replaces given labels by nested averages of them. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import block_model.
Open Scope R_scope.

(** For any given labels or targets Y (N rows of K numbers, balanced or not), any round t, sample i
    of class k in superclass s, and label l,

      P_i^(t) = 1/K + p_A^t (y_i - C_k) + p_B^t (C_k - C_s) + p_C^t (C_s - C) + p_D^t (C - 1/K),

    C_k, C_s and C the means of the rows of Y over the class, the superclass and all samples; and
    the weights p_A^t, p_B^t - p_A^t, p_C^t - p_B^t, p_D^t - p_C^t, 1 - p_D^t of y_i, C_k, C_s, C and
    1/K are nonnegative and sum to 1.

    [prediction] is 1/K + h(G)^t (Y - 1/K), the only solution of the rounds
    ([prediction_recursion]). *)
(** Registry, label-averaging: Pᵢ⁽ᵗ⁾ = 1/K + p_Aᵗ (yᵢ − Cₖ) + p_Bᵗ (Cₖ − C̄ₛ) + p_Cᵗ (C̄ₛ − C̄)
    + p_Dᵗ (C̄ − 1/K),  an average of yᵢ, Cₖ, C̄ₛ, C̄, 1/K with weights p_Aᵗ, p_Bᵗ − p_Aᵗ, p_Cᵗ
    − p_Bᵗ, p_Dᵗ − p_Cᵗ, 1 − p_Dᵗ ≥ 0 *)
Theorem label_averaging (b : block) (Y : nat -> nat -> R) (t i l : nat) :
  in_model b -> (i < n_samples b)%nat ->
  let K := INR (n_classes b) in
  let k := true_class b i in
  let C_k := class_mean b Y k l in
  let C_s := superclass_mean b Y (superclass b k) l in
  let C := overall_mean b Y l in
  let a := p_A b ^ t in let b' := p_B b ^ t in let c := p_C b ^ t in let d := p_D b ^ t in
  prediction b Y t i l
    = 1 / K + a * (Y i l - C_k) + b' * (C_k - C_s) + c * (C_s - C) + d * (C - 1 / K) /\
  prediction b Y t i l
    = a * Y i l + (b' - a) * C_k + (c - b') * C_s + (d - c) * C + (1 - d) * (1 / K) /\
  0 <= a /\ 0 <= b' - a /\ 0 <= c - b' /\ 0 <= d - c /\ 0 <= 1 - d /\
  a + (b' - a) + (c - b') + (d - c) + (1 - d) = 1.
Proof.
  intros (Sizes & Order & Hmu) Hi K k C_k C_s C a b' c d.
  assert (E := prediction_averages b Sizes Order Hmu Y t i l Hi).
  fold K k C_k C_s C a b' c d in E.
  destruct (powers_in_order b Sizes Order Hmu t) as (HA & HB & HC & HD & H1).
  fold a b' c d in HA, HB, HC, HD, H1.
  split; [exact E|]. split; [rewrite E; ring|]. repeat split; lra.
Qed.

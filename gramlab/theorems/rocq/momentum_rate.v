(** With momentum, rounds count quadratically. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds.
Open Scope R_scope.

(** P_0 = Y, P_t = softmax(X W_t) *)
Definition predicted (d K : nat) (X Y : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | O => Y
  | S _ => predictions d K X (W t)
  end.

(** T^(1) = Y, T^(t+1) = P_t + (t - 1)/(t + 2) (P_t - P_(t-1)) *)
Definition with_momentum (d K : nat) (X Y : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => let P := predicted d K X Y W in
      P (S s) + (INR (S s) - 1) / (INR (S s) + 2) * (P (S s) - P s)
  | _ => Y
  end.

(** For exact heads at one weight decay lam > 0 on these targets, with the mean entropy H_t of the
    predictions P_t,

      1/2 lam (t+1)^2 (ln K - H_t) + |X^T (P_(t-1) + (t+1)/2 (P_t - P_(t-1)) - 1/K) / N|^2
        <= |grad L(0)|^2,   so   ln K - H_t <= 2 |grad L(0)|^2 / (lam (t+1)^2).

    That rows of Y sum to 1 is not used. *)
(** Registry, momentum-rate: 1/2 λ (t+1)² (log K − H̄ₜ) + ‖1/N Xᵀ (Pₜ₋₁ + (t+1)/2 (Pₜ − Pₜ₋₁) −
    1/K)‖_F² ≤ ‖∇ L(0)‖_F²,  P₀ = Y,  so log K − H̄ₜ ≤ (2 ‖∇ L(0)‖_F²)/(λ (t+1)²) *)
Theorem momentum_rate N d K X Y lam W n :
  (0 < N)%nat -> (0 < K)%nat -> 0 < lam ->
  (forall t, (1 <= t <= n)%nat -> head N d K X (with_momentum d K X Y W t) lam (W t)) ->
  forall t, (1 <= t <= n)%nat ->
  let P := predicted d K X Y W in
  let c := norm d K (start_gradient N d K X Y) in
  1 / 2 * lam * (INR t + 1) ^ 2 * (ln (INR K) - H_bar N d K X (W t))
    + norm d K (moment N X (P (pred t) + (INR t + 1) / 2 * (P t - P (pred t)) - uniform K)) ^ 2
    <= c ^ 2
  /\ ln (INR K) - H_bar N d K X (W t) <= 2 * c ^ 2 / (lam * (INR t + 1) ^ 2).
Proof.
  intros HN HK Hl H t Ht P c.
  assert (V : forall s, meq d K (moment N X (P s)) (made (M N d K X) (moment N X Y) W s)).
  { intros [|s]; apply meq_refl. }
  assert (R : forall s, (1 <= s <= n)%nat ->
    meq d K (lam * W s + M N d K X (W s)) (given_momentum (M N d K X) (moment N X Y) W s)).
  { intros s Hs. apply (meq_trans d K _ _ _ (H s Hs)). destruct s as [|[|s]]; try apply meq_refl.
    unfold with_momentum, given_momentum. cbv zeta.
    intros j k Hj Hk. rewrite (moment_add N d K X) by assumption. unfold add.
    rewrite (moment_scale N d K X) by assumption. unfold scale.
    rewrite (moment_sub N d K X) by assumption. unfold sub.
    fold P. rewrite (V s) by assumption. reflexivity. }
  assert (A := run_momentum d K (M N d K X) (F N d K X) (F_tangent N d K X HN HK) lam
    (moment N X Y) W n Hl R t Ht). cbv zeta in A.
  rewrite start_gradient_moments, conjugate_entropy, conjugate_zero in A by assumption. fold c in A.
  replace (- H_bar N d K X (W t) - - ln (INR K)) with (ln (INR K) - H_bar N d K X (W t))
    in A by ring.
  assert (E : meq d K (moment N X (P (pred t) + (INR t + 1) / 2 * (P t - P (pred t)) - uniform K))
    (made (M N d K X) (moment N X Y) W (pred t) + (INR t + 1) / 2 *
       (made (M N d K X) (moment N X Y) W t - made (M N d K X) (moment N X Y) W (pred t))
     - M N d K X zero)).
  { intros j k Hj Hk. rewrite (moment_sub N d K X) by assumption. unfold sub at 1.
    rewrite (moment_add N d K X) by assumption. unfold add at 1.
    rewrite (moment_scale N d K X) by assumption. unfold scale at 1.
    rewrite (moment_sub N d K X) by assumption. unfold sub at 1.
    rewrite (V t), (V (pred t)) by assumption. rewrite <- (M_zero N d K X) by assumption.
    unfold add, sub, scale. reflexivity. }
  rewrite (norm_ext d K _ _ E), norm_square. split; [exact A|].
  assert (Q : 0 < lam * (INR t + 1) ^ 2).
  { apply Rmult_lt_0_compat; [assumption|]. apply pow_lt. assert (Z := pos_INR t). lra. }
  apply Rmult_le_reg_l with (lam * (INR t + 1) ^ 2); [assumption|].
  replace (lam * (INR t + 1) ^ 2 * (2 * c ^ 2 / (lam * (INR t + 1) ^ 2))) with (2 * c ^ 2)
    by (field; split; [assert (Z := pos_INR t)|]; lra).
  match type of A with ?a + ?b <= _ => assert (0 <= b) by apply inner_nonneg end. lra.
Qed.

(** polynomial-preconditioner: mixing k distillation steps multiplies ridge by a polynomial of degree
    k that is 1 at 1. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import filters.
Open Scope R_scope.

(** The coefficients: c_i = xi_k ... xi_(k-i+1) (1 - xi_(k-i)) for i < k, c_k = xi_1 ... xi_k.
    [last xi k i] is the product xi_k ... xi_(k-i+1) of the last i of k weights. *)
Fixpoint last (xi : nat -> R) (k i : nat) : R :=
  match i with O => 1 | S i => xi k * last xi (k - 1) i end.
Definition coefficient (xi : nat -> R) (k i : nat) : R :=
  if Nat.ltb i k then last xi k i * (1 - xi (k - i)%nat) else last xi k k.

(** Q_k(p) = sum of c_i p^i *)
Definition Q (xi : nat -> R) (k : nat) (p : R) : R := \sum_(i < S k) (coefficient xi k i * p ^ i).

(** One step more: Q_(k+1)(p) = (1 - xi_(k+1)) + xi_(k+1) p Q_k(p), coefficient by coefficient. *)
Lemma coefficient_0 xi k : coefficient xi (S k) 0 = 1 - xi (S k).
Proof. unfold coefficient. simpl. ring. Qed.

Lemma coefficient_S xi k i : (i <= k)%nat ->
  coefficient xi (S k) (S i) = xi (S k) * coefficient xi k i.
Proof.
  intros Hi. unfold coefficient.
  assert (E : (Nat.ltb (S i) (S k) = Nat.ltb i k)) by reflexivity. rewrite E.
  destruct (Nat.ltb i k).
  - cbn [last]. replace (S k - 1)%nat with k by lia. cbn [Nat.sub]. ring.
  - cbn [last]. replace (S k - 1)%nat with k by lia. reflexivity.
Qed.

Lemma Q_1 xi k : Q xi k 1 = 1.
Proof.
  induction k as [|k IH].
  - unfold Q, coefficient. simpl. ring.
  - unfold Q in *. rewrite sum_shift, coefficient_0.
    rewrite (sum_ext (S k) _ (fun i => xi (S k) * (coefficient xi k i * 1 ^ i)))
      by (intros i Hi; rewrite coefficient_S by lia; cbn; ring).
    rewrite sum_scal_l, IH. simpl. ring.
Qed.

Section Mixing.
  (** S_ any linear map of vectors; for ridge it is the filter, see below. *)
  Variables (N : nat) (S_ : (nat -> R) -> nat -> R).
  Hypothesis S_ext : forall x y, (forall i, (i < N)%nat -> x i = y i) ->
    forall i, (i < N)%nat -> S_ x i = S_ y i.
  Hypothesis S_plus : forall x y i, (i < N)%nat -> S_ (fun j => x j + y j) i = S_ x i + S_ y i.
  Hypothesis S_scal : forall a x i, (i < N)%nat -> S_ (fun j => a * x j) i = a * S_ x i.

  (** S^i x *)
  Fixpoint power (i : nat) (x : nat -> R) : nat -> R :=
    match i with O => x | S i => S_ (power i x) end.

  (** Q_k(S) x = sum of c_i S^i x *)
  Definition Q_of (xi : nat -> R) (k : nat) (x : nat -> R) (j : nat) : R :=
    \sum_(i < S k) (coefficient xi k i * power i x j).

  Let S_sum n (c : nat -> R) (f : nat -> nat -> R) i : (i < N)%nat ->
    S_ (fun j => \sum_(q < n) (c q * f q j)) i = \sum_(q < n) (c q * S_ (f q) i).
  Proof.
    intros Hi. induction n as [|n IH]; cbn.
    - rewrite (S_ext (fun _ => 0) (fun j => 0 * 0)) by (intros; try assumption; ring).
      rewrite (S_scal 0 (fun _ => 0) i Hi). ring.
    - rewrite S_plus, S_scal, IH by exact Hi. reflexivity.
  Qed.

  Lemma mixing (xi : nat -> R) (y : nat -> R) (z : nat -> nat -> R) :
    (forall i, (i < N)%nat -> z 0%nat i = S_ y i) ->
    (forall k i, (i < N)%nat ->
       z (S k) i = S_ (fun j => xi (S k) * z k j + (1 - xi (S k)) * y j) i) ->
    forall k i, (i < N)%nat -> z k i = Q_of xi k (S_ y) i.
  Proof.
    intros H0 H k. induction k as [|k IH]; intros i Hi.
    - rewrite H0 by exact Hi. unfold Q_of, coefficient. simpl. ring.
    - rewrite H by exact Hi. rewrite S_plus, !S_scal by exact Hi.
      rewrite (S_ext _ _ IH i Hi). unfold Q_of at 1.
      rewrite (S_sum (S k) (coefficient xi k) (fun q => power q (S_ y))) by exact Hi.
      unfold Q_of. rewrite (sum_shift (S k)), coefficient_0. cbn [power].
      rewrite (sum_ext (S k) (fun i0 => coefficient xi (S k) (S i0) * S_ (power i0 (S_ y)) i)
                 (fun q => xi (S k) * (coefficient xi k q * S_ (power q (S_ y)) i)))
        by (intros q Hq; rewrite coefficient_S by lia; ring).
      rewrite sum_scal_l. ring.
  Qed.
End Mixing.

(** For ridge with the smoother S = G (G + N lambda)^(-1) of any Gram matrix and any mixing weights:

      y_0 = S y,  y_i = S (xi_i y_(i-1) + (1 - xi_i) y)   gives   y_k = Q_k(S) S y,

    with Q_k(p) = sum over i < k of xi_k ... xi_(k-i+1) (1 - xi_(k-i)) p^i + xi_1 ... xi_k p^k, and
    Q_k(1) = 1. *)
(** Registry, polynomial-preconditioner: yₖ = Qₖ(S) S y,  Qₖ(p) = ∑_(i<k) ξₖ ⋯ ξₖ₋ᵢ₊₁ (1 − ξₖ₋ᵢ)
    pⁱ + ξ₁ ⋯ ξₖ pᵏ,  Qₖ(1) = 1 *)
Theorem polynomial_preconditioner (N : nat) (G : nat -> nat -> R) (lambda : R)
    (xi y : nat -> R) (z : nat -> nat -> R) (k : nat) :
  (0 < N)%nat -> symmetric N G -> psd N G -> 0 < lambda ->
  let smoother := filter N G (INR N * lambda) in
  (forall i, (i < N)%nat -> z 0%nat i = smoother y i) ->
  (forall k i, (i < N)%nat ->
     z (S k) i = smoother (fun j => xi (S k) * z k j + (1 - xi (S k)) * y j) i) ->
  (forall i, (i < N)%nat -> z k i = Q_of smoother xi k (smoother y) i) /\ Q xi k 1 = 1.
Proof.
  intros HN Sy Psd Hl smoother H0 H.
  assert (Hmu : 0 < INR N * lambda) by (apply Rmult_lt_0_compat; [apply lt_0_INR|]; assumption).
  split; [|apply Q_1].
  apply (mixing N smoother); try assumption; intros; unfold smoother;
    [apply filter_ext|apply filter_plus|apply filter_scal]; assumption.
Qed.

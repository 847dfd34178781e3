(** False: top-two rounds obey the laws of plain rounds. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
Open Scope R_scope.

(** Each of N rows of T is 1/2 on two labels, of which none is predicted lower by P than another. *)
Definition top_two (N K : nat) (P T : mat) : Prop :=
  forall i, (i < N)%nat -> exists a b, (a < K)%nat /\ (b < K)%nat /\ a <> b /\
    T i a = 1 / 2 /\ T i b = 1 / 2 /\
    forall l, (l < K)%nat -> l <> a -> l <> b -> T i l = 0 /\ P i l <= P i a /\ P i l <= P i b.

(** One row x = 1 with the target (1/2, 1/3, 1/6). *)
Definition X7 : mat := fun _ _ => 1.
Definition Y7 : mat := fun _ k => match k with O => 1 / 2 | 1%nat => 1 / 3 | 2%nat => 1 / 6 | _ => 0 end.
Definition T7 : mat := fun _ k => match k with O => 1 / 2 | 1%nat => 1 / 2 | _ => 0 end.

(** x = 1, targets (1/2, 1/3, 1/6), lam = 1: W_1 + W_2 is not X^T (Y - P_2)/N, since the second round is
    given (1/2, 1/2, 0) and no softmax is that. *)
(** Registry, top-two-laws, which is false: ∑ₛ λₛ Wₛ = 1/N Xᵀ (Y − Pₜ), ‖Wₜ‖ ≤ ‖Wₜ₋₁‖, H̄ₜ ≥
    H̄ₜ₋₁, and the head trained once at Λ lies in the ball over Wₜ and W̄ₜ *)
Theorem top_two_laws : ~ (forall N d K X Y lam W T n,
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> positive lam n -> T 1%nat = Y ->
  (forall t, (1 <= t)%nat -> (S t <= n)%nat -> top_two N K (predictions d K X (W t)) (T (S t))) ->
  (forall t, (1 <= t <= n)%nat -> head N d K X (T t) (lam t) (W t)) ->
  forall t, (1 <= t)%nat -> (S t <= n)%nat ->
  meq d K (spent lam W (S t)) (moment N X (Y - predictions d K X (W (S t))))
  /\ norm d K (W (S t)) <= norm d K (W t)
  /\ H_bar N d K X (W t) <= H_bar N d K X (W (S t))
  /\ forall V, head N d K X Y (total lam (S t)) V ->
       norm d K (V - (1 / 2) * (average lam W (S t) + W (S t)))
         <= 1 / 2 * norm d K (average lam W (S t) - W (S t))).
Proof.
  intros Claim.
  assert (N1 : (0 < 1)%nat) by lia. assert (K3 : (0 < 3)%nat) by lia. assert (L1 : 0 < 1) by lra.
  destruct (step_exists 1 1 3 X7 N1 K3 1 (moment 1 X7 Y7) L1) as [A HA].
  destruct (step_exists 1 1 3 X7 N1 K3 1 (moment 1 X7 T7) L1) as [B HB].
  set (W := fun t : nat => match t with 1%nat => A | _ => B end).
  set (T := fun t : nat => match t with 1%nat => Y7 | _ => T7 end).
  (* logits of the one row are the weights *)
  assert (Row : forall V k, logits 1 X7 V 0%nat k = V 0%nat k) by (intros; unfold logits, X7; simpl; ring).
  assert (Mom : forall S k, moment 1 X7 S 0%nat k = S 0%nat k) by (intros; unfold moment, X7; simpl; field).
  assert (Pred : forall V k, M 1 1 3 X7 V 0%nat k = predictions 1 3 X7 V 0%nat k) by (intros; apply Mom).
  assert (EA : forall k, (k < 3)%nat -> A 0%nat k + predictions 1 3 X7 A 0%nat k = Y7 0%nat k).
  { intros k Hk. assert (E := HA 0%nat k ltac:(lia) Hk). unfold add, scale in E.
    rewrite Pred, Mom in E. lra. }
  assert (EB : forall k, (k < 3)%nat -> B 0%nat k + predictions 1 3 X7 B 0%nat k = T7 0%nat k).
  { intros k Hk. assert (E := HB 0%nat k ltac:(lia) Hk). unfold add, scale in E.
    rewrite Pred, Mom in E. lra. }
  (* predictions are ordered as logits, and logits as targets *)
  assert (Mono : forall k l, A 0%nat k <= A 0%nat l -> predictions 1 3 X7 A 0%nat k <= predictions 1 3 X7 A 0%nat l).
  { intros k l H. unfold predictions, softmax. rewrite !Row. unfold Rdiv. apply Rmult_le_compat_r.
    - left. apply Rinv_0_lt_compat. now apply exps_pos.
    - destruct H as [H|H]; [left; now apply exp_increasing|right; now rewrite H]. }
  assert (Ord : forall k l, (k < 3)%nat -> (l < 3)%nat -> Y7 0%nat k < Y7 0%nat l -> A 0%nat k <= A 0%nat l).
  { intros k l Hk Hl H. apply Rnot_lt_le. intros C. assert (D := Mono l k (Rlt_le _ _ C)).
    assert (Ek := EA k Hk). assert (El := EA l Hl). lra. }
  assert (Top : top_two 1 3 (predictions 1 3 X7 A) T7).
  { intros i Hi. replace i with 0%nat by lia. exists 0%nat, 1%nat.
    repeat split; try lia; try reflexivity; destruct l as [|[|[|l]]]; try lia; try reflexivity;
      apply Mono, Ord; try lia; unfold Y7; lra. }
  assert (Sum : sum_to_one 1 3 Y7) by (intros i _; unfold Y7; simpl; field).
  destruct (Claim 1%nat 1%nat 3%nat X7 Y7 (fun _ => 1) W T 2%nat N1 K3 Sum (fun _ _ => L1) eq_refl) with (t := 1%nat)
    as (Tel & _); [|  |lia|lia|].
  - intros t Ht Hn. replace t with 1%nat by lia. exact Top.
  - intros t Ht. destruct t as [|[|[|t]]]; try lia; [exact HA|exact HB].
  - (* label 2: W_1 + W_2 = y - p_1 + 0 - p_2, but p_1 > 0 *)
    specialize (Tel 0%nat 2%nat ltac:(lia) ltac:(lia)). rewrite Mom in Tel.
    change (0 + 1 * A 0%nat 2%nat + 1 * B 0%nat 2%nat
      = Y7 0%nat 2%nat - predictions 1 3 X7 B 0%nat 2%nat) in Tel.
    assert (E1 := EA 2%nat ltac:(lia)). assert (E2 := EB 2%nat ltac:(lia)).
    assert (P := softmax_pos 3 K3 (logits 1 X7 A 0%nat) 2%nat).
    change (softmax 3 (logits 1 X7 A 0%nat) 2) with (predictions 1 3 X7 A 0%nat 2%nat) in P.
    change (B 0%nat 2%nat + predictions 1 3 X7 B 0%nat 2%nat = 0) in E2. lra.
Qed.

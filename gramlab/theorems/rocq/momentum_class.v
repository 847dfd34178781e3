(** False: with momentum a round may turn away from the class that every label names. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
From Gramlab Require Import momentum_rate rising_schedule.
Open Scope R_scope.

(** Two rows x = 1, all labels 0. *)
Definition X6 : mat := fun _ _ => 1.
Definition Y6 : mat := fun _ k => match k with O => 1 | _ => 0 end.

(** phi(w) = tanh(w/2), at most w/2 for w >= 0 *)
Lemma phi_ones w : 0 <= w -> 0 <= phi 2 X6 w <= w / 2.
Proof.
  intros Hw. assert (N2 : (0 < 2)%nat) by lia.
  split; [rewrite <- (phi_zero 2 X6); now apply phi_rises|].
  destruct Hw as [Hw|<-]; [|rewrite (phi_zero 2 X6); lra].
  destruct (MVT_cor2 (phi 2 X6) (slope 2 X6) 0 w Hw) as (c & E & _);
    [intros; now apply phi_derivative|].
  rewrite (phi_zero 2 X6), !Rminus_0_r in E. rewrite E.
  assert (S : slope 2 X6 c <= / 2).
  { unfold slope, X6. simpl. assert (P := pow2_ge_0 (sigma (1 * c) - / 2)). lra. }
  assert (slope 2 X6 c * w <= / 2 * w) by (apply Rmult_le_compat_r; lra). lra.
Qed.

(** x = 1 twice, label 0 of two classes, lam = 4: in round 3 the other class is the likelier. *)
(** Registry, momentum-class, which is false: every round with momentum predicts class 0 on
    every row *)
Theorem momentum_class : ~ (forall N K X lam W n,
  (0 < N)%nat -> (1 < K)%nat -> (forall i, (i < N)%nat -> 0 < X i 0%nat) -> 0 < lam ->
  (forall t, (1 <= t <= n)%nat -> head N 1 K X (with_momentum 1 K X Y6 W t) lam (W t)) ->
  forall t i l, (1 <= t <= n)%nat -> (i < N)%nat -> (0 < l < K)%nat ->
  logits 1 X (W t) i l < logits 1 X (W t) i 0%nat).
Proof.
  intros Claim.
  assert (L4 : 0 < 4) by lra. assert (N2 : (0 < 2)%nat) by lia.
  set (P := fun A => predictions 1 2 X6 A).
  destruct (step_exists 2 1 2 X6 N2 N2 4 (moment 2 X6 Y6) L4) as [A HA].
  set (T2 := (P A + (INR 1 - 1) / (INR 1 + 2) * (P A - Y6))%M).
  destruct (step_exists 2 1 2 X6 N2 N2 4 (moment 2 X6 T2) L4) as [B HB].
  set (T3 := (P B + (INR 2 - 1) / (INR 2 + 2) * (P B - P A))%M).
  destruct (step_exists 2 1 2 X6 N2 N2 4 (moment 2 X6 T3) L4) as [C HC].
  set (W := fun t => match t with 1%nat => A | 2%nat => B | _ => C end).
  assert (Rounds : forall t, (1 <= t <= 3)%nat -> head 2 1 2 X6 (with_momentum 1 2 X6 Y6 W t) 4 (W t)).
  { intros t Ht. destruct t as [|[|[|[|t]]]]; try lia; [exact HA|exact HB|exact HC]. }
  assert (F := Claim 2%nat 2%nat X6 4 W 3%nat N2 ltac:(lia) ltac:(intros; unfold X6; lra) L4 Rounds
    3%nat 0%nat 1%nat ltac:(lia) ltac:(lia) ltac:(lia)).
  unfold logits, X6, W in F. simpl in F.
  (* w and v = phi(w) of the rounds *)
  set (a := A 0%nat 0%nat - A 0%nat 1%nat). set (b := B 0%nat 0%nat - B 0%nat 1%nat).
  set (c := C 0%nat 0%nat - C 0%nat 1%nat).
  assert (Diff : forall V T, meq 1%nat 2%nat (4 * V + M 2 1 2 X6 V) (moment 2 X6 T) ->
    4 * (V 0%nat 0%nat - V 0%nat 1%nat) + phi 2 X6 (V 0%nat 0%nat - V 0%nat 1%nat)
    = moment 2 X6 T 0%nat 0%nat - moment 2 X6 T 0%nat 1%nat).
  { intros V T H. assert (E0 := H 0%nat 0%nat ltac:(lia) ltac:(lia)). assert (E1 := H 0%nat 1%nat ltac:(lia) ltac:(lia)).
    unfold add, scale in E0, E1. rewrite <- M_difference. lra. }
  assert (EA := Diff A Y6 HA). assert (EB := Diff B T2 HB). assert (EC := Diff C T3 HC).
  fold a in EA. fold b in EB. fold c in EC.
  assert (Pm : forall V, moment 2 X6 (P V) = M 2 1 2 X6 V) by reflexivity.
  assert (U1 : moment 2 X6 Y6 0%nat 0%nat - moment 2 X6 Y6 0%nat 1%nat = 1) by (unfold moment, X6, Y6; simpl; lra).
  assert (Lin : forall k, (k < 2)%nat -> moment 2 X6 T2 0%nat k = M 2 1 2 X6 A 0%nat k
    /\ moment 2 X6 T3 0%nat k = M 2 1 2 X6 B 0%nat k + / 4 * (M 2 1 2 X6 B 0%nat k - M 2 1 2 X6 A 0%nat k)).
  { intros k Hk. unfold T2, T3.
    rewrite !(moment_add 2 1 2 X6) by lia. unfold add.
    rewrite !(moment_scale 2 1 2 X6) by lia. unfold scale.
    rewrite !(moment_sub 2 1 2 X6) by lia. unfold sub. rewrite !Pm. simpl INR. split; field. }
  assert (U2 : moment 2 X6 T2 0%nat 0%nat - moment 2 X6 T2 0%nat 1%nat = phi 2 X6 a).
  { destruct (Lin 0%nat ltac:(lia)) as (-> & _). destruct (Lin 1%nat ltac:(lia)) as (-> & _). apply M_difference. }
  assert (U3 : moment 2 X6 T3 0%nat 0%nat - moment 2 X6 T3 0%nat 1%nat = phi 2 X6 b + / 4 * (phi 2 X6 b - phi 2 X6 a)).
  { destruct (Lin 0%nat ltac:(lia)) as (_ & ->). destruct (Lin 1%nat ltac:(lia)) as (_ & ->).
    unfold a, b. rewrite <- !M_difference. ring. }
  rewrite U1 in EA. rewrite U2 in EB. rewrite U3 in EC.
  assert (Sign : forall w, w <= 0 -> phi 2 X6 w <= 0).
  { intros w Hw. rewrite <- (phi_zero 2 X6). now apply phi_rises. }
  assert (Pa : 0 < a) by (apply Rnot_le_lt; intros H; assert (S := Sign a H); lra).
  destruct (phi_ones a (Rlt_le _ _ Pa)) as (Va & Ha).
  assert (Pb : 0 <= b).
  { apply Rnot_lt_le. intros H. assert (S := Sign b (Rlt_le _ _ H)). lra. }
  destruct (phi_ones b Pb) as (Vb & Hb).
  (* v_2 <= v_1 / 9, so that 5 v_2 < v_1 *)
  assert (Pc : 0 < c) by (unfold c; lra).
  destruct (phi_ones c (Rlt_le _ _ Pc)) as (Vc & _). lra.
Qed.

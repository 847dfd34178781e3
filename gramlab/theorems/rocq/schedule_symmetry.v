(** False: to exact heads the order of weight decays matters. *)

From Coq Require Import Reals Lra Lia List.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
From Gramlab Require Import chain_certificate intervals counterexamples.
Import ListNotations.
Open Scope R_scope.

Definition X5 := table [[1]; [1]].
Definition labels5 (i : nat) : nat := 0.
Definition up (t : nat) : R := match t with 1%nat => 1 | _ => 2 end.
Definition down (t : nat) : R := match t with 1%nat => 2 | _ => 1 end.

Definition Wup (t : nat) : mat := match t with
  | 1%nat => table [[3374158072 / 10 ^ 10; -3374158072 / 10 ^ 10]]
  | _ => table [[650519984 / 10 ^ 10; -650519984 / 10 ^ 10]]
  end.
Definition Wdown (t : nat) : mat := match t with
  | 1%nat => table [[2005290688 / 10 ^ 10; -2005290688 / 10 ^ 10]]
  | _ => table [[659931201 / 10 ^ 10; -659931201 / 10 ^ 10]]
  end.

Lemma up_pos t : 0 < up t. Proof. unfold up. destruct t as [|[|t]]; lra. Qed.
Lemma down_pos t : 0 < down t. Proof. unfold down. destruct t as [|[|t]]; lra. Qed.

Lemma residuals_up t j k : (1 <= t <= 2)%nat -> (j < 1)%nat -> (k < 2)%nat ->
  Rabs (residual 2 1 2 1 X5 (one_hot labels5) up Wup t j k) <= 1 / 10 ^ 8.
Proof.
  intros Ht Hj Hk. destruct t as [|[|[|t]]]; try lia; destruct j as [|j]; try lia;
    destruct k as [|[|k]]; try lia; unfold residual, X5, Wup, labels5, up; numbers; bounded.
Qed.

Lemma residuals_down t j k : (1 <= t <= 2)%nat -> (j < 1)%nat -> (k < 2)%nat ->
  Rabs (residual 2 1 2 1 X5 (one_hot labels5) down Wdown t j k) <= 1 / 10 ^ 8.
Proof.
  intros Ht Hj Hk. destruct t as [|[|[|t]]]; try lia; destruct j as [|j]; try lia;
    destruct k as [|[|k]]; try lia; unfold residual, X5, Wdown, labels5, down; numbers; bounded.
Qed.

Lemma entropy_near (W : nat -> mat) v lo hi :
  (forall k, (k < 2)%nat -> v k - 1 / 10 ^ 7 <= W 2%nat 0%nat k <= v k + 1 / 10 ^ 7) ->
  (forall a b, v 0%nat - 1 / 10 ^ 7 <= a <= v 0%nat + 1 / 10 ^ 7 ->
     v 1%nat - 1 / 10 ^ 7 <= b <= v 1%nat + 1 / 10 ^ 7 ->
     lo <= - (exp a / (exp a + exp b) * ln (exp a / (exp a + exp b))
              + exp b / (exp a + exp b) * ln (exp b / (exp a + exp b))) <= hi) ->
  lo <= H_bar 2 1 2 X5 (W 2%nat) <= hi.
Proof.
  intros H B. specialize (B _ _ (H 0%nat ltac:(lia)) (H 1%nat ltac:(lia))).
  set (a := W 2%nat 0%nat 0%nat) in *. set (b := W 2%nat 0%nat 1%nat) in *.
  unfold H_bar, mean_entropy, entropy, predictions, softmax, logits, X5, table.
  cbn -[Rplus Rmult Rminus Rdiv Ropp Rinv Rle Rlt IZR exp ln].
  fold a b. rewrite !Rplus_0_l, !Rmult_1_l.
  match goal with |- _ <= (?x + ?x) / _ <= _ => replace ((x + x) / (1 + 1)) with x by lra end.
  exact B.
Qed.

(** x = 1 twice, label 0, two classes: the mean entropy of rounds at lam = 1, 2 is above that at 2, 1. *)
(** Registry, schedule-symmetry, which is false: H̄ₜ at λ₁, …, λₜ is H̄ₜ at λₜ, …, λ₁ *)
Theorem schedule_symmetry : ~ (forall N d K X Y lam W W' n,
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> positive lam n ->
  exact_rounds N d K X Y lam W n ->
  exact_rounds N d K X Y (fun t => lam (S n - t)%nat) W' n ->
  H_bar N d K X (W n) = H_bar N d K X (W' n)).
Proof.
  intros Claim.
  destruct (rounds_exist 2 1 2 X5 ltac:(lia) ltac:(lia) (one_hot labels5) up up_pos) as [W [HW _]].
  destruct (rounds_exist 2 1 2 X5 ltac:(lia) ltac:(lia) (one_hot labels5) down down_pos) as [V [HV _]].
  assert (Sum : sum_to_one 2 2 (one_hot labels5)).
  { apply one_hot_sum. intros i _. unfold labels5. lia. }
  assert (HV' : exact_rounds 2 1 2 X5 (one_hot labels5) (fun t => up (3 - t)%nat) V 2).
  { intros t Ht. assert (E := HV 2%nat t Ht).
    replace (up (3 - t)%nat) with (down t); [exact E|].
    destruct t as [|[|[|t]]]; try lia; reflexivity. }
  assert (C := Claim 2%nat 1%nat 2%nat X5 (one_hot labels5) up W V 2%nat ltac:(lia) ltac:(lia) Sum
    (fun t _ => up_pos t) (HW 2%nat) HV').
  assert (A := two_rounds_near 2 1 2 X5 (one_hot labels5) up W Wup (1 / 10 ^ 8) ltac:(lia)
    ltac:(lia) (fun t _ => up_pos t) (HW 2%nat) ltac:(lra) residuals_up).
  assert (B := two_rounds_near 2 1 2 X5 (one_hot labels5) down V Wdown (1 / 10 ^ 8) ltac:(lia)
    ltac:(lia) (fun t _ => down_pos t) (HV 2%nat) ltac:(lra) residuals_down).
  assert (E1 : 6910300 / 10000000 <= H_bar 2 1 2 X5 (W 2%nat) <= 1).
  { apply (entropy_near W (Wup 2%nat 0%nat)).
    - intros k Hk. apply within. destruct (A 0%nat k ltac:(lia) Hk) as [_ E]. simpl up in E.
      simpl INR in E. lra.
    - intros a b Ha Hb. unfold Wup, table in Ha, Hb. simpl nth in Ha, Hb. split; bounded. }
  assert (E2 : 0 <= H_bar 2 1 2 X5 (V 2%nat) <= 6909900 / 10000000).
  { apply (entropy_near V (Wdown 2%nat 0%nat)).
    - intros k Hk. apply within. destruct (B 0%nat k ltac:(lia) Hk) as [_ E]. simpl down in E.
      simpl INR in E. lra.
    - intros a b Ha Hb. unfold Wdown, table in Ha, Hb. simpl nth in Ha, Hb. split; bounded. }
  lra.
Qed.

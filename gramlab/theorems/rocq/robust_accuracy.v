(** robust-accuracy: how many rows can be wrong on features whose Gram matrix is near one that gets
    all rows right. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters perturbation.
Open Scope R_scope.

(** P^(t) = 1/K + h(G)^t (Y - 1/K) with one-hot given labels Y *)
Definition predicted (N K : nat) (G : nat -> nat -> R) (mu : R) (given : nat -> nat) (t i l : nat) : R :=
  1 / INR K + filter_power N G mu t (fun j => ind (Nat.eqb (given j) l) - 1 / INR K) i.

Lemma two_squares K (w : nat -> R) a b : (a < K)%nat -> (b < K)%nat -> a <> b ->
  w a * w a + w b * w b <= \sum_(k < K) (w k * w k).
Proof.
  intros Ha Hb Ne. induction K as [|K IH]; [lia|]. simpl.
  assert (Z := Rle_0_sqr (w K)). unfold Rsqr in Z.
  assert (S := fun i Hi => sum_term_le K (fun k => w k * w k) i Hi (fun i _ => Rle_0_sqr (w i))).
  cbv beta in S. destruct (Nat.eq_dec a K) as [->|Na].
  - assert (Q := S b ltac:(lia)). lra.
  - destruct (Nat.eq_dec b K) as [->|Nb].
    + assert (Q := S a ltac:(lia)). lra.
    + assert (Q := IH ltac:(lia) ltac:(lia)). lra.
Qed.

(** If with the Gram matrix B every row is right in round t, with margin gamma > 0 at least, then of
    the rows of features with the Gram matrix G (same labels) the share that is not right, ties
    included, is at most

      2 (1 - 1/K) (min(1, kappa_t |G - B|/mu) / gamma)^2. *)
Theorem robust_accuracy (N K : nat) (G B : nat -> nat -> R) (mu kappa_t delta gamma : R) (t : nat)
    (given truth : nat -> nat) (wrong : nat -> bool) :
  (0 < N)%nat -> symmetric N G -> psd N G -> symmetric N B -> psd N B -> 0 < mu ->
  kappa t kappa_t -> norm_at_most N (mv N (fun i j => G i j - B i j)) delta ->
  (forall i, (i < N)%nat -> (given i < K)%nat /\ (truth i < K)%nat) ->
  0 < gamma ->
  (forall i l, (i < N)%nat -> (l < K)%nat -> l <> truth i ->
     predicted N K B mu given t i (truth i) - predicted N K B mu given t i l >= gamma) ->
  (forall i, (i < N)%nat -> wrong i = true -> exists l, (l < K)%nat /\ l <> truth i /\
     predicted N K G mu given t i (truth i) <= predicted N K G mu given t i l) ->
  sum N (fun i => ind (wrong i)) / INR N
  <= 2 * (1 - 1 / INR K) * (Rmin 1 (kappa_t * delta / mu)) ^ 2 / gamma ^ 2.
Proof.
  intros HN Sy P Sy' P' Hmu Hk Hd Labels Hg Margin Wrong.
  set (rho := Rmin 1 (kappa_t * delta / mu)).
  destruct (perturbation_bound N G B mu kappa_t delta t Sy P Sy' P' Hmu Hk Hd) as (Hrho & Norm).
  fold rho in Hrho, Norm.
  set (D := fun l j => ind (Nat.eqb (given j) l) - 1 / INR K).
  set (E := fun i l => predicted N K G mu given t i l - predicted N K B mu given t i l).
  assert (HNr : 0 < INR N) by (apply lt_0_INR, HN).
  assert (HKr : 0 < INR K).
  { apply lt_0_INR. destruct (Labels 0%nat HN). lia. }
  (* |D|^2 = N (1 - 1/K) *)
  assert (ND : sum K (fun l => norm2 N (D l)) = INR N * (1 - 1 / INR K)).
  { unfold norm2, dot. rewrite sum_swap.
    rewrite (sum_ext N _ (fun _ => 1 - 1 / INR K)); [apply sum_const|]. intros i Hi.
    destruct (Labels i Hi) as (Hj & _). unfold D.
    rewrite (sum_ext K _ (fun l => ind (Nat.eqb (given i) l) * (1 - 2 / INR K) + 1 / INR K * (1 / INR K))).
    - rewrite sum_plus, (sum_ind' K (fun _ => 1 - 2 / INR K) (given i) Hj), sum_const. field. lra.
    - intros l _. destruct (Nat.eqb (given i) l); cbn; field; lra. }
  assert (Total : sum N (fun i => sum K (fun l => E i l * E i l)) <= rho * rho * (INR N * (1 - 1 / INR K))).
  { rewrite <- ND, sum_swap, <- sum_scal_l. apply sum_le. intros l _.
    eapply Rle_trans; [|apply (Norm (D l))]. right. unfold norm2, dot. apply sum_ext. intros i _.
    unfold E, predicted. fold (D l). ring. }
  (* a wrong row moved by at least gamma^2/2 *)
  assert (Moved : forall i, (i < N)%nat ->
            gamma * gamma / 2 * ind (wrong i) <= sum K (fun l => E i l * E i l)).
  { intros i Hi. destruct (wrong i) eqn:W; cbn [ind].
    - destruct (Wrong i Hi W) as (l & Hl & Hne & L). assert (M := Margin i l Hi Hl Hne).
      assert (Q := two_squares K (E i) (truth i) l (proj2 (Labels i Hi)) Hl (not_eq_sym Hne)).
      assert (Gap : E i (truth i) - E i l <= - gamma) by (unfold E; lra).
      set (x := E i (truth i)) in *. set (z := E i l) in *.
      assert (S := Rle_0_sqr (x + z)). unfold Rsqr in S.
      assert (S' : gamma * gamma <= (z - x) * (z - x)) by (apply Rmult_le_compat; lra). lra.
    - assert (0 <= sum K (fun l => E i l * E i l)) by (apply sum_nonneg; intros; apply Rle_0_sqr). lra. }
  assert (Sum := sum_le N _ _ Moved). rewrite sum_scal_l in Sum.
  set (count := sum N (fun i => ind (wrong i))) in *.
  assert (Hgg : 0 < gamma * gamma) by (apply Rmult_lt_0_compat; assumption).
  apply (Rmult_le_reg_r (INR N * (gamma * gamma / 2))); [apply Rmult_lt_0_compat; lra|].
  replace (count / INR N * (INR N * (gamma * gamma / 2))) with (gamma * gamma / 2 * count) by (field; lra).
  replace (2 * (1 - 1 / INR K) * rho ^ 2 / gamma ^ 2 * (INR N * (gamma * gamma / 2)))
    with (rho * rho * (INR N * (1 - 1 / INR K))) by (field; lra).
  lra.
Qed.

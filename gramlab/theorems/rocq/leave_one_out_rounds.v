(** leave-one-out-rounds: predictions of linear rounds that never saw a row, from rounds that did. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import weak_to_strong filters.
Open Scope R_scope.

Section LeaveOneOut.
  (** N rows; features, width and mu of each round, counted from 0; the row a is left out. *)
  Variables (N : nat) (d : nat -> nat) (X : nat -> nat -> nat -> R) (mu : nat -> R) (a : nat).
  Hypotheses (Hmu : forall t, 0 < mu t) (Ha : (a < N)%nat).

  Let G t := gram (d t) (X t).
  Let Sy t : symmetric N (G t) := gram_symmetric N (d t) (X t).
  Let P t : psd N (G t) := gram_psd N (d t) (X t).
  Let e (i : nat) : R := if Nat.eqb i a then 1 else 0.

  (** Weights w of a ridge problem on all rows but a, with targets y: where its gradient,
      sum over i <> a of x_i (x_i'w - y_i), plus mu w, is zero. *)
  Definition head_without (t : nat) (y w : nat -> R) : Prop :=
    forall j, (j < d t)%nat ->
      sum N (fun i => if Nat.eqb i a then 0 else X t i j * (mv (d t) (X t) w i - y i))
      + mu t * w j = 0.

  (** Rounds that never saw row a: u_0 = y, and u_(t+1) are the predictions, on all rows, of weights
      fitted to u_t on all rows but a. *)
  Definition rounds_without (y : nat -> R) (w u : nat -> nat -> R) : Prop :=
    (forall i, (i < N)%nat -> u 0%nat i = y i) /\
    (forall t, head_without t (u t) (w t)) /\
    (forall t i, (i < N)%nat -> u (S t) i = mv (d t) (X t) (w t) i).

  (** What is left out may as well be there with its own prediction as target. *)
  Lemma head_with_its_prediction t y w : head_without t y w ->
    forall i, (i < N)%nat ->
      mv (d t) (X t) w i
      = filter N (G t) (mu t) (fun q => y q + (mv (d t) (X t) w a - y a) * e q) i.
  Proof.
    intros H. set (f := mv (d t) (X t) w). set (z := fun q => y q + (f a - y a) * e q).
    apply (filter_unique N (G t) (mu t) (Sy t) (P t) (Hmu t) z f). intros i Hi.
    assert (E : forall j, (j < d t)%nat -> tmv N (X t) f j + mu t * w j = tmv N (X t) z j).
    { intros j Hj. specialize (H j Hj). fold f in H.
      enough (Q : sum N (fun i => if Nat.eqb i a then 0 else X t i j * (f i - y i))
                  = tmv N (X t) f j - tmv N (X t) z j) by lra.
      unfold tmv. rewrite <- sum_minus. apply sum_ext. intros q Hq. unfold z, e.
      destruct (Nat.eqb_spec q a) as [->|]; ring. }
    unfold G. rewrite !mv_gram. rewrite <- (mv_ext (d t) (X t) _ _ i E).
    rewrite mv_plus, mv_scal. reflexivity.
  Qed.

  Let filter_sum t n (c : nat -> R) (v : nat -> nat -> R) i : (i < N)%nat ->
    filter N (G t) (mu t) (fun q => sum n (fun s => c s * v s q)) i
    = sum n (fun s => c s * filter N (G t) (mu t) (v s) i).
  Proof.
    intros Hi. induction n as [|n IH]; cbn [sum].
    - rewrite (filter_ext N (G t) (mu t) (Sy t) (P t) (Hmu t) _ (fun q => 0 * 0))
        by (try exact Hi; intros; ring).
      rewrite (filter_scal N (G t) (mu t) (Sy t) (P t) (Hmu t)) by exact Hi. ring.
    - rewrite (filter_plus N (G t) (mu t) (Sy t) (P t) (Hmu t)) by exact Hi.
      rewrite IH, (filter_scal N (G t) (mu t) (Sy t) (P t) (Hmu t)) by exact Hi. reflexivity.
  Qed.

  Let f (u : nat -> nat -> R) t := u t a.

  (** All predictions: filters of the targets, and of what each round changed at row a. *)
  Lemma rounds_without_all y w u : rounds_without y w u ->
    forall t i, (i < N)%nat ->
      u t i = after N d X mu 0 t y i
              + sum t (fun s => (f u (S s) - f u s) * after N d X mu s (t - s) e i).
  Proof.
    intros (H0 & HW & HU). induction t as [|t IH]; intros i Hi; [cbn; rewrite H0 by exact Hi; ring|].
    rewrite HU, (head_with_its_prediction t (u t) (w t) (HW t) i Hi) by exact Hi.
    rewrite <- (HU t a Ha). fold (f u (S t)) (f u t).
    rewrite (filter_plus N (G t) (mu t) (Sy t) (P t) (Hmu t)),
      (filter_scal N (G t) (mu t) (Sy t) (P t) (Hmu t)) by exact Hi.
    rewrite (filter_ext N (G t) (mu t) (Sy t) (P t) (Hmu t) (u t) _ IH i Hi).
    rewrite (filter_plus N (G t) (mu t) (Sy t) (P t) (Hmu t)), filter_sum by exact Hi.
    cbn [sum]. rewrite Rplus_assoc. f_equal. f_equal.
    - apply sum_ext. intros s Hs. f_equal. replace (S t - s)%nat with (S (t - s)) by lia.
      cbn [after]. replace (s + (t - s))%nat with t by lia. reflexivity.
    - f_equal. replace (S t - t)%nat with 1%nat by lia. cbn [after].
      replace (t + 0)%nat with t by lia. reflexivity.
  Qed.

  (** Registry, leave-one-out-rounds: (1 − (Sₜ)ᵢᵢ) fₜ = (Sₜ ⋯ S₁ D)ᵢ + ∑_(s < t) (Sₜ ⋯ Sₛ)ᵢᵢ (fₛ
      − fₛ₋₁) − (Sₜ)ᵢᵢ fₜ₋₁ *)
  Theorem leave_one_out_rounds y w u : rounds_without y w u ->
    forall t,
      (1 - filter N (G t) (mu t) e a) * u (S t) a
      = after N d X mu 0 (S t) y a
        + sum t (fun s => (u (S s) a - u s a) * after N d X mu s (S t - s) e a)
        - filter N (G t) (mu t) e a * u t a.
  Proof.
    intros H t. assert (E := rounds_without_all y w u H (S t) a Ha). unfold f in E.
    cbn [sum] in E. replace (S t - t)%nat with 1%nat in E by lia.
    assert (One : after N d X mu t 1 e a = filter N (G t) (mu t) e a)
      by (cbn [after]; replace (t + 0)%nat with t by lia; reflexivity).
    rewrite One in E. lra.
  Qed.
End LeaveOneOut.

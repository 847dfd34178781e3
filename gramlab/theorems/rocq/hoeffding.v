(** Independent rows of labels: expectations of functions of them, and Hoeffding's lemma. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import sums heads local_certificate.
Open Scope R_scope.

(** ** Expectations *)

Definition update (y : nat -> nat) (m j : nat) : nat -> nat := fun i => if Nat.eqb i m then j else y i.

(** The expectation of f(y), where y_0, ..., y_(N-1) are independent labels in 0, ..., K - 1, and y_i
    is j with probability [law i j]. *)
Fixpoint expect (K : nat) (law : nat -> nat -> R) (N : nat) (f : (nat -> nat) -> R) : R :=
  match N with
  | O => f (fun _ => O)
  | S m => expect K law m (fun y => \sum_(j < K) (law m j * f (update y m j)))
  end.

Section Expectation.

Variables (K : nat) (law : nat -> nat -> R).

Lemma expect_ext N f g : (forall y, f y = g y) -> expect K law N f = expect K law N g.
Proof.
  revert f g. induction N as [|m IH]; intros f g H; simpl; [apply H|].
  apply IH. intros y. apply sum_ext. intros j _. now rewrite H.
Qed.

(** Only labels of positive probability count. *)
Lemma expect_le N f g : (forall i j, (i < N)%nat -> (j < K)%nat -> 0 <= law i j) ->
  (forall y, (forall i, (i < N)%nat -> (y i < K)%nat /\ 0 < law i (y i)) -> f y <= g y) ->
  expect K law N f <= expect K law N g.
Proof.
  revert f g. induction N as [|m IH]; intros f g P H; simpl; [apply H; lia|].
  apply IH; [intros; apply P; lia|]. intros y Hy. apply sum_le. intros j Hj.
  destruct (Rle_lt_or_eq_dec 0 (law m j) (P m j ltac:(lia) Hj)) as [L|Z]; [|rewrite <- Z; lra].
  apply Rmult_le_compat_l; [lra|]. apply H. intros i Hi. unfold update.
  destruct (Nat.eqb_spec i m) as [->|]; [split; assumption|]. apply Hy. lia.
Qed.

Lemma expect_sum N p F :
  expect K law N (fun y => \sum_(k < p) F k y) = \sum_(k < p) expect K law N (F k).
Proof.
  revert F. induction N as [|m IH]; intros F; simpl; [reflexivity|].
  rewrite <- IH. apply expect_ext. intros y.
  rewrite (sum_ext K _ (fun j => \sum_(k < p) (law m j * F k (update y m j))))
    by (intros; rewrite sum_scal_l; reflexivity).
  apply sum_swap.
Qed.

Lemma expect_scal N c f : expect K law N (fun y => c * f y) = c * expect K law N f.
Proof.
  revert f. induction N as [|m IH]; intros f; simpl; [reflexivity|].
  rewrite <- IH. apply expect_ext. intros y. rewrite <- sum_scal_l. apply sum_ext. intros. ring.
Qed.

(** The expectation of a product over rows is the product of the expectations. *)
Lemma expect_product N phi :
  expect K law N (fun y => product N (fun i => phi i (y i)))
    = product N (fun i => \sum_(j < K) (law i j * phi i j)).
Proof.
  induction N as [|m IH]; simpl; [reflexivity|]. rewrite <- IH, Rmult_comm, <- expect_scal.
  apply expect_ext. intros y. rewrite <- sum_scal_r. apply sum_ext. intros j _.
  unfold update at 2. rewrite Nat.eqb_refl.
  rewrite (product_ext m _ (fun i => phi i (y i))); [ring|]. intros i Hi. unfold update.
  rewrite (proj2 (Nat.eqb_neq i m)) by lia. reflexivity.
Qed.

End Expectation.

(** ** Hoeffding's lemma *)

Lemma two_point_pos q h : 0 <= q <= 1 -> 0 <= h ->
  ln (1 - q + q * exp h) <= q * h + h ^ 2 / 8.
Proof.
  intros Hq Hh.
  assert (Z : forall r, 0 < 1 - q + q * exp r).
  { intros r. assert (E := exp_pos r). destruct (Req_dec q 0) as [->|]; [lra|].
    assert (0 < q * exp r) by (apply Rmult_lt_0_compat; lra). lra. }
  set (u := fun r => q * exp r / (1 - q + q * exp r)).
  assert (Dexp : forall r, derivable_pt_lim (fun r => 1 - q + q * exp r) r (q * exp r)).
  { intros r. assert (D := derivable_pt_lim_plus (fun _ => 1 - q) (fun r => q * exp r) r 0 (q * exp r)
      (derivable_pt_lim_const (1 - q) r) (derivable_pt_lim_scal exp q r (exp r) (derivable_pt_lim_exp r))).
    rewrite Rplus_0_l in D. exact D. }
  assert (Du : forall r, derivable_pt_lim u r (u r * (1 - u r))).
  { intros r. assert (Z1 := Z r).
    assert (D := derivable_pt_lim_div (fun r => q * exp r) (fun r => 1 - q + q * exp r) r (q * exp r)
      (q * exp r) (derivable_pt_lim_scal exp q r (exp r) (derivable_pt_lim_exp r)) (Dexp r)
      ltac:(lra)).
    match type of D with derivable_pt_lim _ _ ?x =>
      replace (u r * (1 - u r)) with x; [exact D|unfold u, Rsqr; field; lra] end. }
  (* f' = q + h/4 - u *)
  assert (F1 : forall s, 0 <= s -> 0 <= q + s / 4 - u s).
  { intros s Hs. replace 0 with (q + 0 / 4 - u 0).
    - apply (grows (fun s => q + s / 4 - u s) (fun s => / 4 - u s * (1 - u s))); trivial.
      + intros r _. assert (D := derivable_pt_lim_minus (fun s => q + s * / 4) u r (/ 4) _
          (derivable_line q (/ 4) r) (Du r)). exact D.
      + intros r _. assert (P := pow2_ge_0 (u r - / 2)). lra.
    - unfold u. rewrite exp_0. field. lra. }
  assert (G : q * 0 + 0 ^ 2 / 8 - ln (1 - q + q * exp 0) <= q * h + h ^ 2 / 8 - ln (1 - q + q * exp h)).
  { apply (grows (fun s => q * s + s ^ 2 / 8 - ln (1 - q + q * exp s)) (fun s => q + s / 4 - u s)); trivial.
    - intros r _.
      assert (D1 : derivable_pt_lim (fun s => 0 + s * (q + s * / 8)) r (0 + (1 * (q + r * / 8) + r * / 8))).
      { apply (derivable_pt_lim_plus (fun _ => 0) (fun s => s * (q + s * / 8)));
          [apply derivable_pt_lim_const|].
        apply (derivable_pt_lim_mult id (fun s => q + s * / 8));
          [apply derivable_pt_lim_id | apply derivable_line]. }
      assert (D2 := derivable_pt_lim_comp (fun s => 1 - q + q * exp s) ln r _ _ (Dexp r)
        (derivable_pt_lim_ln _ (Z r))).
      assert (D := derivable_pt_lim_minus _ _ r _ _ D1 D2).
      replace (q + r / 4 - u r)
        with (0 + (1 * (q + r * / 8) + r * / 8) - / (1 - q + q * exp r) * (q * exp r)).
      + apply derivable_ext with (2 := D). intros s. unfold minus_fct, comp. field.
      + unfold u. assert (Z1 := Z r). field. lra.
    - intros r Hr. apply F1. lra. }
  rewrite exp_0 in G. replace (1 - q + q * 1) with 1 in G by ring. rewrite ln_1 in G. lra.
Qed.

Lemma two_point q h : 0 <= q <= 1 -> 1 - q + q * exp h <= exp (q * h + h ^ 2 / 8).
Proof.
  intros Hq.
  assert (Z : forall q r, 0 <= q <= 1 -> 0 < 1 - q + q * exp r).
  { intros p r Hp. assert (E := exp_pos r). destruct (Req_dec p 0) as [->|]; [lra|].
    assert (0 < p * exp r) by (apply Rmult_lt_0_compat; lra). lra. }
  assert (L : forall p r, 0 <= p <= 1 -> 0 <= r -> 1 - p + p * exp r <= exp (p * r + r ^ 2 / 8)).
  { intros p r Hp Hr. rewrite <- (exp_ln (1 - p + p * exp r)) by auto.
    destruct (two_point_pos p r Hp Hr) as [A|A]; [left; now apply exp_increasing|right; now rewrite A]. }
  destruct (Rle_lt_dec 0 h) as [P|P]; [now apply L|].
  assert (A := L (1 - q) (- h) ltac:(lra) ltac:(lra)).
  apply Rmult_le_compat_l with (r := exp h) in A; [|left; apply exp_pos].
  rewrite <- exp_plus in A.
  replace (exp h * (1 - (1 - q) + (1 - q) * exp (- h))) with (1 - q + q * exp h) in A.
  - replace (h + ((1 - q) * - h + (- h) ^ 2 / 8)) with (q * h + h ^ 2 / 8) in A by field. exact A.
  - rewrite exp_Ropp. field. apply Rgt_not_eq, exp_pos.
Qed.

(** exp lies below its chords. *)
Lemma exp_chord s a r x : 0 < r -> a <= x <= a + r ->
  exp (s * x) <= (1 - (x - a) / r) * exp (s * a) + (x - a) / r * exp (s * (a + r)).
Proof.
  intros Hr Hx. set (w := (x - a) / r).
  assert (Hw : 0 <= w <= 1).
  { unfold w. split.
    - apply Rmult_le_pos; [lra|left; now apply Rinv_0_lt_compat].
    - apply Rmult_le_reg_r with r; [assumption|].
      replace ((x - a) / r * r) with (x - a) by (field; lra). lra. }
  assert (T : forall y, exp (s * x) * (1 + (s * y - s * x)) <= exp (s * y)).
  { intros y. replace (s * y) with (s * x + (s * y - s * x)) at 2 by ring. rewrite exp_plus.
    apply Rmult_le_compat_l; [left; apply exp_pos|]. apply exp_ineq1_le. }
  assert (A := T a). assert (B := T (a + r)).
  apply Rmult_le_compat_l with (r := 1 - w) in A; [|lra].
  apply Rmult_le_compat_l with (r := w) in B; [|lra].
  assert (E : (1 - w) * (exp (s * x) * (1 + (s * a - s * x)))
    + w * (exp (s * x) * (1 + (s * (a + r) - s * x))) = exp (s * x)).
  { replace x with (a + w * r) by (unfold w; field; lra). ring. }
  lra.
Qed.

(** For x_j within [a, a + r] where p_j > 0, of mean m: sum of p_j exp(s x_j) <= exp(s m + s^2 r^2 / 8). *)
Lemma hoeffding K p x a r s :
  sum K p = 1 -> (forall j, (j < K)%nat -> 0 <= p j) -> 0 <= r ->
  (forall j, (j < K)%nat -> 0 < p j -> a <= x j <= a + r) ->
  \sum_(j < K) (p j * exp (s * x j)) <= exp (s * (\sum_(j < K) (p j * x j)) + s ^ 2 * r ^ 2 / 8).
Proof.
  intros S P Hr H. set (m := \sum_(j < K) (p j * x j)).
  destruct (Rle_lt_or_eq_dec 0 r Hr) as [L|Z].
  - assert (Cond : forall j, (j < K)%nat ->
      p j * exp (s * x j) <= p j * ((1 - (x j - a) / r) * exp (s * a) + (x j - a) / r * exp (s * (a + r)))).
    { intros j Hj. destruct (Rle_lt_or_eq_dec 0 (p j) (P j Hj)) as [Q|Q]; [|rewrite <- Q; lra].
      apply Rmult_le_compat_l; [lra|]. apply exp_chord; [assumption|]. now apply H. }
    eapply Rle_trans; [apply sum_le, Cond|].
    set (q := (m - a) / r).
    assert (Mean : forall lo hi, (forall j, (j < K)%nat -> 0 < p j -> lo <= x j <= hi) -> lo <= m <= hi).
    { intros lo hi B. unfold m. rewrite <- (Rmult_1_l lo), <- (Rmult_1_l hi), <- S, <- !sum_scal_r.
      split; apply sum_le; intros j Hj;
        (destruct (Rle_lt_or_eq_dec 0 (p j) (P j Hj)) as [Q|Q]; [|rewrite <- Q; lra];
         apply Rmult_le_compat_l; [lra|]; now apply B). }
    assert (Hm := Mean a (a + r) H).
    assert (Hq : 0 <= q <= 1).
    { unfold q. split.
      - apply Rmult_le_pos; [lra|left; now apply Rinv_0_lt_compat].
      - apply Rmult_le_reg_r with r; [assumption|].
        replace ((m - a) / r * r) with (m - a) by (field; lra). lra. }
    assert (T := two_point q (s * r) Hq).
    apply Rmult_le_compat_l with (r := exp (s * a)) in T; [|left; apply exp_pos].
    rewrite <- exp_plus in T.
    replace (s * a + (q * (s * r) + (s * r) ^ 2 / 8)) with (s * m + s ^ 2 * r ^ 2 / 8) in T
      by (unfold q; field; lra).
    eapply Rle_trans; [|exact T]. right.
    rewrite (sum_ext K _ (fun j => p j * ((1 + a / r) * exp (s * a) - a / r * exp (s * (a + r)))
      + p j * x j * (/ r * (exp (s * (a + r)) - exp (s * a))))) by (intros; field; lra).
    rewrite sum_plus, !sum_scal_r, S. fold m.
    replace (s * (a + r)) with (s * a + s * r) by ring. rewrite exp_plus. unfold q. field. lra.
  - rewrite <- Z in *.
    assert (E : forall j, (j < K)%nat -> p j * exp (s * x j) = p j * exp (s * a)).
    { intros j Hj. destruct (Rle_lt_or_eq_dec 0 (p j) (P j Hj)) as [Q|Q]; [|rewrite <- Q; ring].
      assert (B := H j Hj Q). replace (x j) with a by lra. reflexivity. }
    rewrite (sum_ext K _ _ E), sum_scal_r, S.
    assert (Em : m = a).
    { unfold m. rewrite (sum_ext K _ (fun j => p j * a)).
      - rewrite sum_scal_r, S. ring.
      - intros j Hj. destruct (Rle_lt_or_eq_dec 0 (p j) (P j Hj)) as [Q|Q]; [|rewrite <- Q; ring].
        assert (B := H j Hj Q). replace (x j) with a by lra. reflexivity. }
    rewrite Em. right. rewrite Rmult_1_l. f_equal. field.
Qed.

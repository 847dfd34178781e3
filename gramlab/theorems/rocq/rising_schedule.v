(** With one feature and two classes, exact rounds average most if weight decays rise. *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds existence.
Import ListNotations.
Open Scope R_scope.

(** The weight decays of rounds 1, ..., t. *)
Definition schedule (lam : nat -> R) (t : nat) : list R := map (fun s => lam (S s)) (seq 0 t).

Lemma schedule_snoc lam t : schedule lam (S t) = schedule lam t ++ [lam (S t)].
Proof. unfold schedule. rewrite seq_S, map_app. reflexivity. Qed.

(** ** The order of steps *)

Section Steps.

(** A step R lam u that rises in u and keeps u >= 0 where it is, *)
Variable R1 : R -> R -> R.
Hypothesis rises : forall lam u u', 0 < lam -> u <= u' -> R1 lam u <= R1 lam u'.
Hypothesis keeps : forall lam u, 0 < lam -> 0 <= u -> 0 <= R1 lam u.
(** and of which two end lower with the smaller weight decay first. *)
Hypothesis exchange : forall a b u, 0 < a -> a <= b -> 0 <= u -> R1 b (R1 a u) <= R1 a (R1 b u).

Definition run_of (l : list R) (u : R) : R := fold_left (fun u lam => R1 lam u) l u.

Lemma run_rises l u u' : (forall x, In x l -> 0 < x) -> u <= u' -> run_of l u <= run_of l u'.
Proof.
  revert u u'. induction l as [|a l IH]; intros u u' H Hu; [exact Hu|]. simpl.
  apply IH; [intros x Hx; apply H; now right|]. apply rises; [apply H; now left|exact Hu].
Qed.

Lemma run_keeps l u : (forall x, In x l -> 0 < x) -> 0 <= u -> 0 <= run_of l u.
Proof.
  revert u. induction l as [|a l IH]; intros u H Hu; [exact Hu|]. simpl.
  apply IH; [intros x Hx; apply H; now right|]. apply keeps; [apply H; now left|exact Hu].
Qed.

(** The largest goes last, the smallest first. *)
Lemma largest_last m l u : 0 < m -> (forall x, In x l -> 0 < x <= m) -> 0 <= u ->
  run_of (l ++ [m]) u <= run_of (m :: l) u.
Proof.
  intros Hm. revert u. induction l as [|b l IH]; intros u H Hu; [simpl; lra|].
  assert (Hb : 0 < b <= m) by (apply H; now left).
  assert (Hl : forall x, In x l -> 0 < x <= m) by (intros x Hx; apply H; now right).
  change (run_of (l ++ [m]) (R1 b u) <= run_of l (R1 b (R1 m u))).
  eapply Rle_trans; [apply IH; [exact Hl|now apply keeps]|]. simpl.
  apply run_rises; [intros x Hx; apply Hl, Hx|]. apply exchange; lra.
Qed.

Lemma smallest_last m l u : 0 < m -> (forall x, In x l -> m <= x) -> 0 <= u ->
  run_of (m :: l) u <= run_of (l ++ [m]) u.
Proof.
  intros Hm. revert u. induction l as [|b l IH]; intros u H Hu; [simpl; lra|].
  assert (Hb : m <= b) by (apply H; now left).
  assert (Hl : forall x, In x l -> m <= x) by (intros x Hx; apply H; now right).
  change (run_of l (R1 b (R1 m u)) <= run_of (l ++ [m]) (R1 b u)).
  eapply Rle_trans; [|apply IH; [exact Hl|apply keeps; lra]]. simpl.
  apply run_rises; [intros x Hx; specialize (Hl x Hx); lra|]. now apply exchange.
Qed.

Lemma run_app l l' u : run_of (l ++ l') u = run_of l' (run_of l u).
Proof. unfold run_of. apply fold_left_app. Qed.

(** Of all orders the rising one ends lowest, and the falling one highest. *)
Lemma sorted_ends lam t : (forall s, (1 <= s <= t)%nat -> 0 < lam s) -> forall l u,
  Permutation l (schedule lam t) -> 0 <= u ->
  ((forall r s, (1 <= r <= s)%nat -> (s <= t)%nat -> lam r <= lam s) ->
     run_of (schedule lam t) u <= run_of l u)
  /\ ((forall r s, (1 <= r <= s)%nat -> (s <= t)%nat -> lam s <= lam r) ->
     run_of l u <= run_of (schedule lam t) u).
Proof.
  induction t as [|t IH]; intros Pos l u P Hu.
  - apply Permutation_sym, Permutation_nil in P. subst. split; intros _; apply Rle_refl.
  - rewrite schedule_snoc in *. set (m := lam (S t)) in *.
    assert (Hm : 0 < m) by (apply Pos; lia).
    assert (Hin : In m l).
    { apply (Permutation_in m (Permutation_sym P)). apply in_or_app. right. now left. }
    apply in_split in Hin as (l1 & l2 & ->).
    assert (P' : Permutation (l1 ++ l2) (schedule lam t)).
    { apply Permutation_app_inv in P. now rewrite app_nil_r in P. }
    assert (Mem : forall x, In x (l1 ++ l2) -> exists s, (1 <= s <= t)%nat /\ x = lam s).
    { intros x Hx. apply (Permutation_in x P') in Hx. unfold schedule in Hx.
      apply in_map_iff in Hx as (s & <- & Hs). apply in_seq in Hs. exists (S s). split; [lia|reflexivity]. }
    assert (PosL : forall x, In x (l1 ++ l2) -> 0 < x).
    { intros x Hx. destruct (Mem x Hx) as (s & Hs & ->). apply Pos. lia. }
    assert (Pos1 : forall x, In x l1 -> 0 < x) by (intros x Hx; apply PosL, in_or_app; now left).
    assert (H1 : 0 <= run_of l1 u) by now apply run_keeps.
    destruct (IH (fun s Hs => Pos s ltac:(lia)) (l1 ++ l2) u P' Hu) as (IHr & IHf).
    rewrite !run_app in *. split; intros Sorted.
    + apply Rle_trans with (run_of (l2 ++ [m]) (run_of l1 u)).
      * rewrite run_app. simpl. apply rises; [exact Hm|]. apply IHr.
        intros r s Hr Hs. apply Sorted; [exact Hr|lia].
      * apply largest_last; trivial. intros x Hx.
        destruct (Mem x (in_or_app l1 l2 x (or_intror Hx))) as (s & Hs & ->).
        split; [apply Pos; lia|]. apply Sorted; lia.
    + apply Rle_trans with (run_of (l2 ++ [m]) (run_of l1 u)).
      * apply smallest_last; trivial. intros x Hx.
        destruct (Mem x (in_or_app l1 l2 x (or_intror Hx))) as (s & Hs & ->). apply Sorted; lia.
      * rewrite run_app. simpl. apply rises; [exact Hm|]. apply IHf.
        intros r s Hr Hs. apply Sorted; [exact Hr|lia].
Qed.

End Steps.

(** ** One feature, two classes *)

Definition sigma (y : R) : R := / (1 + exp (- y)).

Lemma sigma_denominator y : 0 < 1 + exp (- y).
Proof. assert (P := exp_pos (- y)). lra. Qed.

Lemma sigma_opp y : sigma (- y) = 1 - sigma y.
Proof.
  unfold sigma. rewrite Ropp_involutive. assert (P := exp_pos y). rewrite exp_Ropp. field. lra.
Qed.

(** sigma' = sigma (1 - sigma) = 1/(2 + e^y + e^-y), which falls as |y| grows. *)
Lemma sigma_derivative y : derivable_pt_lim sigma y (sigma y * (1 - sigma y)).
Proof.
  assert (P := sigma_denominator y).
  assert (L : derivable_pt_lim (fun y => 0 + y * -1) y (-1)) by apply derivable_line.
  assert (E := derivable_pt_lim_comp _ exp y _ _ L (derivable_pt_lim_exp (0 + y * -1))).
  assert (S := derivable_pt_lim_plus (fun _ => 1) _ y 0 _ (derivable_pt_lim_const 1 y) E).
  assert (D := derivable_pt_lim_div (fun _ => 1) _ y 0 _ (derivable_pt_lim_const 1 y) S).
  unfold plus_fct, comp in D. replace (0 + y * -1) with (- y) in D by ring.
  specialize (D ltac:(lra)).
  match type of D with derivable_pt_lim _ _ ?v =>
    replace (sigma y * (1 - sigma y)) with v end.
  - apply derivable_ext with (2 := D). intros r. unfold div_fct, sigma.
    replace (0 + r * -1) with (- r) by ring. assert (Q := sigma_denominator r). field. lra.
  - unfold sigma, Rsqr. field. lra.
Qed.

Lemma slope_falls y z : Rabs y <= Rabs z -> sigma z * (1 - sigma z) <= sigma y * (1 - sigma y).
Proof.
  intros H.
  assert (F : forall y, sigma y * (1 - sigma y) = / (2 + (exp y + exp (- y)))).
  { intros x. unfold sigma. assert (P := exp_pos x). rewrite exp_Ropp. field.
    repeat split; try lra. assert (0 < exp x * exp x) by (apply Rmult_lt_0_compat; assumption). lra. }
  rewrite !F.
  assert (C : exp y + exp (- y) <= exp z + exp (- z)).
  { (* e^y + e^-y rises for y >= 0 *)
    assert (Even : forall x, exp x + exp (- x) = exp (Rabs x) + exp (- Rabs x)).
    { intros x. destruct (Rcase_abs x) as [N|N].
      - rewrite (Rabs_left x N), Ropp_involutive. ring.
      - rewrite (Rabs_right x N). reflexivity. }
    rewrite (Even y), (Even z). assert (Py := Rabs_pos y).
    set (a := Rabs y) in *. set (b := Rabs z) in *.
    assert (Ea := exp_pos a). assert (Eb := exp_pos b).
    rewrite !exp_Ropp.
    assert (G1 : 1 <= exp a).
    { rewrite <- exp_0. destruct Py as [L|L]; [left; now apply exp_increasing|right; now rewrite L]. }
    assert (G2 : exp a <= exp b) by (destruct H as [L|L]; [left; now apply exp_increasing|right; now rewrite L]).
    assert (D : exp b + / exp b - (exp a + / exp a) = (exp b - exp a) * (exp a * exp b - 1) * / (exp a * exp b))
      by (field; lra).
    assert (0 <= (exp b - exp a) * (exp a * exp b - 1) * / (exp a * exp b)); [|lra].
    assert (1 * 1 <= exp a * exp b) by (apply Rmult_le_compat; lra).
    apply Rmult_le_pos; [apply Rmult_le_pos; lra|]. left. apply Rinv_0_lt_compat, Rmult_lt_0_compat; lra. }
  assert (P1 := exp_pos y). assert (P2 := exp_pos (- y)). apply Rinv_le_contravar; lra.
Qed.

Section OneFeature.

Variables (N : nat) (X : mat).
Hypothesis N_pos : (0 < N)%nat.

(** phi(w) = M_0 - M_1 for w = W_0 - W_1 *)
Definition phi (w : R) : R := (\sum_(i < N) (X i 0%nat * (2 * sigma (X i 0%nat * w) - 1))) / INR N.
Definition slope (w : R) : R :=
  (\sum_(i < N) (2 * X i 0%nat ^ 2 * (sigma (X i 0%nat * w) * (1 - sigma (X i 0%nat * w))))) / INR N.

Let PN : 0 < INR N. Proof. now apply lt_0_INR. Qed.

Lemma phi_odd w : phi (- w) = - phi w.
Proof.
  unfold phi. unfold Rdiv. rewrite Ropp_mult_distr_l, <- sum_opp. f_equal. apply sum_ext. intros i _.
  replace (X i 0%nat * - w) with (- (X i 0%nat * w)) by ring. rewrite sigma_opp. ring.
Qed.

Lemma phi_derivative w : derivable_pt_lim phi w (slope w).
Proof.
  apply derivable_ext with (fun w => / INR N * \sum_(i < N) (X i 0%nat * (2 * sigma (X i 0%nat * w) - 1)));
    [intros; unfold phi, Rdiv; ring|].
  unfold slope, Rdiv. rewrite Rmult_comm. apply derivable_pt_lim_scal.
  apply (derivable_sum N (fun i w => X i 0%nat * (2 * sigma (X i 0%nat * w) - 1))). intros i _.
  set (x := X i 0%nat).
  assert (L : derivable_pt_lim (fun w => 0 + w * x) w x) by apply derivable_line.
  assert (C := derivable_pt_lim_comp _ sigma w _ _ L (sigma_derivative (0 + w * x))).
  assert (S := derivable_pt_lim_scal _ (2 * x) w _ C).
  assert (D := derivable_pt_lim_plus _ (fun _ => - x) w _ 0 S (derivable_pt_lim_const (- x) w)).
  rewrite Rplus_0_r in D. replace (0 + w * x) with (x * w) in D by ring.
  replace (2 * x * (sigma (x * w) * (1 - sigma (x * w)) * x))
    with (2 * x ^ 2 * (sigma (x * w) * (1 - sigma (x * w)))) in D by ring.
  apply derivable_ext with (2 := D). intros r. unfold plus_fct, mult_real_fct, comp.
  replace (0 + r * x) with (x * r) by ring. ring.
Qed.

Lemma slope_nonneg w : 0 <= slope w.
Proof.
  unfold slope. apply Rmult_le_pos; [|left; now apply Rinv_0_lt_compat]. apply sum_nonneg. intros i _.
  apply Rmult_le_pos; [apply Rmult_le_pos; [lra|apply pow2_ge_0]|].
  assert (P := sigma_denominator (X i 0%nat * w)). assert (E := exp_pos (- (X i 0%nat * w))).
  apply Rmult_le_pos; unfold sigma; [left; now apply Rinv_0_lt_compat|].
  assert (/ (1 + exp (- (X i 0%nat * w))) <= / 1) by (apply Rinv_le_contravar; lra). lra.
Qed.

Lemma slope_decreases w w' : 0 <= w <= w' -> slope w' <= slope w.
Proof.
  intros H. unfold slope. apply Rmult_le_compat_r; [left; now apply Rinv_0_lt_compat|].
  apply sum_le. intros i _. apply Rmult_le_compat_l; [apply Rmult_le_pos; [lra|apply pow2_ge_0]|].
  apply slope_falls. rewrite !Rabs_mult, (Rabs_pos_eq w), (Rabs_pos_eq w') by lra.
  apply Rmult_le_compat_l; [apply Rabs_pos|lra].
Qed.

(** phi over an interval *)
Let mean_value a b : a < b -> exists c, a < c < b /\ phi b - phi a = slope c * (b - a).
Proof.
  intros H. destruct (MVT_cor2 phi slope a b H) as (c & E & C); [intros; apply phi_derivative|].
  exists c. auto.
Qed.

Lemma phi_rises a b : a <= b -> phi a <= phi b.
Proof.
  intros [H| ->]; [|lra]. destruct (mean_value a b H) as (c & _ & E).
  assert (0 <= slope c * (b - a)) by (apply Rmult_le_pos; [apply slope_nonneg|lra]). lra.
Qed.

Lemma phi_zero : phi 0 = 0.
Proof. assert (E := phi_odd 0). rewrite Ropp_0 in E. lra. Qed.

Let phi_less a b : phi a < phi b -> a < b.
Proof. intros H. apply Rnot_le_lt. intros A. assert (B := phi_rises b a A). lra. Qed.

(** Two steps end lower with the smaller weight decay first. *)
Lemma phi_exchange a b u x1 y1 x2 y2 : 0 < a -> a <= b ->
  0 <= y2 -> 0 <= y1 ->
  a * x1 + phi x1 = u -> b * y1 + phi y1 = phi x1 ->
  b * x2 + phi x2 = u -> a * y2 + phi y2 = phi x2 -> phi y1 <= phi y2.
Proof.
  intros Ha Hab Hy2 Hy1 E1 F1 E2 F2. apply Rnot_lt_le. intros H.
  assert (Y : y2 < y1) by now apply phi_less.
  assert (B1 : a * y2 <= b * y2) by (apply Rmult_le_compat_r; lra).
  assert (B2 : b * y2 < b * y1) by (apply Rmult_lt_compat_l; lra).
  assert (X12 : x2 < x1) by (apply phi_less; lra).
  assert (B3 : 0 < b * y1) by (apply Rmult_lt_0_compat; lra).
  assert (XY1 : y1 < x1) by (apply phi_less; lra).
  assert (K : b * (x2 - y1) > a * (x1 - y2)) by lra.
  assert (K0 : 0 < a * (x1 - y2)) by (apply Rmult_lt_0_compat; lra).
  assert (XY2 : y1 < x2).
  { apply Rnot_le_lt. intros A. assert (0 <= b * (y1 - x2)) by (apply Rmult_le_pos; lra). lra. }
  destruct (mean_value y2 y1 Y) as (c1 & C1 & M1). destruct (mean_value y1 x2 XY2) as (c2 & C2 & M2).
  destruct (mean_value x2 x1 X12) as (c3 & C3 & M3).
  assert (S12 : slope c2 <= slope c1) by (apply slope_decreases; lra).
  assert (S23 : slope c3 <= slope c2) by (apply slope_decreases; lra).
  assert (P2 := slope_nonneg c2).
  (* b y1 is at most slope c2 times (x1 - y1), a y2 at least slope c2 times (x2 - y2) *)
  assert (U : b * y1 <= slope c2 * (x1 - y1)).
  { assert (slope c3 * (x1 - x2) <= slope c2 * (x1 - x2)) by (apply Rmult_le_compat_r; lra). lra. }
  assert (L : slope c2 * (x2 - y2) <= a * y2).
  { assert (slope c2 * (y1 - y2) <= slope c1 * (y1 - y2)) by (apply Rmult_le_compat_r; lra). lra. }
  assert (U' : b * y1 * (x2 - y2) <= slope c2 * (x1 - y1) * (x2 - y2)) by (apply Rmult_le_compat_r; lra).
  assert (L' : slope c2 * (x2 - y2) * (x1 - y1) <= a * y2 * (x1 - y1)) by (apply Rmult_le_compat_r; lra).
  assert (G1 : y1 * (a * (x1 - y2)) < y1 * (b * (x2 - y1))) by (apply Rmult_lt_compat_l; lra).
  assert (G2 : b * y1 * (x2 - y1) <= b * y1 * (x2 - y2)) by (apply Rmult_le_compat_l; lra).
  assert (G3 : a * (x1 - y2) * y2 <= a * (x1 - y2) * y1) by (apply Rmult_le_compat_l; lra).
  assert (G4 : a * y2 * (x1 - y1) <= a * y2 * (x1 - y2)).
  { apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|lra]. }
  lra.
Qed.

(** ** The step as a function *)

Let solution (lam u : R) (H : 0 < lam) := step_exists N 1 2 X N_pos ltac:(lia) lam
  (fun _ k => match k with O => u | _ => 0 end) H.

(** M_0 - M_1 is phi of W_0 - W_1. *)
Lemma M_difference W : M N 1 2 X W 0%nat 0%nat - M N 1 2 X W 0%nat 1%nat = phi (W 0%nat 0%nat - W 0%nat 1%nat).
Proof.
  unfold M, moment, phi. unfold Rdiv. rewrite <- Rmult_minus_distr_r, <- sum_minus. f_equal.
  apply sum_ext. intros i _. unfold predictions, softmax, logits. simpl.
  set (x := X i 0%nat). set (p := W 0%nat 0%nat). set (q := W 0%nat 1%nat).
  replace (0 + x * p) with (x * p) by ring. replace (0 + x * q) with (x * q) by ring.
  assert (P := exp_pos (x * p)). assert (Q := exp_pos (x * q)).
  assert (E : exp (- (x * (p - q))) = exp (x * q) / exp (x * p)).
  { replace (- (x * (p - q))) with (x * q + - (x * p)) by ring. rewrite exp_plus, exp_Ropp. reflexivity. }
  unfold sigma. rewrite E. field. repeat split; lra.
Qed.

Definition R1 (lam u : R) : R :=
  match Rlt_dec 0 lam with
  | left H => let W := proj1_sig (solution lam u H) in phi (W 0%nat 0%nat - W 0%nat 1%nat)
  | right _ => u
  end.

Let R1_spec lam u : 0 < lam -> exists w, lam * w + phi w = u /\ R1 lam u = phi w.
Proof.
  intros H. unfold R1. destruct (Rlt_dec 0 lam) as [H'|]; [|contradiction].
  set (W := proj1_sig (solution lam u H')). exists (W 0%nat 0%nat - W 0%nat 1%nat). split; [|reflexivity].
  assert (E := proj2_sig (solution lam u H')). fold W in E.
  assert (E0 := E 0%nat 0%nat ltac:(lia) ltac:(lia)). assert (E1 := E 0%nat 1%nat ltac:(lia) ltac:(lia)).
  unfold add, scale in E0, E1. simpl in E0, E1. rewrite <- M_difference. lra.
Qed.

Let unique lam u w w' : 0 < lam -> lam * w + phi w = u -> lam * w' + phi w' = u -> w = w'.
Proof.
  intros H E E'. destruct (Rtotal_order w w') as [L|[L|L]]; [|exact L|].
  - assert (A := phi_rises w w' (Rlt_le _ _ L)). assert (B := Rmult_lt_compat_l lam w w' H L). lra.
  - assert (A := phi_rises w' w (Rlt_le _ _ L)). assert (B := Rmult_lt_compat_l lam w' w H L). lra.
Qed.

Let R1_of lam u w : 0 < lam -> lam * w + phi w = u -> R1 lam u = phi w.
Proof.
  intros H E. destruct (R1_spec lam u H) as (w' & E' & ->). f_equal. now apply (unique lam u).
Qed.

Let monotone lam w w' : 0 < lam -> lam * w + phi w <= lam * w' + phi w' -> w <= w'.
Proof.
  intros H E. apply Rnot_lt_le. intros L. assert (A := phi_rises w' w (Rlt_le _ _ L)).
  assert (B := Rmult_lt_compat_l lam w' w H L). lra.
Qed.

Lemma R1_rises lam u u' : 0 < lam -> u <= u' -> R1 lam u <= R1 lam u'.
Proof.
  intros H Hu. destruct (R1_spec lam u H) as (w & E & ->). destruct (R1_spec lam u' H) as (w' & E' & ->).
  apply phi_rises. apply (monotone lam); [exact H|lra].
Qed.

Lemma R1_keeps lam u : 0 < lam -> 0 <= u -> 0 <= R1 lam u.
Proof.
  intros H Hu. rewrite <- phi_zero. rewrite <- (R1_of lam 0 0 H); [now apply R1_rises|].
  rewrite phi_zero. ring.
Qed.

Lemma R1_odd lam u : 0 < lam -> R1 lam (- u) = - R1 lam u.
Proof.
  intros H. destruct (R1_spec lam u H) as (w & E & ->). rewrite <- phi_odd. apply R1_of; [exact H|].
  rewrite phi_odd. lra.
Qed.

Lemma R1_exchange a b u : 0 < a -> a <= b -> 0 <= u -> R1 b (R1 a u) <= R1 a (R1 b u).
Proof.
  intros Ha Hab Hu. assert (Hb : 0 < b) by lra.
  assert (Pa := R1_keeps a u Ha Hu). assert (Pb := R1_keeps b u Hb Hu).
  destruct (R1_spec a u Ha) as (x1 & E1 & V1). destruct (R1_spec b (R1 a u) Hb) as (y1 & F1 & ->).
  destruct (R1_spec b u Hb) as (x2 & E2 & V2). destruct (R1_spec a (R1 b u) Ha) as (y2 & F2 & ->).
  rewrite V1 in F1, Pa. rewrite V2 in F2, Pb.
  assert (N0 : forall lam w, 0 < lam -> 0 <= lam * w + phi w -> 0 <= w).
  { intros lam w H A. apply (monotone lam); [exact H|]. rewrite phi_zero. lra. }
  apply (phi_exchange a b u x1 y1 x2 y2); trivial; [apply (N0 a)|apply (N0 b)]; trivial; lra.
Qed.

Lemma run_odd l u : (forall x, In x l -> 0 < x) -> run_of R1 l (- u) = - run_of R1 l u.
Proof.
  revert u. induction l as [|a l IH]; intros u H; [reflexivity|]. simpl.
  rewrite R1_odd by (apply H; now left). apply IH. intros x Hx. apply H. now right.
Qed.

(** Exact rounds are these steps. *)
Lemma rounds_are_steps Y lam W t : positive lam t -> exact_rounds N 1 2 X Y lam W t -> (1 <= t)%nat ->
  phi (W t 0%nat 0%nat - W t 0%nat 1%nat)
  = run_of R1 (schedule lam t) (moment N X Y 0%nat 0%nat - moment N X Y 0%nat 1%nat).
Proof.
  intros Hl HW. assert (Run := exact_rounds_run N 1 2 X Y lam W t HW).
  assert (Step : forall s, (1 <= s <= t)%nat ->
    phi (W s 0%nat 0%nat - W s 0%nat 1%nat)
    = R1 (lam s) (given (M N 1 2 X) (moment N X Y) W s 0%nat 0%nat - given (M N 1 2 X) (moment N X Y) W s 0%nat 1%nat)).
  { intros s Hs. symmetry. apply R1_of; [now apply Hl|].
    assert (E0 := Run s Hs 0%nat 0%nat ltac:(lia) ltac:(lia)).
    assert (E1 := Run s Hs 0%nat 1%nat ltac:(lia) ltac:(lia)).
    unfold add, scale in E0, E1. rewrite <- M_difference. lra. }
  assert (All : forall s, (1 <= s <= t)%nat -> phi (W s 0%nat 0%nat - W s 0%nat 1%nat)
    = run_of R1 (schedule lam s) (moment N X Y 0%nat 0%nat - moment N X Y 0%nat 1%nat)).
  { induction s as [|[|s] IH]; intros Hs; [lia| |].
    - rewrite (Step 1%nat) by lia. reflexivity.
    - rewrite (Step (S (S s))) by lia. simpl given. rewrite M_difference, IH by lia.
      rewrite (schedule_snoc lam (S s)), run_app. reflexivity. }
  intros Ht. apply All. lia.
Qed.

(** |M(W) - M(0)|^2 = phi^2 / 2 *)
Lemma moment_distance W :
  inner 1%nat 2%nat (M N 1 2 X W - M N 1 2 X zero) (M N 1 2 X W - M N 1 2 X zero)
  = phi (W 0%nat 0%nat - W 0%nat 1%nat) ^ 2 / 2.
Proof.
  assert (Tot : forall V, M N 1 2 X V 0%nat 0%nat + M N 1 2 X V 0%nat 1%nat = (\sum_(i < N) X i 0%nat) / INR N).
  { intros V. unfold M, moment. unfold Rdiv. rewrite <- Rmult_plus_distr_r, <- sum_plus. f_equal.
    apply sum_ext. intros i _. rewrite <- Rmult_plus_distr_l.
    assert (S := softmax_sum 2 ltac:(lia) (logits 1 X V i)). simpl in S.
    unfold predictions. replace (softmax 2 (logits 1 X V i) 0 + softmax 2 (logits 1 X V i) 1) with 1 by lra. ring. }
  assert (T1 := Tot W). assert (T0 := Tot zero). assert (D1 := M_difference W). assert (D0 := M_difference zero).
  replace (zero 0%nat 0%nat - zero 0%nat 1%nat) with 0 in D0 by (unfold zero; ring). rewrite phi_zero in D0.
  unfold inner, sub. simpl.
  set (p := M N 1 2 X W 0%nat 0%nat) in *. set (q := M N 1 2 X W 0%nat 1%nat) in *.
  set (p0 := M N 1 2 X zero 0%nat 0%nat) in *. set (q0 := M N 1 2 X zero 0%nat 1%nat) in *.
  rewrite <- D1. assert (P : p - p0 = (p - q) / 2) by lra. assert (Q : q - q0 = - ((p - q) / 2)) by lra.
  rewrite P, Q. field.
Qed.

(** One feature, two classes, any targets Y: of all orders of lam_1, ..., lam_t > 0 the distance
    |M(W_t) - M(0)| of the last of t exact rounds, M(W) = X^T softmax(X W) / N, is least where they
    rise and largest where they fall. W are the rounds at lam, W' those at another order lam' of it. *)
(** Registry, rising-schedule: ‖M(Wₜ) − M(0)‖ of the last of t exact rounds, of all orders of
    λ₁, …, λₜ, is least where they rise and largest where they fall;  M(W) = 1/N Xᵀ softmax(XW) *)
Theorem rising_schedule Y lam lam' W W' t : (1 <= t)%nat -> positive lam t ->
  Permutation (schedule lam' t) (schedule lam t) ->
  exact_rounds N 1 2 X Y lam W t -> exact_rounds N 1 2 X Y lam' W' t ->
  ((forall r s, (1 <= r <= s)%nat -> (s <= t)%nat -> lam r <= lam s) ->
     norm 1%nat 2%nat (M N 1 2 X (W t) - M N 1 2 X zero) <= norm 1%nat 2%nat (M N 1 2 X (W' t) - M N 1 2 X zero))
  /\ ((forall r s, (1 <= r <= s)%nat -> (s <= t)%nat -> lam s <= lam r) ->
     norm 1%nat 2%nat (M N 1 2 X (W' t) - M N 1 2 X zero) <= norm 1%nat 2%nat (M N 1 2 X (W t) - M N 1 2 X zero)).
Proof.
  intros Ht Hl P HW HW'.
  assert (Mem : forall x, In x (schedule lam t) -> 0 < x).
  { intros x Hx. unfold schedule in Hx. apply in_map_iff in Hx as (s & <- & Hs). apply in_seq in Hs.
    apply Hl. lia. }
  assert (Mem' : forall x, In x (schedule lam' t) -> 0 < x)
    by (intros x Hx; apply Mem; now apply (Permutation_in x P)).
  assert (Hl' : positive lam' t).
  { intros s Hs. apply Mem'. unfold schedule. apply in_map_iff. exists (pred s).
    split; [f_equal; lia|]. apply in_seq. lia. }
  set (u := moment N X Y 0%nat 0%nat - moment N X Y 0%nat 1%nat).
  assert (E := rounds_are_steps Y lam W t Hl HW Ht). assert (E' := rounds_are_steps Y lam' W' t Hl' HW' Ht).
  fold u in E, E'.
  assert (Size : forall l, (forall x, In x l -> 0 < x) ->
    run_of R1 l u ^ 2 = run_of R1 l (Rabs u) ^ 2 /\ 0 <= run_of R1 l (Rabs u)).
  { intros l H. split; [|apply run_keeps; [exact R1_keeps|exact H|apply Rabs_pos]].
    destruct (Rcase_abs u) as [Nu|Nu].
    - rewrite (Rabs_left u Nu), run_odd by exact H. ring.
    - rewrite (Rabs_right u Nu). reflexivity. }
  destruct (Size _ Mem) as (S1 & P1). destruct (Size _ Mem') as (S2 & P2).
  destruct (sorted_ends R1 R1_rises R1_keeps R1_exchange lam t Hl (schedule lam' t) (Rabs u) P (Rabs_pos u))
    as (Rise & Fall).
  assert (Sq : forall x y, 0 <= x -> x <= y -> x ^ 2 / 2 <= y ^ 2 / 2).
  { intros x y Hx Hxy. assert (A := pow_incr x y 2 (conj Hx Hxy)). lra. }
  split; intros Sorted; apply norm_le; rewrite !moment_distance, E, E', S1, S2.
  - apply Sq; [exact P1|now apply Rise].
  - apply Sq; [exact P2|now apply Fall].
Qed.

End OneFeature.

(** The constants kappa_t and L_t of the theorem perturbation, and that kappa_t <= (3/2) L_t for
    t = 1, ..., 60: decided by computing with integers, rounded upwards. *)

From Coq Require Import Reals Lra Lia Arith ZArith List.
From Gramlab Require Import vectors.
Open Scope R_scope.

(** (1 - p)^2 times the sum of y_i p^(2i) over i < t *)
Definition height (t : nat) (y : nat -> R) (p : R) : R :=
  (1 - p) * (1 - p) * \sum_(i < t) (y i * (p ^ i * p ^ i)).

(** The weights (i + alpha) / (t - 1 - i + alpha) *)
Definition weight (t : nat) (alpha : R) (i : nat) : R :=
  (INR i + alpha) / (INR (t - 1 - i) + alpha).

(** kappa_t is the least (the infimum), over alpha > 0, of the largest height on [0, 1]. *)
Definition kappa_bound (t : nat) (k : R) : Prop :=
  exists alpha, 0 < alpha /\ forall p, 0 <= p <= 1 -> height t (weight t alpha) p <= k.
Definition kappa (t : nat) (k : R) : Prop :=
  (forall k', kappa_bound t k' -> k <= k') /\
  (forall m, (forall k', kappa_bound t k' -> m <= k') -> m <= k).

Lemma kappa_bound_nonneg t k : kappa_bound t k -> 0 <= k.
Proof. intros (alpha & _ & H). assert (Q := H 1 ltac:(lra)). unfold height in Q. lra. Qed.

Lemma kappa_bound_exists t : exists k, kappa_bound t k.
Proof.
  exists (sum t (weight t 1)), 1. split; [lra|]. intros p Hp. unfold height.
  assert (W : forall i, 0 <= weight t 1 i).
  { intros i. unfold weight. assert (0 <= INR i) by apply pos_INR.
    assert (0 <= INR (t - 1 - i)) by apply pos_INR.
    apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]. }
  assert (Q : forall i, 0 <= p ^ i <= 1).
  { intros i. split; [apply pow_le; lra|]. rewrite <- (pow1 i). apply pow_incr. lra. }
  assert (S : 0 <= \sum_(i < t) (weight t 1 i * (p ^ i * p ^ i)) <= sum t (weight t 1)).
  { split.
    - apply sum_nonneg. intros i _. apply Rmult_le_pos; [apply W|]. destruct (Q i). apply Rmult_le_pos; lra.
    - apply sum_le. intros i _. rewrite <- (Rmult_1_r (weight t 1 i)) at 2.
      apply Rmult_le_compat_l; [apply W|]. destruct (Q i).
      rewrite <- (Rmult_1_r 1). apply Rmult_le_compat; lra. }
  assert ((1 - p) * (1 - p) <= 1 * 1) by (apply Rmult_le_compat; lra).
  rewrite <- (Rmult_1_l (sum t (weight t 1))). apply Rmult_le_compat; try lra.
  apply Rle_0_sqr.
Qed.

Lemma kappa_exists t : exists k, kappa t k.
Proof.
  destruct (completeness (fun x => kappa_bound t (- x))) as (m & Upper & Least).
  - exists 0. intros x H. apply kappa_bound_nonneg in H. lra.
  - destruct (kappa_bound_exists t) as (k & H). exists (- k). rewrite Ropp_involutive. exact H.
  - exists (- m). split.
    + intros k' H. assert (Q : - k' <= m) by (apply Upper; rewrite Ropp_involutive; exact H). lra.
    + intros q H. assert (Q : m <= - q); [|lra]. apply Least. intros x Hx. assert (Z := H _ Hx). lra.
Qed.

(** L_t = t ((t - 1)/(t + 1))^(t - 1) 4/(t + 1)^2, the largest slope of h^t times mu. *)
Definition steepest (t : nat) : R :=
  INR t * ((INR t - 1) / (INR t + 1)) ^ (t - 1) * (4 / (INR t + 1) ^ 2).

(** ** Numbers in units of 1/D, rounded upwards *)

Definition D : Z := (2 ^ 24)%Z.
Definition up (a b : Z) : Z := (a / b + 1)%Z.

Lemma up_spec a b : (0 < b)%Z -> IZR a <= IZR (up a b) * IZR b.
Proof.
  intros Hb. rewrite <- mult_IZR. apply IZR_le. unfold up.
  assert (H := Z.mul_succ_div_gt a b Hb). lia.
Qed.

Lemma D_pos : 0 < IZR D.
Proof. apply IZR_lt. reflexivity. Qed.

(** The same for the division by D, by shifting. *)
Definition up_D (a : Z) : Z := (Z.shiftr a 24 + 1)%Z.

Lemma up_D_spec a : IZR a <= IZR (up_D a) * IZR D.
Proof.
  unfold up_D. rewrite Z.shiftr_div_pow2 by lia. apply (up_spec a D). reflexivity.
Qed.

(** alpha = a/100: the weights, the sum of w_i x^i, and the height on the interval from l to r. *)
Definition weight_up (t : nat) (a : Z) (i : nat) : Z :=
  up ((100 * Z.of_nat i + a) * D) (100 * Z.of_nat (t - 1 - i) + a).
Fixpoint horner (w : list Z) (x : Z) : Z :=
  match w with nil => 0%Z | cons c w => (c + up_D (horner w x * x))%Z end.
Definition height_up (w : list Z) (l r : Z) : Z :=
  up_D (up_D ((D - l) * (D - l)) * horner w (up_D (r * r))).

(** Whether the height is below [most] on the interval, cut in halves where that is not seen. *)
Fixpoint below (fuel : nat) (w : list Z) (most l r : Z) : bool :=
  if (height_up w l r <=? most)%Z then true
  else match fuel with
       | O => false
       | S fuel => let m := ((l + r) / 2)%Z in below fuel w most l m && below fuel w most m r
       end.

(** (3/2) L_t, rounded downwards *)
Definition most (t : nat) : Z :=
  let z := Z.of_nat t in
  ((6 * z * (z - 1) ^ (z - 1) * D) / ((z + 1) ^ (z - 1) * (z + 1) ^ 2))%Z.

Definition alpha (t : nat) : Z :=
  if (t <=? 5)%nat then 50%Z else if (t <=? 15)%nat then 60%Z else if (t <=? 31)%nat then 70%Z
  else if (t <=? 45)%nat then 75%Z else 78%Z.

(** ** What the integers say about the reals *)

Lemma horner_spec n : forall s (f : nat -> R) (w : nat -> Z) x z,
  0 <= x -> x * IZR D <= IZR z -> (forall i, 0 <= f i) ->
  (forall i, (s <= i < s + n)%nat -> f i * IZR D <= IZR (w i)) ->
  (\sum_(i < n) (f (s + i)%nat * x ^ i)) * IZR D <= IZR (horner (map w (seq s n)) z).
Proof.
  assert (HD := D_pos).
  induction n as [|n IH]; intros s f w x z Hx Hz Hf Hw; [simpl; lra|].
  rewrite sum_shift. cbn [seq map horner]. rewrite plus_IZR.
  set (h := horner (map w (seq (S s) n)) z).
  assert (H := IH (S s) f w x z Hx Hz Hf ltac:(intros; apply Hw; lia)). fold h in H.
  set (q := \sum_(i < n) (f (S s + i)%nat * x ^ i)) in *.
  assert (Q : \sum_(i < n) (f (s + S i)%nat * x ^ S i) = x * q).
  { unfold q. rewrite <- sum_scal_l. apply sum_ext. intros i _.
    replace (s + S i)%nat with (S s + i)%nat by lia. cbn [pow]. ring. }
  rewrite Q.
  assert (Hq : 0 <= q) by (apply sum_nonneg; intros; apply Rmult_le_pos; [apply Hf|apply pow_le, Hx]).
  assert (U := up_D_spec (h * z)). rewrite mult_IZR in U.
  assert (F := Hw s ltac:(lia)). replace (s + 0)%nat with s by lia. rewrite pow_O.
  (* x q D <= h z / D *)
  assert (P : q * IZR D * (x * IZR D) <= IZR h * IZR z).
  { apply Rmult_le_compat; [apply Rmult_le_pos; lra|apply Rmult_le_pos; lra|exact H|exact Hz]. }
  assert (P' : x * q * IZR D <= IZR (up_D (h * z))).
  { apply (Rmult_le_reg_r (IZR D)); [exact HD|]. lra. }
  lra.
Qed.

Lemma height_up_spec t a l r p : (0 < a)%Z -> (0 <= l <= r)%Z -> (r <= D)%Z ->
  IZR l <= p * IZR D <= IZR r ->
  height t (weight t (IZR a / 100)) p * IZR D
  <= IZR (height_up (map (weight_up t a) (seq 0 t)) l r).
Proof.
  intros Ha Hl Hr Hp. assert (HD := D_pos).
  assert (Hl0 : 0 <= IZR l) by (apply IZR_le; lia).
  assert (HrD : IZR r <= IZR D) by (apply IZR_le, Hr).
  assert (Ha' : 0 < IZR a) by (apply IZR_lt, Ha).
  assert (P0 : 0 <= p) by (apply (Rmult_le_reg_r (IZR D)); [exact HD|lra]).
  assert (P1 : p <= 1) by (apply (Rmult_le_reg_r (IZR D)); [exact HD|lra]).
  set (f := weight t (IZR a / 100)).
  assert (Hf : forall i, 0 <= f i).
  { intros i. unfold f, weight. assert (0 <= INR i) by apply pos_INR.
    assert (0 <= INR (t - 1 - i)) by apply pos_INR. apply Rmult_le_pos; [lra|].
    left. apply Rinv_0_lt_compat. lra. }
  assert (Hw : forall i, f i * IZR D <= IZR (weight_up t a i)).
  { intros i. unfold f, weight, weight_up.
    assert (Hb : (0 < 100 * Z.of_nat (t - 1 - i) + a)%Z) by lia.
    assert (U := up_spec ((100 * Z.of_nat i + a) * D) _ Hb).
    rewrite mult_IZR, !plus_IZR, !mult_IZR, <- !INR_IZR_INZ in U.
    assert (0 <= INR i) by apply pos_INR. assert (B0 : 0 <= INR (t - 1 - i)) by apply pos_INR.
    apply (Rmult_le_reg_r (100 * INR (t - 1 - i) + IZR a)); [lra|].
    replace ((INR i + IZR a / 100) / (INR (t - 1 - i) + IZR a / 100) * IZR D
             * (100 * INR (t - 1 - i) + IZR a)) with ((100 * INR i + IZR a) * IZR D)
      by (field; lra). exact U. }
  set (x := up_D (r * r)).
  assert (Hx : p * p * IZR D <= IZR x).
  { assert (U := up_D_spec (r * r)). rewrite mult_IZR in U. fold x in U.
    apply (Rmult_le_reg_r (IZR D)); [exact HD|].
    assert (p * IZR D * (p * IZR D) <= IZR r * IZR r).
    { apply Rmult_le_compat; try apply Rmult_le_pos; lra. }
    lra. }
  assert (Q := horner_spec t 0 f (weight_up t a) (p * p) x ltac:(apply Rmult_le_pos; lra) Hx Hf
                 (fun i _ => Hw i)).
  set (h := horner (map (weight_up t a) (seq 0 t)) x) in *.
  set (g := \sum_(i < t) (f (0 + i)%nat * (p * p) ^ i)) in *.
  assert (Eg : height t f p = (1 - p) * (1 - p) * g).
  { unfold height, g. f_equal. apply sum_ext. intros i _. rewrite Rpow_mult_distr. reflexivity. }
  assert (Hg : 0 <= g).
  { apply sum_nonneg. intros. apply Rmult_le_pos; [apply Hf|apply pow_le, Rmult_le_pos; lra]. }
  rewrite Eg. unfold height_up. fold x h. set (c := up_D ((D - l) * (D - l))).
  assert (Hc : (1 - p) * (1 - p) * IZR D <= IZR c).
  { assert (U := up_D_spec ((D - l) * (D - l))). rewrite mult_IZR, minus_IZR in U. fold c in U.
    apply (Rmult_le_reg_r (IZR D)); [exact HD|].
    assert ((1 - p) * IZR D * ((1 - p) * IZR D) <= (IZR D - IZR l) * (IZR D - IZR l)).
    { apply Rmult_le_compat; try (apply Rmult_le_pos; lra); lra. }
    lra. }
  assert (U := up_D_spec (c * h)). rewrite mult_IZR in U.
  apply (Rmult_le_reg_r (IZR D)); [exact HD|].
  assert ((1 - p) * (1 - p) * IZR D * (g * IZR D) <= IZR c * IZR h).
  { apply Rmult_le_compat; try exact Hc; try exact Q.
    - apply Rmult_le_pos; [apply Rle_0_sqr|lra].
    - apply Rmult_le_pos; lra. }
  lra.
Qed.

Lemma below_spec t a top fuel : (0 < a)%Z -> forall l r, (0 <= l <= r)%Z -> (r <= D)%Z ->
  below fuel (map (weight_up t a) (seq 0 t)) top l r = true ->
  forall p, IZR l <= p * IZR D <= IZR r -> height t (weight t (IZR a / 100)) p * IZR D <= IZR top.
Proof.
  intros Ha. induction fuel as [|fuel IH]; intros l r Hl Hr B p Hp; cbn [below] in B;
    destruct (Z.leb_spec (height_up (map (weight_up t a) (seq 0 t)) l r) top) as [L|L].
  - eapply Rle_trans; [apply (height_up_spec t a l r p); assumption|]. apply IZR_le, L.
  - discriminate.
  - eapply Rle_trans; [apply (height_up_spec t a l r p); assumption|]. apply IZR_le, L.
  - apply andb_prop in B as (B1 & B2). set (m := ((l + r) / 2)%Z) in *.
    assert (Hm : (l <= m <= r)%Z).
    { unfold m. split; [apply Z.div_le_lower_bound; lia|apply Z.div_le_upper_bound; lia]. }
    destruct (Rle_lt_dec (p * IZR D) (IZR m)) as [C|C].
    + apply (IH l m); try lia; try assumption. lra.
    + apply (IH m r); try lia; try assumption. lra.
Qed.

Lemma most_spec t : (0 < t)%nat -> IZR (most t) <= 3 / 2 * steepest t * IZR D.
Proof.
  intros Ht. unfold most. set (z := Z.of_nat t).
  assert (Ez : IZR z = INR t) by (symmetry; apply INR_IZR_INZ).
  assert (Hz : (0 < z)%Z) by (unfold z; lia).
  assert (Pw : forall b, IZR (b ^ (z - 1)) = IZR b ^ (t - 1)).
  { intros b. replace (z - 1)%Z with (Z.of_nat (t - 1)) by (unfold z; lia). symmetry. apply pow_IZR. }
  set (den := ((z + 1) ^ (z - 1) * (z + 1) ^ 2)%Z).
  assert (Hden : (0 < den)%Z).
  { unfold den. apply Z.mul_pos_pos; apply Z.pow_pos_nonneg; lia. }
  assert (Q := Z.mul_div_le (6 * z * (z - 1) ^ (z - 1) * D) den Hden).
  apply IZR_le in Q. rewrite !mult_IZR in Q.
  assert (Hd : 0 < IZR den) by (apply IZR_lt, Hden).
  apply (Rmult_le_reg_l (IZR den)); [exact Hd|]. eapply Rle_trans; [exact Q|].
  assert (HT : 0 < INR t) by (apply lt_0_INR, Ht).
  assert (Eden : IZR den = (INR t + 1) ^ (t - 1) * (INR t + 1) ^ 2).
  { unfold den. rewrite mult_IZR, Pw, plus_IZR, Ez. f_equal.
    change (IZR ((z + 1) ^ 2)) with (IZR ((z + 1) ^ Z.of_nat 2)).
    rewrite <- pow_IZR, plus_IZR, Ez. reflexivity. }
  rewrite Eden, Pw, minus_IZR, Ez. unfold steepest, Rdiv at 2. rewrite Rpow_mult_distr, pow_inv.
  right. field. split; [|apply pow_nonzero]; lra.
Qed.

Lemma alpha_pos t : (0 < alpha t)%Z.
Proof. unfold alpha. destruct (t <=? 5)%nat, (t <=? 15)%nat, (t <=? 31)%nat, (t <=? 45)%nat; reflexivity. Qed.

Lemma all_below :
  forallb (fun t => below 22 (map (weight_up t (alpha t)) (seq 0 t)) (most t) 0 D) (seq 1 60) = true.
Proof. vm_cast_no_check (eq_refl true). Qed.

(** kappa_t <= (3/2) L_t for t = 1, ..., 60 *)
Theorem kappa_near (t : nat) : (1 <= t <= 60)%nat -> kappa_bound t (3 / 2 * steepest t).
Proof.
  intros Ht. assert (HD := D_pos). assert (Ha := alpha_pos t).
  assert (B := proj1 (forallb_forall _ _) all_below t (proj2 (in_seq 60 1 t) ltac:(lia))).
  cbv beta in B. revert Ha B. generalize (alpha t). intros a Ha B.
  assert (Ha' : 0 < IZR a) by (apply IZR_lt, Ha).
  exists (IZR a / 100). split; [lra|]. intros p Hp.
  apply (Rmult_le_reg_r (IZR D)); [exact HD|].
  eapply Rle_trans; [|apply most_spec; lia].
  revert B. generalize (most t) 22%nat. intros top fuel B.
  refine (below_spec t a top fuel Ha 0 D _ (Z.le_refl D) B p _).
  - split; [apply Z.le_refl|discriminate].
  - split; [apply Rmult_le_pos; lra|]. rewrite <- (Rmult_1_l (IZR D)) at 2.
    apply Rmult_le_compat_r; lra.
Qed.

(** At one total weight decay, linear rounds keep the less the more even their steps are. *)

From Coq Require Import Reals Lra Lia Arith FinFun.
From Gramlab Require Import sums softmax persistence.
Open Scope R_scope.

(** h_mu(s) = s/(s + mu), and what rounds at mu_0, ..., mu_(t-1) keep of the eigenvalue s. *)
Definition h (mu s : R) : R := s / (s + mu).
Definition kept (t : nat) (mu : nat -> R) (s : R) : R := product t (fun i => h (mu i) s).

(** mu majorizes nu: some order of mu and one of nu in which it falls have the same total, and for
    every k the first k of mu sum to no less than the first, the largest, k of nu. Rounds that are
    not there count as mu = 0. *)
Definition falls (t : nat) (mu : nat -> R) :=
  forall i j, (i < j)%nat -> (j < t)%nat -> mu j <= mu i.
Definition majorizes (t : nat) (mu nu : nat -> R) : Prop :=
  exists p q, permutes t p /\ permutes t q /\ falls t (fun i => nu (q i)) /\
    sum t mu = sum t nu /\
    forall k, (k <= t)%nat -> \sum_(i < k) nu (q i) <= \sum_(i < k) mu (p i).

Lemma h_zero s : 0 < s -> h 0 s = 1.
Proof. intros Hs. unfold h. field. lra. Qed.

Lemma exp_power y t : exp (- y) ^ t = exp (- (INR t * y)).
Proof.
  induction t as [|t IH]; [simpl; rewrite Rmult_0_l, Ropp_0, exp_0; reflexivity|].
  simpl pow. rewrite IH, <- exp_plus, S_INR. f_equal. ring.
Qed.

(** Abel: for weights that rise and partial sums that are not below 0, total 0, the weighted sum is
    not above 0. *)
Lemma abel t (w x : nat -> R) : (forall i j, (i < j)%nat -> (j < t)%nat -> w i <= w j) ->
  (forall k, (k <= t)%nat -> 0 <= sum k x) -> sum t x = 0 -> \sum_(i < t) (w i * x i) <= 0.
Proof.
  intros Hw Hx Hz.
  assert (P : forall n, (S n <= t)%nat -> \sum_(i < S n) (w i * x i) <= w n * sum (S n) x).
  { induction n as [|n IH]; intros Hn; [simpl; lra|].
    specialize (IH ltac:(lia)). assert (W := Hw n (S n) ltac:(lia) ltac:(lia)).
    assert (X := Hx (S n) ltac:(lia)).
    change (\sum_(i < S n) (w i * x i) + w (S n) * x (S n) <= w (S n) * (sum (S n) x + x (S n))).
    assert (w n * sum (S n) x <= w (S n) * sum (S n) x) by (apply Rmult_le_compat_r; assumption). lra. }
  destruct t as [|n]; [simpl; lra|]. assert (Q := P n (le_n _)). rewrite Hz in Q. lra.
Qed.

Section Order.

Variable s : R.
Hypothesis s_pos : 0 < s.

Let ln_h mu : 0 <= mu -> h mu s = exp (- (ln (s + mu) - ln s)).
Proof.
  intros Hm. rewrite Ropp_minus_distr. unfold h. rewrite <- ln_div by lra.
  rewrite exp_ln; [reflexivity|]. apply Rdiv_lt_0_compat; lra.
Qed.

(** ln of what is kept, with the sign turned: the sum of ln(1 + mu_i/s) *)
Let spent (t : nat) (mu : nat -> R) : R := \sum_(i < t) (ln (s + mu i) - ln s).

Lemma kept_exp t mu : (forall i, (i < t)%nat -> 0 <= mu i) -> kept t mu s = exp (- spent t mu).
Proof.
  intros H. unfold kept, spent. rewrite <- sum_opp, <- product_exp. apply product_ext.
  intros i Hi. now apply ln_h, H.
Qed.

(** The order of a schedule changes nothing. *)
Lemma kept_permuted t mu p : permutes t p -> (forall i, (i < t)%nat -> 0 <= mu i) ->
  kept t (fun i => mu (p i)) s = kept t mu s.
Proof.
  intros Hp H. rewrite !kept_exp; [|exact H|intros i Hi; apply H; now apply Hp].
  f_equal. f_equal. exact (sum_permuted t p (fun i => ln (s + mu i) - ln s) Hp).
Qed.

(** ln lies below its tangents. *)
Let tangent a b : 0 <= a -> 0 <= b -> ln (s + a) - ln (s + b) <= (a - b) / (s + b).
Proof.
  intros Ha Hb. rewrite <- ln_div by lra.
  eapply Rle_trans; [apply ln_le_minus, Rdiv_lt_0_compat; lra|]. right. field. lra.
Qed.

(** The more even schedule keeps less. *)
Lemma even_keeps_less t mu nu : (forall i, (i < t)%nat -> 0 <= mu i) ->
  (forall i, (i < t)%nat -> 0 <= nu i) -> majorizes t mu nu -> kept t nu s <= kept t mu s.
Proof.
  intros Hm Hn (p & q & Pp & Pq & Fall & Tot & Part).
  rewrite <- (kept_permuted t mu p Pp Hm), <- (kept_permuted t nu q Pq Hn).
  set (a := fun i => mu (p i)). set (b := fun i => nu (q i)).
  assert (Pa : forall i, (i < t)%nat -> 0 <= a i) by (intros i Hi; apply Hm; now apply Pp).
  assert (Pb : forall i, (i < t)%nat -> 0 <= b i) by (intros i Hi; apply Hn; now apply Pq).
  rewrite !kept_exp by assumption.
  assert (L : spent t a - spent t b <= 0).
  { unfold spent. rewrite <- sum_minus.
    apply Rle_trans with (\sum_(i < t) (/ (s + b i) * (a i - b i))).
    - apply sum_le. intros i Hi. assert (T := tangent (a i) (b i) (Pa i Hi) (Pb i Hi)).
      unfold Rdiv in T. lra.
    - apply (abel t (fun i => / (s + b i)) (fun i => a i - b i)).
      + intros i j Hij Hj. assert (F := Fall i j Hij Hj). fold (b i) (b j) in F.
        assert (B := Pb j Hj). apply Rinv_le_contravar; [lra|]. unfold b in *. lra.
      + intros n Hn'. rewrite sum_minus. assert (Q := Part n Hn'). unfold a, b.
        change (sum n (fun i => nu (q i))) with (\sum_(i < n) nu (q i)) in *.
        change (sum n (fun i => mu (p i))) with (\sum_(i < n) mu (p i)) in *. lra.
      + rewrite sum_minus. unfold a, b.
        rewrite (sum_permuted t p mu Pp), (sum_permuted t q nu Pq). lra. }
  destruct (Rle_lt_or_eq_dec _ _ L) as [Q|Q]; [left; apply exp_increasing; lra|].
  right. f_equal. lra.
Qed.

(** Equal rounds keep least, *)
Lemma equal_keep_least t nu : (0 < t)%nat -> (forall i, (i < t)%nat -> 0 <= nu i) ->
  h (sum t nu / INR t) s ^ t <= kept t nu s.
Proof.
  intros Ht Hn. assert (P := lt_0_INR t Ht). set (m := sum t nu / INR t).
  assert (Pm : 0 <= m).
  { unfold m. apply Rmult_le_pos; [now apply sum_nonneg|left; now apply Rinv_0_lt_compat]. }
  assert (E : h m s ^ t = exp (- (INR t * (ln (s + m) - ln s)))).
  { rewrite ln_h by exact Pm. apply exp_power. }
  rewrite E, kept_exp by exact Hn.
  assert (L : spent t nu <= INR t * (ln (s + m) - ln s)).
  { unfold spent. rewrite <- sum_const.
    apply Rle_trans with (\sum_(i < t) ((nu i - m) * / (s + m) + (ln (s + m) - ln s))).
    - apply sum_le. intros i Hi. assert (T := tangent (nu i) m (Hn i Hi) Pm). unfold Rdiv in T. lra.
    - right. rewrite sum_plus, sum_scal_r, sum_minus, sum_const. rewrite sum_const.
      replace (sum t nu) with (INR t * m) by (unfold m; field; lra). ring. }
  destruct L as [L|L]; [left; apply exp_increasing; lra|right; f_equal; lra].
Qed.

(** and one training most. *)
Lemma one_keeps_most t mu : (forall i, (i < t)%nat -> 0 <= mu i) -> kept t mu s <= h (sum t mu) s.
Proof.
  induction t as [|t IH]; intros H.
  - unfold kept. simpl. rewrite h_zero by exact s_pos. lra.
  - specialize (IH (fun i Hi => H i ltac:(lia))).
    assert (Pt : 0 <= sum t mu) by (apply sum_nonneg; intros; apply H; lia). assert (Pm := H t ltac:(lia)).
    assert (Ph : 0 <= h (mu t) s) by (unfold h; apply Rmult_le_pos; [lra|left; apply Rinv_0_lt_compat; lra]).
    change (kept (S t) mu s) with (kept t mu s * h (mu t) s).
    eapply Rle_trans; [apply Rmult_le_compat_r; [exact Ph|exact IH]|]. simpl sum. unfold h.
    set (a := sum t mu) in *. set (b := mu t) in *.
    assert (Z : 0 < (s + a) * (s + b) * (s + (a + b))) by (repeat apply Rmult_lt_0_compat; lra).
    assert (D : s / (s + (a + b)) - s / (s + a) * (s / (s + b))
      = s * (a * b) / ((s + a) * (s + b) * (s + (a + b)))) by (field; repeat split; lra).
    assert (0 <= s * (a * b) / ((s + a) * (s + b) * (s + (a + b)))); [|lra].
    apply Rmult_le_pos; [apply Rmult_le_pos; [lra|now apply Rmult_le_pos]|left; now apply Rinv_0_lt_compat].
Qed.

(** Equal rounds keep less the more they are, *)
Lemma equal_rounds_fall Lam t : 0 <= Lam -> (0 < t)%nat ->
  h (Lam / INR (S t)) s ^ S t <= h (Lam / INR t) s ^ t.
Proof.
  intros HL Ht. assert (P := lt_0_INR t Ht).
  set (nu := fun i => if Nat.eqb i t then 0 else Lam / INR t).
  assert (Pq : 0 <= Lam / INR t) by (apply Rmult_le_pos; [exact HL|left; now apply Rinv_0_lt_compat]).
  assert (Hn : forall i, (i < S t)%nat -> 0 <= nu i) by (intros i _; unfold nu; destruct (Nat.eqb i t); lra).
  assert (First : forall i, (i < t)%nat -> nu i = Lam / INR t)
    by (intros i Hi; unfold nu; rewrite (proj2 (Nat.eqb_neq i t)) by lia; reflexivity).
  assert (Last : nu t = 0) by (unfold nu; now rewrite Nat.eqb_refl).
  assert (Sum : sum (S t) nu = Lam).
  { simpl. rewrite Last, (sum_ext t nu (fun _ => Lam / INR t) First), sum_const. field. lra. }
  assert (E := equal_keep_least (S t) nu ltac:(lia) Hn). rewrite Sum in E.
  eapply Rle_trans; [exact E|]. right.
  change (kept (S t) nu s) with (kept t nu s * h (nu t) s). rewrite Last, h_zero, Rmult_1_r by exact s_pos.
  unfold kept. rewrite (product_ext t _ (fun _ => h (Lam / INR t) s)) by (intros i Hi; now rewrite First).
  generalize (h (Lam / INR t) s). intros x. clear. induction t as [|t IH]; [reflexivity|].
  simpl. rewrite IH. ring.
Qed.

(** and go to exp(- Lam/s). *)
Lemma equal_rounds_limit Lam : 0 <= Lam ->
  Un_cv (fun t => h (Lam / INR (S t)) s ^ S t) (exp (- (Lam / s))).
Proof.
  intros HL. set (x := Lam / s).
  assert (Px : 0 <= x) by (apply Rmult_le_pos; [exact HL|left; now apply Rinv_0_lt_compat]).
  (* between exp(-x) and exp(-x/(1 + x/t)) <= exp(-x) (1 + ...) *)
  assert (B : forall t, (0 < t)%nat ->
    exp (- x) <= h (Lam / INR t) s ^ t <= exp (- x + x ^ 2 / INR t)).
  { intros t Ht. assert (P := lt_0_INR t Ht).
    assert (Pq : 0 <= Lam / INR t) by (apply Rmult_le_pos; [exact HL|left; now apply Rinv_0_lt_compat]).
    assert (E : h (Lam / INR t) s ^ t = exp (- (INR t * (ln (s + Lam / INR t) - ln s)))).
    { rewrite ln_h by exact Pq. apply exp_power. }
    assert (Up : ln (s + Lam / INR t) - ln s <= x / INR t).
    { assert (T := tangent (Lam / INR t) 0 Pq (Rle_refl 0)). rewrite Rplus_0_r in T.
      eapply Rle_trans; [exact T|]. right. unfold x. field. lra. }
    assert (Low : x / INR t - x ^ 2 / INR t ^ 2 <= ln (s + Lam / INR t) - ln s).
    { assert (T := tangent 0 (Lam / INR t) (Rle_refl 0) Pq). rewrite Rplus_0_r in T.
      assert (F : (0 - Lam / INR t) / (s + Lam / INR t) = - (x / INR t) / (1 + x / INR t)).
      { unfold x. field. repeat split; try lra.
        assert (0 <= Lam) by exact HL. assert (0 < s * INR t) by (apply Rmult_lt_0_compat; lra). lra. }
      rewrite F in T.
      set (y := x / INR t) in *. assert (Py : 0 <= y).
      { unfold y. apply Rmult_le_pos; [exact Px|left; now apply Rinv_0_lt_compat]. }
      replace (x ^ 2 / INR t ^ 2) with (y ^ 2) by (unfold y; field; lra).
      assert (G : y - y ^ 2 <= y / (1 + y)).
      { apply Rmult_le_reg_r with (1 + y); [lra|].
        replace (y / (1 + y) * (1 + y)) with y by (field; lra).
        assert (0 <= y ^ 3) by (apply pow_le; exact Py). lra. }
      replace (- y / (1 + y)) with (- (y / (1 + y))) in T by (field; lra). lra. }
    rewrite E.
    assert (U1 : INR t * (ln (s + Lam / INR t) - ln s) <= x).
    { apply Rmult_le_compat_l with (r := INR t) in Up; [|lra].
      replace (INR t * (x / INR t)) with x in Up by (field; lra). exact Up. }
    assert (U2 : x - x ^ 2 / INR t <= INR t * (ln (s + Lam / INR t) - ln s)).
    { apply Rmult_le_compat_l with (r := INR t) in Low; [|lra].
      replace (INR t * (x / INR t - x ^ 2 / INR t ^ 2)) with (x - x ^ 2 / INR t) in Low by (field; lra).
      exact Low. }
    assert (Mon : forall a b, a <= b -> exp a <= exp b).
    { intros a b [L|L]; [left; now apply exp_increasing|right; now rewrite L]. }
    split; apply Mon; lra. }
  (* exp is continuous *)
  intros eps Heps.
  assert (C := derivable_continuous_pt exp (- x) (derivable_pt_exp (- x))).
  destruct (C eps Heps) as (delta & Hd & Near). simpl in Near. unfold R_dist in Near.
  destruct (archimed_cor1 (delta / (x ^ 2 + 1))) as (n & Hn & Pn).
  { apply Rdiv_lt_0_compat; [exact Hd|]. assert (A := pow2_ge_0 x). lra. }
  exists n. intros t Ht. unfold R_dist.
  destruct (B (S t) ltac:(lia)) as (Lo & Hi).
  set (v := h (Lam / INR (S t)) s ^ S t) in *.
  assert (Q : 0 <= x ^ 2 / INR (S t) < delta).
  { assert (A := pow2_ge_0 x). assert (PS := lt_0_INR (S t) ltac:(lia)).
    split; [apply Rmult_le_pos; [exact A|left; now apply Rinv_0_lt_compat]|].
    assert (I : / INR (S t) <= / INR n).
    { apply Rinv_le_contravar; [now apply lt_0_INR|]. apply le_INR. lia. }
    apply Rle_lt_trans with (x ^ 2 * / INR n); [now apply Rmult_le_compat_l|].
    apply Rle_lt_trans with (x ^ 2 * (delta / (x ^ 2 + 1))).
    - apply Rmult_le_compat_l; lra.
    - apply Rmult_lt_reg_r with (x ^ 2 + 1); [lra|].
      replace (x ^ 2 * (delta / (x ^ 2 + 1)) * (x ^ 2 + 1)) with (x ^ 2 * delta) by (field; lra). lra. }
  assert (Dist : Rabs (exp (- x + x ^ 2 / INR (S t)) - exp (- x)) < eps).
  { destruct (Req_dec (x ^ 2 / INR (S t)) 0) as [Z|NZ].
    - rewrite Z, Rplus_0_r, Rminus_diag_eq, Rabs_R0 by reflexivity. exact Heps.
    - apply Near. split.
      + split; [exact I|]. intros A. apply NZ. lra.
      + replace (- x + x ^ 2 / INR (S t) - - x) with (x ^ 2 / INR (S t)) by ring.
        rewrite Rabs_pos_eq; lra. }
  fold x. rewrite Rabs_pos_eq by lra. rewrite Rabs_pos_eq in Dist by lra. lra.
Qed.

(** For an eigenvalue s > 0, schedules mu and nu of t rounds (rounds that are not there are 0) of which
    mu majorizes nu, Lam their total:

      h_(Lam/t)(s)^t <= prod of h_(nu_i)(s) <= prod of h_(mu_i)(s) <= h_Lam(s);

    the order of a schedule changes nothing, and h_(Lam/t)(s)^t falls to exp(- Lam/s) as t grows. *)
Theorem schedule_order t mu nu : (0 < t)%nat -> (forall i, (i < t)%nat -> 0 <= mu i) ->
  (forall i, (i < t)%nat -> 0 <= nu i) -> majorizes t mu nu ->
  let Lam := sum t nu in
  h (Lam / INR t) s ^ t <= kept t nu s /\ kept t nu s <= kept t mu s /\ kept t mu s <= h Lam s
  /\ (forall p, permutes t p -> kept t (fun i => mu (p i)) s = kept t mu s)
  /\ (forall n, (0 < n)%nat -> h (Lam / INR (S n)) s ^ S n <= h (Lam / INR n) s ^ n)
  /\ Un_cv (fun n => h (Lam / INR (S n)) s ^ S n) (exp (- (Lam / s))).
Proof.
  intros Ht Hm Hn M Lam.
  assert (PL : 0 <= Lam) by now apply sum_nonneg.
  split; [now apply equal_keep_least|]. split; [now apply even_keeps_less|]. split.
  - assert (E : sum t mu = Lam) by (destruct M as (_ & _ & _ & _ & _ & E & _); exact E).
    rewrite <- E. now apply one_keeps_most.
  - split; [intros p Hp; now apply kept_permuted|]. split.
    + intros n Hn'. now apply equal_rounds_fall.
    + now apply equal_rounds_limit.
Qed.

End Order.

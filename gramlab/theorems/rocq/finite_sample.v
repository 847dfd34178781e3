(** How likely a round fails on n sampled labels per class, fluctuating class marginals included. *)

From Coq Require Import Reals Lra Lia Arith Bool List.
From Gramlab Require Import sums block_model hoeffding.
Open Scope R_scope.

(** Given labels as one-hot rows. *)
Definition given (y : nat -> nat) (i l : nat) : R := ind (Nat.eqb (y i) l).

(** Sample i is not right after t rounds: some other class is predicted at least as high. *)
Definition wrong (b : block) (t : nat) (y : nat -> nat) (i : nat) : bool :=
  existsb (fun l => negb (Nat.eqb l (true_class b i)) &&
    if Rle_dec (prediction b (given y) t i (true_class b i)) (prediction b (given y) t i l)
    then true else false)
    (seq 0 (n_classes b)).

(** The probability that some sample is wrong, labels drawn independently: y_i is j with probability
    C (true class of i) j. *)
Definition failure (b : block) (C : nat -> nat -> R) (t : nat) : R :=
  expect (n_classes b) (fun i => C (true_class b i)) (n_samples b)
    (fun y => if existsb (wrong b t y) (seq 0 (n_samples b)) then 1 else 0).

Section FiniteSample.

Variables (b : block) (C : nat -> nat -> R) (t : nat).
Hypothesis model : in_model b.
Hypothesis C_nonneg : forall k j, (k < n_classes b)%nat -> (j < n_classes b)%nat -> 0 <= C k j.
Hypothesis C_rows : forall k, (k < n_classes b)%nat -> sum (n_classes b) (C k) = 1.

Local Notation N := (n_samples b).
Local Notation K := (n_classes b).
Local Notation n := (INR (per_class b)).
Local Notation m := (INR (per_superclass b)).
Local Notation cls := (true_class b).
Local Notation sup := (superclass b).

(** 1[j = k] - 1[j = l] *)
Definition versus (k l j : nat) : R := ind (Nat.eqb j k) - ind (Nat.eqb j l).

(** omega_kq = 1[q = k] (p_B^t - p_A^t) + 1[q ~ k] (p_C^t - p_B^t)/m + (p_D^t - p_C^t)/K *)
Definition omega (k q : nat) : R :=
  ind (Nat.eqb q k) * (p_B b ^ t - p_A b ^ t)
  + ind (Nat.eqb (sup q) (sup k)) * ((p_C b ^ t - p_B b ^ t) / m)
  + (p_D b ^ t - p_C b ^ t) / INR K.

(** a_kl = p_A^t max of 1[j = l] - 1[j = k] over the labels j with C_kj > 0, and
    r_ql = range of 1[j = k] - 1[j = l] over those with C_qj > 0; anything that is not less does. *)
Variables (a : nat -> nat -> R) (r : nat -> nat -> nat -> R).
Hypothesis a_max : forall k l j, (k < K)%nat -> (l < K)%nat -> (j < K)%nat -> 0 < C k j ->
  p_A b ^ t * - versus k l j <= a k l.
Hypothesis r_range : forall q k l j j', (q < K)%nat -> (k < K)%nat -> (l < K)%nat ->
  (j < K)%nat -> (j' < K)%nat -> 0 < C q j -> 0 < C q j' -> versus k l j - versus k l j' <= r q k l.

(** (e^(u a_kl) prod over q of sum over j of C_qj e^(- u omega_kq (1[j = k] - 1[j = l])))^n *)
Definition chernoff (k l : nat) (u : R) : R :=
  (exp (u * a k l)
   * product K (fun q => \sum_(j < K) (C q j * exp (- u * omega k q * versus k l j)))) ^ per_class b.

(** x_kl = sum over q of omega_kq (C_qk - C_ql) - a_kl *)
Definition excess (k l : nat) : R := \sum_(q < K) (omega k q * (C q k - C q l)) - a k l.

(** exp(- 2 n max(x_kl, 0)^2 / sum over q of omega_kq^2 r_ql^2), where the denominator is 0 its limit:
    0 for x_kl > 0, else 1. *)
Definition hoeffding_bound (k l : nat) : R :=
  let V := \sum_(q < K) (omega k q ^ 2 * r q k l ^ 2) in
  if Req_EM_T V 0 then (if Rlt_dec 0 (excess k l) then 0 else 1)
  else exp (- (2 * n * Rmax (excess k l) 0 ^ 2 / V)).

(** A sum over pairs k <> l. *)
Definition pairs (f : nat -> nat -> R) : R :=
  \sum_(k < K) \sum_(l < K) (if Nat.eqb k l then 0 else f k l).

Let Sizes : equal_sizes b. Proof. apply model. Qed.
Let Hn : 0 < n. Proof. exact (n_pos b Sizes). Qed.
Let Hm : 0 < m. Proof. exact (m_pos b Sizes). Qed.
Let HK : 0 < INR K. Proof. exact (K_pos b Sizes). Qed.

Lemma versus_mean q k l : (k < K)%nat -> (l < K)%nat ->
  \sum_(j < K) (C q j * versus k l j) = C q k - C q l.
Proof.
  intros Hk Hl. unfold versus.
  rewrite (sum_ext K _ (fun j => ind (Nat.eqb j k) * C q j - ind (Nat.eqb j l) * C q j))
    by (intros; ring).
  rewrite sum_minus, (sum_ind K (C q) k Hk), (sum_ind K (C q) l Hl). reflexivity.
Qed.

(** The margin of a sample of class k over class l: its own label, and n-th of a sum over all. *)
Lemma margin y i l : (i < N)%nat -> (l < K)%nat -> let k := cls i in
  prediction b (given y) t i k - prediction b (given y) t i l
  = p_A b ^ t * versus k l (y i) + / n * \sum_(j < N) (omega k (cls j) * versus k l (y j)).
Proof.
  intros Hi Hl k. destruct model as (_ & Order & Hmu).
  assert (Hcls : forall i, (i < N)%nat -> (cls i < K)%nat) by apply Sizes.
  assert (Hk : (k < K)%nat) by (apply Hcls, Hi).
  rewrite !(prediction_averages b Sizes Order Hmu (given y) t i) by exact Hi. fold k.
  assert (Share : forall q, class_mean b (given y) q k - class_mean b (given y) q l
    = / n * \sum_(j < N) (ind (Nat.eqb (cls j) q) * versus k l (y j))).
  { intros q. unfold class_mean. rewrite <- Rmult_minus_distr_l, <- sum_minus. f_equal.
    apply sum_ext. intros j _. unfold given, versus. ring. }
  assert (Omega : \sum_(q < K) (omega k q * (class_mean b (given y) q k - class_mean b (given y) q l))
    = / n * \sum_(j < N) (omega k (cls j) * versus k l (y j))).
  { rewrite (sum_ext K _ (fun q => / n * (omega k q
      * \sum_(j < N) (ind (Nat.eqb (cls j) q) * versus k l (y j)))))
      by (intros; rewrite Share; ring).
    rewrite sum_scal_l. f_equal. exact (sum_by_group N K cls (omega k) _ Hcls). }
  rewrite <- Omega.
  rewrite (sum_ext K _ (fun q =>
    ind (Nat.eqb q k) * ((p_B b ^ t - p_A b ^ t) * (class_mean b (given y) q k - class_mean b (given y) q l))
    + (p_C b ^ t - p_B b ^ t) * (/ m * (ind (Nat.eqb (sup q) (sup k)) * class_mean b (given y) q k)
        - / m * (ind (Nat.eqb (sup q) (sup k)) * class_mean b (given y) q l))
    + (p_D b ^ t - p_C b ^ t) * (/ INR K * class_mean b (given y) q k - / INR K * class_mean b (given y) q l)))
    by (intros; unfold omega; field; lra).
  rewrite !sum_plus, !sum_scal_l, !sum_minus, !sum_scal_l.
  rewrite (sum_ind K (fun q => (p_B b ^ t - p_A b ^ t)
    * (class_mean b (given y) q k - class_mean b (given y) q l)) k Hk).
  unfold superclass_mean, overall_mean, versus.
  change (given y i k) with (ind (Nat.eqb (y i) k)). change (given y i l) with (ind (Nat.eqb (y i) l)).
  ring.
Qed.

Let exp_pow x p : exp x ^ p = exp (INR p * x).
Proof.
  induction p as [|p IH]; [simpl; rewrite Rmult_0_l, exp_0; reflexivity|].
  simpl pow. rewrite IH, <- exp_plus, S_INR. f_equal. ring.
Qed.

(** What class q adds, which is positive. *)
Let moment k l u q := \sum_(j < K) (C q j * exp (- u * omega k q * versus k l j)).

Let moment_pos k l u q : (q < K)%nat -> 0 < moment k l u q.
Proof.
  intros Hq.
  assert (Pos : 0 < sum K (C q)) by (rewrite C_rows by exact Hq; lra).
  apply sum_pos_term in Pos as (j & Hj & Pj).
  apply (sum_pos_one K _ j); [|exact Hj|apply Rmult_lt_0_compat; [exact Pj|apply exp_pos]].
  intros i Hi. apply Rmult_le_pos; [now apply C_nonneg|left; apply exp_pos].
Qed.

Let chernoff_exp k l u :
  chernoff k l u = exp (n * (u * a k l + \sum_(q < K) ln (moment k l u q))).
Proof.
  unfold chernoff. rewrite (product_ext K _ (fun q => exp (ln (moment k l u q)))).
  - rewrite product_exp, <- exp_plus. apply exp_pow.
  - intros q Hq. rewrite exp_ln by (now apply moment_pos). reflexivity.
Qed.

(** Chernoff: the expectation of what is at least 1 where the margin of a pair is too small. *)
Let pair_expectation k l u : (k < K)%nat -> (l < K)%nat ->
  expect K (fun i => C (cls i)) N (fun y => exp (n * u * a k l)
    * product N (fun i => exp (- u * omega k (cls i) * versus k l (y i)))) = chernoff k l u.
Proof.
  intros Hk Hl. rewrite expect_scal.
  rewrite (expect_product K (fun i => C (cls i)) N
    (fun i j => exp (- u * omega k (cls i) * versus k l j))).
  rewrite (product_ext N _ (fun i => exp (ln (moment k l u (cls i))))).
  - rewrite product_exp, chernoff_exp, <- exp_plus. f_equal.
    destruct Sizes as (_ & _ & Hcls & _ & Count & _).
    assert (E := sum_by_group N K cls (fun q => ln (moment k l u q)) (fun _ => 1) Hcls).
    rewrite (sum_ext N _ (fun i => ln (moment k l u (cls i)))) in E by (intros; ring).
    rewrite <- E. rewrite (sum_ext K _ (fun q => n * ln (moment k l u q))).
    + rewrite sum_scal_l. ring.
    + intros q Hq. rewrite <- (Count q Hq), Rmult_comm. f_equal. apply sum_ext. intros. ring.
  - intros i Hi. rewrite exp_ln by (apply moment_pos; apply Sizes; exact Hi). reflexivity.
Qed.

(** For any u_kl >= 0 the sum over pairs of Chernoff's bounds bounds the probability. *)
Theorem finite_sample_chernoff (u : nat -> nat -> R) :
  (forall k l, (k < K)%nat -> (l < K)%nat -> 0 <= u k l) ->
  failure b C t <= pairs (fun k l => chernoff k l (u k l)).
Proof.
  intros Hu. assert (Hcls : forall i, (i < N)%nat -> (cls i < K)%nat) by apply Sizes.
  set (tilt := fun k l y => exp (n * u k l * a k l)
    * product N (fun i => exp (- u k l * omega k (cls i) * versus k l (y i)))).
  assert (Tilt : forall k l y, 0 <= tilt k l y).
  { intros. unfold tilt. rewrite product_exp. apply Rmult_le_pos; left; apply exp_pos. }
  apply Rle_trans with (expect K (fun i => C (cls i)) N
    (fun y => \sum_(k < K) \sum_(l < K) (if Nat.eqb k l then 0 else tilt k l y))).
  - unfold failure. apply expect_le; [intros; apply C_nonneg; auto|]. intros y Hy.
    assert (P : forall k l, 0 <= (if Nat.eqb k l then 0 else tilt k l y)).
    { intros. destruct (Nat.eqb k l); [lra|apply Tilt]. }
    destruct (existsb (wrong b t y) (seq 0 N)) eqn:E;
      [|apply sum_nonneg; intros; apply sum_nonneg; intros; apply P].
    apply existsb_exists in E as (i & Hi & W). apply in_seq in Hi.
    assert (Hi' : (i < N)%nat) by lia. clear Hi.
    unfold wrong in W. apply existsb_exists in W as (l & Hl & W). apply in_seq in Hl.
    assert (Hl' : (l < K)%nat) by lia. clear Hl.
    apply andb_prop in W as (Ne & W). apply negb_true_iff, Nat.eqb_neq in Ne.
    destruct (Rle_dec _ _) as [Le|] in W; [|discriminate W]. clear W.
    set (k := cls i) in *. assert (Hk : (k < K)%nat) by (apply Hcls, Hi').
    apply Rle_trans with (tilt k l y).
    + assert (Mar := margin y i l Hi' Hl'). cbv zeta in Mar. fold k in Mar.
      destruct (Hy i Hi') as (Hyi & Pi). fold k in Pi.
      assert (A := a_max k l (y i) Hk Hl' Hyi Pi).
      set (S := \sum_(j < N) (omega k (cls j) * versus k l (y j))) in *.
      assert (B : / n * S <= a k l) by lra.
      assert (B' : S <= n * a k l).
      { apply Rmult_le_compat_l with (r := n) in B; [|lra].
        replace (n * (/ n * S)) with S in B by (field; lra). exact B. }
      unfold tilt. rewrite product_exp, <- exp_plus.
      rewrite (sum_ext N _ (fun j => - u k l * (omega k (cls j) * versus k l (y j)))) by (intros; ring).
      rewrite sum_scal_l. fold S. rewrite <- exp_0.
      assert (U := Hu k l Hk Hl').
      assert (Q : 0 <= n * u k l * a k l + - u k l * S).
      { replace (n * u k l * a k l + - u k l * S) with (u k l * (n * a k l - S)) by ring.
        apply Rmult_le_pos; lra. }
      destruct (Rle_lt_or_eq_dec _ _ Q) as [L|Z]; [left; now apply exp_increasing|right; now rewrite <- Z].
    + apply Rle_trans with (\sum_(l < K) (if Nat.eqb k l then 0 else tilt k l y)).
      * replace (tilt k l y) with (if Nat.eqb k l then 0 else tilt k l y)
          by (rewrite (proj2 (Nat.eqb_neq k l)) by auto; reflexivity).
        apply (sum_term_le K (fun l => if Nat.eqb k l then 0 else tilt k l y) l Hl'). intros. apply P.
      * apply (sum_term_le K (fun k => \sum_(l < K) (if Nat.eqb k l then 0 else tilt k l y)) k Hk).
        intros. apply sum_nonneg. intros. apply P.
  - rewrite (expect_sum K _ N K (fun k y => \sum_(l < K) (if Nat.eqb k l then 0 else tilt k l y))).
    unfold pairs. apply sum_le. intros k Hk.
    rewrite (expect_sum K _ N K (fun l y => if Nat.eqb k l then 0 else tilt k l y)).
    apply sum_le. intros l Hl. destruct (Nat.eqb k l).
    + right. rewrite (expect_ext K _ N _ (fun _ => 0 * 1)) by (intros; ring).
      rewrite (expect_scal K _ N 0 (fun _ => 1)). ring.
    + right. now apply pair_expectation.
Qed.

(** Hoeffding: the infimum over u >= 0 of Chernoff's bound is at most the exponential one. *)
Lemma chernoff_at_most k l : (k < K)%nat -> (l < K)%nat -> forall eps, 0 < eps ->
  exists u, 0 <= u /\ chernoff k l u <= hoeffding_bound k l + eps.
Proof.
  intros Hk Hl eps Heps. set (V := \sum_(q < K) (omega k q ^ 2 * r q k l ^ 2)).
  set (x := excess k l).
  (* range, and what it starts from *)
  assert (Range : forall q, (q < K)%nat -> 0 <= r q k l /\ exists low,
    forall j, (j < K)%nat -> 0 < C q j -> low <= versus k l j <= low + r q k l).
  { intros q Hq.
    assert (Pos : 0 < sum K (C q)) by (rewrite C_rows by exact Hq; lra).
    apply sum_pos_term in Pos as (j0 & Hj0 & P0).
    assert (R0 := r_range q k l j0 j0 Hq Hk Hl Hj0 Hj0 P0 P0). split; [lra|].
    (* the least of finitely many *)
    assert (Least : forall p, (p <= K)%nat ->
      (exists low, (forall j, (j < p)%nat -> 0 < C q j -> low <= versus k l j)
        /\ exists j, (j < K)%nat /\ 0 < C q j /\ versus k l j = low)).
    { induction p as [|p IH]; intros Hp.
      - exists (versus k l j0). split; [lia|]. now exists j0.
      - destruct IH as (low & B & j & Hj & Pj & Ej); [lia|].
        destruct (Rlt_le_dec 0 (C q p)) as [Pp|Pp].
        + destruct (Rle_lt_dec low (versus k l p)) as [L|L].
          * exists low. split; [|now exists j]. intros i Hi Pi.
            destruct (Nat.eq_dec i p) as [->|]; [assumption|apply B; [lia|assumption]].
          * exists (versus k l p). split; [|exists p; split; [lia|now split]]. intros i Hi Pi.
            destruct (Nat.eq_dec i p) as [->|]; [lra|]. assert (Z := B i ltac:(lia) Pi). lra.
        + exists low. split; [|now exists j]. intros i Hi Pi.
          destruct (Nat.eq_dec i p) as [->|]; [lra|apply B; [lia|assumption]]. }
    destruct (Least K (le_n K)) as (low & B & j & Hj & Pj & Ej). exists low. intros i Hi Pi.
    split; [now apply B|]. assert (Z := r_range q k l i j Hq Hk Hl Hi Hj Pi Pj). lra. }
  (* the exponent at u *)
  assert (Bound : forall u, chernoff k l u <= exp (n * (- u * x + u ^ 2 * V / 8))).
  { intros u. rewrite chernoff_exp.
    assert (E : u * a k l + \sum_(q < K) ln (moment k l u q) <= - u * x + u ^ 2 * V / 8).
    { apply Rle_trans with (u * a k l + \sum_(q < K)
        (- u * (omega k q * (C q k - C q l)) + u ^ 2 / 8 * (omega k q ^ 2 * r q k l ^ 2))).
      - apply Rplus_le_compat_l, sum_le. intros q Hq. destruct (Range q Hq) as (Rq & low & B).
        assert (H := hoeffding K (C q) (versus k l) low (r q k l) (- u * omega k q) (C_rows q Hq)
          (fun j Hj => C_nonneg q j Hq Hj) Rq B).
        rewrite versus_mean in H by assumption.
        assert (L : ln (moment k l u q)
          <= ln (exp (- u * omega k q * (C q k - C q l) + (- u * omega k q) ^ 2 * r q k l ^ 2 / 8))).
        { destruct H as [H|H].
          - left. apply ln_increasing; [now apply moment_pos|exact H].
          - right. unfold moment. now rewrite H. }
        rewrite ln_exp in L. lra.
      - rewrite sum_plus, !sum_scal_l. fold V. unfold x, excess. right. field. }
    apply (Rmult_le_compat_l n) in E; [|lra].
    destruct E as [E|E]; [left; now apply exp_increasing|right; now rewrite E]. }
  assert (Zero : chernoff k l 0 <= 1).
  { eapply Rle_trans; [apply Bound|]. right. rewrite <- exp_0. f_equal. field. }
  assert (PV : 0 <= V).
  { apply sum_nonneg. intros. apply Rmult_le_pos; apply pow2_ge_0. }
  unfold hoeffding_bound. cbv zeta. fold V x.
  destruct (Req_EM_T V 0) as [ZV|NV]; destruct (Rlt_le_dec 0 x) as [Px|Nx].
  - (* chernoff <= exp (- n u x) <= 1 / (n u x) at u = 1 / (eps n x) *)
    destruct (Rlt_dec 0 x) as [_|]; [|lra].
    assert (Pnx : 0 < n * x) by (apply Rmult_lt_0_compat; lra).
    assert (Pu : 0 < / (eps * (n * x))) by (apply Rinv_0_lt_compat, Rmult_lt_0_compat; lra).
    exists (/ (eps * (n * x))). split; [lra|]. eapply Rle_trans; [apply Bound|]. rewrite ZV.
    replace (n * (- / (eps * (n * x)) * x + (/ (eps * (n * x))) ^ 2 * 0 / 8)) with (- / eps)
      by (field; repeat split; lra).
    assert (Pe := Rinv_0_lt_compat eps Heps). rewrite exp_Ropp, Rplus_0_l.
    rewrite <- (Rinv_inv eps) at 2.
    apply Rinv_le_contravar; [exact Pe|]. assert (E := exp_ineq1 (/ eps) ltac:(lra)). lra.
  - destruct (Rlt_dec 0 x) as [|_]; [lra|]. exists 0. split; lra.
  - assert (LV : 0 < V) by lra.
    exists (4 * x / V). split; [left; apply Rdiv_lt_0_compat; lra|].
    apply Rle_trans with (exp (- (2 * n * Rmax x 0 ^ 2 / V))); [|lra].
    eapply Rle_trans; [apply Bound|]. right. f_equal. rewrite Rmax_left by lra. field. lra.
  - exists 0. split; [lra|]. rewrite Rmax_right by lra.
    replace (- (2 * n * 0 ^ 2 / V)) with 0 by (unfold Rdiv; ring). rewrite exp_0. lra.
Qed.

(** K classes of n in K/m superclasses, labels drawn independently, y_i from row k(i) of C:

      P(some sample is wrong after t rounds) <= sum over k <> l of inf over u >= 0 of [chernoff k l u]
        <= sum over k <> l of exp(- 2 n max(x_kl, 0)^2 / sum over q of omega_kq^2 r_ql^2).

    The infimum is taken pair by pair; where the last denominator is 0 the term is its limit. *)
(** Registry, finite-sample: P(some sample is wrong after t rounds) ≤ ∑_(k ≠ l) inf_(u ≥ 0)
    (e^(u aₖₗ) ∏_q ∑ⱼ C_qj e^(−u ω_kq (1[j=k] − 1[j=l])))ⁿ ≤ ∑_(k ≠ l) exp(−(2 n max(xₖₗ,
    0)²)/(∑_q ω_kq² r_ql²)),  xₖₗ = ∑_q ω_kq (C_qk − C_ql) − aₖₗ,  ω_kq = 1[q=k](p_Bᵗ − p_Aᵗ) +
    1[q ∼ k](p_Cᵗ − p_Bᵗ)/m + (p_Dᵗ − p_Cᵗ)/K,  aₖₗ = p_Aᵗ max_(j: Cₖⱼ > 0) (1[j=l] − 1[j=k]) ≤
    p_Aᵗ,  r_ql = range_(j: C_qj > 0) (1[j=k] − 1[j=l]) ≤ 2,  exp(−x/0) = 0 for x > 0 *)
Theorem finite_sample :
  (forall u, (forall k l, (k < K)%nat -> (l < K)%nat -> 0 <= u k l) ->
     failure b C t <= pairs (fun k l => chernoff k l (u k l)))
  /\ (forall k l, (k < K)%nat -> (l < K)%nat ->
       forall eps, 0 < eps -> exists u, 0 <= u /\ chernoff k l u <= hoeffding_bound k l + eps)
  /\ failure b C t <= pairs hoeffding_bound.
Proof.
  split; [exact finite_sample_chernoff|]. split; [exact chernoff_at_most|].
  (* one u for each pair, that loses at most eps / K^2 *)
  apply le_epsilon. intros eps0 Heps0. set (eps := eps0 / (INR K * INR K)).
  assert (Heps : 0 < eps) by (apply Rdiv_lt_0_compat; [lra|apply Rmult_lt_0_compat; lra]).
  assert (Choice : forall p, (p <= K)%nat -> exists u : nat -> nat -> R, forall k l, (k < p)%nat ->
    (l < K)%nat -> 0 <= u k l /\ chernoff k l (u k l) <= hoeffding_bound k l + eps).
  { induction p as [|p IH]; intros Hp; [exists (fun _ _ => 0); lia|].
    destruct IH as (u & Hu); [lia|].
    assert (Row : forall s, (s <= K)%nat -> exists v : nat -> R, forall l, (l < s)%nat ->
      0 <= v l /\ chernoff p l (v l) <= hoeffding_bound p l + eps).
    { induction s as [|s IHs]; intros Hs; [exists (fun _ => 0); lia|].
      destruct IHs as (v & Hv); [lia|].
      destruct (chernoff_at_most p s ltac:(lia) ltac:(lia) eps Heps) as (w & Hw).
      exists (fun l => if Nat.eqb l s then w else v l). intros l Hl.
      destruct (Nat.eqb_spec l s) as [->|]; [exact Hw|apply Hv; lia]. }
    destruct (Row K (le_n K)) as (v & Hv).
    exists (fun k => if Nat.eqb k p then v else u k). intros k l Hk Hl.
    destruct (Nat.eqb_spec k p) as [->|]; [now apply Hv|apply Hu; lia]. }
  destruct (Choice K (le_n K)) as (u & Hu).
  eapply Rle_trans; [apply (finite_sample_chernoff u); intros; now apply Hu|].
  apply Rle_trans with (\sum_(k < K) \sum_(l < K)
    ((if Nat.eqb k l then 0 else hoeffding_bound k l) + eps)).
  - unfold pairs. apply sum_le. intros k Hk. apply sum_le. intros l Hl.
    destruct (Nat.eqb k l); [lra|]. now apply Hu.
  - right. rewrite (sum_ext K _ (fun k => \sum_(l < K) (if Nat.eqb k l then 0 else hoeffding_bound k l)
      + INR K * eps)) by (intros; rewrite sum_plus, sum_const; reflexivity).
    rewrite sum_plus, sum_const. unfold pairs, eps. field. lra.
Qed.

(** So a_kl <= p_A^t and r_ql <= 2. *)
Theorem finite_sample_ranges k l j j' :
  p_A b ^ t * - versus k l j <= p_A b ^ t /\ versus k l j - versus k l j' <= 2.
Proof.
  assert (L : forall j, -1 <= versus k l j <= 1).
  { intros i. unfold versus, ind. destruct (Nat.eqb i k), (Nat.eqb i l); lra. }
  destruct model as (sizes & order & scale). assert (P := proj1 (powers_in_order b sizes order scale t)).
  split; [|destruct (L j), (L j'); lra].
  rewrite <- (Rmult_1_r (p_A b ^ t)) at 2. apply Rmult_le_compat_l; [lra|]. destruct (L j). lra.
Qed.

End FiniteSample.

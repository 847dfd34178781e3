(** A distance of theory and truth, before solving: from the error recursion, the softmax remainder
    and the total weight decay. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters matrices softmax heads proximal rounds total_weight_decay.
From Gramlab Require Import error_recursion softmax_remainder.
Open Scope R_scope.

(** ** A linear map by its entries *)

Lemma linear_entries N (L : (nat -> R) -> nat -> R) :
  (forall x y, (forall i, (i < N)%nat -> x i = y i) -> forall i, (i < N)%nat -> L x i = L y i) ->
  (forall x y i, (i < N)%nat -> L (fun q => x q + y q) i = L x i + L y i) ->
  (forall a x i, (i < N)%nat -> L (fun q => a * x q) i = a * L x i) ->
  forall x i, (i < N)%nat -> L x i = \sum_(m < N) (L (fun q => ind (Nat.eqb q m)) i * x m).
Proof.
  intros Ext Plus Scal x i Hi.
  assert (P : forall p, L (fun q => \sum_(m < p) (x m * ind (Nat.eqb q m))) i
    = \sum_(m < p) (L (fun q => ind (Nat.eqb q m)) i * x m)).
  { induction p as [|p IH]; simpl.
    - rewrite (Ext (fun _ => 0) (fun q => 0 * 0)) by (trivial; intros; ring).
      rewrite (Scal 0 (fun _ => 0)) by exact Hi. ring.
    - rewrite (Plus _ (fun q => x p * ind (Nat.eqb q p))), IH, Scal by exact Hi. ring. }
  rewrite <- P. apply Ext; [|exact Hi]. intros q Hq.
  rewrite (sum_ext N _ (fun m => ind (Nat.eqb q m) * x m)) by (intros; ring).
  symmetry. now apply sum_ind'.
Qed.

(** ** The remainder of a row of logits *)

Lemma extremes K (v : nat -> R) : (0 < K)%nat -> exists i j, (i < K)%nat /\ (j < K)%nat /\
  forall l, (l < K)%nat -> v i <= v l <= v j.
Proof.
  induction K as [|K IH]; intros HK; [lia|]. destruct K as [|K].
  - exists 0%nat, 0%nat. repeat split; try lia; replace l with 0%nat by lia; lra.
  - destruct IH as (i & j & Hi & Hj & B); [lia|].
    exists (if Rle_dec (v (S K)) (v i) then S K else i), (if Rle_dec (v j) (v (S K)) then S K else j).
    split; [destruct Rle_dec; lia|]. split; [destruct Rle_dec; lia|]. intros l Hl.
    destruct (Nat.eq_dec l (S K)) as [->|Ne].
    + destruct (Rle_dec (v (S K)) (v i)), (Rle_dec (v j) (v (S K))); lra.
    + assert (A := B l ltac:(lia)).
      destruct (Rle_dec (v (S K)) (v i)), (Rle_dec (v j) (v (S K))); lra.
Qed.

(** |softmax(v) - 1/K - (v - mean v)/K|_1 <= |v|^2 / (3 sqrt 3), as osc(v)^2 <= 2 |v|^2 *)
Lemma remainder_norm K v : (0 < K)%nat -> remainder K v <= norm2 K v / (3 * sqrt 3).
Proof.
  intros HK. destruct (extremes K v HK) as (i & j & Hi & Hj & B).
  assert (O : osc K v (v j - v i)) by (exists i, j; auto).
  assert (R := proj1 softmax_remainder_sharp K v _ O).
  assert (Q : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (S : (v j - v i) ^ 2 <= 2 * norm2 K v).
  { destruct (Nat.eq_dec i j) as [->|Ne].
    - assert (P := norm2_nonneg K v). replace ((v j - v j) ^ 2) with 0 by ring. lra.
    - assert (P : v i * v i + v j * v j <= norm2 K v).
      { apply Rle_trans with (\sum_(l < K) (ind (Nat.eqb l i) * (v l * v l) + ind (Nat.eqb l j) * (v l * v l))).
        - right. rewrite sum_plus, (sum_ind K (fun l => v l * v l) i Hi),
            (sum_ind K (fun l => v l * v l) j Hj). reflexivity.
        - apply sum_le. intros l _. assert (Z := Rle_0_sqr (v l)). unfold Rsqr in Z.
          destruct (Nat.eqb_spec l i), (Nat.eqb_spec l j); simpl; try lra. congruence. }
      assert (Z := pow2_ge_0 (v j + v i)). lra. }
  eapply Rle_trans; [exact R|].
  replace (norm2 K v / (3 * sqrt 3)) with (2 * norm2 K v / (6 * sqrt 3)) by (field; lra).
  unfold Rdiv. apply Rmult_le_compat_r; [|exact S]. left. apply Rinv_0_lt_compat. lra.
Qed.

(** |W^T x|^2 <= |x|^2 |W|^2 *)
Lemma logits_norm d K (X W : mat) m :
  norm2 K (logits d X W m) <= norm2 d (X m) * norm d K W ^ 2.
Proof.
  rewrite norm_square. unfold inner. rewrite sum_swap, <- sum_scal_l. unfold norm2 at 1, dot.
  apply sum_le. intros k _. exact (vectors.cauchy_schwarz d (X m) (fun j => W j k)).
Qed.

Section Near.

Variables (N d K : nat) (X Y : mat) (lam : R) (W : nat -> mat) (t : nat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis lam_pos : 0 < lam.
Hypothesis Y_sums : sum_to_one N K Y.
Hypothesis exact : exact_rounds N d K X Y (fun _ => lam) W t.

Let mu := INR K * INR N * lam.
Let G := gram d X.
Let Sy : symmetric N G := gram_symmetric N d X.
Let Psd : psd N G := gram_psd N d X.
Let Hmu : 0 < mu.
Proof. unfold mu. repeat apply Rmult_lt_0_compat; trivial; now apply lt_0_INR. Qed.

(** The matrix h(G)^(t-j) (I + G/mu)^(-1), and the bound b_i. *)
Definition entry (j i m : nat) : R :=
  filter_power N G mu (t - j) (damped N d K X lam (fun q => ind (Nat.eqb q m))) i.

Definition near (i : nat) : R :=
  norm d K (start_gradient N d K X Y) ^ 2 / (3 * sqrt 3 * lam ^ 2)
  * \sum_(j < t) (1 / INR (S j) ^ 2 * \sum_(m < N) (Rabs (entry (S j) i m) * norm2 d (X m))).

Let passed s : (1 <= s)%nat -> passed_on d K X Y W (s - 1) = plain d K X Y W s.
Proof. intros Hs. destruct s as [|[|s]]; [lia|reflexivity|reflexivity]. Qed.

(** Logits of exact heads sum to 0 over classes. *)
Let logits_sum s m : (1 <= s <= t)%nat -> sum K (logits d X (W s) m) = 0.
Proof.
  intros Hs. unfold logits. rewrite sum_swap. apply sum_zero. intros j Hj. rewrite sum_scal_l.
  assert (Z : sum K (W s j) = 0); [|rewrite Z; ring].
  apply Rmult_eq_reg_l with lam; [|lra]. rewrite Rmult_0_r, <- sum_scal_l.
  set (T := plain d K X Y W s).
  rewrite (sum_ext K _ (fun k => moment N X T j k - M N d K X (W s) j k)).
  - rewrite sum_minus. unfold M, moment. rewrite !sum_div, !(sum_swap K N).
    rewrite (sum_ext N _ (fun i => X i j)).
    + rewrite (sum_ext N (fun i => \sum_(k < K) (X i j * predictions d K X (W s) i k)) (fun i => X i j));
        [ring|]. intros i Hi. assert (O := predictions_sum N d K X K_pos (W s) i Hi).
      change (sum K (predictions d K X (W s) i) = 1) in O. rewrite sum_scal_l, O. ring.
    + intros i Hi. assert (O := plain_sum_to_one N d K X Y W s K_pos Y_sums i Hi).
      change (sum K (T i) = 1) in O. rewrite sum_scal_l, O. ring.
  - intros k Hk. assert (E := exact s Hs j k Hj Hk). unfold add, scale in E. unfold T. lra.
Qed.

(** What drives the error of round s is the softmax remainder. *)
Let source_remainder s m : (1 <= s <= t)%nat -> (m < N)%nat ->
  \sum_(k < K) Rabs (source N d K X Y lam W s m k) = remainder K (logits d X (W s) m).
Proof.
  intros Hs Hm. unfold remainder. apply sum_ext. intros k Hk. f_equal. unfold source.
  rewrite (logits_sum s m Hs).
  assert (Z : logits d X (left_gradient N d K X Y lam W s) m k = 0).
  { unfold logits, left_gradient. apply sum_zero. intros j Hj.
    rewrite (passed s) by lia.
    assert (E := exact s Hs). apply (head_gradient N d K X) in E. rewrite (E j k Hj Hk).
    unfold zero. ring. }
  rewrite Z. destruct s as [|s]; [lia|]. simpl passed_on. unfold predictions.
  assert (P : INR K <> 0) by (apply Rgt_not_eq, lt_0_INR, K_pos). field. repeat split; try exact P; lra.
Qed.

(** The remainder of row m in round s, from the gradient at 0. *)
Let source_bound s m : (1 <= s <= t)%nat -> (m < N)%nat ->
  \sum_(k < K) Rabs (source N d K X Y lam W s m k)
    <= norm d K (start_gradient N d K X Y) ^ 2 / (3 * sqrt 3 * lam ^ 2)
       * (1 / INR s ^ 2 * norm2 d (X m)).
Proof.
  intros Hs Hm. rewrite source_remainder by assumption.
  eapply Rle_trans; [now apply remainder_norm|].
  set (c := norm d K (start_gradient N d K X Y)).
  assert (T := total_weight_decay N d K X Y (fun _ => lam) W t N_pos K_pos (fun _ _ => lam_pos)
    exact s Hs). cbv zeta in T. destruct T as (_ & _ & T). fold c in T.
  assert (E : total (fun _ => lam) s = INR s * lam) by (unfold total; now rewrite sum_const).
  rewrite E in T.
  assert (Ps : 0 < INR s) by (apply lt_0_INR; lia).
  assert (Q : 0 < sqrt 3) by (apply sqrt_lt_R0; lra).
  assert (T2 := pow_incr _ _ 2 (conj (norm_nonneg d K (W s)) T)).
  assert (L := logits_norm d K X (W s) m).
  assert (Nx := norm2_nonneg d (X m)).
  apply Rmult_le_compat_l with (r := norm2 d (X m)) in T2; [|exact Nx].
  replace (c ^ 2 / (3 * sqrt 3 * lam ^ 2) * (1 / INR s ^ 2 * norm2 d (X m)))
    with (norm2 d (X m) * (c / (INR s * lam)) ^ 2 / (3 * sqrt 3)) by (field; repeat split; lra).
  unfold Rdiv at 1 3. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; lra|]. lra.
Qed.

(** h(G)^(t-j) (I + G/mu)^(-1) by its entries. *)
Let apply_entries j x i : (i < N)%nat ->
  filter_power N G mu (t - j) (damped N d K X lam x) i = \sum_(m < N) (entry j i m * x m).
Proof.
  intros Hi. apply (linear_entries N (fun x => filter_power N G mu (t - j) (damped N d K X lam x))); trivial.
  - intros y z E q Hq. apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hq]. intros r Hr.
    unfold damped. f_equal. now apply (resolvent_ext N G mu Sy Psd Hmu).
  - intros y z q Hq. rewrite <- (filter_power_plus N G mu Sy Psd Hmu) by exact Hq.
    apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hq]. intros r Hr. unfold damped.
    change (gram d X) with G. fold mu. rewrite (resolvent_plus N G mu Sy Psd Hmu) by exact Hr. ring.
  - intros a y q Hq. rewrite <- (filter_power_scal N G mu Sy Psd Hmu) by exact Hq.
    apply (filter_power_ext N G mu Sy Psd Hmu); [|exact Hq]. intros r Hr. unfold damped.
    change (gram d X) with G. fold mu. rewrite (resolvent_scal N G mu Sy Psd Hmu) by exact Hr. ring.
Qed.

(** For exact rounds at one weight decay lam > 0 on targets whose rows sum to 1, and every row i,

      |P_i^(t) - P_lin,i^(t)|_1 <= b_i = |grad L(0)|^2 / (3 sqrt 3 lam^2) times the sum over
        j = 1, ..., t of (1/j^2) sum over m of |(h(G)^(t-j) (I + G/mu)^(-1))_im| |x_m|^2,

    and where class k is ahead of every other by more than b_i in P_lin, it is ahead in P. *)
(** Registry, theory-is-near: ‖Pᵢ⁽ᵗ⁾ − P_(lin, i)⁽ᵗ⁾‖₁ ≤ bᵢ = ‖∇ L(0)‖_F²/(3 √3 λ²) ∑ⱼ₌₁ᵗ 1/j²
    ∑ₘ |(h(G)ᵗ⁻ʲ (I + G/μ)⁻¹)ᵢₘ| ‖xₘ‖²;  where bᵢ is below the margin of P_(lin, i)⁽ᵗ⁾, both
    predict one class *)
Theorem theory_is_near : (1 <= t)%nat -> forall i, (i < N)%nat ->
  \sum_(k < K) Rabs (predictions d K X (W t) i k - linear_prediction N d K X Y lam t i k) <= near i
  /\ forall k, (k < K)%nat ->
       (forall l, (l < K)%nat -> l <> k ->
          near i < linear_prediction N d K X Y lam t i k - linear_prediction N d K X Y lam t i l) ->
       forall l, (l < K)%nat -> l <> k -> predictions d K X (W t) i l < predictions d K X (W t) i k.
Proof.
  intros Ht i Hi.
  assert (Main : \sum_(k < K) Rabs (predictions d K X (W t) i k - linear_prediction N d K X Y lam t i k)
    <= near i).
  { destruct (error_recursion N d K X Y lam W N_pos K_pos lam_pos) as (_ & _ & R).
    assert (E : forall k, (k < K)%nat ->
      predictions d K X (W t) i k - linear_prediction N d K X Y lam t i k
      = \sum_(j < t) \sum_(m < N) (entry (S j) i m * source N d K X Y lam W (S j) m k)).
    { intros k Hk. specialize (R t i k Hi). unfold error in R.
      replace (passed_on d K X Y W t i k) with (predictions d K X (W t) i k) in R
        by (destruct t; [lia|reflexivity]).
      rewrite R. apply sum_ext. intros j Hj. now apply apply_entries. }
    rewrite (sum_ext K _ _ (fun k Hk => f_equal Rabs (E k Hk))).
    apply Rle_trans with (\sum_(j < t) \sum_(m < N) (Rabs (entry (S j) i m)
      * \sum_(k < K) Rabs (source N d K X Y lam W (S j) m k))).
    - apply Rle_trans with (\sum_(k < K) \sum_(j < t) \sum_(m < N)
        (Rabs (entry (S j) i m) * Rabs (source N d K X Y lam W (S j) m k))).
      + apply sum_le. intros k _. eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j _.
        eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros m _. rewrite Rabs_mult. lra.
      + right. rewrite sum_swap. apply sum_ext. intros j _. rewrite sum_swap. apply sum_ext.
        intros m _. apply sum_scal_l.
    - unfold near. rewrite <- sum_scal_l. apply sum_le. intros j Hj.
      rewrite <- !sum_scal_l. apply sum_le. intros m Hm.
      assert (B := source_bound (S j) m ltac:(lia) Hm).
      apply Rmult_le_compat_l with (r := Rabs (entry (S j) i m)) in B; [|apply Rabs_pos].
      eapply Rle_trans; [exact B|]. right. ring. }
  split; [exact Main|]. intros k Hk Ahead l Hl Ne. specialize (Ahead l Hl Ne).
  set (e := fun k => predictions d K X (W t) i k - linear_prediction N d K X Y lam t i k) in *.
  assert (Two : Rabs (e k) + Rabs (e l) <= \sum_(q < K) Rabs (e q)).
  { apply Rle_trans with (\sum_(q < K) (ind (Nat.eqb q k) * Rabs (e q) + ind (Nat.eqb q l) * Rabs (e q))).
    - right. rewrite sum_plus, (sum_ind K (fun q => Rabs (e q)) k Hk), (sum_ind K (fun q => Rabs (e q)) l Hl).
      reflexivity.
    - apply sum_le. intros q _. assert (Z := Rabs_pos (e q)).
      destruct (Nat.eqb_spec q k), (Nat.eqb_spec q l); simpl; try lra. congruence. }
  assert (A := Rle_abs (- e k)). rewrite Rabs_Ropp in A. assert (B := Rle_abs (e l)).
  change (\sum_(k < K) Rabs (e k) <= near i) in Main. unfold e in A, B, Two, Main.
  unfold e in *. lra.
Qed.

End Near.

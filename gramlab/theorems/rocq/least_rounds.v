(** least-rounds: the least number of rounds that recovers every label, and what shortens it. *)

From Coq Require Import Reals Lra Lia Arith ZArith Psatz.
From Gramlab Require Import given_labels.
Open Scope R_scope.

(** rho = s_B (s_A + mu) / (s_A (s_B + mu)) with s_A = 1 - c, s_B = s_A + n (c - d). *)
Definition ratio (c d n mu : R) : R :=
  let s_A := 1 - c in let s_B := s_A + n * (c - d) in
  s_B * (s_A + mu) / (s_A * (s_B + mu)).

(** t* = ln(1 + 1/Delta)/ln rho *)
Definition t_star (Delta c d n mu : R) : R := ln (1 + 1 / Delta) / ln (ratio c d n mu).

(** rho = 1 + mu (1/s_A - 1/s_B) / (1 + mu/s_B), by which it is compared. *)
Lemma ratio_fraction c d n mu :
  d < c < 1 -> 0 < n -> 0 < mu ->
  ratio c d n mu = 1 + mu * (n * (c - d)) / ((1 - c) * (1 - c + n * (c - d) + mu)).
Proof.
  intros Hc Hn Hmu. unfold ratio. assert (0 < n * (c - d)) by (apply Rmult_lt_0_compat; lra).
  field. lra.
Qed.

Lemma ratio_gt_1 c d n mu : d < c < 1 -> 0 < n -> 0 < mu -> 1 < ratio c d n mu.
Proof.
  intros Hc Hn Hmu. rewrite ratio_fraction by assumption.
  assert (0 < n * (c - d)) by (apply Rmult_lt_0_compat; lra).
  assert (0 < mu * (n * (c - d)) / ((1 - c) * (1 - c + n * (c - d) + mu))); [|lra].
  apply Rdiv_lt_0_compat; apply Rmult_lt_0_compat; lra.
Qed.

(** t* falls where rho grows. *)
Lemma t_star_falls Delta c d n mu c' d' n' mu' :
  0 < Delta -> 1 < ratio c d n mu -> ratio c d n mu < ratio c' d' n' mu' ->
  t_star Delta c' d' n' mu' < t_star Delta c d n mu.
Proof.
  intros HD H1 H. unfold t_star.
  assert (Q : 0 < 1 / Delta) by (apply Rdiv_lt_0_compat; lra).
  assert (L : 0 < ln (1 + 1 / Delta)) by (rewrite <- ln_1; apply ln_increasing; lra).
  assert (L1 : 0 < ln (ratio c d n mu)) by (rewrite <- ln_1; apply ln_increasing; lra).
  assert (L2 : ln (ratio c d n mu) < ln (ratio c' d' n' mu')) by (apply ln_increasing; lra).
  apply Rmult_lt_compat_l; [exact L|]. apply Rinv_lt_contravar; [|exact L2].
  apply Rmult_lt_0_compat; lra.
Qed.

(** Two fractions with positive denominators. *)
Lemma fraction_lt x y u v : 0 < y -> 0 < v -> x * v < u * y -> x / y < u / v.
Proof.
  intros Hy Hv H. apply (Rmult_lt_reg_r (y * v)); [apply Rmult_lt_0_compat; assumption|].
  replace (x / y * (y * v)) with (x * v) by (field; lra).
  replace (u / v * (y * v)) with (u * y) by (field; lra). exact H.
Qed.

(** t* falls in Delta, mu, c, and in n at fixed weight decay (mu = n u); it grows with d. *)
Theorem least_rounds_monotone (Delta c d n mu : R) :
  0 < Delta -> 0 <= d < c -> c < 1 -> 0 < n -> 0 < mu ->
  (forall Delta', Delta < Delta' -> t_star Delta' c d n mu < t_star Delta c d n mu) /\
  (forall mu', mu < mu' -> t_star Delta c d n mu' < t_star Delta c d n mu) /\
  (forall c', c < c' < 1 -> t_star Delta c' d n mu < t_star Delta c d n mu) /\
  (forall n' u, mu = n * u -> n < n' -> t_star Delta c d n' (n' * u) < t_star Delta c d n mu) /\
  (forall d', d < d' < c -> t_star Delta c d n mu < t_star Delta c d' n mu).
Proof.
  intros HD Hd Hc Hn Hmu.
  assert (R1 := ratio_gt_1 c d n mu ltac:(lra) Hn Hmu).
  assert (HS : 0 < n * (c - d)) by (apply Rmult_lt_0_compat; lra).
  split; [|split; [|split; [|split]]].
  - intros Delta' H. unfold t_star. apply Rmult_lt_compat_r.
    + apply Rinv_0_lt_compat. rewrite <- ln_1. apply ln_increasing; lra.
    + assert (0 < 1 / Delta') by (apply Rdiv_lt_0_compat; lra). apply ln_increasing; [lra|].
      apply Rplus_lt_compat_l. unfold Rdiv. rewrite !Rmult_1_l.
      apply Rinv_lt_contravar; [apply Rmult_lt_0_compat; lra|exact H].
  - intros mu' H. apply t_star_falls; [exact HD|exact R1|].
    rewrite !ratio_fraction by lra. set (S := n * (c - d)) in *.
    apply Rplus_lt_compat_l, fraction_lt; try (apply Rmult_lt_0_compat; lra).
    replace (mu * S * ((1 - c) * (1 - c + S + mu'))) with (S * (1 - c) * (mu * (1 - c + S + mu')))
      by ring.
    replace (mu' * S * ((1 - c) * (1 - c + S + mu))) with (S * (1 - c) * (mu' * (1 - c + S + mu)))
      by ring.
    apply Rmult_lt_compat_l; [apply Rmult_lt_0_compat; lra|].
    assert (0 < (mu' - mu) * (1 - c + S)) by (apply Rmult_lt_0_compat; lra). lra.
  - intros c' H. apply t_star_falls; [exact HD|exact R1|].
    rewrite !ratio_fraction by lra.
    assert (HS' : n * (c - d) < n * (c' - d)) by (apply Rmult_lt_compat_l; lra).
    set (S := n * (c - d)) in *. set (S' := n * (c' - d)) in *.
    apply Rplus_lt_compat_l.
    apply Rlt_trans with (mu * S' / ((1 - c) * (1 - c + S' + mu))).
    + apply fraction_lt; try (apply Rmult_lt_0_compat; lra).
      replace (mu * S * ((1 - c) * (1 - c + S' + mu)))
        with (mu * (1 - c) * (S * (1 - c + S' + mu))) by ring.
      replace (mu * S' * ((1 - c) * (1 - c + S + mu)))
        with (mu * (1 - c) * (S' * (1 - c + S + mu))) by ring.
      apply Rmult_lt_compat_l; [apply Rmult_lt_0_compat; lra|].
      assert (0 < (S' - S) * (1 - c + mu)) by (apply Rmult_lt_0_compat; lra). lra.
    + apply fraction_lt; try (apply Rmult_lt_0_compat; lra).
      apply Rmult_lt_compat_l; [apply Rmult_lt_0_compat; lra|].
      apply Rmult_gt_0_lt_compat; lra.
  - intros n' u Hu H. apply t_star_falls; [exact HD|exact R1|].
    assert (Hu' : 0 < u) by (apply (Rmult_lt_reg_l n); [exact Hn|rewrite <- Hu; lra]).
    subst mu. rewrite !ratio_fraction; try lra; try (apply Rmult_lt_0_compat; lra).
    set (g := c - d). assert (Hg : 0 < g) by (unfold g; lra).
    assert (0 < n * g) by (apply Rmult_lt_0_compat; lra).
    assert (0 < n' * g) by (apply Rmult_lt_0_compat; lra).
    assert (0 < n' * u) by (apply Rmult_lt_0_compat; lra).
    apply Rplus_lt_compat_l, fraction_lt; try (apply Rmult_lt_0_compat; lra).
    replace (n * u * (n * g) * ((1 - c) * (1 - c + n' * g + n' * u)))
      with (u * g * (1 - c) * (n * n * (1 - c + n' * g + n' * u))) by ring.
    replace (n' * u * (n' * g) * ((1 - c) * (1 - c + n * g + n * u)))
      with (u * g * (1 - c) * (n' * n' * (1 - c + n * g + n * u))) by ring.
    apply Rmult_lt_compat_l; [repeat apply Rmult_lt_0_compat; lra|].
    assert (0 < (n' - n) * (n' + n) * (1 - c)) by (repeat apply Rmult_lt_0_compat; lra).
    assert (0 < n * n' * (n' - n) * (g + u)) by (repeat apply Rmult_lt_0_compat; lra). lra.
  - intros d' H. apply t_star_falls; [exact HD|apply ratio_gt_1; lra|].
    rewrite !ratio_fraction by lra.
    assert (HS' : n * (c - d') < n * (c - d)) by (apply Rmult_lt_compat_l; lra).
    assert (0 < n * (c - d')) by (apply Rmult_lt_0_compat; lra).
    set (S := n * (c - d)) in *. set (S' := n * (c - d')) in *.
    apply Rplus_lt_compat_l, fraction_lt; try (apply Rmult_lt_0_compat; lra).
    replace (mu * S' * ((1 - c) * (1 - c + S + mu)))
      with (mu * (1 - c) * (S' * (1 - c + S + mu))) by ring.
    replace (mu * S * ((1 - c) * (1 - c + S' + mu)))
      with (mu * (1 - c) * (S * (1 - c + S' + mu))) by ring.
    apply Rmult_lt_compat_l; [apply Rmult_lt_0_compat; lra|].
    assert (0 < (S - S') * (1 - c + mu)) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

(** If some label is wrong and Delta > 0, all labels are recovered exactly in the rounds
    t >= 1 + the integer part of t* . *)
(** Registry, least-rounds: all labels are recovered exactly in rounds t ≥ ⌊t*⌋ + 1,  t* = ln(1
    + 1/Δ)/(ln ρ),  ρ = (s_B (s_A + μ))/(s_A (s_B + μ));  t* falls in Δ, μ, c and in n at fixed
    λ, and grows with d *)
Theorem least_rounds (b : block) (given : nat -> nat) (Delta : R) (t : nat) :
  in_model b -> labels_exist b given -> balanced b given -> inside b given ->
  least_difference b given Delta -> Delta > 0 -> (0 < t)%nat ->
  perfect b given t <->
  (Int_part (t_star Delta (same_class b) (same_superclass b) (INR (per_class b)) (scale b)) + 1
   <= Z.of_nat t)%Z.
Proof.
  intros (Sizes & Order & Hmu) Labels Balanced Inside HL HD Ht.
  assert (Hrho := rho_gt_1 b Sizes Order Hmu).
  assert (E : rho b = ratio (same_class b) (same_superclass b) (INR (per_class b)) (scale b)).
  { destruct (eigenvalues_in_order b Sizes Order) as (HA & HB & _).
    unfold rho, p_A, p_B, h, ratio. fold (s_A b). fold (s_B b). field. lra. }
  rewrite (accuracy_condition b given Sizes Order Hmu Labels Balanced Inside t Ht).
  rewrite (least_difference_every b given Delta _ HL).
  rewrite threshold_power by (apply Rlt_pow_R1; assumption).
  unfold t_star. rewrite <- E. set (T := ln (1 + 1 / Delta) / ln (rho b)).
  assert (Q := threshold_rounds (rho b) Delta t Hrho HD). fold T in Q.
  destruct (base_Int_part T) as (L1 & L2).
  rewrite INR_IZR_INZ in Q. split.
  - intros (_ & H). apply Q in H.
    assert (Int_part T < Z.of_nat t)%Z by (apply lt_IZR; lra). lia.
  - intros H. split; [exact HD|]. apply Q.
    apply IZR_le in H. rewrite plus_IZR in H. lra.
Qed.

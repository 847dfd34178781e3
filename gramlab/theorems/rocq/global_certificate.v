(** The gradient at any weights bounds their distance to the optimum and the loss above it. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads.
Open Scope R_scope.

(** A weight decay for each entry of W, and the loss and gradient that go with it. *)
Definition weighted (rho W : mat) : mat := fun j k => rho j k * W j k.

Definition penalized_loss (N d K : nat) (X T rho W : mat) : R :=
  loss N d K X T 0 W + / 2 * inner d K (weighted rho W) W.

Definition penalized_gradient (N d K : nat) (X T rho W : mat) : mat :=
  (gradient N d K X T 0 W + weighted rho W)%M.

Section Penalties.

Variables (N d K : nat) (X T rho : mat) (lam : R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis T_sums : sum_to_one N K T.
Hypothesis lam_pos : 0 < lam.
Hypothesis penalties : forall j k, (j < d)%nat -> (k < K)%nat -> lam <= rho j k.

Local Notation L := (penalized_loss N d K X T rho).
Local Notation g := (penalized_gradient N d K X T rho).
Local Notation R := (weighted rho).

Lemma penalty_sym V W : inner d K (R V) W = inner d K (R W) V.
Proof. unfold inner, weighted. apply sum_ext. intros. apply sum_ext. intros. ring. Qed.

Lemma penalty_strong V : lam * inner d K V V <= inner d K (R V) V.
Proof.
  unfold inner, weighted. rewrite <- sum_scal_l. apply sum_le. intros j Hj.
  rewrite <- sum_scal_l. apply sum_le. intros k Hk. rewrite Rmult_assoc.
  apply Rmult_le_compat_r; [apply Rle_0_sqr|]. now apply penalties.
Qed.

(** L(W') >= L(W) + <g(W), W' - W> + (lam/2) |W' - W|^2 *)
Lemma penalized_tangent W W' :
  L W + inner d K (g W) (W' - W) + lam / 2 * inner d K (W' - W) (W' - W) <= L W'.
Proof.
  assert (A := loss_tangent N d K X N_pos K_pos T 0 W W' T_sums).
  assert (B := penalty_strong (W' - W)).
  assert (E : inner d K (R (W' - W)%M) (W' - W)
    = inner d K (R W') W' - 2 * inner d K (R W) W' + inner d K (R W) W).
  { rewrite (inner_ext d K _ (R W' - R W)%M _ (W' - W)%M);
      [|intros j k _ _; unfold weighted, sub; ring|apply meq_refl].
    expand. rewrite (penalty_sym W' W). ring. }
  rewrite E in B. unfold penalized_loss, penalized_gradient.
  rewrite inner_add_l. rewrite (inner_sub_r d K (R W) W' W). lra.
Qed.

(** Where the penalized gradient is 0 the loss is least. *)
Lemma penalized_minimum V : meq d K (g V) zero -> forall W, L V <= L W.
Proof.
  intros H W. assert (A := penalized_tangent V W).
  rewrite (inner_ext d K _ _ _ _ H (meq_refl d K _)), inner_zero_l in A.
  assert (0 <= lam / 2 * inner d K (W - V) (W - V)); [|lra].
  apply Rmult_le_pos; [lra|apply inner_nonneg].
Qed.

(** For a weight decay of at least lam on each entry of W, an optimum V and every W:

      |W - V| <= |g(W)| / lam,   L(W) - L(V) <= |g(W)|^2 / (2 lam). *)
Theorem global_certificate_penalties V W : meq d K (g V) zero ->
  norm d K (W - V) <= norm d K (g W) / lam
  /\ L W - L V <= norm d K (g W) ^ 2 / (2 * lam).
Proof.
  intros H. assert (A := penalized_tangent V W). assert (B := penalized_tangent W V).
  rewrite (inner_ext d K _ _ _ _ H (meq_refl d K _)), inner_zero_l in A.
  assert (E : inner d K (V - W) (V - W) = inner d K (W - V) (W - V)).
  { rewrite <- !norm_square, norm_sub_sym. reflexivity. }
  assert (C : inner d K (g W) (V - W) = - inner d K (g W) (W - V)).
  { expand. ring. }
  rewrite E in B. split.
  - assert (S := cauchy_schwarz d K (g W) (W - V)).
    rewrite C in B. rewrite <- norm_square in A, B.
    set (x := norm d K (W - V)) in *. set (y := norm d K (g W)) in *.
    assert (Px : 0 <= x) by apply norm_nonneg. assert (Py : 0 <= y) by apply norm_nonneg.
    apply Rmult_le_reg_l with lam; [assumption|].
    replace (lam * (y / lam)) with y by (field; lra).
    destruct (Rle_lt_or_eq_dec 0 x Px) as [P|Z]; [|rewrite <- Z; lra].
    apply Rmult_le_reg_r with x; [assumption|]. simpl in A, B. lra.
  - rewrite norm_square.
    assert (S := inner_nonneg d K (g W + lam * (V - W))).
    set (D := (V - W)%M) in *. set (G := g W) in *. expand_in S. rewrite (inner_sym d K D G) in S.
    rewrite <- E in B. apply Rmult_le_reg_l with (2 * lam); [lra|].
    replace (2 * lam * (inner d K G G / (2 * lam))) with (inner d K G G) by (field; lra).
    apply Rmult_le_compat_l with (r := 2 * lam) in B; [|lra]. lra.
Qed.

End Penalties.

(** With V the optimum, that is an exact head, for every W

      |W - V| <= |grad L(W)| / lam,   L(W) - L(V) <= |grad L(W)|^2 / (2 lam).

    That T >= 0 is not used. *)
(** Registry, global-certificate: ‖W − W*‖_F ≤ ‖∇ L(W)‖_F/λ,  L(W) − L(W* ) ≤ ‖∇ L(W)‖_F²/(2λ)
    for every W *)
Theorem global_certificate N d K X T lam V W :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K T -> 0 < lam ->
  head N d K X T lam V ->
  norm d K (W - V) <= norm d K (gradient N d K X T lam W) / lam
  /\ loss N d K X T lam W - loss N d K X T lam V
       <= norm d K (gradient N d K X T lam W) ^ 2 / (2 * lam).
Proof.
  intros HN HK HT Hl H. rewrite head_gradient in H by assumption.
  assert (G : forall W, meq d K (penalized_gradient N d K X T (fun _ _ => lam) W)
    (gradient N d K X T lam W)).
  { intros U j k _ _. unfold penalized_gradient, gradient, weighted, add, scale. ring. }
  assert (E : forall W, penalized_loss N d K X T (fun _ _ => lam) W = loss N d K X T lam W).
  { intros U. unfold penalized_loss, loss.
    change (weighted (fun _ _ => lam) U) with (lam * U)%M. rewrite inner_scale_l. lra. }
  rewrite <- !E, <- (norm_ext d K _ _ (G W)).
  apply global_certificate_penalties; trivial.
  - intros; lra.
  - exact (meq_trans d K _ _ _ (G V) H).
Qed.

(** Any direction gives an upper bound on the Newton decrement, without a factorization. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices existence.
Open Scope R_scope.

(** A linear map H of d x K matrices, by its action; H is symmetric and H >= lam I. *)
Definition linear (d K : nat) (H : mat -> mat) :=
  (forall A B, meq d K A B -> meq d K (H A) (H B)) /\
  (forall A B, meq d K (H (A + B)%M) (H A + H B)) /\
  (forall c A, meq d K (H (c * A)%M) (c * H A)).
Definition symmetric (d K : nat) (H : mat -> mat) :=
  forall A B, inner d K (H A) B = inner d K A (H B).
Definition at_least (d K : nat) (H : mat -> mat) (lam : R) :=
  forall A, lam * inner d K A A <= inner d K (H A) A.

Section Decrement.

Variables (d K : nat) (H : mat -> mat) (lam : R).
Hypothesis H_linear : linear d K H.
Hypothesis H_symmetric : symmetric d K H.
Hypothesis H_at_least : at_least d K H lam.
Hypothesis lam_pos : 0 < lam.

Local Notation "<< A , B >>" := (inner d K A B).

Lemma map_sub A B : meq d K (H (A - B)%M) (H A - H B).
Proof.
  destruct H_linear as [E [P S]].
  apply meq_trans with (H (A + (-1) * B)%M).
  - apply E. intros j k _ _. unfold add, sub, scale. ring.
  - intros j k Hj Hk. rewrite P by assumption. unfold add, sub at 1. rewrite S by assumption.
    unfold scale. ring.
Qed.

(** H^-1 g is one matrix at most. *)
Lemma map_injective A B : meq d K (H A) (H B) -> meq d K A B.
Proof.
  intros E. apply inner_zero. assert (L := H_at_least (A - B)%M).
  rewrite (inner_ext d K (H (A - B)%M) zero _ (A - B)%M), inner_zero_l in L; [| |apply meq_refl].
  - apply Rmult_le_reg_l with lam; [assumption|]. lra.
  - intros j k Hj Hk. rewrite map_sub by assumption. unfold sub, zero. rewrite E by assumption. ring.
Qed.

(** <r, H^-1 r> <= |r|^2 / lam *)
Lemma inverse_at_most r z : meq d K (H z) r -> << r, z >> <= << r, r >> / lam.
Proof.
  intros E. assert (L := H_at_least z).
  rewrite (inner_ext d K _ _ _ _ E (meq_refl d K z)) in L.
  assert (S := inner_nonneg d K (r - lam * z)%M). expand_in S. rewrite (inner_sym d K z r) in S.
  apply Rmult_le_reg_l with lam; [assumption|].
  replace (lam * (<< r, r >> / lam)) with (<< r, r >>) by (field; lra).
  apply Rmult_le_compat_l with (r := lam) in L; lra.
Qed.

(** ** H^-1 g exists *)

(** The matrix with 1 at (a, b), 0 elsewhere. *)
Definition unit_at (a b : nat) : mat := fun j k => if (Nat.eqb j a && Nat.eqb k b)%bool then 1 else 0.

Lemma unit_sum (A : mat) j k : (j < d)%nat -> (k < K)%nat ->
  \sum_(a < d) \sum_(b < K) (A a b * unit_at a b j k) = A j k.
Proof.
  intros Hj Hk. rewrite (sum_single d _ j Hj).
  - rewrite (sum_single K _ k Hk).
    + unfold unit_at. rewrite !Nat.eqb_refl. simpl. ring.
    + intros b _ Hb. unfold unit_at. rewrite Nat.eqb_refl.
      assert (E : Nat.eqb k b = false) by (apply Nat.eqb_neq; lia). rewrite E. simpl. ring.
  - intros a _ Ha. apply sum_zero. intros b _. unfold unit_at.
    assert (E : Nat.eqb j a = false) by (apply Nat.eqb_neq; lia). rewrite E. simpl. ring.
Qed.

Lemma map_zero : meq d K (H zero) zero.
Proof.
  destruct H_linear as [E [_ S]]. apply meq_trans with (H (0 * zero)%M).
  - apply E. intros j k _ _. unfold scale, zero. ring.
  - intros j k Hj Hk. rewrite S by assumption. unfold scale, zero. ring.
Qed.

(** Norms of images of sums *)
Lemma map_sum_bound n (A : nat -> mat) (b : nat -> R) :
  (forall s, (s < n)%nat -> norm d K (H (A s)) <= b s) -> norm d K (H (msum n A)) <= sum n b.
Proof.
  destruct H_linear as [E [P _]]. induction n as [|n IH]; intros B.
  - right. simpl. rewrite (norm_ext d K _ zero), norm_zero; [reflexivity|].
    apply meq_trans with (H zero); [apply E, meq_refl | apply map_zero].
  - simpl. apply Rle_trans with (norm d K (H (msum n A) + H (A n))).
    + right. apply norm_ext. exact (P (msum n A) (A n)).
    + eapply Rle_trans; [apply norm_triangle|].
      apply Rplus_le_compat; [apply IH; intros; apply B; lia|apply B; lia].
Qed.

(** A linear map of matrices is bounded. *)
Lemma map_bounded : exists c, 0 <= c /\ forall A, norm d K (H A) <= c * norm d K A.
Proof.
  exists (\sum_(a < d) \sum_(b < K) norm d K (H (unit_at a b))). split.
  { apply sum_nonneg. intros. apply sum_nonneg. intros. apply norm_nonneg. }
  intros A. destruct H_linear as [E [_ S]].
  apply Rle_trans with (norm d K (H (msum d (fun a => msum K (fun b => (A a b * unit_at a b)%M))))).
  - right. apply norm_ext. apply E. intros j k Hj Hk. unfold msum, scale. now rewrite unit_sum.
  - rewrite <- sum_scal_r. apply map_sum_bound. intros a Ha.
    rewrite <- sum_scal_r. apply map_sum_bound. intros b Hb.
    rewrite (norm_ext d K _ _ (S (A a b) (unit_at a b))), norm_scale, Rmult_comm.
    apply Rmult_le_compat_l; [apply norm_nonneg|]. now apply entry_le_norm.
Qed.

Theorem inverse_exists g : exists y, meq d K (H y) g.
Proof.
  destruct map_bounded as [c [Hc B]].
  assert (L : forall A B0, norm d K (H A - H B0) <= (lam + c) * norm d K (A - B0)).
  { intros A A'. rewrite <- (norm_ext d K _ _ (map_sub A A')).
    eapply Rle_trans; [apply B|]. apply Rmult_le_compat_r; [apply norm_nonneg|lra]. }
  destruct (strongly_monotone_surjective d K H lam (lam + c) g lam_pos ltac:(lra) L) as [y Hy].
  - intros A A'. rewrite <- (inner_ext d K _ _ _ _ (map_sub A A') (meq_refl d K _)). apply H_at_least.
  - now exists y.
Qed.

(** For every direction D, with the residual r = g - H D, and y = H^-1 g, z = H^-1 r, so that
    |g|^2 in the norm of H^-1 is <g, y>, and that of r is <r, z>:

      <g, y> = <g, D> + <r, D> + <r, z> <= <g, D> + <r, D> + |r|^2 / lam. *)
(** Registry, newton-decrement: ‖g‖_(H⁻¹)² = ⟨g, Δ⟩ + ⟨ρ, Δ⟩ + ‖ρ‖_(H⁻¹)² ≤ ⟨g, Δ⟩ + ⟨ρ, Δ⟩ +
    ‖ρ‖_F²/λ *)
Theorem newton_decrement g D y z :
  let r := (g - H D)%M in
  meq d K (H y) g -> meq d K (H z) r ->
  << g, y >> = << g, D >> + << r, D >> + << r, z >>
  /\ << g, y >> <= << g, D >> + << r, D >> + norm d K r ^ 2 / lam.
Proof.
  intros r Hy Hz.
  assert (Y : meq d K y (D + z)).
  { apply map_injective. apply (meq_trans d K _ _ _ Hy). apply meq_sym.
    destruct H_linear as [_ [P _]]. apply (meq_trans d K _ _ _ (P D z)).
    intros j k Hj Hk. unfold add. rewrite Hz by assumption. unfold r, sub. ring. }
  assert (E : << g, y >> = << g, D >> + << r, D >> + << r, z >>).
  { rewrite (inner_ext d K _ _ _ _ (meq_refl d K g) Y), inner_add_r.
    assert (G : << g, z >> = << r, D >> + << r, z >>).
    { replace (<< g, z >>) with (<< H D, z >> + << r, z >>) by (unfold r; expand; ring).
      rewrite H_symmetric, (inner_ext d K _ _ _ _ (meq_refl d K D) Hz), (inner_sym d K D r).
      reflexivity. }
    rewrite G. ring. }
  split; [exact E|]. rewrite E, norm_square. assert (A := inverse_at_most r z Hz). lra.
Qed.

(** Both y and z exist, and are unique. *)
Corollary newton_decrement_defined g :
  exists y, meq d K (H y) g /\ forall y', meq d K (H y') g -> meq d K y' y.
Proof.
  destruct (inverse_exists g) as [y Hy]. exists y. split; [exact Hy|]. intros y' Hy'.
  apply map_injective. apply (meq_trans d K _ _ _ Hy'). now apply meq_sym.
Qed.

End Decrement.

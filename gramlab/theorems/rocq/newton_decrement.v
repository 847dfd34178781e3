(** Any direction gives an upper bound on the Newton decrement, without a factorization. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices.
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

End Decrement.

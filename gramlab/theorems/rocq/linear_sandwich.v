(** linear-sandwich: linearized rounds keep at most what one training at the total weight decay
    keeps, and at least an exponential of it. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums.
Open Scope R_scope.

(** h_mu(s) = s / (s + mu) *)
Definition h (mu s : R) : R := s / (s + mu).

(** The product of f 0, ..., f (t - 1). *)
Fixpoint product (t : nat) (f : nat -> R) : R :=
  match t with O => 1 | S t => product t f * f t end.

(** For an eigenvalue s > 0 of a positive semidefinite G, any weight decays mu_i > 0 of t rounds and
    their sum Lambda:

      exp(-Lambda/s) <= product of h_(mu_i)(s) <= h_Lambda(s);

    with one mu, exp(-t mu/s) <= h_mu(s)^t <= h_(t mu)(s). *)
(** Registry, linear-sandwich: e^(−Λ/s) ≤ ∏_(i ≤ t) h_μᵢ(s) ≤ h_Λ(s),  h_μ(s) = s/(s + μ),  Λ =
    ∑_(i ≤ t) μᵢ;  with one μ: e^(−tμ/s) ≤ h_μ(s)ᵗ ≤ h_tμ(s) *)
Theorem linear_sandwich (t : nat) (mu : nat -> R) (s : R) :
  0 < s -> (forall i, (i < t)%nat -> 0 < mu i) ->
  let Lambda := \sum_(i < t) mu i in
  exp (- (Lambda / s)) <= product t (fun i => h (mu i) s) <= h Lambda s.
Proof.
  intros Hs. cbv zeta. induction t as [|t IH]; intros Hmu; simpl.
  - unfold h. replace (- (0 / s)) with 0 by (field; lra). rewrite exp_0.
    replace (s / (s + 0)) with 1 by (field; lra). lra.
  - destruct IH as [L U]; [intros; apply Hmu; lia|].
    assert (M : 0 < mu t) by (apply Hmu; lia).
    set (Lambda := sum t mu) in *. set (kept := product t (fun i => h (mu i) s)) in *.
    assert (HL : 0 <= Lambda) by (apply sum_nonneg; intros; left; apply Hmu; lia).
    assert (Hh : 0 < h (mu t) s) by (apply Rdiv_lt_0_compat; lra).
    split.
    + replace (- ((Lambda + mu t) / s)) with (- (Lambda / s) + - (mu t / s)) by (field; lra).
      rewrite exp_plus. apply Rmult_le_compat; try (left; apply exp_pos); [exact L|].
      replace (h (mu t) s) with (/ (1 + mu t / s)) by (unfold h; field; lra).
      rewrite exp_Ropp. assert (Q : 0 < mu t / s) by (apply Rdiv_lt_0_compat; lra).
      apply Rinv_le_contravar; [lra|apply exp_ineq1_le].
    + apply Rle_trans with (h Lambda s * h (mu t) s).
      * apply Rmult_le_compat_r; [lra|exact U].
      * unfold h. apply (Rmult_le_reg_r ((s + Lambda) * (s + mu t) * (s + (Lambda + mu t))));
          [repeat apply Rmult_lt_0_compat; lra|].
        replace (s / (s + Lambda) * (s / (s + mu t))
                 * ((s + Lambda) * (s + mu t) * (s + (Lambda + mu t))))
          with (s * (s * (s + (Lambda + mu t)))) by (field; lra).
        replace (s / (s + (Lambda + mu t)) * ((s + Lambda) * (s + mu t) * (s + (Lambda + mu t))))
          with (s * ((s + Lambda) * (s + mu t))) by (field; lra).
        apply Rmult_le_compat_l; [lra|].
        assert (0 <= Lambda * mu t) by (apply Rmult_le_pos; lra). lra.
Qed.

Corollary linear_sandwich_one_mu (t : nat) (mu s : R) :
  0 < s -> 0 < mu -> exp (- (INR t * mu / s)) <= h mu s ^ t <= h (INR t * mu) s.
Proof.
  intros Hs Hmu. assert (S := linear_sandwich t (fun _ => mu) s Hs (fun _ _ => Hmu)).
  cbv beta zeta in S. rewrite sum_const in S.
  assert (E : forall n, product n (fun _ => h mu s) = h mu s ^ n).
  { induction n as [|n IH]; simpl; [reflexivity|]. rewrite IH. ring. }
  rewrite E in S. exact S.
Qed.

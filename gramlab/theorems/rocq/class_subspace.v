(** Davis-Kahan: how far the top-K eigenspace can lean away from the class indicators. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters spectral.
Open Scope R_scope.

(** The spectral norm of a linear map T of vectors of length K to vectors of length N is at most q. *)
Definition map_norm_at_most (K N : nat) (T : (nat -> R) -> nat -> R) (q : R) : Prop :=
  0 <= q /\ forall a, norm2 N (T a) <= q * q * norm2 K a.

(** The part of x outside the span of the first K of N orthonormal vectors. *)
Definition outside (N K : nat) (v : nat -> nat -> R) (x : nat -> R) (i : nat) : R :=
  \sum_(r < N - K) (dot N (v (K + r)%nat) x * v (K + r)%nat i).

Section ClassSubspace.

(** N rows in K classes of n, given by [cls]; 1 on the diagonal, c inside classes, d elsewhere. *)
Variables (N K n : nat) (cls : nat -> nat) (c d : R) (G : nat -> nat -> R).
Hypothesis n_pos : (0 < n)%nat.
Hypothesis classes : forall i, (i < N)%nat -> (cls i < K)%nat.
Hypothesis sizes : forall k, (k < K)%nat -> \sum_(i < N) ind (Nat.eqb (cls i) k) = INR n.
Hypothesis order : 0 <= d < c.
Hypothesis c_lt_1 : c < 1.

Definition class_gram (i j : nat) : R :=
  if Nat.eqb i j then 1 else if Nat.eqb (cls i) (cls j) then c else d.

(** U a, where column k of U is the indicator of class k divided by sqrt n. *)
Definition indicators (a : nat -> R) (i : nat) : R := a (cls i) / sqrt (INR n).

Let s_B := 1 - c + INR n * (c - d).

Let root : 0 < sqrt (INR n).
Proof. apply sqrt_lt_R0, lt_0_INR, n_pos. Qed.

Let root_square : sqrt (INR n) * sqrt (INR n) = INR n.
Proof. apply sqrt_sqrt, pos_INR. Qed.

(** Sums over rows of what depends on the class alone. *)
Let sum_classes (f : nat -> R) : \sum_(i < N) f (cls i) = INR n * sum K f.
Proof.
  rewrite <- sum_scal_l.
  rewrite (sum_ext K _ (fun k => \sum_(i < N) (ind (Nat.eqb (cls i) k) * f k)))
    by (intros k Hk; rewrite sum_scal_r, sizes by exact Hk; ring).
  rewrite sum_swap. apply sum_ext. intros i Hi. symmetry.
  apply (sum_ind' K f (cls i)), classes, Hi.
Qed.

Lemma indicators_dot a b : dot N (indicators a) (indicators b) = dot K a b.
Proof.
  unfold dot. rewrite (sum_ext N _ (fun i => a (cls i) * b (cls i) / INR n)).
  - rewrite (sum_classes (fun k => a k * b k / INR n)), sum_div. field.
    apply Rgt_not_eq, lt_0_INR, n_pos.
  - intros i _. unfold indicators. rewrite <- root_square at 3. field. lra.
Qed.

Lemma indicators_linear a b s t i :
  indicators (fun k => s * a k + t * b k) i = s * indicators a i + t * indicators b i.
Proof. unfold indicators. field. lra. Qed.

(** G_0 U a = U (s_B a + n d (sum of a) 1) *)
Lemma class_gram_indicators a i : (i < N)%nat ->
  mv N class_gram (indicators a) i = indicators (fun k => s_B * a k + INR n * d * sum K a) i.
Proof.
  intros Hi. unfold mv.
  rewrite (sum_ext N _ (fun j => ind (Nat.eqb i j) * ((1 - c) * indicators a j)
    + (c - d) / sqrt (INR n) * (ind (Nat.eqb (cls j) (cls i)) * a (cls i))
    + d / sqrt (INR n) * a (cls j))).
  - rewrite !sum_plus, (sum_ind' N (fun j => (1 - c) * indicators a j) i Hi), !sum_scal_l.
    rewrite sum_scal_r, sizes by (apply classes, Hi). rewrite (sum_classes a).
    unfold indicators, s_B. field. lra.
  - intros j _. unfold class_gram, indicators. rewrite (Nat.eqb_sym (cls j)).
    destruct (Nat.eqb_spec i j) as [->|]; [rewrite Nat.eqb_refl; simpl; field; lra|].
    destruct (Nat.eqb_spec (cls i) (cls j)) as [->|]; simpl; field; lra.
Qed.

Variables (v : nat -> nat -> R) (s : nat -> R) (Delta : R).
Hypothesis K_lt : (K < N)%nat.
Hypothesis G_symmetric : symmetric N G.
(** Eigenvectors v_r with eigenvalues s_r, the K largest first; s_(K+1) is [s K]. *)
Hypothesis basis : eigenbasis N G v s.
Hypothesis sorted : forall r, (K <= r < N)%nat -> s r <= s K.
Hypothesis gap : 0 < s_B - s K.
(** |(G - G_0) U|_2 is at most Delta. *)
Hypothesis lean : map_norm_at_most K N
  (fun a i => mv N G (indicators a) i - mv N class_gram (indicators a) i) Delta.

Let p (r : nat) := v (K + r)%nat.
Let z (a : nat -> R) (r : nat) := dot N (p r) (indicators a).
Let unit_ k := fun l => ind (Nat.eqb l k).
(** Z' Z, for the matrix Z of the v_r outside, times U *)
Let A (k l : nat) := \sum_(r < N - K) (z (unit_ k) r * z (unit_ l) r).

Let z_expand a r : z a r = \sum_(k < K) (a k * z (unit_ k) r).
Proof.
  unfold z. rewrite (sum_ext K _ (fun k => dot N (p r) (fun i => a k * indicators (unit_ k) i)))
    by (intros; rewrite dot_scal_r; reflexivity).
  rewrite <- (dot_sum_r N K (p r) (fun k i => a k * indicators (unit_ k) i)).
  apply dot_ext; [reflexivity|]. intros i Hi. unfold indicators, unit_.
  rewrite (sum_ext K _ (fun k => ind (Nat.eqb (cls i) k) * (a k / sqrt (INR n))))
    by (intros; field; lra).
  symmetry. apply (sum_ind' K (fun k => a k / sqrt (INR n)) (cls i)), classes, Hi.
Qed.

Let A_apply a b : dot K b (mv K A a) = \sum_(r < N - K) (z b r * z a r).
Proof.
  transitivity (\sum_(r < N - K) \sum_(l < K) \sum_(k < K) (b l * z (unit_ l) r * (a k * z (unit_ k) r))).
  - rewrite sum_swap. unfold dot, mv, A. apply sum_ext. intros l Hl. rewrite sum_swap, <- sum_scal_l.
    apply sum_ext. intros k Hk. rewrite <- sum_scal_r, <- sum_scal_l. apply sum_ext. intros. ring.
  - apply sum_ext. intros r _. rewrite (z_expand a), (z_expand b).
    rewrite <- (sum_prod K K (fun l => b l * z (unit_ l) r) (fun k => a k * z (unit_ k) r)). reflexivity.
Qed.

Let A_symmetric : symmetric K A.
Proof. intros k l _ _. unfold A. apply sum_ext. intros. ring. Qed.

(** The coordinates outside are at most the whole vector. *)
Let outside_at_most x : \sum_(r < N - K) (dot N (p r) x * dot N (p r) x) <= norm2 N x.
Proof.
  rewrite (eigenbasis_norm N G v s basis x).
  replace (sum N (fun r => dot N (v r) x * dot N (v r) x))
    with (sum (K + (N - K)) (fun r => dot N (v r) x * dot N (v r) x)) by (f_equal; lia).
  rewrite sum_split. fold p.
  assert (0 <= sum K (fun r => dot N (v r) x * dot N (v r) x)).
  { apply sum_nonneg. intros. apply Rle_0_sqr. }
  change (\sum_(i < N - K) (dot N (v (K + i)%nat) x * dot N (v (K + i)%nat) x))
    with (\sum_(r < N - K) (dot N (p r) x * dot N (p r) x)). lra.
Qed.

Let outside_norm x : norm2 N (outside N K v x) = \sum_(r < N - K) (dot N (p r) x * dot N (p r) x).
Proof.
  destruct basis as [O _].
  assert (E : forall q, (q < N - K)%nat -> dot N (p q) (outside N K v x) = dot N (p q) x).
  { intros q Hq. unfold outside.
    rewrite (dot_sum_r N (N - K) (p q) (fun r i => dot N (v (K + r)%nat) x * v (K + r)%nat i)).
    rewrite (sum_ext (N - K) _ (fun r => ind (Nat.eqb q r) * dot N (p r) x)).
    - apply (sum_ind' (N - K) (fun r => dot N (p r) x) q Hq).
    - intros r Hr. rewrite dot_scal_r. unfold p at 1. rewrite O by lia.
      replace (Nat.eqb (K + q) (K + r)) with (Nat.eqb q r); [unfold p; ring|].
      destruct (Nat.eqb_spec q r) as [->|]; symmetry; [apply Nat.eqb_refl|apply Nat.eqb_neq; lia]. }
  unfold norm2. unfold outside at 2.
  rewrite (dot_sum_r N (N - K) _ (fun r i => dot N (v (K + r)%nat) x * v (K + r)%nat i)).
  apply sum_ext. intros r Hr. rewrite dot_scal_r, (dot_comm N (outside N K v x)).
  change (dot N (v (K + r)%nat) (outside N K v x)) with (dot N (p r) (outside N K v x)).
  rewrite E by exact Hr. reflexivity.
Qed.

(** Every eigenvalue of Z' Z is at most (Delta / gap)^2. *)
Let eigenvalue_bound w sigma : norm2 K w = 1 ->
  (forall k, (k < K)%nat -> mv K A w k = sigma * w k) ->
  sigma <= (Delta / (s_B - s K)) * (Delta / (s_B - s K)).
Proof.
  intros Hw Ew.
  assert (Along : forall b, \sum_(r < N - K) (z b r * z w r) = sigma * dot K b w).
  { intros b. rewrite <- A_apply, <- dot_scal_r. apply dot_ext; [reflexivity|exact Ew]. }
  assert (Sig : \sum_(r < N - K) (z w r * z w r) = sigma).
  { rewrite Along. fold (norm2 K w). rewrite Hw. ring. }
  assert (Sp : 0 <= sigma) by (rewrite <- Sig; apply sum_nonneg; intros; apply Rle_0_sqr).
  set (y := fun i => mv N G (indicators w) i - mv N class_gram (indicators w) i).
  (* what z meets of y *)
  assert (Meets : \sum_(r < N - K) (z w r * dot N (p r) y)
    <= s K * sigma - s_B * sigma).
  { rewrite (sum_ext (N - K) _ (fun r => s (K + r)%nat * (z w r * z w r)
      - (s_B * (z w r * z w r) + INR n * d * sum K w * (z w r * z (fun _ => 1) r)))).
    - rewrite sum_minus, sum_plus, !sum_scal_l, Sig.
      rewrite (sum_ext (N - K) (fun r => z w r * z (fun _ => 1) r) (fun r => z (fun _ => 1) r * z w r))
        by (intros; ring).
      rewrite Along.
      assert (E : dot K (fun _ => 1) w = sum K w) by (apply sum_ext; intros; ring). rewrite E.
      assert (T : \sum_(r < N - K) (s (K + r)%nat * (z w r * z w r)) <= s K * sigma).
      { rewrite <- Sig, <- sum_scal_l. apply sum_le. intros r Hr.
        apply Rmult_le_compat_r; [apply Rle_0_sqr|]. apply sorted. lia. }
      assert (0 <= INR n * d * sum K w * (sigma * sum K w)).
      { replace (INR n * d * sum K w * (sigma * sum K w))
          with (INR n * d * sigma * (sum K w * sum K w)) by ring.
        apply Rmult_le_pos; [|apply Rle_0_sqr]. apply Rmult_le_pos; [|exact Sp].
        apply Rmult_le_pos; [apply pos_INR|lra]. }
      lra.
    - intros r Hr. unfold y. rewrite dot_minus_r. unfold p at 1.
      rewrite (eigenbasis_dot N G v s G_symmetric basis) by lia. fold (p r).
      change (dot N (p r) (indicators w)) with (z w r).
      rewrite (dot_ext N (p r) (mv N class_gram (indicators w)) (p r)
        (fun i => s_B * indicators w i + INR n * d * sum K w * indicators (fun _ => 1) i)
        (fun _ _ => eq_refl)).
      + rewrite dot_plus_r, !dot_scal_r. unfold z. ring.
      + intros i Hi. rewrite class_gram_indicators by exact Hi. unfold indicators. field. lra. }
  assert (C := cauchy_schwarz (N - K) (z w) (fun r => dot N (p r) y)).
  assert (Q : norm2 (N - K) (z w) = sigma) by exact Sig.
  assert (B : norm2 (N - K) (fun r => dot N (p r) y) <= norm2 N y) by apply outside_at_most.
  destruct lean as [Hd L]. specialize (L w). rewrite Hw, Rmult_1_r in L. fold y in L.
  rewrite Q in C. unfold dot at 1 2 in C.
  set (m := \sum_(r < N - K) (z w r * dot N (p r) y)) in *.
  set (g := s_B - s K) in *.
  assert (M1 : sigma * g <= - m) by (unfold g; lra).
  assert (M2 : (sigma * g) * (sigma * g) <= sigma * (Delta * Delta)).
  { apply Rle_trans with (m * m).
    - replace (m * m) with (- m * - m) by ring.
      assert (0 <= sigma * g) by (apply Rmult_le_pos; lra). apply Rmult_le_compat; assumption.
    - eapply Rle_trans; [exact C|]. apply Rmult_le_compat_l; [exact Sp|]. lra. }
  replace (Delta / g * (Delta / g)) with (Delta * Delta / (g * g)) by (field; lra).
  assert (Pg : 0 < g * g) by (apply Rmult_lt_0_compat; assumption).
  apply Rmult_le_reg_r with (g * g); [exact Pg|].
  replace (Delta * Delta / (g * g) * (g * g)) with (Delta * Delta) by (field; lra).
  destruct (Rle_lt_or_eq_dec 0 sigma Sp) as [P|Z].
  - apply Rmult_le_reg_l with sigma; [exact P|]. lra.
  - rewrite <- Z, Rmult_0_l. apply Rle_0_sqr.
Qed.

(** With the top K eigenvectors V_K(G), U = I_K (x) 1_n / sqrt n and the gap s_B - s_(K+1)(G) > 0:

      |sin Theta(V_K(G), U)|_2 <= |(G - G_0) U|_2 / |s_B - s_(K+1)(G)|,  s_B = 1 - c + n (c - d);

    sin Theta is the part of U outside V_K(G), and [Delta] any bound on |(G - G_0) U|_2. *)
(** Registry, class-subspace: ‖sinΘ(V_K(G), U)‖₂ ≤ ‖(G − G₀) U‖₂/(|s_B(G₀) − s_(K+1)(G)|),  s_B
    = 1 − c + n(c − d) *)
Theorem class_subspace :
  map_norm_at_most K N (fun a => outside N K v (indicators a)) (Delta / Rabs (s_B - s K)).
Proof.
  rewrite (Rabs_pos_eq (s_B - s K)) by lra. destruct lean as [Hd _].
  split; [apply Rmult_le_pos; [exact Hd|left; apply Rinv_0_lt_compat, gap]|].
  intros a. rewrite outside_norm.
  change (\sum_(r < N - K) (z a r * z a r)
    <= Delta / (s_B - s K) * (Delta / (s_B - s K)) * norm2 K a).
  rewrite <- A_apply.
  destruct (spectral_theorem K A A_symmetric) as (w & sigma & B).
  assert (E : dot K a (mv K A a) = sum K (fun q => sigma q * (dot K (w q) a * dot K (w q) a))).
  { destruct B as (O & C & Ei).
    rewrite (dot_ext K a _ (fun i => sum K (fun r => dot K (w r) a * w r i)) (mv K A a) (C a)
      (fun _ _ => eq_refl)).
    rewrite dot_comm, (dot_sum_r K K _ (fun r i => dot K (w r) a * w r i)).
    apply sum_ext. intros q Hq. rewrite dot_scal_r, (dot_comm K (mv K A a)).
    rewrite (eigenbasis_dot K A w sigma A_symmetric (conj O (conj C Ei)) q a Hq). ring. }
  rewrite E, (eigenbasis_norm K A w sigma B a), <- sum_scal_l. apply sum_le. intros q Hq.
  apply Rmult_le_compat_r; [apply Rle_0_sqr|]. destruct B as (O & _ & Ei).
  apply (eigenvalue_bound (w q)).
  - unfold norm2. rewrite (O q q Hq Hq), Nat.eqb_refl. reflexivity.
  - intros k Hk. now apply Ei.
Qed.

End ClassSubspace.

(** Rounds lam_t W_t + M(W_t) = u_t, u_(t+1) = M(W_t), for any monotone map M of matrices, and for
    one that is the gradient of a convex F: what the theorems on exact rounds need, and no more. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices.
Open Scope R_scope.

(** What round t is given: u_1 at first, later M of the weights of the round before; with mixing,
    xi M(W) + (1 - xi) u_1. *)
Definition given (M : mat -> mat) (u1 : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => M (W (S s))
  | _ => u1
  end.

Definition given_mixed (M : mat -> mat) (xi : R) (u1 : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => xi * M (W (S s)) + (1 - xi) * u1
  | _ => u1
  end.

(** Rounds 1, ..., n are exact. *)
Definition run (d K : nat) (M : mat -> mat) (lam : nat -> R) (u1 : mat) (W : nat -> mat) (n : nat) :=
  forall t, (1 <= t <= n)%nat -> meq d K (lam t * W t + M (W t)) (given M u1 W t).

Definition run_mixed (d K : nat) (M : mat -> mat) (lam : nat -> R) (xi : R) (u1 : mat)
  (W : nat -> mat) (n : nat) :=
  forall t, (1 <= t <= n)%nat -> meq d K (lam t * W t + M (W t)) (given_mixed M xi u1 W t).

(** lam_1 + ... + lam_t, and lam_1 W_1 + ... + lam_t W_t *)
Definition total (lam : nat -> R) (t : nat) : R := \sum_(s < t) lam (S s).
Definition spent (lam : nat -> R) (W : nat -> mat) (t : nat) : mat :=
  msum t (fun s => (lam (S s) * W (S s))%M).

(** The average of the weights, by weight decay. *)
Definition average (lam : nat -> R) (W : nat -> mat) (t : nat) : mat :=
  (/ total lam t * spent lam W t)%M.

(** S_t = e_t + |xi| S_(t-1), S_0 = 0 *)
Fixpoint carried (xi : R) (e : nat -> R) (t : nat) : R :=
  match t with
  | O => 0
  | S s => e (S s) + Rabs xi * carried xi e s
  end.

Lemma total_pos lam t : (1 <= t)%nat -> (forall s, (1 <= s <= t)%nat -> 0 < lam s) -> 0 < total lam t.
Proof. intros Ht H. unfold total. apply sum_pos; [lia|]. intros. apply H. lia. Qed.

Lemma run_le d K M lam u1 W n m : (m <= n)%nat -> run d K M lam u1 W n -> run d K M lam u1 W m.
Proof. intros Hm H t Ht. apply H. lia. Qed.

Section Monotone.

Variables (d K : nat) (M : mat -> mat).
Local Notation "A == B" := (meq d K A B) (at level 70).
Local Notation "<< A , B >>" := (inner d K A B).
Local Notation "| A |" := (norm d K A%M) (at level 30).

Hypothesis M_monotone : forall W W', 0 <= << (M W - M W')%M, (W - W')%M >>.

(** ** One round *)

(** |M(W) - M(W')|^2 + lam^2 |W - W'|^2 + 2 lam <M(W) - M(W'), W - W'> = |u - u'|^2 *)
Lemma step_square lam u u' W W' :
  lam * W + M W == u -> lam * W' + M W' == u' ->
  << (M W - M W')%M, (M W - M W')%M >> + lam ^ 2 * << (W - W')%M, (W - W')%M >>
    + 2 * lam * << (M W - M W')%M, (W - W')%M >> = << (u - u')%M, (u - u')%M >>.
Proof.
  intros H H'. set (D := (W - W')%M). set (E := (M W - M W')%M).
  assert (Hu : u - u' == lam * D + E).
  { intros j k Hj Hk. unfold D, E, sub at 1. rewrite <- H, <- H' by assumption.
    unfold add, sub, scale. ring. }
  rewrite (inner_ext d K _ _ _ _ Hu Hu). expand. rewrite (inner_sym d K D E). ring.
Qed.

Lemma step_firm lam u u' W W' : 0 <= lam ->
  lam * W + M W == u -> lam * W' + M W' == u' ->
  << (M W - M W')%M, (M W - M W')%M >> + lam ^ 2 * << (W - W')%M, (W - W')%M >>
    <= << (u - u')%M, (u - u')%M >>.
Proof.
  intros Hl H H'. rewrite <- (step_square lam u u' W W' H H').
  assert (0 <= lam * << (M W - M W')%M, (W - W')%M >>) by now apply Rmult_le_pos. lra.
Qed.

Lemma step_moments lam u u' W W' : 0 <= lam ->
  lam * W + M W == u -> lam * W' + M W' == u' -> |M W - M W'| <= |u - u'|.
Proof.
  intros Hl H H'. apply norm_le. assert (A := step_firm lam u u' W W' Hl H H').
  assert (0 <= lam ^ 2 * << (W - W')%M, (W - W')%M >>); [|lra].
  apply Rmult_le_pos; [apply pow2_ge_0 | apply inner_nonneg].
Qed.

Lemma step_weights lam u u' W W' : 0 <= lam ->
  lam * W + M W == u -> lam * W' + M W' == u' -> lam * |W - W'| <= |u - u'|.
Proof.
  intros Hl H H'. rewrite <- (Rabs_pos_eq lam), <- norm_scale by assumption. apply norm_le.
  assert (A := step_firm lam u u' W W' Hl H H'). rewrite inner_scale_l, inner_scale_r.
  assert (0 <= << (M W - M W')%M, (M W - M W')%M >>) by apply inner_nonneg. lra.
Qed.

(** ** Plain rounds *)

(** lam_1 W_1 + ... + lam_t W_t = u_1 - M(W_t) *)
Lemma run_telescope lam u1 W t : (1 <= t)%nat -> run d K M lam u1 W t ->
  spent lam W t == u1 - M (W t).
Proof.
  intros Ht H. induction t as [|[|t] IH]; [lia| |]; intros j k Hj Hk.
  - specialize (H 1%nat ltac:(lia) j k Hj Hk). simpl in H.
    unfold spent, msum, add, sub, scale in H |- *. simpl. lra.
  - assert (IH' := IH ltac:(lia) (run_le d K M lam u1 W (S (S t)) (S t) ltac:(lia) H) j k Hj Hk).
    specialize (H (S (S t)) ltac:(lia) j k Hj Hk). simpl given in H.
    unfold spent, msum, add, sub, scale in H, IH' |- *.
    change (\sum_(s < S t) (lam (S s) * W (S s) j k) + lam (S (S t)) * W (S (S t)) j k
              = u1 j k - M (W (S (S t))) j k). lra.
Qed.

(** |W_(t+1)|^2 <= <W_t, W_(t+1)> *)
Lemma run_shrinks lam u1 W t : (1 <= t)%nat -> run d K M lam u1 W (S t) -> 0 < lam (S t) ->
  << W (S t), W (S t) >> <= << W t, W (S t) >>.
Proof.
  intros Ht H Hl. destruct t as [|t]; [lia|].
  assert (E : M (W (S t)) - M (W (S (S t))) == lam (S (S t)) * W (S (S t))).
  { intros j k Hj Hk. assert (A := H (S (S t)) ltac:(lia) j k Hj Hk). simpl given in A.
    unfold add, sub, scale in *. lra. }
  assert (A := M_monotone (W (S t)) (W (S (S t)))).
  rewrite (inner_ext d K _ _ _ _ E (meq_refl d K _)) in A. expand_in A.
  rewrite (inner_sym d K (W (S (S t))) (W (S t))) in A.
  apply Rmult_le_reg_l with (lam (S (S t))); [assumption|]. lra.
Qed.

(** |B|^2 <= <A, B> says that B lies in the ball with the segment from 0 to A as diameter. *)
Lemma in_ball A B : << B, B >> <= << A, B >> -> |B - (1 / 2) * A| <= 1 / 2 * |A|.
Proof.
  intros H. apply norm_le_of_square; [apply Rmult_le_pos; [lra|apply norm_nonneg]|].
  rewrite Rpow_mult_distr, norm_square. expand. rewrite (inner_sym d K B A). lra.
Qed.

Lemma in_ball_norm A B : << B, B >> <= << A, B >> -> |B| <= |A|.
Proof.
  intros H. assert (C := cauchy_schwarz d K A B). rewrite <- norm_square in H.
  assert (HA := norm_nonneg d K A). assert (HB := norm_nonneg d K B).
  destruct (Rle_lt_or_eq_dec 0 (|B|) HB) as [P|Z]; [|lra].
  apply Rmult_le_reg_l with (|B|); lra.
Qed.

(** ** One training at the total weight decay *)

(** <V - W', V - W> <= 0, where V is the head at c and c W' + M(W) is what it is given *)
Lemma ball_angle c u V W W' : 0 < c -> c * V + M V == u -> c * W' + M W == u ->
  << (V - W')%M, (V - W)%M >> <= 0.
Proof.
  intros Hc HV HW. assert (A := M_monotone V W).
  assert (E : M V - M W == (- c) * (V - W')).
  { intros j k Hj Hk. specialize (HV j k Hj Hk). specialize (HW j k Hj Hk).
    unfold add, sub, scale in *. lra. }
  rewrite (inner_ext d K _ _ _ _ E (meq_refl d K _)), inner_scale_l in A.
  apply Rmult_le_reg_l with c; [assumption|]. lra.
Qed.

(** Such a V lies in the ball with the segment from W to W' as diameter. *)
Lemma ball_of_angle V W W' : << (V - W')%M, (V - W)%M >> <= 0 ->
  |V - (1 / 2) * (W' + W)| <= 1 / 2 * |W' - W| /\ |V - W| <= |W' - W| /\ |V - W'| <= |W' - W|.
Proof.
  intros H. expand_in H. rewrite (inner_sym d K V W) in H. split; [|split].
  - apply norm_le_of_square; [apply Rmult_le_pos; [lra|apply norm_nonneg]|].
    rewrite Rpow_mult_distr, norm_square. expand.
    rewrite (inner_sym d K V W), (inner_sym d K W' V) in *. rewrite (inner_sym d K W' W) in *. lra.
  - apply norm_le. assert (P := inner_nonneg d K (V - W')%M). expand_in P. expand.
    rewrite (inner_sym d K V W), (inner_sym d K W' V) in *. rewrite (inner_sym d K W' W) in *. lra.
  - apply norm_le. assert (P := inner_nonneg d K (V - W)%M). expand_in P. expand.
    rewrite (inner_sym d K V W), (inner_sym d K W' V) in *. rewrite (inner_sym d K W' W) in *. lra.
Qed.

Lemma run_ball lam u1 W t V : (1 <= t)%nat -> run d K M lam u1 W t -> 0 < total lam t ->
  total lam t * V + M V == u1 ->
  << (V - average lam W t)%M, (V - W t)%M >> <= 0.
Proof.
  intros Ht H Hc HV. apply ball_angle with (c := total lam t) (u := u1); [assumption..|].
  intros j k Hj Hk. assert (A := run_telescope lam u1 W t Ht H j k Hj Hk).
  unfold average, add, sub, scale in *. rewrite A. field. lra.
Qed.

(** ** Mixed rounds *)

Lemma run_mixed_limit lam xi u1 W V n : 0 < lam -> xi < 1 ->
  run_mixed d K M (fun _ => lam) xi u1 W n -> lam / (1 - xi) * V + M V == u1 ->
  forall t, (1 <= t <= n)%nat ->
  lam ^ 2 * |W t - V| ^ 2 + |M (W t) - M V| ^ 2 <= (Rabs xi ^ t / (1 - xi) * lam * |V|) ^ 2.
Proof.
  intros Hl Hx H HV.
  set (U := (lam * V + M V)%M).
  set (c := fun t => (Rabs xi ^ t / (1 - xi) * lam * |V|) ^ 2).
  assert (Step : forall t, (1 <= t <= n)%nat ->
    << (given_mixed M xi u1 W t - U)%M, (given_mixed M xi u1 W t - U)%M >> <= c t ->
    lam ^ 2 * |W t - V| ^ 2 + |M (W t) - M V| ^ 2 <= c t).
  { intros t Ht B. rewrite !norm_square.
    assert (A := step_firm lam _ U (W t) V (Rlt_le _ _ Hl) (H t Ht) (meq_refl d K U)). lra. }
  intros t Ht. apply Step; [assumption|].
  destruct t as [|t]; [lia|]. induction t as [|t IH].
  - right. assert (E : given_mixed M xi u1 W 1 - U == (lam * xi / (1 - xi)) * V).
    { intros j k Hj Hk. specialize (HV j k Hj Hk). unfold U, given_mixed.
      unfold add, sub, scale in *. rewrite <- HV. field. lra. }
    rewrite (inner_ext d K _ _ _ _ E E), inner_scale_l, inner_scale_r. unfold c.
    rewrite !Rpow_mult_distr, norm_square. rewrite pow_1.
    unfold Rdiv. rewrite !Rpow_mult_distr, pow2_abs. ring.
  - specialize (IH ltac:(lia)). apply Step in IH; [|lia].
    assert (E : given_mixed M xi u1 W (S (S t)) - U == xi * (M (W (S t)) - M V)).
    { intros j k Hj Hk. specialize (HV j k Hj Hk). unfold U, given_mixed.
      unfold add, sub, scale in *. rewrite <- HV. field. lra. }
    rewrite (inner_ext d K _ _ _ _ E E), inner_scale_l, inner_scale_r.
    rewrite <- norm_square. unfold c.
    replace ((Rabs xi ^ S (S t) / (1 - xi) * lam * |V|) ^ 2)
      with (xi ^ 2 * (Rabs xi ^ S t / (1 - xi) * lam * |V|) ^ 2).
    + fold (c (S t)). rewrite <- Rmult_assoc. replace (xi * xi) with (xi ^ 2) by ring.
      apply Rmult_le_compat_l; [apply pow2_ge_0|].
      assert (0 <= lam ^ 2 * |W (S t) - V| ^ 2); [|lra].
      apply Rmult_le_pos; apply pow2_ge_0.
    + rewrite <- (pow2_abs xi). simpl. unfold Rdiv. ring.
Qed.

(** ** Errors carried through rounds *)

(** Any weights W' beside exact rounds W: with e_t the norm of the residual of W'_t on what the
    weights W' of the round before make, both distances are at most S_t. *)
Lemma run_chain lam xi u1 W W' n :
  (forall t, (1 <= t <= n)%nat -> 0 <= lam t) -> run_mixed d K M lam xi u1 W n ->
  forall t, (1 <= t <= n)%nat ->
  let S := carried xi (fun t => |lam t * W' t + M (W' t) - given_mixed M xi u1 W' t|) in
  lam t * |W' t - W t| <= S t /\ |M (W' t) - M (W t)| <= S t.
Proof.
  intros Hl H t Ht S.
  set (e := fun t => |lam t * W' t + M (W' t) - given_mixed M xi u1 W' t|) in *.
  assert (Step : forall t, (1 <= t <= n)%nat -> forall s,
    |given_mixed M xi u1 W' t - given_mixed M xi u1 W t| <= s ->
    lam t * |W' t - W t| <= e t + s /\ |M (W' t) - M (W t)| <= e t + s).
  { clear t Ht. intros t Ht s Hs.
    set (u' := (lam t * W' t + M (W' t))%M).
    assert (A : |u' - given_mixed M xi u1 W t| <= e t + s).
    { eapply Rle_trans; [apply (norm_sub_triangle d K _ (given_mixed M xi u1 W' t))|].
      unfold e. fold u'. lra. }
    assert (B := step_weights (lam t) u' _ (W' t) (W t) (Hl t Ht) (meq_refl d K u') (H t Ht)).
    assert (C := step_moments (lam t) u' _ (W' t) (W t) (Hl t Ht) (meq_refl d K u') (H t Ht)).
    lra. }
  assert (G : |given_mixed M xi u1 W' t - given_mixed M xi u1 W t| <= Rabs xi * S (pred t)).
  { destruct t as [|t]; [lia|]. simpl pred. induction t as [|t IH].
    - simpl. rewrite Rmult_0_r. right. rewrite <- (norm_zero d K). apply norm_ext.
      intros j k _ _. unfold sub, zero. ring.
    - specialize (IH ltac:(lia)). apply Step in IH; [|lia]. destruct IH as [_ IH].
      assert (E : given_mixed M xi u1 W' (Datatypes.S (Datatypes.S t))
        - given_mixed M xi u1 W (Datatypes.S (Datatypes.S t))
        == xi * (M (W' (Datatypes.S t)) - M (W (Datatypes.S t)))).
      { intros j k _ _. unfold given_mixed, add, sub, scale. ring. }
      rewrite (norm_ext d K _ _ E), norm_scale.
      apply Rmult_le_compat_l; [apply Rabs_pos|]. exact IH. }
  destruct t as [|t]; [lia|]. apply (Step _ Ht _ G).
Qed.

End Monotone.

(** Rounds lam_t W_t + M(W_t) = u_t, u_(t+1) = M(W_t), where M is the gradient of a convex F. The
    conjugate of F at M(W) is G(W) = <M(W), W> - F(W); for softmax heads it is minus the entropy. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices proximal.
Open Scope R_scope.

(** Momentum: u_(t+1) = v_t + (t - 1)/(t + 2) (v_t - v_(t-1)), where v_0 = u_1, v_t = M(W_t). *)
Definition made (M : mat -> mat) (u1 : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | O => u1
  | S _ => M (W t)
  end.

Definition momentum_factor (t : nat) : R := (INR t - 1) / (INR t + 2).

Definition given_momentum (M : mat -> mat) (u1 : mat) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => M (W (S s)) + momentum_factor (S s) * (M (W (S s)) - made M u1 W s)
  | _ => u1
  end.

Section Convex.

Variables (d K : nat) (M : mat -> mat) (F : mat -> R).
Local Notation "A == B" := (meq d K A B) (at level 70).
Local Notation "<< A , B >>" := (inner d K A B).
Local Notation "| A |" := (norm d K A%M) (at level 30).

(** F is convex and M is its gradient. *)
Hypothesis F_tangent : forall W W', F W + << M W, (W' - W)%M >> <= F W'.

Definition G (W : mat) : R := << M W, W >> - F W.

Lemma gradient_monotone W W' : 0 <= << (M W - M W')%M, (W - W')%M >>.
Proof. assert (A := F_tangent W W'). assert (B := F_tangent W' W). expand_in A. expand_in B. expand. lra. Qed.

(** W is a subgradient of the conjugate at M(W). *)
Lemma conjugate_tangent W W' : G W + << W, (M W' - M W)%M >> <= G W'.
Proof.
  assert (A := F_tangent W' W). unfold G. expand_in A. expand.
  rewrite (inner_sym d K W (M W')), (inner_sym d K W (M W)). lra.
Qed.

(** The conjugate is least at M(0). *)
Lemma conjugate_least W : G zero <= G W.
Proof. assert (A := conjugate_tangent zero W). rewrite inner_zero_l in A. lra. Qed.

(** G(W) - G(0) <= <W, M(W) - M(0)> *)
Lemma conjugate_above W : G W - G zero <= << W, (M W - M zero)%M >>.
Proof. assert (A := conjugate_tangent W zero). expand_in A. expand. lra. Qed.

(** ** The step of the conjugate *)

Lemma run_step lam u1 W t : (1 <= t)%nat -> run d K M lam u1 W (S t) ->
  M (W t) - M (W (S t)) == lam (S t) * W (S t).
Proof.
  intros Ht H. destruct t as [|t]; [lia|]. intros j k Hj Hk.
  assert (A := H (S (S t)) ltac:(lia) j k Hj Hk). simpl given in A.
  unfold add, sub, scale in *. lra.
Qed.

(** lam_(t+1) |W_(t+1)|^2 <= G(W_t) - G(W_(t+1)) <= lam_(t+1) <W_t, W_(t+1)> *)
Lemma run_conjugate lam u1 W t : (1 <= t)%nat -> run d K M lam u1 W (S t) ->
  lam (S t) * << W (S t), W (S t) >> <= G (W t) - G (W (S t))
  /\ G (W t) - G (W (S t)) <= lam (S t) * << W t, W (S t) >>.
Proof.
  intros Ht H. assert (E := run_step lam u1 W t Ht H).
  assert (A := conjugate_tangent (W (S t)) (W t)).
  assert (B := conjugate_tangent (W t) (W (S t))).
  rewrite (inner_ext d K _ _ _ _ (meq_refl d K _) E), inner_scale_r in A.
  assert (E' : M (W (S t)) - M (W t) == (- lam (S t)) * W (S t)).
  { intros j k Hj Hk. specialize (E j k Hj Hk). unfold sub, scale in *. lra. }
  rewrite (inner_ext d K _ _ _ _ (meq_refl d K _) E'), inner_scale_r in B. lra.
Qed.

(** ** What is left depends on the total weight decay alone *)

(** |u - c|^2 of one round, where c = M(0):
    |u_t - c|^2 = |M(W_t) - c|^2 + lam^2 |W_t|^2 + 2 lam <W_t, M(W_t) - c> *)
Lemma given_square lam u W : lam * W + M W == u ->
  << (u - M zero)%M, (u - M zero)%M >> = << (M W - M zero)%M, (M W - M zero)%M >>
    + lam ^ 2 * << W, W >> + 2 * lam * << W, (M W - M zero)%M >>.
Proof.
  intros H. set (D := (M W - M zero)%M).
  assert (E : u - M zero == lam * W + D).
  { intros j k Hj Hk. unfold D, sub at 1. rewrite <- H by assumption. unfold add, sub, scale. ring. }
  rewrite (inner_ext d K _ _ _ _ E E). expand. rewrite (inner_sym d K D W). ring.
Qed.

(** 2 Lam_t (G(W_t) - G(0)) + |M(W_t) - M(0)|^2 + Lam_t^2 |W_t|^2 <= |u_1 - M(0)|^2 *)
Lemma run_potential lam u1 W t : (1 <= t)%nat -> (forall s, (1 <= s <= t)%nat -> 0 < lam s) ->
  run d K M lam u1 W t ->
  2 * total lam t * (G (W t) - G zero) + << (M (W t) - M zero)%M, (M (W t) - M zero)%M >>
    + total lam t ^ 2 * << W t, W t >> <= << (u1 - M zero)%M, (u1 - M zero)%M >>.
Proof.
  intros Ht Hl H. induction t as [|[|t] IH]; [lia| |].
  - assert (S := given_square (lam 1%nat) u1 (W 1%nat) (H 1%nat ltac:(lia))).
    assert (A := conjugate_above (W 1%nat)). specialize (Hl 1%nat ltac:(lia)).
    unfold total. simpl sum. rewrite S.
    apply Rmult_le_compat_l with (r := 2 * lam 1%nat) in A; [|lra].
    replace (0 + lam 1%nat) with (lam 1%nat) by ring. lra.
  - specialize (IH ltac:(lia) (fun s Hs => Hl s ltac:(lia))
      (run_le d K M lam u1 W (S (S t)) (S t) ltac:(lia) H)).
    assert (P : 0 < total lam (S t)) by (apply total_pos; [lia|]; intros; apply Hl; lia).
    set (W' := W (S t)) in *. set (V := W (S (S t))) in *.
    assert (S1 := given_square (lam (S (S t))) (M W') V (H (S (S t)) ltac:(lia))).
    assert (A := conjugate_above V).
    assert (B := run_conjugate lam u1 W (S t) ltac:(lia) H). fold W' V in B.
    assert (C := run_shrinks d K M gradient_monotone lam u1 W (S t) ltac:(lia) H
      (Hl (S (S t)) ltac:(lia))). fold W' V in C.
    apply in_ball_norm in C. assert (C' := pow_incr _ _ 2 (conj (norm_nonneg d K V) C)).
    rewrite !norm_square in C'.
    assert (Hn := Hl (S (S t)) ltac:(lia)).
    change (total lam (S (S t))) with (total lam (S t) + lam (S (S t))).
    set (a := total lam (S t)) in *. set (l := lam (S (S t))) in *.
    destruct B as [B _].
    apply Rmult_le_compat_l with (r := 2 * a) in B; [|lra].
    apply Rmult_le_compat_l with (r := 2 * l) in A; [|lra].
    apply Rmult_le_compat_l with (r := a ^ 2) in C'; [|apply pow2_ge_0].
    lra.
Qed.

(** Two numbers and more follow from it: 4 Lam D <= c and Lam |W| <= sqrt c. *)
Lemma potential_rates a W c : 0 < a -> 0 <= c ->
  2 * a * (G W - G zero) + << (M W - M zero)%M, (M W - M zero)%M >> + a ^ 2 * << W, W >> <= c ^ 2 ->
  G W - G zero <= c ^ 2 / (4 * a) /\ |W| <= c / a.
Proof.
  intros Ha Hc H. assert (A := conjugate_above W). assert (B := conjugate_least W).
  assert (P := inner_nonneg d K (a * W - (M W - M zero))%M).
  set (D := (M W - M zero)%M) in *. expand_in P. rewrite (inner_sym d K D W) in P. split.
  - apply Rmult_le_reg_l with (4 * a); [lra|].
    replace (4 * a * (c ^ 2 / (4 * a))) with (c ^ 2) by (field; lra).
    apply Rmult_le_compat_l with (r := 2 * a) in A; [|lra]. lra.
  - apply Rmult_le_reg_l with a; [assumption|]. replace (a * (c / a)) with c by (field; lra).
    rewrite <- (Rabs_pos_eq a) at 1 by lra. rewrite <- norm_scale.
    apply norm_le_of_square; [assumption|]. rewrite inner_scale_l, inner_scale_r.
    assert (0 <= << D, D >>) by apply inner_nonneg.
    assert (0 <= 2 * a * (G W - G zero)) by (apply Rmult_le_pos; lra). lra.
Qed.

(** ** Momentum *)

(** 1/2 lam (t+1)^2 (G(W_t) - G(0)) + |v_(t-1) + (t+1)/2 (v_t - v_(t-1)) - M(0)|^2
      <= |u_1 - M(0)|^2 *)
Lemma run_momentum lam u1 W n : 0 < lam ->
  (forall t, (1 <= t <= n)%nat -> lam * W t + M (W t) == given_momentum M u1 W t) ->
  forall t, (1 <= t <= n)%nat ->
  let z := (made M u1 W (pred t) + ((INR t + 1) / 2) * (made M u1 W t - made M u1 W (pred t))
            - M zero)%M in
  1 / 2 * lam * (INR t + 1) ^ 2 * (G (W t) - G zero) + << z, z >>
    <= << (u1 - M zero)%M, (u1 - M zero)%M >>.
Proof.
  intros Hl H t Ht. destruct t as [|t]; [lia|]. induction t as [|t IH].
  - cbv zeta. simpl pred. simpl made. simpl INR.
    specialize (H 1%nat ltac:(lia)). simpl in H.
    assert (S := given_square lam u1 (W 1%nat) H). rewrite S.
    assert (A := conjugate_above (W 1%nat)).
    rewrite (inner_ext d K (u1 + (1 + 1) / 2 * (M (W 1%nat) - u1) - M zero)%M
      (M (W 1%nat) - M zero)%M _ (M (W 1%nat) - M zero)%M);
      [|intros j k _ _; unfold add, sub, scale; field ..].
    assert (0 <= lam ^ 2 * << W 1%nat, W 1%nat >>)
      by (apply Rmult_le_pos; [apply pow2_ge_0|apply inner_nonneg]).
    apply Rmult_le_compat_l with (r := 2 * lam) in A; lra.
  - specialize (IH ltac:(lia)). cbv zeta in *. simpl pred in *.
    specialize (H (S (S t)) Ht). simpl given_momentum in H.
    change (made M u1 W (S t)) with (M (W (S t))) in *.
    change (made M u1 W (S (S t))) with (M (W (S (S t)))) in *.
    rewrite (S_INR (S t)). assert (Hn : 1 <= INR (S t)) by (rewrite S_INR; assert (P := pos_INR t); lra).
    unfold momentum_factor in H.
    set (x := INR (S t)) in *. set (v0 := made M u1 W t) in *.
    set (v := M (W (S t))) in *. set (V := W (S (S t))) in *. set (v' := M V) in *.
    set (c := M zero) in *.
    assert (A := conjugate_tangent V (W (S t))). fold v v' in A.
    assert (B := conjugate_above V). fold v' c in B.
    set (z := (v0 + (x + 1) / 2 * (v - v0) - c)%M) in *.
    set (z' := (v + (x + 1 + 1) / 2 * (v' - v) - c)%M).
    (* z - z' is lam (x + 2)/2 times W, *)
    assert (E : z == z' + (lam * ((x + 2) / 2)) * V).
    { intros j k Hj Hk. specialize (H j k Hj Hk). unfold z, z', add, sub, scale in *.
      assert (E : lam * V j k = v j k + (x - 1) / (x + 2) * (v j k - v0 j k) - v' j k) by lra.
      replace (lam * ((x + 2) / 2) * V j k) with ((x + 2) / 2 * (lam * V j k)) by ring.
      rewrite E. field. lra. }
    (* and what V meets, t^2 - t of the first and t of the second, is t z'. *)
    assert (T : << z', V >> = ((x + 2) / 2 - 1) * << V, (v' - v)%M >> + << V, (v' - c)%M >>).
    { unfold z'. expand. rewrite !(inner_sym d K _ V). field. }
    assert (Z : << z, z >> = << z', z' >> + 2 * (lam * ((x + 2) / 2)) * << z', V >>
       + (lam * ((x + 2) / 2)) ^ 2 * << V, V >>).
    { rewrite (inner_ext d K _ _ _ _ E E). expand. rewrite (inner_sym d K V z'). ring. }
    assert (Q : 0 <= (lam * ((x + 2) / 2)) ^ 2 * << V, V >>)
      by (apply Rmult_le_pos; [apply pow2_ge_0|apply inner_nonneg]).
    assert (D := conjugate_least (W (S t))).
    assert (A' : - << V, (v' - v)%M >> <= G (W (S t)) - G V).
    { expand_in A. expand. lra. }
    set (p := << V, (v' - v)%M >>) in *. set (q := << V, (v' - c)%M >>) in *.
    set (f := G (W (S t))) in *. set (f' := G V) in *. set (f0 := G zero) in *.
    rewrite T in Z.
    assert (A2 : lam * (x + 2) * (x / 2) * (f' - f - p) <= 0).
    { assert (0 <= lam * (x + 2) * (x / 2)) by (repeat apply Rmult_le_pos; lra).
      apply Rmult_le_compat_l with (r := lam * (x + 2) * (x / 2)) in A'; [|assumption]. lra. }
    assert (B2 : lam * (x + 2) * (f' - f0 - q) <= 0).
    { assert (0 <= lam * (x + 2)) by (apply Rmult_le_pos; lra).
      apply Rmult_le_compat_l with (r := lam * (x + 2)) in B; [|assumption]. lra. }
    assert (C2 : 0 <= lam * (f - f0)) by (apply Rmult_le_pos; lra).
    change (1 / 2 * lam * (x + 1 + 1) ^ 2 * (f' - f0) + << z', z' >> <=
      << (u1 - c)%M, (u1 - c)%M >>).
    lra.
Qed.

End Convex.

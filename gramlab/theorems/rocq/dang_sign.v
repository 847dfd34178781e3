(** dang-sign: the optimal mixing weight has the sign of -R'(lambda), given the data and for any
    quadratic risk. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import filters das_sanghavi heads.
Open Scope R_scope.

Section Dang.
  Variables (N d : nat) (X : nat -> nat -> R) (y : nat -> R).

  Let A := gram N (fun j i => X i j).
  Let Sy : symmetric d A := gram_symmetric d N (fun j i => X i j).
  Let Psd : psd d A := gram_psd d N (fun j i => X i j).
  Let b := tmv N X y.

  (** w_lambda = (X' X + lambda)^(-1) X' y, and its derivative -(X' X + lambda)^(-1) w_lambda *)
  Definition w (lambda : R) : nat -> R := ridge_fit N d X lambda y.
  Definition dw (lambda : R) (j : nat) : R := - resolvent d A lambda (w lambda) j.

  (** [dw] is the derivative of [w] in lambda. *)
  Lemma w_derivative lambda j : 0 < lambda -> (j < d)%nat ->
    derivable_pt_lim (fun l => w l j) lambda (dw lambda j).
  Proof.
    intros Hl Hj.
    (* w_(l+h) = w_l + h z with z = -(A + l)^(-1) w_(l+h), and z = dw + h u *)
    set (z := fun h q => - resolvent d A lambda (w (lambda + h)) q).
    assert (W : forall h, 0 < lambda + h -> forall q, (q < d)%nat ->
              w (lambda + h) q = w lambda q + h * z h q).
    { intros h Hh.
      apply (shifted_injective d A lambda Psd Hl (w (lambda + h))). intros q Hq.
      rewrite mv_plus, mv_scal. unfold z.
      rewrite (mv_ext d A (fun j0 => - resolvent d A lambda (w (lambda + h)) j0)
                 (fun j0 => -1 * resolvent d A lambda (w (lambda + h)) j0)) by (intros; ring).
      rewrite mv_scal.
      assert (E1 := resolvent_spec d A (lambda + h) Sy Psd Hh b q Hq).
      assert (E2 := resolvent_spec d A lambda Sy Psd Hl b q Hq).
      assert (E3 := resolvent_spec d A lambda Sy Psd Hl (w (lambda + h)) q Hq).
      change (resolvent d A (lambda + h) b) with (w (lambda + h)) in E1.
      change (resolvent d A lambda b) with (w lambda) in E2.
      set (r := resolvent d A lambda (w (lambda + h))) in *.
      replace (mv d A r q) with (w (lambda + h) q - lambda * r q) by lra. lra. }
    set (u := fun h q => - resolvent d A lambda (z h) q).
    assert (Z : forall h, 0 < lambda + h -> forall q, (q < d)%nat ->
              z h q = dw lambda q + h * u h q).
    { intros h Hh q Hq. unfold z, dw, u.
      rewrite (resolvent_ext d A lambda Sy Psd Hl _ (fun q => w lambda q + h * z h q))
        by (try exact Hq; intros; apply W; assumption).
      rewrite (resolvent_plus d A lambda Sy Psd Hl), (resolvent_scal d A lambda Sy Psd Hl) by exact Hq.
      ring. }
    (* u is bounded for lambda + h >= lambda/2 *)
    set (B := norm2 d b / (lambda / 2 * (lambda / 2) * (lambda * lambda) * (lambda * lambda))).
    assert (HB : 0 <= B).
    { apply Rmult_le_pos; [apply norm2_nonneg|]. left. apply Rinv_0_lt_compat.
      repeat apply Rmult_lt_0_compat; lra. }
    assert (Bound : forall h, lambda / 2 <= lambda + h -> u h j * u h j <= B).
    { intros h Hh.
      assert (L2 : 0 < lambda * lambda) by (apply Rmult_lt_0_compat; lra).
      assert (Neg : forall x, norm2 d (fun q => - x q) = norm2 d x)
        by (intros x; apply sum_ext; intros; ring).
      assert (C1 := resolvent_contracts d A (lambda + h) Sy Psd ltac:(lra) b).
      assert (C2 := resolvent_contracts d A lambda Sy Psd Hl (w (lambda + h))).
      assert (C3 := resolvent_contracts d A lambda Sy Psd Hl (z h)).
      rewrite <- Neg in C2, C3. fold (z h) in C2. fold (u h) in C3.
      change (resolvent d A (lambda + h) b) with (w (lambda + h)) in C1.
      set (nw := norm2 d (w (lambda + h))) in *. set (nz := norm2 d (z h)) in *.
      assert (Hu : u h j * u h j <= norm2 d (u h))
        by (apply (sum_term_le d (fun q => u h q * u h q) j Hj); intros; apply Rle_0_sqr).
      assert (Hnw : 0 <= nw) by apply norm2_nonneg.
      assert (C0 : lambda / 2 * (lambda / 2) * nw <= norm2 d b).
      { apply Rle_trans with ((lambda + h) * (lambda + h) * nw); [|exact C1].
        apply Rmult_le_compat_r; [exact Hnw|]. apply Rmult_le_compat; lra. }
      unfold B.
      apply (Rmult_le_reg_l (lambda / 2 * (lambda / 2) * (lambda * lambda) * (lambda * lambda)));
        [repeat apply Rmult_lt_0_compat; lra|].
      replace (lambda / 2 * (lambda / 2) * (lambda * lambda) * (lambda * lambda)
               * (norm2 d b / (lambda / 2 * (lambda / 2) * (lambda * lambda) * (lambda * lambda))))
        with (norm2 d b) by (field; lra).
      assert (C4 : lambda * lambda * (lambda * lambda) * norm2 d (u h) <= nw).
      { rewrite Rmult_assoc. apply Rle_trans with (lambda * lambda * nz); [|exact C2].
        apply Rmult_le_compat_l; [lra|exact C3]. }
      apply Rle_trans with (lambda / 2 * (lambda / 2) * nw); [|exact C0].
      rewrite !(Rmult_assoc (lambda / 2)). apply Rmult_le_compat_l; [lra|].
      apply Rmult_le_compat_l; [lra|].
      apply Rle_trans with (lambda * lambda * (lambda * lambda) * norm2 d (u h)); [|exact C4].
      apply Rmult_le_compat_l; [|exact Hu].
      apply Rmult_le_pos; lra. }
    intros eps He.
    assert (Hd : 0 < Rmin (lambda / 2) (eps / (sqrt B + 1))).
    { assert (0 <= sqrt B) by apply sqrt_pos. apply Rmin_glb_lt; [lra|].
      apply Rdiv_lt_0_compat; lra. }
    exists (mkposreal _ Hd). intros h Hh Hlt. cbn in Hlt.
    assert (H1 : Rabs h < lambda / 2) by (eapply Rlt_le_trans; [exact Hlt|apply Rmin_l]).
    assert (H2 : Rabs h < eps / (sqrt B + 1)) by (eapply Rlt_le_trans; [exact Hlt|apply Rmin_r]).
    apply Rabs_def2 in H1 as (H1 & H1').
    rewrite (W h) by (lra || exact Hj). rewrite (Z h) by (lra || exact Hj).
    replace ((w lambda j + h * (dw lambda j + h * u h j) - w lambda j) / h - dw lambda j)
      with (h * u h j) by (field; exact Hh).
    rewrite Rabs_mult.
    assert (HS : 0 <= sqrt B) by apply sqrt_pos.
    assert (Hu : Rabs (u h j) <= sqrt B).
    { rewrite <- sqrt_Rsqr_abs. apply sqrt_le_1_alt. apply Bound. lra. }
    apply Rle_lt_trans with (Rabs h * (sqrt B + 1)).
    - apply Rmult_le_compat_l; [apply Rabs_pos|lra].
    - apply (Rmult_lt_compat_r (sqrt B + 1)) in H2; [|lra].
      replace (eps / (sqrt B + 1) * (sqrt B + 1)) with eps in H2 by (field; lra). exact H2.
  Qed.

  (** R(w) = (w - theta)' Sigma (w - theta) *)
  Variables (Sigma : nat -> nat -> R) (theta : nat -> R).
  Hypotheses (SySigma : symmetric d Sigma) (PsdSigma : psd d Sigma).
  Definition risk (v : nat -> R) : R :=
    let e j := v j - theta j in dot d e (mv d Sigma e).

  (** The student of the target xi X w_lambda + (1 - xi) y *)
  Definition w_mixed (lambda xi : R) : nat -> R :=
    ridge_fit N d X lambda (fun i => xi * mv d X (w lambda) i + (1 - xi) * y i).

  Let risk_along v z c :
    risk (fun j => v j + c * z j)
    = risk v + c * (2 * dot d z (mv d Sigma (fun j => v j - theta j)))
      + c * c * dot d z (mv d Sigma z).
  Proof.
    unfold risk. set (e := fun j => v j - theta j).
    rewrite (dot_ext d _ (mv d Sigma _) (fun j => e j + c * z j)
               (fun j => mv d Sigma e j + c * mv d Sigma z j)).
    - rewrite dot_plus_r, dot_scal_r.
      rewrite (dot_comm d (fun j => _ + _) (mv d Sigma e)), dot_plus_r, dot_scal_r.
      rewrite (dot_comm d (fun j => _ + _) (mv d Sigma z)), dot_plus_r, dot_scal_r.
      rewrite !(dot_comm d (mv d Sigma _)).
      rewrite (symmetric_dot d Sigma SySigma e z), (dot_comm d (mv d Sigma e) z). ring.
    - intros. unfold e. ring.
    - intros. rewrite <- mv_scal, <- mv_plus. apply mv_ext. intros. unfold e. ring.
  Qed.

  (** R is differentiable in lambda, R'(lambda) = 2 <dw, Sigma (w - theta)>, and for dw with
      Sigma dw <> 0 the mixing weight of least risk is

        xi* = -R'(lambda) / (2 lambda |dw|^2),  |dw|^2 = dw' Sigma dw,

      it alone; it has the sign of -R'(lambda); and R(w_xi* ) = R(lambda) - R'(lambda)^2 / (4 |dw|^2). *)
  (** Registry, dang-sign: ξ* = −R'(λ)/(2λ ‖∂_λ w_λ‖_Σ²),  sign ξ* = −sign R'(λ),  R(w_ξ* ) =
      R(λ) − R'(λ)²/(4 ‖∂_λ w_λ‖_Σ²) *)
  Theorem dang_sign (lambda : R) :
    0 < lambda -> (exists j, (j < d)%nat /\ mv d Sigma (dw lambda) j <> 0) ->
    (forall j, (j < d)%nat -> derivable_pt_lim (fun l => w l j) lambda (dw lambda j)) /\
    exists slope,
      derivable_pt_lim (fun l => risk (w l)) lambda slope /\
      let square := dot d (dw lambda) (mv d Sigma (dw lambda)) in
      let best := - slope / (2 * lambda * square) in
      (forall xi, xi <> best -> risk (w_mixed lambda best) < risk (w_mixed lambda xi)) /\
      (0 < best <-> slope < 0) /\ (best = 0 <-> slope = 0) /\ (best < 0 <-> 0 < slope) /\
      risk (w_mixed lambda best) = risk (w lambda) - slope ^ 2 / (4 * square).
  Proof.
    intros Hl (j0 & Hj0 & Hnz).
    split; [intros; apply w_derivative; assumption|].
    set (z := dw lambda). set (square := dot d z (mv d Sigma z)).
    exists (2 * dot d z (mv d Sigma (fun j => w lambda j - theta j))).
    set (slope := 2 * dot d z (mv d Sigma (fun j => w lambda j - theta j))).
    assert (Hsq : 0 < square).
    { assert (Q := PsdSigma z). fold square in Q.
      destruct (Rle_lt_or_eq_dec 0 square Q) as [H|H]; [exact H|exfalso].
      apply Hnz. apply (psd_zero d Sigma SySigma PsdSigma z); [symmetry; exact H|exact Hj0]. }
    split.
    { (* product rule, entry by entry *)
      assert (D : derivable_pt_lim
        (fun l => sum d (fun i => (w l i - theta i) * sum d (fun j => Sigma i j * (w l j - theta j))))
        lambda (sum d (fun i => z i * sum d (fun j => Sigma i j * (w lambda j - theta j))
                                + (w lambda i - theta i) * sum d (fun j => Sigma i j * z j)))).
      { assert (Entry : forall i, (i < d)%nat ->
          derivable_pt_lim (fun l => w l i - theta i) lambda (z i)).
        { intros i Hi. replace (z i) with (z i - 0) by ring.
          apply (derivable_pt_lim_minus (fun l => w l i) (fun _ => theta i));
            [apply w_derivative; assumption|apply derivable_pt_lim_const]. }
        apply (derivable_sum d (fun i l =>
          (w l i - theta i) * sum d (fun j => Sigma i j * (w l j - theta j)))).
        intros i Hi.
        apply (derivable_pt_lim_mult (fun l => w l i - theta i)
                 (fun l => sum d (fun j => Sigma i j * (w l j - theta j)))); [apply Entry, Hi|].
        apply (derivable_sum d (fun j l => Sigma i j * (w l j - theta j))). intros j Hj.
        apply (derivable_pt_lim_scal (fun l => w l j - theta j)), Entry, Hj. }
      unfold risk, dot, mv.
      replace slope with (sum d (fun i => z i * sum d (fun j => Sigma i j * (w lambda j - theta j))
                                + (w lambda i - theta i) * sum d (fun j => Sigma i j * z j)));
        [exact D|].
      rewrite sum_plus. unfold slope.
      change (sum d (fun i => z i * sum d (fun j => Sigma i j * (w lambda j - theta j))))
        with (dot d z (mv d Sigma (fun j => w lambda j - theta j))).
      change (sum d (fun i => (w lambda i - theta i) * sum d (fun j => Sigma i j * z j)))
        with (dot d (fun i => w lambda i - theta i) (mv d Sigma z)).
      rewrite (symmetric_dot d Sigma SySigma (fun i => w lambda i - theta i)), dot_comm. ring. }
    intros square' best. fold z square in square'. subst square'.
    (* w_xi = w + xi lambda dw *)
    assert (Mixed : forall xi j, (j < d)%nat -> w_mixed lambda xi j = w lambda j + xi * lambda * z j).
    { intros xi. unfold w_mixed, ridge_fit. fold A.
      intros j Hj. symmetry. revert j Hj. apply (resolvent_unique d A lambda Sy Psd Hl).
      intros j Hj. rewrite mv_plus, mv_scal.
      assert (E1 := resolvent_spec d A lambda Sy Psd Hl b j Hj).
      change (resolvent d A lambda b) with (w lambda) in E1.
      assert (E2 := resolvent_spec d A lambda Sy Psd Hl (w lambda) j Hj).
      assert (E3 : mv d A z j = - mv d A (resolvent d A lambda (w lambda)) j).
      { unfold z, dw. rewrite (mv_ext d A _ (fun q => -1 * resolvent d A lambda (w lambda) q))
          by (intros; ring). rewrite mv_scal. ring. }
      assert (E4 : tmv N X (fun i => xi * mv d X (w lambda) i + (1 - xi) * y i) j
                   = xi * mv d A (w lambda) j + (1 - xi) * b j).
      { unfold A, b. rewrite gram_transposed. unfold tmv.
        rewrite <- (sum_scal_l N xi), <- (sum_scal_l N (1 - xi)), <- sum_plus. apply sum_ext.
        intros i _. ring. }
      rewrite E4, E3. unfold z, dw.
      set (r := resolvent d A lambda (w lambda)) in *.
      replace (mv d A r j) with (w lambda j - lambda * r j) by lra.
      replace (mv d A (w lambda) j) with (b j - lambda * w lambda j) by lra. ring. }
    assert (Risk : forall xi, risk (w_mixed lambda xi)
              = risk (w lambda) + xi * lambda * slope + xi * lambda * (xi * lambda) * square).
    { intros xi.
      transitivity (risk (fun j => w lambda j + xi * lambda * z j)).
      - unfold risk. apply dot_ext.
        + intros j Hj. rewrite Mixed by exact Hj. reflexivity.
        + intros i Hi. apply mv_ext. intros j Hj. rewrite Mixed by exact Hj. reflexivity.
      - rewrite risk_along. reflexivity. }
    assert (HL : 0 < 2 * lambda * square) by (repeat apply Rmult_lt_0_compat; lra).
    assert (Es : slope = - (2 * lambda * square) * best) by (unfold best; field; split; lra).
    split; [|split; [|split; [|split]]].
    - intros xi Hne. rewrite !Risk.
      assert (0 < lambda * lambda * square * ((xi - best) * (xi - best))).
      { apply Rmult_lt_0_compat; [repeat apply Rmult_lt_0_compat; lra|]. assert (xi - best <> 0) by lra.
        apply (Rlt_0_sqr (xi - best)); assumption. }
      rewrite Es. lra.
    - rewrite Es. split; intros H.
      + assert (0 < 2 * lambda * square * best) by (apply Rmult_lt_0_compat; assumption). lra.
      + apply (Rmult_lt_reg_l (2 * lambda * square)); [exact HL|]. lra.
    - rewrite Es. split; intros H; [rewrite H; ring|].
      apply (Rmult_eq_reg_l (2 * lambda * square)); lra.
    - rewrite Es. split; intros H.
      + assert (0 < 2 * lambda * square * - best) by (apply Rmult_lt_0_compat; lra). lra.
      + apply (Rmult_lt_reg_l (2 * lambda * square)); [exact HL|]. lra.
    - rewrite Risk. unfold best. field. split; lra.
  Qed.
End Dang.

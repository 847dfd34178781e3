(** ridge-filter: under squared loss the filter is h(s) = s/(s + N lambda), and t rounds of ridge
    regression give h(G)^t. *)

From Coq Require Import Reals Lra Lia Psatz.
From Gramlab Require Import filters.
Open Scope R_scope.

Section Ridge.
  Variables (N d : nat) (X : nat -> nat -> R) (lambda : R).
  Hypotheses (HN : (0 < N)%nat) (Hl : 0 < lambda).

  (** L(w) = |X w - y|^2 / (2N) + (lambda/2) |w|^2 *)
  Definition ridge_loss (y w : nat -> R) : R :=
    norm2 N (fun i => mv d X w i - y i) / (2 * INR N) + lambda / 2 * norm2 d w.

  (** w is the head of the targets y: it minimizes the loss. *)
  Definition ridge_head (y w : nat -> R) : Prop := forall v, ridge_loss y w <= ridge_loss y v.

  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let nu := INR N * lambda.
  Let Hnu : 0 < nu. Proof. apply Rmult_lt_0_compat; auto. Qed.
  Let G := gram d X.
  Let Sy : symmetric N G := gram_symmetric N d X.
  Let Psd : psd N G := gram_psd N d X.

  (** The gradient X^T (X w - y)/N + lambda w *)
  Let slope (y w : nat -> R) (j : nat) : R :=
    tmv N X (fun i => mv d X w i - y i) j / INR N + lambda * w j.

  Lemma ridge_expand y w v :
    ridge_loss y (fun j => w j + v j)
    = ridge_loss y w + dot d (slope y w) v
      + (norm2 N (mv d X v) / (2 * INR N) + lambda / 2 * norm2 d v).
  Proof.
    unfold ridge_loss.
    rewrite (norm2_ext N _ (fun i => (mv d X w i - y i) + mv d X v i))
      by (intros; rewrite mv_plus; ring).
    assert (Q : forall n a b, norm2 n (fun i => a i + b i) = norm2 n a + 2 * dot n a b + norm2 n b).
    { intros n a b. unfold norm2, dot. rewrite <- sum_scal_l, <- !sum_plus. apply sum_ext.
      intros. ring. }
    rewrite !Q, dot_mv.
    assert (E : dot d (slope y w) v
                = dot d (tmv N X (fun i => mv d X w i - y i)) v / INR N + lambda * dot d w v).
    { unfold slope. rewrite dot_comm, dot_plus_r, dot_scal_r, (dot_comm d v w). f_equal.
      unfold Rdiv. rewrite (dot_ext d v _ v (fun j => / INR N
        * tmv N X (fun i => mv d X w i - y i) j)) by (intros; ring).
      rewrite dot_scal_r, (dot_comm d v). ring. }
    rewrite E. field. lra.
  Qed.

  (** A head is where the gradient is zero. *)
  Lemma ridge_head_iff y w :
    ridge_head y w <-> forall j, (j < d)%nat -> slope y w j = 0.
  Proof.
    assert (Sq : forall v, 0 <= norm2 N (mv d X v) / (2 * INR N) + lambda / 2 * norm2 d v).
    { intros v. assert (0 <= norm2 N (mv d X v)) by apply norm2_nonneg.
      assert (0 <= norm2 d v) by apply norm2_nonneg.
      apply Rplus_le_le_0_compat; [|nra].
      apply Rmult_le_pos; [assumption|]. left. apply Rinv_0_lt_compat. lra. }
    split.
    - intros H. apply (norm2_zero d (slope y w)).
      set (g := slope y w) in *.
      set (q := norm2 N (mv d X g) / (2 * INR N) + lambda / 2 * norm2 d g).
      assert (Hq : 0 <= q) by apply Sq.
      assert (Hg := norm2_nonneg d g).
      (* along -eps g the loss rises by -eps |g|^2 + eps^2 q >= 0 *)
      assert (Step : forall eps, 0 <= - eps * norm2 d g + eps * eps * q).
      { intros eps. assert (E := ridge_expand y w (fun j => - eps * g j)).
        assert (L := H (fun j => w j + - eps * g j)). rewrite E in L. fold g in L.
        rewrite dot_scal_r in L.
        assert (E1 : norm2 N (mv d X (fun j => - eps * g j)) = eps * eps * norm2 N (mv d X g)).
        { rewrite (norm2_ext N _ (fun i => - eps * mv d X g i)) by (intros; apply mv_scal).
          unfold norm2. rewrite dot_scal_r, dot_scal_l. ring. }
        assert (E2 : norm2 d (fun j => - eps * g j) = eps * eps * norm2 d g).
        { unfold norm2. rewrite dot_scal_r, dot_scal_l. ring. }
        rewrite E1, E2 in L. fold (norm2 d g) in L. unfold q, Rdiv in *. lra. }
      destruct (Rle_lt_or_eq_dec 0 (norm2 d g) Hg) as [P|P]; [exfalso|symmetry; exact P].
      assert (S := Step (norm2 d g / (q + 1))).
      assert (E : - (norm2 d g / (q + 1)) * norm2 d g
                  + norm2 d g / (q + 1) * (norm2 d g / (q + 1)) * q
                  = - (norm2 d g * norm2 d g * / ((q + 1) * (q + 1)))) by (field; lra).
      rewrite E in S.
      assert (0 < norm2 d g * norm2 d g * / ((q + 1) * (q + 1))); [|lra].
      apply Rmult_lt_0_compat; [nra|]. apply Rinv_0_lt_compat. nra.
    - intros H v.
      assert (E := ridge_expand y w (fun j => v j - w j)).
      replace (dot d (slope y w) (fun j => v j - w j)) with 0 in E.
      + assert (Q := Sq (fun j => v j - w j)).
        enough (ridge_loss y v = ridge_loss y (fun j => w j + (v j - w j))) by lra.
        unfold ridge_loss. f_equal; [f_equal|f_equal].
        * apply norm2_ext. intros i Hi. f_equal. apply mv_ext. intros. ring.
        * apply norm2_ext. intros. ring.
      + symmetry. apply sum_zero. intros j Hj. rewrite H by exact Hj. ring.
  Qed.

  (** The head exists and its predictions are h(G) y. *)
  Lemma ridge_head_exists y : ridge_head y (tmv N X (resolvent N G nu y)).
  Proof.
    apply ridge_head_iff. intros j Hj. unfold slope, tmv.
    assert (E : forall i, (i < N)%nat ->
              mv d X (tmv N X (resolvent N G nu y)) i - y i = - nu * resolvent N G nu y i).
    { intros i Hi. rewrite <- mv_gram. fold G.
      rewrite <- (resolvent_spec N G nu Sy Psd Hnu y i Hi) at 1. ring. }
    rewrite (sum_ext N _ (fun i => - nu * (X i j * resolvent N G nu y i))).
    - rewrite sum_scal_l. unfold nu. field. lra.
    - intros i Hi. change (fun j0 => sum N (fun i0 => X i0 j0 * resolvent N G nu y i0))
        with (tmv N X (resolvent N G nu y)). rewrite E by exact Hi. ring.
  Qed.

  Lemma ridge_head_predicts y w : ridge_head y w ->
    forall i, (i < N)%nat -> mv d X w i = filter N G nu y i.
  Proof.
    intros H. assert (S := proj1 (ridge_head_iff y w) H).
    apply filter_unique; try assumption. intros i Hi.
    unfold G at 1. rewrite mv_gram.
    rewrite (mv_ext d X (tmv N X (mv d X w)) (fun j => tmv N X y j + - nu * w j) i).
    - rewrite mv_plus, mv_scal, <- mv_gram. fold G. ring.
    - intros j Hj. specialize (S j Hj). unfold slope in S.
      assert (E : tmv N X (fun i => mv d X w i - y i) j = tmv N X (mv d X w) j - tmv N X y j).
      { unfold tmv. rewrite <- sum_minus. apply sum_ext. intros. ring. }
      rewrite E in S. unfold nu.
      assert (Q : INR N * ((tmv N X (mv d X w) j - tmv N X y j) / INR N + lambda * w j)
                  = tmv N X (mv d X w) j - tmv N X y j + INR N * lambda * w j) by (field; lra).
      rewrite S in Q. lra.
  Qed.

  (** Each w^(t) the head of the predictions before it, y^(0) = y: X w^(t) = h(G)^t y for
      t = 1, 2, ..., where h(s) = s/(s + N lambda). *)
  (** Registry, ridge-filter: X w⁽ᵗ⁾ = h(G)ᵗ y,  h(s) = s/(s + Nλ) *)
  Theorem ridge_filter (y : nat -> R) (w : nat -> nat -> R) :
    ridge_head y (w 1%nat) ->
    (forall t, (0 < t)%nat -> ridge_head (mv d X (w t)) (w (S t))) ->
    forall t i, (0 < t)%nat -> (i < N)%nat ->
      mv d X (w t) i = filter_power N (gram d X) (INR N * lambda) t y i.
  Proof.
    intros H1 H t i Ht. revert i. destruct t as [|t]; [lia|]. clear Ht.
    induction t as [|t IH]; intros i Hi.
    - apply ridge_head_predicts; assumption.
    - rewrite (ridge_head_predicts _ _ (H (S t) ltac:(lia)) i Hi).
      change (filter_power N (gram d X) (INR N * lambda) (S (S t)) y)
        with (filter N G nu (filter_power N G nu (S t) y)).
      apply filter_ext; assumption.
  Qed.
End Ridge.

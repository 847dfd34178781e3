(** borup-limit: self-distillation with a share alpha of the labels tends to ridge with weight decay
    lambda/alpha; for any alpha it converges iff |1 - alpha| h(s_1) < 1. *)

From Coq Require Import Reals Lra Lia Psatz.
From Gramlab Require Import filters spectral.
Open Scope R_scope.

(** y^(t) = S_lambda (alpha y + (1 - alpha) y^(t-1)), with S_lambda = G (G + N lambda)^(-1). *)
Definition kept_labels (N : nat) (G : nat -> nat -> R) (lambda alpha : R) (y : nat -> R)
    (z : nat -> nat -> R) : Prop :=
  forall t i, (i < N)%nat ->
    z (S t) i = filter N G (INR N * lambda) (fun j => alpha * y j + (1 - alpha) * z t j) i.

(** Powers of a number q in [0, 1) times a constant tend to 0. *)
Lemma geometric_cv q c : 0 <= q < 1 -> Un_cv (fun t => q ^ t * c) 0.
Proof.
  intros Hq. rewrite <- (Rmult_0_l c). apply CV_mult.
  - intros eps He. destruct (pow_lt_1_zero q ltac:(rewrite Rabs_pos_eq; lra) eps He) as (M & H).
    exists M. intros n Hn. unfold R_dist. rewrite Rminus_0_r. apply H, Hn.
  - intros eps He. exists 0%nat. intros. unfold R_dist. rewrite Rminus_diag_eq by reflexivity.
    rewrite Rabs_R0. exact He.
Qed.

(** Squares: a sequence whose squares tend to 0 tends to 0. *)
Lemma cv_of_squares (x b : nat -> R) :
  (forall t, x t * x t <= b t) -> Un_cv b 0 -> Un_cv x 0.
Proof.
  intros H C eps He. destruct (C (eps * eps) ltac:(nra)) as (M & HM). exists M. intros n Hn.
  specialize (HM n Hn). unfold R_dist in *. rewrite Rminus_0_r in *.
  assert (Hb : b n < eps * eps) by (assert (T := Rle_abs (b n)); lra).
  specialize (H n). apply Rabs_def1; nra.
Qed.

(** A symmetric matrix has a largest eigenvalue. *)
Lemma largest_eigenvalue_exists N G : (0 < N)%nat -> symmetric N G ->
  exists s, largest_eigenvalue N G s.
Proof.
  intros HN Sy. destruct (spectral_theorem N G Sy) as (v & s & B). destruct (B) as (O & C & E).
  assert (Max : forall M, (0 < M)%nat -> exists r, (r < M)%nat /\ forall q, (q < M)%nat -> s q <= s r).
  { induction M as [|M IH]; intros HM; [lia|].
    destruct (Nat.eq_dec M 0) as [->|Ne].
    - exists 0%nat. split; [lia|]. intros q Hq. replace q with 0%nat by lia. apply Rle_refl.
    - destruct (IH ltac:(lia)) as (r & Hr & H). destruct (Rle_lt_dec (s M) (s r)) as [L|L].
      + exists r. split; [lia|]. intros q Hq. destruct (Nat.eq_dec q M) as [->|]; [exact L|apply H; lia].
      + exists M. split; [lia|]. intros q Hq. destruct (Nat.eq_dec q M) as [->|]; [apply Rle_refl|].
        assert (Q := H q ltac:(lia)). lra. }
  destruct (Max N HN) as (r & Hr & H). exists (s r). split.
  - exists (v r). split; [|intros; apply E; assumption].
    assert (P : 0 < dot N (v r) (v r)) by (rewrite (O r r Hr Hr), Nat.eqb_refl; cbn; lra).
    apply sum_pos_term in P as (i & Hi & P). exists i. split; [exact Hi|]. intros Z. rewrite Z in P. lra.
  - intros x. rewrite (eigenbasis_norm N G v s B x), <- sum_scal_l.
    rewrite (dot_ext N x _ (fun i => sum N (fun q => dot N (v q) x * v q i)) (mv N G x) (C x)
               (fun _ _ => eq_refl)).
    rewrite dot_comm, (dot_sum_r N N (mv N G x) (fun q i => dot N (v q) x * v q i)).
    apply sum_le. intros q Hq. rewrite dot_scal_r, (dot_comm N (mv N G x)).
    rewrite (eigenbasis_dot N G v s Sy B q x Hq).
    assert (Z := Rle_0_sqr (dot N (v q) x)). unfold Rsqr in Z.
    assert (s q * (dot N (v q) x * dot N (v q) x) <= s r * (dot N (v q) x * dot N (v q) x))
      by (apply Rmult_le_compat_r; [exact Z|apply H, Hq]). lra.
Qed.

Section Borup.
  Variables (N : nat) (G : nat -> nat -> R) (lambda alpha : R).
  Hypotheses (HN : (0 < N)%nat) (Sy : symmetric N G) (P : psd N G) (Hl : 0 < lambda).

  Let nu := INR N * lambda.
  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let Hnu : 0 < nu. Proof. apply Rmult_lt_0_compat; auto. Qed.

  (** A fixed point z of the recursion, (alpha G + nu) z = alpha G y. *)
  Let fixed_point y z :
    (forall i, (i < N)%nat -> alpha * mv N G z i + nu * z i = alpha * mv N G y i) ->
    forall i, (i < N)%nat -> z i = filter N G nu (fun j => alpha * y j + (1 - alpha) * z j) i.
  Proof.
    intros H. apply filter_unique; try assumption. intros i Hi.
    rewrite mv_plus, !mv_scal. specialize (H i Hi). lra.
  Qed.

  (** The error of round t is ((1 - alpha) S)^t of that at the start. *)
  Let error_identity y z f :
    kept_labels N G lambda alpha y z ->
    (forall i, (i < N)%nat -> alpha * mv N G f i + nu * f i = alpha * mv N G y i) ->
    forall t i, (i < N)%nat ->
      z t i - f i = (1 - alpha) ^ t * filter_power N G nu t (fun j => z 0%nat j - f j) i.
  Proof.
    intros Hz Hf t. induction t as [|t IH]; intros i Hi; [cbn; ring|].
    rewrite (Hz t i Hi). fold nu. rewrite (fixed_point y f Hf i Hi) at 1.
    rewrite <- (filter_minus N G nu Sy P Hnu) by exact Hi.
    rewrite (filter_ext N G nu Sy P Hnu _ (fun j => (1 - alpha) ^ S t
      * filter_power N G nu t (fun j => z 0%nat j - f j) j)).
    - rewrite (filter_scal N G nu Sy P Hnu) by exact Hi. reflexivity.
    - intros j Hj. cbn [pow]. rewrite Rmult_assoc, <- IH by exact Hj. ring.
    - exact Hi.
  Qed.

  (** For 0 < alpha < 2:  y^(t) - S_(lambda/alpha) y
        = ((1 - alpha) S_lambda)^t (y^(0) - S_(lambda/alpha) y) -> 0. *)
  (** Registry, borup-limit: y⁽ᵗ⁾ = S_λ(α y + (1−α) y⁽ᵗ⁻¹⁾) ⇒ y⁽ᵗ⁾ − S_(λ/α) y = ((1−α) S_λ)ᵗ
      (y⁽⁰⁾ − S_(λ/α) y) → 0 *)
  Theorem borup_limit (y : nat -> R) (z : nat -> nat -> R) :
    0 < alpha < 2 -> kept_labels N G lambda alpha y z ->
    let limit := filter N G (INR N * (lambda / alpha)) y in
    (forall t i, (i < N)%nat ->
       z t i - limit i
       = (1 - alpha) ^ t * filter_power N G (INR N * lambda) t (fun j => z 0%nat j - limit j) i) /\
    (forall i, (i < N)%nat -> Un_cv (fun t => z t i - limit i) 0).
  Proof.
    intros Ha Hz limit.
    assert (Hna : 0 < INR N * (lambda / alpha))
      by (apply Rmult_lt_0_compat; [auto|apply Rdiv_lt_0_compat; lra]).
    assert (Fix : forall i, (i < N)%nat ->
              alpha * mv N G limit i + nu * limit i = alpha * mv N G y i).
    { intros i Hi. rewrite <- (filter_spec N G _ Sy P Hna y i Hi). fold limit. unfold nu.
      field. lra. }
    assert (E := error_identity y z limit Hz Fix).
    split; [exact E|]. intros i Hi.
    set (e := fun j => z 0%nat j - limit j) in *.
    apply (cv_of_squares _ (fun t => ((1 - alpha) * (1 - alpha)) ^ t * norm2 N e)).
    - intros t. rewrite (E t i Hi). set (x := filter_power N G nu t e).
      assert (Hx : x i * x i <= norm2 N e).
      { apply Rle_trans with (norm2 N x); [|apply filter_power_contracts; assumption].
        apply (sum_term_le N (fun j => x j * x j) i Hi). intros; nra. }
      rewrite Rpow_mult_distr. assert (0 <= (1 - alpha) ^ t * (1 - alpha) ^ t) by nra.
      replace ((1 - alpha) ^ t * x i * ((1 - alpha) ^ t * x i))
        with ((1 - alpha) ^ t * (1 - alpha) ^ t * (x i * x i)) by ring.
      apply Rmult_le_compat_l; assumption.
    - apply geometric_cv. assert (0 < alpha * (2 - alpha)) by (apply Rmult_lt_0_compat; lra).
      split; [apply Rle_0_sqr|lra].
  Qed.

  (** Any alpha, any start: it converges for all labels iff |1 - alpha| h(s_1) < 1, s_1 the largest
      eigenvalue of G; and that is also necessary for starts at the labels. *)
  Definition converges (z : nat -> nat -> R) : Prop :=
    forall i, (i < N)%nat -> exists l, Un_cv (fun t => z t i) l.

  Theorem borup_limit_iff (s : R) :
    largest_eigenvalue N G s ->
    (Rabs (1 - alpha) * (s / (s + INR N * lambda)) < 1 <->
     forall y z, kept_labels N G lambda alpha y z -> converges z) /\
    (Rabs (1 - alpha) * (s / (s + INR N * lambda)) < 1 <->
     forall y z, kept_labels N G lambda alpha y z ->
       (forall i, (i < N)%nat -> z 0%nat i = y i) -> converges z).
  Proof.
    intros ((v & (i0 & Hi0 & Hv) & Ev) & Hmax). fold nu. set (q := s / (s + nu)).
    assert (Hs : 0 <= s).
    { assert (Q := P v). rewrite (dot_ext N v _ v (fun i => s * v i) (fun _ _ => eq_refl) Ev) in Q.
      rewrite dot_scal_r in Q.
      assert (0 < dot N v v) by (apply (sum_pos_one N _ i0); [intros; nra|exact Hi0|nra]).
      destruct (Rle_lt_dec 0 s); [assumption|exfalso; nra]. }
    assert (Hq : 0 <= q < 1).
    { split; [apply Rmult_le_pos; [exact Hs|left; apply Rinv_0_lt_compat; lra]|].
      apply (Rmult_lt_reg_r (s + nu)); [lra|]. unfold q.
      replace (s / (s + nu) * (s + nu)) with s by (field; lra). lra. }
    assert (Sufficient : Rabs (1 - alpha) * q < 1 ->
              forall y z, kept_labels N G lambda alpha y z -> converges z).
    { intros Hc y z Hz.
      (* alpha G + nu is positive definite, so there is a fixed point *)
      set (aG := fun i j => alpha * G i j).
      assert (mv_aG : forall x i, mv N aG x i = alpha * mv N G x i).
      { intros x i. unfold mv, aG. rewrite <- sum_scal_l. apply sum_ext. intros. ring. }
      assert (Pos : 0 < nu + alpha * s \/ 0 <= alpha).
      { destruct (Rle_lt_dec 0 alpha); [right; assumption|left].
        rewrite Rabs_pos_eq in Hc by lra.
        apply (Rmult_lt_compat_r (s + nu)) in Hc; [|lra]. unfold q in Hc.
        replace ((1 - alpha) * (s / (s + nu)) * (s + nu)) with ((1 - alpha) * s) in Hc
          by (field; lra). lra. }
      assert (Pd : pd N (shifted aG nu)).
      { intros x (i & Hi & Hx).
        rewrite (dot_ext N x _ x (fun i => alpha * mv N G x i + nu * x i) (fun _ _ => eq_refl))
          by (intros j Hj; rewrite mv_shifted, mv_aG by exact Hj; reflexivity).
        rewrite dot_plus_r, !dot_scal_r. fold (norm2 N x).
        assert (0 < norm2 N x) by (apply (sum_pos_one N _ i); [intros; nra|exact Hi|nra]).
        assert (Q := P x). assert (Q' := Hmax x).
        destruct Pos as [Pos|Pos]; [|nra].
        destruct (Rle_lt_dec 0 alpha); [nra|].
        assert (alpha * (s * norm2 N x) <= alpha * dot N x (mv N G x)) by nra. nra. }
      set (f := solve N (shifted aG nu) (fun i => alpha * mv N G y i)).
      assert (Fix : forall i, (i < N)%nat ->
                alpha * mv N G f i + nu * f i = alpha * mv N G y i).
      { intros i Hi. rewrite <- mv_aG, <- (mv_shifted N aG nu f i Hi).
        apply solve_spec; [|exact Pd|exact Hi]. apply shifted_symmetric.
        intros a b Ha Hb. unfold aG. rewrite (Sy a b Ha Hb). reflexivity. }
      assert (E := error_identity y z f Hz Fix).
      set (e := fun j => z 0%nat j - f j) in *.
      intros i Hi. exists (f i).
      assert (C : Un_cv (fun t => z t i - f i) 0).
      { apply (cv_of_squares _ (fun t => ((Rabs (1 - alpha) * q) * (Rabs (1 - alpha) * q)) ^ t
                                         * norm2 N e)).
        - intros t. rewrite (E t i Hi). set (x := filter_power N G nu t e).
          assert (Hx : norm2 N x <= (q * q) ^ t * norm2 N e).
          { unfold x. clear x. induction t as [|t IH]; cbn; [lra|].
            eapply Rle_trans; [apply (filter_norm_le N G Sy P s Hmax nu _ Hnu Hs)|].
            fold q. rewrite (Rmult_assoc (q * q)). apply Rmult_le_compat_l; [apply Rle_0_sqr|exact IH]. }
          assert (Hxi : x i * x i <= norm2 N x)
            by (apply (sum_term_le N (fun j => x j * x j) i Hi); intros; nra).
          replace ((Rabs (1 - alpha) * q * (Rabs (1 - alpha) * q)) ^ t)
            with ((1 - alpha) ^ t * (1 - alpha) ^ t * (q * q) ^ t).
          2:{ rewrite <- !Rpow_mult_distr. f_equal.
              assert (A : Rabs (1 - alpha) * Rabs (1 - alpha) = (1 - alpha) * (1 - alpha))
                by (rewrite <- Rabs_mult; apply Rabs_pos_eq, Rle_0_sqr).
              transitivity (Rabs (1 - alpha) * Rabs (1 - alpha) * (q * q)); [rewrite A|]; ring. }
          replace ((1 - alpha) ^ t * x i * ((1 - alpha) ^ t * x i))
            with ((1 - alpha) ^ t * (1 - alpha) ^ t * (x i * x i)) by ring.
          rewrite (Rmult_assoc ((1 - alpha) ^ t * (1 - alpha) ^ t)).
          apply Rmult_le_compat_l; [apply Rle_0_sqr|lra].
        - apply geometric_cv. assert (0 <= Rabs (1 - alpha)) by apply Rabs_pos.
          assert (H0 : 0 <= Rabs (1 - alpha) * q) by (apply Rmult_le_pos; lra).
          set (w := Rabs (1 - alpha) * q) in *. split; [apply Rmult_le_pos; exact H0|].
          assert (w * w <= 1 * w) by (apply Rmult_le_compat_r; lra). lra. }
      intros eps He. destruct (C eps He) as (M & HM). exists M. intros n Hn.
      specialize (HM n Hn). unfold R_dist in *. rewrite Rminus_0_r in HM. exact HM. }
    assert (Necessary : (forall y z, kept_labels N G lambda alpha y z ->
              (forall i, (i < N)%nat -> z 0%nat i = y i) -> converges z) ->
              Rabs (1 - alpha) * q < 1).
    { intros H. destruct (Rlt_le_dec (Rabs (1 - alpha) * q) 1) as [|Hc]; [assumption|exfalso].
      (* labels along the first eigenvector: z_t = a_t v *)
      set (a := fix a (t : nat) : R := match t with O => 1
                | S t => q * (alpha + (1 - alpha) * a t) end).
      assert (Hz : kept_labels N G lambda alpha v (fun t i => a t * v i)).
      { intros t i Hi. fold nu. revert i Hi. apply filter_unique; try assumption. intros i Hi.
        rewrite (mv_ext N G (fun j => alpha * v j + (1 - alpha) * (a t * v j))
                   (fun j => (alpha + (1 - alpha) * a t) * v j)) by (intros; ring).
        rewrite !mv_scal, (Ev i Hi). cbn [a]. unfold q. field. lra. }
      destruct (H v _ Hz ltac:(intros; cbn; ring) i0 Hi0) as (l & Cv). cbv beta in Cv.
      assert (Diff : forall t, a (S t) - a t = ((1 - alpha) * q) ^ t * (q - 1)).
      { induction t as [|t IH]; [cbn; ring|].
        replace (a (S (S t)) - a (S t)) with (q * (1 - alpha) * (a (S t) - a t)) by (cbn [a]; ring).
        rewrite IH. cbn [pow]. ring. }
      set (g := (1 - q) * Rabs (v i0)).
      assert (Hg : 0 < g) by (apply Rmult_lt_0_compat; [lra|apply Rabs_pos_lt, Hv]).
      destruct (Cv (g / 2) ltac:(lra)) as (M & HM).
      assert (H1 := HM M (le_n M)). assert (H2 := HM (S M) ltac:(lia)).
      assert (Big : g <= Rabs (a (S M) * v i0 - a M * v i0)).
      { replace (a (S M) * v i0 - a M * v i0) with ((a (S M) - a M) * v i0) by ring.
        rewrite Diff, !Rabs_mult, <- RPow_abs. unfold g.
        apply Rmult_le_compat_r; [apply Rabs_pos|].
        replace (Rabs (q - 1)) with (1 - q) by (rewrite Rabs_left; lra).
        assert (1 <= (Rabs ((1 - alpha) * q)) ^ M).
        { apply pow_R1_Rle. rewrite Rabs_mult, (Rabs_pos_eq q) by lra. exact Hc. }
        nra. }
      assert (T := R_dist_tri (a (S M) * v i0) (a M * v i0) l). unfold R_dist in *.
      rewrite (Rabs_minus_sym l) in T. lra. }
    split; split.
    - exact Sufficient.
    - intros H. apply Necessary. intros y z Hz _. exact (H y z Hz).
    - intros Hc y z Hz _. exact (Sufficient Hc y z Hz).
    - exact Necessary.
  Qed.
End Borup.

(** The spectral theorem: a symmetric matrix has an orthonormal basis of eigenvectors; a matrix X has
    a singular value decomposition. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Import filters.
Open Scope R_scope.

Definition nonzero (N : nat) (x : nat -> R) : Prop := exists i, (i < N)%nat /\ x i <> 0.

(** A bound of the bilinear form of a matrix. *)
Lemma form_bound N M : exists c, 0 <= c /\ forall x, Rabs (dot N x (mv N M x)) <= c * norm2 N x.
Proof.
  exists (sum N (fun i => sum N (fun j => Rabs (M i j)))). split.
  { apply sum_nonneg. intros. apply sum_nonneg. intros. apply Rabs_pos. }
  intros x. unfold dot at 1, mv.
  eapply Rle_trans; [apply sum_abs|]. rewrite <- sum_scal_r. apply sum_le. intros i Hi.
  rewrite Rabs_mult. rewrite <- sum_scal_r.
  eapply Rle_trans; [apply Rmult_le_compat_l; [apply Rabs_pos|apply sum_abs]|].
  rewrite <- sum_scal_l. apply sum_le. intros j Hj. rewrite Rabs_mult.
  assert (Xi : x i * x i <= norm2 N x)
    by (apply (sum_term_le N (fun i => x i * x i) i Hi); intros; apply Rle_0_sqr).
  assert (Xj : x j * x j <= norm2 N x)
    by (apply (sum_term_le N (fun i => x i * x i) j Hj); intros; apply Rle_0_sqr).
  assert (Sq : forall r, Rabs r * Rabs r = r * r)
    by (intros r; rewrite <- Rabs_mult; apply Rabs_pos_eq, Rle_0_sqr).
  assert (Q := Rle_0_sqr (Rabs (x i) - Rabs (x j))). unfold Rsqr in Q.
  assert (Si := Sq (x i)). assert (Sj := Sq (x j)).
  assert (B : Rabs (x i) * Rabs (x j) <= norm2 N x) by lra.
  replace (Rabs (x i) * (Rabs (M i j) * Rabs (x j)))
    with (Rabs (M i j) * (Rabs (x i) * Rabs (x j))) by ring.
  apply Rmult_le_compat_l; [apply Rabs_pos|exact B].
Qed.

(** A positive semidefinite matrix is positive definite or has a kernel. *)
Lemma pd_or_kernel N M : symmetric N M -> psd N M ->
  pd N M \/ exists x, nonzero N x /\ forall i, (i < N)%nat -> mv N M x i = 0.
Proof.
  induction N as [|n IH]; intros Sy P.
  { left. intros x (i & Hi & _). lia. }
  assert (Sy' : symmetric n M) by (intros i j Hi Hj; apply Sy; lia).
  assert (Extend : forall x a,
    dot (S n) (fun j => if Nat.eqb j n then a else x j)
      (mv (S n) M (fun j => if Nat.eqb j n then a else x j))
    = dot n x (mv n M x) + 2 * a * dot n x (fun i => M i n) + a * a * M n n).
  { intros x a. rewrite dot_snoc, mv_snoc.
    rewrite (dot_ext n x _ x (fun i => mv n M x i + a * M i n))
      by (intros; try rewrite mv_snoc; ring).
    rewrite dot_plus_r, dot_scal_r.
    assert (E : mv n M x n = dot n x (fun i => M i n)).
    { unfold mv, dot. apply sum_ext. intros j Hj. rewrite (Sy n j) by lia. ring. }
    rewrite E. ring. }
  assert (P' : psd n M).
  { intros x. assert (H := P (fun j => if Nat.eqb j n then 0 else x j)). rewrite Extend in H. lra. }
  destruct (IH Sy' P') as [D|(x & (i & Hi & Hx) & K)].
  - set (u := solve n M (fun i => M i n)).
    assert (Hu : forall i, (i < n)%nat -> mv n M u i = M i n)
      by (intros; apply (solve_spec n M (fun i => M i n)); assumption).
    set (s := M n n - dot n u (fun i => M i n)).
    assert (Du : dot n u (mv n M u) = dot n u (fun i => M i n))
      by (apply dot_ext; [reflexivity|exact Hu]).
    assert (Hs : 0 <= s).
    { assert (H := P (fun j => if Nat.eqb j n then -1 else u j)). rewrite Extend, Du in H.
      unfold s. lra. }
    destruct (Rle_lt_or_eq_dec 0 s Hs) as [Pos|Zero].
    + left. intros x (i & Hi & Hx).
      assert (E : dot (S n) x (mv (S n) M x)
                  = dot n (fun j => x j + x n * u j) (mv n M (fun j => x j + x n * u j))
                    + s * (x n * x n)).
      { assert (X : forall j, (j < S n)%nat -> x j = if Nat.eqb j n then x n else x j).
        { intros j Hj. destruct (Nat.eqb_spec j n) as [->|]; reflexivity. }
        rewrite (dot_ext (S n) x (mv (S n) M x) _ _ X (fun j _ => mv_ext (S n) M x _ j X)).
        rewrite (Extend x (x n)).
        rewrite (dot_ext n (fun j => x j + x n * u j) _ (fun j => x j + x n * u j)
                   (fun j => mv n M x j + x n * M j n)).
        - rewrite dot_plus_r, dot_scal_r.
          rewrite !(dot_comm n (fun j => x j + x n * u j)), !dot_plus_r, !dot_scal_r.
          rewrite !(dot_comm n (mv n M x)), !(dot_comm n (fun i => M i n)).
          rewrite (symmetric_dot n M Sy' u x), (dot_comm n (mv n M u)).
          rewrite (dot_ext n x (mv n M u) x (fun i => M i n) (fun _ _ => eq_refl) Hu).
          unfold s. ring.
        - reflexivity.
        - intros j Hj. rewrite mv_plus, mv_scal, Hu by exact Hj. ring. }
      rewrite E. set (w := fun j => x j + x n * u j).
      destruct (Req_dec (x n) 0) as [Z|Z].
      * assert (0 < dot n w (mv n M w)); [|rewrite Z; lra].
        apply D. exists i. destruct (Nat.eq_dec i n) as [->|Ne]; [contradiction|].
        split; [lia|]. unfold w. rewrite Z. lra.
      * assert (Q := P' w). assert (0 < x n * x n) by (apply (Rlt_0_sqr (x n)), Z).
        assert (0 < s * (x n * x n)) by (apply Rmult_lt_0_compat; assumption). lra.
    + right. exists (fun j => if Nat.eqb j n then -1 else u j). split.
      * exists n. split; [lia|]. rewrite Nat.eqb_refl. lra.
      * apply (psd_zero (S n) M Sy P). rewrite Extend, Du. unfold s in Zero. lra.
  - right. exists (fun j => if Nat.eqb j n then 0 else x j). split.
    + exists i. split; [lia|]. rewrite (proj2 (Nat.eqb_neq i n)) by lia. exact Hx.
    + apply (psd_zero (S n) M Sy P). rewrite Extend.
      rewrite (dot_ext n x _ x (fun _ => 0) (fun _ _ => eq_refl) K).
      unfold dot. rewrite sum_zero by (intros; ring). ring.
Qed.

(** A positive definite matrix is so uniformly: x' M x >= eps |x|^2. *)
Lemma pd_uniform N M : symmetric N M -> pd N M ->
  exists eps, 0 < eps /\ forall x, eps * norm2 N x <= dot N x (mv N M x).
Proof.
  intros Sy P.
  assert (Psd : psd N M).
  { intros x. destruct (Rle_lt_dec (norm2 N x) 0) as [H|H].
    - assert (Z : norm2 N x = 0) by (assert (Q := norm2_nonneg N x); lra).
      unfold dot. rewrite sum_zero; [lra|]. intros i Hi. rewrite (norm2_zero N x Z i Hi). ring.
    - left. apply P. apply sum_pos_term in H as (i & Hi & H). exists i. split; [exact Hi|].
      intros Z. rewrite Z in H. lra. }
  (* the columns of the inverse, and M y = x for y the inverse times x *)
  set (inv := fun i j => solve N M (fun q => ind (Nat.eqb q j)) i).
  assert (Inv : forall x i, (i < N)%nat -> mv N M (mv N inv x) i = x i).
  { intros x i Hi. rewrite (mv_ext N M (mv N inv x) (fun q => sum N (fun j => x j * inv q j)))
      by (intros; apply sum_ext; intros; ring).
    rewrite (mv_sum N M N (fun j q => x j * inv q j)).
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb i j) * x j)).
    - apply (sum_ind' N x i Hi).
    - intros j Hj. rewrite (mv_scal N M (x j) (fun q => inv q j) i).
      change (fun q => inv q j) with (solve N M (fun q => ind (Nat.eqb q j))).
      rewrite (solve_spec N M (fun q => ind (Nat.eqb q j)) Sy P i Hi). ring. }
  destruct (form_bound N inv) as (c & Hc & B).
  exists (/ (c + 1)). split; [apply Rinv_0_lt_compat; lra|]. intros x.
  set (y := mv N inv x).
  assert (C := psd_cauchy_schwarz N M Sy Psd x y).
  assert (E1 : dot N x (mv N M y) = norm2 N x).
  { apply dot_ext; [reflexivity|]. intros i Hi. apply Inv, Hi. }
  assert (E2 : dot N y (mv N M y) = dot N x y).
  { rewrite (dot_comm N x y). apply dot_ext; [reflexivity|]. intros i Hi. apply Inv, Hi. }
  rewrite E1, E2 in C. assert (Bx := B x). fold y in Bx.
  assert (Hy : dot N x y <= c * norm2 N x) by (eapply Rle_trans; [apply Rle_abs|exact Bx]).
  assert (Q := norm2_nonneg N x). assert (Px := Psd x).
  set (u := norm2 N x) in *. set (v := dot N x (mv N M x)) in *. set (z := dot N x y) in *.
  destruct (Rle_lt_or_eq_dec 0 u Q) as [Hu|Hu]; [|rewrite <- Hu; lra].
  apply (Rmult_le_reg_l ((c + 1) * u)); [apply Rmult_lt_0_compat; lra|].
  replace ((c + 1) * u * (/ (c + 1) * u)) with (u * u) by (field; lra).
  assert (v * z <= v * (c * u)) by (apply Rmult_le_compat_l; assumption).
  assert (0 <= v * u) by (apply Rmult_le_pos; lra). lra.
Qed.

(** ** Eigenvectors one after the other *)

Definition orthonormal (N k : nat) (v : nat -> nat -> R) : Prop :=
  forall r q, (r < k)%nat -> (q < k)%nat -> dot N (v r) (v q) = ind (Nat.eqb r q).

Section Next.
  Variables (N : nat) (G : nat -> nat -> R).
  Hypothesis Sy : symmetric N G.
  Variables (k : nat) (v : nat -> nat -> R) (s : nat -> R).
  Hypotheses (O : orthonormal N k v)
    (Eigen : forall r i, (r < k)%nat -> (i < N)%nat -> mv N G (v r) i = s r * v r i).

  Let inside x := forall r, (r < k)%nat -> dot N (v r) x = 0.
  (** The part of x that is orthogonal to all v_r. *)
  Let part x i := x i - sum k (fun r => dot N (v r) x * v r i).

  Let part_inside x : inside (part x).
  Proof.
    intros q Hq. unfold part. rewrite dot_minus_r.
    rewrite (dot_sum_r N k (v q) (fun r i => dot N (v r) x * v r i)).
    rewrite (sum_ext k _ (fun r => ind (Nat.eqb q r) * dot N (v r) x)).
    - rewrite (sum_ind' k (fun r => dot N (v r) x) q Hq). ring.
    - intros r Hr. rewrite dot_scal_r, (O q r Hq Hr). ring.
  Qed.

  Let split_norm x : norm2 N x = norm2 N (part x) + sum k (fun r => dot N (v r) x * dot N (v r) x).
  Proof.
    set (p := part x).
    assert (Ip : forall r, (r < k)%nat -> dot N (v r) p = 0) by apply part_inside.
    assert (E : norm2 N p = dot N p x).
    { unfold norm2. transitivity (dot N p x - sum k (fun r => dot N (v r) x * dot N p (v r))).
      - unfold p at 2, part. rewrite dot_minus_r. f_equal.
        rewrite (dot_sum_r N k p (fun r i => dot N (v r) x * v r i)). apply sum_ext.
        intros. apply dot_scal_r.
      - rewrite (sum_zero k (fun r => _ * _)); [ring|]. intros r Hr.
        rewrite (dot_comm N p), (Ip r Hr). ring. }
    rewrite E. unfold p, part. rewrite (dot_comm N (fun i => x i - _)), dot_minus_r.
    rewrite (dot_sum_r N k x (fun r i => dot N (v r) x * v r i)).
    rewrite (sum_ext k (fun r => dot N x (fun i => dot N (v r) x * v r i))
               (fun r => dot N (v r) x * dot N (v r) x)).
    - unfold norm2. ring.
    - intros r _. rewrite dot_scal_r, (dot_comm N x). reflexivity.
  Qed.

  Variable w0 : nat -> R.
  Hypotheses (Hw0 : inside w0) (Nw0 : norm2 N w0 = 1).

  (** The largest x' G x over unit x orthogonal to all v_r. *)
  Let values (r : R) : Prop := exists x, inside x /\ norm2 N x = 1 /\ r = dot N x (mv N G x).

  Lemma next_eigenvector : exists w sigma,
    inside w /\ norm2 N w = 1 /\ forall i, (i < N)%nat -> mv N G w i = sigma * w i.
  Proof.
    destruct (completeness values) as (sigma & Upper & Least).
    { destruct (form_bound N G) as (c & _ & B). exists c. intros r (x & _ & Nx & ->).
      eapply Rle_trans; [apply Rle_abs|]. rewrite <- (Rmult_1_r c), <- Nx. apply B. }
    { exists (dot N w0 (mv N G w0)), w0. auto. }
    (* x' G x <= sigma |x|^2 for all x inside *)
    assert (Bound : forall x, inside x -> dot N x (mv N G x) <= sigma * norm2 N x).
    { intros x Hx. assert (Q := norm2_nonneg N x).
      destruct (Rle_lt_or_eq_dec 0 _ Q) as [Pos|Zero].
      - set (c := / sqrt (norm2 N x)).
        assert (Hsq : 0 < sqrt (norm2 N x)) by (apply sqrt_lt_R0, Pos).
        assert (Hc : c * c * norm2 N x = 1).
        { unfold c. rewrite <- (sqrt_sqrt (norm2 N x)) at 3 by exact Q. field. lra. }
        assert (U : dot N (fun i => c * x i) (mv N G (fun i => c * x i)) <= sigma).
        { apply Upper. exists (fun i => c * x i). split; [|split; [|reflexivity]].
          - intros r Hr. rewrite dot_scal_r, (Hx r Hr). ring.
          - unfold norm2. rewrite dot_scal_r, dot_scal_l. fold (norm2 N x). lra. }
        rewrite (dot_ext N _ (mv N G (fun i => c * x i)) (fun i => c * x i)
                   (fun i => c * mv N G x i)) in U by (auto; intros; apply mv_scal).
        rewrite dot_scal_r, dot_scal_l in U.
        assert (0 < c) by (apply Rinv_0_lt_compat, Hsq).
        assert (0 < c * c) by (apply Rmult_lt_0_compat; assumption).
        apply (Rmult_le_reg_l (c * c)); [assumption|].
        replace (c * c * (sigma * norm2 N x)) with (sigma * (c * c * norm2 N x)) by ring.
        rewrite Hc. lra.
      - rewrite <- Zero. unfold dot. rewrite sum_zero; [lra|]. intros i Hi.
        rewrite (norm2_zero N x (eq_sym Zero) i Hi). ring. }
    (* M x = sigma (part x) - G (part x) + x - part x *)
    set (M := fun i j => sigma * (ind (Nat.eqb i j) - sum k (fun r => v r i * v r j))
      - (G i j - sum k (fun r => s r * v r i * v r j)) + sum k (fun r => v r i * v r j)).
    assert (Rank : forall (c : nat -> R) x i,
      sum N (fun j => sum k (fun r => c r * v r i * v r j) * x j)
      = sum k (fun r => c r * dot N (v r) x * v r i)).
    { intros c x i.
      rewrite (sum_ext N _ (fun j => sum k (fun r => c r * v r i * v r j * x j)))
        by (intros; rewrite <- sum_scal_r; reflexivity).
      rewrite sum_swap. apply sum_ext. intros r _. unfold dot.
      rewrite (sum_ext N _ (fun j => c r * v r i * (v r j * x j))) by (intros; ring).
      rewrite sum_scal_l. ring. }
    assert (MV : forall x i, (i < N)%nat -> mv N M x i
      = sigma * part x i - mv N G (part x) i + sum k (fun r => dot N (v r) x * v r i)).
    { intros x i Hi.
      assert (Gp : mv N G (part x) i
                   = mv N G x i - sum k (fun r => s r * dot N (v r) x * v r i)).
      { unfold part. rewrite mv_minus, (mv_sum N G k (fun r i => dot N (v r) x * v r i)). f_equal.
        apply sum_ext. intros r Hr. rewrite mv_scal, (Eigen r i Hr Hi). ring. }
      assert (R1 := Rank (fun _ => 1) x i). assert (R2 := Rank s x i). cbv beta in R1.
      rewrite (sum_ext N _ (fun j => sum k (fun r => v r i * v r j) * x j)) in R1
        by (intros; f_equal; apply sum_ext; intros; ring).
      rewrite (sum_ext k (fun r => 1 * dot N (v r) x * v r i) (fun r => dot N (v r) x * v r i)) in R1
        by (intros; ring).
      assert (R0 := sum_ind' N x i Hi).
      unfold part at 1. rewrite Gp, <- R1, <- R2. rewrite <- R0 at 1.
      unfold mv, M. rewrite <- !sum_minus, <- !sum_scal_l, <- !sum_minus, <- !sum_plus.
      apply sum_ext. intros. ring. }
    assert (Sym : symmetric N M).
    { intros i j Hi Hj. unfold M. rewrite (Sy i j Hi Hj), Nat.eqb_sym.
      rewrite (sum_ext k (fun r => v r i * v r j) (fun r => v r j * v r i)) by (intros; ring).
      rewrite (sum_ext k (fun r => s r * v r i * v r j) (fun r => s r * v r j * v r i))
        by (intros; ring). reflexivity. }
    assert (Form : forall x, dot N x (mv N M x)
      = sigma * norm2 N (part x) - dot N (part x) (mv N G (part x))
        + sum k (fun r => dot N (v r) x * dot N (v r) x)).
    { intros x. set (p := part x).
      assert (Ip : forall r, (r < k)%nat -> dot N (v r) p = 0) by apply part_inside.
      assert (Along : forall f, (forall r, (r < k)%nat -> dot N (v r) f = 0) ->
                dot N x f = dot N p f).
      { intros f Hf. unfold p, part. rewrite !(dot_comm N _ f), dot_minus_r.
        rewrite (dot_sum_r N k f (fun r i => dot N (v r) x * v r i)), (sum_zero k); [ring|].
        intros r Hr. rewrite dot_scal_r, (dot_comm N f), (Hf r Hr). ring. }
      rewrite (dot_ext N x _ x (fun i => (sigma * p i - mv N G p i)
                + sum k (fun r => dot N (v r) x * v r i)) (fun _ _ => eq_refl)) by (apply MV).
      rewrite dot_plus_r. f_equal.
      - rewrite Along.
        + rewrite dot_minus_r, dot_scal_r. reflexivity.
        + intros r Hr. rewrite dot_minus_r, dot_scal_r, (Ip r Hr).
          rewrite (symmetric_dot N G Sy (v r) p).
          rewrite (dot_ext N _ p (fun i => s r * v r i) p (fun i Hi => Eigen r i Hr Hi)
                     (fun _ _ => eq_refl)).
          rewrite dot_scal_l, (Ip r Hr). ring.
      - rewrite (dot_sum_r N k x (fun r i => dot N (v r) x * v r i)). apply sum_ext.
        intros r _. rewrite dot_scal_r, (dot_comm N x). reflexivity. }
    assert (Squares : forall x, 0 <= sum k (fun r => dot N (v r) x * dot N (v r) x))
      by (intros; apply sum_nonneg; intros; apply Rle_0_sqr).
    assert (Psd : psd N M).
    { intros x. rewrite Form. assert (B := Bound (part x) (part_inside x)).
      assert (Q := Squares x). lra. }
    destruct (pd_or_kernel N M Sym Psd) as [D|(x & (i & Hi & Hx) & Ker)].
    - exfalso. destruct (pd_uniform N M Sym D) as (eps & He & U).
      assert (L : sigma <= sigma - eps); [|lra]. apply Least. intros r (x & Hin & Nx & ->).
      assert (Ux := U x). rewrite Form in Ux.
      assert (Z : sum k (fun r => dot N (v r) x * dot N (v r) x) = 0)
        by (apply sum_zero; intros r Hr; rewrite (Hin r Hr); ring).
      assert (Px : forall i, (i < N)%nat -> part x i = x i).
      { intros i Hi. unfold part. rewrite sum_zero; [ring|]. intros r Hr. rewrite (Hin r Hr). ring. }
      rewrite Z, (norm2_ext N _ _ Px), Nx in Ux.
      rewrite (dot_ext N (part x) _ x (mv N G x) Px (fun i _ => mv_ext N G _ _ i Px)) in Ux. lra.
    - (* the kernel lies inside and consists of eigenvectors *)
      assert (F : dot N x (mv N M x) = 0).
      { rewrite (dot_ext N x _ x (fun _ => 0) (fun _ _ => eq_refl) Ker). unfold dot.
        apply sum_zero. intros. ring. }
      rewrite Form in F. assert (B := Bound (part x) (part_inside x)). assert (Q := Squares x).
      assert (Hin : inside x).
      { intros r Hr.
        assert (Z := sum_nonneg_zero k (fun r => dot N (v r) x * dot N (v r) x) r
                       (fun _ _ => Rle_0_sqr _) ltac:(lra) Hr).
        cbv beta in Z. apply Rsqr_0_uniq. exact Z. }
      assert (Px : forall i, (i < N)%nat -> part x i = x i).
      { intros q Hq. unfold part. rewrite sum_zero; [ring|]. intros r Hr. rewrite (Hin r Hr). ring. }
      assert (Pos : 0 < norm2 N x)
        by (apply (sum_pos_one N _ i); [intros; apply Rle_0_sqr|exact Hi|apply (Rlt_0_sqr (x i)), Hx]).
      set (c := / sqrt (norm2 N x)).
      assert (Hsq : 0 < sqrt (norm2 N x)) by (apply sqrt_lt_R0, Pos).
      exists (fun i => c * x i), sigma. split; [|split].
      + intros r Hr. rewrite dot_scal_r, (Hin r Hr). ring.
      + unfold norm2. rewrite dot_scal_r, dot_scal_l. fold (norm2 N x). unfold c.
        rewrite <- (sqrt_sqrt (norm2 N x)) at 3 by lra. field. lra.
      + intros q Hq. rewrite mv_scal. assert (E := MV x q Hq). rewrite (Ker q Hq) in E.
        rewrite (Px q Hq), (mv_ext N G _ _ q Px) in E.
        rewrite (sum_zero k) in E by (intros r Hr; rewrite (Hin r Hr); ring).
        replace (mv N G x q) with (sigma * x q) by lra. ring.
  Qed.
End Next.

(** ** The theorem *)

(** Orthonormal v_0, ..., v_(N-1) that span all vectors, with G v_r = s_r v_r. *)
Definition eigenbasis (N : nat) (G : nat -> nat -> R) (v : nat -> nat -> R) (s : nat -> R) : Prop :=
  orthonormal N N v /\
  (forall x i, (i < N)%nat -> x i = sum N (fun r => dot N (v r) x * v r i)) /\
  (forall r i, (r < N)%nat -> (i < N)%nat -> mv N G (v r) i = s r * v r i).

(** The sum over i of |e_i - its part along the v_r|^2 is N - k. *)
Lemma missing_trace N k v : orthonormal N k v ->
  sum N (fun i => 1 - sum k (fun r => v r i * v r i)) = INR N - INR k.
Proof.
  intros O. rewrite sum_minus, sum_const, sum_swap, Rmult_1_r. f_equal.
  rewrite (sum_ext k _ (fun _ => 1)); [rewrite sum_const; ring|].
  intros r Hr. assert (E := O r r Hr Hr). rewrite Nat.eqb_refl in E. exact E.
Qed.

Lemma dot_unit N x i : (i < N)%nat -> dot N x (fun j => ind (Nat.eqb j i)) = x i.
Proof.
  intros Hi. unfold dot. rewrite <- (sum_ind N x i Hi). apply sum_ext. intros. ring.
Qed.

Lemma orthonormal_missing N k v x : orthonormal N k v ->
  norm2 N (fun i => x i - sum k (fun r => dot N (v r) x * v r i))
  = norm2 N x - sum k (fun r => dot N (v r) x * dot N (v r) x).
Proof.
  intros O. set (q := fun i => sum k (fun r => dot N (v r) x * v r i)).
  assert (E1 : dot N x q = sum k (fun r => dot N (v r) x * dot N (v r) x)).
  { unfold q. rewrite (dot_sum_r N k x (fun r i => dot N (v r) x * v r i)). apply sum_ext.
    intros r _. rewrite dot_scal_r, (dot_comm N x). reflexivity. }
  assert (E2 : dot N q q = sum k (fun r => dot N (v r) x * dot N (v r) x)).
  { unfold q at 2. rewrite (dot_sum_r N k q (fun r i => dot N (v r) x * v r i)). apply sum_ext.
    intros r Hr. rewrite dot_scal_r. f_equal. rewrite dot_comm. unfold q.
    rewrite (dot_sum_r N k (v r) (fun r i => dot N (v r) x * v r i)).
    rewrite (sum_ext k _ (fun p => ind (Nat.eqb r p) * dot N (v p) x)).
    - apply (sum_ind' k (fun p => dot N (v p) x) r Hr).
    - intros p Hp. rewrite dot_scal_r, (O r p Hr Hp). ring. }
  unfold norm2. change (fun i => x i - sum k (fun r => dot N (v r) x * v r i)) with (fun i => x i - q i).
  rewrite dot_minus_r, !(dot_comm N (fun i => x i - q i)), !dot_minus_r, (dot_comm N q x), E1, E2. ring.
Qed.

Theorem spectral_theorem N G : symmetric N G -> exists v s, eigenbasis N G v s.
Proof.
  intros Sy.
  assert (Q : forall k, (k <= N)%nat -> exists v s, orthonormal N k v /\
    forall r i, (r < k)%nat -> (i < N)%nat -> mv N G (v r) i = s r * v r i).
  { induction k as [|k IH]; intros Hk.
    - exists (fun _ _ => 0), (fun _ => 0). split; [intros r q Hr; lia|intros r i Hr; lia].
    - destruct IH as (v & s & O & Eigen); [lia|].
      (* a unit vector orthogonal to all v_r *)
      assert (T := missing_trace N k v O).
      assert (Hpos : 0 < INR N - INR k) by (apply lt_INR in Hk; lra). rewrite <- T in Hpos.
      apply sum_pos_term in Hpos as (i & Hi & Hpos).
      set (e := fun j => ind (Nat.eqb j i)).
      set (p := fun j => e j - sum k (fun r => dot N (v r) e * v r j)).
      assert (Np : 0 < norm2 N p).
      { unfold p. rewrite orthonormal_missing by exact O.
        assert (Ee : norm2 N e = 1).
        { unfold norm2. unfold e at 2. rewrite dot_unit by exact Hi. unfold e.
          rewrite Nat.eqb_refl. reflexivity. }
        rewrite Ee. rewrite (sum_ext k _ (fun r => v r i * v r i)); [exact Hpos|].
        intros r _. unfold e. rewrite dot_unit by exact Hi. reflexivity. }
      assert (Ip : forall q, (q < k)%nat -> dot N (v q) p = 0).
      { intros q Hq. unfold p. rewrite dot_minus_r.
        rewrite (dot_sum_r N k (v q) (fun r i => dot N (v r) e * v r i)).
        rewrite (sum_ext k _ (fun r => ind (Nat.eqb q r) * dot N (v r) e)).
        - rewrite (sum_ind' k (fun r => dot N (v r) e) q Hq). ring.
        - intros r Hr. rewrite dot_scal_r, (O q r Hq Hr). ring. }
      set (c := / sqrt (norm2 N p)).
      assert (Hsq : 0 < sqrt (norm2 N p)) by (apply sqrt_lt_R0, Np).
      destruct (next_eigenvector N G Sy k v s O Eigen (fun j => c * p j)) as (w & sigma & Iw & Nw & Ew).
      + intros r Hr. rewrite dot_scal_r, (Ip r Hr). ring.
      + unfold norm2. rewrite dot_scal_r, dot_scal_l. fold (norm2 N p). unfold c.
        rewrite <- (sqrt_sqrt (norm2 N p)) at 3 by lra. field. lra.
      + exists (fun r => if Nat.eqb r k then w else v r), (fun r => if Nat.eqb r k then sigma else s r).
        split.
        * intros r q Hr Hq.
          destruct (Nat.eqb_spec r k) as [->|Nr], (Nat.eqb_spec q k) as [->|Nq].
          -- rewrite Nat.eqb_refl. exact Nw.
          -- rewrite (proj2 (Nat.eqb_neq k q)) by lia. rewrite dot_comm. apply Iw. lia.
          -- rewrite (proj2 (Nat.eqb_neq r k)) by lia. apply Iw. lia.
          -- apply O; lia.
        * intros r j Hr Hj. destruct (Nat.eqb_spec r k) as [->|Nr]; [apply Ew, Hj|apply Eigen; lia]. }
  destruct (Q N (le_n N)) as (v & s & O & Eigen). exists v, s. split; [exact O|]. split; [|exact Eigen].
  (* nothing is missing *)
  assert (T := missing_trace N N v O). rewrite Rminus_diag_eq in T by reflexivity.
  assert (Unit : forall i, (i < N)%nat -> norm2 N (fun j => ind (Nat.eqb j i)
            - sum N (fun r => dot N (v r) (fun j => ind (Nat.eqb j i)) * v r j))
            = 1 - sum N (fun r => v r i * v r i)).
  { intros i Hi. rewrite orthonormal_missing by exact O. f_equal.
    - unfold norm2. rewrite dot_unit, Nat.eqb_refl by exact Hi. reflexivity.
    - apply sum_ext. intros r _. rewrite dot_unit by exact Hi. reflexivity. }
  assert (Zero : forall i, (i < N)%nat -> 1 - sum N (fun r => v r i * v r i) = 0).
  { intros i Hi. apply (sum_nonneg_zero N (fun i => 1 - sum N (fun r => v r i * v r i)) i); trivial.
    intros j Hj. rewrite <- Unit by exact Hj. apply norm2_nonneg. }
  assert (Delta : forall i j, (i < N)%nat -> (j < N)%nat ->
            ind (Nat.eqb j i) = sum N (fun r => v r i * v r j)).
  { intros i j Hi Hj. assert (Z := Unit i Hi). rewrite (Zero i Hi) in Z.
    assert (E := norm2_zero N _ Z j Hj). cbv beta in E.
    rewrite (sum_ext N _ (fun r => v r i * v r j)) in E
      by (intros; rewrite dot_unit by exact Hi; reflexivity). lra. }
  intros x j Hj. rewrite <- (sum_ind' N x j Hj) at 1.
  rewrite (sum_ext N _ (fun i => sum N (fun r => x i * (v r i * v r j)))).
  - rewrite sum_swap. apply sum_ext. intros r _. unfold dot. rewrite <- sum_scal_r.
    apply sum_ext. intros. ring.
  - intros i Hi. rewrite (Delta i j Hi Hj), sum_scal_l. ring.
Qed.

(** Every matrix has a singular value decomposition, with the eigenvectors of X' X. *)
Theorem svd_exists N d X : exists Z V s, svd N d d X Z V s.
Proof.
  set (A := gram N (fun j i => X i j)).
  destruct (spectral_theorem d A (gram_symmetric d N _)) as (v & s & O & C & E).
  exists (fun i r => mv d X (v r) i), (fun j r => v r j), s. split; [|split].
  - intros i j Hi Hj.
    (* X_ij = (X e_j)_i, and e_j is the sum of its parts along the v_r *)
    set (e := fun q => ind (Nat.eqb q j)).
    assert (Xe : X i j = mv d X e i).
    { unfold mv, e. rewrite (sum_ext d _ (fun q => ind (Nat.eqb q j) * X i q)) by (intros; ring).
      symmetry. apply (sum_ind d (X i) j Hj). }
    rewrite Xe, (mv_ext d X e _ i (C e)), (mv_sum d X d (fun r q => dot d (v r) e * v r q)).
    apply sum_ext. intros r Hr. rewrite mv_scal. unfold e. rewrite dot_unit by exact Hj. ring.
  - intros r q Hr Hq. exact (O r q Hr Hq).
  - intros r q Hr Hq. rewrite dot_mv, dot_comm.
    rewrite (dot_ext d (v q) _ (v q) (fun j => s r * v r j) (fun _ _ => eq_refl)).
    + rewrite dot_scal_r, (O q r Hq Hr), Nat.eqb_sym. reflexivity.
    + intros j Hj. rewrite <- (E r j Hr Hj). unfold A. rewrite mv_gram. reflexivity.
Qed.

Section Eigenbasis.
  Variables (N : nat) (G : nat -> nat -> R) (v : nat -> nat -> R) (s : nat -> R).
  Hypotheses (Sy : symmetric N G) (HB : eigenbasis N G v s).

  Lemma eigenbasis_norm x : norm2 N x = sum N (fun r => dot N (v r) x * dot N (v r) x).
  Proof.
    destruct HB as (_ & C & _). unfold norm2, dot at 1.
    rewrite (sum_ext N _ (fun j => sum N (fun r => dot N (v r) x * (v r j * x j)))).
    - rewrite sum_swap. apply sum_ext. intros r _. rewrite sum_scal_l. reflexivity.
    - intros j Hj. rewrite (C x j Hj) at 1. rewrite <- sum_scal_r. apply sum_ext. intros. ring.
  Qed.

  Lemma eigenbasis_dot r x : (r < N)%nat -> dot N (v r) (mv N G x) = s r * dot N (v r) x.
  Proof.
    intros Hr. destruct HB as (_ & _ & E). rewrite (symmetric_dot N G Sy (v r) x).
    rewrite (dot_ext N _ x (fun i => s r * v r i) x (fun i Hi => E r i Hr Hi) (fun _ _ => eq_refl)).
    apply dot_scal_l.
  Qed.

  Hypothesis P : psd N G.

  Lemma eigenvalue_nonneg r : (r < N)%nat -> 0 <= s r.
  Proof.
    intros Hr. destruct HB as (O & _ & _). assert (Q := P (v r)). rewrite eigenbasis_dot in Q by exact Hr.
    rewrite (O r r Hr Hr), Nat.eqb_refl in Q. cbn in Q. lra.
  Qed.

  Variable mu : R.
  Hypothesis Hmu : 0 < mu.

  Lemma eigenbasis_resolvent r x : (r < N)%nat ->
    dot N (v r) (resolvent N G mu x) = dot N (v r) x / (s r + mu).
  Proof.
    intros Hr. assert (Q := eigenvalue_nonneg r Hr).
    rewrite <- (dot_ext N (v r) _ (v r) x (fun _ _ => eq_refl) (resolvent_spec N G mu Sy P Hmu x)).
    rewrite dot_plus_r, dot_scal_r, eigenbasis_dot by exact Hr. field. lra.
  Qed.

  (** h(G)^t multiplies the coordinate along v_r by h(s_r)^t. *)
  Lemma eigenbasis_filter_power t r x : (r < N)%nat ->
    dot N (v r) (filter_power N G mu t x) = (s r / (s r + mu)) ^ t * dot N (v r) x.
  Proof.
    intros Hr. assert (Q := eigenvalue_nonneg r Hr). induction t as [|t IH]; [cbn; ring|].
    cbn [filter_power]. unfold filter. rewrite eigenbasis_resolvent, eigenbasis_dot, IH by exact Hr.
    cbn [pow]. field. lra.
  Qed.
End Eigenbasis.

(** Linear systems with a positive definite matrix, and the filter h(G) = (G + mu)^{-1} G. *)

From Coq Require Import Reals Lra Lia Arith Psatz.
From Gramlab Require Export vectors.
Open Scope R_scope.

Definition symmetric (N : nat) (M : nat -> nat -> R) : Prop :=
  forall i j, (i < N)%nat -> (j < N)%nat -> M i j = M j i.

(** x' M x >= 0 for all x; x' M x > 0 unless x = 0. *)
Definition psd (N : nat) (M : nat -> nat -> R) : Prop := forall x, 0 <= dot N x (mv N M x).
Definition pd (N : nat) (M : nat -> nat -> R) : Prop :=
  forall x, (exists i, (i < N)%nat /\ x i <> 0) -> 0 < dot N x (mv N M x).

(** ** Solving M x = b, one row and column at a time *)

Fixpoint solve (N : nat) (M : nat -> nat -> R) (b : nat -> R) : nat -> R :=
  match N with
  | O => fun _ => 0
  | S n =>
      let u := solve n M (fun i => M i n) in
      let w := solve n M b in
      let last := (b n - dot n (M n) w) / (M n n - dot n (M n) u) in
      fun i => if Nat.eqb i n then last else w i - last * u i
  end.

(** A vector of length n, continued by one more entry. *)
Lemma mv_snoc n M x a i :
  mv (S n) M (fun j => if Nat.eqb j n then a else x j) i = mv n M x i + M i n * a.
Proof.
  unfold mv. cbn. rewrite Nat.eqb_refl. f_equal. apply sum_ext. intros j Hj.
  rewrite (proj2 (Nat.eqb_neq j n)) by lia. reflexivity.
Qed.

Lemma dot_snoc n y x a :
  dot (S n) (fun j => if Nat.eqb j n then a else x j) y = dot n x y + a * y n.
Proof.
  unfold dot. cbn. rewrite Nat.eqb_refl. f_equal. apply sum_ext. intros j Hj.
  rewrite (proj2 (Nat.eqb_neq j n)) by lia. reflexivity.
Qed.

Lemma pd_smaller n M : pd (S n) M -> pd n M.
Proof.
  intros P x (i & Hi & Hx).
  specialize (P (fun j => if Nat.eqb j n then 0 else x j)).
  rewrite dot_snoc in P.
  rewrite (dot_ext n x _ x (mv n M x)) in P.
  - assert (0 < dot n x (mv n M x) + 0 * mv (S n) M (fun j => if Nat.eqb j n then 0 else x j) n);
      [|lra].
    apply P. exists i. split; [lia|]. rewrite (proj2 (Nat.eqb_neq i n)) by lia. exact Hx.
  - reflexivity.
  - intros j Hj. rewrite mv_snoc. ring.
Qed.

Theorem solve_spec N M b :
  symmetric N M -> pd N M -> forall i, (i < N)%nat -> mv N M (solve N M b) i = b i.
Proof.
  revert b. induction N as [|n IH]; intros b Sy P i Hi; [lia|].
  assert (Sy' : symmetric n M) by (intros p q Hp Hq; apply Sy; lia).
  assert (P' := pd_smaller n M P).
  cbn [solve].
  set (u := solve n M (fun i => M i n)). set (w := solve n M b).
  assert (Hu : forall i, (i < n)%nat -> mv n M u i = M i n)
    by (intros; apply (IH (fun i => M i n)); assumption).
  assert (Hw : forall i, (i < n)%nat -> mv n M w i = b i) by (intros; apply IH; assumption).
  set (s := M n n - dot n (M n) u).
  assert (Hs : 0 < s).
  { specialize (P (fun j => if Nat.eqb j n then -1 else u j)).
    rewrite dot_snoc, mv_snoc in P.
    rewrite (dot_ext n u _ u (fun _ => 0)) in P.
    - assert (Z : dot n u (fun _ => 0) = 0) by (apply sum_zero; intros; ring).
      rewrite Z in P. change (mv n M u n) with (dot n (M n) u) in P.
      assert (0 < 0 + -1 * (dot n (M n) u + M n n * -1)); [|unfold s; lra].
      apply P. exists n. split; [lia|]. rewrite Nat.eqb_refl. lra.
    - reflexivity.
    - intros j Hj. rewrite mv_snoc, Hu by exact Hj. ring. }
  set (last := (b n - dot n (M n) w) / s).
  rewrite (mv_snoc n M (fun j => w j - last * u j) last i), mv_minus, mv_scal.
  destruct (Nat.eq_dec i n) as [->|Hn].
  - change (mv n M w n) with (dot n (M n) w). change (mv n M u n) with (dot n (M n) u).
    replace (M n n) with (s + dot n (M n) u) by (unfold s; ring).
    unfold last. field. lra.
  - rewrite Hu, Hw by lia. ring.
Qed.

Theorem pd_injective N M x y :
  pd N M -> (forall i, (i < N)%nat -> mv N M x i = mv N M y i) ->
  forall i, (i < N)%nat -> x i = y i.
Proof.
  intros P H i Hi. destruct (Req_dec (x i) (y i)) as [E|E]; [exact E|exfalso].
  assert (Q : 0 < dot N (fun j => x j - y j) (mv N M (fun j => x j - y j))).
  { apply P. exists i. split; [exact Hi|lra]. }
  rewrite (dot_ext N _ _ (fun j => x j - y j) (fun _ => 0)) in Q; [|reflexivity|].
  - unfold dot in Q. rewrite sum_zero in Q; [lra|]. intros. ring.
  - intros j Hj. rewrite mv_minus, H by exact Hj. ring.
Qed.

(** ** G + mu for a positive semidefinite G *)

Definition shifted (G : nat -> nat -> R) (mu : R) (i j : nat) : R :=
  G i j + mu * ind (Nat.eqb i j).

Lemma mv_shifted N G mu x i : (i < N)%nat -> mv N (shifted G mu) x i = mv N G x i + mu * x i.
Proof.
  intros Hi. unfold mv, shifted.
  rewrite (sum_ext N _ (fun j => G i j * x j + mu * (ind (Nat.eqb i j) * x j)))
    by (intros; ring).
  rewrite sum_plus, sum_scal_l, sum_ind' by exact Hi. reflexivity.
Qed.

Lemma shifted_symmetric N G mu : symmetric N G -> symmetric N (shifted G mu).
Proof. intros Sy i j Hi Hj. unfold shifted. rewrite Sy, Nat.eqb_sym by assumption. reflexivity. Qed.

Lemma shifted_pd N G mu : psd N G -> 0 < mu -> pd N (shifted G mu).
Proof.
  intros P Hmu x (i & Hi & Hx).
  rewrite (dot_ext N x _ x (fun i => mv N G x i + mu * x i)).
  - rewrite dot_plus_r, dot_scal_r. specialize (P x).
    assert (0 < dot N x x); [|nra].
    apply (sum_pos_one N _ i); [intros; nra|exact Hi|nra].
  - reflexivity.
  - intros j Hj. apply mv_shifted, Hj.
Qed.

(** The resolvent (G + mu)^{-1} b. *)
Definition resolvent (N : nat) (G : nat -> nat -> R) (mu : R) (b : nat -> R) : nat -> R :=
  solve N (shifted G mu) b.

(** The filter h(G) x = (G + mu)^{-1} G x, where h(s) = s/(s + mu), and its powers. *)
Definition filter (N : nat) (G : nat -> nat -> R) (mu : R) (x : nat -> R) : nat -> R :=
  resolvent N G mu (mv N G x).

Fixpoint filter_power (N : nat) (G : nat -> nat -> R) (mu : R) (t : nat) (x : nat -> R) :=
  match t with O => x | S t => filter N G mu (filter_power N G mu t x) end.

Section Filter.
  Variables (N : nat) (G : nat -> nat -> R) (mu : R).
  Hypotheses (Sy : symmetric N G) (P : psd N G) (Hmu : 0 < mu).

  Lemma resolvent_spec b i :
    (i < N)%nat -> mv N G (resolvent N G mu b) i + mu * resolvent N G mu b i = b i.
  Proof.
    intros Hi. rewrite <- (mv_shifted N G mu _ i Hi).
    apply solve_spec; [apply shifted_symmetric, Sy|apply shifted_pd; assumption|exact Hi].
  Qed.

  Lemma shifted_injective x y :
    (forall i, (i < N)%nat -> mv N G x i + mu * x i = mv N G y i + mu * y i) ->
    forall i, (i < N)%nat -> x i = y i.
  Proof.
    intros H. apply (pd_injective N (shifted G mu)); [apply shifted_pd; assumption|].
    intros i Hi. rewrite !mv_shifted by exact Hi. apply H, Hi.
  Qed.

  Lemma resolvent_unique b x :
    (forall i, (i < N)%nat -> mv N G x i + mu * x i = b i) ->
    forall i, (i < N)%nat -> x i = resolvent N G mu b i.
  Proof.
    intros H. apply shifted_injective. intros i Hi. rewrite H, resolvent_spec by exact Hi.
    reflexivity.
  Qed.

  Lemma filter_spec x i :
    (i < N)%nat -> mv N G (filter N G mu x) i + mu * filter N G mu x i = mv N G x i.
  Proof. intros Hi. apply resolvent_spec, Hi. Qed.

  Lemma filter_unique x y :
    (forall i, (i < N)%nat -> mv N G y i + mu * y i = mv N G x i) ->
    forall i, (i < N)%nat -> y i = filter N G mu x i.
  Proof. intros H. apply resolvent_unique, H. Qed.

  (** mu (G + mu)^{-1} = 1 - h(G) *)
  Lemma resolvent_filter b i :
    (i < N)%nat -> mu * resolvent N G mu b i = b i - filter N G mu b i.
  Proof.
    intros Hi. set (y := resolvent N G mu b).
    enough (filter N G mu b i = b i - mu * y i) by lra.
    symmetry. revert i Hi. apply filter_unique. intros i Hi.
    assert (E : forall q, (q < N)%nat -> b q - mu * y q = mv N G y q)
      by (intros q Hq; unfold y; rewrite <- (resolvent_spec b q Hq) at 1; ring).
    rewrite (mv_ext N G _ _ i E), (E i Hi), (mv_ext N G b (fun q => mv N G y q + mu * y q) i)
      by (intros; symmetry; apply resolvent_spec; assumption).
    rewrite mv_plus, mv_scal. reflexivity.
  Qed.

  Lemma resolvent_ext b b' :
    (forall i, (i < N)%nat -> b i = b' i) ->
    forall i, (i < N)%nat -> resolvent N G mu b i = resolvent N G mu b' i.
  Proof.
    intros H. apply resolvent_unique. intros i Hi. rewrite resolvent_spec by exact Hi.
    apply H, Hi.
  Qed.

  Lemma resolvent_plus b b' i :
    (i < N)%nat ->
    resolvent N G mu (fun j => b j + b' j) i = resolvent N G mu b i + resolvent N G mu b' i.
  Proof.
    revert i. intros i Hi. symmetry. revert i Hi. apply resolvent_unique. intros i Hi.
    rewrite mv_plus, <- (resolvent_spec b i Hi), <- (resolvent_spec b' i Hi). ring.
  Qed.

  Lemma resolvent_scal a b i :
    (i < N)%nat -> resolvent N G mu (fun j => a * b j) i = a * resolvent N G mu b i.
  Proof.
    intros Hi. symmetry. revert i Hi. apply resolvent_unique. intros i Hi.
    rewrite mv_scal, <- (resolvent_spec b i Hi). ring.
  Qed.

  Lemma filter_ext x y :
    (forall i, (i < N)%nat -> x i = y i) ->
    forall i, (i < N)%nat -> filter N G mu x i = filter N G mu y i.
  Proof. intros H. apply resolvent_ext. intros. apply mv_ext, H. Qed.

  Lemma filter_plus x y i :
    (i < N)%nat -> filter N G mu (fun j => x j + y j) i = filter N G mu x i + filter N G mu y i.
  Proof.
    intros Hi. unfold filter. rewrite <- resolvent_plus by exact Hi.
    apply resolvent_ext; [|exact Hi]. intros. apply mv_plus.
  Qed.

  Lemma filter_scal a x i :
    (i < N)%nat -> filter N G mu (fun j => a * x j) i = a * filter N G mu x i.
  Proof.
    intros Hi. unfold filter. rewrite <- resolvent_scal by exact Hi.
    apply resolvent_ext; [|exact Hi]. intros. apply mv_scal.
  Qed.

  Lemma filter_minus x y i :
    (i < N)%nat -> filter N G mu (fun j => x j - y j) i = filter N G mu x i - filter N G mu y i.
  Proof.
    intros Hi. rewrite (filter_ext _ (fun j => x j + -1 * y j)) by (try exact Hi; intros; ring).
    rewrite filter_plus, filter_scal by exact Hi. ring.
  Qed.

  Lemma filter_power_ext t x y :
    (forall i, (i < N)%nat -> x i = y i) ->
    forall i, (i < N)%nat -> filter_power N G mu t x i = filter_power N G mu t y i.
  Proof. induction t as [|t IH]; intros H; [exact H|]. cbn. apply filter_ext, IH, H. Qed.

  Lemma filter_power_plus t x y i :
    (i < N)%nat -> filter_power N G mu t (fun j => x j + y j) i
                 = filter_power N G mu t x i + filter_power N G mu t y i.
  Proof.
    revert i. induction t as [|t IH]; intros i Hi; cbn; [reflexivity|].
    rewrite <- filter_plus by exact Hi. apply filter_ext; [exact IH|exact Hi].
  Qed.

  Lemma filter_power_scal t a x i :
    (i < N)%nat -> filter_power N G mu t (fun j => a * x j) i = a * filter_power N G mu t x i.
  Proof.
    revert i. induction t as [|t IH]; intros i Hi; cbn; [reflexivity|].
    rewrite <- filter_scal by exact Hi. apply filter_ext; [exact IH|exact Hi].
  Qed.

  (** A sequence of solutions of (G + mu) x' = G x is the powers of the filter, and conversely. *)
  Theorem filter_recursion (x : nat -> nat -> R) :
    (forall t i, (i < N)%nat -> mv N G (x (S t)) i + mu * x (S t) i = mv N G (x t) i) <->
    (forall t i, (i < N)%nat -> x t i = filter_power N G mu t (x 0%nat) i).
  Proof.
    split; intros H t.
    - induction t as [|t IH]; intros i Hi; [reflexivity|]. cbn.
      rewrite (filter_unique (x t) (x (S t))); [|intros; apply H; assumption|exact Hi].
      apply filter_ext; assumption.
    - assert (E : forall i, (i < N)%nat -> x (S t) i = filter N G mu (x t) i).
      { intros i Hi. rewrite (H (S t) i Hi). cbn. apply filter_ext; [|exact Hi].
        intros. symmetry. apply H. assumption. }
      intros i Hi. rewrite (E i Hi), (mv_ext N G _ _ i E). apply filter_spec, Hi.
  Qed.

  (** The filter does not lengthen vectors. *)
  Lemma filter_contracts x : norm2 N (filter N G mu x) <= norm2 N x.
  Proof.
    set (y := filter N G mu x).
    (* G z = mu y, so z' G z = mu z'y >= 0 *)
    set (z := fun i => x i - y i).
    assert (Gz : forall i, (i < N)%nat -> mv N G z i = mu * y i).
    { intros i Hi. unfold z. rewrite mv_minus, <- (filter_spec x i Hi). fold y. ring. }
    assert (D : 0 <= dot N z y).
    { specialize (P z). rewrite (dot_ext N z _ z (fun i => mu * y i)) in P by (auto).
      rewrite dot_scal_r in P. nra. }
    assert (E : norm2 N x = norm2 N y + 2 * dot N z y + norm2 N z).
    { unfold norm2, dot, z. rewrite <- sum_scal_l, <- !sum_plus. apply sum_ext. intros. ring. }
    assert (0 <= norm2 N z) by apply norm2_nonneg. lra.
  Qed.

  Lemma resolvent_contracts b : mu * mu * norm2 N (resolvent N G mu b) <= norm2 N b.
  Proof.
    set (r := resolvent N G mu b).
    assert (E : forall i, (i < N)%nat -> b i = mv N G r i + mu * r i)
      by (intros; symmetry; apply resolvent_spec; assumption).
    rewrite (norm2_ext N _ _ E).
    assert (E' : norm2 N (fun i => mv N G r i + mu * r i)
                = norm2 N (mv N G r) + 2 * mu * dot N r (mv N G r) + mu * mu * norm2 N r).
    { unfold norm2, dot. rewrite <- !sum_scal_l, <- !sum_plus. apply sum_ext. intros. ring. }
    rewrite E'. assert (Q := norm2_nonneg N (mv N G r)). assert (Q' := P r).
    assert (0 <= 2 * mu * dot N r (mv N G r)) by (apply Rmult_le_pos; lra). lra.
  Qed.

  Lemma filter_power_contracts t x : norm2 N (filter_power N G mu t x) <= norm2 N x.
  Proof.
    induction t as [|t IH]; [apply Rle_refl|]. cbn [filter_power].
    eapply Rle_trans; [apply filter_contracts|exact IH].
  Qed.
End Filter.

(** ** The largest eigenvalue *)

(** G v = s v for some v <> 0, and x' G x <= s |x|^2 for all x. *)
Definition largest_eigenvalue (N : nat) (G : nat -> nat -> R) (s : R) : Prop :=
  (exists v, (exists i, (i < N)%nat /\ v i <> 0) /\
     forall i, (i < N)%nat -> mv N G v i = s * v i) /\
  forall x, dot N x (mv N G x) <= s * norm2 N x.

Section Largest.
  Variables (N : nat) (G : nat -> nat -> R).
  Hypotheses (Sy : symmetric N G) (P : psd N G).

  Lemma symmetric_dot x y : dot N x (mv N G y) = dot N (mv N G x) y.
  Proof.
    unfold dot, mv.
    rewrite (sum_ext N _ (fun i => sum N (fun j => x i * (G i j * y j))))
      by (intros; rewrite sum_scal_l; reflexivity).
    rewrite sum_swap. apply sum_ext. intros j Hj. rewrite <- sum_scal_r. apply sum_ext.
    intros i Hi. rewrite (Sy i j) by assumption. ring.
  Qed.

  (** Cauchy and Schwarz in the form of G. *)
  Lemma psd_cauchy_schwarz x y :
    dot N x (mv N G y) * dot N x (mv N G y) <= dot N x (mv N G x) * dot N y (mv N G y).
  Proof.
    set (a := dot N x (mv N G x)). set (b := dot N y (mv N G y)). set (c := dot N x (mv N G y)).
    assert (Ha : 0 <= a) by apply P. assert (Hb : 0 <= b) by apply P.
    assert (E : forall p q, 0 <= p * p * a - 2 * p * q * c + q * q * b).
    { intros p q. assert (H := P (fun i => p * x i - q * y i)).
      rewrite (dot_ext N _ _ (fun i => p * x i - q * y i)
                 (fun i => p * mv N G x i - q * mv N G y i) (fun _ _ => eq_refl)) in H
        by (intros; rewrite mv_minus, !mv_scal; reflexivity).
      rewrite dot_minus_r, !dot_scal_r in H.
      rewrite !(dot_comm N (fun i => _ - _)), !dot_minus_r, !dot_scal_r in H.
      rewrite !(dot_comm N (mv N G _)) in H. fold a b c in H.
      rewrite (symmetric_dot y x), (dot_comm N (mv N G y)) in H. fold c in H. lra. }
    destruct (Rle_lt_or_eq_dec 0 b Hb) as [Hp|Hz].
    - assert (H := E b c). apply (Rmult_le_reg_l b); [exact Hp|]. lra.
    - rewrite <- Hz. destruct (Req_dec c 0) as [->|Hc]; [lra|].
      assert (H := E 1 ((a + 1) / c)). rewrite <- Hz in H.
      replace (2 * 1 * ((a + 1) / c) * c) with (2 * (a + 1)) in H by (field; exact Hc). lra.
  Qed.

  Lemma psd_zero x : dot N x (mv N G x) = 0 -> forall i, (i < N)%nat -> mv N G x i = 0.
  Proof.
    intros H. apply norm2_zero. assert (C := psd_cauchy_schwarz (mv N G x) x).
    rewrite H, Rmult_0_r in C. fold (norm2 N (mv N G x)) in C.
    assert (Q := norm2_nonneg N (mv N G x)). nra.
  Qed.

  Variable s : R.
  Hypothesis Hmax : forall x, dot N x (mv N G x) <= s * norm2 N x.

  (** |G x|^2 <= s x' G x *)
  Lemma norm2_mv_le x : norm2 N (mv N G x) <= s * dot N x (mv N G x).
  Proof.
    set (g := mv N G x). assert (C := psd_cauchy_schwarz g x).
    change (dot N g (mv N G x)) with (norm2 N g) in C.
    assert (M := Hmax g). assert (Q := norm2_nonneg N g). assert (Px := P x).
    fold g in C, Px |- *. set (u := norm2 N g) in *. set (w := dot N x g) in *.
    set (z := dot N g (mv N G g)) in *.
    destruct (Rle_lt_or_eq_dec 0 u Q) as [Hu|Hu].
    - apply (Rmult_le_reg_l u); [exact Hu|].
      assert (z * w <= s * u * w) by (apply Rmult_le_compat_r; assumption). lra.
    - rewrite <- Hu in *. assert (Z : 0 <= s * w); [|lra].
      destruct (Rle_lt_or_eq_dec 0 w Px) as [Hw|Hw]; [|rewrite <- Hw; lra].
      assert (Mx := Hmax x). fold g in Mx. fold w in Mx. assert (Qx := norm2_nonneg N x).
      assert (0 < s); [|nra].
      destruct (Rlt_le_dec 0 s) as [|Hs]; [assumption|exfalso]. nra.
  Qed.

  (** |h(G) x| <= h(s) |x| *)
  Lemma filter_norm_le mu x : 0 < mu -> 0 <= s ->
    norm2 N (filter N G mu x) <= (s / (s + mu)) * (s / (s + mu)) * norm2 N x.
  Proof.
    intros Hmu Hs. set (r := resolvent N G mu x). set (g := mv N G r).
    assert (Ex : forall i, (i < N)%nat -> x i = g i + mu * r i)
      by (intros; symmetry; apply resolvent_spec; assumption).
    assert (Ef : forall i, (i < N)%nat -> filter N G mu x i = g i).
    { intros i Hi. assert (R := resolvent_filter N G mu Sy P Hmu x i Hi). fold r in R.
      rewrite (Ex i Hi) in R. lra. }
    rewrite (norm2_ext N _ _ Ef), (norm2_ext N _ _ Ex).
    assert (E : norm2 N (fun i => g i + mu * r i)
                = norm2 N g + 2 * mu * dot N r g + mu * mu * norm2 N r).
    { unfold norm2, dot. rewrite <- !sum_scal_l, <- !sum_plus. apply sum_ext. intros. ring. }
    rewrite E. assert (H1 := norm2_mv_le r). assert (H2 := Hmax r). fold g in H1, H2.
    assert (Q := norm2_nonneg N g). assert (Qr := norm2_nonneg N r).
    set (u := norm2 N g) in *. set (w := dot N r g) in *. set (z := norm2 N r) in *.
    apply (Rmult_le_reg_l ((s + mu) * (s + mu))); [nra|].
    replace ((s + mu) * (s + mu) * (s / (s + mu) * (s / (s + mu)) * (u + 2 * mu * w + mu * mu * z)))
      with (s * s * (u + 2 * mu * w + mu * mu * z)) by (field; lra).
    assert (s * w <= s * (s * z)) by (apply Rmult_le_compat_l; assumption).
    assert (2 * s * mu * u <= 2 * s * mu * (s * w))
      by (apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|exact H1]).
    assert (mu * mu * u <= mu * mu * (s * (s * z))) by (apply Rmult_le_compat_l; [nra|lra]). lra.
  Qed.
End Largest.

(** ** Gram matrices and their spectrum *)

(** G = X X' for the N rows of length d in X. *)
Definition gram (d : nat) (X : nat -> nat -> R) (i j : nat) : R := dot d (X i) (X j).

(** X' y, for the transposed matrix. *)
Definition tmv (N : nat) (X : nat -> nat -> R) (y : nat -> R) (j : nat) : R :=
  sum N (fun i => X i j * y i).

Lemma mv_gram N d X x i : mv N (gram d X) x i = mv d X (tmv N X x) i.
Proof.
  unfold mv, gram, dot, tmv.
  rewrite (sum_ext N _ (fun j => sum d (fun a => X i a * X j a * x j)))
    by (intros; rewrite <- sum_scal_r; reflexivity).
  rewrite sum_swap. apply sum_ext. intros a _. rewrite <- sum_scal_l. apply sum_ext. intros. ring.
Qed.

Lemma dot_mv N d X w y : dot N y (mv d X w) = dot d (tmv N X y) w.
Proof.
  unfold dot, mv, tmv.
  rewrite (sum_ext N _ (fun i => sum d (fun j => y i * (X i j * w j))))
    by (intros; rewrite sum_scal_l; reflexivity).
  rewrite sum_swap. apply sum_ext. intros j _. rewrite <- sum_scal_r. apply sum_ext. intros. ring.
Qed.

Lemma gram_symmetric N d X : symmetric N (gram d X).
Proof. intros i j _ _. apply dot_comm. Qed.

Lemma gram_psd N d X : psd N (gram d X).
Proof.
  intros x. rewrite (dot_ext N x _ x (mv d X (tmv N X x))).
  - rewrite dot_mv. apply norm2_nonneg.
  - reflexivity.
  - intros. apply mv_gram.
Qed.

(** [svd N d p X Z V s]: X = Z V' with orthonormal columns v_r of V (r < p) and orthogonal columns
    z_r = X v_r of Z with squared lengths s_r. Every singular value decomposition X = U S V' gives
    one, with Z = U S; singular values 0 may be among them or not. *)
Definition svd (N d p : nat) (X Z V : nat -> nat -> R) (s : nat -> R) : Prop :=
  (forall i j, (i < N)%nat -> (j < d)%nat -> X i j = sum p (fun r => Z i r * V j r)) /\
  (forall r q, (r < p)%nat -> (q < p)%nat ->
     dot d (fun j => V j r) (fun j => V j q) = ind (Nat.eqb r q)) /\
  (forall r q, (r < p)%nat -> (q < p)%nat ->
     dot N (fun i => Z i r) (fun i => Z i q) = s r * ind (Nat.eqb r q)).

Section Svd.
  Variables (N d p : nat) (X Z V : nat -> nat -> R) (s : nat -> R) (mu : R).
  Hypotheses (D : svd N d p X Z V s) (Hmu : 0 < mu).

  Lemma svd_nonneg r : (r < p)%nat -> 0 <= s r.
  Proof.
    intros Hr. destruct D as (_ & _ & H). specialize (H r r Hr Hr).
    rewrite Nat.eqb_refl in H. cbn in H.
    assert (Q := norm2_nonneg N (fun i => Z i r)). unfold norm2 in Q. lra.
  Qed.

  (** X' y = V (Z' y) *)
  Lemma svd_tmv y j : (j < d)%nat ->
    tmv N X y j = sum p (fun r => V j r * dot N (fun i => Z i r) y).
  Proof.
    intros Hj. destruct D as (H & _ & _). unfold tmv.
    rewrite (sum_ext N _ (fun i => sum p (fun r => V j r * (Z i r * y i)))).
    - rewrite sum_swap. apply sum_ext. intros. apply sum_scal_l.
    - intros i Hi. rewrite H, <- sum_scal_r by assumption. apply sum_ext. intros. ring.
  Qed.

  (** X (sum_r c_r v_r) = sum_r c_r z_r *)
  Lemma svd_mv c i : (i < N)%nat ->
    mv d X (fun j => sum p (fun r => V j r * c r)) i = sum p (fun r => Z i r * c r).
  Proof.
    intros Hi. destruct D as (H & O & _). rewrite mv_sum. apply sum_ext. intros r Hr.
    unfold mv.
    rewrite (sum_ext d _ (fun j => sum p (fun q => Z i q * c r * (V j q * V j r)))).
    - rewrite sum_swap.
      rewrite (sum_ext p _ (fun q => ind (Nat.eqb q r) * (Z i q * c r))).
      + apply (sum_ind p (fun q => Z i q * c r)). exact Hr.
      + intros q Hq. rewrite sum_scal_l, <- (O q r Hq Hr). unfold dot. ring.
    - intros j Hj. rewrite H, <- sum_scal_r by assumption. apply sum_ext. intros. ring.
  Qed.

  Lemma svd_dot c q : (q < p)%nat ->
    dot N (fun i => Z i q) (fun i => sum p (fun r => Z i r * c r)) = s q * c q.
  Proof.
    intros Hq. destruct D as (_ & _ & O).
    rewrite (dot_sum_r N p (fun i => Z i q) (fun r i => Z i r * c r)).
    rewrite (sum_ext p _ (fun r => ind (Nat.eqb q r) * (s q * c r))).
    - apply (sum_ind' p (fun r => s q * c r)). exact Hq.
    - intros r Hr. rewrite <- (Rmult_1_l (ind _ * _)).
      rewrite (dot_ext N _ _ (fun i => Z i q) (fun i => c r * Z i r))
        by (intros; try ring; reflexivity).
      rewrite dot_scal_r, O by assumption. ring.
  Qed.

  (** In coordinates, (G + mu)^{-1} multiplies by 1/(s + mu) and G by s. *)
  Lemma svd_gram y i : (i < N)%nat ->
    mv N (gram d X) y i = sum p (fun r => Z i r * dot N (fun i => Z i r) y).
  Proof.
    intros Hi. rewrite mv_gram.
    rewrite (mv_ext d X _ (fun j => sum p (fun r => V j r * dot N (fun i => Z i r) y)))
      by (intros; apply svd_tmv; assumption).
    apply svd_mv, Hi.
  Qed.

  Lemma svd_dot_gram y r : (r < p)%nat ->
    dot N (fun i => Z i r) (mv N (gram d X) y) = s r * dot N (fun i => Z i r) y.
  Proof.
    intros Hr.
    rewrite (dot_ext N _ _ (fun i => Z i r) _ (fun _ _ => eq_refl) (svd_gram y)).
    apply svd_dot, Hr.
  Qed.

  Lemma svd_dot_resolvent b r : (r < p)%nat ->
    dot N (fun i => Z i r) (resolvent N (gram d X) mu b)
    = dot N (fun i => Z i r) b / (s r + mu).
  Proof.
    intros Hr. assert (Q := svd_nonneg r Hr).
    rewrite <- (dot_ext N _ _ (fun i => Z i r) _ (fun _ _ => eq_refl)
      (resolvent_spec N (gram d X) mu (gram_symmetric N d X) (gram_psd N d X) Hmu b)).
    rewrite dot_plus_r, dot_scal_r, svd_dot_gram by exact Hr. field. lra.
  Qed.

  Lemma svd_dot_filter_power t y r : (r < p)%nat ->
    dot N (fun i => Z i r) (filter_power N (gram d X) mu t y)
    = (s r / (s r + mu)) ^ t * dot N (fun i => Z i r) y.
  Proof.
    intros Hr. induction t as [|t IH]; cbn [filter_power]; [cbn; ring|].
    unfold filter. rewrite svd_dot_resolvent, svd_dot_gram, IH by exact Hr.
    assert (Q := svd_nonneg r Hr). cbn [pow]. field. lra.
  Qed.

  Lemma filter_svd x i : (i < N)%nat ->
    filter N (gram d X) mu x i
    = sum p (fun r => Z i r * (1 / (s r + mu) * dot N (fun i => Z i r) x)).
  Proof.
    intros Hi. symmetry. revert i Hi.
    apply filter_unique; [apply gram_symmetric|apply gram_psd|exact Hmu|].
    intros i Hi. rewrite !svd_gram, <- sum_scal_l, <- sum_plus by exact Hi.
    apply sum_ext. intros r Hr. rewrite svd_dot by exact Hr. assert (Q := svd_nonneg r Hr).
    field. lra.
  Qed.

  Lemma filter_power_svd t x i : (i < N)%nat ->
    filter_power N (gram d X) mu (S t) x i
    = sum p (fun r => Z i r * (s r ^ t / (s r + mu) ^ S t * dot N (fun i => Z i r) x)).
  Proof.
    revert i. induction t as [|t IH]; intros i Hi.
    - cbn [filter_power]. rewrite filter_svd by exact Hi. apply sum_ext. intros r Hr.
      assert (Q := svd_nonneg r Hr). cbn. field. lra.
    - change (filter_power N (gram d X) mu (S (S t)) x)
        with (filter N (gram d X) mu (filter_power N (gram d X) mu (S t) x)).
      rewrite filter_svd by exact Hi. apply sum_ext. intros r Hr.
      rewrite (dot_ext N _ _ (fun i => Z i r) _ (fun _ _ => eq_refl) IH), svd_dot by exact Hr.
      assert (Q := svd_nonneg r Hr). cbn. field. split; [apply pow_nonzero|]; lra.
  Qed.
End Svd.

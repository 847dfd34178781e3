(** unequal-classes: classes of any sizes and correlations; rounds by one matrix with a row for each
    class. *)

From Coq Require Import Reals Lra Lia Arith.
From Gramlab Require Import filters.
From Gramlab Require block_model.
Open Scope R_scope.

Section Unequal.
  (** N samples in K classes, and a correlation Gamma_kl for each pair of classes. *)
  Variables (N K : nat) (cls : nat -> nat) (Gamma : nat -> nat -> R) (mu : R).
  Hypothesis Classes : forall i, (i < N)%nat -> (cls i < K)%nat.
  Hypothesis Symmetric : forall k l, Gamma k l = Gamma l k.
  Hypothesis Diagonal : forall k, (k < K)%nat -> 0 <= Gamma k k < 1.
  Hypothesis Hmu : 0 < mu.

  (** n_k, the samples of class k; there is one at least. *)
  Definition size (k : nat) : R := sum N (fun i => ind (Nat.eqb (cls i) k)).
  Hypothesis Occupied : forall k, (k < K)%nat -> exists i, (i < N)%nat /\ cls i = k.

  (** The Gram matrix: unit norm, Gamma_kl between different samples of classes k and l. *)
  Definition class_gram (i j : nat) : R := if Nat.eqb i j then 1 else Gamma (cls i) (cls j).
  Hypothesis Psd : psd N class_gram.

  (** The mean of a vector over class k. *)
  Definition over (k : nat) (f : nat -> R) : R := sum N (fun i => ind (Nat.eqb (cls i) k) * f i) / size k.

  (** q_k = (1 - Gamma_kk)/(1 - Gamma_kk + mu) and S = diag(1 - Gamma_kk) + Gamma diag(n). *)
  Definition q (k : nat) : R := (1 - Gamma k k) / (1 - Gamma k k + mu).
  Definition S_ (k l : nat) : R := (if Nat.eqb k l then 1 - Gamma k k else 0) + Gamma k l * size l.

  Lemma size_pos k : (k < K)%nat -> 0 < size k.
  Proof.
    intros Hk. destruct (Occupied k Hk) as (i & Hi & E). apply (sum_pos_one N _ i).
    - intros. apply ind_nonneg.
    - exact Hi.
    - rewrite E, Nat.eqb_refl. cbn. lra.
  Qed.

  Let mv_S x k : (k < K)%nat ->
    mv K S_ x k = (1 - Gamma k k) * x k + sum K (fun l => Gamma k l * size l * x l).
  Proof.
    intros Hk. unfold mv, S_.
    rewrite (sum_ext K _ (fun l => ind (Nat.eqb k l) * ((1 - Gamma k k) * x l) + Gamma k l * size l * x l)).
    - rewrite sum_plus, (sum_ind' K (fun l => (1 - Gamma k k) * x l) k Hk). reflexivity.
    - intros l _. destruct (Nat.eqb k l); cbn; ring.
  Qed.

  (** (G f)_i = (1 - Gamma_kk) (f_i - mean_k) + (S mean)_k for i of class k *)
  Lemma gram_classes f i : (i < N)%nat ->
    mv N class_gram f i
    = (1 - Gamma (cls i) (cls i)) * (f i - over (cls i) f) + mv K S_ (fun k => over k f) (cls i).
  Proof.
    intros Hi. assert (Hk := Classes i Hi). rewrite mv_S by exact Hk.
    assert (E : sum K (fun l => Gamma (cls i) l * size l * over l f)
                = sum N (fun j => Gamma (cls i) (cls j) * f j)).
    { rewrite <- (block_model.sum_by_group N K cls (fun l => Gamma (cls i) l) f Classes).
      apply sum_ext. intros l Hl. unfold over. assert (P := size_pos l Hl). field. lra. }
    rewrite E. unfold mv, class_gram.
    rewrite (sum_ext N _ (fun j => ind (Nat.eqb i j) * ((1 - Gamma (cls i) (cls i)) * f j)
                                   + Gamma (cls i) (cls j) * f j)).
    - rewrite sum_plus, (sum_ind' N (fun j => (1 - Gamma (cls i) (cls i)) * f j) i Hi). ring.
    - intros j _. destruct (Nat.eqb_spec i j) as [<-|_]; cbn; ring.
  Qed.

  Let Sy : symmetric N class_gram.
  Proof.
    intros i j _ _. unfold class_gram. rewrite Nat.eqb_sym, Symmetric. reflexivity.
  Qed.

  (** The mean of a vector that is g on class k. *)
  Lemma over_ext k f g : (forall i, (i < N)%nat -> cls i = k -> f i = g i) -> over k f = over k g.
  Proof.
    intros H. unfold over. f_equal. apply sum_ext. intros i Hi.
    destruct (Nat.eqb_spec (cls i) k) as [E|E]; cbn; [rewrite (H i Hi E)|]; ring.
  Qed.

  Lemma over_const k c : (k < K)%nat -> over k (fun _ => c) = c.
  Proof.
    intros Hk. unfold over. rewrite sum_scal_r. fold (size k). assert (P := size_pos k Hk).
    field. lra.
  Qed.

  Lemma over_plus k f g : over k (fun i => f i + g i) = over k f + over k g.
  Proof.
    unfold over, Rdiv. rewrite <- Rmult_plus_distr_r, <- sum_plus. f_equal. apply sum_ext. intros. ring.
  Qed.

  Lemma over_scal k a f : over k (fun i => a * f i) = a * over k f.
  Proof.
    unfold over, Rdiv. rewrite <- Rmult_assoc, <- sum_scal_l. f_equal. apply sum_ext. intros. ring.
  Qed.

  Let denominator k : (k < K)%nat -> 0 < 1 - Gamma k k + mu.
  Proof. intros Hk. destruct (Diagonal k Hk). lra. Qed.

  (** One round: h(G) multiplies f_i - mean_k by q_k, and takes the class means x to the x' with
      (S + mu) x' = S x. *)
  Lemma one_round f i : (i < N)%nat -> let g := filter N class_gram mu f in
    g i - over (cls i) g = q (cls i) * (f i - over (cls i) f).
  Proof.
    intros Hi g. assert (Hk := Classes i Hi).
    assert (Eq : forall j, (j < N)%nat -> mv N class_gram g j + mu * g j = mv N class_gram f j)
      by (intros; apply filter_spec; assumption).
    set (k := cls i) in *.
    (* the class means of the equation *)
    assert (Mean : over k (fun j => mv N class_gram g j + mu * g j) = over k (mv N class_gram f))
      by (apply over_ext; intros; apply Eq; assumption).
    assert (Gm : forall x, over k (mv N class_gram x) = mv K S_ (fun l => over l x) k).
    { intros x. rewrite (over_ext k _ (fun j => (1 - Gamma k k) * (x j + -1 * over k x)
                                       + mv K S_ (fun l => over l x) k)).
      - rewrite over_plus, over_scal, over_plus, !over_const by exact Hk. ring.
      - intros j Hj Ej. rewrite gram_classes by exact Hj. rewrite Ej. ring. }
    rewrite over_plus, over_scal, !Gm in Mean.
    assert (E := Eq i Hi). rewrite !gram_classes in E by exact Hi. fold k in E.
    assert (P := denominator k Hk).
    apply (Rmult_eq_reg_l (1 - Gamma k k + mu)); [|lra]. unfold q.
    replace ((1 - Gamma k k + mu) * ((1 - Gamma k k) / (1 - Gamma k k + mu) * (f i - over k f)))
      with ((1 - Gamma k k) * (f i - over k f)) by (field; lra). lra.
  Qed.

  Lemma one_round_means f k : (k < K)%nat ->
    mv K S_ (fun l => over l (filter N class_gram mu f)) k + mu * over k (filter N class_gram mu f)
    = mv K S_ (fun l => over l f) k.
  Proof.
    intros Hk. destruct (Occupied k Hk) as (i & Hi & E).
    assert (Eq := filter_spec N class_gram mu Sy Psd Hmu f i Hi).
    assert (R := one_round f i Hi). cbv zeta in R.
    rewrite !gram_classes in Eq by exact Hi. rewrite R, E in Eq. rewrite E in R.
    set (g := filter N class_gram mu f) in *.
    assert (P := denominator k Hk).
    assert (Q : (1 - Gamma k k + mu) * (q k * (f i - over k f)) = (1 - Gamma k k) * (f i - over k f))
      by (unfold q; field; lra).
    replace (g i) with (over k g + q k * (f i - over k f)) in Eq by lra. lra.
  Qed.

  (** (S + mu) x = 0 only for x = 0 *)
  Lemma classes_injective x y :
    (forall k, (k < K)%nat -> mv K S_ x k + mu * x k = mv K S_ y k + mu * y k) ->
    forall k, (k < K)%nat -> x k = y k.
  Proof.
    intros H k Hk. destruct (Occupied k Hk) as (i & Hi & E). rewrite <- E.
    apply (shifted_injective N class_gram mu Psd Hmu (fun i => x (cls i)) (fun i => y (cls i)));
      [|exact Hi].
    assert (Form : forall z j, (j < N)%nat ->
              mv N class_gram (fun i => z (cls i)) j = mv K S_ z (cls j)).
    { intros z j Hj. rewrite gram_classes by exact Hj.
      assert (M : forall l, (l < K)%nat -> over l (fun i => z (cls i)) = z l).
      { intros l Hl. rewrite (over_ext l _ (fun _ => z l)) by (intros ? _ ->; reflexivity).
        apply over_const, Hl. }
      rewrite (M (cls j)) by (apply Classes, Hj).
      rewrite (mv_ext K S_ (fun l => over l (fun i => z (cls i))) z) by (exact M). ring. }
    intros j Hj. rewrite !Form by exact Hj. apply H, Classes, Hj.
  Qed.

  Variable Y : nat -> nat -> R.

  (** C_kl, and P^(t) = 1/K + h(G)^t (Y - 1/K) *)
  Definition C (k l : nat) : R := over k (fun i => Y i l).
  Definition P (t i l : nat) : R :=
    1 / INR K + filter_power N class_gram mu t (fun j => Y j l - 1 / INR K) i.

  (** A_t = A^t (C - 1/K) for A = S (S + mu)^(-1): A_0 = C - 1/K, (S + mu) A_(t+1) = S A_t. *)
  Definition class_rounds (A : nat -> nat -> nat -> R) : Prop :=
    (forall k l, (k < K)%nat -> (l < K)%nat -> A 0%nat k l = C k l - 1 / INR K) /\
    (forall t k l, (k < K)%nat -> (l < K)%nat ->
       mv K S_ (fun p => A (S t) p l) k + mu * A (S t) k l = mv K S_ (fun p => A t p l) k).

  Let deviation l j := Y j l - 1 / INR K.
  Let means t k l := over k (filter_power N class_gram mu t (deviation l)).

  Let means_start k l : (k < K)%nat -> means 0 k l = C k l - 1 / INR K.
  Proof.
    intros Hk. unfold means. cbn [filter_power]. unfold deviation, C.
    rewrite (over_ext k _ (fun i => Y i l + - (1 / INR K))) by (intros; ring).
    rewrite (over_plus k (fun i => Y i l) (fun _ => - (1 / INR K))), over_const by exact Hk. ring.
  Qed.

  Let within t i l : (i < N)%nat ->
    filter_power N class_gram mu t (deviation l) i - means t (cls i) l
    = q (cls i) ^ t * (Y i l - C (cls i) l).
  Proof.
    intros Hi. induction t as [|t IH].
    - rewrite means_start by (apply Classes, Hi). cbn [filter_power pow]. unfold deviation. ring.
    - unfold means. cbn [filter_power]. rewrite (one_round _ i Hi). fold (means t (cls i) l).
      rewrite IH. cbn [pow]. ring.
  Qed.

  Lemma class_rounds_exist : class_rounds means.
  Proof.
    split; [intros; apply means_start; assumption|]. intros t k l Hk _. unfold means. cbn [filter_power].
    apply one_round_means, Hk.
  Qed.

  (** P_i^(t) = 1/K + q_k^t (y_i - C_k) + (A^t (C - 1/K))_k, and there is one such A^t (C - 1/K). *)
  (** Registry, unequal-classes: Pᵢ⁽ᵗ⁾ = 1/K + qₖᵗ (yᵢ − Cₖ) + (Aᵗ (C − 1/K))ₖ,  qₖ = (1 −
      Γₖₖ)/(1 − Γₖₖ + μ), A = S (S + μ)⁻¹, S = diag(1 − Γₖₖ) + Γ diag(n);  for Γₖₗ = 0 (k ≠ l):
      all of class k is right ⇔ Cₖₖ − Cₖₗ > 1/((Aₖₖ / qₖ)ᵗ − 1) for all l ≠ k with Cₖₗ > 0, 1/0
      = ∞ *)
  Theorem unequal_classes (A : nat -> nat -> nat -> R) : class_rounds A ->
    forall t i l, (i < N)%nat -> (l < K)%nat ->
      P t i l = 1 / INR K + q (cls i) ^ t * (Y i l - C (cls i) l) + A t (cls i) l.
  Proof.
    intros (A0 & AS) t i l Hi Hl.
    assert (Same : forall k, (k < K)%nat -> A t k l = means t k l).
    { induction t as [|t IH]; intros k Hk; [rewrite means_start, A0 by assumption; reflexivity|].
      revert k Hk. apply (classes_injective (fun p => A (S t) p l) (fun p => means (S t) p l)).
      intros k Hk. rewrite AS by assumption.
      rewrite (proj2 class_rounds_exist t k l Hk Hl). apply mv_ext. exact IH. }
    rewrite Same by (apply Classes, Hi). assert (W := within t i l Hi). unfold P. fold (deviation l). lra.
  Qed.

  (** ** Classes that are orthogonal to each other *)

  Hypothesis Orthogonal : forall k l, (k < K)%nat -> (l < K)%nat -> k <> l -> Gamma k l = 0.

  (** A_kk = S_kk / (S_kk + mu) *)
  Definition A_diagonal (k : nat) : R := S_ k k / (S_ k k + mu).

  Let S_diagonal k : (k < K)%nat -> S_ k k = 1 - Gamma k k + Gamma k k * size k.
  Proof. intros _. unfold S_. rewrite Nat.eqb_refl. reflexivity. Qed.

  Let size_at_least k : (k < K)%nat -> 1 <= size k.
  Proof.
    intros Hk. destruct (Occupied k Hk) as (i & Hi & E). unfold size.
    eapply Rle_trans; [|apply (sum_term_le N (fun i => ind (Nat.eqb (cls i) k)) i Hi);
      intros; apply ind_nonneg]. cbv beta. rewrite E, Nat.eqb_refl. cbn. lra.
  Qed.

  Let S_pos k : (k < K)%nat -> 1 - Gamma k k <= S_ k k /\ 0 < S_ k k.
  Proof.
    intros Hk. rewrite S_diagonal by exact Hk. destruct (Diagonal k Hk). assert (Z := size_at_least k Hk).
    assert (0 <= Gamma k k * size k) by (apply Rmult_le_pos; lra). split; lra.
  Qed.

  Lemma orthogonal_prediction t i l : (i < N)%nat -> (l < K)%nat ->
    P t i l = 1 / INR K + q (cls i) ^ t * (Y i l - C (cls i) l)
              + A_diagonal (cls i) ^ t * (C (cls i) l - 1 / INR K).
  Proof.
    intros Hi Hl.
    apply (unequal_classes (fun t k l => A_diagonal k ^ t * (C k l - 1 / INR K))); [|exact Hi|exact Hl].
    assert (Row : forall x k, (k < K)%nat -> mv K S_ x k = S_ k k * x k).
    { intros x k Hk. unfold mv.
      rewrite (sum_ext K _ (fun p => ind (Nat.eqb k p) * (S_ k k * x p))).
      - apply (sum_ind' K (fun p => S_ k k * x p) k Hk).
      - intros p Hp. destruct (Nat.eqb_spec k p) as [<-|Ne]; cbn; [ring|]. unfold S_.
        rewrite (proj2 (Nat.eqb_neq k p) Ne), (Orthogonal k p Hk Hp Ne). ring. }
    split; [intros; cbn; ring|]. intros t' k l' Hk _. rewrite !Row by exact Hk.
    destruct (S_pos k Hk). cbn [pow]. unfold A_diagonal at 1 3.
    set (z := A_diagonal k ^ t'). set (x := C k l' - 1 / INR K). field. lra.
  Qed.
End Unequal.

(** For Gamma_kl = 0 (k <> l) and one-hot given labels: all of class k is right in round t >= 1
    <-> C_kk - C_kl > 1/((A_kk/q_k)^t - 1) for all l <> k with C_kl > 0. (For Gamma_kk > 0; where
    Gamma_kk = 0, A_kk = q_k, and it is right only if none of its labels is wrong.) *)
Theorem unequal_classes_right (N K : nat) (cls given : nat -> nat) (Gamma : nat -> nat -> R) (mu : R)
    (t k : nat) :
  (forall i, (i < N)%nat -> (cls i < K)%nat) -> (forall i, (i < N)%nat -> (given i < K)%nat) ->
  (forall p l, Gamma p l = Gamma l p) -> (forall p, (p < K)%nat -> 0 <= Gamma p p < 1) -> 0 < mu ->
  (forall p, (p < K)%nat -> exists i, (i < N)%nat /\ cls i = p) -> psd N (class_gram cls Gamma) ->
  (forall p l, (p < K)%nat -> (l < K)%nat -> p <> l -> Gamma p l = 0) ->
  (0 < t)%nat -> (k < K)%nat ->
  let Y i l := ind (Nat.eqb (given i) l) in
  let C := C N cls Y in
  let P := P N K cls Gamma mu Y t in
  let a := q Gamma mu k ^ t in
  let A := A_diagonal N cls Gamma mu k ^ t in
  let right := forall i, (i < N)%nat -> cls i = k -> forall l, (l < K)%nat -> l <> k -> P i l < P i k in
  (right <-> forall l, (l < K)%nat -> l <> k -> 0 < C k l -> a < (A - a) * (C k k - C k l)) /\
  (0 < Gamma k k -> right <-> forall l, (l < K)%nat -> l <> k -> 0 < C k l ->
     C k k - C k l > 1 / ((A_diagonal N cls Gamma mu k / q Gamma mu k) ^ t - 1)) /\
  (Gamma k k = 0 -> right <-> forall i, (i < N)%nat -> cls i = k -> given i = k).
Proof.
  intros Classes Labels Symm Diag Hmu Occ Psd Orth Ht Hk Y C P a A right.
  destruct (Diag k Hk) as (G0 & G1).
  assert (Sz : 1 <= size N cls k).
  { destruct (Occ k Hk) as (i & Hi & E). unfold size.
    eapply Rle_trans; [|apply (sum_term_le N (fun i => ind (Nat.eqb (cls i) k)) i Hi);
      intros; apply ind_nonneg]. cbv beta. rewrite E, Nat.eqb_refl. cbn. lra. }
  assert (Hq : 0 < q Gamma mu k) by (apply Rdiv_lt_0_compat; lra).
  assert (Ha : 0 < a) by (apply pow_lt, Hq).
  assert (ES : S_ N cls Gamma k k = 1 - Gamma k k + Gamma k k * size N cls k)
    by (unfold S_; rewrite Nat.eqb_refl; reflexivity).
  assert (HG : 0 <= Gamma k k * size N cls k) by (apply Rmult_le_pos; lra).
  assert (HqA : q Gamma mu k <= A_diagonal N cls Gamma mu k /\
                (0 < Gamma k k -> q Gamma mu k < A_diagonal N cls Gamma mu k) /\
                (Gamma k k = 0 -> A_diagonal N cls Gamma mu k = q Gamma mu k)).
  { unfold A_diagonal, q. rewrite ES. set (s := 1 - Gamma k k) in *. set (z := Gamma k k * size N cls k) in *.
    assert (D : (s + z) / (s + z + mu) - s / (s + mu) = mu * z / ((s + z + mu) * (s + mu)))
      by (field; unfold s; lra).
    assert (Pd : 0 < (s + z + mu) * (s + mu)) by (apply Rmult_lt_0_compat; unfold s; lra).
    split; [|split].
    - assert (0 <= mu * z / ((s + z + mu) * (s + mu))); [|lra].
      apply Rmult_le_pos; [apply Rmult_le_pos; lra|left; apply Rinv_0_lt_compat, Pd].
    - intros Pos. assert (0 < mu * z / ((s + z + mu) * (s + mu))); [|lra].
      apply Rdiv_lt_0_compat; [|exact Pd]. apply Rmult_lt_0_compat; [exact Hmu|].
      unfold z. apply Rmult_lt_0_compat; lra.
    - intros Z. unfold z. rewrite Z, Rmult_0_l. unfold s. rewrite Z. f_equal; ring. }
  destruct HqA as (Le & Lt & Eq).
  assert (HaA : a <= A) by (apply pow_incr; lra).
  assert (Cnn : forall l, 0 <= C k l).
  { intros l. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat; lra].
    apply sum_nonneg. intros. apply Rmult_le_pos; apply ind_nonneg. }
  assert (Csample : forall i, (i < N)%nat -> cls i = k -> 0 < C k (given i)).
  { intros i Hi E. apply Rdiv_lt_0_compat; [|lra]. apply (sum_pos_one N _ i).
    - intros. apply Rmult_le_pos; apply ind_nonneg.
    - exact Hi.
    - unfold Y. rewrite E, !Nat.eqb_refl. cbn. lra. }
  assert (Sample : forall l, 0 < C k l -> exists i, (i < N)%nat /\ cls i = k /\ given i = l).
  { intros l H. unfold C, unequal_classes.C, over in H.
    assert (Q : 0 < sum N (fun i => ind (Nat.eqb (cls i) k) * Y i l)).
    { apply (Rmult_lt_reg_r (/ size N cls k)); [apply Rinv_0_lt_compat; lra|].
      rewrite Rmult_0_l. exact H. }
    apply sum_pos_term in Q as (i & Hi & Q). exists i. split; [exact Hi|]. unfold Y in Q.
    destruct (Nat.eqb_spec (cls i) k), (Nat.eqb_spec (given i) l); cbn in Q; try lra. auto. }
  assert (Lead : forall i l, (i < N)%nat -> cls i = k -> (l < K)%nat ->
    P i k - P i l = a * (ind (Nat.eqb (given i) k) - ind (Nat.eqb (given i) l))
                    + (A - a) * (C k k - C k l)).
  { intros i l Hi E Hl. unfold P.
    rewrite !(orthogonal_prediction N K cls Gamma mu Classes Symm Diag Hmu Occ Psd Y Orth) by assumption.
    rewrite E. fold C a A. unfold Y. ring. }
  assert (Iff : right <-> forall l, (l < K)%nat -> l <> k -> 0 < C k l -> a < (A - a) * (C k k - C k l)).
  { split.
    - intros H l Hl Hne Pos. destruct (Sample l Pos) as (i & Hi & E & Eg).
      assert (R := H i Hi E l Hl Hne). assert (D := Lead i l Hi E Hl).
      rewrite Eg, Nat.eqb_refl, (proj2 (Nat.eqb_neq l k) Hne) in D. cbn [ind] in D. lra.
    - intros H i Hi E l Hl Hne. assert (D := Lead i l Hi E Hl). assert (Hj := Labels i Hi).
      assert (Cj := Csample i Hi E).
      destruct (Nat.eqb_spec (given i) l) as [Eg|Ng].
      + rewrite Eg in Cj. specialize (H l Hl Hne Cj). rewrite Eg, (proj2 (Nat.eqb_neq l k) Hne) in D.
        cbn [ind] in D. lra.
      + cbn [ind] in D.
        destruct (Nat.eq_dec (given i) k) as [Ek|Nk].
        * rewrite Ek, Nat.eqb_refl in D. cbn [ind] in D. rewrite Ek in Cj.
          assert (0 <= (A - a) * (C k k - C k l)); [|lra].
          destruct (Rle_lt_dec (C k l) 0) as [Z|Z].
          -- apply Rmult_le_pos; lra.
          -- specialize (H l Hl Hne Z). lra.
        * rewrite (proj2 (Nat.eqb_neq _ _) Nk) in D. cbn [ind] in D.
          assert (Hj' := H (given i) Hj Nk Cj).
          assert (Pos : 0 < A - a).
          { destruct (Rle_lt_or_eq_dec a A HaA) as [Q|Q]; [lra|]. rewrite <- Q in Hj'. lra. }
          assert (0 < (A - a) * (C k k - C k l)); [|lra].
          destruct (Rle_lt_dec (C k l) 0) as [Z|Z].
          -- apply Rmult_lt_0_compat; [exact Pos|].
             assert (0 < C k k - C k (given i)) by (apply (Rmult_lt_reg_l (A - a)); lra). lra.
          -- specialize (H l Hl Hne Z). lra. }
  split; [exact Iff|]. split.
  - intros Pos. rewrite Iff. specialize (Lt Pos).
    assert (HaA' : a < A).
    { unfold a, A. destruct t as [|t]; [lia|]. cbn.
      apply Rlt_le_trans with (A_diagonal N cls Gamma mu k * q Gamma mu k ^ t).
      - apply Rmult_lt_compat_r; [apply pow_lt, Hq|exact Lt].
      - apply Rmult_le_compat_l; [lra|]. apply pow_incr. lra. }
    assert (Th : 1 / ((A_diagonal N cls Gamma mu k / q Gamma mu k) ^ t - 1) = a / (A - a)).
    { unfold Rdiv at 2. rewrite Rpow_mult_distr, pow_inv. fold a A. field. split; lra. }
    rewrite Th. split; intros H l Hl Hne Cp; specialize (H l Hl Hne Cp).
    + apply (Rmult_lt_reg_l (A - a)); [lra|].
      replace ((A - a) * (a / (A - a))) with a by (field; lra). exact H.
    + apply (Rmult_lt_compat_l (A - a)) in H; [|lra].
      replace ((A - a) * (a / (A - a))) with a in H by (field; lra). exact H.
  - intros Z. rewrite Iff. assert (E : A = a) by (unfold A, a; rewrite (Eq Z); reflexivity).
    split.
    + intros H i Hi Ei. destruct (Nat.eq_dec (given i) k) as [Ek|Nk]; [exact Ek|exfalso].
      assert (Q := H (given i) (Labels i Hi) Nk (Csample i Hi Ei)). rewrite E in Q. lra.
    + intros H l Hl Hne Cp. exfalso. destruct (Sample l Cp) as (i & Hi & Ei & Eg).
      apply Hne. rewrite <- Eg. apply H; assumption.
Qed.

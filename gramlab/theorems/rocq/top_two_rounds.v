(** Top-two rounds descend on one loss, and stop. *)

From Coq Require Import Reals Lra Lia Arith FinFun Classical.
From Gramlab Require Import sums matrices softmax heads proximal convex_rounds rounds top_two_laws.
Open Scope R_scope.

(** ** Two-hot targets *)

(** A row that is 1/2 on a and b, 0 elsewhere. *)
Definition two_hot (K : nat) (T : nat -> R) (a b : nat) : Prop :=
  (a < K)%nat /\ (b < K)%nat /\ a <> b /\ T a = 1 / 2 /\ T b = 1 / 2 /\
  forall l, (l < K)%nat -> l <> a -> l <> b -> T l = 0.

Lemma two_hot_sum K T a b f : two_hot K T a b -> \sum_(l < K) (T l * f l) = (f a + f b) / 2.
Proof.
  intros (Ha & Hb & Ne & Ta & Tb & Z).
  rewrite (sum_ext K _ (fun l => (if Nat.eqb l a then f a / 2 else 0) + (if Nat.eqb l b then f b / 2 else 0))).
  - rewrite sum_plus, (sum_single K _ a Ha), (sum_single K _ b Hb), !Nat.eqb_refl; [field| |];
      intros l _ Hl; now rewrite (proj2 (Nat.eqb_neq l _) Hl).
  - intros l Hl. destruct (Nat.eqb_spec l a) as [->|Na].
    + rewrite (proj2 (Nat.eqb_neq a b) Ne), Ta. field.
    + destruct (Nat.eqb_spec l b) as [->|Nb]; [rewrite Tb; field|]. rewrite (Z l) by assumption. ring.
Qed.

(** The cross entropy of a row is least for the two largest labels. *)
Lemma top_two_least K p T T' a b a' b' : (forall l, (l < K)%nat -> 0 < p l) ->
  two_hot K T a b -> two_hot K T' a' b' ->
  (forall l, (l < K)%nat -> l <> a' -> l <> b' -> p l <= p a' /\ p l <= p b') ->
  cross_entropy K T' p <= cross_entropy K T p.
Proof.
  intros P HT HT' Top. unfold cross_entropy.
  rewrite (two_hot_sum K T a b _ HT), (two_hot_sum K T' a' b' _ HT').
  destruct HT as (Ha & Hb & Ne & _). destruct HT' as (Ha' & Hb' & _).
  assert (Ln : forall l m, (l < K)%nat -> p l <= p m -> ln (p l) <= ln (p m)).
  { intros l m Hl [H|H]; [left; apply ln_increasing; [now apply P|exact H]|right; now rewrite H]. }
  assert (Out : forall l, (l < K)%nat -> l <> a' -> l <> b' -> ln (p l) <= ln (p a') /\ ln (p l) <= ln (p b')).
  { intros l Hl Na Nb. destruct (Top l Hl Na Nb). split; now apply Ln. }
  destruct (Nat.eq_dec a a') as [->|Na], (Nat.eq_dec b b') as [->|Nb]; try lra.
  - destruct (Nat.eq_dec b a') as [->|Nc]; [lia|]. destruct (Out b Hb Nc Nb). lra.
  - destruct (Nat.eq_dec a b') as [->|Nc]; [lia|]. destruct (Out a Ha Na Nc). lra.
  - destruct (Nat.eq_dec a b') as [->|Nc].
    + destruct (Nat.eq_dec b a') as [->|Nd]; [lra|]. destruct (Out b Hb Nd Nb). lra.
    + destruct (Out a Ha Na Nc). destruct (Nat.eq_dec b a') as [->|Nd]; [lra|].
      destruct (Out b Hb Nd Nb). lra.
Qed.

Definition two_hot_rows (N K : nat) (T : mat) : Prop :=
  forall i, (i < N)%nat -> exists a b, two_hot K (T i) a b.

Lemma top_two_hot N K P T : top_two N K P T -> two_hot_rows N K T.
Proof.
  intros H i Hi. destruct (H i Hi) as (a & b & Ha & Hb & Ne & Ta & Tb & Z). exists a, b.
  repeat split; trivial. intros l Hl Na Nb. now apply Z.
Qed.

Lemma two_hot_sum_to_one N K T : two_hot_rows N K T -> sum_to_one N K T.
Proof.
  intros H i Hi. destruct (H i Hi) as (a & b & E).
  rewrite (sum_ext K _ (fun l => T i l * 1)) by (intros; ring).
  rewrite (two_hot_sum K (T i) a b (fun _ => 1) E). field.
Qed.

(** ** Only finitely many targets *)

Fixpoint code (n : nat) (f : nat -> bool) : nat :=
  match n with
  | O => 0
  | S m => 2 * code m f + (if f m then 1 else 0)
  end.

Lemma code_lt n f : (code n f < 2 ^ n)%nat.
Proof. induction n as [|n IH]; simpl; [lia|]. destruct (f n); lia. Qed.

Lemma code_injective n f g : code n f = code n g -> forall m, (m < n)%nat -> f m = g m.
Proof.
  induction n as [|n IH]; intros E m Hm; [lia|]. simpl in E.
  assert (E1 : code n f = code n g) by (destruct (f n), (g n); lia).
  destruct (Nat.eq_dec m n) as [->|Ne]; [destruct (f n), (g n); trivial; lia|]. apply IH; [exact E1|lia].
Qed.

Lemma pigeonhole B (h : nat -> nat) : (forall t, (h t < B)%nat) -> exists a b, (a < b)%nat /\ h a = h b.
Proof.
  intros H. destruct (classic (exists a b, (a < b)%nat /\ h a = h b)) as [Y|No]; [exact Y|exfalso].
  assert (F : bFun (S B) h) by (intros x _; specialize (H x); lia).
  assert (I : bInjective (S B) h).
  { intros x y _ _ E. destruct (lt_eq_lt_dec x y) as [[L|L]|L]; [|exact L|].
    - exfalso. apply No. now exists x, y.
    - exfalso. apply No. exists y, x. split; [exact L|now symmetry]. }
  destruct (proj1 (bInjective_bSurjective F) I B ltac:(lia)) as (x & _ & E). specialize (H x). lia.
Qed.

Section TopTwo.

Variables (N d K : nat) (X : mat) (lam : R) (W T : nat -> mat).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis lam_pos : 0 < lam.
(** Rounds of exact heads at one weight decay, any targets T^(1), *)
Hypothesis exact : forall t, (1 <= t)%nat -> head N d K X (T t) lam (W t).
(** later ones on the two largest labels of the round before, whatever is chosen among ties. *)
Hypothesis top : forall t, (1 <= t)%nat -> top_two N K (predictions d K X (W t)) (T (S t)).

Let L (t : nat) : R := loss N d K X (T t) lam (W t).

(** L(W_(t+1); T^(t+1)) + (lam/2) |W_(t+1) - W_t|^2 <= L(W_t; T^(t)) for t >= 2 *)
Lemma descent t : (2 <= t)%nat -> L (S t) + lam / 2 * norm d K (W (S t) - W t) ^ 2 <= L t.
Proof.
  intros Ht.
  assert (H0 : two_hot_rows N K (T t)).
  { destruct t as [|t]; [lia|]. apply (top_two_hot N K (predictions d K X (W t))), top. lia. }
  assert (H1 := top_two_hot N K _ _ (top t ltac:(lia))).
  (* the targets of the next round fit W_t better, *)
  assert (A : loss N d K X (T (S t)) lam (W t) <= L t).
  { unfold L, loss. apply Rplus_le_compat_r. unfold Rdiv.
    apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat, INR_N_pos, N_pos|].
    apply sum_le. intros i Hi. destruct (H0 i Hi) as (a & b & E).
    destruct (top t ltac:(lia) i Hi) as (a' & b' & Ha & Hb & Ne & Ta & Tb & Z).
    apply (top_two_least K _ (T t i) (T (S t) i) a b a' b'); trivial.
    - intros l _. now apply softmax_pos.
    - repeat split; trivial. intros l Hl Na Nb. now apply Z.
    - intros l Hl Na Nb. now apply Z. }
  (* and W_(t+1) is the minimum for them. *)
  assert (B := loss_tangent N d K X N_pos K_pos (T (S t)) lam (W (S t)) (W t) (two_hot_sum_to_one N K _ H1)).
  assert (G := exact (S t) ltac:(lia)). apply head_gradient in G.
  rewrite (inner_ext d K _ _ _ _ G (meq_refl d K _)), inner_zero_l in B.
  rewrite norm_sub_sym, norm_square. unfold L in *. lra.
Qed.

(** One rule for ties: equal predictions give equal targets. *)
Hypothesis rule : forall s t, (1 <= s)%nat -> (1 <= t)%nat ->
  (forall i k, (i < N)%nat -> (k < K)%nat -> predictions d K X (W s) i k = predictions d K X (W t) i k) ->
  forall i k, (i < N)%nat -> (k < K)%nat -> T (S s) i k = T (S t) i k.

Let same_head s t : (1 <= s)%nat -> (1 <= t)%nat ->
  (forall i k, (i < N)%nat -> (k < K)%nat -> T s i k = T t i k) -> meq d K (W s) (W t).
Proof.
  intros Hs Ht E. apply (head_unique N d K X N_pos K_pos (T t) lam); trivial; [|now apply exact].
  apply (meq_trans d K _ _ _ (exact s Hs)). now apply moment_ext.
Qed.

(** Top-two rounds at one weight decay descend on one loss,

      L(W_(t+1); T^(t+1)) + (lam/2) |W_(t+1) - W_t|^2 <= L(W_t; T^(t)),   t >= 2,

    and with one rule for ties all rounds are equal after finitely many. *)
(** Registry, top-two-rounds: L(Wₜ₊₁; T⁽ᵗ⁺¹⁾) + λ/2 ‖Wₜ₊₁ − Wₜ‖_F² ≤ L(Wₜ; T⁽ᵗ⁾),  t ≥ 2,  L(W;
    T) = −1/N ⟨T, log softmax(XW)⟩ + λ/2 ‖W‖_F²;  with one rule for ties all rounds are equal
    after finitely many *)
Theorem top_two_rounds :
  (forall t, (2 <= t)%nat -> L (S t) + lam / 2 * norm d K (W (S t) - W t) ^ 2 <= L t)
  /\ exists s, forall t, (s <= t)%nat -> meq d K (W t) (W s).
Proof.
  split; [exact descent|].
  (* two rounds have the same targets *)
  set (bit := fun t m => if Req_EM_T (T t (m / K)%nat (m mod K)%nat) (1 / 2) then true else false).
  destruct (pigeonhole (2 ^ (N * K)) (fun t => code (N * K) (bit (S (S t))))) as (a & b & Lt & E).
  { intros t. apply code_lt. }
  assert (Two : forall t, two_hot_rows N K (T (S (S t)))).
  { intros t. apply (top_two_hot N K (predictions d K X (W (S t)))), top. lia. }
  assert (Same : forall i k, (i < N)%nat -> (k < K)%nat -> T (S (S a)) i k = T (S (S b)) i k).
  { intros i k Hi Hk. assert (B := code_injective _ _ _ E (i * K + k)%nat ltac:(nia)). unfold bit in B.
    rewrite Nat.div_add_l, Nat.div_small, Nat.add_0_r in B by lia.
    rewrite Nat.add_comm, Nat.mod_add, Nat.mod_small in B by lia.
    assert (Val : forall t, T (S (S t)) i k = 1 / 2 \/ T (S (S t)) i k = 0).
    { intros t. destruct (Two t i Hi) as (x & y & _ & _ & _ & Tx & Ty & Z).
      destruct (Nat.eq_dec k x) as [->|Nx]; [now left|]. destruct (Nat.eq_dec k y) as [->|Ny]; [now left|].
      right. now apply Z. }
    destruct (Req_EM_T (T (S (S a)) i k) (1 / 2)), (Req_EM_T (T (S (S b)) i k) (1 / 2)); try discriminate B.
    - congruence.
    - destruct (Val a), (Val b); congruence. }
  assert (EW : meq d K (W (S (S a))) (W (S (S b)))) by (apply same_head; trivial; lia).
  (* so they have the same loss, and nothing moved between them *)
  assert (EL : L (S (S a)) = L (S (S b))).
  { unfold L. rewrite !loss_moments by (trivial; apply two_hot_sum_to_one, Two).
    rewrite (F_ext N d K X _ _ EW).
    rewrite (inner_ext d K _ _ _ _ (moment_ext N d K X _ _ Same) EW), (inner_ext d K _ _ _ _ EW EW). reflexivity. }
  assert (Falls : forall n, L (S (S (a + n))) <= L (S (S a))).
  { induction n as [|n IH]; [rewrite Nat.add_0_r; lra|].
    assert (D := descent (S (S (a + n))) ltac:(lia)). rewrite Nat.add_succ_r.
    assert (0 <= lam / 2 * norm d K (W (S (S (S (a + n)))) - W (S (S (a + n)))) ^ 2)
      by (apply Rmult_le_pos; [lra|apply pow2_ge_0]). lra. }
  assert (Below : L (S (S b)) <= L (S (S (S a)))).
  { assert (G : forall n, L (S (S (S a + n))) <= L (S (S (S a)))).
    { induction n as [|n IH]; [rewrite Nat.add_0_r; lra|].
      assert (D := descent (S (S (S a + n))) ltac:(lia)). rewrite Nat.add_succ_r.
      assert (0 <= lam / 2 * norm d K (W (S (S (S (S a + n)))) - W (S (S (S a + n)))) ^ 2)
        by (apply Rmult_le_pos; [lra|apply pow2_ge_0]). lra. }
    specialize (G (b - S a)%nat). replace (S a + (b - S a))%nat with b in G by lia. exact G. }
  assert (D := descent (S (S a)) ltac:(lia)).
  assert (Still : meq d K (W (S (S (S a)))) (W (S (S a)))).
  { apply inner_zero. rewrite <- norm_square. apply Rmult_le_reg_l with (lam / 2); lra. }
  (* and so it stays *)
  assert (Next : forall n, meq d K (W (S (S (S (a + n))))) (W (S (S (a + n))))).
  { induction n as [|n IH]; [rewrite Nat.add_0_r; exact Still|]. rewrite Nat.add_succ_r.
    apply same_head; [lia|lia|]. apply rule; [lia|lia|]. intros i k _ Hk. now apply predictions_ext. }
  exists (S (S a)). intros t Ht. replace t with (S (S (a + (t - S (S a))))) by lia.
  generalize (t - S (S a))%nat. intros n. induction n as [|n IH]; [rewrite Nat.add_0_r; apply meq_refl|].
  rewrite Nat.add_succ_r. exact (meq_trans d K _ _ _ (Next n) IH).
Qed.

End TopTwo.

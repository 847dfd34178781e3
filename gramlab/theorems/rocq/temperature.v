(** A temperature of the softmax is a change of weight decay, or nothing at all. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import sums matrices softmax heads proximal rounds.
Open Scope R_scope.

(** softmax(X W / tau) *)
Definition tempered (d K : nat) (X : mat) (tau : R) (W : mat) : mat :=
  fun i => softmax K (fun k => logits d X W i k / tau).

(** (f/N) sum of CE(T_i, softmax(W^T x_i / tau)) + (lam/2) |W|^2 *)
Definition tempered_loss (N d K : nat) (X T : mat) (f tau lam : R) (W : mat) : R :=
  f / INR N * (\sum_(i < N) cross_entropy K (T i) (tempered d K X tau W i))
    + lam / 2 * norm d K W ^ 2.

(** W is a minimum. *)
Definition minimizes (L : mat -> R) (W : mat) : Prop := forall V, L W <= L V.

(** The targets of round t, of predictions read at tau: Y at first. *)
Definition tempered_targets (d K : nat) (X Y : mat) (tau : R) (W : nat -> mat) (t : nat) : mat :=
  match t with
  | S (S s) => tempered d K X tau (W (S s))
  | _ => Y
  end.

Section Temperature.

Variables (N d K : nat) (X Y : mat) (f tau lam : R).
Hypothesis N_pos : (0 < N)%nat.
Hypothesis K_pos : (0 < K)%nat.
Hypothesis Y_sums : sum_to_one N K Y.
Hypothesis f_pos : 0 < f.
Hypothesis tau_pos : 0 < tau.
Hypothesis lam_pos : 0 < lam.

(** softmax(X (tau V) / tau) = softmax(X V) *)
Lemma tempered_scaled V i k : (k < K)%nat ->
  tempered d K X tau (tau * V) i k = predictions d K X V i k.
Proof.
  intros Hk. apply softmax_ext; [|assumption]. intros l _. rewrite logits_scale. field. lra.
Qed.

Lemma tempered_ext W V i k : meq d K W V -> (k < K)%nat -> tempered d K X tau W i k = tempered d K X tau V i k.
Proof.
  intros E Hk. apply softmax_ext; [|assumption]. intros l Hl. f_equal. unfold logits. apply sum_ext.
  intros j Hj. now rewrite E.
Qed.

(** L_(f, tau, lam)(tau V) = f L_1(V) at the weight decay lam tau^2 / f: the loss sees W only through
    X W / tau and |W|. *)
Lemma tempered_loss_scaled T V :
  tempered_loss N d K X T f tau lam (tau * V) = f * loss N d K X T (lam * tau ^ 2 / f) V.
Proof.
  unfold tempered_loss, loss.
  rewrite (sum_ext N (fun i => cross_entropy K (T i) (tempered d K X tau (tau * V) i))
    (fun i => cross_entropy K (T i) (predictions d K X V i))).
  - rewrite norm_square, inner_scale_l, inner_scale_r. assert (P := lt_0_INR N N_pos).
    field. split; lra.
  - intros i _. unfold cross_entropy. f_equal. apply sum_ext. intros k Hk.
    now rewrite tempered_scaled.
Qed.

Lemma tempered_loss_ext T W W' : meq d K W W' ->
  tempered_loss N d K X T f tau lam W = tempered_loss N d K X T f tau lam W'.
Proof.
  intros E. unfold tempered_loss. rewrite (norm_ext d K _ _ E). f_equal. f_equal. apply sum_ext.
  intros i _. unfold cross_entropy. f_equal. apply sum_ext. intros k Hk.
  now rewrite (tempered_ext _ _ i k E).
Qed.

Lemma unscale W : meq d K W (tau * (/ tau * W)).
Proof. intros j k _ _. unfold scale. field. lra. Qed.

(** W is a minimum of L_(f, tau, lam) if and only if W / tau is one of L_1 at lam tau^2 / f. *)
Lemma tempered_minimum T W : minimizes (tempered_loss N d K X T f tau lam) W <->
  minimizes (loss N d K X T (lam * tau ^ 2 / f)) (/ tau * W).
Proof.
  split; intros H V.
  - specialize (H (tau * V)%M). rewrite (tempered_loss_ext T _ _ (unscale W)), !tempered_loss_scaled in H.
    now apply Rmult_le_reg_l with f.
  - rewrite (tempered_loss_ext T _ _ (unscale W)), (tempered_loss_ext T _ _ (unscale V)), !tempered_loss_scaled.
    apply Rmult_le_compat_l; [lra|apply H].
Qed.

(** Rounds W of L_(f, tau, lam), read at tau, are tau times rounds V of L_1 at lam tau^2 / f. *)
Lemma tempered_rounds W V n :
  (forall t, (1 <= t <= n)%nat ->
     minimizes (tempered_loss N d K X (tempered_targets d K X Y tau W t) f tau lam) (W t)) ->
  (forall t, (1 <= t <= n)%nat ->
     minimizes (loss N d K X (plain d K X Y V t) (lam * tau ^ 2 / f)) (V t)) ->
  forall t, (1 <= t <= n)%nat -> meq d K (W t) (tau * V t)
    /\ forall i k, (k < K)%nat -> tempered d K X tau (W t) i k = predictions d K X (V t) i k.
Proof.
  intros HW HV.
  set (mu := lam * tau ^ 2 / f) in *.
  assert (Hmu : 0 < mu).
  { unfold mu. apply Rdiv_lt_0_compat; [|assumption]. apply Rmult_lt_0_compat; [|apply pow_lt]; assumption. }
  assert (Plain : forall t, sum_to_one N K (plain d K X Y V t)) by (intros; now apply plain_sum_to_one).
  assert (Step : forall t, (1 <= t <= n)%nat ->
    (forall i k, (i < N)%nat -> (k < K)%nat ->
       tempered_targets d K X Y tau W t i k = plain d K X Y V t i k) -> meq d K (W t) (tau * V t)).
  { intros t Ht E.
    assert (S : sum_to_one N K (tempered_targets d K X Y tau W t)).
    { intros i Hi. rewrite <- (Plain t i Hi). apply sum_ext. intros. now apply E. }
    assert (A := proj1 (tempered_minimum _ _) (HW t Ht)).
    apply (head_minimizes N d K X N_pos K_pos _ mu _ (Rlt_le _ _ Hmu) S) in A.
    assert (B := HV t Ht).
    apply (head_minimizes N d K X N_pos K_pos _ mu _ (Rlt_le _ _ Hmu) (Plain t)) in B.
    assert (Q : meq d K (/ tau * W t) (V t)).
    { apply (head_unique N d K X N_pos K_pos (plain d K X Y V t) mu); trivial.
      apply (meq_trans d K _ _ _ A). now apply moment_ext. }
    intros j k Hj Hk. specialize (Q j k Hj Hk). unfold scale in *. rewrite <- Q. field. lra. }
  assert (Read : forall t, meq d K (W t) (tau * V t) -> forall i k, (k < K)%nat ->
    tempered d K X tau (W t) i k = predictions d K X (V t) i k).
  { intros t E i k Hk. rewrite (tempered_ext _ _ i k E Hk). now apply tempered_scaled. }
  intros t Ht. assert (Main : meq d K (W t) (tau * V t)).
  { destruct t as [|t]; [lia|]. induction t as [|t IH]; apply Step; trivial.
    intros i k Hi Hk. simpl tempered_targets. simpl plain. apply Read; [|assumption]. apply IH. lia. }
  split; [exact Main|]. now apply Read.
Qed.

End Temperature.

(** With the factor tau^2,

      L_tau(W) = (tau^2/N) sum of CE(T_i, softmax(W^T x_i / tau)) + (lam/2) |W|^2:
      W*_tau = tau W*_1,  softmax(X W*_tau / tau) = softmax(X W*_1)

    in every round that passes on what it reads at tau, T^(1) = Y. W are the rounds at tau, V those
    at 1, each a minimum of its loss; rows of Y sum to 1. *)
(** Registry, temperature-scaled: L_τ(W) = τ²/N ∑ᵢ CE(Tᵢ, softmax(Wᵀ xᵢ / τ)) + λ/2 ‖W‖_F²:
    W_τ* = τ W₁*,  softmax(X W_τ* / τ) = softmax(X W₁* ) in every round *)
Theorem temperature_scaled N d K X Y tau lam W V n :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> 0 < tau -> 0 < lam ->
  (forall t, (1 <= t <= n)%nat ->
     minimizes (tempered_loss N d K X (tempered_targets d K X Y tau W t) (tau ^ 2) tau lam) (W t)) ->
  (forall t, (1 <= t <= n)%nat -> minimizes (loss N d K X (plain d K X Y V t) lam) (V t)) ->
  forall t, (1 <= t <= n)%nat -> meq d K (W t) (tau * V t)
    /\ forall i k, (k < K)%nat -> tempered d K X tau (W t) i k = predictions d K X (V t) i k.
Proof.
  intros HN HK HY Ht Hl HW HV. apply tempered_rounds with (5 := Ht) (6 := Hl) (7 := HW); trivial.
  - now apply pow_lt.
  - replace (lam * tau ^ 2 / tau ^ 2) with lam by (field; lra). exact HV.
Qed.

(** Without it, a temperature does what the weight decay lam tau^2 does:

      softmax(X W*_(tau, lam) / tau) = softmax(X W*_(1, lam tau^2)) in every round. *)
(** Registry, temperature-unscaled: L_(τ,λ)(W) = 1/N ∑ᵢ CE(Tᵢ, softmax(Wᵀ xᵢ / τ)) + λ/2 ‖W‖_F²:
    softmax(X W_(τ,λ)* / τ) = softmax(X W_(1,λτ²)* ) in every round *)
Theorem temperature_unscaled N d K X Y tau lam W V n :
  (0 < N)%nat -> (0 < K)%nat -> sum_to_one N K Y -> 0 < tau -> 0 < lam ->
  (forall t, (1 <= t <= n)%nat ->
     minimizes (tempered_loss N d K X (tempered_targets d K X Y tau W t) 1 tau lam) (W t)) ->
  (forall t, (1 <= t <= n)%nat -> minimizes (loss N d K X (plain d K X Y V t) (lam * tau ^ 2)) (V t)) ->
  forall t, (1 <= t <= n)%nat ->
  forall i k, (k < K)%nat -> tempered d K X tau (W t) i k = predictions d K X (V t) i k.
Proof.
  intros HN HK HY Ht Hl HW HV t Hn.
  apply (tempered_rounds N d K X Y 1 tau lam HN HK HY Rlt_0_1 Ht Hl W V n HW); trivial.
  replace (lam * tau ^ 2 / 1) with (lam * tau ^ 2) by field. exact HV.
Qed.

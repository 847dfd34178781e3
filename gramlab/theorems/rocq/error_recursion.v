(** error-recursion: exact minus linear predictions follow one linear recursion, driven by the
    softmax remainder and by the gradient that is left. *)

From Coq Require Import Reals Lra Lia.
From Gramlab Require Import filters matrices softmax heads.
Open Scope R_scope.

Section ErrorRecursion.
  (** N rows of d features, K classes, any targets Y, any weights W_1, W_2, ... *)
  Variables (N d K : nat) (X Y : nat -> nat -> R) (lambda : R).
  Variable W : nat -> nat -> nat -> R.
  Hypotheses (HN : (0 < N)%nat) (HK : (0 < K)%nat) (Hl : 0 < lambda).

  Let mu := INR K * INR N * lambda.
  Let G := gram d X.

  (** P^(t) = softmax(X W_t), and the targets of round t + 1: P^(0) = Y, then P^(t). *)
  Definition passed_on (t : nat) : nat -> nat -> R :=
    match t with O => Y | S _ => predictions d K X (W t) end.

  (** P_lin^(t) = 1/K + h(G)^t (Y - 1/K) *)
  Definition linear_prediction (t i k : nat) : R :=
    1 / INR K + filter_power N G mu t (fun i => Y i k - 1 / INR K) i.

  (** E_t = P^(t) - P_lin^(t) *)
  Definition error (t i k : nat) : R := passed_on t i k - linear_prediction t i k.

  (** g_t, the gradient of round t at W_t. *)
  Definition left_gradient (t : nat) : nat -> nat -> R :=
    gradient N d K X (passed_on (t - 1)) lambda (W t).

  (** S_t = P^(t) - 1/K - X W_t / K + X g_t / (K lambda) *)
  Definition source (t i k : nat) : R :=
    passed_on t i k - 1 / INR K - logits d X (W t) i k / INR K
    + logits d X (left_gradient t) i k / (INR K * lambda).

  (** (I + G/mu)^(-1) = mu (G + mu)^(-1) *)
  Definition damped (x : nat -> R) (i : nat) : R := mu * resolvent N G mu x i.

  Let HNr : 0 < INR N. Proof. apply lt_0_INR, HN. Qed.
  Let HKr : 0 < INR K. Proof. apply lt_0_INR, HK. Qed.
  Let Hmu : 0 < mu. Proof. unfold mu. repeat apply Rmult_lt_0_compat; auto. Qed.
  Let Sy : symmetric N G := gram_symmetric N d X.
  Let Psd : psd N G := gram_psd N d X.

  (** X X^T (P - T) / N, as a product with G. *)
  Let logits_moment T i k : logits d X (moment N X T) i k = mv N G (fun q => T q k) i / INR N.
  Proof.
    unfold G. rewrite mv_gram. unfold logits, moment, mv, tmv.
    rewrite <- sum_div. apply sum_ext. intros. unfold Rdiv. ring.
  Qed.

  Lemma damped_spec x i : (i < N)%nat ->
    damped x i + mv N G (damped x) i / mu = x i.
  Proof.
    intros Hi. unfold damped. rewrite mv_scal.
    transitivity (mv N G (resolvent N G mu x) i + mu * resolvent N G mu x i); [field; lra|].
    apply resolvent_spec; assumption.
  Qed.

  Let source_gram t i k : mu * source (S t) i k
    = mu * (passed_on (S t) i k - 1 / INR K)
      + mv N G (fun q => passed_on (S t) q k - passed_on t q k) i.
  Proof.
    unfold source, left_gradient, gradient. rewrite logits_add, logits_scale, logits_moment.
    replace (S t - 1)%nat with t by lia.
    change (predictions d K X (W (S t)) - passed_on t)%M
      with (fun q k => passed_on (S t) q k - passed_on t q k).
    unfold mu. field. lra.
  Qed.

  (** E_0 = 0 and, for all weights,
        E_t = h(G) E_(t-1) + (I + G/mu)^(-1) S_t  for t = 1, 2, ..., so that
        E_t = sum over j = 1, ..., t of h(G)^(t-j) (I + G/mu)^(-1) S_j. *)
  (** Registry, error-recursion: Eₜ = P⁽ᵗ⁾ − Pₗᵢₙ⁽ᵗ⁾: Eₜ = h(G) Eₜ₋₁ + (I + G/μ)⁻¹ Sₜ, E₀ = 0,
      Eₜ = ∑ⱼ₌₁ᵗ h(G)ᵗ⁻ʲ (I + G/μ)⁻¹ Sⱼ,  Sₜ = P⁽ᵗ⁾ − 1/K − 1/K X Wₜ + 1/(Kλ) X gₜ  for all
      weights W₁, W₂, … *)
  Theorem error_recursion :
    (forall i k, (i < N)%nat -> error 0 i k = 0) /\
    (forall t i k, (i < N)%nat ->
       error (S t) i k = filter N G mu (fun q => error t q k) i
                         + damped (fun q => source (S t) q k) i) /\
    (forall t i k, (i < N)%nat ->
       error t i k = sum t (fun j =>
         filter_power N G mu (t - S j) (damped (fun q => source (S j) q k)) i)).
  Proof.
    assert (E0 : forall i k, (i < N)%nat -> error 0 i k = 0)
      by (intros i k _; unfold error, linear_prediction; cbn; ring).
    assert (Step : forall t i k, (i < N)%nat ->
       error (S t) i k = filter N G mu (fun q => error t q k) i
                         + damped (fun q => source (S t) q k) i).
    { intros t i k Hi. revert i Hi.
      apply (shifted_injective N G mu Psd Hmu (fun i => error (S t) i k)). intros i Hi.
      rewrite mv_plus, Rmult_plus_distr_l.
      assert (F := filter_spec N G mu Sy Psd Hmu (fun q => error t q k) i Hi).
      assert (D := damped_spec (fun q => source (S t) q k) i Hi). cbv beta in D.
      apply (f_equal (Rmult mu)) in D. rewrite source_gram in D.
      replace (mu * (damped (fun q => source (S t) q k) i
                     + mv N G (damped (fun q => source (S t) q k)) i / mu))
        with (mu * damped (fun q => source (S t) q k) i
              + mv N G (damped (fun q => source (S t) q k)) i) in D by (field; lra).
      transitivity ((mv N G (filter N G mu (fun q => error t q k)) i
                     + mu * filter N G mu (fun q => error t q k) i)
                    + (mu * damped (fun q => source (S t) q k) i
                       + mv N G (damped (fun q => source (S t) q k)) i)); [|ring].
      rewrite F, D. clear F D.
      set (x := fun q => Y q k - 1 / INR K).
      assert (L := filter_spec N G mu Sy Psd Hmu (filter_power N G mu t x) i Hi).
      change (filter N G mu (filter_power N G mu t x)) with (filter_power N G mu (S t) x) in L.
      set (p := fun q => passed_on (S t) q k). set (p' := fun q => passed_on t q k).
      set (y := filter_power N G mu (S t) x) in *. set (y' := filter_power N G mu t x) in *.
      rewrite (mv_ext N G (fun q => error (S t) q k) (fun q => (p q - 1 / INR K) - y q))
        by (intros; unfold error, linear_prediction, p, y, x; ring).
      rewrite (mv_ext N G (fun q => error t q k) (fun q => (p' q - 1 / INR K) - y' q))
        by (intros; unfold error, linear_prediction, p', y', x; ring).
      change (fun q => passed_on (S t) q k - passed_on t q k) with (fun q => p q - p' q).
      rewrite !mv_minus. rewrite <- L.
      change (error (S t) i k) with (p i - (1 / INR K + y i)).
      change (passed_on (S t) i k) with (p i). ring. }
    split; [exact E0|]. split; [exact Step|].
    induction t as [|t IH]; intros i k Hi; [apply E0, Hi|].
    rewrite Step by exact Hi. cbn [sum]. rewrite Nat.sub_diag. cbn [filter_power]. f_equal.
    rewrite (filter_ext N G mu Sy Psd Hmu _ _ (fun q Hq => IH q k Hq) i Hi).
    assert (Sum : forall n (f : nat -> nat -> R),
      filter N G mu (fun q => sum n (fun j => f j q)) i = sum n (fun j => filter N G mu (f j) i)).
    { induction n as [|n IHn]; intros f; cbn.
      - symmetry. apply (filter_unique N G mu Sy Psd Hmu (fun _ => 0) (fun _ => 0)); [|exact Hi].
        intros. unfold mv. rewrite sum_zero; [ring|]. intros; ring.
      - rewrite (filter_plus N G mu Sy Psd Hmu), IHn by exact Hi. reflexivity. }
    rewrite Sum. apply sum_ext. intros j Hj.
    replace (S t - S j)%nat with (S (t - S j)) by lia. reflexivity.
  Qed.
End ErrorRecursion.

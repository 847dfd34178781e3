(** das-sanghavi: the mixing weight that minimizes the expected estimation error of a ridge student. *)

From Coq Require Import Reals Lra Lia FunctionalExtensionality.
From Gramlab Require Import filters spectral.
Open Scope R_scope.

(** ** Expectations and white noise *)

(** What is needed of an expectation on a probability space Omega: which random variables have one,
    and that it is linear and 1 for the constant 1. *)
Definition expectation {Omega : Type} (integrable : (Omega -> R) -> Prop) (E : (Omega -> R) -> R)
  : Prop :=
  (forall c, integrable (fun _ => c) /\ E (fun _ => c) = c) /\
  (forall f g, integrable f -> integrable g ->
     integrable (fun o => f o + g o) /\ E (fun o => f o + g o) = E f + E g) /\
  (forall a f, integrable f -> integrable (fun o => a * f o) /\ E (fun o => a * f o) = a * E f).

(** E eps = 0 and E eps eps' = gamma^2 I for noise eps_0, ..., eps_(N-1). *)
Definition white_noise {Omega : Type} integrable (E : (Omega -> R) -> R) (N : nat) (gamma : R)
    (eps : nat -> Omega -> R) : Prop :=
  (forall i, (i < N)%nat -> integrable (eps i) /\ E (eps i) = 0) /\
  (forall i j, (i < N)%nat -> (j < N)%nat ->
     integrable (fun o => eps i o * eps j o) /\
     E (fun o => eps i o * eps j o) = gamma * gamma * ind (Nat.eqb i j)).

Section Expectation.
  Context {Omega : Type} {integrable : (Omega -> R) -> Prop} {E : (Omega -> R) -> R}.
  Hypothesis HE : expectation integrable E.

  Lemma expectation_sum n (f : nat -> Omega -> R) (m : nat -> R) :
    (forall i, (i < n)%nat -> integrable (f i) /\ E (f i) = m i) ->
    integrable (fun o => sum n (fun i => f i o)) /\ E (fun o => sum n (fun i => f i o)) = sum n m.
  Proof.
    destruct HE as (HC & HP & HS). induction n as [|n IH]; intros H; cbn; [apply HC|].
    destruct IH as (I1 & I2); [intros; apply H; lia|]. destruct (H n ltac:(lia)) as (J1 & J2).
    destruct (HP _ _ I1 J1) as (K1 & K2). split; [exact K1|]. rewrite K2, I2, J2. reflexivity.
  Qed.

  (** Sums a' eps have mean 0 and mean square gamma^2 |a|^2. *)
  Lemma white_noise_sum N gamma eps a :
    white_noise integrable E N gamma eps ->
    (integrable (fun o => sum N (fun i => a i * eps i o)) /\
     E (fun o => sum N (fun i => a i * eps i o)) = 0) /\
    (integrable (fun o => sum N (fun i => a i * eps i o) * sum N (fun i => a i * eps i o)) /\
     E (fun o => sum N (fun i => a i * eps i o) * sum N (fun i => a i * eps i o))
     = gamma * gamma * norm2 N a).
  Proof.
    intros (H1 & H2). destruct HE as (HC & HP & HS). split.
    - rewrite <- (sum_zero N (fun i => a i * 0)) by (intros; ring).
      apply (expectation_sum N (fun i o => a i * eps i o)). intros i Hi.
      destruct (H1 i Hi) as (I & M). destruct (HS (a i) _ I) as (I' & M').
      split; [exact I'|]. rewrite M', M. reflexivity.
    - replace (fun o => sum N (fun i => a i * eps i o) * sum N (fun i => a i * eps i o))
        with (fun o => sum N (fun i => sum N (fun j => a i * a j * (eps i o * eps j o)))).
      2:{ apply functional_extensionality. intros o. rewrite sum_prod. apply sum_ext. intros i _.
          apply sum_ext. intros. ring. }
      unfold norm2, dot. rewrite <- sum_scal_l.
      apply (expectation_sum N (fun i o => sum N (fun j => a i * a j * (eps i o * eps j o)))).
      intros i Hi.
      replace (gamma * gamma * (a i * a i))
        with (sum N (fun j => ind (Nat.eqb i j) * (a i * a j * (gamma * gamma))))
        by (rewrite (sum_ind' N (fun j => a i * a j * (gamma * gamma)) i Hi); ring).
      apply (expectation_sum N (fun j o => a i * a j * (eps i o * eps j o))). intros j Hj.
      destruct (H2 i j Hi Hj) as (I & M). destruct (HS (a i * a j) _ I) as (I' & M').
      split; [exact I'|]. rewrite M', M. ring.
  Qed.
End Expectation.

(** ** Ridge in the directions of X *)

(** Orthonormal v_0, ..., v_(d-1) with X' X v_r = sigma_r^2 v_r: the right singular vectors. *)
Definition right_singular (N d : nat) (X : nat -> nat -> R) (v : nat -> nat -> R) (sigma : nat -> R)
  : Prop :=
  (forall r q, (r < d)%nat -> (q < d)%nat -> dot d (v r) (v q) = ind (Nat.eqb r q)) /\
  (forall x j, (j < d)%nat -> x j = sum d (fun r => dot d (v r) x * v r j)) /\
  (forall r j, (r < d)%nat -> (j < d)%nat ->
     tmv N X (mv d X (v r)) j = sigma r * sigma r * v r j).

Lemma right_singular_exists N d X : exists v sigma, right_singular N d X v sigma.
Proof.
  set (A := gram N (fun j i => X i j)).
  assert (Sy : symmetric d A) by apply gram_symmetric.
  destruct (spectral_theorem d A Sy) as (v & s & B).
  exists v, (fun r => sqrt (s r)). destruct (B) as (O & C & E).
  split; [exact O|]. split; [exact C|]. intros r j Hr Hj.
  rewrite sqrt_sqrt by (apply (eigenvalue_nonneg d A v s Sy B (gram_psd d N _) r Hr)).
  rewrite <- (E r j Hr Hj). unfold A. rewrite mv_gram. reflexivity.
Qed.

(** (X' X + lambda)^(-1) X' y *)
Definition ridge_fit (N d : nat) (X : nat -> nat -> R) (lambda : R) (y : nat -> R) : nat -> R :=
  resolvent d (gram N (fun j i => X i j)) lambda (tmv N X y).

Section Ridge.
  Variables (N d : nat) (X : nat -> nat -> R) (lambda : R).
  Hypothesis Hl : 0 < lambda.

  Let A := gram N (fun j i => X i j).
  Let Sy : symmetric d A := gram_symmetric d N (fun j i => X i j).
  Let Psd : psd d A := gram_psd d N (fun j i => X i j).

  Lemma gram_transposed w j : mv d A w j = tmv N X (mv d X w) j.
  Proof. unfold A. rewrite mv_gram. reflexivity. Qed.

  Lemma ridge_fit_spec y j : (j < d)%nat ->
    tmv N X (mv d X (ridge_fit N d X lambda y)) j + lambda * ridge_fit N d X lambda y j
    = tmv N X y j.
  Proof.
    intros Hj. rewrite <- gram_transposed. apply resolvent_spec; assumption.
  Qed.

  Variables (v : nat -> nat -> R) (sigma : nat -> R).
  Hypothesis HV : right_singular N d X v sigma.

  Lemma parseval x : norm2 d x = sum d (fun r => dot d (v r) x * dot d (v r) x).
  Proof.
    destruct HV as (_ & C & _). unfold norm2, dot at 1.
    rewrite (sum_ext d _ (fun j => sum d (fun r => dot d (v r) x * (v r j * x j)))).
    - rewrite sum_swap. apply sum_ext. intros r _. rewrite sum_scal_l. reflexivity.
    - intros j Hj. rewrite (C x j Hj) at 1. rewrite <- sum_scal_r. apply sum_ext. intros. ring.
  Qed.

  Lemma dot_gram r w : (r < d)%nat ->
    dot d (v r) (tmv N X (mv d X w)) = sigma r * sigma r * dot d (v r) w.
  Proof.
    intros Hr. destruct HV as (_ & _ & S).
    rewrite (dot_comm d (v r)), <- dot_mv, dot_comm, dot_mv.
    rewrite (dot_ext d _ w (fun j => sigma r * sigma r * v r j) w) by (auto; intros; apply S; auto).
    apply dot_scal_l.
  Qed.

  Lemma dot_fit r y : (r < d)%nat ->
    dot d (v r) (ridge_fit N d X lambda y) = dot d (v r) (tmv N X y) / (sigma r * sigma r + lambda).
  Proof.
    intros Hr. assert (0 <= sigma r * sigma r) by apply Rle_0_sqr.
    rewrite <- (dot_ext d (v r) _ (v r) (tmv N X y) (fun _ _ => eq_refl) (ridge_fit_spec y)).
    rewrite dot_plus_r, dot_scal_r, dot_gram by exact Hr. field. lra.
  Qed.

  Lemma norm2_direction r : (r < d)%nat -> norm2 N (mv d X (v r)) = sigma r * sigma r.
  Proof.
    intros Hr. unfold norm2. rewrite dot_mv, dot_comm, dot_gram by exact Hr.
    destruct HV as (O & _). rewrite (O r r Hr Hr), Nat.eqb_refl. cbn. ring.
  Qed.

  (** X <> 0 has a singular value other than 0. *)
  Lemma singular_nonzero i j : (i < N)%nat -> (j < d)%nat -> X i j <> 0 ->
    exists r, (r < d)%nat /\ sigma r * sigma r <> 0.
  Proof.
    intros Hi Hj HX.
    assert (Q : forall M, (M <= d)%nat -> (forall r, (r < M)%nat -> sigma r * sigma r = 0) \/
              exists r, (r < d)%nat /\ sigma r * sigma r <> 0).
    { induction M as [|M IH]; intros HM; [left; lia|].
      destruct (IH ltac:(lia)) as [H|H]; [|right; exact H].
      destruct (Req_dec (sigma M * sigma M) 0) as [Z|Z]; [left|right; exists M; split; [lia|exact Z]].
      intros r Hr. destruct (Nat.eq_dec r M) as [->|]; [exact Z|apply H; lia]. }
    destruct (Q d (le_n d)) as [H|H]; [exfalso|exact H]. apply HX.
    destruct HV as (_ & C & _).
    (* X_ij = (X e_j)_i = sum over r of v_rj (X v_r)_i *)
    set (e := fun q => ind (Nat.eqb q j)).
    assert (E : X i j = mv d X e i).
    { unfold mv, e. rewrite (sum_ext d _ (fun q => ind (Nat.eqb q j) * X i q)) by (intros; ring).
      symmetry. apply (sum_ind d (X i) j Hj). }
    rewrite E, (mv_ext d X e (fun q => sum d (fun r => dot d (v r) e * v r q)) i (C e)).
    rewrite (mv_sum d X d (fun r q => dot d (v r) e * v r q)). apply sum_zero. intros r Hr.
    rewrite mv_scal, (norm2_zero N (mv d X (v r))); [ring| |exact Hi].
    rewrite norm2_direction by exact Hr. apply H, Hr.
  Qed.
End Ridge.

(** ** The theorem *)

(** For y = X theta + eps with white noise of variance gamma^2 > 0, X <> 0, penalty lambda > 0 (that
    of the unnormalized loss): the expected estimation error of the student of the mixed target
    xi X w_teacher + (1 - xi) y,

      xi |-> E |w_xi - theta|^2,

    is least at one xi alone, the quotient of

      sum over j of lambda sigma_j^2 (gamma^2 - lambda theta_j^2) / (sigma_j^2 + lambda)^3  and
      sum over j of lambda^2 sigma_j^2 (sigma_j^2 theta_j^2 + gamma^2) / (sigma_j^2 + lambda)^4,

    theta_j = v_j' theta. *)
Theorem das_sanghavi (N d : nat) (X : nat -> nat -> R) (lambda gamma : R) (theta : nat -> R)
    (v : nat -> nat -> R) (sigma : nat -> R)
    (Omega : Type) (integrable : (Omega -> R) -> Prop) (E : (Omega -> R) -> R)
    (eps : nat -> Omega -> R) :
  0 < lambda -> 0 < gamma -> (exists i j, (i < N)%nat /\ (j < d)%nat /\ X i j <> 0) ->
  right_singular N d X v sigma ->
  expectation integrable E -> white_noise integrable E N gamma eps ->
  let y o i := mv d X theta i + eps i o in
  let teacher o := ridge_fit N d X lambda (y o) in
  let student xi o := ridge_fit N d X lambda
    (fun i => xi * mv d X (teacher o) i + (1 - xi) * y o i) in
  let error xi o := norm2 d (fun j => student xi o j - theta j) in
  let s j := sigma j * sigma j in
  let theta_ j := dot d (v j) theta in
  let numerator := sum d (fun j =>
    lambda * s j * (gamma ^ 2 - lambda * theta_ j ^ 2) / (s j + lambda) ^ 3) in
  let denominator := sum d (fun j =>
    lambda ^ 2 * s j * (s j * theta_ j ^ 2 + gamma ^ 2) / (s j + lambda) ^ 4) in
  (forall xi, integrable (error xi)) /\ 0 < denominator /\
  forall xi, xi <> numerator / denominator ->
    E (error (numerator / denominator)) < E (error xi).
Proof.
  intros Hl Hg (i0 & j0 & Hi0 & Hj0 & HX) HV HE HN y teacher student error s theta_ numerator denominator.
  assert (Hs : forall r, 0 <= s r) by (intros; apply Rle_0_sqr).
  (* in direction r: the error is a + b eta, eta the noise along X v_r *)
  set (eta := fun r o => sum N (fun i => mv d X (v r) i * eps i o)).
  set (f := fun r xi => (xi * (s r / (s r + lambda)) + (1 - xi)) / (s r + lambda)).
  set (a := fun r xi => (f r xi * s r - 1) * theta_ r).
  assert (Coord : forall xi o r, (r < d)%nat ->
    dot d (v r) (fun j => student xi o j - theta j) = a r xi + f r xi * eta r o).
  { intros xi o r Hr. rewrite dot_minus_r. unfold student.
    rewrite (dot_fit N d X lambda Hl v sigma HV r) by exact Hr.
    assert (Lin : forall u w c e, dot d (v r) (tmv N X (fun i => c * u i + e * w i))
              = c * dot d (v r) (tmv N X u) + e * dot d (v r) (tmv N X w)).
    { intros u w c e. rewrite <- !dot_scal_r, <- dot_plus_r. apply dot_ext; [reflexivity|].
      intros j Hj. unfold tmv. rewrite <- !sum_scal_l, <- sum_plus. apply sum_ext. intros. ring. }
    rewrite (Lin (mv d X (teacher o)) (y o)), (dot_gram N d X v sigma HV r _ Hr).
    unfold teacher. rewrite (dot_fit N d X lambda Hl v sigma HV r) by exact Hr.
    assert (B : dot d (v r) (tmv N X (y o)) = s r * theta_ r + eta r o).
    { rewrite dot_comm, <- dot_mv. unfold y.
      rewrite dot_comm, dot_plus_r, dot_comm, dot_mv, dot_comm, (dot_gram N d X v sigma HV r _ Hr).
      reflexivity. }
    rewrite B. unfold a, f. fold (s r) (theta_ r). specialize (Hs r). field. lra. }
  assert (Err : forall xi, error xi = fun o => sum d (fun r =>
    (a r xi * a r xi + (2 * a r xi * f r xi) * eta r o) + f r xi * f r xi * (eta r o * eta r o))).
  { intros xi. apply functional_extensionality. intros o. unfold error.
    rewrite (parseval N d X v sigma HV). apply sum_ext. intros r Hr.
    rewrite (Coord xi o r Hr). ring. }
  assert (Mean : forall xi, integrable (error xi) /\
    E (error xi) = sum d (fun r => a r xi * a r xi + f r xi * f r xi * (gamma * gamma * s r))).
  { intros xi. rewrite Err.
    apply (expectation_sum HE d (fun r o =>
      (a r xi * a r xi + (2 * a r xi * f r xi) * eta r o) + f r xi * f r xi * (eta r o * eta r o))).
    intros r Hr.
    destruct (white_noise_sum HE N gamma eps (mv d X (v r)) HN) as ((I1 & M1) & (I2 & M2)).
    rewrite (norm2_direction N d X v sigma HV r Hr) in M2.
    destruct HE as (HC & HP & HS).
    destruct (HC (a r xi * a r xi)) as (C1 & C2).
    destruct (HS (2 * a r xi * f r xi) _ I1) as (L1 & L2).
    destruct (HS (f r xi * f r xi) _ I2) as (Q1 & Q2).
    destruct (HP _ _ C1 L1) as (P1 & P2). destruct (HP _ _ P1 Q1) as (R1 & R2).
    split; [exact R1|]. unfold eta. rewrite R2, P2, C2, L2, Q2, M1, M2. fold (s r). ring. }
  (* the parabola *)
  set (R0 := sum d (fun r => (lambda ^ 2 * theta_ r ^ 2 + gamma ^ 2 * s r) / (s r + lambda) ^ 2)).
  assert (Parabola : forall xi, E (error xi) = R0 - 2 * xi * numerator + xi * xi * denominator).
  { intros xi. rewrite (proj2 (Mean xi)). unfold R0, numerator, denominator.
    rewrite <- !sum_scal_l, <- sum_minus, <- sum_plus. apply sum_ext. intros r _.
    unfold a, f. specialize (Hs r). field. lra. }
  assert (Hden : 0 < denominator).
  { destruct (singular_nonzero N d X v sigma HV i0 j0 Hi0 Hj0 HX) as (r & Hr & Hnz).
    assert (Pos : forall q, 0 < s q + lambda) by (intros q; specialize (Hs q); lra).
    assert (Hgg : 0 < gamma ^ 2) by (apply pow_lt, Hg).
    apply (sum_pos_one d _ r); [|exact Hr|].
    - intros q _. apply Rmult_le_pos; [|left; apply Rinv_0_lt_compat, pow_lt, Pos].
      apply Rmult_le_pos; [apply Rmult_le_pos; [left; apply pow_lt, Hl|apply Hs]|].
      assert (0 <= s q * theta_ q ^ 2) by (apply Rmult_le_pos; [apply Hs|apply pow2_ge_0]). lra.
    - assert (0 < s r) by (specialize (Hs r); unfold s in *; lra).
      apply Rdiv_lt_0_compat; [|apply pow_lt, Pos].
      apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat; [apply pow_lt, Hl|assumption]|].
      assert (0 <= s r * theta_ r ^ 2) by (apply Rmult_le_pos; [apply Hs|apply pow2_ge_0]). lra. }
  split; [intros xi; apply Mean|]. split; [exact Hden|]. intros xi Hne.
  rewrite !Parabola. set (best := numerator / denominator) in *.
  assert (En : numerator = best * denominator) by (unfold best; field; lra).
  assert (0 < denominator * ((xi - best) * (xi - best))).
  { apply Rmult_lt_0_compat; [exact Hden|]. assert (xi - best <> 0) by lra.
    apply (Rlt_0_sqr (xi - best)); assumption. }
  rewrite En. lra.
Qed.

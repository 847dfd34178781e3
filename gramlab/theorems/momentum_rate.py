"""With momentum, rounds count quadratically."""

import math

import numpy as np
import sympy as sp

from gramlab.errors import InvalidSetting
from gramlab.theorems._arguments import PROBLEM, ROUNDS
from gramlab.theorems._arguments import problem as problem_of
from gramlab.theorems._hypotheses import positive_decay
from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    TARGETS,
    draw_problem,
    exact_rounds,
    moment,
    natural_decay,
    start_gradient,
    uniform_moment,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero
from gramlab.validation import check_integer


def _prove() -> Proof:
    k = sp.Symbol("k", positive=True)
    now, next_ = (k + 1) / 2, (k + 2) / 2  # the weights of rounds k and k + 1
    before, last, new, best = sp.symbols("v_before v_now v_next u_star", real=True)
    start = last + (k - 1) / (k + 2) * (last - before)  # what round k + 1 is given
    z, z_next = before + now * (last - before), last + next_ * (new - last)
    # a, b = λD before and after, times 2; c, e: ‖z − u*‖² before and after; x = 2⟨z − z', u* − z'⟩.
    a, b, c, e, x, t, s = reals("a b c e x t s")
    return proof(
        "sympy for the identities, z3 for the inequalities; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t and λ; Var_p(u) ≥ 0 expanded with "
        "all symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        "by hand: with v_t = M(W_t) and D_t = log K − H̄_t = F*(v_t) − F*(u*) ≥ 0, W = W_(k+1) is a "
        "subgradient at v' = v_(k+1): D_k ≥ D_(k+1) + ⟨W, v_k − v'⟩ and 0 ≥ D_(k+1) + "
        "⟨W, u* − v'⟩, and λW = u_(k+1) − v'",
        zero(
            "t²−t of the first and t of the second, t = (k+2)/2, and z' = v_k + t(v' − v_k), z = "
            "v_(k−1) + (k+1)/2 (v_k − v_(k−1)): what W meets, less t(u* − z'), is {}",
            (next_**2 - next_) * (last - new) + next_ * (best - new) - next_ * (best - z_next),
        ),
        zero("tλW = t(u_(k+1) − v') is z − z': {}", next_ * (start - new) - (z - z_next)),
        zero(
            "2⟨z − z', u* − z'⟩ − ‖z' − u*‖² − ‖z − z'‖² + ‖z − u*‖² = {}, entry by entry",
            2 * (z - z_next) * (best - z_next)
            - (z_next - best) ** 2
            - (z - z_next) ** 2
            + (z - best) ** 2,
        ),
        zero(
            "((k+2)/2)² − (k+2)/2 − (((k+1)/2)² − 1/4) = {}",
            next_**2 - next_ - now**2 + sp.Rational(1, 4),
        ),
        implies(
            "so 2λ((t+1)/2)² D_t + ‖z_t − u*‖² never grows",
            [a >= 0, s * s >= t * t - t, (t * t - t) * a >= t * t * b + x, x >= e - c],
            t * t * b + e <= s * s * a + c,
        ),
        "by hand: the same step with k = 0, weights 0 and 1, z_0 = u_1 gives 2λD_1 + ‖z_1 − u*‖² ≤ "
        "‖u_1 − u*‖² = ‖∇L(0)‖²; induction over t",
    )


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng)
    natural = natural_decay(problem["x"], problem["targets"].shape[1])
    decay = natural * float(10 ** rng.uniform(-3, 1))
    return {**problem, "weight_decay": decay, "rounds": int(rng.integers(2, 7)), "momentum": True}


def _without_momentum(rng: np.random.Generator) -> Instance:
    """Targets near 1/K, where F* is a parabola, as curved as plain rounds can bear least."""
    x = rng.uniform(1, 2) * np.ones((2, 1))
    targets, rounds = np.full((2, 2), (0.51, 0.49)), int(rng.integers(30, 40))
    decay = natural_decay(x, 2) / (2 * rounds - 1)
    return {"x": x, "targets": targets, "weight_decay": decay, "rounds": rounds, "momentum": False}


def _has_momentum(instance: Instance) -> Held:
    return Held(instance["momentum"], "with it" if instance["momentum"] else "without it")


def _instance(
    features: object,
    targets: object,
    weight_decay: object,
    rounds: int = 2,
    momentum: object = True,
) -> Instance:
    if not isinstance(momentum, bool):
        raise InvalidSetting(f"momentum must be True or False, got {momentum!r}")
    problem = problem_of(features, targets, weight_decay)
    return {**problem, "rounds": check_integer("rounds", rounds, 1), "momentum": momentum}


def _compare(instance: Instance, rate: float = 0.5, cubed: bool = False) -> Check:
    x, k, decay = instance["x"], instance["targets"].shape[1], instance["weight_decay"]
    start, least = start_gradient(x, instance["targets"]), uniform_moment(x, k)
    before, checks = moment(x, instance["targets"]), []
    settings = {"decays": np.full(instance["rounds"], decay), "mixing": 1.0, "temperature": 1.0}
    for t, r in enumerate(exact_rounds({**instance, **settings}), 1):
        left = math.log(k) - float(r.entropy.value)
        ahead = before + 0.5 * (t + 1) * (r.moment - before) - least
        scale = rate * decay * ((t + 1) ** 3 / 2 if cubed else (t + 1) ** 2)
        error = scale * r.entropy.error + ahead.square_error + start.square_error
        checks.append(bound(scale * left + ahead.norm**2, start.norm**2, error))
        before = r.moment
    return worst(checks)


THEOREM = Theorem(
    name="momentum-rate",
    title="With momentum, rounds count quadratically",
    source="D (accelerated proximal points: Güler 1992, Beck & Teboulle 2009)",
    kind="upper bound",
    hypotheses=(
        TARGETS,
        Hypothesis("weight decay", r"\lambda > 0,\ \text{one for all}", test=positive_decay),
        Hypothesis(
            "momentum",
            r"T^{(1)} = Y,\ T^{(t+1)} = P_t + \frac{t - 1}{t + 2} (P_t - P_{t-1})",
            _without_momentum,
            _has_momentum,
        ),
    ),
    statement=r"\tfrac12 \lambda (t+1)^2 (\log K - \bar H_t) + \Big\lVert \tfrac1N X^\top \Big("
    r"P_{t-1} + \tfrac{t+1}{2} (P_t - P_{t-1}) - \tfrac1K \Big) \Big\rVert_F^2 \le "
    r"\lVert \nabla L(0) \rVert_F^2, \quad P_0 = Y, \quad \text{so } \log K - \bar H_t \le "
    r"\frac{2 \lVert \nabla L(0) \rVert_F^2}{\lambda (t+1)^2}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "four times the rate": lambda i: _compare(i, rate=2.0),
        "rounds that count with their cube": lambda i: _compare(i, cubed=True),
    },
    tight_within=0.02,
    arguments=PROBLEM
    | {
        "targets": ARGUMENTS["targets"],
        "rounds": ROUNDS,
        "momentum": "whether rounds have it; they do unless told",
    },
    instance=_instance,
    runs=RUNS,
)

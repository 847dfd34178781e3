"""Mixed with the given labels, rounds go to the head trained once at λ/(1 − ξ)."""

import numpy as np
import sympy as sp
import z3

from gramlab.theorems._arguments import DECAY, ROUNDS, real
from gramlab.theorems._hypotheses import above, equals, positive_decay
from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    TARGETS,
    draw_problem,
    exact_rounds,
    head_round,
    natural_decay,
    rounds_instance,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero
from gramlab.validation import check_integer


def _prove() -> Proof:
    lam, xi, v, m, u, w = sp.symbols("lambda xi v m u_1 w", real=True)
    fixed = xi * m + (1 - xi) * u  # the targets that V makes, one entry
    # a = ‖W_t − V‖, b = ‖M(W_t) − M(V)‖, i their inner product, p = ‖u_t − u^∞‖; q the next p.
    decay, a, b, inner, p, q, x = reals("lambda a b i p q x")
    given = [decay > 0, a >= 0, b >= 0, p >= 0, q >= 0, x >= 0, inner >= 0]
    return proof(
        "sympy for the identities, z3 for the inequalities; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t, λ and ξ < 1; Var_p(u) ≥ 0 "
        "expanded with all symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        zero(
            "λV/(1 − ξ) + M(V) = u_1 makes V the head of its own targets: λV + M(V) − (ξM(V) + "
            "(1 − ξ)u_1) = {}",
            (lam * v + m - fixed).subs(m, u - lam * v / (1 - xi)),
        ),
        zero(
            "u_1 − u^∞ − ξλV/(1 − ξ) = {}, where u^∞ = λV + M(V)",
            (u - (lam * v + m) - xi * lam * v / (1 - xi)).subs(m, u - lam * v / (1 - xi)),
        ),
        "by hand: M = ∇F is monotone, ⟨M(W_t) − M(V), W_t − V⟩ ≥ 0",
        zero(
            "‖λw + m‖² − λ²‖w‖² − ‖m‖² − 2λ⟨m, w⟩ = {}, entry by entry, for w = W_t − V, "
            "m = M(W_t) − M(V), and λw + m = u_t − u^∞",
            (lam * w + m) ** 2 - lam**2 * w**2 - m**2 - 2 * lam * m * w,
        ),
        implies(
            "so λ²a² + b² ≤ p², and q = |ξ|b ≤ |ξ|p for u_(t+1) − u^∞ = ξ(M(W_t) − M(V))",
            [*given, p * p == decay * decay * a * a + b * b + 2 * decay * inner, q == x * b],
            z3.And(decay * decay * a * a + b * b <= p * p, q <= x * p),
        ),
        "by hand: induction over t from ‖u_1 − u^∞‖ = |ξ|λ‖V‖/(1 − ξ)",
    )


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng)
    natural = natural_decay(problem["x"], problem["targets"].shape[1])
    return {
        **problem,
        "weight_decay": natural * float(10 ** rng.uniform(-3, 1)),
        "rounds": int(rng.integers(1, 7)),
        "mixing": float(rng.choice([rng.uniform(0.1, 1), rng.uniform(-1.5, -0.1)])),
        "temperature": 1.0,
    }


def _sharpened(rng: np.random.Generator) -> Instance:
    return {**_draw(rng), "rounds": 5, "mixing": 0.9, "temperature": float(rng.uniform(0.05, 0.2))}


def _instance(
    features: object,
    targets: object,
    weight_decay: object,
    mixing: object,
    rounds: int = 1,
    temperature: object = 1.0,
) -> Instance:
    decay = real("weight_decay", weight_decay)
    made = {**rounds_instance(features, targets, [decay, decay], mixing, temperature)}
    del made["decays"]
    return {**made, "weight_decay": decay, "rounds": check_integer("rounds", rounds, 1)}


def _compare(instance: Instance, power: int = 0, spent: float = 1.0) -> Check:
    decay, xi, checks = instance["weight_decay"], instance["mixing"], []
    limit = head_round(instance["x"], instance["targets"], spent * decay / (1 - xi))
    first = decay * limit.weights.norm / (1 - xi)
    rounds = exact_rounds({**instance, "decays": np.full(instance["rounds"], decay)})
    for t, r in enumerate(rounds, 1):
        weights, moments = decay * (r.weights - limit.weights), r.moment - limit.moment
        scale = abs(xi) ** (t + power)
        error = weights.error + moments.error + scale * decay * limit.weights.error / (1 - xi)
        checks.append(bound(float(np.hypot(weights.norm, moments.norm)), scale * first, error))
    return worst(checks)


THEOREM = Theorem(
    name="mixing-limit",
    title="Rounds mixed with the given labels go to one training at λ/(1 − ξ)",
    source="D (squared loss: Borup & Andersen 2021)",
    kind="upper bound",
    hypotheses=(
        TARGETS,
        Hypothesis("weight decay", r"\lambda > 0,\ \text{one for all}", test=positive_decay),
        Hypothesis(
            "mixing",
            r"T^{(t+1)} = \xi P_t + (1 - \xi) Y,\ \xi < 1",
            test=above("mixing", "ξ", -np.inf, 1.0),
        ),
        Hypothesis(
            "read at temperature 1",
            r"P_t = \operatorname{softmax}(X W_t)",
            _sharpened,
            equals("temperature", "temperature of the reading", lambda i: 1.0),
        ),
    ),
    statement=r"\lambda^2 \lVert W_t - V \rVert_F^2 + \lVert M(W_t) - M(V) \rVert_F^2 \le \Big("
    r"\frac{|\xi|^t}{1 - \xi} \lambda \lVert V \rVert_F \Big)^2, \quad M(W) = \tfrac1N X^\top "
    r"\operatorname{softmax}(XW), \quad V \text{ the head trained once on } Y \text{ at } "
    r"\frac{\lambda}{1 - \xi}; \quad \text{so } W_t \to V \text{ if } |\xi| < 1",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a round sooner": lambda i: _compare(i, power=1),
        "one training at λ/(1 − ξ)²": lambda i: _compare(i, spent=1 / (1 - i["mixing"])),
        "one training at half of it": lambda i: _compare(i, spent=0.5),
    },
    tight_within=0.02,
    arguments={
        **{name: ARGUMENTS[name] for name in ("features", "targets", "temperature")},
        "weight_decay": DECAY,
        "mixing": "ξ < 1 of ξP + (1 − ξ)Y",
        "rounds": ROUNDS,
    },
    instance=_instance,
    runs=RUNS,
)

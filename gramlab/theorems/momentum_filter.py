"""What momentum keeps of an eigenvalue: less than plain rounds, at a rate, and with a sign."""

import math

import numpy as np
import sympy as sp

from gramlab.distillation import distill
from gramlab.heads.closed_form import LinearizedHead
from gramlab.theorems._arguments import ROUNDS, real
from gramlab.theorems._heads import features
from gramlab.theorems._hypotheses import above, equals
from gramlab.theorems._rounds import worst
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, vanish, zero
from gramlab.validation import check_integer

EPS = float(np.finfo(float).eps)


def _spent(t: int) -> float:
    """c_t = (t² + 5t + 2)/8: the slope of the filter of t rounds in μ/s at 0."""
    return (t * t + 5 * t + 2) / 8


def _prove() -> Proof:
    t, h = sp.Symbol("t", positive=True), sp.Symbol("h")
    c = (t**2 + 5 * t + 2) / 8
    step = 1 + (t - 1) / (t + 2) * (c - c.subs(t, t - 1)) - (c.subs(t, t + 1) - c)
    q = [sp.Integer(1), h]
    for i in (1, 2):
        q.append(sp.expand(h * (q[i] + sp.Rational(i - 1, i + 2) * (q[i] - q[i - 1]))))
    now, before, next_, keep, beta, x, e, d = reals("q_t q_(t-1) q_(t+1) h beta x e d")
    filtered = [keep > 0, keep < 1, beta >= 0, next_ == keep * (now + beta * (now - before))]
    return proof(
        "sympy for the slope, z3 for the steps; inductions over t by hand",
        "every s > 0, μ > 0 and t",
        "by hand: a round takes q_t + β_t (q_t − q_(t−1)) to h times it, q_0 = 1, q_1 = h",
        zero("slopes: 1 + β_t (c_t − c_(t−1)) − (c_(t+1) − c_t) = {}", step),
        vanish("c_1 = 1 and c_2 = 2", [c.subs(t, 1) - 1, c.subs(t, 2) - 2]),
        "by hand: the energy is that of theorem momentum-rate for F* = v²/2s, so |z_t| ≤ 1 with "
        "z_t = q_(t−1) + (t + 1)/2 (q_t − q_(t−1)); q_t is between q_(t−1) and z_t, so |q_t| ≤ 1",
        implies(
            "with 1 − h = hx: q_t − q_(t+1) ≤ x(1 + β d) if q_(t−1) − q_t ≤ d x, q_t ≤ 1",
            [*filtered, keep * (1 + x) == 1, x > 0, d >= 0, before - now <= d * x, now <= 1],
            now - next_ <= x * (1 + beta * d),
        ),
        "by hand: summed over rounds, 1 − q_t ≤ c_t x",
        implies(
            "a filter that has not risen and is not negative: q_(t+1) ≤ h q_t",
            [*filtered, now <= before],
            next_ <= keep * now,
        ),
        implies(
            "and then it has not risen either",
            [*filtered, now <= before, now >= 0, e == next_],
            e <= now,
        ),
        "by hand: so q_t ≤ h^t up to the first round after one below 0",
        vanish("q_3 = h²(5h − 1)/4, below 0 for μ > 4s", [q[3] - h**2 * (5 * h - 1) / 4]),
    )


def _draw(rng: np.random.Generator) -> Instance:
    s = float(10 ** rng.uniform(-2, 2))
    return {
        "eigenvalue": s,
        "mu": s * float(10 ** rng.uniform(-4, 1)),
        "rounds": int(rng.integers(1, 25)),
        "momentum": 1.0,
    }


def _without_momentum(rng: np.random.Generator) -> Instance:
    rounds = int(rng.integers(35, 45))
    return {"eigenvalue": 1.0, "mu": 1 / rounds, "rounds": rounds, "momentum": 0.0}


def _filters(instance: Instance) -> list[float]:
    """q_0, …, q_T: what rounds keep of two equal rows, whose Gram matrix has the eigenvalue s."""
    s, count = instance["eigenvalue"], instance["rounds"]
    n, k = 2, 2
    head = LinearizedHead(instance["mu"] / (k * n))
    rows, targets = np.full((n, 1), math.sqrt(s / n)), np.eye(k)[[0, 0]]
    made = distill(head, features(rows, k), targets, count, momentum=bool(instance["momentum"]))
    return [1.0, *(float(fit.deviations[0, 0]) / (1 - 1 / k) for fit in made)]


def _compare(
    instance: Instance, extra: bool = True, rate: float = 2.0, while_positive: bool = True
) -> Check:
    x, q = instance["mu"] / instance["eigenvalue"], _filters(instance)
    kept, checks, given = 1 / (1 + x), [], 1.0
    for t in range(1, len(q)):
        # |q_t| ≤ 1 as a polynomial in h on [0, 1], so its slope is at most 2t² (Markov), and h and
        # each of t steps round a few times.
        error = 16 * (2 * t * t + t) * EPS
        spent = _spent(t) if extra else t * t / 8
        checks.append(bound(1 - q[t], spent * x, error))
        checks.append(bound(abs(q[t]) * math.sqrt(x) * (t + 1), rate, (t + 1) * error))
        if min(q[:t]) >= 0 or not while_positive:
            checks.append(bound(q[t], kept**t, error))
        by_recursion = abs(q[t] - kept * given) <= error
        checks[-1] = checks[-1].also(by_recursion or not instance["momentum"])
        given = q[t] + (t - 1) / (t + 2) * (q[t] - q[t - 1])
    return worst(checks)


def _instance(eigenvalue: object, mu: object, rounds: int = 1, momentum: bool = True) -> Instance:
    return {
        "eigenvalue": real("eigenvalue", eigenvalue),
        "mu": real("mu", mu),
        "rounds": check_integer("rounds", rounds, 1),
        "momentum": float(bool(momentum)),
    }


THEOREM = Theorem(
    name="momentum-filter",
    title="What momentum keeps of an eigenvalue",
    source="D (accelerated gradients on a parabola: Nesterov 1983, Su, Boyd & Candès 2016)",
    kind="upper bound",
    hypotheses=(
        Hypothesis("eigenvalue", r"s > 0", test=above("eigenvalue", "s")),
        Hypothesis("weight decay", r"\mu > 0", test=above("mu", "μ")),
        Hypothesis(
            "momentum",
            r"q_0 = 1,\ q_1 = h,\ q_{t+1} = h\,(q_t + \tfrac{t-1}{t+2} (q_t - q_{t-1})), \quad "
            r"h = \tfrac{s}{s + \mu}",
            _without_momentum,
            equals("momentum", "factor of the momentum", lambda i: 1.0),
        ),
    ),
    statement=r"1 - \frac{t^2 + 5t + 2}{8} \frac{\mu}{s} \le q_t, \quad \lvert q_t \rvert \le "
    r"\frac{2}{t + 1} \sqrt{\frac{s}{\mu}}, \quad q_t \le h^t \text{ if } q_1, \dots, q_{t-1} \ge "
    r"0; \quad q_3 < 0 \iff \mu > 4s",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "t²/8": lambda i: _compare(i, extra=False),
        "half the rate": lambda i: _compare(i, rate=1.0),
        "never above plain rounds": lambda i: _compare(i, while_positive=False),
    },
    tight_within=0.01,
    arguments={
        "eigenvalue": "s > 0 of a Gram matrix",
        "mu": "μ > 0; μ = K N λ",
        "rounds": ROUNDS,
        "momentum": "False for plain rounds; True unless told",
    },
    instance=_instance,
    runs=("gramlab.distill", "gramlab.LinearizedHead.fit"),
)

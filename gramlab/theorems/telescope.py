"""All rounds share out one gradient: what they take, weighted by weight decay, adds up exactly."""

import numpy as np
import sympy as sp

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    rounds_instance,
    total,
    worst,
)
from gramlab.theorems.form import Check, Instance, Proof, Theorem, equal
from gramlab.theorems.steps import proof, zero


def _prove() -> Proof:
    # One entry of round t: λ_t w_t + m_t = m_(t−1), where m_0 = u_1.
    lam, w, before, now, first = sp.symbols("lambda w m_before m_now u_1", real=True)
    taken = first - before  # Σ_(s<t) λ_s w_s
    return proof(
        "sympy, entry by entry; induction over t by hand",
        "every N, d, K, t and every weight decay of each round, all symbolic",
        zero(
            "Σ_(s<t) λ_s W_s = u_1 − u_t and λ_t W_t + u_(t+1) = u_t give Σ_(s≤t) λ_s W_s − "
            "(u_1 − u_(t+1)) = {}",
            (taken + lam * w - (first - now)).subs(w, (before - now) / lam),
        ),
        "by hand: induction over t from the empty sum; u_(t+1) = XᵀP_t/N",
    )


def _compare(instance: Instance, more: int = 0, weighted: bool = True) -> Check:
    rounds = exact_rounds(instance)
    mean = float(np.mean(instance["decays"]))
    checks = []
    for t in range(1, len(rounds) + 1 - more):
        taken = total((r.decay if weighted else mean) * r.weights for r in rounds[: t + more])
        left = rounds[0].given - rounds[t - 1].moment
        checks.append(equal(taken.value, left.value, (taken - left).error))
    return worst(checks)


THEOREM = Theorem(
    name="telescope",
    title="All rounds share out the gradient at zero",
    source="D",
    kind="identity",
    hypotheses=SUPPOSED,
    statement=r"\sum_{s \le t} \lambda_s W_s = \tfrac1N X^\top (Y - P_t)",
    prove=_prove,
    draw=draw_rounds,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "every round alike": lambda i: _compare(i, weighted=False),
    },
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)

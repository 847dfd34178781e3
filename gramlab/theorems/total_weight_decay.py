"""How near to uniform rounds are depends on the schedule through the total weight decay alone."""

import math

import sympy as sp
import z3

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    rounds_instance,
    start_gradient,
    uniform_moment,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero


def _prove() -> Proof:
    lam, w, x = sp.symbols("lambda w x", real=True)  # one entry of W_t and of u_(t+1) − u*
    # S = Λ_(t−1), n = λ_t, f, g: log K − H̄ before and after, b, r: ‖u − u*‖² before and after,
    # v, q: ‖W_(t−1)‖² and ‖W_t‖², i = ⟨W_t, u_(t+1) − u*⟩, c: ‖∇L(0)‖².
    s, n, f, g, b, r, v, q, i, c = reals("S n f g b r v q i c")
    total, d, m, y = reals("Lambda d m y")
    sizes = [total > 0, d >= 0, m >= 0, y >= 0]
    given = [s >= 0, n > 0, g >= 0, q >= 0]
    step = [b == r + n * n * q + 2 * n * i, i >= g, s * (f - g) >= s * n * q, s * s * (v - q) >= 0]
    return proof(
        "sympy for the identities, z3 for the inequalities; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t and every schedule; Var_p(u) ≥ 0 "
        "expanded with all symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        "by hand: F* is least at u* = M(0), where it is −log K, so D_t = F*(u_(t+1)) − F*(u*) = "
        "log K − H̄_t ≥ 0, and D_t ≤ ⟨W_t, u_(t+1) − u*⟩ as W_t is a subgradient at u_(t+1)",
        zero(
            "‖u_t − u*‖² − ‖u_(t+1) − u*‖² − λ²‖W_t‖² − 2λ⟨W_t, u_(t+1) − u*⟩ = {} entry by "
            "entry, where u_t = u_(t+1) + λ_t W_t",
            (x + lam * w) ** 2 - x**2 - lam**2 * w**2 - 2 * lam * w * x,
        ),
        implies(
            "2ΛD + ‖u − u*‖² + Λ²‖W‖² never grows: with D_(t−1) − D_t ≥ λ_t‖W_t‖² and ‖W_t‖ ≤ "
            "‖W_(t−1)‖ (theorems entropy-step, shrinking-weights) where Λ_(t−1) > 0, and from "
            "‖u_1 − u*‖² = ‖∇L(0)‖² where Λ_0 = 0",
            [*given, *step],
            2 * (s + n) * g + r + (s + n) * (s + n) * q <= 2 * s * f + b + s * s * v,
        ),
        "by hand: induction over t",
        implies(
            "2ΛD + y² + Λ²m² ≤ c and D ≤ m y, for y = ‖u − u*‖ and m = ‖W‖, give 4ΛD ≤ c and "
            "Λ²m² ≤ c",
            [*sizes, d <= m * y, 2 * total * d + y * y + total * total * m * m <= c],
            z3.And(4 * total * d <= c, total * total * m * m <= c),
        ),
    )


def _compare(instance: Instance, squares: float = 1.0, share: float = 4.0) -> Check:
    x, k = instance["x"], instance["targets"].shape[1]
    start, least = start_gradient(x, instance["targets"]), uniform_moment(x, k)
    size, spent, checks = start.norm**2, 0.0, []
    for r in exact_rounds(instance):
        spent += r.decay
        left, away = math.log(k) - float(r.entropy.value), r.moment - least
        value = 2 * spent * left + away.norm**2 + squares * spent**2 * r.weights.norm**2
        error = 2 * spent * r.entropy.error + away.square_error + start.square_error
        error += spent**2 * r.weights.square_error
        found = bound(value, size, error)
        rate = bound(share * spent * left, size, share * spent * r.entropy.error + error)
        shrunk = bound(spent * r.weights.norm, start.norm, spent * r.weights.error + start.error)
        checks.append(found.also(rate.holds).also(shrunk.holds))
    return worst(checks)


THEOREM = Theorem(
    name="total-weight-decay",
    title="Predictions become uniform at the rate of the total weight decay",
    source="D (proximal point: Güler 1991; the constant 4: Taylor, Hendrickx & Glineur 2017)",
    kind="upper bound",
    hypotheses=SUPPOSED,
    statement=r"2 \Lambda_t (\log K - \bar H_t) + \tfrac{1}{N^2} \lVert X^\top (P_t - \tfrac1K) "
    r"\rVert_F^2 + \Lambda_t^2 \lVert W_t \rVert_F^2 \le \lVert \nabla L(0) \rVert_F^2, \quad "
    r"\Lambda_t = \sum_{s \le t} \lambda_s, \text{ so } \log K - \bar H_t \le "
    r"\frac{\lVert \nabla L(0) \rVert_F^2}{4 \Lambda_t}, \quad \lVert W_t \rVert_F \le "
    r"\frac{\lVert \nabla L(0) \rVert_F}{\Lambda_t}",
    prove=_prove,
    uses=("entropy-step", "shrinking-weights"),
    draw=draw_rounds,
    check=_compare,
    planted={
        "twice the square of the weights": lambda i: _compare(i, squares=2.0),
        "a tenth of the total weight decay": lambda i: _compare(i, share=10.0),
    },
    tight_within=0.02,
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)

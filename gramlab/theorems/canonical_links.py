"""The laws of rounds need convexity alone: regression, counts and multilabel heads obey them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import sympy as sp
from scipy.special import expit

from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import RidgeHead
from gramlab.numerics.rounding import gamma
from gramlab.theorems._arguments import FEATURES, array, rows
from gramlab.theorems._heads import features
from gramlab.theorems._hypotheses import above
from gramlab.theorems._rounds import Known, draw_rows_of_rank, natural_decay, total, worst
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem, bound, equal
from gramlab.theorems.steps import implies, proof, reals, zero

Values = Callable[[np.ndarray], np.ndarray]


class Link(NamedTuple):
    """A(v), its derivative, the mean, and the derivative of that, the variance."""

    partition: Values
    mean: Values
    variance: Values


LINKS = {
    "squared": Link(lambda v: v * v / 2, lambda v: v, np.ones_like),
    "logistic": Link(lambda v: np.logaddexp(0, v), expit, lambda v: expit(v) * expit(-v)),
    "poisson": Link(np.exp, np.exp, np.exp),
    "concave": Link(lambda v: -v * v / 2, lambda v: -v, lambda v: -np.ones_like(v)),
}


def _prove() -> Proof:
    v, lam = sp.symbols("v lambda", real=True)
    last, mean, head = sp.symbols("w_t w_mean v_head", real=True)  # one entry
    logistic = 1 / (1 + sp.exp(-v))
    # i = ⟨V − W̄, V − W_t⟩, m = ⟨M(V) − M(W_t), V − W_t⟩; x = ⟨W_(t−1) − W_t, W_t⟩, n = λx.
    total_, inner, grown, decay, x, n = reals("Lambda i m lambda x n")
    return proof(
        "sympy for the identities, z3 for the inequalities; the steps named below by hand",
        "scalars: every N, d, t, every number of outputs, every schedule, every convex A",
        zero(
            "A'' of v²/2, log(1 + e^v), e^v, less 1, p(1 − p), e^v: {}; each is above 0",
            [
                sp.diff(v**2 / 2, v, 2) - 1,
                sp.diff(sp.log(1 + sp.exp(v)), v, 2) - logistic * (1 - logistic),
                sp.diff(sp.exp(v), v, 2) - sp.exp(v),
            ],
        ),
        zero(
            "squared loss: λw + σ²w/N = σy/N along a singular direction is ridge regression: {}",
            sp.diff((last * mean - head) ** 2 / 2 + lam * last**2 / 2, last)
            - (lam * last + mean**2 * last - mean * head),
        ),
        "by hand: F(W) = (1/N) Σ_i A(Wᵀx_i) is convex, M = ∇F is monotone, and λ_s W_s = u_s − "
        "u_(s+1) adds up to u_1 − u_(t+1), so ΛV + M(V) = u_1 = ΛW̄ + M(W_t)",
        implies(
            "Λi = −m, m ≥ 0 and Λ > 0 give ⟨V − W̄, V − W_t⟩ ≤ 0",
            [total_ > 0, grown >= 0, total_ * inner == -grown],
            inner <= 0,
        ),
        implies(
            "⟨M(W_(t−1)) − M(W_t), W_(t−1) − W_t⟩ = λ⟨W_(t−1) − W_t, W_t⟩ ≥ 0 shrinks the weights",
            [decay > 0, n == decay * x, n >= 0],
            x >= 0,
        ),
        zero(
            "‖V − (W̄ + W_t)/2‖² − ‖W̄ − W_t‖²/4 − ⟨V − W̄, V − W_t⟩ = {}, entry by entry",
            (head - (mean + last) / 2) ** 2
            - (mean - last) ** 2 / 4
            - (head - mean) * (head - last),
        ),
    )


def _solved(x: np.ndarray, link: Link, decay: float, moment: np.ndarray) -> tuple[Known, Known]:
    """W with λW + XᵀA'(XW)/N = u by damped Newton, column by column, and its moment M(W)."""
    columns = [_column(x, link, decay, u) for u in moment.T]
    weights = np.stack(columns, axis=1)
    logits = x @ weights
    made = x.T @ link.mean(logits) / len(x)
    left = float(np.linalg.norm(decay * weights + made - moment))
    # Sums of N products; a mean is as far off as its argument, a sum of d products, can move it.
    sizes = np.linalg.norm(x, axis=1)[:, None] * (
        np.abs(link.mean(logits)) + np.abs(link.variance(logits)) * (np.abs(x) @ np.abs(weights))
    )
    size = float(np.linalg.norm(sizes.mean(axis=0))) + float(np.linalg.norm(moment))
    rounding = gamma(x.size + 8) * (size + decay * float(np.linalg.norm(weights)))
    return Known(weights, (left + rounding) / decay), Known(made, left + rounding)


def _column(x: np.ndarray, link: Link, decay: float, u: np.ndarray) -> np.ndarray:
    def value(w: np.ndarray) -> float:
        return float(link.partition(x @ w).mean() + decay * w @ w / 2 - u @ w)

    w, best = np.zeros(len(u)), np.inf
    for _ in range(100):
        gradient = x.T @ link.mean(x @ w) / len(x) + decay * w - u
        norm = float(np.linalg.norm(gradient))
        if norm >= best and norm <= 1e-9 * (1 + np.linalg.norm(u)):  # no digit is left to gain
            break
        best = min(best, norm)
        hessian = x.T @ (link.variance(x @ w)[:, None] * x) / len(x) + decay * np.eye(len(u))
        step, size = np.linalg.solve(hessian, gradient), 1.0
        with np.errstate(over="ignore", invalid="ignore"):  # a step too long is halved
            while size > 1e-9 and not value(w - size * step) <= value(w):
                size /= 2
        w = w - (size if norm > 1e-7 * (1 + np.linalg.norm(u)) else 1.0) * step
    return w


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows_of_rank(rng)
    shape, link = (
        (len(x), int(rng.integers(1, 4))),
        str(rng.choice(["squared", "squared", "logistic", "poisson"])),
    )
    drawn = {
        "squared": rng.standard_normal(shape),
        "logistic": rng.integers(0, 2, shape).astype(float),
        "poisson": rng.poisson(2.0, shape).astype(float),
    }
    decays = natural_decay(x, 1) * 10 ** rng.uniform(-2, 1, int(rng.integers(2, 6)))
    return {"x": x, "y": drawn[link], "decays": decays, "link": link}


def _concave(rng: np.random.Generator) -> Instance:
    """A = −v²/2, with a weight decay that makes the objective convex all the same."""
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    decay = float(np.linalg.norm(x, 2)) ** 2 / len(x) * rng.uniform(1.5, 2)
    return {"x": x, "y": y, "decays": np.full(3, decay), "link": "concave"}


def _instance(features: object, labels: object, weight_decays: object, link: object) -> Instance:
    x, decays = rows(features), array("weight_decays", weight_decays, None)
    if link not in LINKS or len(decays) < 2:
        raise InvalidSetting(
            f"link must be one of {', '.join(LINKS)} with at least two weight decays, got {link!r} "
            f"with {len(decays)}; see the theorem's arguments"
        )
    return {"x": x, "y": array("labels", labels, len(x), None), "decays": decays, "link": link}


def _ridge_agrees(instance: Instance, weights: list[Known]) -> bool:
    """Whether the package's ridge head makes the same rounds; one more column makes rows sum."""
    x, y = instance["x"], instance["y"]
    targets = np.column_stack([y, -y.sum(axis=1)])
    k = targets.shape[1]
    heads = [RidgeHead(float(decay)) for decay in instance["decays"]]
    made = distill(heads, features(x, k), targets + 1 / k, len(heads), signed_targets=True)
    carried = 0.0
    for fit, known, decay in zip(made, weights, instance["decays"], strict=True):
        certificate = fit.certificate
        # Predictions passed on are rounded as sums of products are.
        rounding = gamma(x.size + 8) * natural_decay(x, 1) * float(np.linalg.norm(fit.weights))
        carried += certificate.gradient_norm + certificate.gradient_rounding + rounding
        carried += (
            gamma(len(x) + 8)
            * float(np.mean(np.linalg.norm(x, axis=1)))
            * (1 + float(np.abs(targets).max()))
        )
        if np.linalg.norm(fit.weights[:, :-1] - known.value) > known.error + carried / decay:
            return False
    return True


def _compare(
    instance: Instance, radius: float = 1.0, weighted: bool = True, more: int = 0
) -> Check:
    x, decays, link = instance["x"], instance["decays"], LINKS[instance["link"]]
    first = x.T @ instance["y"] / len(x)
    given = Known(
        first, gamma(len(x) + 8) * float(np.linalg.norm(np.abs(x).T @ np.abs(instance["y"])))
    )
    weights: list[Known] = []
    moments = [given]
    for decay in decays:
        own, made = _solved(x, link, decay, moments[-1].value)
        carried = moments[-1].error
        weights.append(Known(own.value, own.error + carried / decay))
        moments.append(Known(made.value, made.error + carried))
    checks = []
    for t in range(2, len(decays) + 1):
        shares = decays[:t] if weighted else np.full(t, decays[:t].mean())
        taken = total(s * w for s, w in zip(shares, weights, strict=False))
        shared = equal(
            taken.value,
            (given - moments[t - more]).value,
            taken.error + moments[t].error + given.error,
        )
        before, last, mean = weights[t - 2], weights[t - 1], (1 / shares.sum()) * taken
        head, _ = _solved(x, link, float(decays[:t].sum()), given.value)
        head = Known(head.value, head.error + given.error / decays[:t].sum())
        away, across = head - 0.5 * (mean + last), 0.5 * radius * (mean - last)
        shrunk = last - 0.5 * before
        small = bound(shrunk.norm, 0.5 * before.norm, shrunk.error + 0.5 * before.error)
        found = bound(away.norm, across.norm, away.error + across.error)
        checks.append(found.also(shared.holds).also(small.holds))
    agrees = instance["link"] != "squared" or _ridge_agrees(instance, weights)
    return worst(checks).also(agrees)


THEOREM = Theorem(
    name="canonical-links",
    title="The laws of rounds for every canonical link",
    source="D (squared loss: Mobahi, Farajtabar & Bartlett 2020, Borup & Andersen 2021)",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "convex log-partition",
            r"M(W) = \tfrac1N X^\top A'(XW),\ A \text{ convex: } \tfrac{v^2}{2} \text{ (squared "
            r"loss)},\ \log(1 + e^v) \text{ (labels)},\ e^v \text{ (counts)}",
            _concave,
            lambda i: Held(i["link"] != "concave", f"link {i['link']}"),
        ),
        Hypothesis("weight decays", r"\lambda_t > 0", test=above("decays", "λ_t")),
    ),
    statement=r"\lambda_t W_t + M(W_t) = M(W_{t-1}),\ M(W_0) = \tfrac1N X^\top Y{:} \quad "
    r"\sum_{s \le t} \lambda_s W_s = \tfrac1N X^\top Y - M(W_t), \quad \lVert W_{t+1} - \tfrac12 "
    r"W_t \rVert_F \le \tfrac12 \lVert W_t \rVert_F, \quad \lVert V - \tfrac12 (\bar W_t + W_t) "
    r"\rVert_F \le \tfrac12 \lVert \bar W_t - W_t \rVert_F",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.5),
        "every round alike": lambda i: _compare(i, weighted=False),
        "the moment of the round before": lambda i: _compare(i, more=1),
    },
    tight_within=0.05,
    arguments={
        "features": FEATURES,
        "labels": "(N, m), numbers, counts, or 0 and 1",
        "weight_decays": "(t,), λ > 0 of each round, t ≥ 2",
        "link": "squared, poisson or logistic, or concave, which is the link of no family",
    },
    instance=_instance,
    runs=("gramlab.RidgeHead.fit", "gramlab.distill"),
)

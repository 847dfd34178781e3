"""The laws of rounds need convexity alone: regression, counts and multilabel heads obey them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import RidgeHead
from gramlab.numerics.rounding import gamma
from gramlab.theorems import _rounds as rounds
from gramlab.theorems._arguments import FEATURES, array
from gramlab.theorems._heads import features, newton, targets_of
from gramlab.theorems._hypotheses import above
from gramlab.theorems._rounds import Known
from gramlab.theorems.form import Argument, Check, Held, Hypothesis, Instance, Rocq, Theorem
from gramlab.theorems.the_ball import ball

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


def _head(x: np.ndarray, link: Link, decay: float, given: Known) -> tuple[Known, Known]:
    """W (d, m) for the moment u = ``given``, and M(W); what is given wrongly is passed on whole."""
    weights = np.stack([_column(x, link, decay, u) for u in given.value.T], axis=1)
    logits = x @ weights
    made = x.T @ link.mean(logits) / len(x)
    left = float(np.linalg.norm(decay * weights + made - given.value))
    # Sums of N products; a mean is as far off as its argument, a sum of d products, can move it.
    moved = np.abs(link.variance(logits)) * (np.abs(x) @ np.abs(weights))
    sizes = np.linalg.norm(x, axis=1)[:, None] * (np.abs(link.mean(logits)) + moved)
    size = float(np.linalg.norm(sizes.mean(axis=0))) + float(np.linalg.norm(given.value))
    rounding = gamma(x.size + 8) * (size + decay * float(np.linalg.norm(weights)))
    error = left + rounding + given.error
    return Known(weights, error / decay), Known(made, error)


def _column(x: np.ndarray, link: Link, decay: float, u: np.ndarray) -> np.ndarray:
    """One column of W."""

    def value(w: np.ndarray) -> float:
        return float(link.partition(x @ w).mean() + decay * w @ w / 2 - u @ w)

    def step(w: np.ndarray) -> np.ndarray:
        gradient = x.T @ link.mean(x @ w) / len(x) + decay * w - u
        hessian = x.T @ (link.variance(x @ w)[:, None] * x) / len(x) + decay * np.eye(len(u))
        return np.linalg.solve(hessian, gradient)

    return newton(value, step, np.zeros(len(u)))


def _draw(rng: np.random.Generator) -> Instance:
    x = rounds.draw_rows_of_rank(rng)
    shape = len(x), int(rng.integers(1, 4))
    link = str(rng.choice(["squared", "squared", "logistic", "poisson"]))
    drawn = {
        "squared": rng.standard_normal(shape),
        "logistic": rng.integers(0, 2, shape).astype(float),
        "poisson": rng.poisson(2.0, shape).astype(float),
    }
    size = float(np.mean((x**2).sum(axis=1)))
    decays = size * 10 ** rng.uniform(-2, 1, int(rng.integers(2, 6)))
    return {"x": x, "y": drawn[link], "decays": decays, "link": link}


def _concave(rng: np.random.Generator) -> Instance:
    """A = −v²/2, with a weight decay that makes the objective convex all the same."""
    x, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    decay = float(np.linalg.norm(x, 2)) ** 2 / len(x) * rng.uniform(1.5, 2)
    return {"x": x, "y": y, "decays": np.full(3, decay), "link": "concave"}


def _ridge_agrees(instance: Instance, weights: list[Known]) -> bool:
    """Whether the package's ridge head makes the same rounds."""
    x, decays, targets = instance["x"], instance["decays"], targets_of(instance["y"])
    heads, used = [RidgeHead(float(decay)) for decay in decays], features(x, targets.shape[1])
    made = distill(heads, used, targets, len(heads), signed_targets=True)
    carried = rounds.moment(x, targets).error
    for fit, known, decay in zip(made, weights, decays, strict=True):
        own = fit.certificate
        carried += own.gradient_norm + own.gradient_rounding
        carried += rounds.moment(x, x @ fit.weights).error
        if np.linalg.norm(fit.weights[:, :-1] - known.value) > known.error + carried / decay:
            return False
    return True


def _compare(
    instance: Instance, radius: float = 1.0, weighted: bool = True, more: int = 0
) -> Check:
    x, decays, link = instance["x"], instance["decays"], LINKS[instance["link"]]
    weights: list[Known] = []
    moments = [rounds.moment(x, instance["y"])]
    for decay in decays:
        own, made = _head(x, link, float(decay), moments[-1])
        weights.append(own)
        moments.append(made)
    checks = []
    for t in range(2, len(decays) + 1):
        shares = decays[:t] if weighted else np.full(t, decays[:t].mean())
        once, _ = _head(x, link, float(decays[:t].sum()), moments[0])
        taken, half = rounds.weighted(shares, weights[:t]), 0.5 * weights[t - 2]
        shared = rounds.same(taken, moments[0] - moments[t - more])
        shrunk = rounds.shorter(weights[t - 1] - half, half)
        checks.append(ball(once, shares, weights[:t], radius).also(shared.holds and shrunk.holds))
    agrees = instance["link"] != "squared" or _ridge_agrees(instance, weights)
    return rounds.worst(checks).also(agrees)


def _link(name: str, value: object, sizes: dict[str, int]) -> object:
    if not isinstance(value, str) or value not in LINKS:
        links = ", ".join(LINKS)
        raise InvalidSetting(f"{name} must be one of {links}, got {value!r}; pass one of them")
    return value


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
        Hypothesis(
            "weight decays",
            r"\lambda_t > 0,\ \Lambda = \sum_{s \le t} \lambda_s,\ \bar W_t = \tfrac{1}{\Lambda} "
            r"\sum_{s \le t} \lambda_s W_s,\ \Lambda V + M(V) = \tfrac1N X^\top Y",
            test=above("decays", "λ_t"),
        ),
    ),
    statement=r"\lambda_t W_t + M(W_t) = M(W_{t-1}),\ M(W_0) = \tfrac1N X^\top Y{:} \quad "
    r"\sum_{s \le t} \lambda_s W_s = \tfrac1N X^\top Y - M(W_t), \quad \lVert W_{t+1} - \tfrac12 "
    r"W_t \rVert_F \le \tfrac12 \lVert W_t \rVert_F, \quad \lVert V - \tfrac12 (\bar W_t + W_t) "
    r"\rVert_F \le \tfrac12 \lVert \bar W_t - W_t \rVert_F",
    kernel=Rocq("canonical_links.v", ("canonical_links",)),
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
        "labels": array("numbers, counts, or 0 and 1", "N", "m", key="y"),
        "weight_decays": rounds.ARGUMENTS["weight_decays"],
        "link": Argument(
            "squared, poisson or logistic, or concave, which is the link of no family", _link
        ),
    },
    runs=("gramlab.RidgeHead.fit", "gramlab.distill"),
)

"""Linear rounds on features of their own are the filters of their Gram matrices, in order."""

from typing import Any

import numpy as np

from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import LinearizedHead
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import apply_filter, linear_mu
from gramlab.theorems._arguments import FEATURES, array
from gramlab.theorems._heads import features
from gramlab.theorems._rounds import DECAYS, TARGETS, draw_targets
from gramlab.theorems.closed_form import slow
from gramlab.theorems.form import Argument, Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    n, k, rounds = int(rng.integers(2, 10)), int(rng.integers(2, 5)), int(rng.integers(1, 5))
    return {
        "x": [rng.standard_normal((n, int(rng.integers(1, 6)))) for _ in range(rounds)],
        "targets": draw_targets(rng, n, k),
        "decays": 10 ** rng.uniform(-3, 1, rounds),
    }


def _compare(instance: Instance, reverse: bool = False, first: bool = False, k: int = 0) -> Check:
    """Round by round from the stationarity equations, against filters, and against ``distill``."""
    xs, decays, targets = instance["x"], instance["decays"], instance["targets"]
    n, classes = targets.shape
    slowly = filtered = targets - 1 / classes
    tolerance = 0.0
    for x, decay in zip(xs, decays, strict=True):
        told = {"x": x, "targets": slowly + 1 / classes, "weight_decay": decay, "rounds": 1}
        slowly = slow(told)[1]
        mu = linear_mu(classes, n, decay)
        tolerance += 1e-13 * (1 + np.linalg.norm(x) ** 2 / mu) * (1 + np.abs(targets).max())
    pairs = list(zip(xs, decays, strict=True))
    for x, decay in pairs[::-1] if reverse else pairs:
        spectrum = Spectrum.of(features(xs[0] if first else x, classes))
        filtered = apply_filter(spectrum, filtered, linear_mu(k or classes, n, decay))
    heads = [LinearizedHead(decay) for decay in decays]
    used = [features(x, classes) for x in xs]
    made = distill(heads, used, targets, len(heads), signed_targets=True)[-1].deviations
    return equal(filtered, slowly, tolerance).also(np.abs(made - slowly).max() <= tolerance)


def _each(name: str, value: object, sizes: dict[str, int]) -> list[np.ndarray]:
    told = value if isinstance(value, (list, tuple)) else [value]
    found = []
    for one in told:
        sizes.pop("d", None)  # each round has a width of its own
        found.append(FEATURES.read(name, one, sizes))
    return found


def _instance(x: list[np.ndarray], decays: np.ndarray, **more: Any) -> Instance:
    if len(x) != len(decays):
        raise InvalidSetting(
            f"features must be one matrix for each of {len(decays)} weight decays, got {len(x)}; "
            "see the theorem's arguments"
        )
    return {"x": x, "decays": decays, **more}


THEOREM = Theorem(
    name="weak-to-strong",
    title="Teacher and students on features of their own",
    source="D",
    kind="identity",
    hypotheses=(
        TARGETS,
        DECAYS,
        Hypothesis(
            "features of each round",
            r"X_t \in \mathbb{R}^{N \times d_t},\ G_t = X_t X_t^\top,\ \mu_t = K N \lambda_t",
        ),
    ),
    statement=r"W_t = \tfrac{1}{N\lambda_t} X_t^\top (A_{t-1} - A_t),\ "
    r"A_t = \tfrac1K (X_t W_t - \overline{X_t W_t}),\ A_0 = Y - \tfrac1K, \quad \text{so } "
    r"A_t = h_{\mu_t}(G_t) \cdots h_{\mu_1}(G_1)\, A_0, \quad h_\mu(s) = \frac{s}{s + \mu}",
    kernel=Rocq("weak_to_strong.v", ("weak_to_strong",)),
    uses=("closed-form",),
    draw=_draw,
    check=_compare,
    planted={
        "in the other order": lambda i: _compare(i, reverse=True),
        "the teacher's features throughout": lambda i: _compare(i, first=True),
        "μ = Nλ": lambda i: _compare(i, k=1),
    },
    arguments={
        "features": Argument(f"a list for the rounds, each {FEATURES}", _each, key="x"),
        "targets": array("rows of sum 1, which may have negative entries", "N", "K"),
        "weight_decays": array("λ > 0 of each round", "t", key="decays"),
    },
    instance=_instance,
    runs=("gramlab.distill", "gramlab.LinearizedHead.fit", "gramlab.spectrum.filters.apply_filter"),
)

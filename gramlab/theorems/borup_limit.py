"""Self-distillation with a share α of the labels tends to ridge with weight decay λ/α."""

import numpy as np

from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._heads import DECAY, draw_rows, ridge
from gramlab.theorems._hypotheses import above
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows(rng, 10, 7)
    return {
        "x": x,
        "y": rng.standard_normal(len(x)),
        "weight_decay": float(np.linalg.norm(x, 2) ** 2 * 10 ** rng.uniform(-1, 1) / len(x)),
        "start": rng.standard_normal(len(x)),
        "alpha": float(rng.uniform(0.05, 1.8)),
    }


def _check(instance: Instance, nu_factor: float | None = None, lost: int = 0) -> Check:
    """The error identity at a few rounds, and the limit (ν/α unless told) after enough of them."""
    x, y, start, alpha = (instance[name] for name in ("x", "y", "start", "alpha"))
    n, own = len(x), len(x) * instance["weight_decay"]
    nu = own / alpha if nu_factor is None else own * nu_factor
    limit = x @ np.linalg.solve(x.T @ x + nu * np.eye(x.shape[1]), x.T @ y)
    smooth = x @ ridge(x, np.eye(n), own)
    values, vectors = np.linalg.eigh(x @ x.T)
    factors = (1 - alpha) * filter_power(values.clip(min=0), own)
    error = vectors.T @ (start - limit)
    scale = n * max(float(np.abs(y).max()), float(np.abs(start).max()))
    # So many rounds leave less than 1e-13 of the start; where they diverge, twenty show it.
    largest = float(np.abs(factors).max())
    last = int(np.ceil(np.log(1e-13) / np.log(max(largest, 1e-9)))) if largest < 1 else 20
    found, checks = start, []
    for t in range(1, max(last, 5) + 1):
        found = smooth @ (alpha * y + (1 - alpha) * found)
        if t in (1, 2, 5):
            predicted = limit + vectors @ (factors ** (t - lost) * error)
            checks.append(equal(found, predicted, 1e-11 * scale))
        if t == last:
            checks.append(equal(found, limit, 1e-10 * scale))
    return Check(all(check.holds for check in checks), max(check.slack for check in checks))


def _without_range(rng: np.random.Generator) -> Instance:
    # |1 − α| h(s₁) > 1: the rounds diverge.
    instance = _draw(rng)
    decay = 0.1 * float(np.linalg.norm(instance["x"], 2)) ** 2 / len(instance["x"])
    return {**instance, "weight_decay": decay, "alpha": float(rng.choice([-0.5, 2.5]))}


THEOREM = Theorem(
    name="borup-limit",
    title="Distillation with labels kept: ridge with weight decay λ/α",
    source="arXiv 2102.13088 (Borup & Andersen 2021); error identity D",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "share of the labels", r"0 < \alpha < 2", _without_range, above("alpha", "α", most=2.0)
        ),
        DECAY,
        Hypothesis("ridge smoother", r"S_\lambda = G (G + N\lambda)^{-1}"),
    ),
    statement=r"y^{(t)} = S_\lambda(\alpha y + (1-\alpha) y^{(t-1)}) \;\Rightarrow\; "
    r"y^{(t)} - S_{\lambda/\alpha}\, y = \bigl((1-\alpha) S_\lambda\bigr)^t "
    r"\bigl(y^{(0)} - S_{\lambda/\alpha}\, y\bigr) \to 0",
    kernel=Rocq("borup_limit.v", ("borup_limit",)),
    uses=("ridge-filter",),
    draw=_draw,
    check=_check,
    planted={
        "weight decay times α": lambda x: _check(x, x["alpha"]),
        "weight decay over 1 − α": lambda x: _check(x, 1 / abs(1 - x["alpha"])),
        "error of one round less": lambda x: _check(x, lost=1),
    },
    arguments=arguments.RIDGE
    | {
        "alpha": arguments.number("α, share of the labels kept in every round"),
        "start": arguments.array("y⁽⁰⁾; labels unless told", "N", default=lambda i: i["y"]),
    },
    instance=arguments.ridge,
    runs=("gramlab.spectrum.filters.filter_power",),
)

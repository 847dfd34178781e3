"""How large entrywise noise on a block Gram matrix may be for the sum to be a Gram matrix."""

from itertools import product
from typing import Any

import numpy as np

from gramlab.population import ClassBlockModel
from gramlab.theorems._arguments import MODEL, flag, number, whole
from gramlab.theorems._hypotheses import equals
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _instance(model: ClassBlockModel, share: float, **changes: Any) -> Instance:
    """Noise of a share of the threshold, with a zero diagonal and symmetric unless told."""
    usual = {"diagonal": 0.0, "symmetric": True, "seed": 0}
    return {"model": model, "epsilon": share * _threshold(model), **usual, **changes}


def _model(rng: np.random.Generator) -> ClassBlockModel:
    size, groups = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    k = max(2, size * groups)
    e, d, c = np.sort(rng.uniform(0, 0.95, 3)).tolist()
    return ClassBlockModel(k, 2 * int(rng.integers(1, 4)), c, d, e, size)


def _draw(rng: np.random.Generator) -> Instance:
    model, seed = _model(rng), int(rng.integers(2**32))
    ratio = rng.choice([rng.uniform(0.2, 0.999), 1.0, rng.uniform(1.001, 3.0)])
    return _instance(model, float(ratio), seed=seed)


def _threshold(model: ClassBlockModel) -> float:
    return (1 - model.within) / (model.n_samples - 1)


def _noises(instance: Instance) -> np.ndarray:
    """Noise within [−1, 1]: the worst pattern and random ones, or all extreme ones of few rows."""
    rows = instance["model"].n_samples
    upper = np.triu_indices(rows, 1)
    pairs = len(upper[0])
    if rows <= 3:
        patterns = list(product((-1.0, 1.0), repeat=pairs))
    else:
        rng = np.random.default_rng(instance["seed"])
        signs = (-1.0) ** np.arange(rows)
        patterns = [-np.outer(signs, signs)[upper], rng.uniform(-1, 1, pairs)]
        patterns += [rng.choice([-1.0, 1.0], pairs) for _ in range(3)]
    above = np.zeros((len(patterns), rows, rows))
    above[:, *upper] = patterns
    share = 1.0 if instance["symmetric"] else 0.5
    return share * above + above.mT + instance["diagonal"] * np.eye(rows)


def _compare(instance: Instance, factor: float = 1.0, strict: bool = False) -> Check:
    """Whether all are symmetric and positive semidefinite, up to rounding of the eigenvalues."""
    model, eps = instance["model"], instance["epsilon"]
    threshold = factor * _threshold(model)
    claim = eps < threshold if strict else eps <= threshold
    noisy = model.gram() + eps * _noises(instance)
    found = np.linalg.eigvalsh(noisy).min() >= -1e-13 * model.n_samples
    found = bool(found and (noisy == noisy.mT).all())
    return Check(claim == found, (eps - threshold) / threshold)


def _asymptotic(instance: Instance) -> Check:
    """With (1 − c) √3/(2√N), up to which uniform random noise does no harm as N grows."""
    n = instance["model"].n_samples
    return _compare(instance, (n - 1) * np.sqrt(3 / n) / 2)


def _odd(rng: np.random.Generator) -> Instance:
    d, c = np.sort(rng.uniform(0, 0.9, 2)).tolist()
    return _instance(ClassBlockModel(3, 1, c, 0.5 * d), 1.01)


def _even(instance: Instance) -> Held:
    n = instance["model"].samples_per_class
    return Held(n % 2 == 0, f"n = {n}")


THEOREM = Theorem(
    name="realizability",
    title="When a noisy block matrix is a Gram matrix",
    source="D; the noisy matrix: C",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis(
            "block model",
            r"0 \le e \le d \le c < 1,\ N = Kn",
            test=lambda i: Held(i["model"].within < 1, f"c = {i['model'].within:.6g}"),
        ),
        Hypothesis(
            "symmetric noise",
            r"E = E^\top",
            lambda rng: _instance(_model(rng), 0.99, symmetric=False),
            lambda i: Held(i["symmetric"], f"symmetric: {i['symmetric']}"),
        ),
        Hypothesis(
            "unit diagonal",
            r"E_{ii} = 0",
            lambda rng: _instance(_model(rng), 1.0, diagonal=-1.0),
            equals("diagonal", "diagonal of the noise", lambda i: 0.0),
        ),
        Hypothesis("even classes (for necessity)", r"n \in 2\mathbb{N}", _odd, _even),
    ),
    statement=r"G + E = XX^\top \text{ for some } X, \text{ for every } E \text{ with } "
    r"|E_{ij}| \le \varepsilon \iff \varepsilon \le \frac{1 - c}{N - 1}",
    kernel=Rocq("realizability.v", ("realizability", "realizability_sufficient")),
    uses=("block-spectrum",),
    draw=_draw,
    check=_compare,
    planted={
        "strict for non-strict": lambda i: _compare(i, strict=True),
        "twice as much": lambda i: _compare(i, 2.0),
        "the asymptotic threshold taken as sure": _asymptotic,
    },
    arguments={
        "model": MODEL,
        "epsilon": number("ε ≥ 0, largest entry of the noise"),
        "diagonal": number("of the noise, as a share of ε; 0 unless told", default=0.0),
        "symmetric": flag("False lets the noise above the diagonal be half of that below", True),
        "seed": whole("of the random patterns that are tried beside the worst one", 0, default=0),
    },
    runs=("gramlab.ClassBlockModel.gram",),
)

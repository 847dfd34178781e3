"""Davis–Kahan: how far the top-K eigenspace can lean away from the class indicators."""

import numpy as np

from gramlab.population import ClassBlockModel
from gramlab.theorems._arguments import GRAM, MODEL
from gramlab.theorems.form import Argument, Check, Held, Hypothesis, Instance, Rocq, Theorem, bound
from gramlab.validation import check_integer


def _indicators(model: ClassBlockModel) -> np.ndarray:
    n = model.samples_per_class
    return np.kron(np.eye(model.n_classes), np.ones((n, 1))) / np.sqrt(n)


def _draw(rng: np.random.Generator) -> Instance:
    k, n, c = int(rng.integers(2, 5)), int(rng.integers(2, 7)), float(rng.uniform(0.2, 0.9))
    d, kind = float(rng.uniform(0, 0.9 * c)), int(rng.integers(3))
    model = ClassBlockModel(k, n, c, d if kind == 2 else 0.0)
    block, gap, u = model.gram(), n * (c - model.superclass), _indicators(model)
    if kind == 0:  # a small lean, the same in all class directions: tight to first order
        w = rng.standard_normal(u.shape)
        w -= u @ (u.T @ w)
        w /= np.linalg.norm(w, 2)
        g = block + 1e-3 * gap * (u @ w.T + w @ u.T)
    elif kind == 1:  # a lean beside a direction outside the classes that has eaten half the gap
        w = np.zeros(len(block))
        w[:2] = np.sqrt(0.5), -np.sqrt(0.5)
        lean = 1e-2 * gap * (np.outer(u[:, 0], w) + np.outer(w, u[:, 0]))
        g = block + lean + rng.uniform(0.3, 0.8) * gap * np.outer(w, w)
    else:  # any symmetric perturbation that leaves a gap, by Weyl
        a = rng.standard_normal(block.shape)
        g = block + rng.uniform(0.01, 0.45) * gap * (a + a.T) / np.linalg.norm(a + a.T, 2)
    return {"model": model, "gram": g}


def _without_gap(rng: np.random.Generator) -> Instance:
    # A strong contrast inside every class: G − G₀ vanishes on the indicators, yet the top-K
    # eigenspace has turned away from all of them, and s_{K+1}(G) = s_D > s_B.
    k, n, c = int(rng.integers(2, 5)), int(rng.integers(2, 7)), float(rng.uniform(0.3, 0.9))
    model = ClassBlockModel(k, n, c, 0.1)
    w = np.kron(np.eye(k), np.r_[np.sqrt(0.5), -np.sqrt(0.5), np.zeros(n - 2)][:, None])
    return {"model": model, "gram": model.gram() + 2 * len(w) * (w @ w.T)}


def _no_superclasses(instance: Instance) -> Held:
    _, of_classes, of_superclasses, _ = instance["model"].exact_spectrum
    one = len(set(instance["model"].superclasses.tolist())) == 1 or of_classes == of_superclasses
    return Held(one, f"s_B = {float(of_classes):.6g}, s_C = {float(of_superclasses):.6g}")


def _gap(instance: Instance) -> Held:
    model = instance["model"]
    next_one = np.linalg.eigvalsh(instance["gram"])[-model.n_classes - 1]
    gap = float(model.spectrum[1] - next_one)
    return Held(gap > 0, f"δ = {gap:.6g}")


def _check(instance: Instance, factor: float = 1.0, population_gap: bool = False) -> Check:
    model, g = instance["model"], instance["gram"]
    u, rest = _indicators(model), len(g) - model.n_classes
    values, vectors = np.linalg.eigh(g)
    sine = float(np.linalg.norm(u - vectors[:, rest:] @ (vectors[:, rest:].T @ u), 2))
    s_a, s_b, _, _ = model.spectrum
    gap = abs(s_b - (s_a if population_gap else values[rest - 1]))
    limit = float(np.linalg.norm((g - model.gram()) @ u, 2)) / gap
    return bound(sine, factor * limit, 1e-12 * len(g))


def _model(name: str, value: object, sizes: dict[str, int]) -> ClassBlockModel:
    found = MODEL.read(name, value, sizes)
    check_integer("samples_per_class", found.samples_per_class, 2)  # else there is no s_{K+1}
    return found


THEOREM = Theorem(
    name="class-subspace",
    title="Davis–Kahan for the class subspace",
    source="D (Davis & Kahan 1970, against the class indicators)",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "block model",
            r"G_0 = (1-c) I + (c-d)\, I_K \otimes J_n + d\, J_N,\ 0 \le d < c < 1,\ "
            r"U = I_K \otimes 1_n/\sqrt{n}",
            test=_no_superclasses,
        ),
        Hypothesis("gap", r"\delta = s_B(G_0) - s_{K+1}(G) > 0", _without_gap, _gap),
    ),
    statement=r"\lVert \sin\Theta(V_K(G), U) \rVert_2 \le \frac{\lVert (G - G_0)\, U "
    r"\rVert_2}{\lvert s_B(G_0) - s_{K+1}(G) \rvert}, \quad s_B = 1 - c + n(c - d)",
    kernel=Rocq("class_subspace.v", ("class_subspace",)),
    uses=("block-spectrum",),
    draw=_draw,
    check=_check,
    planted={
        "a factor 2 less": lambda x: _check(x, 0.5),
        "the gap of the block model alone": lambda x: _check(x, 1.0, True),
    },
    tight_within=0.02,
    arguments={
        "model": Argument(f"{MODEL} without superclasses, of two samples a class or more", _model),
        "gram": GRAM,
    },
    runs=("gramlab.ClassBlockModel.gram", "gramlab.ClassBlockModel.spectrum"),
)

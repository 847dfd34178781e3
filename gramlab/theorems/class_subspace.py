"""Davis–Kahan: how far the top-K eigenspace can lean away from the class indicators."""

from __future__ import annotations

import numpy as np
import sympy as sp
import z3

from gramlab.theorems._decide_inequality import decide, reals, weakest
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound


def _prove() -> Proof:
    # Eigenvectors V⊥ of G (letter v), class indicators U (letter u): V⊥ᵀG = ΛV⊥ᵀ and G₀U = UM.
    v, u, lam, m = sp.symbols("v u Lambda M", commutative=False)
    sylvester = sp.expand((lam * v) * u - v * (u * m) - (lam * (v * u) - (v * u) * m))
    # After centring, ‖Λ‖ ≤ r and M ⪰ r + δ, so x = ‖Z(M−κ)‖ and y = ‖(Λ−κ)Z‖ obey:
    r, delta, z, x, y = reals("r delta z x y")
    norms, norm_line = decide(
        "‖ZM − ΛZ‖ ≥ δ‖Z‖",
        [r >= 0, delta > 0, z >= 0, x >= (r + delta) * z, y <= r * z],
        x - y >= delta * z,
    )
    # N = 2, K = 1 as a whole: G = l₁vvᵀ + l₂v⊥v⊥ᵀ, v = (c, s), U = e₁, G₀ = diag(β, anything).
    c, s, l1, l2, beta = reals("c s l1 l2 beta")
    first, second = l1 * c * c + l2 * s * s - beta, (l1 - l2) * c * s
    plane, plane_line = decide(
        "N = 2, K = 1, all of G, angle and gap free",
        [c * c + s * s == 1, beta > l2, l1 >= l2],
        (beta - l2) * (beta - l2) * s * s <= first * first + second * second,
    )
    # Class space of the block model: eigenvalues s_B and s_D = s_B + n K d.
    cc, d, n, k = reals("c d n K")
    s_b = 1 - cc + n * (cc - d)
    order, order_line = decide(
        "s_B is least on the class space and above s_A",
        [0 <= d, d < cc, cc < 1, n >= 1, k >= 1],
        z3.And(s_b + n * k * d >= s_b, s_b > 1 - cc),
    )
    identity = "proved" if sylvester == 0 else "unknown"
    return Proof(
        verdict=weakest(identity, norms, plane, order),
        method="sympy in noncommuting letters, z3; norm inequalities by hand",
        scope="every N, K and n: the Sylvester identity is in noncommuting letters, the norm step "
        "in real numbers. By hand: V⊥ᵀG = ΛV⊥ᵀ, G₀U = UM, ‖Z‖ ≤ ‖Z(M−κ)‖‖(M−κ)⁻¹‖ and "
        "‖V⊥ᵀEU‖ ≤ ‖EU‖. N = 2, K = 1 is decided by z3 as a whole",
        evidence=(
            f"V⊥ᵀ(G − G₀)U = ΛZ − ZM with Z = V⊥ᵀU, ‖Z‖ = ‖sin Θ‖: residual {sylvester}",
            "Λ ⪯ s_{K+1}(G) < s_B ⪯ M: centre the interval of Λ at κ with radius r; then "
            f"‖Z(M−κ)‖ ≥ (r + δ)‖Z‖ and ‖(Λ−κ)Z‖ ≤ r‖Z‖, so {norm_line}",
            plane_line,
            order_line,
            "Weyl: δ ≥ s_B − s_A − ‖G − G₀‖₂, a gap that needs no spectrum of G",
        ),
    )


def _block(n_classes: int, per_class: int, c: float, d: float) -> np.ndarray:
    same = np.kron(np.eye(n_classes), np.ones((per_class, per_class)))
    return (1 - c) * np.eye(len(same)) + (c - d) * same + d


def _base(rng: np.random.Generator) -> dict:
    k, n = int(rng.integers(2, 5)), int(rng.integers(2, 7))
    c = float(rng.uniform(0.2, 0.9))
    return {"n_classes": k, "per_class": n, "c": c, "d": float(rng.uniform(0, 0.9 * c))}


def _indicators(instance: Instance) -> np.ndarray:
    k, n = instance["n_classes"], instance["per_class"]
    return np.kron(np.eye(k), np.ones((n, 1))) / np.sqrt(n)


def _leaning(rng: np.random.Generator, model: dict) -> np.ndarray:
    """E with EU orthogonal to U, of norm 1 and the same in all class directions."""
    u = _indicators(model)
    w = rng.standard_normal(u.shape)
    w -= u @ (u.T @ w)
    w[:, model["n_classes"] :] = 0
    w /= np.linalg.norm(w, 2)
    return u @ w.T + w @ u.T


def _draw(rng: np.random.Generator) -> Instance:
    model = _base(rng)
    kind = int(rng.integers(3))
    if kind == 0:
        model["d"] = 0.0
    block = _block(**model)
    gap = model["per_class"] * (model["c"] - model["d"])
    if kind == 0:  # a small lean: tight to first order
        g = block + 1e-3 * gap * _leaning(rng, model)
    elif kind == 1:  # a lean beside a direction outside the classes that has eaten half the gap
        w = np.zeros(len(block))
        w[:2] = np.sqrt(0.5), -np.sqrt(0.5)
        u = _indicators(model)[:, 0]
        model["d"] = 0.0
        block, gap = _block(**model), model["per_class"] * model["c"]
        lean = 1e-2 * gap * (np.outer(u, w) + np.outer(w, u))
        g = block + lean + rng.uniform(0.3, 0.8) * gap * np.outer(w, w)
    else:  # any symmetric perturbation that leaves a gap, by Weyl
        a = rng.standard_normal(block.shape)
        g = block + rng.uniform(0.01, 0.45) * gap * (a + a.T) / np.linalg.norm(a + a.T, 2)
    return {**model, "g": g}


def _without_gap(rng: np.random.Generator) -> Instance:
    # A strong contrast inside every class: G − G₀ vanishes on the indicators, yet the top-K
    # eigenspace has turned away from all of them, and s_{K+1}(G) = s_D > s_B.
    model = {**_base(rng), "d": 0.1}
    model["c"] = float(rng.uniform(0.3, 0.9))
    contrast = np.zeros(model["per_class"])
    contrast[:2] = np.sqrt(0.5), -np.sqrt(0.5)
    w = np.kron(np.eye(model["n_classes"]), contrast[:, None])
    return {**model, "g": _block(**model) + 2 * len(w) * (w @ w.T)}


def _sides(instance: Instance, population_gap: bool = False) -> tuple[float, float]:
    u, g = _indicators(instance), instance["g"]
    values, vectors = np.linalg.eigh(g)
    rest = len(g) - instance["n_classes"]
    sine = float(np.linalg.norm(u - vectors[:, rest:] @ (vectors[:, rest:].T @ u), 2))
    c, d, n = instance["c"], instance["d"], instance["per_class"]
    block = _block(instance["n_classes"], n, c, d)
    below = (1 - c) if population_gap else float(values[rest - 1])
    gap = abs(1 - c + n * (c - d) - below)
    return sine, float(np.linalg.norm((g - block) @ u, 2)) / gap


def _check(instance: Instance, factor: float = 1.0, population_gap: bool = False) -> Check:
    sine, limit = _sides(instance, population_gap)
    return bound(sine, factor * limit, 1e-12 * len(instance["g"]))


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
        ),
        Hypothesis("gap", r"\delta = s_B(G_0) - s_{K+1}(G) > 0", _without_gap),
    ),
    statement=r"\lVert \sin\Theta(V_K(G), U) \rVert_2 \le "
    r"\frac{\lVert (G - G_0)\, U \rVert_2}{\lvert s_B(G_0) - s_{K+1}(G) \rvert}, \quad "
    r"s_B = 1 - c + n(c - d)",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={
        "a factor 2 less": lambda x: _check(x, 0.5),
        "the gap of the block model alone": lambda x: _check(x, 1.0, True),
    },
    tight_within=0.02,
)

"""How large entrywise noise on a block Gram matrix may be for the sum to be a Gram matrix."""

from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import sympy as sp
import z3

from gramlab.population import ClassBlockModel
from gramlab.theorems._arguments import MODEL, block_model, real
from gramlab.theorems._hypotheses import equals
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals, vanish, zero


def _published_noise() -> str:
    """Noise of ±0.05 at K = 4, c = 0.4, d = 0.1, n = 60: a negative square in exact arithmetic."""
    n, k, grid = 60, 4, 1024
    rng = np.random.default_rng(0)
    bound = int(0.05 * grid)
    noise = np.triu(rng.integers(-bound, bound + 1, (n * k, n * k)), 1)
    noise = noise + noise.T
    gram = ClassBlockModel(k, n, 0.4, 0.1).gram()
    value, vectors = np.linalg.eigh(gram + noise / grid)
    v = np.rint(vectors[:, 0] * 2**20).astype(np.int64).astype(object)
    tenths = np.rint(10 * gram).astype(np.int64).astype(object)
    square = Fraction(int(v @ tenths @ v), 10) + Fraction(int(v @ noise.astype(object) @ v), grid)
    if square >= 0:
        return "no negative square was established for the published noise"
    rayleigh = float(square / int(v @ v))
    return (
        f"entries up to 0.05, K = 4, n = {n}, c = 0.4, d = 0.1, independent symmetric noise on a "
        f"grid of 1/{grid}: a vector with Rayleigh quotient {rayleigh:.4f} in exact rational "
        f"arithmetic (smallest eigenvalue {value[0]:.4f}): no features have this Gram matrix. Sure "
        f"threshold {0.6 / (n * k - 1):.5f}; at n = 500 it is {0.6 / 1999:.5f}"
    )


def _prove() -> Proof:
    c, d, e, n, m, s, low, noise, eps, size = reals("c d e n m S low noise eps N")
    s_b = 1 - c + n * (c - d)
    s_c = s_b + n * m * (d - e)
    rows = 5
    v = sp.symbols(f"v:{rows}", real=True)
    pairs = sum((a - b) ** 2 for a, b in combinations(v, 2))
    # G v = (1 − c) v for signs v that balance inside every class, K = 3, n = 4, G symbolic.
    inside, beside = sp.symbols("c d", real=True)
    classes = sp.Matrix(12, 12, lambda i, j: inside if i // 4 == j // 4 else beside)
    gram, signs = classes + (1 - inside) * sp.eye(12), sp.Matrix([1, -1, 1, -1] * 3)
    return proof(
        "z3 for the inequalities, sympy for the two identities, Rayleigh quotients by hand",
        "n, K, superclass sizes, c, d, e, ε symbolic in the inequalities; Lagrange's "
        f"identity expanded at N = {rows} and the eigenvector at K = 3, n = 4 (both are sums over "
        "pairs and classes at every size); the eigenvalues are those of the block spectrum",
        implies(
            "1 − c is the smallest of the four eigenvalues of the block Gram matrix",
            [0 <= e, e <= d, d <= c, c < 1, n >= 1, m >= 1, s >= 1],
            z3.And(s_b >= 1 - c, s_c >= 1 - c, s_c + n * m * s * e >= 1 - c),
        ),
        zero(
            f"N Σv² − (Σv)² − Σ_(i<j) (v_i − v_j)² at N = {rows}: {{}}; with |v| for v this "
            "is Σ_(i≠j) |v_i v_j| ≤ (N − 1)‖v‖²",
            rows * sum(a**2 for a in v) - sum(v) ** 2 - pairs,
        ),
        implies(
            "vᵀGv ≥ (1 − c)‖v‖², |vᵀEv| ≤ ε(N − 1)‖v‖² and ε ≤ (1 − c)/(N − 1) give vᵀ(G + E)v ≥ 0",
            [size > 1, low >= 1 - c, -noise <= eps * (size - 1), eps * (size - 1) <= 1 - c],
            low + noise >= 0,
        ),
        vanish(
            "n even: v = ±1, half of each sign in every class: Gv − (1 − c)v = 0: {}, and "
            "E_ij = −ε v_i v_j (i ≠ j) gives vᵀ(G + E)v = N((1 − c) − ε(N − 1))",
            gram * signs - (1 - inside) * signs,
        ),
        implies(
            "(1 − c) − ε(N − 1) ≥ 0 gives ε ≤ (1 − c)/(N − 1)",
            [size > 1, (1 - c) - eps * (size - 1) >= 0],
            eps <= (1 - c) / (size - 1),
        ),
        "XXᵀ is symmetric, so independent noise in entries (i, j) and (j, i) never is one",
        "asymptotic only, not proved here: independent symmetric noise, uniform on [−ε, ε], "
        "has norm ~ 2ε√(N/3), so with probability tending to one the threshold is "
        "(1 − c)√3/(2√N); for the symmetric part of fully independent noise it is √2 larger",
        _published_noise(),
    )


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


def _own(
    model: object,
    epsilon: object,
    diagonal: object = 0.0,
    symmetric: bool = True,
    seed: int = 0,
) -> Instance:
    settings = {"diagonal": real("diagonal", diagonal), "symmetric": bool(symmetric), "seed": seed}
    return {"model": block_model(model), "epsilon": real("epsilon", epsilon), **settings}


def _threshold(model: ClassBlockModel) -> float:
    return (1 - model.within) / (model.n_samples - 1)


def _noises(instance: Instance) -> list[np.ndarray]:
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
    out = []
    for pattern in patterns:
        noise = instance["diagonal"] * np.eye(rows)
        noise[upper] = noise.T[upper] = pattern
        if not instance["symmetric"]:
            noise[upper] *= 0.5
        out.append(noise)
    return out


def _is_gram(matrix: np.ndarray) -> bool:
    """Symmetric and positive semidefinite, up to rounding of the eigenvalues."""
    least = np.linalg.eigvalsh(matrix)[0]
    return bool((matrix == matrix.T).all() and least >= -1e-13 * len(matrix))


def _compare(instance: Instance, threshold: float, strict: bool = False) -> Check:
    model, eps = instance["model"], instance["epsilon"]
    claim = eps < threshold if strict else eps <= threshold
    found = all(_is_gram(model.gram() + eps * noise) for noise in _noises(instance))
    return Check(claim == found, (eps - threshold) / threshold)


def _asymptotic(model: ClassBlockModel) -> float:
    return (1 - model.within) * np.sqrt(3) / (2 * np.sqrt(model.n_samples))


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
    prove=_prove,
    uses=("block-spectrum",),
    draw=_draw,
    check=lambda i: _compare(i, _threshold(i["model"])),
    planted={
        "strict for non-strict": lambda i: _compare(i, _threshold(i["model"]), strict=True),
        "twice as much": lambda i: _compare(i, 2 * _threshold(i["model"])),
        "the asymptotic threshold taken as sure": lambda i: _compare(i, _asymptotic(i["model"])),
    },
    arguments={
        "model": MODEL,
        "epsilon": "ε ≥ 0, largest entry of the noise",
        "diagonal": "of the noise, as a share of ε; 0 unless told",
        "symmetric": "False lets the noise above the diagonal be half of that below",
        "seed": "of the random patterns that are tried beside the worst one",
    },
    instance=_own,
    runs=("gramlab.ClassBlockModel.gram",),
)

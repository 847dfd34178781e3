"""One exact head against scikit-learn and PyTorch L-BFGS, at equal measured gradient norm.

    python examples/benchmarks/one_head.py digits
    python examples/benchmarks/one_head.py digits features.npz --target 1e-4 --out docs/generated

Every method fits the same noisy one-hot labels with the same weight decay in the same process and
on the same threads. scikit-learn's tolerances mean something else, so each of its solvers is run
over a ladder of tolerances and the loosest that reaches the target is the one that counts; PyTorch
is stopped at the first iteration that reaches it. What was reached is measured for all of them by
one function, the float64 gradient of `gramlab.heads.objective.SoftmaxObjective`.

Writes one_head.json and one_head.md to --out. Seconds depend on the machine; quote the ratios.
PyTorch is optional: without it, its row says why it is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import gramlab
from gramlab.heads.objective import SoftmaxObjective
from gramlab.spectrum import Spectrum
from gramlab.storage import atomic_write, output_folder, to_json

LADDER = [10.0**-e for e in range(3, 11)]


@dataclass
class Row:
    """One method on one problem."""

    problem: str
    method: str
    seconds: float | None
    ratio: float | None
    gradient: float | None
    work: str


@dataclass
class Timed:
    """Weights and what it took to get them."""

    seconds: float
    gradient: float
    work: str


def measure(objective: SoftmaxObjective) -> Callable[[np.ndarray], float]:
    """‖∇L(W)‖/‖∇L(0)‖, the same for every method."""
    start = np.linalg.norm(objective.gradient(np.zeros(shape(objective))))
    return lambda weights: float(np.linalg.norm(objective.gradient(weights)) / start)


def shape(objective: SoftmaxObjective) -> tuple[int, int]:
    return objective.features.n_features, objective.n_classes


def timed(fit: Callable[[], tuple[np.ndarray, str]], reached, repeats: int) -> Timed:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        weights, work = fit()
        seconds.append(time.perf_counter() - began)
    return Timed(statistics.median(seconds), reached(weights), work)


def ours(features, targets, weight_decay, target, reached, repeats):
    """gramlab, the factorization of the features included and not."""
    head = gramlab.SoftmaxHead(weight_decay, tolerance=target**2)

    def warm():
        fit = head.fit(features, targets)
        return fit.weights, f"{fit.stats.passes:.0f} passes"

    def with_factorization():
        fresh = gramlab.Features(features.x, features.labels, n_classes=features.n_classes)
        fit = head.fit(fresh, targets)
        return fit.weights, f"{fit.stats.passes:.0f} passes + spectrum"

    warm()  # compiles
    yield "gramlab SoftmaxHead", timed(warm, reached, repeats)
    yield "gramlab, spectrum included", timed(with_factorization, reached, repeats)


def scikit_learn(solver, features, given, weight_decay, target, reached, repeats):
    """The loosest tolerance of the ladder that reaches the target."""
    x = features.as_float64()
    for tolerance in LADDER:
        model = LogisticRegression(
            C=1 / (features.n_samples * weight_decay),
            fit_intercept=False,
            solver=solver,
            tol=tolerance,
            max_iter=20_000,
        )

        def fit(model=model):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a missed tolerance shows in the measured gradient
                model.fit(x, given)
            iterations = int(np.max(model.n_iter_))
            return model.coef_.T, f"{iterations} iterations, tol={model.tol:.0e}"

        found = timed(fit, reached, 1)
        if found.gradient <= target:
            return timed(fit, reached, repeats) if repeats > 1 else found
    return found


def pytorch(features, targets, weight_decay, target, reached, repeats):
    """L-BFGS, memory 20, strong Wolfe line search, float64, stopped as soon as it will do."""
    import torch

    class Enough(Exception):
        pass

    x = torch.tensor(features.as_float64())
    t = torch.tensor(targets)

    def fit():
        weights = torch.zeros((x.shape[1], t.shape[1]), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weights],
            max_iter=20_000,
            max_eval=40_000,
            history_size=20,
            line_search_fn="strong_wolfe",
            tolerance_grad=0,
            tolerance_change=0,
        )
        norms = []

        def closure():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(x @ weights, t)
            loss = loss + 0.5 * weight_decay * weights.square().sum()
            loss.backward()
            norms.append(float(weights.grad.norm()))
            if norms[-1] <= target * norms[0]:
                raise Enough
            return loss

        with contextlib.suppress(Enough):
            optimizer.step(closure)
        return weights.detach().numpy().copy(), f"{len(norms)} evaluations"

    return timed(fit, reached, repeats)


def compare_on(source: str, weight_decay: float, unit: bool, target: float, repeats: int):
    features = gramlab.load_features(source)
    if unit:
        features = features.centered().unit_norm()
    k = features.n_classes
    matrix = gramlab.corruption_matrix("symmetric", k, 0.5)
    given = gramlab.corrupt_labels(features.labels, matrix, seed=0).labels
    targets = gramlab.one_hot(given, k)
    objective = SoftmaxObjective(features, targets - 1 / k, weight_decay)
    reached = measure(objective)
    Spectrum.of(features)
    name = Path(source).stem
    steps = "centred, unit norm" if unit else "raw"
    problem = (
        f"{name} ({steps}), N={features.n_samples}, d={features.n_features}, K={k}, "
        f"λ={weight_decay:g}"
    )
    print(problem, flush=True)
    found = list(ours(features, targets, weight_decay, target, reached, repeats))
    for solver in ("newton-cg", "lbfgs"):
        result = scikit_learn(solver, features, given, weight_decay, target, reached, repeats)
        found.append((f"scikit-learn {solver}", result))
    if util.find_spec("torch"):
        result = pytorch(features, targets, weight_decay, target, reached, repeats)
        found.append(("PyTorch L-BFGS", result))
    else:
        found.append(("PyTorch L-BFGS", None))
    base = found[0][1].seconds
    for method, result in found:
        if result is None:
            row = Row(problem, method, None, None, None, "skipped: PyTorch is not installed")
        else:
            row = Row(
                problem,
                method,
                result.seconds,
                result.seconds / base,
                result.gradient,
                result.work,
            )
        print("   ", row.method, row.seconds, row.gradient, row.work, flush=True)
        yield row


def markdown(rows: list[Row], settings: dict) -> str:
    """The table of docs/benchmarks.md."""
    lines = [
        f"Target: relative gradient norm {settings['target']:g} (relative gap "
        f"{settings['target'] ** 2:.0e}), symmetric noise at rate 0.5, seed 0; median of "
        f"{settings['repeats']} runs; {settings['machine']}.",
        "",
    ]
    for problem in dict.fromkeys(row.problem for row in rows):
        lines += [
            f"**{problem}**",
            "",
            "| method | seconds | time against gramlab | measured ‖g‖/‖g₀‖ | work |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            if row.problem != problem:
                continue
            if row.seconds is None:
                lines.append(f"| {row.method} | – | – | – | {row.work} |")
                continue
            missed = "" if row.gradient <= settings["target"] else " (target missed)"
            lines.append(
                f"| {row.method} | {row.seconds:.3g} | {row.ratio:.3g}× | "
                f"{row.gradient:.1e}{missed} | {row.work} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--target", type=float, default=1e-4, help="‖g‖/‖g(0)‖ to reach")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", default="out/benchmarks")
    options = parser.parse_args()
    folder = output_folder(options.out)
    versions = {}
    for name in ("gramlab", "numpy", "jax", "scikit-learn", "torch"):
        if util.find_spec({"scikit-learn": "sklearn"}.get(name, name)):
            versions[name] = metadata.version(name)
    settings = {
        "target": options.target,
        "repeats": options.repeats,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    rows = []
    for source in options.sources:
        for unit, weight_decay in ((False, 5e-4), (True, 1e-5)):
            rows += compare_on(source, weight_decay, unit, options.target, options.repeats)
    record = {"settings": settings, "rows": [asdict(row) for row in rows]}
    atomic_write(folder / "one_head.json", to_json(record))
    atomic_write(folder / "one_head.md", markdown(rows, settings))
    print(f"written: {folder / 'one_head.md'}")


if __name__ == "__main__":
    main()

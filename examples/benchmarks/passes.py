"""Passes of the exact head, as it is and with parts of its preconditioner set: counts, no seconds.

    python examples/benchmarks/passes.py digits features.npz --out docs/generated

Noisy labels (the teacher), then from the teacher's weights its predictions (a soft student) and its
two largest labels (a two-hot student), each to relative gap 1e-10 by the float64 referee. A pass is
two products with the features; the price of a preconditioner is in it. Variants say how many rows
of a class are kept, which the solver else reads off the predictions, for this table only.
"""

from __future__ import annotations

import argparse
import warnings
from unittest import mock

import numpy as np
from _measure import Problem, markdown_table, problems

import gramlab
from gramlab.files.whole import atomic_write, output_folder
from gramlab.heads import preconditioner
from gramlab.heads.referee import SoftmaxObjective

TOLERANCE = 1e-10
VARIANTS = {"as it is": None, "scalar metric only": 0, "64 rows": 64, "192 rows": 192}


def counts(problem: Problem) -> list[str]:
    """Passes of the teacher, of the soft and of the two-hot student; a dash for one that missed."""
    head = gramlab.SoftmaxHead(problem.weight_decay, tolerance=TOLERANCE)
    found = []

    def fit(targets: np.ndarray, start: np.ndarray | None = None) -> gramlab.Fit:
        fit = head.fit(problem.features, targets, start=start)
        deviations = targets - 1 / targets.shape[1]
        objective = SoftmaxObjective(problem.features, deviations, problem.weight_decay)
        gap = (np.linalg.norm(objective.gradient(fit.weights)) / objective.start_norm) ** 2
        found.append(f"{fit.stats.passes:.0f}" if gap <= TOLERANCE else "–")
        return fit

    teacher = fit(problem.targets)
    fit(teacher.probabilities, teacher.weights)
    fit(gramlab.partial_labels(teacher.probabilities, 2, seed=0), teacher.weights)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--out", default="out/benchmarks")
    options = parser.parse_args()
    folder = output_folder(options.out)
    warnings.simplefilter("ignore", gramlab.NotConvergedWarning)  # a dash in the table
    head = f"Passes of teacher / soft student / two-hot student to relative gap {TOLERANCE:.0e}."
    rows = []
    for problem in problems(options.sources, (5e-3, 5e-4, 5e-5)):
        rows.append({"problem": problem.name})
        for variant, kept in VARIANTS.items():
            rule = preconditioner.kept_rows if kept is None else lambda *_, kept=kept: kept
            with mock.patch.object(preconditioner, "kept_rows", rule):
                rows[-1][variant] = " / ".join(counts(problem))
        print(rows[-1], flush=True)
        atomic_write(folder / "passes.md", "\n".join([head, "", *markdown_table(rows)]))
    print(f"written: {folder / 'passes.md'}")


if __name__ == "__main__":
    main()

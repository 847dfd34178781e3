"""Passes of the exact head with parts of its solver taken away: counts, no seconds.

    python examples/benchmarks/passes.py digits features.npz --out docs/generated

Every variant solves the same noisy labels to relative gap 1e-10, measured by the float64 referee.
A pass is two matrix products with the features, Newton's mostly of bfloat16 numbers, by XLA but
for the last column. The variants
set private constants of the solver; that is for this table only. Counts are the same on every run
of one machine.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from unittest import mock

import numpy as np

import gramlab
from gramlab import device
from gramlab.heads import corrections, newton, small, tiles
from gramlab.heads.objective import SoftmaxObjective
from gramlab.spectrum import Spectrum
from gramlab.storage import atomic_write, output_folder, to_json

TOLERANCE = 1e-10


def always() -> bool:
    return True


def never() -> bool:
    return False


QUASI = {(device, "multiplies_bfloat16"): never, (small, "_WORK"): 0.0}
TILES = {(device, "multiplies_bfloat16"): always, (corrections, "_NEWTON_WORK"): 0.0}
NEWTON = TILES | {(tiles, "available"): never}
VARIANTS = {
    "quasi-Newton": QUASI,
    "scalar metric only": QUASI | {(corrections, "_CLASS_LEVEL"): 0.0},
    "class metric once": QUASI | {(corrections, "_CLASS_AGAIN"): 0.0},
    "class metric of 32 rows": QUASI | {(corrections, "_CLASS_ROWS"): 32},
    "class metric of 192 rows": QUASI | {(corrections, "_CLASS_ROWS"): 192},
    "5 pairs": QUASI | {(corrections, "_MEMORY"): 5},
    "20 pairs": QUASI | {(corrections, "_MEMORY"): 20},
    "float64 corrections": QUASI | {(corrections, "_FLOAT32_CONDITION"): 0.0},
    "Newton": NEWTON,
    "Newton, scalar metric": NEWTON | {(newton, "_CLASS_SOLVE"): 1000},
    "Newton, forcing 0.1": NEWTON | {(newton, "_FORCING"): (0.1, 0.1)},
    "Newton, refreshed at 0.03": NEWTON | {(newton, "_REFRESH"): (0.03, 0.03)},
    "Newton in tiles": TILES,
}


def count(features: gramlab.Features, targets: np.ndarray, weight_decay: float, changes: dict):
    """Passes and the relative gap that was reached."""
    with contextlib.ExitStack() as stack:
        for (room, name), value in changes.items():
            stack.enter_context(mock.patch.object(room, name, value))
        for key in [key for key in features._memo if "bfloat16" in key]:
            del features._memo[key]  # rounded for the products of another variant
        head = gramlab.SoftmaxHead(weight_decay, tolerance=TOLERANCE)
        fit = head.fit(features, targets)
    objective = SoftmaxObjective(features, targets - 1 / targets.shape[1], weight_decay)
    start = np.linalg.norm(objective.gradient(np.zeros_like(fit.weights)))
    gap = float((np.linalg.norm(objective.gradient(fit.weights)) / start) ** 2)
    return round(fit.stats.passes, 1), gap


def problems(source: str):
    raw = gramlab.load_features(source)
    for unit in (False, True):
        features = raw.centered().unit_norm() if unit else raw
        Spectrum.of(features)
        k = features.n_classes
        matrix = gramlab.corruption_matrix("symmetric", k, 0.5)
        given = gramlab.corrupt_labels(features.labels, matrix, seed=0).labels
        for weight_decay in (5e-3, 5e-4, 5e-5):
            name = f"{Path(source).stem}, {'unit norm' if unit else 'raw'}, λ={weight_decay:g}"
            yield name, features, gramlab.one_hot(given, k), weight_decay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--out", default="out/benchmarks")
    options = parser.parse_args()
    folder = output_folder(options.out)
    rows = []
    for source in options.sources:
        for name, features, targets, weight_decay in problems(source):
            passes = {}
            for variant, changes in VARIANTS.items():
                if changes is TILES and not tiles.available():
                    passes[variant] = None
                    continue
                passes[variant], gap = count(features, targets, weight_decay, changes)
                if gap > TOLERANCE:
                    passes[variant] = None
            rows.append({"problem": name, "passes": passes})
            print(name, passes, flush=True)
    lines = [
        f"Passes to relative gap {TOLERANCE:.0e}; symmetric noise at rate 0.5, seed 0; the Gram",
        "spectrum is at hand. Newton's passes are mostly of bfloat16 numbers, which its processors",
        "multiply several times as fast: by XLA, or in tiles, where no class metric is made. A",
        "dash: the gap was not reached, or there are no tiles here.",
        "",
        "| problem | " + " | ".join(VARIANTS) + " |",
        "|---|" + "---|" * len(VARIANTS),
    ]
    for row in rows:
        cells = ["–" if p is None else f"{p:.0f}" for p in row["passes"].values()]
        lines.append(f"| {row['problem']} | " + " | ".join(cells) + " |")
    atomic_write(folder / "passes.json", to_json({"tolerance": TOLERANCE, "rows": rows}))
    atomic_write(folder / "passes.md", "\n".join(lines) + "\n")
    print(f"written: {folder / 'passes.md'}")


if __name__ == "__main__":
    main()

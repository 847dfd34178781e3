"""Which schedule of weight decays is best at a given total, and what momentum saves: measured.

    python examples/schedules.py digits FEATURES.npz ... --out docs/generated --images docs/images

On centred unit features with half of the labels replaced at random: label recovery, test accuracy
and mean entropy of the last round of several schedules with one total weight decay, exact heads and
linear theory, and the same by round for plain rounds and for momentum at one weight decay. Writes
schedules.csv and schedules_momentum.csv, one draw of labels a line, and from the lines of the given
feature sets schedules.md and the figures schedules_*.png. Lines that are there are not computed
again, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from kept_rows import KeptRows
from schedules_report import SCHEDULES, figures, markdown

import gramlab
from gramlab.distillation import largest_classes
from gramlab.figures import save_figure
from gramlab.files.whole import atomic_write, output_folder

TOTALS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
DECAYS = (3e-6, 1e-5, 3e-5)
PLAIN, MOMENTUM = 64, 24


def head(weight_decay: float) -> gramlab.SoftmaxHead:
    """An exact head whose gradient is 1e-6 of that at 0: schedules differ by tenths of a point."""
    return gramlab.SoftmaxHead(weight_decay, tolerance=1e-12)


def scores(features, fit) -> dict[str, float]:
    p = np.clip(fit.probabilities, 1e-300, None)  # of the linear theory some are negative
    found = {
        "recovery": np.mean(fit.labels == features.labels),
        "test": np.mean(fit.predict(features.test_x) == features.test_labels),
        "entropy": -(p * np.log(p)).sum(axis=1).mean(),
    }
    return {name: round(float(value), 6) for name, value in found.items()}


def compare_schedules(features, targets, total: float, certify: bool) -> dict:
    """The last round of every schedule, and what the order of weight decays changes."""
    found: dict = {"total": total, "exact": {}, "linear": {}, "certified": {}}
    last = {}
    for name, shares in SCHEDULES.items():
        decays = [total * share / sum(shares) for share in shares]
        exact = gramlab.distill([head(one) for one in decays], features, targets, len(decays))
        theory = [gramlab.LinearizedHead(one) for one in decays]
        linear = gramlab.distill(theory, features, targets, len(decays))
        found["exact"][name] = scores(features, exact[-1])
        found["linear"][name] = scores(features, linear[-1])
        if certify:
            _, decided = largest_classes(features, exact[-1].weights, exact.chain[-1], 1)
            found["certified"][name] = float(decided.mean())
        last[name] = exact[-1]
    rising, falling = last["rising"], last["falling"]
    apart = np.abs(rising.probabilities - falling.probabilities)
    same = float(np.mean(rising.labels == falling.labels))
    return found | {"order": {"largest_difference": float(apart.max()), "same_class": same}}


def compare_momentum(features, targets, weight_decay: float) -> dict:
    """Scores by round, plain and with momentum."""
    found: dict = {"weight_decay": weight_decay}
    for name, count in (("plain", PLAIN), ("momentum", MOMENTUM)):
        rounds = gramlab.distill(
            head(weight_decay), features, targets, count, momentum=name == "momentum"
        )
        by_round = [scores(features, fit) for fit in rounds]
        found[name] = {key: [one[key] for one in by_round] for key in ("recovery", "test")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labels, 0, 1, …")
    parser.add_argument("--out", default="out/schedules")
    parser.add_argument("--images", help="folder of the figures; by default that of --out")
    options = parser.parse_args()
    folder, images = output_folder(options.out), output_folder(options.images or options.out)
    schedules = KeptRows(folder / "schedules.csv", "features", "seed", "total")
    momentum = KeptRows(folder / "schedules_momentum.csv", "features", "seed", "weight_decay")
    names = []
    for source in options.sources:
        name = Path(source).stem
        names.append(name)
        features = gramlab.load_features(source).prepared(center=True, unit_norm=True)
        k = features.n_classes
        noise = gramlab.corruption_matrix("symmetric", k, 0.5)
        for seed in range(options.seeds):
            given = gramlab.corrupt_labels(features.labels, noise, seed=seed)
            targets = gramlab.one_hot(given.labels, k)
            told = {"features": name, "seed": seed}
            for total in TOTALS:
                if (name, seed, total) not in schedules:
                    began = time.perf_counter()
                    found = compare_schedules(features, targets, total, certify=seed == 0)
                    schedules.add(told | found)
                    spent = time.perf_counter() - began
                    print(f"{name}, labels {seed}, Λ = {total:g}: {spent:.0f} s", flush=True)
            for decay in DECAYS:
                if (name, seed, decay) not in momentum:
                    began = time.perf_counter()
                    momentum.add(told | compare_momentum(features, targets, decay))
                    spent = time.perf_counter() - began
                    print(f"{name}, labels {seed}, λ = {decay:g}: {spent:.0f} s", flush=True)
    wanted = {
        kind: {
            name: [row for row in kept.rows.values() if row["features"] == name] for name in names
        }
        for kind, kept in (("schedules", schedules), ("momentum", momentum))
    }
    atomic_write(folder / "schedules.md", markdown(**wanted))
    for name, figure in figures(**wanted).items():
        save_figure(figure, images / f"schedules_{name}.png")
    print(f"written: {folder}, {images}")


if __name__ == "__main__":
    main()

"""Which schedule of weight decays is best at a given total, and what momentum saves: measured.

    python examples/schedules.py digits FEATURES.npz ... --out docs/generated --images docs/images

On centred unit features with half of the labels replaced at random, exact heads: label recovery,
test accuracy and mean entropy of the last round of several schedules with one total weight decay,
linear theory beside them; the same by round for plain rounds and for momentum at one weight decay;
and what top-two rounds do. Writes schedules_totals.csv, schedules_momentum.csv and
schedules_top_two.csv, one draw of labels a line, and from the lines of the given feature sets
schedules.md and the figures schedules_*.png. Lines that are there are not computed again, so that
an interrupted run continues where it stopped. With --parts only some of it is measured.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from kept_rows import KeptRows
from schedules_report import SCHEDULES, by_round, by_total, filters, markdown

import gramlab
from gramlab.distillation import largest_classes
from gramlab.figures import save_figure
from gramlab.files.whole import atomic_write, output_folder

TOTALS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
DECAYS = (3e-6, 1e-5, 3e-5)
PLAIN, MOMENTUM, TOP_TWO = 64, 24, 12


def head(weight_decay: float) -> gramlab.SoftmaxHead:
    """An exact head whose gradient is 1e-6 of that at 0: schedules differ by tenths of a point."""
    return gramlab.SoftmaxHead(weight_decay, tolerance=1e-12)


def scores(features, fit) -> dict[str, float]:
    found = {
        "recovery": np.mean(fit.labels == features.labels),
        "test": np.mean(fit.predict(features.test_x) == features.test_labels),
    }
    return {name: round(float(value), 6) for name, value in found.items()}


def entropy(fit) -> float:
    p = np.maximum(fit.probabilities, np.finfo(float).tiny)
    return float(-(p * np.log(p)).sum(axis=1).mean())


def compare_schedules(features, targets, total: float, seed: int) -> dict:
    """The last round of every schedule, and what the order of weight decays changes."""
    found: dict = {"total": total, "exact": {}, "linear": {}}
    last = {}
    for name, shares in SCHEDULES.items():
        decays = [total * share / sum(shares) for share in shares]
        exact = gramlab.distill([head(one) for one in decays], features, targets, len(decays))
        theory = [gramlab.LinearizedHead(one) for one in decays]
        linear = gramlab.distill(theory, features, targets, len(decays))
        found["exact"][name] = scores(features, exact[-1]) | {"entropy": entropy(exact[-1])}
        found["linear"][name] = scores(features, linear[-1])
        last[name] = exact
    rising, falling = last["rising"], last["falling"]
    apart = np.abs(rising[-1].probabilities - falling[-1].probabilities)
    found["order"] = {
        "largest_difference": float(apart.max()),
        "same_class": float(np.mean(rising[-1].labels == falling[-1].labels)),
    }
    if seed == 0:  # which costs more than the rounds
        decided = [
            largest_classes(features, rounds[-1].weights, rounds.chain[-1], 1)[1]
            for rounds in (rising, falling)
        ]
        found["order"]["certified"] = float(min(one.mean() for one in decided))
    return found


def compare_momentum(features, targets, weight_decay: float, seed: int) -> dict:
    """Scores by round, plain and with momentum."""
    found: dict = {"weight_decay": weight_decay}
    for name, count in (("plain", PLAIN), ("momentum", MOMENTUM)):
        rounds = gramlab.distill(
            head(weight_decay), features, targets, count, momentum=name == "momentum"
        )
        by_round = [scores(features, fit) for fit in rounds]
        found[name] = {key: [one[key] for one in by_round] for key in ("recovery", "test")}
    return found


def top_two(features, targets, weight_decay: float, seed: int) -> dict:
    """By round: share of rows with new targets, mean entropy, ‖W‖ and scores."""
    rounds = gramlab.distill(
        head(weight_decay), features, targets, TOP_TWO, refine="top2", seed=seed
    )
    given = [np.asarray(one) for one in rounds.targets]
    found = [scores(features, fit) for fit in rounds]
    return {
        "weight_decay": weight_decay,
        "new": [float((a != b).any(axis=1).mean()) for a, b in pairwise(given)],
        "entropy": [entropy(fit) for fit in rounds],
        "norm": [float(np.linalg.norm(fit.weights)) for fit in rounds],
        **{key: [one[key] for one in found] for key in ("recovery", "test")},
    }


PARTS = {
    "totals": ("total", TOTALS, compare_schedules),
    "momentum": ("weight_decay", DECAYS, compare_momentum),
    "top_two": ("weight_decay", DECAYS, top_two),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labels, 0, 1, …")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", default="out/schedules")
    parser.add_argument("--images", help="folder of the figures; by default that of --out")
    options = parser.parse_args()
    folder, images = output_folder(options.out), output_folder(options.images or options.out)
    kept = {
        part: KeptRows(folder / f"schedules_{part}.csv", "features", "seed", key)
        for part, (key, _, _) in PARTS.items()
    }
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
            for part in options.parts:
                _, values, measure = PARTS[part]
                for value in values:
                    if (name, seed, value) not in kept[part]:
                        began = time.perf_counter()
                        found = measure(features, targets, value, seed)
                        kept[part].add({"features": name, "seed": seed} | found)
                        spent = time.perf_counter() - began
                        print(f"{part}: {name}, draw {seed}, {value:g}: {spent:.0f} s", flush=True)
    wanted = {}
    for part, rows in kept.items():
        found = rows.by("features", lambda row: row["seed"])
        wanted[part] = {name: found[name] for name in names if name in found}
    atomic_write(folder / "schedules.md", markdown(**wanted))
    drawn = {
        "filters": filters(),
        "by_total": by_total(wanted["totals"]),
        "by_round": by_round(wanted["momentum"]),
    }
    for name, figure in drawn.items():
        save_figure(figure, images / f"schedules_{name}.png")
    print(f"written: {folder}, {images}")


if __name__ == "__main__":
    main()

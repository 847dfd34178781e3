"""Where the linear theory predicts the exact heads, and where it does not: a map over weight decay.

    python examples/regime_map.py digits FEATURES.npz ... --out docs/generated

For each feature set, raw and centred with unit norm, at 50 % symmetric noise, and over a range of
weight decays: label recovery by round of the closed form, of the same with a secant in place of the
tangent, of certified exact heads, and of two cheap predictors (exact heads stopped after 8 and 20
passes a round). Beside them the first
best round of each, the largest difference of probabilities, and what the nearest block model and
the perturbation bound promise. Writes regime_map.csv, one weight decay a line, and from the lines
of the given feature sets regime_map.md and regime_map.png. Lines that are there are not computed
again, so that an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from pathlib import Path

import numpy as np
from kept_rows import KeptRows
from matplotlib.figure import Figure

import gramlab
from gramlab.figures import save_figure
from gramlab.files.whole import atomic_write, output_folder
from gramlab.population.block_fit import fit_block_model
from gramlab.spectrum.filters import linear_mu

ROUNDS = 4
PREDICTORS = {"8 passes": 8, "20 passes": 20}
DECAYS = {"raw": np.logspace(-4, -1, 4), "unit": np.logspace(-6, -2, 5)}
COLOURS = {
    "theory": "#000000",
    "secant": "#CC79A7",
    "8 passes": "#E69F00",
    "20 passes": "#009E73",
    "exact": "#0072B2",
}


def recovery(rounds, labels) -> list[float]:
    return [float(np.mean(fit.labels == labels)) for fit in rounds]


def cell(features, weight_decay: float, seed: int) -> dict:
    k = features.n_classes
    noise = gramlab.corruption_matrix("symmetric", k, 0.5)
    given = gramlab.corrupt_labels(features.labels, noise, seed=seed)
    targets = gramlab.one_hot(given.labels, k)
    theory = gramlab.distill(gramlab.LinearizedHead(weight_decay), features, targets, ROUNDS)
    secant = gramlab.LinearizedHead(weight_decay, slope="secant")
    secant = gramlab.distill(secant, features, targets, ROUNDS)
    began = time.perf_counter()
    head = gramlab.SoftmaxHead(weight_decay, certified_share=0.99)
    exact = gramlab.distill(head, features, targets, ROUNDS)
    spent = time.perf_counter() - began
    comparison = gramlab.compare(theory, exact, truth=features.labels)
    out = {
        "weight_decay": weight_decay,
        "recovery": {
            "theory": recovery(theory, features.labels),
            "secant": recovery(secant, features.labels),
            "exact": recovery(exact, features.labels),
        },
        "secant_slope_times_classes": [k * fit.slope for fit in secant],
        "undecided": [r.certified.undecided for r in comparison],
        "largest_difference": [r.max_abs for r in comparison],
        "same_class": [r.argmax_agreement for r in comparison],
        "passes": {"exact": sum(fit.stats.passes for fit in exact)},
    }
    for name, passes in PREDICTORS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gramlab.NotConvergedWarning)  # that is the point here
            rounds = gramlab.distill(
                gramlab.SoftmaxHead(weight_decay, tolerance=1e-10, max_passes=passes),
                features,
                targets,
                ROUNDS,
            )
        out["recovery"][name] = recovery(rounds, features.labels)
        out["passes"][name] = sum(fit.stats.passes for fit in rounds)
    block = fit_block_model(features)
    mu = linear_mu(k, features.n_samples, weight_decay)
    out["block"] = {
        "distance_over_mu": block.distance / mu,
        "promised": [block.promised(mu, t) for t in range(1, ROUNDS + 1)],
        "seen": [block.seen(targets - 1 / k, mu, t) for t in range(1, ROUNDS + 1)],
    }
    print(f"    λ = {weight_decay:.0e}: exact heads {spent:.1f} s", flush=True)
    return out


def first_best(values: list[float]) -> int:
    """The earliest round within half a point of the best."""
    best = max(values)
    return next(t for t, v in enumerate(values, 1) if v >= best - 0.005)


def draw(maps: dict[str, dict[str, list[dict]]]) -> Figure:
    rows, columns = len(maps), max(map(len, maps.values()))
    figure = Figure(figsize=(7.2, 2.3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (name, prepared) in zip(axes, maps.items(), strict=True):
        for ax, (steps, cells) in zip(row, prepared.items(), strict=True):
            decays = [c["weight_decay"] for c in cells]
            for who, colour in COLOURS.items():
                for t, style in ((1, "-"), (ROUNDS, "--")):
                    values = [100 * c["recovery"][who][t - 1] for c in cells]
                    kind = {"marker": "o", "markersize": 4} if who == "exact" else {}
                    width = 1.8 if who in ("theory", "secant", "exact") else 1.0
                    ax.plot(decays, values, style, color=colour, linewidth=width, **kind)
            ax.set_xscale("log")
            ax.set_title(f"{name}, {steps}", fontsize=10, loc="left")
            ax.grid(color="0.9")
            ax.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel("label recovery, %")
    for ax in axes[-1]:
        ax.set_xlabel("weight decay λ")
    handles = [figure.axes[0].plot([], [], color=c, label=w)[0] for w, c in COLOURS.items()]
    handles.append(figure.axes[0].plot([], [], "-", color="0.5", label="teacher")[0])
    handles.append(figure.axes[0].plot([], [], "--", color="0.5", label=f"round {ROUNDS}")[0])
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def markdown(maps: dict[str, dict[str, list[dict]]]) -> str:
    lines = []
    errors: dict[str, list[float]] = {who: [] for who in COLOURS if who != "exact"}
    for name, prepared in maps.items():
        for steps, cells in prepared.items():
            lines += [
                f"**{name}, {steps}**",
                "",
                "| λ | theory t=1 → 4 | secant | exact t=1 → 4 | 8 passes | 20 passes | "
                "first best round: theory / exact | largest difference | undecided | "
                "block model: promised / seen |",
                "|---|---|---|---|---|---|---|---|---|---|",
            ]
            for c in cells:
                r = {who: [100 * v for v in values] for who, values in c["recovery"].items()}
                for who, found in errors.items():
                    found += [abs(a - b) for a, b in zip(r[who], r["exact"], strict=True)]
                best = (first_best(c["recovery"]["theory"]), first_best(c["recovery"]["exact"]))
                pair = {who: f"{v[0]:.1f} → {v[-1]:.1f}" for who, v in r.items()}
                lines.append(
                    f"| {c['weight_decay']:.0e} | {pair['theory']} | {pair['secant']} | "
                    f"{pair['exact']} | "
                    f"{pair['8 passes']} | {pair['20 passes']} | {best[0]} / {best[1]} | "
                    f"{max(c['largest_difference']):.2f} | {100 * max(c['undecided']):.2f} % | "
                    f"{c['block']['promised'][0]:.2f} / {c['block']['seen'][0]:.2f} |"
                )
            lines.append("")
    passes = {
        who: sum(c["passes"][who] for p in maps.values() for cells in p.values() for c in cells)
        for who in (*PREDICTORS, "exact")
    }
    lines += [
        "Error of label recovery against the exact heads, in points, over all cells and rounds:",
        "",
        "| predictor | median | 90 % | largest | passes, share of the exact heads' |",
        "|---|---|---|---|---|",
    ]
    for who, found in errors.items():
        share = (
            "closed form" if who in ("theory", "secant") else f"{passes[who] / passes['exact']:.0%}"
        )
        low, high = np.quantile(found, [0.5, 0.9])
        lines.append(f"| {who} | {low:.2f} | {high:.2f} | {max(found):.2f} | {share} |")
    return "\n".join([*lines, *by_round(maps)]) + "\n"


def by_round(maps: dict[str, dict[str, list[dict]]]) -> list[str]:
    """How far the two theories are from the exact heads, by round."""
    lines = [
        "",
        "Mean error of label recovery, in points, theory / secant, over the weight decays:",
        "",
        f"| features |{''.join(f' round {t} |' for t in range(1, ROUNDS + 1))} K a, all rounds |",
        f"|---|{'---|' * ROUNDS}---|",
    ]
    for name, prepared in maps.items():
        for steps, cells in prepared.items():
            found = {
                who: np.mean(
                    [
                        100 * np.abs(np.subtract(c["recovery"][who], c["recovery"]["exact"]))
                        for c in cells
                    ],
                    axis=0,
                )
                for who in ("theory", "secant")
            }
            pairs = " | ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(*found.values(), strict=True))
            slopes = [a for c in cells for a in c["secant_slope_times_classes"]]
            lines.append(f"| {name}, {steps} | {pairs} | {min(slopes):.1f} to {max(slopes):.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--steps", choices=list(DECAYS), nargs="+", default=list(DECAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/regime_map")
    options = parser.parse_args()
    folder = output_folder(options.out)
    kept = KeptRows(folder / "regime_map.csv", "features", "steps", "seed", "weight_decay")
    maps: dict[str, dict[str, list[dict]]] = {}
    for source in options.sources:
        name = Path(source).stem.replace("_", " ")
        raw = gramlab.load_features(source)
        prepared = {
            "raw": ("raw", raw),
            "unit": ("centred, unit norm", raw.centered().unit_norm()),
        }
        maps[name] = {}
        for which in options.steps:
            steps, features = prepared[which]
            print(f"{name}, {steps}", flush=True)
            cells = []
            for weight_decay in map(float, DECAYS[which]):
                key = (name, steps, options.seed, weight_decay)
                if key not in kept:
                    found = cell(features, weight_decay, options.seed)
                    kept.add(dict(zip(kept.key, key, strict=True)) | found)
                cells.append(kept.rows[key])
            maps[name][steps] = cells
    atomic_write(folder / "regime_map.md", markdown(maps))
    save_figure(draw(maps), folder / "regime_map.png")
    largest = max(max(c["undecided"]) for p in maps.values() for cells in p.values() for c in cells)
    assert not math.isnan(largest)
    print(f"written: {folder}; at most {100 * largest:.2f} % of the rows of any head undecided")


if __name__ == "__main__":
    main()

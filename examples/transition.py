"""How well the label transition matrix can be estimated without any true label.

    python examples/transition.py digits FEATURES.npz ... --out docs/generated

Labels are corrupted with a known matrix C, which is then estimated from the features (centred, unit
norm, a constant column) and the corrupted labels: by gramlab with its defaults, by cleanlab from
the same heads' out-of-fold probabilities, and by cleanlab from scikit-learn's logistic regression
(5 folds, C = 1).
Writes transition.csv, one draw of noise a line, and from all of its lines transition.md; for the
first source, transition-estimate.png. Lines that are there are not computed again, so that an
interrupted run continues where it stopped, and narrowed runs (--only, --seeds) add up.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from cleanlab.count import estimate_py_and_noise_matrices_from_probabilities
from kept_rows import KeptRows
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

import gramlab
from gramlab.figures import TransitionDisplay
from gramlab.files.whole import atomic_write, output_folder
from gramlab.runner import folds as deal_folds
from gramlab.transition import estimate_transition

NOISE = (
    *(("symmetric", rate) for rate in (0.1, 0.4, 0.6)),
    *(("asymmetric", rate) for rate in (0.2, 0.6)),
    *(("pair-flip", rate) for rate in (0.2, 0.4)),
)


def errors(estimate: np.ndarray, truth: np.ndarray, realized: np.ndarray) -> dict[str, float]:
    off = estimate - truth
    return {
        "row_l1": float(np.abs(off).sum(axis=1).mean()),
        "mean_abs": float(np.abs(off).mean()),
        "frobenius": float(np.linalg.norm(off)),
        "row_l1_realized": float(np.abs(estimate - realized).sum(axis=1).mean()),
        "diagonal_bias": float(np.diag(off).mean()),
    }


def out_of_fold(features, given, weight_decay: float, seed: int) -> np.ndarray:
    folds = deal_folds(given, 5, seed)
    k = features.n_classes
    p = np.empty((len(given), k))
    for fold in range(5):
        train = folds != fold
        head = gramlab.SoftmaxHead(weight_decay, tolerance=1e-5)
        fit = head.fit(features.x[train], gramlab.one_hot(given[train], k))
        p[~train] = fit.predict_proba(features.x[~train])
    return p


def cleanlab_matrix(given, p: np.ndarray) -> np.ndarray | None:
    """cleanlab's noise matrix as [true, given]; None where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = estimate_py_and_noise_matrices_from_probabilities(given, p)
    except (ValueError, AssertionError):
        return None
    return np.asarray(found[1]).T


def cell(features, kind: str, rate: float, seed: int, logistic: bool) -> dict:
    k = features.n_classes
    truth = gramlab.corruption_matrix(kind, k, rate, features.superclasses)
    drawn = gramlab.corrupt_labels(features.labels, truth, seed=seed)
    realized = drawn.counts / drawn.counts.sum(axis=1, keepdims=True)
    found = estimate_transition(features, drawn.labels, seed=seed)
    covered = (found.lower - 1e-12 <= truth) & (truth <= found.upper + 1e-12)
    shares = np.bincount(features.labels, minlength=k) / features.n_samples
    expected = float(1 - shares @ np.diag(truth))
    out = {
        "kind": kind,
        "rate": rate,
        "seed": seed,
        "realized": errors(realized, truth, realized),
        "gramlab": errors(found.matrix, truth, realized),
        "coverage": float(covered.mean()),
        "coverage_diagonal": float(np.diag(covered).mean()),
        "width_diagonal": float(np.diag(found.upper - found.lower).mean()),
        "unsupported": int(found.unsupported.sum()),
        "noise_rate": [expected, *found.noise_rate],
        "noise_rate_covered": found.noise_rate.low <= expected <= found.noise_rate.high,
        "rounds": found.rounds,
        "weight_decay": found.weight_decay,
    }
    p = out_of_fold(features, drawn.labels, found.weight_decay, seed)
    peers = {"cleanlab_same": cleanlab_matrix(drawn.labels, p), "cleanlab_logistic": None}
    if logistic:
        model = LogisticRegression(max_iter=400)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p = cross_val_predict(model, features.x, drawn.labels, cv=5, method="predict_proba")
        peers["cleanlab_logistic"] = cleanlab_matrix(drawn.labels, p)
    for name, matrix in peers.items():
        found_errors = None if matrix is None else errors(matrix, truth, realized)
        out[name] = found_errors or dict.fromkeys(out["gramlab"])
    return out


def markdown(tables: dict[str, list[dict]]) -> str:
    lines = []
    for name, cells in tables.items():
        lines += [
            f"**{name}**",
            "",
            "| noise | seeds | realized | gramlab | cleanlab, same heads | cleanlab, logistic | "
            "coverage: entries / diagonal | diagonal width | noise rate: true, found [interval] |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for kind, rate in dict.fromkeys((c["kind"], c["rate"]) for c in cells):
            group = [c for c in cells if (c["kind"], c["rate"]) == (kind, rate)]

            def mean(who: str, group=group) -> str:
                values = [c[who]["row_l1"] for c in group if c[who]["row_l1"] is not None]
                return f"{np.mean(values):.3f}" if values else "–"

            r = np.mean([c["noise_rate"] for c in group], axis=0)
            lines.append(
                f"| {kind} {rate:g} | {len(group)} | {mean('realized')} | {mean('gramlab')} | "
                f"{mean('cleanlab_same')} | {mean('cleanlab_logistic')} | "
                f"{100 * np.mean([c['coverage'] for c in group]):.1f} % / "
                f"{100 * np.mean([c['coverage_diagonal'] for c in group]):.1f} % | "
                f"{np.mean([c['width_diagonal'] for c in group]):.2f} | "
                f"{r[0]:.3f}, {r[1]:.3f} [{r[2]:.3f}, {r[3]:.3f}] |"
            )
        hit = sum(c["noise_rate_covered"] for c in cells)
        lines += ["", f"Noise-rate interval right in {hit} of {len(cells)} draws.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="noise as kind:rate; default: all")
    asked = parser.parse_args()
    out = output_folder(asked.out)
    kept = KeptRows(out / "transition.csv", "features", "kind", "rate", "seed")
    noise = NOISE
    if asked.only:
        noise = tuple((k, float(r)) for k, r in (one.split(":") for one in asked.only))
    for number, source in enumerate(asked.sources):
        name = Path(source).stem
        features = gramlab.load_features(source)
        features = features.prepared(center=True, unit_norm=True, constant=True)
        if number == 0:
            truth = gramlab.corruption_matrix("asymmetric", features.n_classes, 0.4)
            drawn = gramlab.corrupt_labels(features.labels, truth, seed=100)
            found = estimate_transition(features, drawn.labels, seed=100)
            display = TransitionDisplay.from_estimate(found, features.class_names, truth)
            display.save(out / "transition-estimate.png")
        kinds = [*noise]
        if features.superclasses is not None and not asked.only:
            kinds.append(("superclass", 0.4))
        for kind, rate in kinds:
            # Seeds from 100 on: smaller ones were used while the method was made.
            for seed in range(100, 100 + asked.seeds):
                if (name, kind, rate, seed) not in kept:
                    result = cell(features, kind, rate, seed, logistic=features.n_classes <= 20)
                    kept.add({"features": name} | result)
                    print(name, kind, rate, seed, result["gramlab"]["row_l1"], flush=True)
    tables = kept.by("features", lambda c: (c["kind"], c["rate"], c["seed"]))
    atomic_write(out / "transition.md", markdown(tables))


if __name__ == "__main__":
    main()

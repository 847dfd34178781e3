"""Judge ``gramlab diagnose`` where the truth is known: regret, suspects beside peers, claims.

    python examples/diagnose_judged.py digits FEATURES.npz ... --out docs/generated

Training labels are spoilt with a known matrix and diagnosed from features (centred, unit norm) and
spoilt labels alone. Then, with the truth:

* regret: clean test accuracy of the best exact head over weight decays (half decades) x rounds
  1..5 and the top-2 student, by brute force on the test rows themselves, less that of the advice;
  and the same for true accuracy on the held-out training rows, among the settings tried;
* suspects: precision and recall of what was flagged and AUC of the ranking, beside cleanlab's
  find_label_issues with the same heads' out-of-fold probabilities, with those of scikit-learn's
  logistic regression (C = 1), and beside a vote of 20 nearest rows;
* calibration: claimed less true precision of all suspects, and its mean size over ten groups.

Writes diagnose_judged.json and diagnose_judged.md. Finished cells are kept in --out/cells, so that
an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import gramlab
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.neighbours import nearest_rows
from gramlab.diagnosis.trial import Setting
from gramlab.storage import atomic_write, output_folder, to_json
from gramlab.transition import fold_numbers

NOISE = (
    *(("symmetric", rate) for rate in (0.1, 0.3, 0.5, 0.7)),
    *(("asymmetric", rate) for rate in (0.1, 0.3, 0.5)),
    *(("superclass", rate) for rate in (0.1, 0.3, 0.5)),
)
ROUNDS = 5
NEIGHBOURS = 20
GROUPS = 10


def test_accuracies(features, settings, seed: int) -> dict[Setting, float]:
    """Clean test accuracy of exact heads on all training rows, every setting asked for."""
    targets = gramlab.one_hot(features.labels, features.n_classes)

    def accuracy(fit) -> float:
        return float((fit.predict(features.test_x) == features.test_labels).mean())

    out = {}
    for decay in sorted({one.weight_decay for one in settings}, reverse=True):
        head = gramlab.SoftmaxHead(decay, tolerance=1e-6)
        asked = [one for one in settings if one.weight_decay == decay]
        rounds = gramlab.distill(head, features, targets, max(one.rounds for one in asked))
        for one in asked:
            fit = rounds[one.rounds - 1]
            if one.refine:
                two = gramlab.partial_labels(rounds[0].probabilities, 2, seed=seed)
                fit = head.fit(features, two, start=rounds[0].weights)
            out[one] = accuracy(fit)
    return out


def brute_force(features, tried, seed: int) -> dict[Setting, float]:
    """Weight decays a half decade apart, a step beyond those that the diagnosis tried."""
    step = math.sqrt(10.0)
    low, high = min(tried) / step, max(tried)
    decays = {low * step**i for i in range(2 + math.ceil(math.log(high / low, step)))} | set(tried)
    settings = [Setting(d, t) for d in decays for t in range(1, ROUNDS + 1)]
    if features.n_classes > 2:
        settings += [Setting(d, 2, "top2") for d in decays]
    return test_accuracies(features, settings, seed)


def out_of_fold(features, weight_decay: float, seed: int) -> np.ndarray:
    given, k = features.labels, features.n_classes
    folds = fold_numbers(given, 5, seed)
    p = np.empty((len(given), k))
    for fold in range(5):
        train = folds != fold
        head = gramlab.SoftmaxHead(weight_decay, tolerance=1e-5)
        fit = head.fit(features.x[train], gramlab.one_hot(given[train], k))
        p[~train] = fit.predict_proba(features.x[~train])
    return p


def judged(flagged: np.ndarray | None, suspicion: np.ndarray, wrong: np.ndarray) -> dict:
    out = {"auc": float(roc_auc_score(wrong, suspicion)), "precision": None, "recall": None}
    if flagged is not None:
        out["recall"] = float(flagged[wrong].mean())
        out["precision"] = float(wrong[flagged].mean()) if flagged.any() else None
    return out


def cleanlab_peer(given: np.ndarray, p: np.ndarray, wrong: np.ndarray) -> dict | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flagged = find_label_issues(given, p, n_jobs=1)
            quality = get_label_quality_scores(given, p)
    except (ValueError, AssertionError):
        return None  # it refuses, e.g. where a class has no confident row
    return judged(flagged, -quality, wrong)


def calibration(claimed: np.ndarray, wrong: np.ndarray) -> dict:
    """Claims come most suspicious first: groups of neighbours in that order."""
    if not len(claimed):
        return {"gap": None, "grouped": None}
    parts = np.array_split(np.arange(len(claimed)), min(GROUPS, len(claimed)))
    gaps = [abs(claimed[part].mean() - wrong[part].mean()) for part in parts]
    sizes = [len(part) for part in parts]
    return {
        "gap": float(claimed.mean() - wrong.mean()),
        "grouped": float(np.average(gaps, weights=sizes)),
    }


def cell(source, kind: str, rate: float, seed: int, logistic: bool) -> dict:
    began = time.perf_counter()
    found = diagnose(source, DiagnosisSettings(noise=kind, rate=rate, seed=seed, max_rounds=ROUNDS))
    seconds = time.perf_counter() - began
    features, given, wrong = found.features, found.given, found.planted.flipped
    chosen, reference = found.advice.chosen.setting, found.advice.reference.setting
    accuracies = brute_force(features, {t.setting.weight_decay for t in found.trials}, seed)
    best = max(accuracies, key=lambda one: (accuracies[one], one))
    true = found.planted.true_labels
    held_out = {
        t.setting: float((t.predicted == true).mean()) for t in found.trials if t.head == "exact"
    }
    suspects = found.suspects
    flagged = np.zeros(len(given), dtype=bool)
    flagged[suspects.rows] = True
    nearest = nearest_rows(features, NEIGHBOURS)
    votes = (given[nearest] == given[:, None]).mean(axis=1)
    p = out_of_fold(features, found.estimate.weight_decay, seed)
    peers = {
        "gramlab": judged(flagged, -suspects.quality, wrong),
        "cleanlab_same": cleanlab_peer(given, p, wrong),
        "neighbours": judged(None, -votes, wrong),
    }
    if logistic:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(max_iter=400)
            p = cross_val_predict(model, features.x, given, cv=5, method="predict_proba")
        peers["cleanlab_logistic"] = cleanlab_peer(given, p, wrong)
    return {
        "kind": kind,
        "rate": rate,
        "seed": seed,
        "advice": found.advice.kind,
        "chosen": chosen.as_dict(),
        "best": best.as_dict(),
        "accuracy": {
            "advised": accuracies[chosen],
            "best": accuracies[best],
            "in_use": accuracies[reference],
            "estimated": found.advice.chosen.accuracy.value,
        },
        "regret": accuracies[best] - accuracies[chosen],
        "held_out_regret": max(held_out.values()) - held_out[chosen],
        "suspects": peers,
        "claimed": float(suspects.precision.mean()) if len(suspects) else None,
        "calibration": calibration(suspects.precision, wrong[suspects.rows]),
        "noise_rate": [found.planted.realized_rate, found.estimate.noise_rate.value],
        "test_rows": len(features.test_labels),
        "seconds": seconds,
    }


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def markdown(tables: dict[str, list[dict]]) -> str:
    lines = []
    for name, cells in tables.items():
        lines += [
            f"**{name}** ({cells[0]['test_rows']} test rows; accuracies, precision, recall in %)",
            "",
            "| noise | seed | advice | accuracy: in use / advised / best | regret, held out | "
            "AUC: gramlab | "
            "cleanlab, same heads | cleanlab, logistic | 20 neighbours | precision, claimed | "
            "recall | cleanlab: precision, recall |",
            "|" + "---|" * 12,
        ]
        for c in cells:
            a, s = c["accuracy"], c["suspects"]
            auc = {
                who: f"{s[who]['auc']:.4f}" if s.get(who) else "–"
                for who in ("gramlab", "cleanlab_same", "cleanlab_logistic", "neighbours")
            }
            peer = s.get("cleanlab_same") or {"precision": None, "recall": None}
            lines.append(
                f"| {c['kind']} {c['rate']:g} | {c['seed']} | {c['advice']} | "
                f"{percent(a['in_use'])} / {percent(a['advised'])} / {percent(a['best'])} | "
                f"{percent(c['regret'])}, {percent(c['held_out_regret'])} | "
                f"{auc['gramlab']} | {auc['cleanlab_same']} | "
                f"{auc['cleanlab_logistic']} | {auc['neighbours']} | "
                f"{percent(s['gramlab']['precision'])}, {percent(c['claimed'])} | "
                f"{percent(s['gramlab']['recall'])} | "
                f"{percent(peer['precision'])}, {percent(peer['recall'])} |"
            )
        lines += ["", summary(cells), ""]
    return "\n".join(lines)


def summary(cells: list[dict]) -> str:
    near = sum(c["regret"] <= 0.01 for c in cells)
    held = sum(c["held_out_regret"] <= 0.01 for c in cells)
    first = sum(
        c["suspects"]["gramlab"]["auc"]
        > max(p["auc"] for who, p in c["suspects"].items() if who != "gramlab" and p)
        for c in cells
    )
    gaps = [abs(c["calibration"]["gap"]) for c in cells if c["calibration"]["gap"] is not None]
    grouped = [
        c["calibration"]["grouped"] for c in cells if c["calibration"]["grouped"] is not None
    ]
    worst, worst_held = (
        percent(max(c[name] for c in cells)) for name in ("regret", "held_out_regret")
    )
    return (
        f"Regret at most 1 point in {near} of {len(cells)} cells (largest {worst}), on held-out "
        f"training rows in {held} (largest {worst_held}); AUC above every peer in {first}; claimed "
        f"precision off by {percent(np.mean(gaps))} points on average (largest "
        f"{percent(max(gaps))}), {percent(np.mean(grouped))} in ten groups."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="noise as kind:rate; default: all")
    asked = parser.parse_args()
    out = Path(asked.out)
    output_folder(out / "cells")
    noise = NOISE
    if asked.only:
        noise = tuple((k, float(r)) for k, r in (one.split(":") for one in asked.only))
    tables: dict[str, list[dict]] = {}
    for source in asked.sources:
        name = Path(source).stem
        features = gramlab.load_features(source)
        for kind, rate in noise:
            if kind == "superclass" and features.superclasses is None:
                continue
            # Seeds from 100 on: smaller ones were used while the method was made.
            for seed in range(100, 100 + asked.seeds):
                kept = out / "cells" / f"diagnose-{name}-{kind}-{rate:g}-{seed}.json"
                if not kept.exists():
                    result = cell(features, kind, rate, seed, features.n_classes <= 20)
                    atomic_write(kept, to_json(result))
                    print(
                        name, kind, rate, seed, f"regret {100 * result['regret']:.1f}", flush=True
                    )
        done = sorted((out / "cells").glob(f"diagnose-{name}-*.json"))
        if done:
            tables[name] = [json.loads(path.read_text()) for path in done]
    atomic_write(out / "diagnose_judged.json", to_json(tables))
    atomic_write(out / "diagnose_judged.md", markdown(tables))


if __name__ == "__main__":
    main()

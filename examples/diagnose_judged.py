"""Judge ``gramlab diagnose`` where the truth is known: regret, suspects beside peers, claims.

    python examples/diagnose_judged.py FEATURES.npz ... --out docs/generated

Training labels are corrupted with a known matrix and diagnosed from features (centred, unit norm)
and corrupted labels alone. Then, with the truth:

* regret: clean test accuracy of the best exact head over weight decays (half decades) x rounds
  1..5, the top-2 student and one training on labels cleaned in each of the three ways, by brute
  force on the test rows themselves, less that of the advice;
  and the same for true accuracy on the held-out training rows, among the settings tried;
* suspects: precision and recall of what was flagged and AUC of the ranking, beside cleanlab's
  find_label_issues with the same heads' out-of-fold probabilities, with those of scikit-learn's
  logistic regression (C = 1, five folds as cleanlab's own; rows in float32, which halves its time),
  and beside a vote of 20 nearest rows;
* calibration: claimed less true precision of all suspects, and its mean size over ten groups.

Where a class is given another label at least as often as its own, the same features and labels come
just as well from classes that have traded names (theorem ``traded-names``), and no method can tell
without a true label. The share of rows in such classes is ``tied``; goals are reported for all
cells and for those where it is 0.

Writes diagnose_judged.csv, one draw of noise a line, and from all of its lines diagnose_judged.md.
Lines that are there are not computed again, so that an interrupted run continues where it stopped,
and narrowed runs (--noise, --rates, --seeds) add up.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from kept_rows import KeptRows
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import gramlab
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.cleaned import CleanedLabels
from gramlab.diagnosis.posterior import nearest_rows
from gramlab.diagnosis.trial import LABELS, Setting
from gramlab.errors import GramlabError
from gramlab.files.whole import atomic_write, output_folder
from gramlab.runner import Run, folds, parallel_map
from gramlab.spectrum import Spectrum
from gramlab.study.plan import study_superclasses

KINDS = ("symmetric", "asymmetric", "superclass")
RATES = (0.1, 0.3, 0.5, 0.7)
FIRST_SEED = 100  # smaller ones were used while the method was made
ROUNDS = 5
NEIGHBOURS, MOST_NEIGHBOURS = 20, 50
GROUPS = 10
TOLERANCE = 1e-5  # relative duality gap; only classes are compared
STEP, NEAR = math.sqrt(10.0), 1.2  # of weight decays; what is nearer to another fills no gap
PEERS = {
    "gramlab": "gramlab",
    "cleanlab_same": "cleanlab, same heads",
    "cleanlab_logistic": "cleanlab, logistic",
    "neighbours": "20 neighbours",
}
TIE = 1e-9  # relative; shares this near are equal
# The goals: regret of at most a point in nine cells of ten, AUC above every peer, claims within 5.
POINT, SHARE, CLAIM = 0.01, 0.9, 0.05


# ---- One cell ----------------------------------------------------------------------------------


def brute_force(
    features, cleaned: CleanedLabels, tried: set[float], seed: int
) -> dict[Setting, float]:
    """Clean test accuracy of exact heads on all training rows, at every setting.

    Weight decays are those that the diagnosis tried, those that fill the gaps between them to half
    a decade, and a step below.
    """
    targets = gramlab.one_hot(features.labels, features.n_classes)
    decays = [min(tried) / STEP]
    for decay in sorted(tried):
        while decays[-1] * STEP * NEAR < decay:
            decays.append(decays[-1] * STEP)
        decays.append(decay)
    decays.reverse()

    def at(decay: float, place: int) -> dict[Setting, float]:
        head = gramlab.SoftmaxHead(decay, tolerance=TOLERANCE)
        rounds = gramlab.distill(head, features, targets, ROUNDS)
        fits = {Setting(decay, t): fit for t, fit in enumerate(rounds, 1)}
        if features.n_classes > 2:
            two = gramlab.partial_labels(rounds[0].probabilities, 2, seed=seed)
            fits[Setting(decay, 2, "top2")] = head.fit(features, two, start=rounds[0].weights)
        for labels in LABELS[1:]:
            problem, weights = cleaned.problem(labels)
            own = gramlab.SoftmaxHead(decay, sample_weight=weights, tolerance=TOLERANCE)
            one = Setting(decay, labels=labels)
            fits[one] = own.fit(features, problem, start=rounds[0].weights)
        return {
            one: float((fit.predict(features.test_x) == features.test_labels).mean())
            for one, fit in fits.items()
        }

    return {one: value for part in parallel_map(at, decays) for one, value in part.items()}


def out_of_fold(features, weight_decay: float, seed: int) -> np.ndarray:
    """Probabilities (N, K) of exact heads that did not see the row."""
    given, k = features.labels, features.n_classes
    run = Run(features.x, k, folds(given, 5, seed), given)
    fits = run.fit(gramlab.SoftmaxHead(weight_decay, tolerance=TOLERANCE), run.one_hot(given))
    return softmax(run.held_out([fit.weights for fit in fits]), axis=1)


def logistic_out_of_fold(features) -> np.ndarray:
    """Probabilities (N, K) of scikit-learn's heads, in the folds that cleanlab would make."""
    given = features.labels
    x = np.asarray(features.x, dtype=np.float32)
    p = np.zeros((len(given), features.n_classes))

    def fold(rows: tuple[np.ndarray, np.ndarray], place: int) -> None:
        model = LogisticRegression(max_iter=400).fit(x[rows[0]], given[rows[0]])
        p[np.ix_(rows[1], model.classes_)] = model.predict_proba(x[rows[1]])

    parallel_map(fold, StratifiedKFold(5, shuffle=True, random_state=0).split(x, given))
    return p / p.sum(axis=1, keepdims=True)


def tied(planted: gramlab.CorruptedLabels) -> float:
    """Share of rows in classes that are given another label at least as often as their own."""
    others = planted.matrix.copy()
    np.fill_diagonal(others, 0.0)
    classes = others.max(axis=1) >= np.diag(planted.matrix) * (1.0 - TIE)
    return float(classes[planted.true_labels].mean())


def judged(flagged: np.ndarray | None, suspicion: np.ndarray, wrong: np.ndarray) -> dict:
    out = {"auc": float(roc_auc_score(wrong, suspicion)), "precision": None, "recall": None}
    if flagged is not None:
        out["recall"] = float(flagged[wrong].mean())
        out["precision"] = float(wrong[flagged].mean()) if flagged.any() else None
    return out


def cleanlab_peer(given: np.ndarray, p: np.ndarray, wrong: np.ndarray) -> dict:
    try:
        flagged = find_label_issues(given, p, n_jobs=1)
        quality = get_label_quality_scores(given, p)
    except (ValueError, AssertionError):
        return dict.fromkeys(("auc", "precision", "recall"))  # it refuses: no confident row
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


def cell(features, kind: str, rate: float, seed: int) -> dict:
    """Diagnose prepared features with planted noise, and judge what was found."""
    seconds, began = {}, time.perf_counter()

    def lap(part: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[part], began = now - began, now

    steps = {"center": False, "unit_norm": False, "constant": False}  # as they are prepared
    settings = DiagnosisSettings(noise=kind, rate=rate, seed=seed, max_rounds=ROUNDS, **steps)
    try:
        found = diagnose(features, settings)
    except GramlabError as problem:
        return {"kind": kind, "rate": rate, "seed": seed, "refused": str(problem)}
    lap("diagnose")
    features, given, wrong = found.features, found.given, found.planted.flipped
    chosen, reference = found.advice.chosen.setting, found.advice.reference.setting
    tried = {t.setting.weight_decay for t in found.trials}
    accuracies = brute_force(features, found.cleaned, tried, seed)
    lap("brute force")
    best = max(accuracies, key=lambda one: (accuracies[one], one))
    true = found.planted.true_labels
    held_out = {
        t.setting: float((t.predicted == true).mean()) for t in found.trials if t.head == "exact"
    }
    suspects = found.suspects
    flagged = np.zeros(len(given), dtype=bool)
    flagged[suspects.rows] = True
    near = nearest_rows(features, min(MOST_NEIGHBOURS, len(given) - 1))[:, :NEIGHBOURS]
    votes = (given[near] == given[:, None]).mean(axis=1)
    same = out_of_fold(features, found.estimate.weight_decay, seed)
    peers = {
        "gramlab": judged(flagged, -suspects.quality, wrong),
        "neighbours": judged(None, -votes, wrong),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peers["cleanlab_same"] = cleanlab_peer(given, same, wrong)
        lap("peers")
        peers["cleanlab_logistic"] = cleanlab_peer(given, logistic_out_of_fold(features), wrong)
        lap("logistic peer")
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
        "tied": tied(found.planted),
        "noise_rate": [found.planted.realized_rate, found.estimate.noise_rate.value],
        "test_rows": len(features.test_labels),
        "seconds": seconds,
    }


# ---- Tables ------------------------------------------------------------------------------------


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def auc(one: dict, who: str) -> float | None:
    return one["suspects"][who]["auc"]


def leads(cells: list[dict]) -> dict[str, float | None]:
    """Mean AUC less that of each peer, over the cells in which the peer has one."""
    return {
        who: mean(auc(c, "gramlab") - auc(c, who) for c in cells if auc(c, who) is not None)
        for who in PEERS
        if who != "gramlab"
    }


def gaps(cells: list[dict]) -> list[float]:
    return [abs(c["calibration"]["gap"]) for c in cells if c["calibration"]["gap"] is not None]


def of_noise(cells: list[dict]) -> dict[str, list[dict]]:
    keys = sorted({(KINDS.index(c["kind"]), c["rate"]) for c in cells})
    return {
        f"{KINDS[kind]} {rate:g}": [
            c for c in cells if (c["kind"], c["rate"]) == (KINDS[kind], rate)
        ]
        for kind, rate in keys
    }


def table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    body = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return [body[0], "|" + "---|" * len(header), *body[1:], ""]


def verdict_row(name: str, cells: list[dict]) -> list[str]:
    near = float(np.mean([c["regret"] <= POINT for c in cells]))
    behind = [PEERS[who] for who, ahead in leads(cells).items() if ahead is not None and ahead <= 0]
    claims = gaps(cells)
    grouped = mean(c["calibration"]["grouped"] for c in cells)
    off = float(np.mean(claims)) if claims else math.inf
    return [
        name,
        str(len(cells)),
        f"{percent(near, 0)} %: {'met' if near >= SHARE else '**missed**'}",
        "met" if not behind else f"**missed**: not above {', '.join(behind)}",
        f"{percent(off)} (largest {percent(max(claims, default=None))}; in groups "
        f"{percent(grouped)}): {'met' if off <= CLAIM else '**missed**'}",
    ]


def verdict_rows(name: str, cells: list[dict]) -> list[list[str]]:
    """All cells, and those whose labels can tell the classes apart."""
    told = [c for c in cells if c["tied"] == 0.0]
    rows = [verdict_row(f"{name}, all", cells)]
    return rows if len(told) in (0, len(cells)) else [*rows, verdict_row("where labels tell", told)]


def regret_rows(cells: list[dict]) -> Iterable[list[str]]:
    for noise, some in of_noise(cells).items():
        advice = Counter(c["advice"] for c in some)
        accuracy = {
            which: mean(c["accuracy"][which] for c in some)
            for which in ("in_use", "advised", "best")
        }
        yield [
            noise,
            percent(mean(c["tied"] for c in some), 0),
            ", ".join(f"{kind} {count}" for kind, count in sorted(advice.items())),
            " / ".join(percent(value) for value in accuracy.values()),
            f"{percent(mean(c['regret'] for c in some))} "
            f"(largest {percent(max(c['regret'] for c in some))})",
            percent(mean(c["held_out_regret"] for c in some)),
            f"{sum(c['regret'] <= POINT for c in some)} of {len(some)}",
        ]


def suspect_rows(cells: list[dict]) -> Iterable[list[str]]:
    def both(some: list[dict], who: str) -> str:
        shares = (mean(c["suspects"][who][name] for c in some) for name in ("precision", "recall"))
        return ", ".join(percent(share) for share in shares)

    for noise, some in [*of_noise(cells).items(), ("all", cells)]:
        values = {who: mean(auc(c, who) for c in some) for who in PEERS}
        best = max(value for value in values.values() if value is not None)
        yield [
            noise,
            *(
                "–" if v is None else f"**{v:.4f}**" if v == best else f"{v:.4f}"
                for v in values.values()
            ),
            both(some, "gramlab"),
            both(some, "cleanlab_same"),
            percent(mean(c["claimed"] for c in some)),
            f"{percent(mean(gaps(some)))} (largest {percent(max(gaps(some), default=None))})",
            percent(mean(c["calibration"]["grouped"] for c in some)),
        ]


def spelled(setting: dict) -> str:
    what = "top-2 student" if setting["refine"] else f"round {setting['rounds']}"
    # Lines that were kept before labels were cleaned name none.
    if (labels := setting.get("labels") or LABELS[0]) != LABELS[0]:
        what = labels
    return f"{what} at {setting['weight_decay']:.2g}"


def worst(cells: list[dict]) -> list[str]:
    """The cells that miss, worst first."""
    missed = sorted((c for c in cells if c["regret"] > POINT), key=lambda c: -c["regret"])
    if not missed:
        return ["No cell has a regret of more than a point.", ""]
    lines = [
        f"- {c['kind']} {c['rate']:g}, seed {c['seed']}: {percent(c['regret'])} points; advised "
        f"{spelled(c['chosen'])}, best {spelled(c['best'])}; noise rate "
        f"{percent(c['noise_rate'][0])} %, estimated {percent(c['noise_rate'][1])} %"
        for c in missed
    ]
    return [f"More than a point of regret in {len(missed)} of {len(cells)} cells:", "", *lines, ""]


def timing(cells: list[dict]) -> str:
    parts = {p: np.median([c["seconds"][p] for c in cells]) for p in cells[0]["seconds"]}
    words = ", ".join(f"{part} {value:.0f}" for part, value in parts.items())
    total = sum(sum(c["seconds"].values()) for c in cells)
    return f"Median seconds a cell: {words}; {total / 60:.0f} minutes in all."


def markdown(tables: dict[str, list[dict]]) -> str:
    lines = table(
        [
            "data set",
            "cells",
            f"regret at most {percent(POINT, 0)} point in {percent(SHARE, 0)} % of the cells",
            "mean AUC above every peer",
            f"claimed precision off by at most {percent(CLAIM, 0)} points on average",
        ],
        (
            row
            for name, cells in tables.items()
            for row in verdict_rows(name, [c for c in cells if not c.get("refused")])
        ),
    )
    for name, every in tables.items():
        cells = [c for c in every if not c.get("refused")]
        seeds = len({c["seed"] for c in cells})
        lines += [
            f"**{name}** ({cells[0]['test_rows']} test rows; means of up to {seeds} seeds; "
            "tied rows, accuracies, regrets, precision, recall and claims in %)",
            "",
        ]
        lines += table(
            [
                "noise",
                "tied",
                "advice",
                "accuracy: in use / advised / best",
                "regret",
                "held out",
                "at most 1 point",
            ],
            regret_rows(cells),
        )
        lines += worst(cells)
        header = ["noise", *(f"AUC: {who}" for who in PEERS.values())]
        lines += table(
            [
                *header,
                "precision, recall",
                "cleanlab, same heads",
                "claimed",
                "claim off by",
                "in ten groups",
            ],
            suspect_rows(cells),
        )
        refused = [c for c in every if c.get("refused")]
        lines += [
            f"- refused: {c['kind']} {c['rate']:g}, seed {c['seed']}: {c['refused']}"
            for c in refused
        ]
        lines += [*([""] if refused else []), timing(cells), ""]
    return "\n".join(lines)


# ---- The run -----------------------------------------------------------------------------------


def with_superclasses(features: gramlab.Features) -> gramlab.Features:
    """The features with superclasses, found by their correlations where none are given."""
    try:
        groups, _ = study_superclasses(features, "superclass noise")
    except GramlabError:  # every class is alone
        return features
    return features.replaced(superclasses=groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+", help="with test rows; 'digits' or feature files")
    parser.add_argument("--out", required=True)
    parser.add_argument("--noise", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 100 on")
    asked = parser.parse_args()
    out = output_folder(asked.out)
    kept = KeptRows(out / "diagnose_judged.csv", "features", "kind", "rate", "seed")
    for source in asked.sources:
        name = Path(source).stem
        features, prepared = with_superclasses(gramlab.load_features(source)), None
        # Seed by seed, so that a run that is stopped has seen all kinds of noise.
        cells = [
            (kind, rate, seed)
            for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds)
            for kind in asked.noise
            for rate in asked.rates
            if kind != "superclass" or features.superclasses is not None
        ]
        for kind, rate, seed in cells:
            if (name, kind, rate, seed) in kept:
                continue
            if prepared is None:  # what does not depend on labels is made once
                prepared = features.centered().unit_norm()
                Spectrum.of(prepared)
                nearest_rows(prepared, min(MOST_NEIGHBOURS, prepared.n_samples - 1))
            result = cell(prepared, kind, rate, seed)
            kept.add({"features": name} | result)
            gc.collect()  # folds and their spectra know each other, and hold large arrays
            took = sum(result.get("seconds", {}).values())
            words = result.get("refused", f"regret {percent(result.get('regret'))}, {took:.0f} s")
            print(name, kind, f"{rate:g}", seed, words, flush=True)
    tables = kept.by("features", lambda c: (KINDS.index(c["kind"]), c["rate"], c["seed"]))
    atomic_write(out / "diagnose_judged.md", markdown(tables))


if __name__ == "__main__":
    main()

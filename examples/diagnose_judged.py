"""Judge ``gramlab diagnose`` where the truth is known: noise, suspects beside peers, advice.

    python examples/diagnose_judged.py FEATURES.npz ... --human HUMAN.npz --out docs/generated

Labels of at most --rows training rows are made wrong in every way of ``judged_noise.KINDS`` and
diagnosed without the truth, from rows that are centred, of unit norm and followed by a constant.
Then, with the truth:

* noise: whether the interval holds the share of wrong labels; nothing is said where it is wider
  than 0.9;
* suspects: precision and recall, what was claimed of all and of the first twenty, and the AUC of
  the ranking beside four peers: cleanlab with out-of-fold probabilities of the same heads in the
  same folds, and of a logistic regression whose C is tuned by their log loss; Datalab by features
  (by probabilities its label score is cleanlab's); and a vote of the 20 nearest rows. Labels of
  outliers count as wrong: they have no right one;
* outliers: how many of those planted are listed, and how much of the list is none;
* regret: clean test accuracy of the best way less that of the advised one. The best is found by
  brute force *on the test rows*: weight decays (those tried, half decades between them, and a step
  below) x rounds 1..5 until two in a row lose, the top-2 student, and one training on labels that
  are cleaned in each of the three ways. Its standard error is McNemar's, of the test rows that only
  one of the two has right.

Where a class is given another label at least as often as its own, the same features and labels come
just as well from classes that have traded names (theorem ``traded-names``), and no method can tell
without a true label. The share of rows in such classes is ``tied``.

Writes diagnose_judged.csv, one draw of noise a line, and from all of its lines diagnose_judged.md.
Lines that are there are not computed again, so that an interrupted run continues where it stopped,
and narrowed runs (--kinds, --seeds, one source at a time) add up. The peak of memory is measured on
Linux alone.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
import warnings
from pathlib import Path

import numpy as np
from cleanlab import Datalab
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from judged_noise import HUMAN, KINDS, Planted, Sample, known_to_people, tuned_logistic
from judged_table import markdown, percent
from kept_rows import KeptRows
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

import gramlab
from gramlab.diagnosis import Diagnosis, DiagnosisSettings
from gramlab.diagnosis.posterior import nearest_rows
from gramlab.diagnosis.suspects import ranking_auc
from gramlab.diagnosis.trial import LABELS, Setting
from gramlab.errors import GramlabError
from gramlab.files.whole import atomic_write, output_folder
from gramlab.runner import Run, folds, parallel_map

FIRST_SEED = 100  # smaller ones were used while the method was made
ROWS, ROUNDS, NEIGHBOURS, TOP = 6000, 5, 20, 20
TOLERANCE = 1e-5  # relative duality gap; only classes are compared
STEP, NEAR = math.sqrt(10.0), 1.2  # of weight decays; what is nearer to another fills no gap
CHAINS = 2  # of weight decays, side by side
WITHHELD = 0.9  # width of an interval that says nothing
PREPARED = {"center": True, "unit_norm": True, "constant": True}


# ---- The best of all ways ----------------------------------------------------------------------


def decays_to_try(tried: set[float]) -> list[float]:
    """Weight decays that a diagnosis tried and those that fill the gaps, the largest first."""
    decays = [min(tried) / STEP]
    for decay in sorted(tried):
        while decays[-1] * STEP * NEAR < decay:
            decays.append(decays[-1] * STEP)
        decays.append(decay)
    return decays[::-1]


def right_of_all_ways(found: Diagnosis, seed: int) -> dict[Setting, np.ndarray]:
    """Which test rows (m,) exact heads on all training rows have right, by setting.

    Every fit starts from the one at the weight decay before it, or from the round before.
    """
    features, cleaned = found.features, found.cleaned
    problems = {labels: cleaned.problem(labels) for labels in LABELS}

    def chain(decays: list[float], place: int) -> dict[Setting, np.ndarray]:
        right, last = {}, dict.fromkeys(LABELS)

        def add(setting: Setting, fit: gramlab.Fit) -> float:
            right[setting] = fit.predict(features.test_x) == features.test_labels
            return right[setting].mean()

        for decay in decays:
            for labels, (targets, weights) in problems.items():
                head = gramlab.SoftmaxHead(decay, sample_weight=weights, tolerance=TOLERANCE)
                start = None if last[labels] is None else last[labels].weights
                last[labels] = head.fit(features, targets, start=start)
                best = add(Setting(decay, labels=labels), last[labels])
                if labels != LABELS[0]:
                    continue
                student, lost = last[labels], 0
                if features.n_classes > 2:
                    two = gramlab.partial_labels(student.probabilities, 2, seed=seed)
                    add(Setting(decay, 2, "top2"), head.fit(features, two, start=student.weights))
                for t in range(2, ROUNDS + 1):
                    student = head.fit(features, student.as_targets(), start=student.weights)
                    value = add(Setting(decay, t), student)
                    best, lost = max(best, value), 0 if value > best else lost + 1
                    if lost == 2:
                        break
        return right

    decays = decays_to_try({t.setting.weight_decay for t in found.trials})
    chains = parallel_map(chain, [decays[first::CHAINS] for first in range(CHAINS)])
    return {setting: right for part in chains for setting, right in part.items()}


def accuracies(found: Diagnosis, tuned_c: float, seed: int) -> dict:
    """Clean test accuracies, and the regret of the advice."""
    features = found.features
    right = right_of_all_ways(found, seed)
    chosen, used = found.advice.chosen.setting, found.advice.reference.setting
    for setting, name in ((used, "reference"), (chosen, "chosen")):
        right[setting] = found.fits[name].predict(features.test_x) == features.test_labels
    best = max(right, key=lambda one: (right[one].mean(), one == chosen, one))
    only = int((right[best] != right[chosen]).sum())
    rows = features.without_constant()
    model = LogisticRegression(C=tuned_c, max_iter=400)
    model.fit(np.asarray(rows.x, dtype=np.float32), features.labels)
    guessed = model.predict(np.asarray(rows.test_x, dtype=np.float32))
    return {
        "advice": found.advice.kind,
        "chosen": str(chosen),
        "best": str(best),
        "accuracy": {
            "in_use": float(right[used].mean()),
            "advised": float(right[chosen].mean()),
            "best": float(right[best].mean()),
            "logistic": float((guessed == features.test_labels).mean()),
            "estimated": found.advice.chosen.accuracy.value,
        },
        "regret": float(right[best].mean() - right[chosen].mean()),
        "regret_error": math.sqrt(only) / len(features.test_labels),
        "test_rows": len(features.test_labels),
    }


# ---- Labels beside peers -----------------------------------------------------------------------


def mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def flagged(rows: np.ndarray, wrong: np.ndarray) -> dict:
    """Precision and recall of a mask (N,) of rows."""
    return {"precision": mean(wrong[rows]), "recall": mean(rows[wrong])}


def of_same_heads(found: Diagnosis, seed: int) -> np.ndarray:
    """Out-of-fold probabilities (N, K) of heads on the given labels, copies held out together."""
    features, given = found.features, found.given
    fold = folds(given, found.settings.folds, seed, found.copies.group)
    run = Run(features.as_float64(), features.n_classes, fold, given)
    head = gramlab.SoftmaxHead(found.estimate.weight_decay, tolerance=TOLERANCE)
    return softmax(run.held_out([fit.weights for fit in run.fit(head, run.one_hot(given))]), axis=1)


def by_cleanlab(given: np.ndarray, p: np.ndarray, wrong: np.ndarray) -> tuple[float | None, dict]:
    """AUC of the ranking, precision and recall of what is flagged; None where it refuses."""
    try:
        quality = get_label_quality_scores(given, p)
        rows = find_label_issues(given, p, n_jobs=1)
    except (ValueError, AssertionError):  # no class has a confident row
        return None, {"precision": None, "recall": None}
    return ranking_auc(-quality, wrong), flagged(rows, wrong)


def by_datalab(given: np.ndarray, x: np.ndarray, wrong: np.ndarray) -> float | None:
    lab = Datalab({"label": given}, label_name="label", verbosity=0)
    try:
        lab.find_issues(features=x, issue_types={"label": {}})
        score = lab.get_issues("label")["label_score"].to_numpy()
    except (ValueError, AssertionError, KeyError):  # it reports a failure, and has no scores
        return None
    return ranking_auc(-score, wrong)


def suspects_beside_peers(
    found: Diagnosis, wrong: np.ndarray, logistic: np.ndarray, seed: int
) -> dict:
    given, suspects = found.given, found.suspects
    rows = found.features.without_constant()
    near = nearest_rows(rows, NEIGHBOURS)
    kept = found.origin.rows
    mask, quality = suspects.suspected[kept], suspects.quality[kept]
    hit = np.isin(suspects.rows, kept[wrong])
    claimed = None if suspects.withheld else suspects.precision
    same_auc, same = by_cleanlab(given, of_same_heads(found, seed), wrong)
    logistic_auc, other = by_cleanlab(given, logistic, wrong)
    return {
        "auc": {
            "gramlab": ranking_auc(-quality, wrong),
            "cleanlab_same": same_auc,
            "cleanlab_logistic": logistic_auc,
            "datalab": by_datalab(given, np.asarray(rows.x, dtype=np.float32), wrong),
            "neighbours": ranking_auc(-(given[near] == given[:, None]).mean(axis=1), wrong),
        },
        "suspects": {
            "count": len(suspects),
            "share": len(suspects) / len(given),
            "of_right": mean(mask[~wrong]),
            **flagged(mask, wrong),
            "withheld": bool(suspects.withheld),
            "claimed": None if claimed is None else mean(claimed),
            "top_claimed": None if claimed is None else mean(claimed[:TOP]),
            "top_true": mean(hit[:TOP]),
            "cleanlab_same": same,
            "cleanlab_logistic": other,
        },
    }


# ---- One cell ----------------------------------------------------------------------------------


def peak_memory(*, anew: bool = False) -> float | None:
    """Most memory that this process has held, in MB, since it was counted ``anew``."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def cell(planted: Planted, seed: int) -> dict:
    """Diagnose features with wrong labels, and judge what was found."""
    seconds, began = {}, time.perf_counter()

    def lap(part: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[part], began = now - began, now

    peak_memory(anew=True)
    try:
        # As gramlab.diagnose(x, y) prepares rows; here the test rows come along.
        found = gramlab.diagnose(
            planted.features.prepared(**PREPARED),
            settings=DiagnosisSettings(seed=seed, max_rounds=ROUNDS),
        )
    except GramlabError as problem:
        return {"refused": str(problem)}
    lap("diagnose")
    peak, features = peak_memory(), found.features
    true = planted.true[found.origin.rows]
    wrong = planted.features.labels[found.origin.rows] != true
    outlier = true < 0
    listed = found.outliers.listed[found.origin.rows]
    rate = found.estimate.noise_rate
    width, share = rate.high - rate.low, float(wrong.mean())
    x = np.asarray(features.without_constant().x, dtype=np.float32)
    logistic = tuned_logistic(x, found.given, features.n_classes, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        beside = suspects_beside_peers(found, wrong, logistic.probabilities, seed)
    lap("peers")
    reached = accuracies(found, logistic.c, seed)
    lap("brute force")
    return {
        "rows": len(wrong),
        "classes": features.n_classes,
        "tied": planted.tied,
        "noise": {
            "true": share,
            "value": rate.value,
            "low": rate.low,
            "high": rate.high,
            "width": width,
            "held": bool(rate.low <= share <= rate.high),
            "withheld": bool(width > WITHHELD),
            "instance_dependent": bool(found.estimate.instance_dependent),
        },
        **beside,
        "outliers": {
            "planted": int(outlier.sum()),
            "listed": int(listed.sum()),
            "recall": mean(listed[outlier]),
            "false": mean(~outlier[listed]),
        },
        **reached,
        "tuned_c": logistic.c,
        "seconds": seconds,
        "peak_mb": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+", help="with test rows; 'digits' or feature files")
    parser.add_argument("--out", required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--human", type=Path, help="labels of people, for the source it is of")
    parser.add_argument("--rows", type=int, default=ROWS, help="most training rows of a cell")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 100 on")
    asked = parser.parse_args()
    out = output_folder(asked.out)
    kept = KeptRows(out / "diagnose_judged.csv", "features", "kind", "seed")
    for source in asked.sources:
        name, features = Path(source).stem, gramlab.load_features(source)
        people = known_to_people(features, asked.human)
        for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
            sample = Sample.of(features, asked.rows, seed, asked.human)
            for kind in asked.kinds:
                if (name, kind, seed) in kept or (kind in HUMAN and not people):
                    continue
                began = time.perf_counter()
                result = cell(KINDS[kind](sample), seed)
                kept.add({"features": name, "kind": kind, "seed": seed} | result)
                gc.collect()  # folds and their spectra know each other, and hold large arrays
                words = result.get("refused", f"regret {percent(result.get('regret'))}")
                took = time.perf_counter() - began
                print(f"{name} {kind} {seed}: {words}, {took:.0f} s", flush=True)
                atomic_write(out / "diagnose_judged.md", markdown(kept.by("features", order)))
    atomic_write(out / "diagnose_judged.md", markdown(kept.by("features", order)))


def order(one: dict) -> tuple[int, int]:
    """Where a line stands in its table."""
    return list(KINDS).index(one["kind"]), one["seed"]


if __name__ == "__main__":
    main()

"""Rounds spend weight decay: scores against the total weight decay, beside one training at as much.

    python examples/total_decay.py digits FEATURES.npz ... --out docs/generated --images docs/images
    python examples/total_decay.py FEATURES.npz --given LABELS.npz:NAME --out ... --images ...

For each feature set, centred with unit norm, at 50 % symmetric noise or with the given labels: at
five weight decays eight rounds, plain and with momentum, and one training at the sum of the weight
decays of every number of rounds, through exact heads and the closed form. What the ball of plain
rounds claims of one training at as much is held against that training. Writes total_decay.csv, one
head a line, from all of its lines total_decay.md, and a picture for each of the named feature sets.
Weight decays that are there are not computed again, so that an interrupted run continues where it
stopped, and narrowed runs (--draws) add up.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kept_rows import KeptRows
from scipy.optimize import brentq
from total_decay_page import markdown

import gramlab
from gramlab.distillation import Rounds
from gramlab.figures import TotalDecayDisplay
from gramlab.files.whole import atomic_write, output_folder
from gramlab.heads.fit import Fit
from gramlab.spectrum.filters import filter_power

ROUNDS = 8
DECAYS = tuple(1.024e-3 * 4.0**-step for step in range(5))  # the quickest first
TOLERANCE = 1e-16  # at 1e-12 up to a tenth of the rows stay undecided through eight rounds
KEY = ("features", "noise", "seed", "head", "kind", "weight_decay", "round")


def cells(features, targets, weight_decay: float) -> list[dict]:
    """Scores of both heads' rounds, momentum rounds, and one training at as much as each."""
    settings = features, targets
    found: list[dict] = []
    for head in (gramlab.SoftmaxHead(weight_decay, tolerance=TOLERANCE), None):
        plain, momentum = (
            gramlab.distill(head or gramlab.LinearizedHead(weight_decay), *settings, ROUNDS, **how)
            for how in ({}, {"momentum": True})
        )
        totals = {t: math.fsum([weight_decay] * t) for t in range(2, ROUNDS + 1)}
        of_rounds: dict[int, dict] = {t: {} for t in totals}
        if head is None:
            heads = map(gramlab.LinearizedHead, totals.values())
            ones = [gramlab.distill(one, *settings, 1) for one in heads]
        else:
            ones = [once(plain, t, of_rounds[t]) for t in totals]
        for t, one in zip(totals, ones, strict=True):
            of_rounds[t] |= predicted(plain[:t], one[0], features)
        of_head = TotalDecayDisplay.from_rounds([plain, momentum, *ones], features.labels).cells
        for cell in of_head:
            found.append({**cell, **(of_rounds[cell["round"]] if cell["kind"] == "rounds" else {})})
    return found


def once(plain: Rounds, t: int, found: dict) -> Rounds:
    """One training at as much as t rounds; to ``found``, what these claimed of it."""
    ball = plain.equivalent(t)
    check = ball.check(TOLERANCE)
    same, other = ball.same_class()
    found |= {
        "ball_radius": ball.radius,
        "ball_distance": check.distance,
        "ball_bound": check.bound,
        "ball_same": same,
        "ball_other": other,
        "found_same": check.same_class,
        "false_rows": check.false_claims,
        "ball_holds": check.holds,
    }
    return Rounds((check.fit,), plain.features, plain.targets[:1])


def predicted(rounds: Sequence[Fit], one: Fit, features: gramlab.Features) -> dict[str, Any]:
    """Λ'/Λ of one training whose filter is like that of these rounds, in two senses.

    A head that predicts P = 1/K + aV of its logits V is the filter h(s) = s/(s + Nλ/a). The secant
    slope a = ⟨P, V⟩/‖V‖² stands for an exact head, and is that of the linear one. Rounds multiply
    their filters. Of one training with the slope it has at Λ, ``predicted_level`` is where it keeps
    as much of the true labels, Σ e_j h(s_j) with their share e_j along eigenvector j, and
    ``predicted_ratio`` where the mean weight of a row's own label, Σ h(s_j)/N, is as large beside
    that. None where no weight decay does.
    """
    spectrum = gramlab.Spectrum.of(features)
    known = spectrum.eigenvalues > 1e-12 * spectrum.eigenvalues[0]
    s = spectrum.eigenvalues[known]
    deviations = gramlab.one_hot(features.labels, features.n_classes) - 1.0 / features.n_classes
    energy = ((spectrum.coordinates[:, known].T @ deviations) ** 2).sum(axis=1) / s
    mus = [features.n_samples * fit.weight_decay / slope(fit) for fit in rounds]
    mu = features.n_samples * one.weight_decay / slope(one)
    of_rounds = np.prod([filter_power(s, each) for each in mus], axis=0)
    found: dict[str, Any] = {}
    for name, read in (
        ("predicted_level", lambda h: float(energy @ h)),
        ("predicted_ratio", lambda h: float(h.sum() / (energy @ h))),
    ):
        wanted = math.log(read(of_rounds))

        def off(log_factor: float, read=read, wanted: float = wanted) -> float:
            return math.log(read(filter_power(s, mu * math.exp(log_factor)))) - wanted

        ends = -3.0, 12.0
        met = off(ends[0]) * off(ends[1]) < 0.0
        found[name] = math.exp(brentq(off, *ends)) if met else None
    return found


def slope(fit: Fit) -> float:
    """The secant slope of predictions over logits."""
    logits = fit.training_logits()
    return float(np.vdot(fit.deviations, logits) / np.vdot(logits, logits))


def given_labels(features, asked: str, seed: int) -> np.ndarray:
    """Labels with 50 % symmetric noise, or those of FILE:NAME."""
    if not asked:
        noise = gramlab.corruption_matrix("symmetric", features.n_classes, 0.5)
        return gramlab.corrupt_labels(features.labels, noise, seed=seed).labels
    path, _, name = asked.rpartition(":")
    with np.load(path, allow_pickle=False) as file:
        if name not in file:
            raise SystemExit(f"--given must name an array of {path}, got {name!r}: {file.files}")
        labels = file[name].astype(np.int64)
    if labels.shape != features.labels.shape:
        raise SystemExit(
            f"--given must hold {len(features.labels)} labels, got shape {labels.shape} of {name}"
        )
    return labels


def run(source: str, asked: Any, kept: KeptRows, images: Path) -> None:
    """Compute what is not there yet of one feature set, and draw its first draw of noise."""
    features = gramlab.load_features(source).centered().unit_norm()
    name, noise = Path(source).stem, "symmetric 0.5"
    if asked.given:
        noise = asked.given.rpartition(":")[2]
    for seed in range(asked.draws):
        targets = gramlab.one_hot(given_labels(features, asked.given, seed), features.n_classes)
        for weight_decay in asked.weight_decays:
            last = (name, noise, seed, "linear", "momentum", weight_decay, ROUNDS)
            if last in kept:
                continue
            began = time.perf_counter()
            found = cells(features, targets, weight_decay)
            of_run = {"features": name, "noise": noise, "seed": seed}
            kept.add(*(of_run | cell for cell in found))
            spent = time.perf_counter() - began
            print(f"{name}, {noise}, draw {seed}, λ = {weight_decay:g}: {spent:.0f} s", flush=True)
    first = [
        row
        for row in kept.rows.values()
        if (row["features"], row["noise"], row["seed"]) == (name, noise, 0)
    ]
    ending = f"-{noise}" if asked.given else ""
    TotalDecayDisplay.from_cells(first).save(images / f"total_decay_{name}{ending}.png")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--given", default="", help="FILE:NAME of the given labels, no noise drawn")
    parser.add_argument("--draws", type=int, default=1, help="of the noise, seeds from 0 on")
    parser.add_argument("--weight-decays", type=float, nargs="+", default=DECAYS)
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", required=True)
    asked = parser.parse_args(arguments)
    out, images = output_folder(asked.out), output_folder(asked.images)
    table = out / "total_decay.csv"
    for source in asked.sources:
        run(source, asked, KeptRows(table, *KEY), images)
    atomic_write(out / "total_decay.md", markdown(KeptRows(table, *KEY).rows.values()))


if __name__ == "__main__":
    main()

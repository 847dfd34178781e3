"""The gain of rounds beside one training at their total weight decay, in settings of the study.

    python examples/study_at_total.py digits CALTECH101.npz ... --out docs/generated

Rounds 1 to 5 at the paper's base weight decay λ, and one training at 5λ, on the draws of noisy
labels that study_results.py has: raw and centred with unit norm, symmetric noise. Writes
study_at_total.md: test accuracies, and their differences paired over seeds. Cells are kept in
--work, which study_results.py can share.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from study_results import PREPARED, Printing, line_of

import gramlab
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write, output_folder
from gramlab.study.answers import Difference, paired_difference
from gramlab.study.engine import run_study
from gramlab.study.plan import make_plan
from gramlab.study.recipes import LINES, RECIPES
from gramlab.study.rows import TEACHER, Column, Group, groups

ROUNDS = 5
LAST, ONCE = Column("distill", ROUNDS), Column("distill", 1, ("at the total weight decay",))


def joined(rounds: Group, once: Group) -> Group:
    """The rounds and the training at their total, as columns of one group."""
    rows = dict(rounds.rows)
    for (_, rate, seed), row in once.rows.items():
        rows[ONCE, rate, seed] = row
    return Group(*rounds.setting().values(), rows=rows)


def points(found: Difference) -> str:
    """A difference in percentage points ± its interval, in bold where that excludes 0."""
    mean = f"{100 * found.mean:+.1f}".replace("-", "−")
    if found.high is None:
        return mean
    bold = "**" if found.verdict != "not separated" else ""
    return f"{bold}{mean}{bold} ± {100 * (found.high - found.mean):.1f}"


def lines_of(group: Group) -> list[str]:
    """A line for each rate: three accuracies, three differences."""
    lines = []
    for rate in group.rates:
        shown = [group.mean(column, rate, "test_accuracy") for column in (TEACHER, LAST, ONCE)]
        pairs = ((LAST, TEACHER), (ONCE, TEACHER), (LAST, ONCE))
        found = [paired_difference(group, rate, *pair) for pair in pairs]
        words = [f"{100 * value:.2f}" for value in shown if value is not None]
        words += [points(one) for one in found if one is not None]
        setting = f"{group.features}, {group.preparation}, {group.noise}"
        lines.append(f"| {setting} | {rate:g} | {' | '.join(words)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--recipes", nargs="+", default=["fig6a"], choices=list(RECIPES))
    parser.add_argument("--rates", nargs="+", type=float, default=[0.3, 0.5, 0.7])
    parser.add_argument("--work", default="out/study")
    parser.add_argument("--out", default="out/study")
    options = parser.parse_args()
    work, out = map(output_folder, (options.work, options.out))
    heads = [
        "setting",
        "rate",
        "teacher at λ",
        f"round {ROUNDS} at λ",
        f"one training at {ROUNDS}λ",
        "rounds − teacher",
        "one training − teacher",
        "rounds − one training",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for source in options.sources:
        features, name = gramlab.load_features(source), Path(source).stem.split("_")[0]
        base = LINES[line_of(name)].base
        for steps, recipe in ((s, r) for s in PREPARED for r in options.recipes):
            found = []
            for decay, rounds in (("base", ROUNDS), (f"{ROUNDS * base:g}", 1)):
                chosen = RECIPES[recipe].narrowed(
                    rates=options.rates, rounds=rounds, weight_decay=[decay], methods=["distill"]
                )
                settings: dict[str, Any] = {"line": line_of(name), **PREPARED[steps]}
                try:
                    plan = make_plan(chosen, features, name, **settings)
                except InvalidSetting as problem:
                    print(f"{name}, {steps}, {recipe}: left out: {problem}", flush=True)
                    break
                folder = work / f"at-total-{name}-{steps}-{recipe}-{rounds}"
                shown = Printing(f"{name}, {steps}, {recipe}, {rounds} rounds")
                result = run_study(plan, folder, cells_folder=work / "cells", progress=shown)
                found += groups(result.rows)
            else:
                lines += lines_of(joined(*found))
                print("\n".join(lines[-len(options.rates) :]), flush=True)
    atomic_write(out / "study_at_total.md", "\n".join(lines) + "\n")
    print(f"written: {out}", flush=True)


if __name__ == "__main__":
    main()

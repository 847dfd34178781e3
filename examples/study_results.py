"""The paper's experiments on real features: every table and figure of docs/study.md.

    python examples/study_results.py digits CALTECH101.npz ... \\
        --out docs/generated --images docs/images

Each source is studied raw and centred with unit norm. Cells are kept in --work, shared by all
recipes, so that an interrupted run continues where it stopped and a second run takes seconds.
Writes study_NAME.md for each source (accuracies, and theory against exact heads), study.md with how
often the teacher's first labels are right, study.csv with every paired difference over seeds,
study-NAME-PREPARATION-RECIPE.png for the recipes of --images-of, and where the published training
was among the recipes, study_training.md, which sets it beside the optimum.
"""

from __future__ import annotations

import argparse
import csv
import threading
import time
from pathlib import Path
from typing import Any

import gramlab
from gramlab.errors import InvalidSetting
from gramlab.figures.study_set import study_displays
from gramlab.files.whole import atomic_write, output_folder
from gramlab.numerics.content import sha256, to_json
from gramlab.study.answers import differences
from gramlab.study.cells import canonical_json
from gramlab.study.engine import StudyResult, run_study
from gramlab.study.plan import make_plan
from gramlab.study.recipes import RECIPES
from gramlab.study.rows import TEACHER, Column, groups
from gramlab.study.summary import premise_tables
from gramlab.study.tables import result_tables, tables_markdown, write_rows

RECIPE_NAMES = ("fig2", "fig6a", "fig6b", "ablation")
PREPARED = {"raw": {}, "centred-unit": {"center": True, "unit_norm": True}}
PREMISES = ("structure", "approximation")
SETTING = ("features", "preparation", "noise", "weight_decay")
COUNTED = ("seeds", "verdict")
TIGHT = 1e-16  # relative gap at which classes are proved, on the first seed alone


class Printing:
    """Progress as lines: the cell in hand, heads per second, time left."""

    def __init__(self, name: str) -> None:
        self.name, self.words = name, ""
        self.cells = self.heads = self.done = self.finished = 0
        self.lock = threading.Lock()
        self.began = time.monotonic()

    def begin(self, cells: int, heads: int, kept: int) -> None:
        self.cells, self.heads = cells, heads
        print(f"{self.name}: {cells} cells to compute, {heads} heads; {kept} kept", flush=True)

    def damaged(self, reason: str) -> None:
        print(f"  damaged, computed again: {reason}", flush=True)

    def cell(self, words: str) -> None:
        self.words = words

    def head(self) -> None:
        with self.lock:
            self.done += 1

    def cell_done(self) -> None:
        with self.lock:
            self.finished += 1
        rate = self.done / (time.monotonic() - self.began)
        left = (self.heads - self.done) / rate / 60.0
        print(
            f"  {self.finished}/{self.cells} {self.words}: {rate:.2f} heads/s, {left:.1f} min left",
            flush=True,
        )


def line_of(name: str) -> str:
    """The line of weight decays: CIFAR has that of CIFAR-100, the rest that of Caltech-101."""
    return "cifar-100" if name.startswith("cifar") else "caltech-101"


def studied(
    features: gramlab.Features,
    name: str,
    steps: str,
    recipe: str,
    work: Path,
    options: Any,
    *,
    tight: bool = False,
) -> StudyResult | None:
    """One recipe on one source; None where it asks for what the source lacks.

    ``tight``: only the rounds of the first seed, so near to the optimum that most classes are
    proved.
    """
    lists: dict[str, Any] = {"seeds": options.seeds, "rates": options.rates}
    settings: dict[str, Any] = {}
    if tight:
        lists |= {"seeds": [(options.seeds or RECIPES[recipe].seeds)[0]], "methods": ["distill"]}
        settings = {"tolerance": TIGHT}
    chosen = RECIPES[recipe].narrowed(**{k: v for k, v in lists.items() if v is not None})
    try:
        plan = make_plan(chosen, features, name, line=line_of(name), **settings, **PREPARED[steps])
    except InvalidSetting as problem:
        print(f"{name}, {steps}, {recipe}: left out: {problem}", flush=True)
        return None
    # One folder per settings: other seeds are another study, with the same cells beneath.
    tag = sha256(to_json(plan.identity()))[:8]
    folder = work / f"{name}-{steps}-{recipe}-{tag}"
    title = f"{name}, {plan.preparation}, {recipe}"
    return run_study(plan, folder, cells_folder=work / "cells", progress=Printing(title))


def tables(rows: list[dict]) -> list[str]:
    heads = [row for row in rows if row["method"] not in PREMISES]
    parts = [tables_markdown(result_tables(heads))] if heads else []
    return parts + [table.markdown() for table in premise_tables(rows)]


def agreement(rows: list[dict]) -> str:
    """Theory against exact heads by round, over all rates: agreement, and what is proved."""
    gap = max(row["relative_gap"] for row in rows if row["method"] == "distill")
    lines = [
        f"The closed form against exact heads with relative gaps up to {gap:.0e}, over all rates:",
        "",
        "| setting | round | same class, mean (least) | proved to differ, mean | "
        "undecided, mean | largest difference |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for group in groups([row for row in rows if row["method"] == "distill"]):
        for column in group.rounds:
            own = [row for (c, _, _), row in group.rows.items() if c == column]

            def mean(measure: str, own: list = own) -> float:
                return sum(row[measure] for row in own) / len(own)

            least = min(row["argmax_agreement"] for row in own)
            lines.append(
                f"| {group.title} | {column.round} | {mean('argmax_agreement'):.1%} "
                f"({least:.1%}) | {mean('certified_disagreement'):.1%} | "
                f"{mean('certified_undecided'):.1%} | "
                f"{max(row['max_abs_distance'] for row in own):.2f} |"
            )
    return "\n".join(lines) + "\n"


def coverage(rows: list[dict]) -> str:
    """How often the teacher's first choice, and its first two, hold the true label."""
    found = [group for group in groups(rows) if group.rounds]
    rates = sorted({rate for group in found for rate in group.rates})
    lines = [
        "Training rows whose true label is the teacher's first choice / among its first two, mean "
        "over seeds, by rate of noise:",
        "",
        f"| setting | {' | '.join(f'{rate:g}' for rate in rates)} |",
        f"|---{'|---:' * len(rates)}|",
    ]
    for group in found:
        words = []
        for rate in rates:
            shares = [
                group.values(TEACHER, rate, name) for name in ("label_recovery", "top_two_coverage")
            ]
            means = [f"{sum(v.values()) / len(v):.0%}" for v in shares if v]
            words.append(" / ".join(means) or "—")
        lines.append(f"| {group.title} | {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def published(rows: list[dict]) -> str:
    """The published training beside the optimum: teacher, last round, partial-label student."""
    lines = [
        "Test accuracy, mean over seeds. Best epoch: chosen by its accuracy on the test rows, as "
        "published, and so no fair score.",
        "",
        "| setting | rate | head | optimum | SGD, last epoch | SGD, best epoch on test rows |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for group in groups(rows):
        last = group.rounds[-1]
        for rate in group.rates:
            for words, exact, loss, number in (
                ("teacher", TEACHER, "ce", 1),
                (f"round {last.round}", last, "ce", last.round),
                ("PLL (GCE), local", Column("top2-gce"), "gce", None),
            ):
                found = []
                for stopping in (None, "last", "best on test"):
                    own = [
                        row["test_accuracy"]
                        for (column, r, _), row in group.rows.items()
                        if r == rate
                        and (
                            column == exact
                            if stopping is None
                            else row["method"] == "published"
                            and (row["stopping"], row["loss"]) == (stopping, loss)
                            and (number is None or row["round"] == number)
                        )
                    ]
                    found.append(f"{sum(own) / len(own):.1%}" if own else "—")
                lines.append(f"| {group.title} | {rate:g} | {words} | {' | '.join(found)} |")
    return "\n".join(lines) + "\n"


def write_differences(rows: list[dict], path: Path) -> None:
    """Paired differences in percentage points, with the interval of each, one a line."""

    def points(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.2f}"

    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([*SETTING, "rate", "first", "second", "mean", "low", "high", *COUNTED])
        for d in differences(rows):
            of = [f"{d.rate:g}", d.first, d.second, points(d.mean), points(d.low), points(d.high)]
            lines.writerow([*d.setting.values(), *of, len(d.seeds), d.verdict])


def overall(rows: list[dict], results: list[StudyResult]) -> str:
    """What holds over all sources: heads, certificates, coverage."""
    heads = [row for row in rows if row["certified_undecided"] is not None]
    gaps = [row["relative_gap"] for row in heads]
    missed = sum(gap > 1e-8 for gap in gaps)
    skipped = sum(row.get("skipped") is not None for row in rows)
    lines = [
        f"{len(heads)} rows of exact heads, {missed} of them above the relative gap 1e-8 (largest "
        f"{max(gaps):.1e}); {skipped} mixtures without an optimum within float64. "
        f"{sum(r.heads for r in results)} heads in {sum(len(r.keys) for r in results)} cells.",
        "",
        coverage(rows),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--only", nargs="+", default=list(RECIPE_NAMES), choices=list(RECIPES))
    parser.add_argument(
        "--skip",
        nargs="+",
        default=[],
        metavar="NAME:RECIPE",
        help="of one source, what is too long",
    )
    parser.add_argument("--preparations", nargs="+", default=list(PREPARED), choices=PREPARED)
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--rates", nargs="+", type=float)
    parser.add_argument("--page", default="study", help="first word of the names of the pages")
    parser.add_argument("--images-of", nargs="*", default=["fig2", "fig6a"], choices=list(RECIPES))
    tight = ["fig2", "fig6a", "fig6b"]
    parser.add_argument("--tight", nargs="*", default=tight, choices=list(RECIPES))
    parser.add_argument("--work", default="out/study")
    parser.add_argument("--out", default="out/study")
    parser.add_argument("--images", default="out/study")
    options = parser.parse_args()
    work, out, images = map(output_folder, (options.work, options.out, options.images))
    everything: list[dict] = []
    results: list[StudyResult] = []
    for source in options.sources:
        features, name = gramlab.load_features(source), Path(source).stem.split("_")[0]
        told: dict[str, dict] = {}  # recipes share cells; each row is told once
        proved: dict[str, dict] = {}
        for steps in options.preparations:
            for recipe in options.only:
                if f"{name}:{recipe}" in options.skip:
                    continue
                result = studied(features, name, steps, recipe, work, options)
                if result is None:
                    continue
                results.append(result)
                told |= {canonical_json(row): row for row in result.rows}
                if recipe in options.tight:
                    near = studied(features, name, steps, recipe, work, options, tight=True)
                    assert near is not None  # the recipe itself was not refused
                    proved |= {canonical_json(row): row for row in near.rows}
                if recipe in options.images_of:
                    for stem, (display, _) in study_displays(result).items():
                        # Names of the others do not say which noise they are of.
                        others = ("coverage", "error", "eigenvalue")
                        wanted = ("gain", *(others if recipe == options.images_of[0] else ()))
                        if stem.startswith(wanted):
                            display.save(images / f"study-{name}-{steps}-{stem}.png")
        rows = list(told.values())
        parts = tables(rows)
        heads = [row for row in rows if row["method"] not in PREMISES]
        if heads:
            parts.append(agreement(list(proved.values()) or heads))
        atomic_write(out / f"{options.page}_{name}.md", "\n".join(parts))
        write_rows(rows, work / f"rows-{name}.csv")
        everything += rows
    heads = [row for row in everything if row["method"] not in PREMISES]
    if heads:
        atomic_write(out / f"{options.page}.md", overall(heads, results))
        write_differences(heads, out / f"{options.page}.csv")
    if any(row["method"] == "published" for row in heads):
        atomic_write(out / f"{options.page}_training.md", published(heads))
    print(f"written: {out}, {images}; {len(everything)} rows", flush=True)


if __name__ == "__main__":
    main()

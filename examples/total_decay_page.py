"""What rounds are worth in weight decay of one training, and the page of tables that says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr
from scipy.stats import t as student_t

__all__ = ["Worth", "equivalent_decay", "markdown"]

COMMAND = """\
```bash
run() { python examples/total_decay.py "$@" --out docs/generated --images docs/images; }
run digits --draws 5
run grocery81_vit_tiny.npz --draws 3
run grocery81_mobilenetv2.npz caltech101_vit_tiny.npz caltech101_mobilenetv2.npz
run cifar10_resnet56cifar.npz
run cifar10_resnet56cifar.npz --given cifar10_human_labels.npz:train_worse_label
run cifar10_resnet56cifar.npz --given cifar10_human_labels.npz:train_aggre_label
```
"""
SAID = """\
Features are centred with unit norm. Noise is symmetric with rate 0.5; where it is one draw, it is
that of seed 0. `train_worse_label` and `train_aggre_label` are what people said of CIFAR-10
(CIFAR-10N, Wei et al. 2022), nothing drawn. Exact heads are solved to a relative gap of 1e-16. A
cell is a weight decay λ, a number of rounds t from 2 to 8, and a draw.
"""
SETTINGS = """\
**What was run**, all else was not: no raw features, no other rates or kinds of noise.
"""
DIFFERENCES = """\
**Rounds against one training at the same Σλ**, in points: median and range over the cells of the
first draw, up to the Σλ at which one training is best and beyond; then the best label recovery of
each kind, and its test accuracy, in percent.
"""
BALLS = """\
**What the ball of the rounds says of one training at Σλ**, held against that training, V with its
certificate. A claim is a share of rows on which it certainly predicts the class of the last round,
or certainly another; a false one is refuted by V, or V is certainly outside of the ball, whose
center is c and radius r.
"""
FACTORS = """\
**How much one training has to spend for the label recovery of t rounds**, over tλ: median and
range, and the mean of the draws' medians with its 95 % interval. It is read off the line of one
training where that is monotone, and withheld elsewhere.
"""
EXPLAINED = """\
**The same factor of the means over draws, beside what filters give**, lines without a cell left
out, all sets together last. A head that predicts P = 1/K + aV of its logits is a linear filter; a
is measured, the secant slope. Matched level: one filter that keeps as much of the true labels as
those of t plain rounds. Matched ratio: one that gives a row's own label as much weight beside that.
Of each the median predicted factor, the median error, and the rank correlation ρ with the measured
one over the cells; beside them the median error of one factor, the median, for all of the cells.
"""
SIDES = {1: "rising", -1: "falling"}
Row = dict[str, Any]


class Worth(NamedTuple):
    """One training with the label recovery of t rounds at λ: its weight decay over tλ.

    ``side`` is 1 where recovery of one training rises with the weight decay there, −1 where it
    falls.
    """

    factor: float
    side: int


def equivalent_decay(
    line: Sequence[tuple[float, float]], total: float, value: float
) -> Worth | None:
    """The weight decay at which one training has this value, over ``total``.

    ``line`` holds (weight decay, value) of one training, increasing, ``total`` among them. Between
    its points the value is linear in the logarithm, and only the strictly monotone part that goes
    through ``total`` is read: None where that is a turning point, and where the value is beyond
    the ends of the part.
    """
    x, y = np.log([decay for decay, _ in line]), np.array([score for _, score in line])
    at = int(np.argmin(np.abs(x - np.log(total))))
    steps = np.sign(np.diff(y))
    beside = {int(side) for side in steps[max(at - 1, 0) : at + 1]}
    if len(beside) != 1 or beside == {0}:
        return None
    (side,) = beside
    first = last = at
    while first > 0 and steps[first - 1] == side:
        first -= 1
    while last < len(steps) and steps[last] == side:
        last += 1
    part = slice(first, last + 1)
    if not y[part].min() <= value <= y[part].max():
        return None
    found = np.interp(side * value, side * y[part], x[part])
    return Worth(float(np.exp(found) / total), side)


def group(rows: Iterable[Row], *names: str) -> dict[tuple, list[Row]]:
    """Rows by the values of some columns, in the order they came."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def paired(rows: list[Row], kind: str) -> list[tuple[Row, Row]]:
    """Rounds of a kind, each with one training at the same total weight decay."""
    once = {f"{row['total_weight_decay']:.10g}": row for row in rows if row["kind"] == "one"}
    of_kind = [row for row in rows if row["kind"] == kind]
    return [(row, once[f"{row['total_weight_decay']:.10g}"]) for row in of_kind]


def worths(rows: list[Row], kind: str) -> list[tuple[Row, Worth]]:
    """Of the rounds of one data set, draw and head: those that have a worth, with it."""
    line = sorted((r["total_weight_decay"], r["recovery"]) for r in rows if r["kind"] == "one")
    of_kind = [row for row in rows if row["kind"] == kind]
    found = [(r, equivalent_decay(line, r["total_weight_decay"], r["recovery"])) for r in of_kind]
    return [(row, worth) for row, worth in found if worth is not None]


def table(heads: str, lines: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown, its heads separated by |."""
    rule = "|".join("---" for _ in heads.split("|"))
    return [f"| {heads} |", f"|{rule}|", *(f"| {' | '.join(map(str, one))} |" for one in lines), ""]


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Median and range."""
    if not values:
        return "–"
    return f"{form(float(np.median(values)))} ({form(min(values))} to {form(max(values))})"


def two(value: float) -> str:
    return f"{value:.2f}"


def by_draw(medians: Sequence[float]) -> str:
    """Mean of the draws' medians, with its 95 % interval by Student's t."""
    if len(medians) < 2:
        return "–"
    half = student_t.ppf(0.975, len(medians) - 1) * np.std(medians, ddof=1) / len(medians) ** 0.5
    return f"{np.mean(medians):.2f} ± {half:.2f}"


def settings(rows: list[Row]) -> list[str]:
    """What was run."""
    lines = []
    for (name, noise), found in group(rows, "features", "noise").items():
        decays = sorted({row["weight_decay"] for row in found if row["kind"] == "rounds"})
        draws = len({row["seed"] for row in found})
        lines.append((name, noise, draws, ", ".join(f"{decay:.2e}" for decay in decays)))
    return table("features | noise | draws | weight decays of the rounds", lines)


def differences(rows: list[Row]) -> list[str]:
    """Rounds against one training at the same total weight decay, and the best of each kind."""
    lines = []
    for (name, noise, head), of_head in group(rows, "features", "noise", "head").items():
        first = [row for row in of_head if row["seed"] == 0]
        line: list[object] = [name, noise, head]
        for score in ("recovery", "test"):
            once = max((row for row in first if row["kind"] == "one"), key=lambda r: r[score])
            gains: tuple[list[float], list[float]] = [], []
            for row, one in paired(first, "rounds"):
                beyond = one["total_weight_decay"] > once["total_weight_decay"]
                gains[beyond].append(100 * (row[score] - one[score]))
            line += [spread(side, lambda value: f"{value:+.1f}") for side in gains]
        for kind in ("one", "rounds", "momentum"):
            best = max((row for row in first if row["kind"] == kind), key=lambda r: r["recovery"])
            spent = f"Σλ = {best['total_weight_decay']:.1e}"
            at = "" if kind == "one" else f", t = {best['round']}"
            line.append(f"{100 * best['recovery']:.1f} / {100 * best['test']:.1f} ({spent}{at})")
        lines.append(line)
    heads = "features | noise | head | recovery: to the best | beyond | test accuracy: to the best"
    heads += " | beyond | best of one"
    return table(f"{heads} | best of rounds 2 to 8 | best of momentum", lines)


def balls(rows: list[Row]) -> list[str]:
    """What the balls claimed, held against the head trained once."""
    lines = []
    exact = [row for row in rows if row["head"] == "exact"]
    for (name, noise), found in group(exact, "features", "noise").items():
        draws = group(found, "seed").values()
        cells = [pair for of_draw in draws for pair in paired(of_draw, "rounds")]
        claims = [row for row, _ in cells if row["ball_same"] + row["ball_other"] > 0.0]
        # A claim is of rows; what the training's own certificate leaves open may go either way.
        false = [
            row
            for row, one in cells
            if not row["ball_holds"]
            or row["ball_same"] > row["found_same"] + one["undecided"]
            or row["ball_other"] > 1.0 - row["found_same"] + one["undecided"]
        ]
        shares = [100 * (row["ball_same"] + row["ball_other"]) for row in claims]
        reach = [row["ball_distance"] / row["ball_radius"] for row, _ in cells]
        line: list[object] = [name, noise, len(cells), len(claims), len(false)]
        line.append(sum(row["false_rows"] for row, _ in cells))
        line.append(spread(shares, lambda value: f"{value:.1f}"))
        line.append(f"{min(100 * row['found_same'] for row, _ in cells):.1f}")
        line.append(f"{max(reach):.3f}")
        line.append(f"{max(row['weights_bound'] for row in found):.1e}")
        line.append(f"{100 * max(row['undecided'] for row in found):.2f}")
        lines.append(line)
    heads = "features | noise | cells | with claims | false claims | rows claimed falsely"
    heads += " | rows claimed, % | least found the same, % | largest ‖V − c‖/r"
    return table(f"{heads} | largest bound on ‖W − W*‖ | most rows undecided, %", lines)


def factors(rows: list[Row]) -> list[str]:
    """The factor by head and kind, and on either side of the best."""
    lines = []
    for (name, noise, head), of_head in group(rows, "features", "noise", "head").items():
        draws = group(of_head, "seed").values()
        for kind in ("rounds", "momentum"):
            found = [worths(of_draw, kind) for of_draw in draws]
            asked = sum(row["kind"] == kind for row in of_head)
            line: list[object] = [name, noise, head, kind, len(draws)]
            line.append(f"{sum(map(len, found))} of {asked}")
            line.append(spread([one.factor for draw in found for _, one in draw], two))
            line.append(by_draw([np.median([w.factor for _, w in d]) for d in found if d]))
            for side in SIDES:
                of_side = [w.factor for draw in found for _, w in draw if w.side == side]
                line.append(f"{spread(of_side, two)}, {len(of_side)}" if of_side else "–")
            lines.append(line)
    heads = "features | noise | head | kind | draws | cells with a factor | factor | by draw"
    return table(f"{heads} | where one training's recovery rises | where it falls", lines)


def mean_over_draws(rows: list[Row]) -> list[Row]:
    """One row for each head trained, with the means of what is read of it."""
    found = []
    for same in group(rows, "kind", "weight_decay", "round").values():
        means = {}
        for name in ("recovery", "predicted_level", "predicted_ratio"):
            values = [row[name] for row in same]
            means[name] = None if None in values else float(np.mean(values))
        found.append(same[0] | means)
    return found


def explained(rows: list[Row]) -> list[str]:
    """Measured factors, and of plain rounds those that the filter's sharpness gives."""
    sides: dict[tuple[str, ...], list[tuple[Row, float]]] = {}
    for (name, noise, head), of_head in group(rows, "features", "noise", "head").items():
        means = mean_over_draws(of_head)
        for kind in ("rounds", "momentum"):
            for row, worth in worths(means, kind):
                for of_set in ((name, noise), ("all", "all")):
                    key = (*of_set, head, kind, SIDES[worth.side])
                    sides.setdefault(key, []).append((row, worth.factor))
    lines = []
    for key in sorted(sides, key=lambda one: (one[0] == "all", one)):
        line: list[object] = [*key, len(sides[key])]
        for t in (2, 4, 8):
            values = [factor for row, factor in sides[key] if row["round"] == t]
            line.append(two(float(np.median(values))) if values else "–")
        for column in ("predicted_level", "predicted_ratio"):
            both = [(row[column], f) for row, f in sides[key] if row[column] is not None]
            line.append(fit_of(both))
        # That of cells which a level is predicted for, so that the errors are of the same.
        measured = [f for row, f in sides[key] if row["predicted_level"] is not None]
        line.append(one_for_all(measured))
        lines.append(line)
    heads = "features | noise | head | kind | one training's recovery | cells | t = 2 | t = 4"
    heads += " | t = 8 | matched level: predicted, error, ρ | matched ratio"
    return table(f"{heads} | one factor: error", lines)


def fit_of(both: Sequence[tuple[float, float]]) -> str:
    """Median predicted factor, median error in percent, and rank correlation over the cells."""
    if len(both) < 3:
        return "–"
    predicted, measured = np.array(both).T
    error = 100 * np.median(np.abs(np.log(predicted / measured)))
    rank = spearmanr(predicted, measured).statistic
    return f"{np.median(predicted):.2f}, {error:.0f} %, {rank:.2f}"


def one_for_all(measured: Sequence[float]) -> str:
    """Median error in percent of the median factor, said of every cell."""
    if len(measured) < 3:
        return "–"
    return f"{100 * np.median(np.abs(np.log(np.median(measured) / np.array(measured)))):.0f} %"


def markdown(rows: Iterable[Row]) -> str:
    """The page, from all rows that there are, in any order."""
    names = ("features", "noise", "head", "seed", "kind", "weight_decay", "round")
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in names))
    parts = [COMMAND, SAID]
    for words, tables in (
        (SETTINGS, settings),
        (DIFFERENCES, differences),
        (BALLS, balls),
        (FACTORS, factors),
        (EXPLAINED, explained),
    ):
        parts += [words, *tables(ordered)]
    return "\n".join(parts)

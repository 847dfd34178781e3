"""Label recovery and test accuracy by round, with the partial-label student beside them."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.check import CheckResult
from gramlab.figures.style import (
    BLUE,
    GREEN,
    GREY,
    drawing,
    end_labels,
    exact_dots,
    head_legend,
    percent_axis,
    round_axis,
    theory_line,
)

_SERIES = (
    ("label_recovery", "true labels\nrecovered\n(training)", BLUE),
    ("test_accuracy", "test\naccuracy", GREEN),
)


def accuracy_by_round(result: CheckResult) -> Figure:
    """Draw both accuracies by round, and of the partial-label student after the last round.

    The bar through an exact dot of label recovery is the range that its certificate leaves to the
    exact optimum; it is shorter than the dot when nearly all rows are certified.
    """
    rounds = len(result.exact)
    scores = {
        "theory": [result.scores(fit) for fit in result.linearized],
        "exact": [result.scores(fit) for fit in result.exact],
    }
    partial = {
        "theory": result.scores(result.partial["linearized"]),
        "exact": result.scores(result.partial["exact"]),
    }
    with drawing(4.3) as figure:
        axes = figure.subplots()
        drawn: list[float] = []
        ends = []
        for name, text, color in _SERIES:
            theory, exact = (_known(scores[head], name) for head in ("theory", "exact"))
            students = _known([partial["theory"], partial["exact"]], name)
            if not theory:
                continue
            theory_line(axes, theory, color, name)
            exact_dots(axes, exact, color, name)
            _student(axes, _student_place(rounds), students, color, name)
            ends.append((students[1], text, color))
            drawn += [*theory, *exact, *students]
        drawn += _certified_ranges(axes, result)
        _finish(axes, result, rounds, drawn)
        axes.set_title(_title([row["label_recovery"] for row in scores["exact"]]))
        head_legend(axes)
        end_labels(axes, _student_place(rounds), ends, 0.2)
    return figure


def _known(rows: list[dict[str, float | None]], name: str) -> list[float]:
    """One score of several fits; a score is known for all fits of a check or for none."""
    return [value for row in rows if (value := row[name]) is not None]


def _student_place(rounds: int) -> float:
    """Place of the partial-label student: beside the last round, clear of its tick label."""
    return rounds + max(1.0, 0.1 * rounds)


def _student(axes: Axes, x: float, values: list[float], color: str, name: str) -> None:
    theory, exact = values
    axes.plot([x], [theory], "_", ms=20, mew=1.8, color=color, gid=f"theory partial {name}")
    axes.plot([x], [exact], "D", ms=6, mfc=color, mec="white", mew=0.8, gid=f"exact partial {name}")


def _certified_ranges(axes: Axes, result: CheckResult) -> list[float]:
    """Vertical bars from certified right to certified right plus undecided."""
    drawn: list[float] = []
    certified = [found.certified for found in result.comparison] + [result.partial_certified]
    places = [*range(1, len(certified)), _student_place(len(certified) - 1)]
    for x, found in zip(places, certified, strict=True):
        if found.right is not None:
            low, high = found.right, found.right + found.undecided
            axes.plot([x, x], [low, high], color=BLUE, lw=3.0, alpha=0.35, gid=f"certified {x:g}")
            drawn += [low, high]
    return drawn


def _finish(axes: Axes, result: CheckResult, rounds: int, drawn: list[float]) -> None:
    low, high = min(drawn), max(drawn)
    pad = max(0.1 * (high - low), 0.01)
    axes.set_ylim(low - pad, high + pad)
    percent_axis(axes)
    axes.set_ylabel("share of rows predicted right")
    round_axis(axes, rounds)
    ticks = [tick for tick in axes.get_xticks() if 1 <= tick <= rounds and tick == int(tick)]
    place = _student_place(rounds)
    axes.set_xticks([*ticks, place], [*(str(int(tick)) for tick in ticks), "PLL"])
    axes.set_xlim(axes.get_xlim()[0], place + (place - rounds) / 2.0)
    axes.axvline((place + rounds) / 2.0, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlabel("round t (1 = teacher); PLL = partial-label student")


def _title(recovery: list[float | None]) -> str:
    first, last = recovery[0], recovery[-1]
    if first is None or last is None:
        return "Accuracy by round"
    if len(recovery) == 1:
        return f"Exact teacher recovers {100 * first:.1f} % of labels"
    if first == last:
        verb = "stays at" if set(recovery) == {first} else "ends where it began:"
        return f"Exact label recovery {verb} {100 * last:.1f} %"
    verb = "rises" if last > first else "falls"
    digits = 1 if abs(last - first) >= 1e-3 else 3
    return f"Exact label recovery {verb}: {100 * first:.{digits}f} → {100 * last:.{digits}f} %"

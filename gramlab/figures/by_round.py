"""What ``gramlab check`` found by round: label averaging, theory against exact heads, accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.check import CheckResult, Dynamics
from gramlab.comparison import RoundComparison
from gramlab.figures.eigenvalues import eigenvalue_gap
from gramlab.figures.heatmaps import gram_heatmap
from gramlab.figures.style import (
    BLACK,
    BLUE,
    DASHED,
    DOTTED,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    caption,
    dots,
    drawing,
    end_labels,
    exact_dots,
    log_axis,
    percent_axis,
    round_axis,
    theory_line,
)


def check_figures(result: CheckResult) -> dict[str, Figure]:
    """All figures of ``gramlab check``, by the stem of their file name."""
    features, settings = result.features, result.settings
    return {
        "eigenvalue_gap": eigenvalue_gap(
            result.spectrum,
            features.n_classes,
            weight_decay=settings.weight_decay,
            rounds=settings.rounds,
        ),
        "gram_heatmap": gram_heatmap(features, result.given.true_labels),
        "label_averaging": label_averaging(
            result.dynamics("linearized"),
            result.dynamics("exact"),
            n_classes=features.n_classes,
            weights=result.averaging_weights(),
        ),
        "error_by_round": error_by_round(result.comparison, features.n_samples),
        "accuracy_by_round": accuracy_by_round(result),
    }


def label_averaging(
    linearized: Sequence[Dynamics],
    exact: Sequence[Dynamics],
    *,
    n_classes: int,
    weights: Sequence[Mapping[str, float]] | None = None,
) -> Figure:
    """Draw class-averaged predictions by round, and below them the label-averaging weights.

    Parameters
    ----------
    linearized, exact
        ``CheckResult.dynamics`` of both heads, round 1 first.
    n_classes
        K; the uniform prediction 1/K is drawn.
    weights
        ``CheckResult.averaging_weights()``; without it there is one panel only.
    """
    with drawing(3.7 if weights is None else 6.4) as figure:
        if weights is None:
            top = figure.subplots()
        else:
            top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.35, 1.0])
            _weights(bottom, weights)
        round_axis(top, len(exact), label=weights is None)
        _predictions(top, linearized, exact, n_classes)
    return figure


def crossing_round(dynamics: Sequence[Dynamics]) -> int | None:
    """First round at which the mislabelled rows' true label leads the given one; None if never."""
    for t, found in enumerate(dynamics, 1):
        if found.flipped_true is None or found.flipped_given is None:
            return None
        if found.flipped_true > found.flipped_given:
            return t
    return None


def _predictions(
    axes: Axes, linearized: Sequence[Dynamics], exact: Sequence[Dynamics], k: int
) -> None:
    theory, truth = ([asdict(found) for found in rounds] for rounds in (linearized, exact))
    ends, drawn = [], [1.0 / k]
    for name, text, color in (
        ("clean_true", "clean rows:\np(true label)", GREEN),
        ("flipped_true", "mislabelled:\np(true label)", BLUE),
        ("flipped_given", "mislabelled:\np(given label)", VERMILLION),
    ):
        line, marks = _known(theory, name), _known(truth, name)
        if marks:
            theory_line(axes, line, color, name)
            exact_dots(axes, marks, color, name)
            ends.append((marks[-1], text, color))
            drawn += [*line, *marks]
    low, high = min(0.0, *drawn), max(drawn)
    axes.set_ylim(low - 0.04 * (high - low), high + 0.09 * (high - low))
    axes.axhline(1.0 / k, color=GREY, linewidth=1.0, linestyle=DOTTED, gid="uniform")
    ends.append((1.0 / k, f"uniform: 1/{k}", GREY))
    title = _crossing_title(linearized, exact)
    caption(axes, title, y="class-averaged prediction p", heads=True)
    crossing = crossing_round(exact)
    if crossing is not None and crossing > 1:
        axes.axvline(crossing, color=BLACK, linewidth=0.7, linestyle=DASHED, gid="crossing")
    end_labels(axes, len(exact), ends, 0.145)


def _known(rows: Sequence[Mapping[str, float | None]], name: str) -> list[float]:
    """One quantity of several fits; it is known of all fits of a check or of none."""
    return [value for row in rows if (value := row[name]) is not None]


def _crossing_title(linearized: Sequence[Dynamics], exact: Sequence[Dynamics]) -> str:
    if exact[0].flipped_true is None:
        return "No mislabelled rows"
    found, theory = crossing_round(exact), crossing_round(linearized)
    if found is None:
        return "Mislabelled rows keep the given label"
    text = f"Mislabelled rows: true label leads from t = {found}"
    if theory != found:
        text += f"\n(theory: {'never' if theory is None else f't = {theory}'})"
    return text


def _weights(axes: Axes, weights: Sequence[Mapping[str, float]]) -> None:
    ends, drawn = [], [0.0]
    for name, text, color in (
        ("same_class", "same class", BLUE),
        ("others", "other classes", GREY),
        ("own", "own label", VERMILLION),
    ):
        values = [found[name] for found in weights]
        theory_line(axes, values, color, f"weight {name}")
        ends.append((values[-1], text, color))
        drawn += values
    low, high = min(drawn), max(drawn)
    axes.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))
    caption(axes, "Whose labels one prediction averages (theory)", y="summed weight in h(G)ᵗ")
    round_axis(axes, len(weights))
    end_labels(axes, len(weights), ends, 0.11)


def error_by_round(comparison: Sequence[RoundComparison], n_samples: int) -> Figure:
    """Draw the distance of theory and exact predictions, their disagreement, and the identity.

    Parameters
    ----------
    comparison
        From ``gramlab.compare``, round 1 first.
    n_samples
        N: ‖E‖_F/√N is the root mean square distance of a row of P and P_lin.
    """
    worst = [found.max_abs for found in comparison]
    rms = [found.frobenius / n_samples**0.5 for found in comparison]
    differ = [1.0 - found.argmax_agreement for found in comparison]
    certified = [found.certified_disagreement for found in comparison]
    residual = [found.recursion_error for found in comparison]
    tolerance = [found.recursion_tolerance for found in comparison]
    failed = [f.round for f in comparison if not f.recursion_error <= f.recursion_tolerance]
    with drawing(7.0) as figure:
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1.0, 1.0])
        _curves(
            top,
            [(worst, "largest\nentry", BLACK, "max_abs"), (rms, "RMS\nof rows", BLUE, "rms")],
        )
        title = f"Largest error of the theory: {max(worst):.2g}"
        caption(top, title, y="P − P$_{lin}$ (exact − theory)")
        _curves(
            middle,
            [
                (differ, "found", PURPLE, "disagreement"),
                (certified, "certified", VERMILLION, "certified disagreement"),
            ],
            log=False,
        )
        percent_axis(middle.yaxis)
        title = "The same class on every row"
        if max(differ) > 0.0:
            title = f"Another class on up to {100 * max(differ):.3g} % of rows"
        caption(middle, title, y="share of training rows")
        _curves(
            bottom,
            [
                (tolerance, "rounding\nbound", GREY, "tolerance"),
                (residual, "residual", BLACK, "residual"),
            ],
        )
        title = "The error recursion holds in every round"
        if failed:
            title = f"The error recursion FAILS first at t = {failed[0]}"
        caption(bottom, title, y="error recursion")
        round_axis(bottom, len(comparison))
    return figure


def _curves(
    axes: Axes, curves: Sequence[tuple[Sequence[float], str, str, str]], *, log: bool = True
) -> None:
    """Lines with markers, named at their ends; 0 has no place on a log axis and is left out."""
    rounds = len(curves[0][0])
    drawn = [value for values, *_ in curves for value in values if value > 0.0 or not log]
    if log:
        log_axis(axes, min(drawn, default=1.0) / 2.0, max(drawn, default=1.0) * 2.0)
    else:
        high = max(drawn) or 0.01
        axes.set_ylim(-0.06 * high, 1.15 * high)
    for index, (values, _, color, name) in enumerate(curves):
        style = {"ms": 5, "mec": "white", "mew": 0.6} if index else {"ms": 7, "mec": "none"}
        axes.plot(range(1, rounds + 1), values, "o-", color=color, lw=1.4, gid=name, **style)
    round_axis(axes, rounds, label=False)
    bottom = axes.get_ylim()[0]
    ends = [
        (values[-1] if values[-1] > 0.0 or not log else bottom, text, color)
        for values, text, color, _ in curves
    ]
    end_labels(axes, rounds, ends, 0.2)


def accuracy_by_round(result: CheckResult) -> Figure:
    """Draw both accuracies by round, and of the partial-label student after the last round.

    The bar through an exact dot of label recovery is the range that its certificate leaves to the
    exact optimum; it is shorter than the dot when nearly all rows are certified.
    """
    rounds = len(result.exact)
    student = rounds + max(1.0, 0.1 * rounds)  # clear of the last round's tick label
    theory, exact = (
        [result.scores(fit) for fit in (*fits, result.partial[head])]
        for head, fits in (("linearized", result.linearized), ("exact", result.exact))
    )
    drawn: list[float] = []
    ends = []
    with drawing(4.3) as figure:
        axes = figure.subplots()
        for name, text, color in (
            ("label_recovery", "true labels\nrecovered\n(training)", BLUE),
            ("test_accuracy", "test\naccuracy", GREEN),
        ):
            line, marks = _known(theory, name), _known(exact, name)
            if not marks:
                continue
            theory_line(axes, line[:-1], color, name)
            exact_dots(axes, marks[:-1], color, name)
            gid = f"theory partial {name}"
            axes.plot([student], line[-1:], "_", ms=20, mew=1.8, color=color, gid=gid)
            dots(axes, [student], marks[-1:], color, "D", zorder=2, gid=f"exact partial {name}")
            ends.append((marks[-1], text, color))
            drawn += [*line, *marks]
        certified = [found.certified for found in result.comparison] + [result.partial_certified]
        for x, found in zip((*range(1, rounds + 1), student), certified, strict=True):
            if found.right is not None:
                reach = [found.right, found.right + found.undecided]
                axes.plot([x, x], reach, color=BLUE, lw=3.0, alpha=0.35, gid=f"certified {x:g}")
                drawn += reach
        low, high = min(drawn), max(drawn)
        pad = max(0.1 * (high - low), 0.01)
        axes.set_ylim(low - pad, high + pad)
        percent_axis(axes.yaxis)
        round_axis(axes, rounds, students={"PLL": student})
        title = _recovery_title(_known(exact[:-1], "label_recovery"))
        caption(axes, title, y="share of rows predicted right", heads=True)
        end_labels(axes, student, ends, 0.2)
    return figure


def _recovery_title(recovery: list[float]) -> str:
    first, last = recovery[0], recovery[-1]
    if len(recovery) == 1:
        return f"Exact teacher recovers {100 * first:.1f} % of labels"
    if first == last:
        verb = "stays at" if set(recovery) == {first} else "ends where it began:"
        return f"Exact label recovery {verb} {100 * last:.1f} %"
    verb = "rises" if last > first else "falls"
    digits = 1 if abs(last - first) >= 1e-3 else 3
    return f"Exact label recovery {verb}: {100 * first:.{digits}f} → {100 * last:.{digits}f} %"

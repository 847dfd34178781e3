"""What ``gramlab check`` found by round: label averaging, theory against exact heads, accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from gramlab.check import CheckResult, Dynamics
from gramlab.comparison import RoundComparison
from gramlab.figures import style
from gramlab.figures.eigenvalues import EigenvalueDisplay
from gramlab.figures.heatmaps import gram_heatmap
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION

_PREDICTIONS = (  # of class-averaged predictions: field, words, colour
    ("clean_true", "clean rows:\np(true label)", GREEN),
    ("flipped_true", "mislabelled:\np(true label)", BLUE),
    ("flipped_given", "mislabelled:\np(given label)", VERMILLION),
)
_WEIGHTS = (
    ("same_class", "same class", BLUE),
    ("others", "other classes", GREY),
    ("own", "own label", VERMILLION),
)
_SCORES = (
    ("label_recovery", "true labels\nrecovered\n(training)", BLUE),
    ("test_accuracy", "test\naccuracy", GREEN),
)


def check_figures(result: CheckResult) -> dict[str, Figure]:
    """All figures of ``gramlab check``, by the stem of their file name."""
    features, k = result.features, result.features.n_classes
    asked = {"weight_decay": result.settings.weight_decay, "rounds": result.settings.rounds}
    dynamics, weights = map(result.dynamics, ("linearized", "exact")), result.averaging_weights()
    return {
        "eigenvalue_gap": EigenvalueDisplay.from_spectrum(result.spectrum, k, **asked)
        .plot()
        .figure_,
        "gram_heatmap": gram_heatmap(features, result.given.true_labels),
        "label_averaging": label_averaging(*dynamics, n_classes=k, weights=weights),
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
    rounds = len(exact)
    rows = (1.0,) if weights is None else (1.35, 1.0)
    with style.drawing(3.7 if weights is None else 6.4, rows=rows) as (figure, top, *below):
        style.round_axis((top, *below)[-1], rounds)
        for name, label, color in _PREDICTIONS:
            if getattr(exact[0], name) is not None:
                theory, truth = ([getattr(d, name) for d in head] for head in (linearized, exact))
                style.by_round(top, theory, truth, color, name, label)
        look = {"color": GREY, "linewidth": 1.0, "linestyle": style.DOTTED}
        top.axhline(1.0 / n_classes, gid="uniform", label=f"uniform: 1/{n_classes}", **look)
        style.from_zero(top, 0.04, 0.09)
        title = _crossing_title(linearized, exact)
        style.caption(top, title, y="class-averaged prediction p", heads=True)
        crossing = crossing_round(exact)
        if crossing is not None and crossing > 1:
            look = {"color": BLACK, "linewidth": 0.7, "linestyle": style.DASHED}
            top.axvline(crossing, gid="crossing", **look)
        style.end_labels(top, rounds, 0.145)
        for axes in below:
            for name, label, color in _WEIGHTS:
                values = [found[name] for found in weights or ()]
                style.by_round(axes, values, (), color, f"weight {name}", label)
            style.from_zero(axes, 0.06, 0.08)
            title = "Whose labels one prediction averages (theory)"
            style.caption(axes, title, y="summed weight in h(G)ᵗ")
            style.end_labels(axes, rounds, 0.11)
    return figure


def crossing_round(dynamics: Sequence[Dynamics]) -> int | None:
    """First round at which the mislabelled rows' true label leads the given one; None if never."""
    for t, found in enumerate(dynamics, 1):
        if found.flipped_true is None or found.flipped_given is None:
            return None
        if found.flipped_true > found.flipped_given:
            return t
    return None


def _crossing_title(linearized: Sequence[Dynamics], exact: Sequence[Dynamics]) -> str:
    if exact[0].flipped_true is None:
        return "No mislabelled rows"
    found, theory = crossing_round(exact), crossing_round(linearized)
    if found is None:
        return "Mislabelled rows keep the given label"
    other = "never" if theory is None else f"t = {theory}"
    text = f"Mislabelled rows: true label leads from t = {found}"
    return text if theory == found else f"{text}\n(theory: {other})"


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
    same = "The same class on every row"
    if max(differ) > 0.0:
        same = f"Another class on up to {100 * max(differ):.3g} % of rows"
    holds = "The error recursion holds in every round"
    if failed:
        holds = f"The error recursion FAILS first at t = {failed[0]}"
    error = f"Largest error of the theory: {max(worst):.2g}"
    with style.drawing(7.0, rows=(1.1, 1.0, 1.0)) as (figure, top, middle, bottom):
        style.round_axis(bottom, len(comparison))
        style.caption(top, error, y="P − P$_{lin}$ (exact − theory)")
        style.caption(middle, same, y="share of training rows")
        style.caption(bottom, holds, y="error recursion")
        for axes, values in ((top, worst + rms), (bottom, tolerance + residual)):
            shown = [value for value in values if value > 0.0] or [1.0]  # 0 has no place on it
            style.log_axis(axes, min(shown) / 2.0, max(shown) * 2.0)
        large, small = {"ms": 7, "mec": "none"}, {"ms": 5, "mec": "white", "mew": 0.6}
        for axes, look, gid, label, color, values in (
            (top, large, "max_abs", "largest\nentry", BLACK, worst),
            (top, small, "rms", "RMS\nof rows", BLUE, rms),
            (middle, large, "disagreement", "found", PURPLE, differ),
            (middle, small, "certified disagreement", "certified", VERMILLION, certified),
            (bottom, large, "tolerance", "rounding\nbound", GREY, tolerance),
            (bottom, small, "residual", "residual", BLACK, residual),
        ):
            look |= {"color": color, "lw": 1.4, "gid": gid, "label": label}
            axes.plot(range(1, len(values) + 1), values, "o-", **look)
        style.percent_axis(middle.yaxis)
        style.from_zero(middle, 0.06, 0.15)
        for axes in (top, middle, bottom):
            style.end_labels(axes, len(comparison), 0.2)
    return figure


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
    with style.drawing(4.3) as (figure, axes):
        for name, label, color in _SCORES:
            line: list[Any] = [found[name] for found in theory]
            marks: list[Any] = [found[name] for found in exact]
            if marks[0] is not None:
                style.by_round(axes, line[:-1], marks[:-1], color, name)
                look: dict[str, Any] = {"color": color, "gid": f"theory partial {name}"}
                axes.plot([student], line[-1:], "_", ms=20, mew=1.8, **look)
                look = {"gid": f"exact partial {name}", "label": label}
                style.dots(axes, [student], marks[-1:], color, "D", zorder=2, **look)
        certified = [found.certified for found in result.comparison] + [result.partial_certified]
        for x, found in zip((*range(1, rounds + 1), student), certified, strict=True):
            if found.right is not None:
                reach = [found.right, found.right + found.undecided]
                axes.plot([x, x], reach, color=BLUE, lw=3.0, alpha=0.35, gid=f"certified {x:g}")
        low, high = axes.dataLim.intervaly
        pad = max(0.1 * (high - low), 0.01)
        axes.set_ylim(low - pad, high + pad)
        style.percent_axis(axes.yaxis)
        style.round_axis(axes, rounds, {"PLL": student})
        title = _recovery_title([found["label_recovery"] or 0.0 for found in exact[:-1]])
        style.caption(axes, title, y="share of rows predicted right", heads=True)
        style.end_labels(axes, student, 0.2)
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

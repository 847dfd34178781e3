"""Theory against truth by round: how far apart, how often another class, and the check on it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.comparison import RoundComparison
from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREY,
    PURPLE,
    VERMILLION,
    drawing,
    end_labels,
    log_axis,
    percent_axis,
    round_axis,
)


def error_by_round(comparison: Sequence[RoundComparison], n_samples: int) -> Figure:
    """Draw the distance of theory and exact predictions, their disagreement, and the identity.

    Parameters
    ----------
    comparison
        From ``gramlab.compare``, round 1 first.
    n_samples
        N: ‖E‖_F/√N is the root mean square distance of a row of P and P_lin.
    """
    with drawing(7.0) as figure:
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1.0, 1.0])
        rounds = len(comparison)
        worst = [found.max_abs for found in comparison]
        rms = [found.frobenius / n_samples**0.5 for found in comparison]
        _curves(
            top,
            [(worst, "largest\nentry", BLACK, "max_abs"), (rms, "RMS\nof rows", BLUE, "rms")],
            log=True,
        )
        top.set_title(f"Largest error of the theory: {max(worst):.2g}")
        top.set_ylabel("P − P$_{lin}$ (exact − theory)")
        differ = [1.0 - found.argmax_agreement for found in comparison]
        certified = [found.certified_disagreement for found in comparison]
        _curves(
            middle,
            [
                (differ, "found", PURPLE, "disagreement"),
                (certified, "certified", VERMILLION, "certified disagreement"),
            ],
            log=False,
        )
        percent_axis(middle)
        middle.set_title(
            f"Another class on up to {100 * max(differ):.3g} % of rows"
            if max(differ) > 0.0
            else "The same class on every row"
        )
        middle.set_ylabel("share of training rows")
        residual = [found.recursion_error for found in comparison]
        tolerance = [found.recursion_tolerance for found in comparison]
        _curves(
            bottom,
            [
                (tolerance, "rounding\nbound", GREY, "tolerance"),
                (residual, "residual", BLACK, "residual"),
            ],
            log=True,
        )
        bottom.set_title(_verdict(comparison))
        bottom.set_ylabel("error recursion")
        round_axis(bottom, rounds)
    return figure


def _verdict(comparison: Sequence[RoundComparison]) -> str:
    failed = [
        found.round
        for found in comparison
        if not found.recursion_error <= found.recursion_tolerance
    ]
    if not failed:
        return "The error recursion holds in every round"
    return f"The error recursion FAILS first at t = {failed[0]}"


def _curves(
    axes: Axes, curves: Sequence[tuple[Sequence[float], str, str, str]], *, log: bool
) -> None:
    """Lines with markers, named at their ends; 0 has no place on a log axis and is left out."""
    rounds = len(curves[0][0])
    drawn = [value for values, *_ in curves for value in values if value > 0.0 or not log]
    if log:
        low, high = (min(drawn), max(drawn)) if drawn else (1.0, 1.0)
        log_axis(axes, low / 2.0, high * 2.0)
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

"""Label averaging by round: what clean and mislabelled rows are predicted, theory and exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.check import Dynamics
from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    drawing,
    end_labels,
    exact_dots,
    head_legend,
    round_axis,
    theory_line,
)

_SERIES = (
    ("clean_true", "clean rows:\np(true label)", GREEN),
    ("flipped_true", "mislabelled:\np(true label)", BLUE),
    ("flipped_given", "mislabelled:\np(given label)", VERMILLION),
)
_WEIGHTS = (
    ("same_class", "same class", BLUE),
    ("others", "other classes", GREY),
    ("own", "own label", VERMILLION),
)


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
        _predictions(top, linearized, exact, n_classes)
        round_axis(top, len(exact), label=weights is None)
        if weights is not None:
            round_axis(figure.axes[1], len(exact))
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
    ends, drawn = [], [1.0 / k]
    for name, text, color in _SERIES:
        theory, dots = _values(linearized, name), _values(exact, name)
        if theory is None or dots is None:
            continue
        theory_line(axes, theory, color, name)
        exact_dots(axes, dots, color, name)
        ends.append((dots[-1], text, color))
        drawn += [*theory, *dots]
    low, high = min(0.0, *drawn), max(drawn)
    axes.set_ylim(low - 0.04 * (high - low), high + 0.09 * (high - low))
    axes.set_ylabel("class-averaged prediction p")
    axes.axhline(1.0 / k, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), gid="uniform")
    ends.append((1.0 / k, f"uniform: 1/{k}", GREY))
    axes.set_title(_title(linearized, exact))
    head_legend(axes)
    crossing = crossing_round(exact)
    if crossing is not None and crossing > 1:
        axes.axvline(crossing, color=BLACK, linewidth=0.7, linestyle=(0, (4, 3)), gid="crossing")
    round_axis(axes, len(exact), label=False)
    end_labels(axes, len(exact), ends, 0.145)


def _title(linearized: Sequence[Dynamics], exact: Sequence[Dynamics]) -> str:
    if exact[0].flipped_true is None:
        return "No mislabelled rows"
    found, theory = crossing_round(exact), crossing_round(linearized)
    if found is None:
        return "Mislabelled rows keep the given label"
    text = f"Mislabelled rows: true label leads from t = {found}"
    if theory != found:
        text += f"\n(theory: {'never' if theory is None else f't = {theory}'})"
    return text


def _values(dynamics: Sequence[Dynamics], name: str) -> list[float] | None:
    values = [getattr(found, name) for found in dynamics]
    return None if any(value is None for value in values) else values


def _weights(axes: Axes, weights: Sequence[Mapping[str, float]]) -> None:
    ends = []
    for name, text, color in _WEIGHTS:
        values = [found[name] for found in weights]
        theory_line(axes, values, color, f"weight {name}")
        ends.append((values[-1], text, color))
    drawn = [found[name] for found in weights for name, _, _ in _WEIGHTS]
    low, high = min(0.0, *drawn), max(0.0, *drawn)
    axes.set_ylim(low - 0.06 * (high - low), high + 0.08 * (high - low))
    axes.set_ylabel("summed weight in h(G)ᵗ")
    axes.set_title("Whose labels one prediction averages (theory)")
    round_axis(axes, len(weights), label=False)
    end_labels(axes, len(weights), ends, 0.11)

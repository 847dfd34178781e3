"""What rounds of theory and exact heads come to: their distance, and their accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab import validation
from gramlab.check import CheckResult
from gramlab.comparison import Certified, Comparison, RoundComparison, certify_predictions
from gramlab.distillation import Rounds
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.figures import style
from gramlab.figures.averaging import LabelAveragingDisplay
from gramlab.figures.display import Display, Panels, deprecated, deprecated_set, expect
from gramlab.figures.eigenvalues import EigenvalueDisplay
from gramlab.figures.heatmaps import GramDisplay
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREEN, PURPLE, VERMILLION
from gramlab.heads.fit import Fit

_SCORES = (
    ("label_recovery", "true labels\nrecovered\n(training)", BLUE),
    ("test_accuracy", "test\naccuracy", GREEN),
)
Scores = Mapping[str, float | None]


def check_displays(result: CheckResult) -> dict[str, Display]:
    """All figures of ``gramlab check``, by the stem of their file name."""
    asked = {"weight_decay": result.settings.weight_decay, "rounds": result.settings.rounds}
    features = result.features
    return {
        "eigenvalue_gap": EigenvalueDisplay.from_spectrum(
            result.spectrum, features.n_classes, **asked
        ),
        "gram_heatmap": GramDisplay.from_features(features, result.given.true_labels),
        "label_averaging": LabelAveragingDisplay.from_check(result),
        "error_by_round": ErrorDisplay.from_comparison(result.comparison),
        "accuracy_by_round": AccuracyDisplay.from_check(result),
    }


def check_figures(result: CheckResult) -> dict[str, Figure]:
    """Deprecated: the figures of ``check_displays``."""
    return deprecated_set("check_figures", "check_displays", check_displays(result))


class ErrorDisplay(Display):
    """Distance of theory and exact predictions by round, and on how many rows they disagree.

    The note says whether the error recursion held, the identity that links the rounds' errors; if
    not, the title does.
    """

    def __init__(self, comparison: Sequence[RoundComparison], n_samples: int) -> None:
        self.comparison: Sequence[RoundComparison] = comparison
        self.n_samples: int = n_samples

    @classmethod
    def from_comparison(cls, comparison: Comparison) -> Self:
        """Take what ``gramlab.compare`` found.

        ‖E‖_F/√N is drawn as the root mean square distance of a row of P and P_lin.
        """
        return cls(comparison, comparison.n_samples)

    def _panels(self) -> Panels:
        return Panels(5.2, rows=(1.1, 1.0))

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (top, below), compared = axes, self.comparison
        worst = [found.max_abs for found in compared]
        rms = [found.frobenius / self.n_samples**0.5 for found in compared]
        differ = [1.0 - found.argmax_agreement for found in compared]
        certified = [found.certified_disagreement for found in compared]
        for panel in axes if not look.house else axes[-1:]:
            style.round_axis(panel, len(compared))
        title, note = _format_error(compared)
        look.caption(top, title, y="P − P$_{lin}$ (exact − theory)", note=note)
        same = "The same class on every row"
        if max(differ) > 0.0:
            same = f"Another class on up to {100 * max(differ):.3g} % of rows"
        look.caption(below, same, y="share of training rows")
        shown = [value for value in worst + rms if value > 0.0] or [1.0]  # 0 has no place on it
        style.log_axis(top, min(shown) / 2.0, max(shown) * 2.0)
        large, small = {"ms": 7, "mec": "none"}, {"ms": 5, "mec": "white", "mew": 0.6}
        for panel, marks, gid, label, color, values in (
            (top, large, "max_abs", "largest\nentry", BLACK, worst),
            (top, small, "rms", "RMS\nof rows", BLUE, rms),
            (below, large, "disagreement", "found", PURPLE, differ),
            (below, small, "certified disagreement", "certified", VERMILLION, certified),
        ):
            marks |= {"color": color, "lw": 1.4, "gid": gid, "label": label}
            panel.plot(range(1, len(values) + 1), values, "o-", **marks)
        style.percent_axis(below.yaxis)
        style.from_zero(below, 0.06, 0.15)
        for panel in axes:
            look.end_labels(panel, len(compared), 0.2)


def _format_error(compared: Sequence[RoundComparison]) -> tuple[str, str]:
    """The theory's largest error, and whether the error recursion held."""
    title = f"Largest error of the theory: {max(found.max_abs for found in compared):.2g}"
    failed = [f.round for f in compared if not f.recursion_error <= f.recursion_tolerance]
    if failed:
        return f"{title}\nThe error recursion FAILS first at t = {failed[0]}", ""
    most = style.at_most(max(found.recursion_error for found in compared))
    return title, f"error recursion holds in all rounds (residual at most {most})"


def error_by_round(comparison: Sequence[RoundComparison], n_samples: int) -> Figure:
    """Deprecated: ``ErrorDisplay.from_comparison(comparison).plot().figure_``."""
    return deprecated("error_by_round", ErrorDisplay(comparison, n_samples))


class AccuracyDisplay(Display):
    """Label recovery and test accuracy by round, with what is certified of the recovery.

    The bar through an exact dot of label recovery is the range that its certificate leaves to the
    exact optimum; it is shorter than the dot when nearly all rows are certified.
    """

    def __init__(
        self,
        exact: Sequence[Scores],
        theory: Sequence[Scores],
        certified: Sequence[Certified | None],
        *,
        student: bool = False,
    ) -> None:
        self.exact: Sequence[Scores] = exact
        self.theory: Sequence[Scores] = theory
        self.certified: Sequence[Certified | None] = certified
        self.student: bool = student

    @classmethod
    def from_check(cls, result: CheckResult) -> Self:
        """Take all rounds, and the partial-label student right of the last."""
        exact, theory = (
            [result.scores(fit) for fit in (*fits, result.partial[head])]
            for head, fits in (("exact", result.exact), ("linearized", result.linearized))
        )
        certified = [*(found.certified for found in result.comparison), result.partial_certified]
        return cls(exact, theory, certified, student=True)

    @classmethod
    def from_rounds(cls, rounds: Rounds, truth: object, *, theory: Rounds | None = None) -> Self:
        """Score rounds, and certify them through the rounds where they have such certificates.

        Parameters
        ----------
        rounds
            Of an exact head, from ``distill``.
        truth : (N,)
            True labels of the training rows.
        theory
            As many rounds of the linearized head, to draw beside them.

        Raises
        ------
        InvalidLabels
            If labels are not one class number per training row.
        InvalidSetting
            If rounds are no ``Rounds``, or the theory is not as many fits.
        """
        expect(rounds, Rounds, "rounds", "give what gramlab.distill(...) returned, whole")
        linear = () if theory is None else theory
        expect(linear, Sequence, "theory", "give what gramlab.distill(...) returned")
        for one in linear:
            expect(one, Fit, "each of theory", "give what gramlab.distill(...) returned")
        n = rounds.features_by_round[0].n_samples
        labels = validation.check_labels(truth, n_samples=n, name="truth")
        if theory is not None and len(theory) != len(rounds):
            raise InvalidSetting(
                f"expected as many rounds of the theory as of the exact head, got {len(theory)} "
                f"and {len(rounds)}; distill both with the same rounds"
            )
        certified = [
            None if one is None else certify_predictions(fit, features, labels, one)[0]
            for fit, features, one in zip(
                rounds, rounds.features_by_round, rounds.chain, strict=True
            )
        ]
        exact, lines = (
            [
                _scores(fit, features, labels)
                for fit, features in zip(fits, rounds.features_by_round, strict=False)
            ]
            for fits in (rounds, linear)
        )
        return cls(exact, lines, certified)

    def _panels(self) -> Panels:
        return Panels(4.3)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), rounds = axes, len(self.exact) - self.student
        place = rounds + max(1.0, 0.1 * rounds)  # clear of the last round's tick label
        for name, label, color in _SCORES:
            line: list[Any] = [found[name] for found in self.theory]
            marks: list[Any] = [found[name] for found in self.exact]
            if marks[0] is None:
                continue
            own = "" if self.student else label
            style.by_round(panel, line[:rounds], marks[:rounds], color, name, own)
            if self.student:
                mark: dict[str, Any] = {"color": color, "gid": f"theory partial {name}"}
                panel.plot([place], line[-1:], "_", ms=20, mew=1.8, **mark)
                mark = {"gid": f"exact partial {name}", "label": label}
                style.dots(panel, [place], marks[-1:], color, "D", zorder=2, **mark)
        at = (*range(1, rounds + 1), *[place] * self.student)
        for x, found in zip(at, self.certified, strict=True):
            if found is not None and found.right is not None:
                reach = [found.right, found.right + found.undecided]
                panel.plot([x, x], reach, color=BLUE, lw=3.0, alpha=0.35, gid=f"certified {x:g}")
        low, high = panel.dataLim.intervaly
        pad = max(0.1 * (high - low), 0.01)
        panel.set_ylim(low - pad, high + pad)
        style.percent_axis(panel.yaxis)
        style.round_axis(panel, rounds, {"PLL": place} if self.student else None)
        recovery = [found["label_recovery"] or 0.0 for found in self.exact[:rounds]]
        title = format_recovery(recovery, self.certified[:rounds])
        both = bool(self.theory)
        look.caption(panel, title, y="share of rows predicted right", heads=both)
        look.end_labels(panel, at[-1], 0.2)


def _scores(fit: Fit, features: Features, truth: np.ndarray) -> Scores:
    test = None
    if features.test_x is not None and features.test_labels is not None:
        test = float((fit.predict(features.test_x) == features.test_labels).mean())
    return {"label_recovery": float((fit.labels == truth).mean()), "test_accuracy": test}


def accuracy_by_round(result: CheckResult) -> Figure:
    """Deprecated: ``AccuracyDisplay.from_check(result).plot().figure_``."""
    return deprecated("accuracy_by_round", AccuracyDisplay.from_check(result))


Range = tuple[float, float]
_SAME = 4.0 * np.finfo(float).eps  # sums of shares are rounded: equal counts of rows may differ so


def certified_peak(ranges: Sequence[Range]) -> int | None:
    """The round t = 1, 2, … whose range of shares lies above all others'; None if none does."""
    best = int(np.argmax([low for low, _ in ranges]))
    others = [high for t, (_, high) in enumerate(ranges) if t != best]
    return best + 1 if all(ranges[best][0] > high + _SAME for high in others) else None


def format_recovery(recovery: Sequence[float], certified: Sequence[Certified | None]) -> str:
    """What label recovery does over all rounds, as far as the certified ranges establish it.

    Without them, or where they overlap, it is told at the first round and at the last.
    """
    first, last, most = recovery[0], recovery[-1], max(recovery)
    if len(recovery) == 1:
        return f"Exact teacher recovers {100 * first:.1f} % of labels"
    # As many digits as tell apart what is different.
    nearest = min(np.diff(sorted({first, last, most})), default=1.0)
    digits = next((d for d in (1, 3, 5, 7) if 100.0 * nearest >= 10.0**-d), 17)
    first, last, most = (f"{100 * value:.{digits}f}" for value in (first, last, most))
    ranges = [
        (one.right, one.right + one.undecided)
        for one in certified
        if one is not None and one.right is not None
    ]
    if len(ranges) == len(recovery):
        low, high = np.array(ranges).T
        rises = bool((low[1:] >= high[:-1] - _SAME).all())
        falls = bool((high[1:] <= low[:-1] + _SAME).all())
        if rises and falls:
            return f"Exact label recovery stays at {last} %"
        if rises or falls:
            return f"Exact label recovery {'rises' if rises else 'falls'}: {first} → {last} %"
        peak = certified_peak(ranges)
        if peak not in (None, 1, len(ranges)):
            return f"Exact label recovery peaks at t = {peak}:\n{first} → {most} → {last} %"
    return f"Exact label recovery: {first} % at t = 1,\n{last} % at t = {len(recovery)}"

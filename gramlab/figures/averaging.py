"""Label averaging by round: what it does to predictions, and whose labels one of them averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.check import CheckResult
from gramlab.distillation import Dynamics, dynamics
from gramlab.distillation import label_averaging as averaging_weights
from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated, expect
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, VERMILLION
from gramlab.heads.fit import ClosedFormFit, Fit
from gramlab.spectrum import Spectrum

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


class DynamicsDisplay(Display):
    """Class-averaged predictions by round, of clean and of mislabelled rows; one panel.

    Linear rounds are lines, exact ones dots. Where the mislabelled rows' true label comes to lead
    their given one for the first time, a dashed line stands; the dotted one is the uniform 1/K.
    """

    def __init__(
        self,
        exact: Sequence[Dynamics] | None,
        theory: Sequence[Dynamics] | None,
        n_classes: int,
    ) -> None:
        self.exact: Sequence[Dynamics] | None = exact
        self.theory: Sequence[Dynamics] | None = theory
        self.n_classes: int = n_classes

    @classmethod
    def from_rounds(
        cls,
        rounds: Sequence[Fit],
        given: object,
        truth: object,
        *,
        theory: Sequence[Fit] | None = None,
    ) -> Self:
        """Average the predictions of rounds; nothing is drawn yet.

        Parameters
        ----------
        rounds
            ``Rounds`` of any head, or fits on the same N rows, round 1 first.
        given, truth : (N,)
            Labels that the rows were given, and their true ones, 0 .. K-1.
        theory
            As many rounds of the linearized head, to draw beside them.

        Raises
        ------
        InvalidLabels
            If labels are not one class number per training row.
        InvalidSetting
            If there are no rounds, of the theory another number, or they are no fits.
        """
        for name, several in (("rounds", rounds), ("theory", () if theory is None else theory)):
            expect(several, Sequence, name, "give rounds = gramlab.distill(...)")
            for one in several:
                expect(one, Fit, f"each of {name}", "give rounds = gramlab.distill(...)")
        if not len(rounds) or (theory is not None and len(theory) != len(rounds)):
            count = "none" if not len(rounds) else f"{len(theory or ())} beside {len(rounds)}"
            raise InvalidSetting(
                f"expected one round or more, and as many of the theory, got {count}; give both "
                "from distill(...) with the same rounds"
            )
        found = dynamics(rounds, given, truth)
        k = rounds[0].probabilities.shape[1]
        if theory is None:
            closed = isinstance(rounds[0], ClosedFormFit)
            return cls(None, found, k) if closed else cls(found, None, k)
        return cls(found, dynamics(theory, given, truth), k)

    @property
    def _shown(self) -> Sequence[Dynamics]:
        """The rounds that titles speak of: the exact ones, if there are any."""
        return self.exact or self.theory or ()

    def _panels(self) -> Panels:
        return Panels(3.7)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), rounds, k = axes, len(self._shown), self.n_classes
        style.round_axis(panel, rounds)
        for name, label, color in _PREDICTIONS:
            if getattr(self._shown[0], name) is not None:
                theory, exact = (
                    [getattr(one, name) for one in head or ()] for head in (self.theory, self.exact)
                )
                style.by_round(panel, theory, exact, color, name, label)
        dotted = {"color": GREY, "linewidth": 1.0, "linestyle": style.DOTTED}
        panel.axhline(1.0 / k, gid="uniform", label=f"uniform: 1/{k}", **dotted)
        style.from_zero(panel, 0.04, 0.09)
        both = self.exact is not None and self.theory is not None
        title = _crossing_title(self._shown, self.theory if both else None)
        look.caption(panel, title, y="class-averaged prediction p", heads=both)
        crossing = crossing_round(self._shown)
        if crossing is not None and crossing > 1:
            dashed = {"color": BLACK, "linewidth": 0.7, "linestyle": style.DASHED}
            panel.axvline(crossing, gid="crossing", **dashed)
        look.end_labels(panel, rounds, 0.145)


class AveragingDisplay(Display):
    """Label-averaging weights of the closed form by round: whose labels one prediction sums up."""

    def __init__(self, weights: Sequence[Mapping[str, float]]) -> None:
        self.weights: Sequence[Mapping[str, float]] = weights

    @classmethod
    def from_spectrum(
        cls,
        spectrum: Spectrum,
        labels: object,
        weight_decay: float,
        rounds: int,
        *,
        n_classes: int | None = None,
    ) -> Self:
        """Sum the weights, as ``gramlab.label_averaging`` does with the same arguments.

        Raises
        ------
        InvalidSetting
            If it is no spectrum, or a number is out of range.
        """
        expect(spectrum, Spectrum, "spectrum", "give gramlab.Spectrum.of(features)")
        return cls(averaging_weights(spectrum, labels, weight_decay, rounds, n_classes=n_classes))

    def _panels(self) -> Panels:
        return Panels(3.0)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,) = axes
        style.round_axis(panel, len(self.weights))
        for name, label, color in _WEIGHTS:
            values = [found[name] for found in self.weights]
            style.by_round(panel, values, (), color, f"weight {name}", label)
        style.from_zero(panel, 0.06, 0.08)
        title = "Whose labels one prediction averages (theory)"
        look.caption(panel, title, y="summed weight in h(G)ᵗ")
        look.end_labels(panel, len(self.weights), 0.11)


class LabelAveragingDisplay(Display):
    """What ``gramlab check`` draws of label averaging: predictions above weights, by round."""

    def __init__(self, predictions: DynamicsDisplay, weights: AveragingDisplay) -> None:
        self.predictions: DynamicsDisplay = predictions
        self.weights: AveragingDisplay = weights

    @classmethod
    def from_check(cls, result: CheckResult) -> Self:
        """Take both from a result of ``gramlab.check.run_check``."""
        linearized, exact = map(result.dynamics, ("linearized", "exact"))
        predictions = DynamicsDisplay(exact, linearized, result.features.n_classes)
        return cls(predictions, AveragingDisplay(result.averaging_weights()))

    def _panels(self) -> Panels:
        return Panels(6.4, rows=(1.35, 1.0))

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        top, bottom = axes
        self.predictions._draw((top,), look)
        self.weights._draw((bottom,), look)
        if look.house:
            top.set_xlabel("")  # the panels share the axis of rounds


def label_averaging(
    linearized: Sequence[Dynamics],
    exact: Sequence[Dynamics],
    *,
    n_classes: int,
    weights: Sequence[Mapping[str, float]] | None = None,
) -> Figure:
    """Deprecated: ``LabelAveragingDisplay`` or ``DynamicsDisplay``, ``.plot().figure_``."""
    display: Display = DynamicsDisplay(exact, linearized, n_classes)
    if weights is not None:
        display = LabelAveragingDisplay(display, AveragingDisplay(weights))
    return deprecated("label_averaging", display)


def leading_rounds(by_round: Sequence[Dynamics]) -> list[int]:
    """Rounds at which the mislabelled rows' true label leads their given one."""
    return [
        t
        for t, found in enumerate(by_round, 1)
        if found.flipped_true is not None
        and found.flipped_given is not None
        and found.flipped_true > found.flipped_given
    ]


def crossing_round(by_round: Sequence[Dynamics]) -> int | None:
    """First round at which the mislabelled rows' true label leads the given one; None if never."""
    return min(leading_rounds(by_round), default=None)


def when_leading(by_round: Sequence[Dynamics]) -> str:
    """In words, at which rounds the true label leads: never, from one on, or at which."""
    leading = leading_rounds(by_round)
    if not leading:
        return "never"
    if leading == [*range(leading[0], len(by_round) + 1)]:
        return f"from t = {leading[0]}"
    if leading == [*range(leading[0], leading[-1] + 1)]:
        last = f" to {leading[-1]}" if len(leading) > 1 else ""
        return f"only at t = {leading[0]}{last}"
    return f"in {len(leading)} of {len(by_round)} rounds"


def _crossing_title(shown: Sequence[Dynamics], theory: Sequence[Dynamics] | None) -> str:
    if shown[0].flipped_true is None:
        return "No mislabelled rows"
    found, other = when_leading(shown), None if theory is None else when_leading(theory)
    leads = "never leads" if found == "never" else f"leads {found}"
    beside = "" if other in (None, found) else f"\n(theory: {other})"
    return f"Mislabelled rows: true label {leads}{beside}"

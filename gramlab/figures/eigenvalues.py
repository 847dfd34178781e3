"""The spectrum of the Gram matrix, what the filter h(s) = s/(s + μ) does to it, and the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated, expect
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PALE, PURPLE, VERMILLION
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import filter_power, linear_mu

_SHADES = (  # of one to four rounds, darker with more
    [BLUE],
    ["#86BEE0", "#00446B"],
    ["#86BEE0", BLUE, "#00446B"],
    ["#86BEE0", "#4C9ED0", BLUE, "#00446B"],
)
_SETS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (PURPLE, "D"))


class EigenvalueDisplay(Display):
    """Eigenvalues of G against their rank, and below them what rounds leave of each direction.

    Two panels with a weight decay, else one. The gap after the K-th eigenvalue is marked, and told
    with its certified error; what the certificate cannot tell from 0 is grey.
    """

    def __init__(self, spectrum: Spectrum, n_classes: int, mu: float | None, rounds: int) -> None:
        self.spectrum: Spectrum = spectrum
        self.n_classes: int = n_classes
        self.mu: float | None = mu
        self.rounds: int = rounds

    @classmethod
    def from_spectrum(
        cls,
        spectrum: Spectrum,
        n_classes: int,
        *,
        weight_decay: float | None = None,
        rounds: int = 1,
    ) -> Self:
        """Take what there is to draw; nothing is drawn yet.

        Parameters
        ----------
        spectrum
            Of the N training rows.
        n_classes
            K: the gap after the K-th eigenvalue is marked.
        weight_decay
            λ; draws μ = K N λ, where h(s) = 1/2, and the panel of the filter. Without it there is
            neither.
        rounds
            The filter is drawn for t = 1 … rounds (at most four of them, evenly chosen).

        Raises
        ------
        InvalidSetting
            If it is no spectrum, or a number is out of range.
        """
        expect(spectrum, Spectrum, "spectrum", "give gramlab.Spectrum.of(features)")
        k = validation.check_integer("n_classes", n_classes, 1)
        mu = None if weight_decay is None else linear_mu(k, spectrum.n_samples, weight_decay)
        return cls(spectrum, k, mu, validation.check_integer("rounds", rounds, 1))

    def _panels(self) -> Panels:
        return Panels(3.6) if self.mu is None else Panels(6.0, rows=(1.5, 1.0))

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        top, *below = axes
        spectrum, k = self.spectrum, self.n_classes
        for panel in axes if not look.house else axes[-1:]:
            _rank_axis(panel, spectrum)
        unresolved = _format_unresolved(spectrum)
        _eigenvalues(top, spectrum, k, self.mu, look, unresolved if look.house else "")
        title, note = _format_gap(spectrum, k)
        if not look.house:  # the caller's panel may be too narrow to hold it
            note = "; ".join(filter(None, (note, unresolved)))
        look.caption(top, title, y="eigenvalue of G = XXᵀ", note=note)
        for panel in below:
            panel.axvline(k + 0.5, color=VERMILLION, linewidth=0.8)
            _filters(panel, spectrum.eigenvalues, self.mu or 0.0, self.rounds, look)


def eigenvalue_gap(
    spectrum: Spectrum, n_classes: int, *, weight_decay: float | None = None, rounds: int = 1
) -> Figure:
    """Deprecated: ``EigenvalueDisplay.from_spectrum(...).plot().figure_``, with its arguments."""
    settings = {"weight_decay": weight_decay, "rounds": rounds}
    display = EigenvalueDisplay.from_spectrum(spectrum, n_classes, **settings)
    return deprecated("eigenvalue_gap", display)


def _rank_axis(axes: Axes, spectrum: Spectrum) -> None:
    stored, n = len(spectrum.eigenvalues), spectrum.n_samples
    zeros = f"; the other {n - stored} of G's {n} are 0" if n > stored else ""
    steps = (1, 2, 5) if stored < 500 else (1, 3)
    ticks = [m * 10**p for p in range(len(str(stored))) for m in steps if m * 10**p <= stored]
    axes.set(xscale="log", xlim=(0.85, (stored + 1) * 1.15))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"rank of the eigenvalue{zeros}")


def _format_unresolved(spectrum: Spectrum) -> str:
    values, error = spectrum.eigenvalues, spectrum.certificate.eigenvalue_error
    count = int((values <= error).sum())
    return f"{count} of {len(values)} cannot be told from 0" if count else ""


def _eigenvalues(
    axes: Axes, spectrum: Spectrum, k: int, mu: float | None, look: Look, unresolved: str
) -> None:
    values, error = spectrum.eigenvalues, spectrum.certificate.eigenvalue_error
    rank = np.arange(1, len(values) + 1)
    resolved = values > error
    marks = [*values[resolved], *([] if mu is None else [mu])] or [max(error, 1.0)]
    # Far below everything else the error level would only squeeze the spectrum: then it is told.
    on_axis = 0.0 < error and min(marks) < 1e6 * error
    low = (error if on_axis else min(marks)) / 30.0
    style.log_axis(axes, low, max(*marks, error) * 4.0)
    axes.axvline(k + 0.5, color=VERMILLION, linewidth=0.8, gid="after K")
    words = f"certified\nerror\n{style.at_most(error)}" + ("" if on_axis else "\n(off axis)")
    axes.axhline(error, color=GREY, linewidth=1.0, gid="error", label=words)
    band = "#F2F2F2" if on_axis else "white"
    axes.axhspan(low, max(low, error), color=band, zorder=0)
    if mu is not None:
        dashed = {"color": BLACK, "linewidth": 1.0, "linestyle": style.DASHED}
        axes.axhline(mu, label=f"μ = {mu:.4g}\n(h = ½)", gid="mu", **dashed)
    # What is certified about the last is only that they lie below the line, zero included.
    heights = np.where(resolved, values, np.maximum(values, low * 1.6))
    size = 5 if len(values) <= 100 else 3
    for part, mark, color, name in (
        (resolved & (rank <= k), "o", VERMILLION, "first K"),
        (resolved & (rank > k), "o", BLUE, "further"),
        (~resolved, "v", GREY, "not resolved"),
    ):
        axes.plot(rank[part], heights[part], mark, ms=size, mec="none", mfc=color, gid=name)
    if unresolved:
        box = {"facecolor": band, "edgecolor": "none", "pad": 0.5}
        grey = {"fontsize": style.text_size(), "color": style.ink(GREY), "bbox": box}
        axes.text(0.015, 0.02, unresolved, transform=axes.transAxes, **grey)
    look.end_labels(axes, (len(values) + 1) * 1.15, 0.2)


def _format_gap(spectrum: Spectrum, k: int) -> tuple[str, str]:
    """How large the gap after the K-th eigenvalue is, or why there is none, and its certificate."""
    error = 2.0 * spectrum.certificate.eigenvalue_error
    if k >= spectrum.n_samples:
        return f"{spectrum.n_samples} rows: no gap after K = {k}", ""
    if k > len(spectrum.eigenvalues):
        return f"Rank at most {len(spectrum.eigenvalues)}: no gap after K = {k}", ""
    gap, after = spectrum.gap(k), spectrum.eigenvalue(k + 1)
    if gap <= error:
        title = f"No certified gap after K = {k}"
    elif after <= error / 2.0:
        title = f"Only the first K = {k} are certified above 0"
    elif gap < after:
        title = f"s$_{{{k}}}$ exceeds s$_{{{k + 1}}}$ by {100 * gap / after:.2g} %"
    else:
        title = f"s$_{{{k}}}$ is {1 + gap / after:.3g} times s$_{{{k + 1}}}$"
    return title, f"gap after K = {k}: {gap:.6g}, certified to {style.at_most(error)}"


def _filters(axes: Axes, eigenvalues: np.ndarray, mu: float, rounds: int, look: Look) -> None:
    rank = np.arange(1, len(eigenvalues) + 1)
    axes.axhline(0.5, color=PALE, linewidth=0.8)
    axes.set_ylim(-0.04, 1.04)
    look.caption(axes, "What t rounds leave of each direction", y="filter h(s)ᵗ")
    chosen = np.unique(np.linspace(1, rounds, min(rounds, 4)).round().astype(int))
    marks = {}
    for t, shade in zip(chosen, _SHADES[len(chosen) - 1], strict=True):
        marks[f"t = {t}"] = {"color": shade, "lw": 1.6}
        axes.plot(
            rank, filter_power(eigenvalues, mu, int(t)), gid=f"filter {t}", **marks[f"t = {t}"]
        )
    # Not at their ends, which are one where all are 0 there.
    look.legend(axes, marks, loc="best")


class AnglesDisplay(Display):
    """Principal angles between the top-K eigenspace of G and the class indicators, sorted."""

    def __init__(self, angles: Mapping[str, np.ndarray]) -> None:
        self.angles: Mapping[str, np.ndarray] = angles

    @classmethod
    def from_angles(cls, angles: ArrayLike | Mapping[str, ArrayLike]) -> Self:
        """Take angles, of one feature set or of several.

        Parameters
        ----------
        angles
            In radians (K,), as ``class_subspace_angles`` gives them, or a name to each of at most
            four such arrays.

        Raises
        ------
        InvalidSetting
            If there are none, more than four, or one is not a vector of finite numbers.
        """
        named = angles if isinstance(angles, Mapping) else {"": angles}
        found = {str(name): np.asarray(values, dtype=np.float64) for name, values in named.items()}
        if not 1 <= len(found) <= len(_SETS):
            raise InvalidSetting(
                f"angles must be of one to {len(_SETS)} feature sets, got {len(found)}: draw the "
                "others in a figure of their own"
            )
        for name, values in found.items():
            if values.ndim != 1 or not values.size or not np.isfinite(values).all():
                raise InvalidSetting(
                    f"angles {name!r} must be K finite numbers in radians, got an array of shape "
                    f"{values.shape}; take them from class_subspace_angles(features)"
                )
        return cls(found)

    def _panels(self) -> Panels:
        return Panels(3.4)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), marks = axes, {}
        panel.axhline(90.0, color=GREY, linewidth=1.0, linestyle=style.DASHED, gid="orthogonal")
        panel.axhline(0.0, color=BLACK, linewidth=1.0, gid="block model")
        for (name, values), (colour, symbol) in zip(self.angles.items(), _SETS, strict=False):
            k = len(values)
            label = f"{style.plain_text(name, 'features', 30)}, K = {k}" if name else f"K = {k}"
            mark = {"ms": 5 if k <= 30 else 3.5, "mec": "none", "mfc": colour, "marker": symbol}
            marks[label] = {"color": colour, "linestyle": "none", **mark}
            more = {"gid": f"angles {name}".strip(), "zorder": 3, "clip_on": False}
            x = 100.0 * (np.arange(k) + 0.5) / k
            panel.plot(x, np.degrees(values), linestyle="none", **mark, **more)
        panel.set(xlim=(0.0, 100.0), ylim=(0.0, 94.0))
        panel.set_yticks(range(0, 91, 15), [f"{degree}°" for degree in range(0, 91, 15)])
        look.legend(panel, marks, loc="lower right", handletextpad=0.2, borderaxespad=0.6)
        look.caption(
            panel,
            "Classes against the first K eigenvectors",
            "share of the K directions, sorted, %",
            "principal angle",
            note="block model: all at 0°; dashed: orthogonal",
        )


def class_angles(angles: Mapping[str, np.ndarray]) -> Figure:
    """Deprecated: ``AnglesDisplay.from_angles(angles).plot().figure_``."""
    return deprecated("class_angles", AnglesDisplay.from_angles(angles))

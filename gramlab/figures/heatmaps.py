"""Matrices as heat maps: cosines of rows and correlations of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated, expect
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREY, VERMILLION
from gramlab.spectrum.correlations import ClassCorrelations, class_correlations, given_labels
from gramlab.spectrum.superclasses import Superclasses, find_superclasses

MOST_NAMED = 25  # classes whose names find room on an axis
_BOUNDARY = 0.7  # points: a line between classes that can be seen
_MOST_ROWS, _ROW = 150, 0.105  # rows of names beside a matrix, and the inches that one needs


class GramDisplay(Display):
    """Cosines ⟨x_i, x_j⟩/(‖x_i‖‖x_j‖) of rows ordered by class, as a heat map.

    The title is about all pairs of rows, the picture of as many rows as find room. ``diverging``
    tells whether there are negative cosines: then the colours run from blue through white at 0 to
    red, else from dark to bright.
    """

    def __init__(
        self,
        cosines: np.ndarray,
        drawn: np.ndarray,
        n_samples: int,
        means: ClassCorrelations,
        class_names: list[str],
    ) -> None:
        self.cosines: np.ndarray = cosines
        self.drawn: np.ndarray = drawn
        self.n_samples: int = n_samples
        self.means: ClassCorrelations = means
        self.class_names: list[str] = class_names
        pairs = cosines[~np.eye(len(cosines), dtype=bool)]
        low, high = (float(value) for value in np.quantile(pairs, [0.005, 0.995]))
        self.diverging: bool = low < 0.0
        self.limits: tuple[float, float] = low, high
        if self.diverging:
            self.limits = -max(abs(low), abs(high)), max(abs(low), abs(high))
        elif high - low <= 1e-9:
            self.limits = low - 0.5, high + 0.5

    @classmethod
    def from_features(
        cls,
        features: Features,
        labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        *,
        max_rows: int = 600,
    ) -> Self:
        """Compute the cosines of a sample of rows, and the mean cosines of all.

        Parameters
        ----------
        features
            The rows. Centre them first for the correlations of the block model.
        labels
            Classes (N,) to order by; default ``features.labels``.
        class_names
            Names of the K classes, written for at most 25; default ``features.class_names``.
        max_rows
            Rows drawn at most, taken evenly from the classes and evenly inside each.

        Raises
        ------
        InvalidLabels
            If labels are not one class number per training row.
        InvalidSetting
            If ``features`` are none, there is not one name per class, or ``max_rows`` is below 2.
        """
        expect(features, Features, "features", "give gramlab.Features(x, labels)")
        labels = given_labels(features, labels)
        means = class_correlations(features.replaced(superclasses=None), labels)
        names = _class_names(class_names or features.class_names, features.n_classes)
        rows = sample_rows(labels, validation.check_integer("max_rows", max_rows, 2))
        x = np.asarray(features.x[rows], dtype=np.float64)
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
        return cls(unit @ unit.T, labels[rows], features.n_samples, means, names)

    def _panels(self) -> Panels:
        return Panels(4.4)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), drawn = axes, self.drawn
        starts, stops = runs(drawn)
        counts, named = stops - starts, len(starts) <= MOST_NAMED
        each = f"{counts.min()}" + (f" to {counts.max()}" if counts.min() < counts.max() else "")
        every = "all" if len(drawn) == self.n_samples else f"{len(drawn)} of"
        colors = "RdBu_r" if self.diverging else "viridis", *self.limits
        place, bar = (1.03, 0.0, 0.05, 1.0), {"extendfrac": 0.03}
        heatmap(panel, "cosines", self.cosines, colors, place, "cosine of two rows", **bar)
        # Lines that can be seen take at most a tenth of what is between them: of many classes,
        # only every so many-th boundary is drawn, and the axis says which.
        side = 72.0 * panel.bbox.height / panel.figure.dpi / len(starts)
        step = math.ceil(10.0 * _BOUNDARY / side)
        color = GREY if self.diverging else "white"  # a diverging scale has white in its middle
        for stop in stops[step - 1 : -1 : step]:
            for line in (panel.axhline, panel.axvline):
                line(stop - 0.5, color=color, linewidth=_BOUNDARY, gid="boundary")
        if named:
            texts = [style.plain_text(self.class_names[k], f"class {k}") for k in drawn[starts]]
            panel.set_yticks((starts + stops - 1) / 2.0, texts)
        words = f"{every} {self.n_samples} rows, {each} a class, ordered by class"
        side_words = "class" if named else f"{len(counts)} classes"
        if step > 1:
            side_words += f", a line after every {step}"
        look.caption(panel, _format_means(self.means), words, side_words)


def gram_heatmap(
    features: Features,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    *,
    max_rows: int = 600,
) -> Figure:
    """Deprecated: ``GramDisplay.from_features(...).plot().figure_``, with its arguments."""
    display = GramDisplay.from_features(features, labels, class_names, max_rows=max_rows)
    return deprecated("gram_heatmap", display)


def _class_names(names: Sequence[str], n_classes: int) -> list[str]:
    if len(names) != n_classes:
        raise InvalidSetting(
            f"class_names must be one for each of {n_classes} classes, got {len(names)}; leave "
            "them out for those of the features"
        )
    return [str(name) for name in names]


def sample_rows(labels: np.ndarray, max_rows: int) -> np.ndarray:
    """Choose at most ``max_rows`` rows, ordered by class, as evenly per class as there are rows.

    With more classes than ``max_rows``, one row each of evenly chosen classes.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) > max_rows:
        present = present[np.linspace(0, len(present) - 1, max_rows).astype(np.int64)]
        counts = np.ones_like(present)
    each = range(1, counts.max() + 1)
    quota = max(n for n in each if n == 1 or np.minimum(counts, n).sum() <= max_rows)
    chosen = []
    for label, count in zip(present, np.minimum(counts, quota), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.linspace(0, len(members) - 1, count).astype(np.int64)])
    return np.concatenate(chosen)


def runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal labels begin, and where they end."""
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    return starts, np.r_[starts[1:], len(labels)]


def heatmap(
    axes: Axes,
    gid: str,
    matrix: np.ndarray,
    colors: tuple[str, float, float],
    place: tuple[float, float, float, float],
    label: str,
    aspect: Any = "equal",
    **bar: Any,
) -> Colorbar:
    """Draw a matrix as pixels, and its colour scale from low to high at a place beside the axes."""
    name, low, high = colors
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xticks=[], yticks=[])
    image = axes.imshow(matrix, gid=gid, aspect=aspect, cmap=name, vmin=low, vmax=high)
    outside = bool((matrix < low).any()) + 2 * bool((matrix > high).any())
    bar = {"extend": ("neither", "min", "max", "both")[outside]} | bar
    scale = axes.figure.colorbar(image, cax=axes.inset_axes(place), **bar)
    scale.set_label(label)
    scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return scale


def _format_means(means: ClassCorrelations) -> str:
    """Mean cosines of all pairs of rows: two decimals, a real minus sign, no negative zero."""
    inside, between = (
        f"{round(mean, 2) + 0.0:.2f}".replace("-", "−") for mean, _ in (means.within, means.between)
    )
    if math.isnan(means.within[0]):
        return f"Mean cosine {between} between classes"
    return f"Mean cosine {inside} inside classes,\n{between} between classes"


class CorrelationDisplay(Display):
    """Class correlations in the order of the tree's leaves, with the tree beside them; two panels.

    Superclasses are framed, and the tree is cut where they were found.
    """

    def __init__(
        self, matrix: np.ndarray, superclasses: Superclasses, class_names: list[str]
    ) -> None:
        self.matrix: np.ndarray = matrix
        self.superclasses: Superclasses = superclasses
        self.class_names: list[str] = class_names

    @classmethod
    def from_correlations(
        cls,
        correlations: ClassCorrelations | npt.ArrayLike,
        superclasses: Superclasses | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Take class correlations, and find the tree of the classes if it is not given.

        Parameters
        ----------
        correlations
            From ``gramlab.class_correlations``, or a matrix (K, K), K ≥ 2: the mean cosine of each
            pair of classes.
        superclasses
            From ``find_superclasses`` of the same matrix; default what it finds by itself.
        class_names
            Names of the K classes; default their numbers. Written where a row has room for them.

        Raises
        ------
        InvalidSetting
            If the superclasses or the names are of another number of classes, or no tree can be
            made of the matrix.
        """
        given = correlations.matrix if isinstance(correlations, ClassCorrelations) else correlations
        matrix = np.asarray(given, dtype=np.float64)
        found = find_superclasses(matrix) if superclasses is None else superclasses
        k = len(matrix)
        if len(found.labels) != k:
            raise InvalidSetting(
                f"superclasses must be those of the {k} classes of the matrix, got "
                f"{len(found.labels)} classes; find them with find_superclasses(matrix)"
            )
        return cls(matrix, found, _class_names([*map(str, class_names or range(k))], k))

    def _texts(self) -> list[str]:
        names = self.class_names
        order = self.superclasses.order
        return [style.plain_text(names[i], f"class {i}", 22) for i in order]

    def _panels(self) -> Panels:
        # Inches: a row must hold a line of text; with few classes the picture must not be a stamp.
        k = len(self.matrix)
        named = k <= _MOST_ROWS
        cell = max(3.0 / k, _ROW) if named else 10.0 / k
        size, font = cell * k, min(9.0, 72.0 * cell * 0.86)
        tree = float(np.clip(0.3 * size, 1.1, 2.2))
        room = (0.011 * font * max(map(len, self._texts())) if named else 0.0) + 0.2
        page = size + room + 1.5, size + room + tree + 0.3
        return Panels(*page, columns=(tree, size), sharex=False)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (left, panel), k, order = axes, len(self.matrix), self.superclasses.order
        cell = max(3.0 / k, _ROW) if look.house else panel.bbox.height / panel.figure.dpi / k
        named = k <= _MOST_ROWS and cell >= _ROW
        font = min(style.text_size(), 72.0 * cell * 0.86)
        _tree(left, self.superclasses)
        size = cell * k if look.house else panel.bbox.width / panel.figure.dpi
        _correlations(panel, self.matrix[np.ix_(order, order)], size)
        for start, stop in zip(*runs(self.superclasses.labels[order]), strict=True):
            corner, side = (start - 0.5, start - 0.5), float(stop - start)
            frame = Rectangle(corner, side, side, fill=False, edgecolor=BLACK, linewidth=1.1)
            frame.set(gid="superclass", clip_on=False)
            panel.add_patch(frame)
        if named:
            panel.set_yticks(range(k), self._texts(), fontsize=font)
            panel.set_xticks(range(k), self._texts(), fontsize=font, rotation=90)
            panel.yaxis.tick_right()
            panel.tick_params(length=0, pad=2)
        else:
            panel.set_xlabel(f"{k} classes in the order of the tree")
        look.heading(left if look.house else panel, _format_cut(self.superclasses), 40)


def correlation_heatmap(
    matrix: np.ndarray, superclasses: Superclasses, class_names: Sequence[str] | None = None
) -> Figure:
    """Deprecated: ``CorrelationDisplay.from_correlations(...).plot().figure_``."""
    display = CorrelationDisplay.from_correlations(matrix, superclasses, class_names)
    return deprecated("correlation_heatmap", display)


def _format_cut(found: Superclasses) -> str:
    k, s = len(found.labels), found.count
    groups = "superclass" if s == 1 else "superclasses"
    by = "distances" if found.method == "condensed" else "rows as points (authors' call)"
    share = found.threshold / found.linkage[-1, 2] if found.linkage[-1, 2] > 0.0 else 1.0
    return f"{k} classes in {s} {groups}, cut at {share:.2g}\ncomplete linkage of {by}"


def _tree(axes: Axes, found: Superclasses) -> None:
    k = len(found.labels)
    # Leaves and merges as (height, place); a merge is a bracket that joins two of them.
    nodes = np.zeros((2 * k - 1, 2))
    nodes[found.order, 1] = np.arange(k)
    brackets = []
    for i, (a, b, top) in enumerate(found.linkage[:, :3]):
        one, two = nodes[int(a)], nodes[int(b)]
        brackets.append(np.array([one, (top, one[1]), (top, two[1]), two]))
        nodes[k + i] = top, (one[1] + two[1]) / 2.0
    below = found.linkage[:, 2] <= found.threshold
    width = min(1.0, 0.25 * 72.0 * axes.bbox.height / axes.figure.dpi / k)  # a quarter of a row
    for part, colour, name in ((below, BLUE, "kept merges"), (~below, GREY, "cut merges")):
        lines = [bracket for bracket, here in zip(brackets, part, strict=True) if here]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, gid=name))
    axes.axvline(found.threshold, color=VERMILLION, linewidth=1.0, dashes=(4, 3), gid="cut")
    highest = float(found.linkage[-1, 2]) or 1.0
    axes.set(xlim=(1.04 * highest, 0.0), ylim=(k - 0.5, -0.5), yticks=[])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    wide = axes.bbox.width / axes.figure.dpi
    axes.xaxis.set_major_locator(MaxNLocator(min(4, math.ceil(3.6 * wide))))
    heights = "1 − mean cosine" if found.method == "condensed" else "distance of rows"
    axes.set_xlabel(heights, loc="right")


def _correlations(axes: Axes, ordered: np.ndarray, size: float) -> None:
    """The picture; its colours are set by pairs of different classes, symmetric about 0."""
    reach = float(np.abs(ordered[~np.eye(len(ordered), dtype=bool)]).max()) or 1.0
    width = min(2.6 / size, 1.0)
    place = (1.0 - width, 1.0 + 0.1 / size, width, 0.11 / size)  # above, where no name is
    colors, label = ("RdBu_r", -reach, reach), "mean cosine of two classes"
    ticks = MaxNLocator(5 if size >= 2.6 else 2, symmetric=True)
    bar = {"orientation": "horizontal", "ticks": ticks}
    look = {"aspect": "auto", "extendfrac": 0.04, **bar}
    scale = heatmap(axes, "correlations", ordered, colors, place, label, **look).ax
    scale.xaxis.set_ticks_position("top")
    scale.xaxis.set_label_position("top")
    scale.tick_params(labelsize=style.text_size(8 / 9), length=2, pad=1)
    scale.xaxis.label.set(fontsize=style.text_size(), color=style.ink(BLACK))

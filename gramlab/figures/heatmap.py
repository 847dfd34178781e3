"""Cosines between rows, ordered by class, on a sample that never grows with N."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.features import Features
from gramlab.figures.style import drawing, plain_text

_NAMED_CLASSES = 25


def gram_heatmap(
    features: Features,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    *,
    max_rows: int = 600,
) -> Figure:
    """Draw the cosines ⟨x_i, x_j⟩/(‖x_i‖‖x_j‖) of rows ordered by class.

    Parameters
    ----------
    features
        The rows. Centre them first for the correlations of the block model.
    labels
        Classes (N,) to order by; default ``features.labels``.
    class_names
        Names of the classes; default ``features.class_names``. Written for at most 25 classes.
    max_rows
        Rows drawn at most, taken evenly from the classes and evenly inside each.
    """
    labels = features.labels if labels is None else np.asarray(labels)
    names = features.class_names if class_names is None else class_names
    rows = sample_rows(labels, max_rows)
    drawn = labels[rows]
    x = np.asarray(features.x[rows], dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    cosines = unit @ unit.T
    with drawing(4.4) as figure:
        axes = figure.subplots()
        axes.grid(False)
        _image(figure, axes, cosines)
        _classes(axes, drawn, names)
        axes.set_title(_title(cosines, drawn))
        every = "all" if len(rows) == len(labels) else f"{len(rows)} of"
        axes.set_xlabel(f"{every} {len(labels)} rows, {_per_class(drawn)}, ordered by class")
    return figure


def sample_rows(labels: np.ndarray, max_rows: int) -> np.ndarray:
    """Choose at most ``max_rows`` rows, ordered by class, as evenly per class as there are rows.

    With more classes than ``max_rows``, one row each of evenly chosen classes.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) > max_rows:
        present = present[np.linspace(0, len(present) - 1, max_rows).astype(np.int64)]
        counts = np.ones_like(present)
    quota = 1
    while np.minimum(counts, quota + 1).sum() <= max_rows and quota < counts.max():
        quota += 1
    chosen = []
    for label, count in zip(present, np.minimum(counts, quota), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.linspace(0, len(members) - 1, count).astype(np.int64)])
    return np.concatenate(chosen)


def _image(figure: Figure, axes: Axes, cosines: np.ndarray) -> None:
    """The picture with a colour range set by the cosines i ≠ j; those outside are said to be."""
    pairs = cosines[~np.eye(len(cosines), dtype=bool)]
    low, high = (float(value) for value in np.quantile(pairs, [0.005, 0.995]))
    if low < 0.0:
        high = max(abs(low), abs(high))
        low, colors = -high, "RdBu_r"
    else:
        colors = "viridis"
        low, high = (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)
    below, above = bool(cosines.min() < low), bool(cosines.max() > high)
    image = axes.imshow(cosines, cmap=colors, vmin=low, vmax=high, gid="cosines")
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    bar = figure.colorbar(
        image,
        cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)),
        extend=extend.get((below, above), "both"),
        extendfrac=0.03,
    )
    bar.set_label("cosine of two rows")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _classes(axes: Axes, drawn: np.ndarray, names: Sequence[str]) -> None:
    starts = np.flatnonzero(np.r_[True, drawn[1:] != drawn[:-1]])
    stops = np.r_[starts[1:], len(drawn)]
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(starts) > _NAMED_CLASSES:
        axes.set_ylabel(f"{len(starts)} classes")
        return
    for stop in stops[:-1]:
        axes.axhline(stop - 0.5, color="white", linewidth=0.7)
        axes.axvline(stop - 0.5, color="white", linewidth=0.7)
    texts = [plain_text(names[int(label)], f"class {label}") for label in drawn[starts]]
    axes.set_yticks((starts + stops - 1) / 2.0, texts)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("class")


def _per_class(drawn: np.ndarray) -> str:
    counts = np.unique(drawn, return_counts=True)[1]
    least, most = int(counts.min()), int(counts.max())
    return f"{least} a class" if least == most else f"{least} to {most} a class"


def _title(cosines: np.ndarray, drawn: np.ndarray) -> str:
    same = drawn[:, None] == drawn[None, :]
    within = cosines[same & ~np.eye(len(drawn), dtype=bool)]
    between = _signed(cosines[~same].mean())
    if within.size == 0:
        return f"Mean cosine {between} between classes"
    return f"Mean cosine {_signed(within.mean())} inside classes,\n{between} between classes"


def _signed(value: float) -> str:
    """Two decimals with a real minus sign, and no negative zero."""
    return f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")

"""What centring, unit norm and a constant column compute, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures, InvalidSetting
from gramlab.machine.memory import aligned, check_memory, row_blocks
from gramlab.validation import check_positive


def changed_rows(
    sources: Mapping[str, np.ndarray],
    history: dict[str, Any],
    step: str,
    change: Callable[[np.ndarray, int, str], np.ndarray],
    facts: Mapping[str, float],
    dtype: npt.DTypeLike,
    more: int = 0,
) -> dict[str, Any]:
    """``change(float64 block, first row, name)`` of all rows of ``sources``, kept as ``dtype``.

    Returned with the provenance ``history``, to which the step and its ``facts`` are appended;
    rows get ``more`` columns. Raises InvalidFeatures after with_constant, whose column another
    step would change; InvalidSetting if the dtype is neither float64 nor float32, NotEnoughMemory
    before anything is computed.
    """
    if constant_step(history) is not None:
        raise InvalidFeatures(
            f"with_constant must be the last step of features, got {step} after it; leave steps "
            "out (of a command: --no-center --no-unit-norm --no-constant), or start from "
            "features.without_constant()"
        )
    kept = np.dtype(dtype)
    if kept not in (np.float32, np.float64):
        raise InvalidSetting(
            f"dtype must be float64 or float32, got {kept}; half precision is for storage only"
        )
    shapes = {name: (len(rows), rows.shape[1] + more) for name, rows in sources.items()}
    needed = sum(n * d for n, d in shapes.values()) * kept.itemsize
    advice = "pass dtype=np.float32 or use fewer rows"
    check_memory(needed, f"{step} features in {kept}", advice)
    results: dict[str, Any] = {}
    for name, source in sources.items():
        results[name] = aligned(shapes[name], kept)
        with np.errstate(over="ignore", invalid="ignore"):
            for part, block in row_blocks(source, dtype=np.float64):
                results[name][part] = change(block, part.start, name)
    # Read after the loops: unit_norm learns its norms in them.
    history["steps"].append({"step": step, **facts, "dtype": str(kept)})
    return results | {"provenance": history}


def constant_step(provenance: Mapping[str, Any]) -> dict[str, Any] | None:
    """What with_constant recorded, as the last step of a provenance; None of other features."""
    last = provenance["steps"][-1:]
    return last[0] if last and last[0]["step"] == "with_constant" else None


def check_scaling(value: float, dtype: npt.DTypeLike) -> float:
    """``intercept_scaling`` as ``dtype`` keeps it: positive and finite, or InvalidSetting."""
    given = check_positive("intercept_scaling", value)
    with np.errstate(over="ignore", under="ignore"):
        return check_positive("intercept_scaling", float(np.asarray(given).astype(dtype)))


def with_column(block: np.ndarray, start: int, name: str, value: float) -> np.ndarray:
    """Rows (n, d + 1): those of the block, ``value`` behind each."""
    return np.pad(block, ((0, 0), (0, 1)), constant_values=value)


def training_mean(
    blocks: Callable[[], Iterator[tuple[slice, np.ndarray]]], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Mean (d,) of all rows (N, d), or InvalidFeatures where it overflows."""
    mean: npt.NDArray[np.float64] = np.zeros(shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        # A second pass removes the rounding of the long sums of the first.
        for _ in range(2):
            rest = sum((block - mean).sum(axis=0) for _, block in blocks())
            mean = mean + rest / shape[0]
    if not np.isfinite(mean).all():
        column = int(np.argmin(np.isfinite(mean)))
        raise InvalidFeatures(
            f"x must have a finite mean, got {mean[column]} in column {column}; scale the "
            "features down first"
        )
    return mean


def unit_rows(block: np.ndarray, start: int, name: str, norms: dict[str, float]) -> np.ndarray:
    """Rows (n, d) divided by their norms; a zero row is InvalidFeatures.

    Its place is counted from the row ``start`` of the split ``name``. ``norms`` keeps the least and
    the largest norm of the training rows, x.
    """
    # Scaling by the largest entry first keeps tiny and huge rows in the range of float64.
    largest = np.abs(block).max(axis=1, keepdims=True)
    if not largest.all():
        raise InvalidFeatures(
            f"{name} must have no zero row for unit_norm, got norm 0 at row "
            f"{start + int(np.argmin(largest))}; remove that row, or center after "
            "unit_norm instead of before"
        )
    scaled = block / largest
    lengths = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    if name == "x":
        found = largest * lengths
        norms["min_norm"] = min(norms["min_norm"], float(found.min()))
        norms["max_norm"] = max(norms["max_norm"], float(found.max()))
    return scaled / lengths

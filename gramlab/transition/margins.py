"""Does noise depend on the rows? Disagreement by held-out margin, beside what the model expects.

Where noise depends on the true class alone, a row with p_i is given another label than the
likeliest class ŷ_i with probability 1 − Σ_y p_i(y) C[y, ŷ_i]. Rows are sorted by their margin,
log p_i(ŷ_i) less the largest other, and cut into parts that the model expects to vary equally; χ²
compares what was counted in each with what is expected there. Labels that are wrong because a row
lies near a boundary leave too many disagreements at small margins, and too few at large ones.

Any law of labels given rows can be that of right labels of classes that overlap. So what is tested
rests on an assumption on p: that the log-odds of the true class are linear in the rows, as those of
the heads are. Where wrong labels follow such a law too, as an annotator's who is unsure in the same
way, nothing can show it, and the interval of the noise rate has to leave it open (``intervals``).

Source: the test of Hosmer & Lemeshow (1980) with the noise model in it [D].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

__all__ = ["MarginTest", "margin_test", "margins"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_PARTS = 5  # by margin, at most
_LEAST_VARIANCE = 5.0  # of the disagreements of a part, so that χ² is one
_LEVEL = 0.005  # of the test
# Calibration is never exact, and enough rows show it. Misfit is counted from where it is a quarter
# of the variance that the model expects of single labels.
_LEAST_MISFIT = 0.25


@dataclass(frozen=True, eq=False)
class MarginTest:
    """Disagreement of given labels with the likeliest class, by margin.

    Of each part, smallest margins first: its largest ``margin``, its number of ``rows``, and the
    share of them whose label disagrees, ``observed`` and ``expected``. ``statistic`` is χ² with two
    degrees of freedom fewer than there are parts, ``p_value`` its level, and ``misfit`` the root
    of its excess over that number, relative to the variance that is expected in all.
    """

    margin: Array
    rows: Labels
    observed: Array
    expected: Array
    statistic: float
    p_value: float
    misfit: float

    def __repr__(self) -> str:
        return f"MarginTest(raised={self.raised}, p={self.p_value:.2g}, misfit={self.misfit:.2g})"

    @property
    def raised(self) -> bool:
        """Whether noise by class alone is rejected: p_value < 0.005, and misfit above 0.25."""
        return self.p_value < _LEVEL and self.misfit > _LEAST_MISFIT

    @property
    def excess(self) -> Array:
        """Of each part, the share of right labels that were made wrong beyond what C explains."""
        room = np.maximum(1.0 - self.expected, np.finfo(np.float64).tiny)
        return np.clip((self.observed - self.expected) / room, 0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, and whether the test is raised."""
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(self).items()}
        return {"raised": self.raised, **plain, "excess": self.excess.tolist()}


def margins(held_out: Array) -> Array:
    """Logits of rows p (N, K) apart: log p_i(ŷ_i) less the largest other log p_i."""
    two = np.log(np.maximum(np.partition(held_out, -2, axis=1)[:, -2:], np.finfo(np.float64).tiny))
    return two[:, 1] - two[:, 0]


def margin_test(
    held_out: Array, matrix: Array, given: Labels, sizes: Array | None = None
) -> MarginTest:
    """Compare disagreement with what p (N, K), made without the row's own label, and C expect.

    ``sizes`` (N,) tell of each row how many say the same, itself included: copies are one.
    """
    likeliest = held_out.argmax(axis=1)
    wrong = (given != likeliest).astype(np.float64)
    expected = 1.0 - np.einsum("ij,ji->i", held_out, matrix[:, likeliest])
    variance = expected * (1.0 - expected) * (1.0 if sizes is None else sizes)
    distance = margins(held_out)
    order = np.argsort(distance, kind="stable")
    cumulated = np.cumsum(variance[order])
    parts = int(np.clip(cumulated[-1] // _LEAST_VARIANCE, 1, _PARTS))
    cuts = np.searchsorted(cumulated, cumulated[-1] * np.arange(1, parts) / parts)
    members = [part for part in np.split(order, cuts) if len(part)]
    off = np.array([(wrong[part] - expected[part]).sum() for part in members])
    spread = np.array([variance[part].sum() for part in members])
    # A head that is all too sure expects no variance: one label then counts as one.
    statistic = float((off**2 / np.maximum(spread, 1.0)).sum())
    freedom = max(len(members) - 2, 1)  # slope and height of the expectation are fitted
    excess = max(statistic - freedom, 0.0)
    return MarginTest(
        margin=np.array([distance[part[-1]] for part in members]),
        rows=np.array([len(part) for part in members]),
        observed=np.array([wrong[part].mean() for part in members]),
        expected=np.array([expected[part].mean() for part in members]),
        statistic=statistic,
        p_value=float(gammaincc(0.5 * freedom, 0.5 * statistic)),  # that of χ²
        misfit=float(np.sqrt(excess / max(spread.sum(), _LEAST_VARIANCE))),
    )

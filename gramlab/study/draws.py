"""One draw of noisy labels, and what is measured of every head that is fitted to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from gramlab import validation
from gramlab.comparison import Certified, Comparison, certify_predictions, compare
from gramlab.distillation import Rounds, distill
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.study.cells import COLUMNS, Cell
from gramlab.targets import Targets, one_hot, partial_labels

__all__ = ["CountedHead", "Draw", "Work"]


@dataclass
class Work:
    """What a cell's exact heads took, counted and not timed, so that it is the same every time."""

    on_head: Callable[[], None] = lambda: None
    heads: int = 0
    passes: float = 0.0
    missed: int = 0

    def count(self, fit: Any, *, exact: bool = True) -> None:
        """Count a fit and tell of it; only exact heads have a tolerance to miss."""
        self.heads += 1
        self.passes += fit.stats.passes
        self.missed += exact and not fit.stats.converged
        self.on_head()

    def as_dict(self) -> dict[str, Any]:
        """For the cell's file."""
        return {"heads": self.heads, "passes": self.passes, "missed": self.missed}


class CountedHead:
    """A head of a draw: each of its fits is counted, and certified as the cell asks."""

    def __init__(self, head: SoftmaxHead, draw: Draw) -> None:
        self.head, self.draw = head, draw
        self.weight_decay: float = head.weight_decay

    def fit(self, features: Any, targets: Any, start: np.ndarray | None = None) -> Fit:
        """As the head does."""
        fit = self.head.fit(features, targets, start=start)
        self.draw.work.count(fit)
        return self.draw.certified(fit)


@dataclass(frozen=True, eq=False)
class Draw:
    """Given labels of a cell on prepared features, whose own labels are the truth.

    They are drawn as the cell says, or those ``observed``, by whose hash the cell is known.
    """

    features: Features
    cell: Cell
    work: Work = field(default_factory=Work)
    observed: CorruptedLabels | None = None

    @cached_property
    def given(self) -> CorruptedLabels:
        """The given labels."""
        if self.observed is not None:
            return self.observed
        cell, groups = self.cell, self.cell.options.get("superclasses")
        matrix = corruption_matrix(cell.noise, self.features.n_classes, cell.rate, groups)
        return corrupt_labels(self.features.labels, matrix, seed=cell.seed)

    @cached_property
    def targets(self) -> Targets:
        """Their one-hot rows."""
        k = self.features.n_classes
        return Targets(one_hot(self.given.labels, k) - 1.0 / k)

    def head(self, weight_decay: float | None = None, **settings: Any) -> CountedHead:
        """The exact head of this cell, at its tolerance unless told otherwise."""
        value = self.cell.weight_decay if weight_decay is None else weight_decay
        settings = {"tolerance": self.cell.options["tolerance"], **settings}
        return CountedHead(SoftmaxHead(validation.check_weight_decay(value), **settings), self)

    def certified(self, fit: Fit) -> Fit:
        """The fit with its certificate from the gradient alone.

        The Newton decrement would sharpen the bound and costs more than the fit; it is computed
        where the study asks for it (option ``local_bound``).
        """
        if self.cell.options.get("local_bound"):
            return fit
        return fit.certified_by(lambda w: replace(fit.certify(w), decrement=math.inf))

    def top_two(self, fit: Any) -> np.ndarray:
        """Two-hot targets (N, K) of the two largest predictions; ties are drawn."""
        return partial_labels(np.asarray(fit.probabilities), 2, seed=self.cell.seed)

    def test_accuracy(self, fit: Any) -> float | None:
        """Share of test rows predicted as their label, if there is a test split."""
        x, labels = self.features.test_x, self.features.test_labels
        if x is None or labels is None:
            return None
        return float((fit.predict(x) == labels).mean())

    def row(
        self,
        method: str,
        fit: Any = None,
        theory: Fit | None = None,
        found: Certified | None = None,
        **values: Any,
    ) -> dict[str, Any]:
        """A row that says which draw it is of, what is measured of a head, and the values given.

        With ``theory`` it is an exact head beside its closed form, and ``found`` what its
        certificate decides, where that is known already. Without, the head has no certificate: how
        small its gradient is, and no more.
        """
        cell, given = self.cell, self.given
        known: dict[str, Any] = dict.fromkeys(COLUMNS)
        known |= {"noise": cell.noise, "rate": cell.rate, "seed": cell.seed, "method": method}
        known["realized_rate"] = given.realized_rate
        if fit is None:
            return known | values
        covered = self.top_two(fit)[np.arange(len(given.labels)), given.true_labels] > 0.0
        known |= {
            "weight_decay": fit.weight_decay,
            "train_accuracy": float((fit.labels == given.labels).mean()),
            "label_recovery": float((fit.labels == given.true_labels).mean()),
            "test_accuracy": self.test_accuracy(fit),
            "top_two_coverage": float(covered.mean()),
        }
        if theory is None:
            known["relative_gradient_norm"] = fit.relative_gradient_norm
        else:
            found = found or certify_predictions(fit, self.features, given.true_labels)[0]
            known |= {
                "relative_gap": fit.certificate.relative_gap,
                "weights_bound": fit.certificate.weights_bound,
                "certified_right": found.right,
                "certified_wrong": found.wrong,
                "certified_undecided": found.undecided,
                "relative_gradient_norm": math.sqrt(fit.certificate.relative_gap),
                "linearized_label_recovery": float((theory.labels == given.true_labels).mean()),
                "linearized_test_accuracy": self.test_accuracy(theory),
                "argmax_agreement": float((theory.labels == fit.labels).mean()),
                "max_abs_distance": float(np.abs(theory.deviations - fit.deviations).max()),
            }
        return known | values

    def round_rows(self, method: str) -> tuple[list[dict[str, Any]], Rounds, Rounds, Comparison]:
        """A row per round; the closed form's rounds, the exact ones, and the two compared."""
        head, rounds = self.head(), self.cell.options["rounds"]
        theory = distill(LinearizedHead(head.weight_decay), self.features, self.targets, rounds)
        exact = distill(head, self.features, self.targets, rounds)
        compared = compare(theory, exact, truth=self.given.true_labels)
        shown = ("round", "certified_disagreement", "recursion_error", "recursion_tolerance")
        rows = [
            self.row(
                method,
                fit,
                linear,
                found.certified,
                **{name: getattr(found, name) for name in shown},
            )
            for linear, fit, found in zip(theory, exact, compared, strict=True)
        ]
        return rows, theory, exact, compared

"""One draw of noisy labels, and what is measured of every head that is fitted to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from gramlab import validation
from gramlab.certificate import Certificate
from gramlab.comparison import Certified, certify_predictions, compare
from gramlab.distillation import Rounds, distill
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.study.cells import Cell, row
from gramlab.targets import Targets, one_hot, partial_labels

__all__ = ["Draw", "Work"]


@dataclass
class Work:
    """What a cell's exact heads took, counted and not timed, so that it is the same every time."""

    on_head: Callable[[], None]
    heads: int = 0
    passes: float = 0.0
    missed: int = 0

    def count(self, *fits: Any, exact: bool = True) -> None:
        """Count fits; only exact heads have a tolerance on their optimum to miss."""
        for fit in fits:
            self.heads += 1
            self.passes += fit.stats.passes
            self.missed += exact and not fit.stats.converged

    def done(self, *fits: Any, exact: bool = True) -> None:
        """Count fits and tell of each."""
        self.count(*fits, exact=exact)
        for _ in fits:
            self.on_head()

    def as_dict(self) -> dict[str, Any]:
        """For the cell's file."""
        return {"heads": self.heads, "passes": self.passes, "missed": self.missed}


@dataclass(frozen=True)
class _FromGradient:
    """A certificate without its Newton decrement, and so with the global bound alone."""

    whole: Callable[[np.ndarray], Certificate]

    def __call__(self, weights: np.ndarray) -> Certificate:
        return replace(self.whole(weights), decrement=math.inf)


@dataclass(frozen=True, eq=False)
class Draw:
    """Given labels of a cell on its features.

    Attributes
    ----------
    features
        Prepared; their labels are the truth.
    cell
        What to draw.
    work
        Counts heads.
    """

    features: Features
    cell: Cell
    work: Work = field(default_factory=lambda: Work(lambda: None))

    @cached_property
    def given(self) -> CorruptedLabels:
        """The given labels."""
        cell, k = self.cell, self.features.n_classes
        groups = cell.options.get("superclasses")
        matrix = corruption_matrix(cell.noise, k, cell.rate, groups)
        return corrupt_labels(self.features.labels, matrix, seed=cell.seed)

    @cached_property
    def targets(self) -> Targets:
        """Their one-hot rows."""
        k = self.features.n_classes
        return Targets(one_hot(self.given.labels, k) - 1.0 / k)

    def head(self, weight_decay: float | None = None, **settings: Any) -> SoftmaxHead:
        """The exact head of this cell, at its tolerance unless told otherwise."""
        value = self.cell.weight_decay if weight_decay is None else weight_decay
        value = validation.check_weight_decay(value)
        return SoftmaxHead(value, **{"tolerance": self.cell.options["tolerance"], **settings})

    def certified(self, fit: Fit) -> Fit:
        """The fit with its certificate from the gradient alone.

        The Newton decrement would sharpen the bound and costs more than the fit; it is computed
        where the study asks for it (option ``local_bound``).
        """
        if self.cell.options.get("local_bound") or isinstance(fit.certify, _FromGradient):
            return fit
        return fit.certified_by(_FromGradient(fit.certify))

    def top_two(self, fit: Any) -> np.ndarray:
        """Two-hot targets (N, K) of the two largest predictions; ties are drawn."""
        return partial_labels(np.asarray(fit.probabilities), 2, seed=self.cell.seed)

    def scores(self, fit: Any) -> dict[str, float | None]:
        """Accuracies and coverage of a head."""
        true = self.given.true_labels
        covered = self.top_two(fit)[np.arange(len(true)), true] > 0.0
        return {
            "train_accuracy": float((fit.labels == self.given.labels).mean()),
            "label_recovery": float((fit.labels == true).mean()),
            "test_accuracy": self.test_accuracy(fit),
            "top_two_coverage": float(covered.mean()),
        }

    def test_accuracy(self, fit: Any) -> float | None:
        """Share of test rows predicted as their label, if there is a test split."""
        x, labels = self.features.test_x, self.features.test_labels
        if x is None or labels is None:
            return None
        return float((fit.predict(x) == labels).mean())

    def empty_row(self, method: str, **values: Any) -> dict[str, Any]:
        """A row that says which draw it is of, and holds the values given."""
        return row(
            noise=self.cell.noise,
            rate=self.cell.rate,
            realized_rate=self.given.realized_rate,
            seed=self.cell.seed,
            method=method,
            **values,
        )

    def row(self, method: str, fit: Any, **values: Any) -> dict[str, Any]:
        """A row of results of any head."""
        known = {"weight_decay": fit.weight_decay} | self.scores(fit)
        return self.empty_row(method, **known | values)

    def exact_row(
        self, method: str, fit: Fit, theory: Fit, found: Certified | None = None, **values: Any
    ) -> dict[str, Any]:
        """A row of an exact head beside its closed form.

        ``found`` is what its certificate decides, where that is known already.
        """
        fit = self.certified(fit)
        true = self.given.true_labels
        if found is None:
            found, _ = certify_predictions(fit, self.features, true)
        certificate = fit.certificate
        return self.row(
            method,
            fit,
            **{
                "relative_gap": certificate.relative_gap,
                "weights_bound": certificate.weights_bound,
                "certified_right": found.right,
                "certified_wrong": found.wrong,
                "certified_undecided": found.undecided,
                "relative_gradient_norm": math.sqrt(certificate.relative_gap),
                "linearized_label_recovery": float((theory.labels == true).mean()),
                "linearized_test_accuracy": self.test_accuracy(theory),
                "argmax_agreement": float((theory.labels == fit.labels).mean()),
                "max_abs_distance": float(np.abs(theory.deviations - fit.deviations).max()),
            }
            | values,
        )

    def local_row(self, method: str, fit: Any, **values: Any) -> dict[str, Any]:
        """A row of a head without a certificate: how small its gradient is, and no more."""
        return self.row(method, fit, relative_gradient_norm=fit.relative_gradient_norm, **values)

    def round_rows(
        self, method: str, head: SoftmaxHead, rounds: int, each: Callable[..., dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], Rounds, Rounds]:
        """Distil with theory and exact head; a row per round, theory's rounds and exact ones.

        ``each`` gives further columns from the exact fit and the comparison of a round.
        """
        theory = distill(LinearizedHead(head.weight_decay), self.features, self.targets, rounds)
        solved = distill(
            head,
            self.features,
            self.targets,
            rounds,
            on_round=lambda t: self.work.on_head() if t > 1 else None,
        )
        self.work.on_head()
        self.work.count(*solved)
        exact = replace(solved, fits=tuple(map(self.certified, solved)))
        seen = compare(theory, exact, truth=self.given.true_labels)
        rows = [
            self.exact_row(
                method,
                fit,
                linear,
                found.certified,
                round=found.round,
                certified_disagreement=found.certified_disagreement,
                recursion_error=found.recursion_error,
                recursion_tolerance=found.recursion_tolerance,
                **each(fit, found),
            )
            for linear, fit, found in zip(theory, exact, seen, strict=True)
        ]
        return rows, theory, exact

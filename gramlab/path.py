"""A distillation over several weight decays: theory beside the exact heads, cell by cell.

Theory is that of the tangent and, without a recursion of its errors, that of the secant. One
factorization of the features serves the closed forms of all weight decays. The exact heads are
solved from the largest weight decay down. Each teacher starts from the one before it; students
start from the rounds before them, as in ``distill``, which is nearer than the neighbour's student.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, cast

import numpy as np

from gramlab import errors, validation
from gramlab.comparison import accuracy_on_test_rows, compare, polish_rounds
from gramlab.distillation import Rounds, distill
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.problem import as_features
from gramlab.heads.secant import SecantFit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.machine import memory
from gramlab.numerics.text import html_table
from gramlab.targets import OneHotRows, Targets, target_deviations

__all__ = ["DistillationPath", "distillation_path"]


_COLUMNS = (  # of a table: heading, key of the cells, format
    ("weight decay", "weight_decay", "g"),
    ("round", "round", ""),
    ("theory: recovery", "linearized_recovery", "%"),
    ("test", "linearized_test", "%"),
    ("secant: recovery", "secant_recovery", "%"),
    ("test", "secant_test", "%"),
    ("its weight decay", "effective_weight_decay", ".3g"),
    ("exact: recovery", "exact_recovery", "%"),
    ("test", "exact_test", "%"),
    ("largest |difference|", "max_abs", ".3g"),
    ("certified same class", "certified_agreement", "%"),
    ("another", "certified_disagreement", "%"),
    ("undecided", "undecided", "%"),
)


@dataclass(frozen=True, eq=False)
class DistillationPath:
    """Rounds of both heads at several weight decays, and what their comparison found.

    Attributes
    ----------
    weight_decays
        λ, increasing, whatever order they were given in.
    rounds
        Trainings at each, the teacher included.
    linearized, secant, exact
        ``Rounds`` by weight decay; those of the secant are of ``LinearizedHead(slope="secant")``.
    cells
        One dict for each weight decay and round, in that order, all with the same keys:
        ``weight_decay`` and ``round``; ``linearized_recovery``, ``secant_recovery`` and
        ``exact_recovery``, the shares of training rows whose true label is predicted;
        ``linearized_test``, ``secant_test`` and ``exact_test``, the same of the test rows; the
        ``effective_weight_decay`` of the secant, and as ``secant_max_abs`` its largest difference
        from the exact predictions; of the other two the shares ``certified_right``,
        ``certified_wrong`` and ``undecided`` of the training rows (``Certified``); ``max_abs``,
        ``frobenius``, ``argmax_agreement``, ``certified_agreement`` and ``certified_disagreement``
        (``RoundComparison``); whether the error ``recursion_holds``; and of the exact head whether
        it ``converged``, and its ``passes``. None where truth or test rows are not known.
    """

    weight_decays: tuple[float, ...]
    rounds: int
    linearized: tuple[Rounds, ...] = field(repr=False)
    secant: tuple[Rounds, ...] = field(repr=False)
    exact: tuple[Rounds, ...] = field(repr=False)
    cells: tuple[dict[str, Any], ...] = field(repr=False)

    def columns(self) -> dict[str, list[Any]]:
        """The cells as columns, by their keys."""
        return {name: [cell[name] for cell in self.cells] for name in self.cells[0]}

    def to_frame(self) -> Any:
        """The cells as a pandas ``DataFrame``, or as ``columns()`` where pandas is missing."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            return self.columns()
        return pandas.DataFrame(self.columns())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "weight_decays": list(self.weight_decays),
            "rounds": self.rounds,
            "n_samples": self.exact[0].features_by_round[0].n_samples,
            "n_classes": self.exact[0].targets[0].shape[1],
            "cells": [dict(cell) for cell in self.cells],
        }

    def _repr_html_(self) -> str:
        return html_table(self.cells, _COLUMNS, repr(self))

    def plot(self, ax: Any = None, **style: Any) -> Any:
        """Draw the path by ``gramlab.figures.PathDisplay``, which is returned."""
        # By name: the displays stand above what they show, and load Matplotlib.
        display = import_module("gramlab.figures").PathDisplay
        return display.from_path(self).plot(ax, **style)


def distillation_path(
    features: Features | np.ndarray,
    targets: Targets | OneHotRows | np.ndarray,
    weight_decays: Sequence[float] | np.ndarray,
    rounds: int,
    *,
    truth: object = None,
    test: bool = True,
    tolerance: float = 1e-8,
    certified_share: float | None = None,
    certify: str = "chain",
    stage: Callable[[str], None] | None = None,
    solving: Callable[[float, float], None] | None = None,
) -> DistillationPath:
    """Distill through the linearized and the exact head at each of several weight decays.

    Parameters
    ----------
    features
        Or a bare array x (N, d).
    targets
        Targets T (N, K) of round 1, e.g. ``one_hot(given_labels, n_classes)``.
    weight_decays
        Different λ > 0, one at least, in any order.
    rounds
        Number of trainings, counted from 1 (the teacher).
    truth : (N,), optional
        True labels of the training rows.
    test
        Whether to predict the test rows, where the features have labelled ones.
    tolerance, certified_share
        As of ``SoftmaxHead``; with ``certify="chain"`` the share holds through all rounds.
    certify
        What the certified shares are about, as of ``compare``.
    stage, solving
        Called with a few words when one begins, and with how far a head is (``SoftmaxHead``).

    Returns
    -------
    DistillationPath

    Raises
    ------
    InvalidSetting
        If a number is out of range, or weight decays repeat.
    InvalidTargets, InvalidLabels, InvalidFeatures
        If targets, truth or features do not fit.
    NotEnoughMemory
        If the predictions of all heads would not fit.
    """
    tell = stage or (lambda words: None)
    decays = _checked_decays(weight_decays)
    rounds = validation.check_integer("rounds", rounds, 1)
    if certify not in ("round", "chain"):
        raise errors.InvalidSetting(f'certify must be "round" or "chain", got {certify!r}')
    options: dict[str, Any] = {"tolerance": tolerance, "certified_share": certified_share}
    heads = [SoftmaxHead(decay, **options, progress=solving) for decay in decays]
    features = as_features(features, targets)
    if not isinstance(targets, Targets):  # once, and not for every head
        targets = Targets(target_deviations(targets, features.n_samples))
    n, k = targets.shape
    true = None
    if truth is not None:
        true = validation.check_labels(truth, n_samples=n, n_classes=k, name="truth")
    memory.check_memory(
        # Deviations, probabilities and logits of each head; an exact one keeps its targets too.
        9 * 8 * n * k * rounds * len(decays),
        f"predictions of {rounds} rounds at {len(decays)} weight decays ({n} x {k} float64)",
        "ask for fewer rounds or weight decays",
    )
    linearized, secant, exact, start = {}, {}, {}, None
    for head in reversed(heads):
        decay = head.weight_decay
        tell(f"weight decay {decay:g}: closed form")
        linearized[decay] = distill(LinearizedHead(decay), features, targets, rounds)
        tell(f"weight decay {decay:g}: secant closed form")
        by_secant = LinearizedHead(decay, slope="secant")
        secant[decay] = distill(by_secant, features, targets, rounds)

        def on_round(t: int, decay: float = decay) -> None:
            tell(f"weight decay {decay:g}: exact head, round {t} of {rounds}")

        solved = distill(head, features, targets, rounds, start=start, on_round=on_round)
        start = solved[0].weights
        if certify == "chain" and certified_share is not None:
            solved = polish_rounds(solved, certified_share, tell, solving)
        exact[decay] = solved
    tell("comparison")
    triples = [(linearized[decay], secant[decay], exact[decay]) for decay in decays]
    cells = [cell for triple in triples for cell in _cells(*triple, true, test, certify)]
    tangents, secants, exacts = zip(*triples, strict=True)
    return DistillationPath(decays, rounds, tangents, secants, exacts, tuple(cells))


def _checked_decays(values: Any) -> tuple[float, ...]:
    """Weight decays, increasing."""
    given = validation.as_array(values, "weight_decays", errors.InvalidSetting)
    if given.ndim != 1 or given.size == 0:
        raise errors.InvalidSetting(
            "weight_decays must be a sequence of one or more numbers, got shape "
            f"{given.shape}; one weight decay is [1e-4]"
        )
    decays = sorted(map(validation.check_weight_decay, given.tolist()))
    for one, following in pairwise(decays):
        if one == following:
            raise errors.InvalidSetting(
                f"weight_decays must differ from each other, got {one:g} twice; leave one out"
            )
    return tuple(decays)


def _cells(
    linearized: Rounds,
    secant: Rounds,
    exact: Rounds,
    truth: np.ndarray | None,
    test: bool,
    certify: str,
) -> list[dict[str, Any]]:
    """The cells of one weight decay."""
    features = exact.features_by_round[0]

    def recovery(fit: Fit) -> float | None:
        return None if truth is None else float((fit.labels == truth).mean())

    def tested(fit: Fit) -> float | None:
        return accuracy_on_test_rows(fit, features) if test else None

    compared = compare(linearized, exact, truth=truth, certify=certify)
    return [
        {
            "weight_decay": fit.weight_decay,
            "round": found.round,
            "linearized_recovery": recovery(linear),
            "secant_recovery": recovery(by_secant),
            "exact_recovery": recovery(fit),
            "linearized_test": tested(linear),
            "secant_test": tested(by_secant),
            "exact_test": tested(fit),
            "effective_weight_decay": cast(SecantFit, by_secant).effective_weight_decay,
            "secant_max_abs": float(np.abs(by_secant.deviations - fit.deviations).max()),
            "certified_right": found.certified.right,
            "certified_wrong": found.certified.wrong,
            "undecided": found.certified.undecided,
            "max_abs": found.max_abs,
            "frobenius": found.frobenius,
            "argmax_agreement": found.argmax_agreement,
            "certified_agreement": found.certified_agreement,
            "certified_disagreement": found.certified_disagreement,
            "recursion_holds": bool(found.recursion_error <= found.recursion_tolerance),
            "converged": fit.stats.converged,
            "passes": fit.stats.passes,
        }
        for linear, by_secant, fit, found in zip(linearized, secant, exact, compared, strict=True)
    ]

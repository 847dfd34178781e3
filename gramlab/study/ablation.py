"""Ablation and published cells: what partial labels owe to their loss, their start, and stopping.

``ablation`` separates targets {given labels, top two} × loss {cross entropy, generalized cross
entropy} × start {zero, teacher}. With cross entropy the optimum does not depend on the start; both
are fitted, and their certificates show it.

``published`` trains as the authors' code does: stochastic gradients, one seed for noise, batches
and start, and a checkpoint chosen by test accuracy. Its rows with stopping ``best on test`` select
on the test data and are marked so; those with ``last`` do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.heads.sgd import PublishedSgdHead, SgdFit, linear_layer_weights
from gramlab.study.draws import Draw

__all__ = ["ablation_rows", "published_rows"]


def ablation_rows(draw: Draw) -> list[dict[str, Any]]:
    """Eight rows; method ``ablation``, with columns ``targets``, ``loss`` and ``start``."""
    head = draw.head()
    closed = LinearizedHead(head.weight_decay)
    teacher = head.fit(draw.features, draw.targets)
    draw.work.done(teacher)
    theory = closed.fit(draw.features, draw.targets)
    robust = GeneralizedCrossEntropyHead(head.weight_decay, q=draw.cell.options["q"])
    targets: dict[str, tuple[Any, Any]] = {"given": (draw.targets, draw.targets)}
    targets["top2"] = (draw.top_two(teacher), draw.top_two(theory))
    rows = []
    for name, (own, linear) in targets.items():
        for start, weights in (("zero", None), ("teacher", teacher.weights)):
            if name == "given" and start == "zero":
                fit = teacher
            else:
                fit = head.fit(draw.features, own, start=weights)
                draw.work.done(fit)
            made: dict[str, Any] = {"targets": name, "loss": "ce", "start": start}
            rows.append(draw.exact_row("ablation", fit, closed.fit(draw.features, linear), **made))
        for start, weights in (("zero", None), ("teacher", teacher.weights)):
            fit = robust.fit(draw.features, own, start=weights)
            draw.work.done(fit, exact=False)
            made = {"targets": name, "loss": "gce", "start": start}
            rows.append(draw.local_row("ablation", fit, **made))
    return rows


def published_rows(draw: Draw) -> list[dict[str, Any]]:
    """Rounds and the partial-label student of each stopping; method ``published``.

    Students learn from the checkpoint that their own chain chose: one chain takes the last epoch
    of every round, the other the epoch that was best on the test data. Every round starts from the
    same draw of PyTorch's kind of start, the partial-label student from its teacher's weights.
    """
    rows = []
    d, k = draw.features.n_features, draw.features.n_classes
    begin = linear_layer_weights(d, k, seed=draw.cell.seed)
    first = _trained(draw, draw.targets, begin)
    for stopping in ("last", "best on test"):
        fits = [_stopped(first, stopping)]
        for _ in range(draw.cell.options["rounds"] - 1):
            fits.append(_stopped(_trained(draw, fits[-1].as_targets(), begin), stopping))
        for t, fit in enumerate(fits, 1):
            rows.append(_published_row(draw, fit, stopping, round=t, loss="ce"))
        student = _trained(draw, draw.top_two(fits[0]), fits[0].weights, loss="gce")
        rows.append(_published_row(draw, _stopped(student, stopping), stopping, loss="gce"))
    return rows


def _trained(draw: Draw, targets: Any, start: np.ndarray, loss: str = "ce") -> SgdFit:
    """Train with the cell's seed, which is also that of the noise and of the start."""
    options = draw.cell.options
    head = PublishedSgdHead(
        draw.head().weight_decay,
        learning_rate=options["learning_rate"],
        epochs=options["epochs"],
        loss=loss,
        q=options["q"],
        seed=draw.cell.seed,
    )
    x, labels = draw.features.test_x, draw.features.test_labels
    if x is None or labels is None:
        raise InvalidSetting(
            "published cells need a test split, on which they choose their epoch, got features "
            "without one: give test features and labels, or use another recipe"
        )
    fit = head.fit(draw.features, targets, start=start, monitor=(x, labels))
    draw.work.done(fit, exact=False)
    return fit


def _stopped(fit: SgdFit, stopping: str) -> SgdFit:
    return fit if stopping == "last" or fit.best is None else fit.best


def _published_row(draw: Draw, fit: SgdFit, stopping: str, **values: Any) -> dict[str, Any]:
    if values["loss"] == "ce":
        certificate = draw.certified(fit).certificate
        values["relative_gap"] = certificate.relative_gap
        values["weights_bound"] = certificate.weights_bound
    return draw.local_row(
        "published",
        fit,
        **values,
        stopping=stopping,
        epoch=fit.epoch,
        selected_on="test" if fit.selects_on_test else None,
    )

"""Grid cells: the rounds of distillation and their rivals on one draw of noisy labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gramlab.block_fit import fit_block_model
from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.filters import linear_mu
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.study.draws import Draw
from gramlab.targets import Targets

__all__ = ["grid_rows", "mixing_weight"]


def grid_rows(draw: Draw) -> list[dict[str, Any]]:
    """Rows of rounds 1 … T, and of the students that are to replace rounds 2 … T.

    * ``distill``: round 1 is the teacher; each is set beside the closed form.
    * ``top2-ce``: 1/2 on each of the teacher's two largest labels, cross entropy, certified.
    * ``top2-gce``: the same targets, generalized cross entropy, from the teacher's weights: a local
      optimum.
    * ``mixture``: ξ P^(1) + (1 − ξ) Y with ξ of ``mixing_weight``; where its targets are so far
      outside the simplex that float64 cannot solve for it, the row holds the reason instead.
    """
    options, methods = draw.cell.options, draw.cell.options["methods"]
    head = draw.head()
    closed = LinearizedHead(head.weight_decay)
    rows, linearized, exact = draw.round_rows(
        "distill", head, options["rounds"], lambda fit, found: {}
    )
    if "top2-ce" in methods:
        student = head.fit(draw.features, draw.top_two(exact[0]), start=exact[0].weights)
        theory = closed.fit(draw.features, draw.top_two(linearized[0]))
        draw.work.done(student)
        rows.append(draw.exact_row("top2-ce", student, theory))
    if "top2-gce" in methods:
        rows.append(_robust_student(draw, exact[0]))
    if "mixture" in methods:
        rows.append(_mixture(draw, linearized[0], exact[0]))
    return rows


def _robust_student(draw: Draw, teacher: Fit) -> dict[str, Any]:
    head = GeneralizedCrossEntropyHead(teacher.weight_decay, q=draw.cell.options["q"])
    fit = head.fit(draw.features, draw.top_two(teacher), start=teacher.weights)
    draw.work.done(fit, exact=False)
    return draw.local_row("top2-gce", fit)


def _mixture(draw: Draw, theory: Fit, teacher: Fit) -> dict[str, Any]:
    """ξ P + (1 − ξ) Y in both heads; its rows sum to 1 and can have negative entries."""
    xi = mixing_weight(draw.features, teacher.weight_decay)

    def mixed(fit: Fit) -> Targets:
        return Targets(xi * fit.deviations + (1.0 - xi) * draw.targets.deviations)

    targets = mixed(teacher)
    negative = float((targets.deviations < -1.0 / draw.features.n_classes).any(axis=1).mean())
    made: dict[str, Any] = {"mixing": xi, "rows_with_negative_targets": negative}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # said in the row
        head = draw.head(signed_targets=True)
        student = draw.certified(head.fit(draw.features, targets, start=teacher.weights))
    if student.certificate.relative_gap > draw.cell.options["tolerance"]:
        # Far outside the simplex only weight decay holds the weights back, and they run off.
        draw.work.on_head()
        reason = f"no optimum within float64: {student.stats.message}"
        return draw.empty_row("mixture", weight_decay=teacher.weight_decay, **made, skipped=reason)
    draw.work.done(student)
    closed = LinearizedHead(teacher.weight_decay).fit(draw.features, mixed(theory))
    return draw.exact_row("mixture", student, closed, **made)


def mixing_weight(features: Features, weight_decay: float) -> float:
    """ξ = 1/(1 − p_A) = 1 + s_A/μ of the nearest block model, measured with the true labels.

    s_A is the mean square of a row minus the mean inner product c of two rows of one class: the
    block model's eigenvalue inside a class, 1 − c for unit rows. In that model this ξ takes a
    row's own label out of its prediction altogether (theorem ``mixture``). It is finite for every
    weight decay.
    """
    model = fit_block_model(features)
    inside = max(model.diagonal - model.within, 0.0)
    mu = linear_mu(features.n_classes, features.n_samples, weight_decay)
    return float(1.0 + np.float64(inside) / mu)

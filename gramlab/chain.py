"""Certificates through rounds: how far a round is from the true iterate, earlier rounds exact too.

A student's own certificate is about the targets it was given, which were computed. With
M(W) = XᵀP(W)/N the true iterates obey λ_t W_t + M(W_t) = u_t, where u_t = XᵀT_t/N and T_{t+1} is
ξP(W_t) + (1 − ξ)Y. For *any* weights W̃_t let e_t be the gradient of round t's objective at W̃_t, on
the targets that the weights of the round before make. Because u ↦ M((λ + M)⁻¹u) is firmly
nonexpansive (derived for this project; proof in docs/objective.md, theorem ``chain-certificate``),

    S_t = ‖e_t‖ + |ξ| S_{t−1},  S_0 = 0,   bounds λ_t ‖W̃_t − W_t‖ and ‖M(W̃_t) − M(W_t)‖,

with a weight decay for each round. The true objective of round t differs from that of e_t in the
targets alone, by at most |ξ| S_{t−1} in its gradient: so the round's certificate with that much
more error is one about the true iterate, its local bound included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gramlab.certificate import Certificate
from gramlab.heads.fit import Fit
from gramlab.heads.referee import SoftmaxObjective, softmax_deviations
from gramlab.rounding import gamma
from gramlab.row_weights import equal_weights

__all__ = ["certify_chain"]


def certify_chain(
    fits: Sequence[Fit],
    *,
    refine: str | Callable[[np.ndarray], np.ndarray] | None = None,
    temperature: float = 1.0,
    mixing: float = 1.0,
) -> tuple[tuple[Certificate | None, ...], str]:
    """Certify each round against the iterate that exact rounds from the first targets would reach.

    Only weights are read: predictions and targets that were stored on the way do not matter.

    Parameters
    ----------
    fits
        Rounds 1, 2, …; the targets of the first are the given ones, Y.
    refine, temperature, mixing
        As in ``distill``: how targets were to be made.

    Returns
    -------
    certificates
        One for each round. ``gradient_norm`` is ‖e_t‖ as computed; ``gradient_rounding`` holds
        everything by which the gradient of the true objective may differ from it, |ξ| S_{t−1}
        included, so S_t is their sum. ``None`` where nothing is claimed, and from there on.
    reason
        Why there is no claim; empty where there is one for every round.
    """
    certificates: list[Certificate] = []
    losses: list[SoftmaxObjective] = []
    reason = ""
    for t, fit in enumerate(fits, 1):
        if fit.loss is None:
            reason = f"round {t} minimizes another loss than the regularized cross-entropy"
            break
        losses.append(fit.loss)
        if t == 1:
            certificates.append(fit.certificate)
            continue
        made = _targets(losses, fits[t - 2].weights, certificates[-1], refine, temperature)
        if isinstance(made, str):
            reason = made
            break
        deviations, error = made
        if mixing != 1.0:
            deviations, rounding = _mixed(losses, deviations, mixing)
            error = abs(mixing) * error + rounding
        objective = replace(fit.loss, target_deviations=deviations)
        certificates.append(_widened(objective.certificate(fit.weights), error))
    return (*certificates, *[None] * (len(fits) - len(certificates))), reason


def _targets(
    losses: Sequence[SoftmaxObjective],
    weights: np.ndarray,
    certificate: Certificate,
    refine: str | Callable[[np.ndarray], np.ndarray] | None,
    temperature: float,
) -> tuple[np.ndarray, float] | str:
    """What the last but one round, with these weights, makes the last one's targets, unmixed.

    Returns
    -------
    (deviations, error) or reason
        T − 1/K (N, K), and a bound on the distance of XᵀT/N from that of the true iterate; or why
        there is none.
    """
    before, t = losses[-2], len(losses)
    if not _same_rows(before, losses[-1]):
        return f"round {t} is fitted on other rows, or with other weights on them, than the first"
    if callable(refine):
        return "targets are made by a function of the caller's"
    if refine == "top2":  # of which classes they are, the temperature does not matter
        found = _top_two(before, weights, certificate)
        if found is None:
            return f"round {t - 1} does not certify the two largest classes of every row"
        return found, 0.0
    if temperature != 1.0:  # W ↦ M(W/τ) need not be nonexpansive in u
        return f"predictions are read at temperature {temperature:g}"
    # With these targets the gradient at the weights, computed, is λW: what gradient_rounding says
    # of it is said of the rounding of XᵀP/N.
    deviations = softmax_deviations(before.logits(weights))
    rounding = replace(before, target_deviations=deviations).gradient_rounding(weights)
    return deviations, certificate.gradient_norm + certificate.gradient_rounding + rounding


def _same_rows(a: SoftmaxObjective, b: SoftmaxObjective) -> bool:
    """Whether M is the same function in both."""
    same = a.features is b.features or a.features.fingerprint == b.features.fingerprint
    return same and equal_weights(a.row_weights, b.row_weights)


def _top_two(
    objective: SoftmaxObjective, weights: np.ndarray, certificate: Certificate
) -> np.ndarray | None:
    """1/2 on the two largest classes of the true iterate, as deviations; None if not certified.

    A row of weight 0 need not be: its targets take no part.
    """
    k = objective.n_classes
    deviations = np.full((objective.n_samples, k), -1.0 / k)
    for rows, block in objective.features.blocks():
        logits = block @ weights
        order = np.argsort(logits, axis=1)
        if k > 2:
            second, third = np.take_along_axis(logits, order[:, [-2, -3]], axis=1).T
            decided = second - third > certificate.logit_bound(block)
            if objective.row_weights is not None:
                decided |= objective.row_weights[rows] == 0.0
            if not decided.all():
                return None
        np.put_along_axis(deviations[rows], order[:, -2:], 0.5 - 1.0 / k, axis=1)
    return deviations


def _mixed(
    losses: Sequence[SoftmaxObjective], deviations: np.ndarray, mixing: float
) -> tuple[np.ndarray, float]:
    """ξD + (1 − ξ)(Y − 1/K) (N, K), and the rounding of Xᵀ/N times it.

    1 − ξ, two products and a sum round by γ_3, Y − 1/K was stored within γ_2 of 1 + |Y − 1/K|.
    """
    given, last = losses[0].target_deviations[:], losses[-1]
    sizes = abs(mixing) * np.linalg.norm(deviations, axis=1)
    sizes += abs(1.0 - mixing) * (1.0 + np.linalg.norm(given, axis=1))
    rows = last.row_norms if last.row_weights is None else last.row_norms * last.row_weights
    rounding = gamma(8) * float(rows @ sizes) / last.n_samples
    return mixing * deviations + (1.0 - mixing) * given, rounding


def _widened(certificate: Certificate, error: float) -> Certificate:
    """The certificate where the gradient may be off by ``error`` more."""
    return replace(
        certificate,
        gradient_rounding=certificate.gradient_rounding + error,
        decrement=lambda: (
            certificate.newton_decrement + error / float(np.sqrt(certificate.weight_decay))
        ),
    )

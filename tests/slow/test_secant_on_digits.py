"""The third curve on digits: where one slope per round helps, and where it does not."""

from __future__ import annotations

import numpy as np

import gramlab


def test_the_secant_is_nearer_in_the_first_round_and_not_in_the_fourth():
    features = gramlab.load_features("digits").centered().unit_norm()
    noise = gramlab.corruption_matrix("symmetric", 10, 0.5)
    given = gramlab.corrupt_labels(features.labels, noise, seed=0)
    targets = gramlab.one_hot(given.labels, 10)
    path = gramlab.distillation_path(
        features, targets, [1e-4, 1e-3], 4, truth=features.labels, certified_share=0.99
    )
    for linear, secant, exact in zip(path.linearized, path.secant, path.exact, strict=True):
        # Distances of predictions; exact ones are within their bound of the optimum's.
        bound = exact[0].certificate.weights_bound * np.linalg.norm(features.x) / 2.0
        tangents, secants = (
            np.linalg.norm(rounds[0].deviations - exact[0].deviations)
            for rounds in (linear, secant)
        )
        assert secants + bound < 0.75 * (tangents - bound)
    cells = {(cell["weight_decay"], cell["round"]): cell for cell in path.cells}
    for decay in path.weight_decays:
        cell = cells[decay, 1]
        off = {head: abs(cell[f"{head}_recovery"] - cell["exact_recovery"]) for head in HEADS}
        assert off["secant"] <= off["linearized"]
        assert cell["effective_weight_decay"] < decay
        cell = cells[decay, 4]
        off = {head: abs(cell[f"{head}_recovery"] - cell["exact_recovery"]) for head in HEADS}
        assert off["secant"] > off["linearized"]


HEADS = ("linearized", "secant")

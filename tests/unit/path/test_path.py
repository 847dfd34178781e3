"""A path over weight decays is its rounds by hand, from one factorization, in any order asked."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import scipy.linalg

import gramlab
from gramlab.errors import InvalidLabels, InvalidSetting, InvalidTargets, NotEnoughMemory
from gramlab.machine import memory
from gramlab.numerics.content import to_json

DECAYS, ROUNDS = (1e-3, 1e-2, 3e-2), 3


@pytest.fixture(scope="module")
def problem() -> tuple[gramlab.Features, np.ndarray]:
    rng = np.random.default_rng(3)
    centres, truth, test = 2 * rng.standard_normal((4, 6)), np.arange(80) % 4, np.arange(20) % 4
    features = gramlab.Features(
        centres[truth] + rng.standard_normal((80, 6)),
        truth,
        test_x=centres[test] + rng.standard_normal((20, 6)),
        test_labels=test,
    )
    given = np.where(rng.random(80) < 0.4, rng.integers(0, 4, 80), truth)
    return features, gramlab.one_hot(given, 4)


@pytest.fixture(scope="module")
def path(problem):
    features, targets = problem
    return gramlab.distillation_path(
        features, targets, DECAYS, ROUNDS, truth=features.labels, certified_share=0.99
    )


def test_cells_equal_distill_and_compare_by_hand(problem, path):
    features, targets = problem
    assert path.weight_decays == DECAYS
    assert path.rounds == ROUNDS
    cells = iter(path.cells)
    for decay, linear, secant, exact in zip(
        DECAYS, path.linearized, path.secant, path.exact, strict=True
    ):
        secants = gramlab.LinearizedHead(decay, slope="secant")
        secants = gramlab.distill(secants, features, targets, ROUNDS)
        by_hand = gramlab.distill(gramlab.LinearizedHead(decay), features, targets, ROUNDS)
        head = gramlab.SoftmaxHead(decay, tolerance=1e-18)
        cold = gramlab.distill(head, features, targets, ROUNDS)
        found = gramlab.compare(linear, exact, truth=features.labels, certify="chain")
        for t in range(ROUNDS):
            cell, fit, one = next(cells), exact[t], found[t]
            assert (cell["weight_decay"], cell["round"]) == (decay, t + 1)
            assert np.array_equal(linear[t].weights, by_hand[t].weights)
            own = secant[t]
            assert np.array_equal(own.weights, secants[t].weights)
            assert cell["secant_recovery"] == (own.labels == features.labels).mean()
            tested = own.predict(features.test_x) == features.test_labels
            assert cell["secant_test"] == tested.mean()
            assert cell["effective_weight_decay"] == decay / (4 * own.slope) != decay
            assert cell["secant_max_abs"] == np.abs(own.deviations - fit.deviations).max()
            # Warm and cold heads are as near as what is certified of both.
            bounds = exact.chain[t].weights_bound + cold.chain[t].weights_bound
            assert np.linalg.norm(fit.weights - cold[t].weights) <= bounds
            # Planted: what the head of another weight decay would be is none of it.
            others = [rounds[t].weights for rounds in path.exact if rounds is not exact]
            assert all(np.linalg.norm(w - cold[t].weights) > bounds for w in others)
            assert cell["exact_recovery"] == (fit.labels == features.labels).mean()
            assert cell["linearized_recovery"] == (linear[t].labels == features.labels).mean()
            tested = fit.predict(features.test_x) == features.test_labels
            assert cell["exact_test"] == tested.mean()
            certified = [cell["certified_right"], cell["certified_wrong"], cell["undecided"]]
            assert certified == [*vars(one.certified).values()]
            assert cell["undecided"] <= 0.01 + 1e-12
            assert cell["max_abs"] == np.abs(fit.deviations - linear[t].deviations).max()
            assert cell["argmax_agreement"] == one.argmax_agreement
            shares = cell["certified_agreement"], cell["certified_disagreement"]
            assert sum(shares) + cell["undecided"] == pytest.approx(1.0, abs=1e-12)
            assert shares == (one.certified_agreement, one.certified_disagreement)
            assert cell["recursion_holds"] is cell["converged"] is True
    assert next(cells, None) is None


def test_certified_agreement_follows_the_rows(problem, path):
    """Rows of an exact head that is solved far further decide which class the certified have."""
    features, targets = problem
    for decay, linear, cells in zip(
        DECAYS, path.linearized, np.reshape(path.cells, (len(DECAYS), ROUNDS)), strict=True
    ):
        sharp = gramlab.SoftmaxHead(decay, tolerance=1e-20, certified_share=1.0)
        same = [
            (a.labels == b.labels).sum()
            for a, b in zip(linear, gramlab.distill(sharp, features, targets, ROUNDS), strict=True)
        ]
        for rows, cell in zip(same, cells, strict=True):
            assert round(80 * cell["certified_agreement"]) <= rows
            assert round(80 * cell["certified_disagreement"]) <= 80 - rows


def test_targets_of_every_kind_give_the_same_path(problem):
    features, targets = problem
    asked = ([1e-2], 2)
    kinds = (
        gramlab.OneHotRows(targets.argmax(1), 4),
        gramlab.Targets(targets - 0.25),
        targets.tolist(),
    )
    expected = gramlab.distillation_path(features, targets, *asked).as_dict()
    for kind in kinds:
        assert gramlab.distillation_path(features, kind, *asked).as_dict() == expected


def test_any_order_gives_the_same_path(problem, path):
    features, targets = problem
    asked = {"truth": features.labels, "certified_share": 0.99}
    shuffled = np.array(DECAYS)[[1, 2, 0]]
    again = gramlab.distillation_path(features, targets, shuffled, ROUNDS, **asked)
    assert again.as_dict() == path.as_dict()


def test_the_features_are_factored_once(problem, monkeypatch):
    features, targets = problem
    calls, eigh = [], scipy.linalg.eigh

    def counted(*arguments, **options):
        calls.append(sys._getframe(1).f_globals["__name__"])
        return eigh(*arguments, **options)

    monkeypatch.setattr(scipy.linalg, "eigh", counted)
    gramlab.distillation_path(features.replaced(), targets, DECAYS, ROUNDS)
    assert calls.count("gramlab.spectrum.gram") == 1


def test_what_is_not_known_is_none(problem):
    features, targets = problem
    path = gramlab.distillation_path(features, targets, [1e-2], 1, test=False)
    (cell,) = path.cells
    empty = {name for name, value in cell.items() if value is None}
    assert empty == {
        "linearized_recovery", "secant_recovery", "exact_recovery",
        "linearized_test", "secant_test", "exact_test",
        "certified_right", "certified_wrong",
    }  # fmt: skip
    (bare,) = gramlab.distillation_path(features.x, targets, [1e-2], 1).cells
    assert bare["linearized_test"] is None
    assert bare["max_abs"] == cell["max_abs"]


def test_a_path_is_plain_data_and_a_table(path, monkeypatch):
    plain = json.loads(to_json(path.as_dict()))
    assert plain["cells"] == [dict(cell) for cell in path.cells]
    assert (plain["n_samples"], plain["n_classes"], plain["rounds"]) == (80, 4, ROUNDS)
    columns = path.columns()
    assert columns["round"] == [1, 2, 3] * len(DECAYS)
    pandas = pytest.importorskip("pandas")
    assert path.to_frame().equals(pandas.DataFrame(list(path.cells)))
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert path.to_frame() == columns


def test_a_path_is_drawn_by_its_display(path):
    display = path.plot(title="mine")
    assert type(display).__name__ == "PathDisplay"
    assert display.ax_.get_title(loc="left") == "mine" or display.ax_.get_title() == "mine"


@pytest.mark.parametrize(
    ("decays", "words"),
    [
        ([], "one or more numbers"),
        (1e-3, "one or more numbers"),
        ("1e-3", "one or more numbers"),
        ([[1e-3]], "one or more numbers"),
        ([[1e-3], [1e-3, 1e-2]], "weight_decays"),
        (["1e-3"], "weight_decay must"),
        ([1e-3, 1e-2, 0.001], "got 0.001 twice"),
        ([1e-3, 0.0], "weight_decay must"),
        ([1e-3, np.nan], "weight_decay must"),
    ],
)
def test_weight_decays_that_are_none_are_refused(problem, decays, words):
    with pytest.raises(InvalidSetting, match=words):
        gramlab.distillation_path(*problem, decays, 2)


def test_other_bad_input_is_refused_before_any_work(problem, monkeypatch):
    features, targets = problem
    with pytest.raises(InvalidLabels, match="truth must"):
        gramlab.distillation_path(features, targets, DECAYS, 2, truth=features.labels[1:])
    with pytest.raises(InvalidLabels, match="truth must"):
        gramlab.distillation_path(features, targets, DECAYS, 2, truth=features.labels + 1)
    with pytest.raises(InvalidTargets):
        gramlab.distillation_path(features, features.labels, DECAYS, 2)
    with pytest.raises(InvalidTargets):
        gramlab.distillation_path(features, 2.0 * targets, DECAYS, 2)
    with pytest.raises(InvalidSetting, match="rounds must"):
        gramlab.distillation_path(features, targets, DECAYS, 0)
    with pytest.raises(InvalidSetting, match="certify must"):
        gramlab.distillation_path(features, targets, DECAYS, 2, certify="all")
    monkeypatch.setattr(memory, "bytes_available", lambda: 30_000)
    with pytest.raises(NotEnoughMemory, match="predictions of 2 rounds at 3 weight decays"):
        gramlab.distillation_path(features, targets, DECAYS, 2)

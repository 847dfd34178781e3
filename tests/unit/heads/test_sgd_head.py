"""The published protocol: PyTorch's own optimizer on the same batches, and marked selection."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import problem

from gramlab import errors
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.sgd import PublishedSgdHead, batches, linear_layer_weights
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import one_hot

SETTINGS = {"learning_rate": 0.3, "batch_size": 8, "epochs": 6, "decay": 0.9, "seed": 3}


def torch_path(features, targets, weight_decay, loss, start, dtype, decay=0.9, momentum=0.9):
    """torch.optim.SGD with its scheduler and autograd, on the same batches."""
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch's own optimizer")
    kind = getattr(torch, dtype)
    x, soft = torch.tensor(features.x, dtype=kind), torch.tensor(targets, dtype=kind)
    layer = torch.nn.Linear(x.shape[1], soft.shape[1], bias=False, dtype=kind)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(start.T, dtype=kind))
    optimizer = torch.optim.SGD(
        layer.parameters(), lr=0.3, momentum=momentum, weight_decay=weight_decay
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=decay)
    for epoch in batches(len(x), 8, 6, seed=3):
        for rows in epoch:
            optimizer.zero_grad()
            logits = layer(x[torch.from_numpy(rows)])
            chosen = soft[torch.from_numpy(rows)]
            if loss == "ce":
                value = torch.nn.functional.cross_entropy(logits, chosen)
            else:
                p = torch.softmax(logits, dim=1)
                value = ((1 - p**0.7) / 0.7 * chosen).sum(dim=1).mean()
            value.backward()
            optimizer.step()
        scheduler.step()
    return layer.weight.detach().numpy().T.astype(np.float64)


@pytest.mark.parametrize("loss", ["ce", "gce"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_are_those_of_pytorch(loss, dtype):
    features, targets = problem(37, 5, 3, seed=4)  # 37 = 4 · 8 + 5: the last batch is smaller
    start = linear_layer_weights(5, 3, seed=1)
    head = PublishedSgdHead(0.02, loss=loss, precision=dtype, **SETTINGS)
    fit = head.fit(features, targets, start)
    steps = 5 * 6
    size = np.linalg.norm(fit.weights) + np.linalg.norm(features.x, axis=1).max()
    rounding = 8 * steps * np.finfo(dtype).eps * size
    oracle = torch_path(features, targets, 0.02, loss, start, dtype)
    assert np.linalg.norm(fit.weights - oracle) <= rounding
    # Planted: no decay of the rate, no momentum, no weight decay, the other loss.
    other = {"ce": "gce", "gce": "ce"}[loss]
    for wrong in (
        torch_path(features, targets, 0.02, loss, start, dtype, decay=1.0),
        torch_path(features, targets, 0.02, loss, start, dtype, momentum=0.0),
        torch_path(features, targets, 0.0, loss, start, dtype),
        torch_path(features, targets, 0.02, other, start, dtype),
    ):
        assert np.linalg.norm(fit.weights - wrong) > 10 * rounding


def test_batches_take_every_row_once_an_epoch_and_keep_the_rest():
    found = batches(37, 8, 3, seed=5)
    assert [[len(rows) for rows in epoch] for epoch in found] == [[8, 8, 8, 8, 5]] * 3
    orders = [np.concatenate(epoch) for epoch in found]
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(37))
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[0], np.concatenate(batches(37, 8, 1, seed=5)[0]))
    assert not np.array_equal(orders[0], np.concatenate(batches(37, 8, 1, seed=6)[0]))


def test_one_seed_gives_the_same_bits():
    features, targets = problem(37, 5, 3, seed=4)
    first, second = (PublishedSgdHead(0.02, **SETTINGS).fit(features, targets) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    other = PublishedSgdHead(0.02, **{**SETTINGS, "seed": 4}).fit(features, targets)
    assert not np.array_equal(first.weights, other.weights)


def test_full_batches_with_a_shrinking_rate_reach_the_optimum():
    features, targets = problem(37, 5, 3, seed=4)
    head = PublishedSgdHead(
        0.05, learning_rate=0.1, batch_size=37, epochs=400, decay=0.995, precision="float64"
    )
    fit = head.fit(features, targets)
    best = SoftmaxHead(0.05, tolerance=1e-16).fit(features, targets)
    allowed = fit.certificate.weights_bound + best.certificate.weights_bound
    assert np.linalg.norm(fit.weights - best.weights) <= allowed
    assert fit.relative_gradient_norm < 1e-3


@pytest.mark.parametrize("epochs", [1, 5, 40])
def test_the_certificate_bounds_the_distance_to_the_optimum(epochs):
    features, targets = problem(60, 5, 3, seed=5)
    fit = PublishedSgdHead(0.02, epochs=epochs, batch_size=16).fit(features, targets)
    best = SoftmaxHead(0.02, tolerance=1e-20).fit(features, targets)
    distance = np.linalg.norm(fit.weights - best.weights)
    assert distance <= fit.certificate.weights_bound + best.certificate.weights_bound
    # Planted: the optimum's own certificate does not cover this fit.
    assert distance > 100 * best.certificate.weights_bound
    objective = SoftmaxObjective(features, targets - 1 / 3, 0.02)
    assert fit.gradient_norm == fit.certificate.gradient_norm
    assert fit.relative_gradient_norm**2 == pytest.approx(fit.certificate.relative_gap, rel=1e-14)
    assert fit.objective == objective.value(fit.weights)
    assert not fit.stats.converged
    assert fit.stats.result == "epochs done"


def monitored(**more):
    features, _ = problem(120, 6, 4, seed=6)
    rng = np.random.default_rng(6)
    given = np.where(rng.random(120) < 0.6, rng.integers(0, 4, 120), features.labels)
    test, _ = problem(80, 6, 4, seed=6)
    x = test.x + 0.8 * rng.standard_normal(test.x.shape)
    settings = {"learning_rate": 0.5, "batch_size": 16, "epochs": 12, **more}
    head = PublishedSgdHead(1e-3, **settings)
    return head, features, one_hot(given, 4), (x, test.labels)


def test_the_best_epoch_is_the_one_a_shorter_run_ends_at():
    head, features, targets, monitor = monitored()
    fit = head.fit(features, targets, monitor=monitor)
    assert fit.accuracy_by_epoch is not None
    assert len(fit.accuracy_by_epoch) == 12
    for epoch in (1, fit.best_epoch, 12):
        shorter = monitored(epochs=epoch)[0].fit(features, targets, monitor=monitor)
        accuracy = np.mean(shorter.predict(monitor[0]) == monitor[1])
        assert fit.accuracy_by_epoch[epoch - 1] == accuracy
        if epoch == fit.best_epoch:
            assert np.array_equal(shorter.weights, fit.best.weights)
    assert max(fit.accuracy_by_epoch) == fit.accuracy_by_epoch[fit.best_epoch - 1]
    assert fit.accuracy_by_epoch.index(max(fit.accuracy_by_epoch)) == fit.best_epoch - 1
    # The last epoch is not the best one here, so that the two can be told apart.
    assert fit.best_epoch < 12
    assert not np.array_equal(fit.best.weights, fit.weights)


def test_selection_on_test_rows_is_marked_and_only_there():
    head, features, targets, monitor = monitored()
    fit = head.fit(features, targets, monitor=monitor)
    assert not fit.selects_on_test
    assert fit.best.selects_on_test
    assert fit.best.epoch == fit.best.best_epoch == fit.best_epoch
    assert fit.best.best is None
    unwatched = head.fit(features, targets)
    assert unwatched.accuracy_by_epoch is unwatched.best is unwatched.best_epoch is None
    assert np.array_equal(unwatched.weights, fit.weights)  # watching changes nothing


def test_generalized_cross_entropy_has_no_certificate():
    head, features, targets, _ = monitored(loss="gce", epochs=3)
    fit = head.fit(features, targets)
    with pytest.raises(errors.NoCertificate, match="not convex"):
        _ = fit.certificate
    assert 0.0 < fit.relative_gradient_norm < 1.0
    assert fit.objective < fit.problem.value(np.zeros_like(fit.weights))


def test_a_linear_layer_starts_uniform_on_its_interval():
    found = linear_layer_weights(100, 50, seed=7)
    assert found.shape == (100, 50)
    assert np.abs(found).max() <= 0.1
    # Mean and variance of 5000 uniform draws, within five standard errors.
    assert abs(found.mean()) <= 5 * 0.1 / np.sqrt(3 * 5000)
    assert abs((found**2).mean() - 0.01 / 3) <= 5 * 0.01 * np.sqrt(4 / 45 / 5000)
    assert np.array_equal(found, linear_layer_weights(100, 50, seed=7))
    assert not np.array_equal(found, linear_layer_weights(100, 50, seed=8))


def test_progress_comes_after_every_epoch():
    seen = []
    head, features, targets, monitor = monitored(epochs=4, progress=lambda *now: seen.append(now))
    fit = head.fit(features, targets, monitor=monitor)
    assert seen == list(zip(range(1, 5), fit.accuracy_by_epoch, strict=True))
    seen.clear()
    head.fit(features, targets)
    assert seen == [(epoch, None) for epoch in range(1, 5)]


def test_a_diverging_descent_says_where():
    features, targets = problem(37, 5, 3, seed=4)
    with pytest.raises(errors.Diverged, match="in epoch 1 of 6 at learning rate 1e"):
        PublishedSgdHead(1.0, learning_rate=1e12, batch_size=4, epochs=6).fit(features, targets)


@pytest.mark.parametrize(
    "setting",
    [
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"batch_size": 0},
        {"epochs": 0},
        {"decay": 0.0},
        {"loss": "mae"},
        {"q": 2.0},
        {"seed": -1},
        {"precision": "float16"},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(errors.InvalidSetting, match=next(iter(setting))):
        PublishedSgdHead(1e-2, **setting)


def test_inputs_that_cannot_be_used_are_refused():
    head, features, targets, (x, labels) = monitored(epochs=1)
    with pytest.raises(errors.InvalidSetting, match="start must have shape"):
        head.fit(features, targets, np.zeros((4, 6)))
    with pytest.raises(errors.InvalidSetting, match="pair"):
        head.fit(features, targets, monitor=5)
    with pytest.raises(errors.InvalidFeatures, match="must have 6 columns"):
        head.fit(features, targets, monitor=(x[:, :3], labels))
    with pytest.raises(errors.InvalidLabels, match="monitor's labels"):
        head.fit(features, targets, monitor=(x, labels[:-1]))

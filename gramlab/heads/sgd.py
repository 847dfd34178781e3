"""The published protocol by name: stochastic gradient descent, for a fixed number of epochs.

What the paper's authors run is not an optimum but the end of a path: mini-batches of 128, momentum
0.9, 200 epochs, the learning rate times 0.98 after each, and of all epochs the one that does best
on the *test* rows. This head walks that path, with PyTorch's conventions,

    g = ∇(mean loss of the batch) + λ w;   b ← momentum · b + g;   w ← w − rate · b,

so that the difference between the published protocol and the exact optimum can be measured. Rows
are shuffled anew every epoch, from an explicit key; the last batch is as small as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.fit import MeasuredFit, SolveStats, check_rows
from gramlab.heads.generalized import GeneralizedCrossEntropy, check_exponent
from gramlab.heads.problem import Problem
from gramlab.heads.referee import SoftmaxObjective
from gramlab.machine import device
from gramlab.machine.backend import jax, jnp
from gramlab.numerics.streams import MAX_SEED, stream, uniforms
from gramlab.targets import OneHotRows, Targets

__all__ = ["PublishedSgdHead", "SgdFit", "batches", "linear_layer_weights"]

# Second half of the Philox key: one stream per purpose, so that one seed can serve several.
_BATCH_STREAM = int.from_bytes(b"batches1", "big")
_START_STREAM = int.from_bytes(b"linear_1", "big")


@dataclass(frozen=True, eq=False, repr=False)
class SgdFit(MeasuredFit):
    """Where stochastic gradient descent stood after an epoch.

    With ``loss="ce"`` the certificate is real: it says how far from the optimum that was. With
    ``"gce"`` there is none, and asking for it says why.

    Attributes
    ----------
    epoch
        Epochs done, from 1.
    accuracy_by_epoch
        Share of the monitored rows predicted right after each epoch; None without a monitor.
    best
        The fit at the epoch with the largest of these (the first of equal ones); None without a
        monitor, and of a fit that is one itself.
    selects_on_test
        Whether this epoch was chosen by its accuracy on the monitored rows. That accuracy is then
        no estimate of accuracy on new rows.
    """

    epoch: int = field(kw_only=True)
    accuracy_by_epoch: tuple[float, ...] | None = field(kw_only=True, default=None)
    best: SgdFit | None = field(kw_only=True, default=None, repr=False)
    selects_on_test: bool = field(kw_only=True, default=False)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of ``best``."""
        if self.selects_on_test:
            return self.epoch
        return None if self.best is None else self.best.epoch


@dataclass(eq=False)
class PublishedSgdHead:
    """Softmax head trained as published: SGD with momentum, no intercept.

    Parameters
    ----------
    weight_decay
        λ > 0.
    learning_rate, momentum, batch_size, epochs, decay
        Of the descent; the learning rate is multiplied by ``decay`` after each epoch.
    loss
        ``"ce"``, cross entropy, or ``"gce"``, generalized cross entropy with exponent ``q``.
    q
        Exponent in (0, 1] of ``"gce"``.
    seed
        Key of the order of the rows.
    precision
        ``"float32"``, as published, or ``"float64"``.
    progress
        Called after each epoch with (epoch, accuracy on the monitored rows or None).

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    weight_decay: float
    _: KW_ONLY
    learning_rate: float = 0.05
    momentum: float = field(default=0.9, repr=False)
    batch_size: int = field(default=128, repr=False)
    epochs: int = 200
    decay: float = field(default=0.98, repr=False)
    loss: str = "ce"
    q: float = field(default=0.7, repr=False)
    seed: int = 0
    precision: str = field(default="float32", repr=False)
    progress: Callable[[int, float | None], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.weight_decay = validation.check_weight_decay(self.weight_decay)
        self.learning_rate = validation.check_positive("learning_rate", self.learning_rate)
        self.momentum = validation.check_rate("momentum", self.momentum)
        self.batch_size = validation.check_integer("batch_size", self.batch_size, 1)
        self.epochs = validation.check_integer("epochs", self.epochs, 1)
        self.decay = validation.check_positive("decay", self.decay)
        for name, known in ("loss", ("ce", "gce")), ("precision", ("float32", "float64")):
            if getattr(self, name) not in known:
                raise errors.InvalidSetting(
                    f"{name} must be one of {known}, got {getattr(self, name)!r}"
                )
        self.q = check_exponent(self.q)
        self.seed = validation.check_integer("seed", self.seed, 0, MAX_SEED)

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        start: np.ndarray | None = None,
        *,
        monitor: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> SgdFit:
        """Descend for all epochs; the fit is the last one's.

        Parameters
        ----------
        features
            Features in memory, or a bare array x (N, d).
        targets
            T (N, K) with rows on the simplex.
        start
            Weights (d, K) to start from; None is W = 0. The authors start from PyTorch's default
            for a linear layer: pass ``linear_layer_weights(d, K, seed=...)``.
        monitor
            Rows x (n, d) and labels (n,) on which accuracy is measured after each epoch. The
            authors choose the epoch by it, on test data: ``SgdFit.best``, which is marked.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidLabels, InvalidSetting, NotEnoughMemory
            On bad input, before any work is done.
        Diverged
            If the weights leave the range of finite numbers.
        """
        given = features, targets, self.weight_decay
        problem = (
            SoftmaxObjective.of(*given)
            if self.loss == "ce"
            else GeneralizedCrossEntropy.of(*given, q=self.q)
        )
        problem.check_in_memory("stochastic gradient descent")
        shape = problem.features.n_features, problem.n_classes
        begun = validation.check_start(start, shape)
        watched = _checked_monitor(monitor, *shape)

        def fit_of(weights: np.ndarray, epoch: int, **more: Any) -> SgdFit:
            stats = SolveStats(
                method="SGD with momentum, as published",
                result="epochs done",
                message="stopped after a fixed number of epochs, no tolerance was asked for",
                passes=float(epoch),
                iterations=epoch,
            )
            return SgdFit.at(problem, weights, stats, problem=problem, epoch=epoch, **more)

        accuracies: list[float] = []
        weights = best = np.zeros(shape)
        for epoch, weights in enumerate(self._path(problem, begun), start=1):
            accuracy = None
            if watched is not None:
                accuracy = float(np.mean((watched[0] @ weights).argmax(axis=1) == watched[1]))
                if accuracy > max(accuracies, default=-1.0):
                    best = weights
                accuracies.append(accuracy)
            if self.progress is not None:
                self.progress(epoch, accuracy)
        if watched is None:
            return fit_of(weights, self.epochs)
        curve, first = tuple(accuracies), 1 + int(np.argmax(accuracies))
        chosen = fit_of(best, first, accuracy_by_epoch=curve, selects_on_test=True)
        return fit_of(weights, self.epochs, accuracy_by_epoch=curve, best=chosen)

    def _path(self, problem: Problem, begun: np.ndarray | None) -> Iterator[np.ndarray]:
        """Weights (d, K) after each epoch."""
        features, n, k = problem.features, problem.n_samples, problem.n_classes
        targets = problem.target_deviations[:] + 1.0 / k
        dtype = np.dtype(self.precision)
        with device.float64():
            x = device.resident(features.as_float64(), f"the features as {dtype}", dtype)
            soft = device.resident(targets, f"the targets as {dtype}", dtype)
            zero = np.zeros((features.n_features, k))
            weights = jnp.asarray(zero if begun is None else begun, dtype)
            state = (weights, jnp.zeros_like(weights))
            settings = [jnp.asarray(c, dtype) for c in (self.weight_decay, self.momentum, self.q)]
            descend = partial(_epoch, x, soft, settings, generalized=self.loss == "gce")
        rate, size = self.learning_rate, min(self.batch_size, n)
        full = n - n % size
        for epoch, rows in enumerate(_orders(n, self.seed, self.epochs), start=1):
            with device.float64():
                # All batches of one size in one scan; what is left over is one more batch.
                for part in (rows[:full].reshape(-1, size), rows[full:].reshape(1, -1)):
                    if part.size:
                        state = descend(jnp.asarray(part), jnp.asarray(rate, dtype), state)
                found = np.asarray(state[0], dtype=np.float64)
            if not np.isfinite(found).all():
                raise errors.Diverged(
                    f"weights must stay finite, got nan or inf in epoch {epoch} of {self.epochs} "
                    f"at learning rate {rate:.3g}: lower learning_rate, or scale the features"
                )
            yield found
            rate *= self.decay


def batches(n_samples: int, batch_size: int, epochs: int, *, seed: int) -> list[list[np.ndarray]]:
    """Rows of every batch, by epoch, as ``PublishedSgdHead`` takes them.

    The order of an epoch is that of N raw 64-bit words of the stream of ``seed``; epochs continue
    one stream. The last batch of an epoch holds what is left over, as PyTorch's ``DataLoader``
    leaves it.
    """
    n = validation.check_integer("n_samples", n_samples, 1)
    size = validation.check_integer("batch_size", batch_size, 1)
    key = validation.check_integer("seed", seed, 0, MAX_SEED)
    orders = _orders(n, key, validation.check_integer("epochs", epochs, 1))
    return [[rows[i : i + size] for i in range(0, n, size)] for rows in orders]


def linear_layer_weights(n_features: int, n_classes: int, *, seed: int) -> np.ndarray:
    """Weights (d, K) distributed as PyTorch starts a linear layer: uniform on ±1/√d.

    Drawn from the stream of ``seed``, so the same on every machine, and not PyTorch's own draws.
    """
    d = validation.check_integer("n_features", n_features, 1)
    k = validation.check_integer("n_classes", n_classes, 2)
    key = validation.check_integer("seed", seed, 0, MAX_SEED)
    uniform = uniforms(stream(key, _START_STREAM).random_raw(d * k))
    return ((2.0 * uniform - 1.0) / math.sqrt(d)).reshape(d, k)


def _orders(n: int, seed: int, epochs: int) -> Iterator[np.ndarray]:
    """The order of the rows in each epoch."""
    words = stream(seed, _BATCH_STREAM)
    for _ in range(epochs):
        yield np.argsort(words.random_raw(n), kind="stable")


def _checked_monitor(
    monitor: tuple[np.ndarray, np.ndarray] | None, n_features: int, n_classes: int
) -> tuple[np.ndarray, np.ndarray] | None:
    if monitor is None:
        return None
    try:
        x, labels = monitor
    except (TypeError, ValueError) as problem:
        raise errors.InvalidSetting(
            "monitor must be a pair (x, labels) of rows and their labels, got "
            f"{type(monitor).__name__}: pass (features.test_x, features.test_labels)"
        ) from problem
    x = check_rows(x, n_features, "monitor's x")
    return x, validation.check_labels(labels, len(x), n_classes, name="monitor's labels")


@partial(jax.jit, static_argnames="generalized")
def _epoch(
    x: jax.Array,
    targets: jax.Array,
    settings: list[jax.Array],
    rows: jax.Array,
    rate: jax.Array,
    state: tuple[jax.Array, jax.Array],
    *,
    generalized: bool,
) -> tuple[jax.Array, jax.Array]:
    """Steps through batches ``rows`` (batches, size); state is weights (d, K) and the buffer."""
    weight_decay, momentum, q = settings

    def step(state, batch):
        weights, buffer = state
        chosen, soft = x[batch], targets[batch]
        logs = jax.nn.log_softmax(jnp.matmul(chosen, weights, precision="highest"), axis=1)
        p = jnp.exp(logs)
        pulls = soft * jnp.exp(q * logs) if generalized else soft
        residual = p * pulls.sum(axis=1, keepdims=True) - pulls
        gradient = jnp.matmul(chosen.T, residual, precision="highest") / batch.shape[0]
        buffer = momentum * buffer + gradient + weight_decay * weights
        return (weights - rate * buffer, buffer), None

    return jax.lax.scan(step, state, rows)[0]

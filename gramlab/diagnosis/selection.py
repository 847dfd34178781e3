"""Which number of rounds, weight decay and refinement: theory first, exact heads to confirm.

Everything is scored on rows that were held out. For each fold one factorization of its training
rows gives the linearized head at every weight decay and every round; exact heads are then fitted
to the same folds, all teachers first and students only where they can still gain:

* at weight decays up to that of the best exact teacher (one round more averages labels more, as
  more weight decay does, so above it a student is expected to lose), nearest first, and
* where the theory has its own best settings.

At each of these, rounds are added while they gain. The grid of weight decays is placed by the
spectrum: μ = K N λ from a tenth to a hundred times the geometric mean of the K − 1 largest
eigenvalues, where the class structure is, in steps of √10; it grows where the best teacher stands
at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.accuracy import combined_accuracy, corrected_accuracy, expected_accuracy
from gramlab.diagnosis.folds import Folds
from gramlab.diagnosis.trial import Setting, Trial
from gramlab.features import Features
from gramlab.filters import filter_over_eigenvalue, linear_mu
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.spectrum import Spectrum
from gramlab.targets import OneHotRows, Targets, one_hot, partial_labels

__all__ = ["decay_grid", "try_settings"]

_STEP = math.sqrt(10.0)
_LOWEST, _STEPS = 0.1, 7  # μ over the class eigenvalues: first value, number of values
_NEAR = 1.5  # a grid point within this factor of the reference makes room for it
_GROWTH = 3  # steps that the grid may grow at either end
_STUDENT_DECAYS = 3  # at and below the best teacher's
_THEORY_BEST = 2  # settings of the theory that exact heads look at in any case


def decay_grid(features: Features) -> list[float]:
    """Weight decays placed by the spectrum, ascending (module docstring)."""
    k, n = features.n_classes, features.n_samples
    top = Spectrum.of(features).eigenvalues[: max(k - 1, 1)]
    top = top[top > 0.0]
    anchor = float(np.exp(np.log(top).mean())) if len(top) else 1.0
    return [anchor * _LOWEST * _STEP**i / (k * n) for i in range(_STEPS)]


def try_settings(
    folds: Folds,
    posterior: np.ndarray,
    matrix: np.ndarray,
    decays: Sequence[float],
    max_rounds: int,
    *,
    reference: float,
    seed: int = 0,
    tolerance: float = 1e-6,
    grow: bool = True,
    stage: Callable[[str], None] = lambda words: None,
) -> list[Trial]:
    """Score settings on held-out rows, all by the theory and the promising ones by exact heads.

    Parameters
    ----------
    folds : Folds
    posterior : np.ndarray of shape (N, K)
        q_i, for the expected accuracy.
    matrix : np.ndarray of shape (K, K)
        C, for the corrected one.
    decays : sequence of float
        Weight decays, ascending.
    max_rounds : int
        R ≥ 1.
    reference : float
        The weight decay in use; it is tried too.
    seed : int
        Key of ties of the top two.
    tolerance : float
        Relative duality gap of the exact heads.
    grow : bool
        Whether the grid may grow where the best teacher stands at its end.
    stage : callable
        Called with a few words when a stage begins.

    Returns
    -------
    list of Trial
        Theory first, then exact, each by weight decay, rounds and refinement.
    """
    work = _Work(folds, posterior, matrix, max_rounds, seed, tolerance, stage)
    values = sorted([d for d in decays if not 1 / _NEAR < d / reference < _NEAR] + [reference])
    stage("closed form on every fold")
    work.theory(values)
    for decay in reversed(values):  # the largest is the easiest, and starts the next
        work.teacher(decay)
    ends = (min, 1.0 / _STEP), (max, _STEP)
    for end, step in ends if grow else ():
        for _ in range(_GROWTH):
            decay = end(work.teachers)
            # The reference may stand beside the end, which is as good as at it.
            if abs(math.log(work.best_teacher() / decay)) > 0.99 * math.log(_STEP):
                break
            work.theory([decay * step])
            work.teacher(decay * step)
    best = work.best_teacher()
    below = [decay for decay in sorted(work.teachers, reverse=True) if decay <= best]
    chosen = dict.fromkeys([*below[:_STUDENT_DECAYS], *work.theory_decays()])
    if max_rounds > 1:
        for decay in chosen:
            work.students(decay)
    return sorted(work.trials, key=lambda one: (one.head != "theory", one.setting))


class _Work:
    """Trials so far, and the exact fits of each fold that later ones begin at."""

    def __init__(
        self,
        folds: Folds,
        posterior: np.ndarray,
        matrix: np.ndarray,
        max_rounds: int,
        seed: int,
        tolerance: float,
        stage: Callable[[str], None],
    ) -> None:
        self.folds, self.posterior, self.matrix = folds, posterior, matrix
        self.max_rounds, self.seed, self.tolerance, self.stage = max_rounds, seed, tolerance, stage
        self.trials: list[Trial] = []
        self.teachers: dict[float, list[Fit]] = {}

    def add(self, setting: Setting, head: str, predicted: npt.NDArray[np.int64]) -> Trial:
        given = self.folds.given
        expected = expected_accuracy(predicted, self.posterior)
        corrected = corrected_accuracy(predicted, given, self.matrix)
        trial = Trial(
            setting,
            head,
            combined_accuracy(expected, corrected),
            expected,
            corrected,
            float((predicted == given).mean()),
            predicted,
        )
        self.trials.append(trial)
        return trial

    def theory(self, decays: Sequence[float]) -> None:
        """The linearized head on every fold: rounds, and the student of its top two."""
        folds, k = self.folds, self.folds.n_classes
        settings = [
            Setting(decay, t, refine)
            for decay in decays
            for t, refine in _variants(self.max_rounds, k)
        ]
        found = {one: np.empty(len(folds.given), dtype=np.int64) for one in settings}
        for part, test, held in zip(folds.parts, folds.tests, folds.held, strict=True):
            spectrum = Spectrum.of(part)
            z, unseen = spectrum.coordinates, test @ spectrum.basis
            given = z.T @ (one_hot(part.labels, k) - 1.0 / k)
            for decay in decays:
                mu = linear_mu(k, part.n_samples, decay)
                for t, refine in _variants(self.max_rounds, k):
                    if refine:
                        scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, 1)
                        teacher = z @ (scale[:, None] * given) + 1.0 / k
                        two = partial_labels(teacher, 2, seed=self.seed)
                        logits = unseen @ (scale[:, None] * (z.T @ (two - 1.0 / k)))
                    else:
                        scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, t)
                        logits = unseen @ (scale[:, None] * given)
                    found[Setting(decay, t, refine)][held] = logits.argmax(axis=1)
        for setting, predicted in found.items():
            self.add(setting, "theory", predicted)

    def teacher(self, decay: float) -> None:
        """Exact teachers at one weight decay, from the fits at the nearest one."""
        self.stage(f"exact teachers, weight decay {decay:.2g}")
        near = min(self.teachers, key=lambda d: abs(math.log(d / decay)), default=None)

        def fit(number: int, part: Features) -> Fit:
            start = None if near is None else np.asarray(self.teachers[near][number].weights)
            return self.fit(decay, part, OneHotRows(part.labels, part.n_classes), start)

        fits = self.on_folds(fit)
        self.teachers[decay] = fits
        self.add(Setting(decay), "exact", self.held_out(fits))

    def students(self, decay: float) -> None:
        """Exact rounds at one weight decay while they gain, and the student of the top two."""
        teachers = self.teachers[decay]
        best, fits = self.exact(Setting(decay)).accuracy.value, teachers
        for t in range(2, self.max_rounds + 1):
            self.stage(f"exact students, weight decay {decay:.2g}, round {t}")
            fits = self.on_folds(
                lambda number, part, last=fits: self.fit(
                    decay, part, last[number].as_targets(), np.asarray(last[number].weights)
                )
            )
            value = self.add(Setting(decay, t), "exact", self.held_out(fits)).accuracy.value
            if value <= best:
                break
            best = value
        if self.folds.n_classes == 2:
            return  # half on each of two labels says nothing
        self.stage(f"exact top-2 students, weight decay {decay:.2g}")

        def top_two(number: int, part: Features) -> Fit:
            teacher = teachers[number]
            two = partial_labels(np.asarray(teacher.as_targets()), 2, seed=self.seed)
            targets = Targets(two - 1.0 / part.n_classes)
            return self.fit(decay, part, targets, np.asarray(teacher.weights))

        self.add(Setting(decay, 2, "top2"), "exact", self.held_out(self.on_folds(top_two)))

    def on_folds(self, fit: Callable[[int, Features], Fit]) -> list[Fit]:
        """One head for every fold, from its number and training rows."""
        return self.folds.at_once(lambda number: fit(number, self.folds.parts[number]))

    def fit(
        self, decay: float, part: Features, targets: Targets | OneHotRows, start: np.ndarray | None
    ) -> Fit:
        return SoftmaxHead(decay, tolerance=self.tolerance).fit(part, targets, start=start)

    def held_out(self, fits: list[Fit]) -> npt.NDArray[np.int64]:
        """Out-of-fold predictions (N,)."""
        predicted = np.empty(len(self.folds.given), dtype=np.int64)
        for fit, test, rows in zip(fits, self.folds.tests, self.folds.held, strict=True):
            predicted[rows] = (test @ np.asarray(fit.weights)).argmax(axis=1)
        return predicted

    def exact(self, setting: Setting) -> Trial:
        return next(t for t in self.trials if t.head == "exact" and t.setting == setting)

    def best_teacher(self) -> float:
        """Weight decay of the best exact teacher; the larger of equals."""
        return max(self.teachers, key=lambda d: (self.exact(Setting(d)).accuracy.value, d))

    def theory_decays(self) -> list[float]:
        """Weight decays of the theory's best settings with a student."""
        found = [t for t in self.trials if t.head == "theory" and t.setting.distils]
        found.sort(key=lambda t: (-t.accuracy.value, t.setting))
        return [t.setting.weight_decay for t in found[:_THEORY_BEST]]


def _variants(max_rounds: int, n_classes: int) -> list[tuple[int, str]]:
    """(rounds, refinement) that are tried at a weight decay."""
    rounds = [(t, "") for t in range(1, max_rounds + 1)]
    return rounds + ([(2, "top2")] if max_rounds > 1 and n_classes > 2 else [])

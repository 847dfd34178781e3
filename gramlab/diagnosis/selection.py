"""Which number of rounds, weight decay and refinement: theory first, exact heads to confirm.

For each fold one factorization gives the linearized head at every weight decay and round, held out.
Exact heads follow: all teachers, and students, round by round while they gain, at the best
teacher's weight decay and the two below (a round more averages labels more, as more weight decay
does, so above it a student is expected to lose) and where the theory has its two best settings.
Rounds spend weight decay, so each number of them is tried beside one training at the total. Labels
that the posterior has mended (``cleaned``) are trained on once, at the best teacher's weight decay
and its two neighbours, and further to the side where it gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.cleaned import CleanedLabels
from gramlab.diagnosis.trial import LABELS, Scoring, Setting, Trial
from gramlab.features import Features
from gramlab.heads.referee import softmax_deviations
from gramlab.heads.softmax import SoftmaxHead
from gramlab.runner import Run
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import filter_over_eigenvalue, linear_mu
from gramlab.targets import (
    Targets,
    one_hot,
    partial_labels,
    product_of_weights,
    relative_weights,
    target_rows,
)

__all__ = ["SettingSearch", "decay_grid"]

_STEP = math.sqrt(10.0)


def decay_grid(features: Features) -> list[float]:
    """Seven weight decays, ascending in steps of √10, where the class structure is.

    μ = K N λ from a tenth to a hundred times the geometric mean of the K − 1 largest eigenvalues. A
    constant column, which all rows share, is left out of them.
    """
    k, n = features.n_classes, features.n_samples
    top = Spectrum.of(features.without_constant()).eigenvalues[: k - 1]
    top = top[top > 0.0]
    middle = float(np.exp(np.log(top).mean())) if len(top) else 1.0
    return [0.1 * middle * _STEP**i / (k * n) for i in range(7)]


@dataclass(eq=False)
class SettingSearch:
    """Scores settings on held-out rows, all by the theory and the promising ones by exact heads.

    ``run`` holds the folds; ``scoring`` holds the given labels and scores what is predicted;
    ``cleaned`` are the labels of the training rows of each fold as all but that fold
    mend them, none if that is not tried. The rest is as in ``DiagnosisSettings``.
    """

    run: Run
    scoring: Scoring
    max_rounds: int
    cleaned: Sequence[CleanedLabels] = ()
    seed: int = 0
    tolerance: float = 1e-6
    stage: Callable[[str], None] = lambda text: None
    _trials: dict[tuple[str, Setting], Trial] = field(default_factory=dict, init=False, repr=False)
    _teachers: dict[float, list[np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def trials(
        self, decays: Sequence[float], reference: float, *, grow: bool = True
    ) -> list[Trial]:
        """Try settings at weight decays, ascending, and at the one in use, the reference.

        Those within a factor 1.5 of the reference make room for it. The grid may ``grow`` by up to
        three steps where the best teacher stands at its end. The theory's trials come first, then
        the exact ones, each by weight decay, rounds and refinement.
        """
        values = sorted([d for d in decays if not 1 / 1.5 < d / reference < 1.5] + [reference])
        self.stage("closed form on every fold")
        self._try_theory(values)
        for decay in reversed(values):  # the largest is the easiest, and starts the next
            self._try_teacher(decay)
        for end, step in ((min, 1.0 / _STEP), (max, _STEP)) if grow else ():
            for _ in range(3):
                decay = end(self._teachers)
                # The reference may stand beside the end, which is as good as at it.
                if abs(math.log(self._best_teacher() / decay)) > 0.99 * math.log(_STEP):
                    break
                self._try_theory([decay * step])
                self._try_teacher(decay * step)
        for labels in LABELS[1:] if self.cleaned else ():
            self._try_cleaned(labels)
        if self.max_rounds > 1:
            best = self._best_teacher()
            below = sorted((d for d in self._teachers if d <= best), reverse=True)
            students = [t for t in self._trials.values() if t.setting.distils]  # by theory so far
            students.sort(key=lambda t: (-t.accuracy.value, t.setting))
            promising = [*below[:3], *(t.setting.weight_decay for t in students[:2])]
            for decay in dict.fromkeys(promising):
                self._try_students(decay)
            self._try_totals()
        return sorted(self._trials.values(), key=lambda t: (t.head == "exact", t.setting))

    def _best_teacher(self) -> float:
        """Weight decay of the best exact teacher; the larger of equals."""
        trials = [self._trials["exact", Setting(decay)] for decay in self._teachers]
        return max((t.accuracy.value, t.setting.weight_decay) for t in trials)[1]

    def _add(self, setting: Setting, head: str, predicted: npt.NDArray[np.int64]) -> Trial:
        trial = self._trials[head, setting] = self.scoring.trial(setting, head, predicted)
        return trial

    def _try_theory(self, decays: Sequence[float]) -> None:
        """The linearized head on every fold: rounds, and the student of its top two."""
        run, k = self.run, self.run.n_classes
        if run.weights is not None:
            return  # the spectrum is that of rows of equal weight
        settings = [Setting(d, t) for d in decays for t in range(1, self.max_rounds + 1)]
        if self.max_rounds > 1 and k > 2:
            settings += [Setting(d, 2, "top2") for d in decays]
        found = {one: np.empty(len(self.scoring.given), dtype=np.int64) for one in settings}
        x = run.features.x
        deviations = one_hot(self.scoring.given, k) - 1.0 / k
        for number, held in enumerate(run.held):
            omega = relative_weights(run.counted(number), len(x))
            spectrum = Spectrum.of(run.features, row_weights=omega)
            basis, unseen = spectrum.basis, x[held] @ spectrum.basis
            given = basis.T @ (x.T @ spectrum.weighted(deviations))
            for one, predicted in found.items():
                mu, t = linear_mu(k, len(x), one.weight_decay), one.rounds
                scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, 1 if one.refine else t)
                targets = given
                if one.refine:
                    teacher = x @ (basis @ (scale[:, None] * given)) + 1.0 / k
                    students = partial_labels(teacher, 2, seed=self.seed) - 1.0 / k
                    targets = basis.T @ (x.T @ spectrum.weighted(students))
                predicted[held] = (unseen @ (scale[:, None] * targets)).argmax(axis=1)
        for setting, predicted in found.items():
            self._add(setting, "theory", predicted)

    def _try_teacher(self, decay: float) -> None:
        """Exact teachers at one weight decay, from those at the nearest one."""
        self.stage(f"exact teachers, weight decay {decay:.2g}")
        near = min(self._teachers, key=lambda d: abs(math.log(d / decay)), default=math.nan)
        targets, start = self.run.one_hot(self.scoring.given), self._teachers.get(near, ())
        self._teachers[decay], _ = self._try_exact(Setting(decay), targets, start)

    def _try_cleaned(self, labels: str) -> None:
        """One exact training on mended labels: at three weight decays, and on where that gains.

        A gain is more than its standard error: at small weight decays each step costs more passes.
        """
        start = self._best_teacher()
        best = self._try_mended(labels, start)
        for step in (1.0 / _STEP, _STEP):
            decay, gains = start, True
            while gains:
                beyond = [d for d in self._teachers if (d - decay) * (step - 1.0) > 0.0]
                decay = min(beyond, key=lambda d: abs(d - decay), default=decay * step)
                trial = self._try_mended(labels, decay)
                gain = self.scoring.difference(trial, best)
                gains = gain.value > gain.standard_error
                best = trial if gains else best

    def _try_mended(self, labels: str, decay: float) -> Trial:
        self.stage(f"{labels}, weight decay {decay:.2g}")
        near = min(self._teachers, key=lambda d: abs(math.log(d / decay)))
        train, shape = self.run.train, (len(self.scoring.given), self.run.n_classes)

        def targets(number: int) -> Targets:
            """Of a fold's own rows, which have no weight, uniform ones."""
            mended, whole = self.cleaned[number].problem(labels)[0], np.zeros(shape)
            whole[train[number]] = target_rows(mended, len(train[number]))[:]
            return Targets(whole)

        def weights(number: int) -> npt.NDArray[np.float64]:
            kept, whole = self.cleaned[number].problem(labels)[1], np.ones(shape[0])
            if kept is not None:
                whole[train[number]] = kept
            return whole

        start = self._teachers[near]
        return self._try_exact(Setting(decay, labels=labels), targets, start, weights)[1]

    def _said(self, weights: np.ndarray) -> npt.NDArray[np.float64]:
        """What a head says of all rows, P − 1/K (N, K)."""
        return softmax_deviations(self.run.features.x @ weights)

    def _try_students(self, decay: float) -> None:
        """Exact rounds at one weight decay while they gain, and the student of the top two."""
        teachers, k = self._teachers[decay], self.run.n_classes
        best, heads = self._trials["exact", Setting(decay)], teachers
        for t in range(2, self.max_rounds + 1):
            self.stage(f"exact students, weight decay {decay:.2g}, round {t}")
            last = heads
            heads, trial = self._try_exact(
                Setting(decay, t), lambda number, last=last: Targets(self._said(last[number])), last
            )
            if trial.accuracy.value <= best.accuracy.value:
                break
            best = trial
        if k == 2:
            return  # half on each of two labels says nothing
        self.stage(f"exact top-2 students, weight decay {decay:.2g}")

        def top_two(number: int) -> Targets:
            teacher = self._said(teachers[number]) + 1.0 / k
            return Targets(partial_labels(teacher, 2, seed=self.seed) - 1.0 / k)

        self._try_exact(Setting(decay, 2, "top2"), top_two, teachers)

    def _try_totals(self) -> None:
        """Exact teachers at the total weight decay of all rounds tried, or within 10 % of it."""
        tried = [s for head, s in self._trials if head == "exact" and s.distils and not s.refine]
        for total in sorted({setting.total_weight_decay for setting in tried}, reverse=True):
            if not any(1 / 1.1 < decay / total < 1.1 for decay in self._teachers):
                self._try_theory([total])
                self._try_teacher(total)

    def _try_exact(
        self,
        setting: Setting,
        targets: Callable[[int], Any],
        start: Sequence[np.ndarray],
        weights: Callable[[int], Any] = lambda number: None,
    ) -> tuple[list[np.ndarray], Trial]:
        """Weights (d, K) of the head of each fold, which alone are kept, and how they fared."""

        def fit(number: int) -> np.ndarray:
            own = product_of_weights(self.run.counted(number), weights(number))
            head = SoftmaxHead(setting.weight_decay, sample_weight=own, tolerance=self.tolerance)
            begin = start[number] if start else None
            found = head.fit(self.run.features, targets(number), start=begin)
            return np.asarray(found.weights)

        heads = self.run.map(fit)
        logits = self.run.held_out(heads)
        return heads, self._add(setting, "exact", logits.argmax(axis=1))

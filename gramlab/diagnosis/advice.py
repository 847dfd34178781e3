"""One sentence of advice out of a closed set, with the numbers it rests on and the runner-up.

The rule leans towards doing less: of the exact settings, the kinds are gone through from least to
most work (leave everything as it is; train once at another weight decay; distil, in rounds or from
the teacher's top two), and the first is advised whose best setting is within one standard error of
the best of all. Standard errors are those of the paired difference on the same rows.

Source: the one-standard-error rule of Breiman et al. (1984), on paired differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gramlab.diagnosis.accuracy import Difference, paired_difference
from gramlab.diagnosis.trial import Setting, Trial

__all__ = ["KINDS", "Advice", "advise", "describe"]

KINDS = ("keep", "raise-weight-decay", "lower-weight-decay", "distil", "top2-student")
"""Every kind of advice there is. The first three mean: do not distil."""

_SAME_DECAY = 1.0 + 1e-9  # weight decays this near are one


@dataclass(frozen=True, eq=False)
class Advice:
    """What to do, and why.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    chosen, reference, best, runner_up : Trial
        The advised exact setting; the one in use (one round at the reference weight decay); the
        best of all; and the best that was not chosen (None if there is no other).
    gain : Difference
        Chosen less reference.
    behind : Difference
        Best less chosen: what the leaning towards less work costs; 0 if they are the same.
    against_runner_up : Difference
        Chosen less runner-up.
    """

    kind: str
    chosen: Trial = field(repr=False)
    reference: Trial = field(repr=False)
    best: Trial = field(repr=False)
    runner_up: Trial | None = field(repr=False)
    gain: Difference
    behind: Difference
    against_runner_up: Difference | None

    @property
    def distils(self) -> bool:
        """Whether the advice is to distil."""
        return self.chosen.setting.distils

    @property
    def sentence(self) -> str:
        """The advice and its evidence."""
        setting, use = self.chosen.setting, self.reference.setting.weight_decay
        decay = f"{setting.weight_decay:.3g}"
        reached = (
            f"estimated held-out accuracy {_percent(self.chosen.accuracy.value)}, "
            f"{_points(self.gain)} over one training at weight decay {use:.3g}"
        )
        if self.kind == "keep":
            words = f"Do not distil: train once at weight decay {decay}"
            reached = f"estimated held-out accuracy {_percent(self.chosen.accuracy.value)}"
        elif self.kind == "raise-weight-decay":
            words = f"Do not distil, raise weight decay instead: train once at {decay}"
        elif self.kind == "lower-weight-decay":
            words = f"Do not distil, lower weight decay instead: train once at {decay}"
        elif self.kind == "distil":
            words = f"Distil: {setting.rounds} rounds at weight decay {decay}"
        else:
            words = f"Train one student on the teacher's two largest labels at weight decay {decay}"
        return f"{words} ({reached}; {self._next()})."

    def _next(self) -> str:
        if self.runner_up is None or self.against_runner_up is None:
            return "nothing else was tried"
        name = describe(self.runner_up.setting)
        value, error = self.against_runner_up
        if value == 0.0:
            return f"runner-up {name}, equal"
        side = "behind" if value > 0.0 else "ahead"
        return f"runner-up {name}, {100 * abs(value):.1f} ± {100 * error:.1f} points {side}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        runner = self.runner_up
        return {
            "kind": self.kind,
            "distil": self.distils,
            "sentence": self.sentence,
            "setting": self.chosen.setting.as_dict(),
            "chosen": self.chosen.as_dict(),
            "reference": self.reference.as_dict(),
            "best": self.best.as_dict(),
            "runner_up": None if runner is None else runner.as_dict(),
            "gain": self.gain._asdict(),
            "behind_best": self.behind._asdict(),
            "against_runner_up": (
                None if self.against_runner_up is None else self.against_runner_up._asdict()
            ),
        }


def advise(trials: Sequence[Trial], reference: float, posterior: np.ndarray) -> Advice:
    """Choose among exact trials by the one-standard-error rule.

    Parameters
    ----------
    trials : sequence of Trial
        From :func:`gramlab.diagnosis.selection.try_settings`; the theory's are not chosen from.
    reference : float
        The weight decay in use; one round at it must be among the trials.
    posterior : np.ndarray of shape (N, K)
        q_i that the trials were scored with.
    """
    exact = [t for t in trials if t.head == "exact"]
    in_use = next(t for t in exact if t.setting == Setting(reference))
    once = [t for t in exact if not t.setting.distils]
    students = [t for t in exact if t.setting.distils]
    best = _best(exact)
    chosen = best
    for group in ([in_use], once, students):
        candidate = _best(group) if group else best
        lost = _difference(best, candidate, posterior)
        if lost.value <= lost.standard_error:
            chosen = candidate
            break
    others = [t for t in exact if t is not chosen]
    runner = _best(others) if others else None
    return Advice(
        kind=_kind(chosen.setting, reference),
        chosen=chosen,
        reference=in_use,
        best=best,
        runner_up=runner,
        gain=_difference(chosen, in_use, posterior),
        behind=_difference(best, chosen, posterior),
        against_runner_up=None if runner is None else _difference(chosen, runner, posterior),
    )


def _difference(first: Trial, second: Trial, posterior: np.ndarray) -> Difference:
    """Estimated accuracy of the first less that of the second, with the paired standard error."""
    paired = paired_difference(first.predicted, second.predicted, posterior)
    return Difference(first.accuracy.value - second.accuracy.value, paired.standard_error)


def describe(setting: Setting) -> str:
    """A setting in words."""
    decay = f"{setting.weight_decay:.3g}"
    if setting.refine:
        return f"top-2 student at {decay}"
    return f"{setting.rounds} round{'s' if setting.distils else ''} at {decay}"


def _best(trials: Sequence[Trial]) -> Trial:
    """The highest estimated accuracy; of equals, the least work and then the larger decay."""
    return max(
        trials,
        key=lambda t: (t.accuracy.value, -t.setting.rounds, t.setting.weight_decay),
    )


def _kind(setting: Setting, reference: float) -> str:
    if setting.refine:
        return "top2-student"
    if setting.distils:
        return "distil"
    ratio = setting.weight_decay / reference
    if ratio > _SAME_DECAY:
        return "raise-weight-decay"
    return "lower-weight-decay" if ratio < 1.0 / _SAME_DECAY else "keep"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(difference: Difference) -> str:
    return f"{100 * difference.value:+.1f} ± {100 * difference.standard_error:.1f} points"

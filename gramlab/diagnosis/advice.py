"""One sentence of advice out of a closed set, with the numbers it rests on and the runner-up.

The rule leans towards doing less: of the exact settings, the kinds are gone through from least to
most work (leave everything as it is; train once at another weight decay; train once on cleaned
labels, whichever of the three ways is best; distil, in rounds or from the teacher's top two), and
the first is advised whose best setting is within one standard error of the best of all. Standard
errors are those of the paired difference on the same rows.

Rounds spend weight decay (docs/proximal.md): where more of it helps, r rounds at λ do much what one
training at r λ does. So rounds are advised only where they beat that one too, by more than a
standard error.

Source: the one-standard-error rule of Breiman et al. (1984), on paired differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gramlab.diagnosis.cleaned import CleanedLabels
from gramlab.diagnosis.trial import LABELS, Score, Scoring, Setting, Trial

__all__ = ["KINDS", "Advice", "RankedSetting", "advise"]

_WORDS = {
    "keep": "Do not distil: train once at weight decay {0}",
    "raise-weight-decay": "Do not distil, raise weight decay instead: train once at {0}",
    "lower-weight-decay": "Do not distil, lower weight decay instead: train once at {0}",
    "drop-suspects": "Do not distil: train again without the {2} suspects, at weight decay {0}",
    "relabel": "Do not distil: train again on the proposed labels, at weight decay {0}",
    "soft-labels": "Do not distil: train again on soft labels, at weight decay {0}",
    "distil": "Distil: {1} rounds at weight decay {0}",
    "top2-student": "Train one student on the teacher's two largest labels at weight decay {0}",
}

KINDS = tuple(_WORDS)
"""Every kind of advice there is. All but the last two mean: do not distil."""


@dataclass(frozen=True, eq=False)
class Advice:
    """What to do, as one of ``KINDS``, and why.

    Exact trials: ``chosen``, the advised one; ``reference``, the one in use (one round at the
    reference weight decay); ``best`` of all; ``runner_up``, the best that was not chosen, if any.
    ``on_given`` is the chosen trial if it trains on the given labels, else the best that does.
    ``at_total`` is one training at the total weight decay of the chosen rounds, or the nearest to
    it that was tried; None where none are advised.
    Differences: ``gain``, chosen less reference; ``behind``, best less chosen, which is what the
    leaning towards less work costs; ``against_runner_up``, chosen less runner-up;
    ``against_total``, chosen less ``at_total``. ``left_out`` rows are not trained on where the
    suspects are dropped.
    """

    kind: str
    chosen: Trial = field(repr=False)
    reference: Trial = field(repr=False)
    best: Trial = field(repr=False)
    runner_up: Trial | None = field(repr=False)
    on_given: Trial = field(repr=False)
    at_total: Trial | None = field(repr=False)
    gain: Score
    behind: Score
    against_runner_up: Score | None
    against_total: Score | None
    left_out: int

    @property
    def distils(self) -> bool:
        """Whether the advice is to distil."""
        return self.chosen.setting.distils

    @property
    def sentence(self) -> str:
        """The advice and its evidence."""
        setting, use = self.chosen.setting, self.reference.setting.weight_decay
        words = f"{setting.weight_decay:.3g}", setting.rounds, self.left_out
        advised = _WORDS[self.kind].format(*words)
        reached = f"estimated held-out accuracy {100 * self.chosen.accuracy.value:.1f} %"
        if self.kind != "keep":
            gain, error = (100 * value for value in self.gain)
            reached += (
                f", {gain:+.1f} ± {error:.1f} points over one training at weight decay {use:.3g}"
            )
        if self.at_total is not None and self.against_total is not None:
            value, error = (100 * value for value in self.against_total)
            tried, total = (
                f"{decay:.3g}"
                for decay in (self.at_total.setting.weight_decay, setting.total_weight_decay)
            )
            at = f"the total {total}" if tried == total else f"{tried}, near the total {total}"
            reached += f", {value:+.1f} ± {error:.1f} over one at {at}"
        runner = "nothing else was tried"
        if self.runner_up is not None and self.against_runner_up is not None:
            value, error = (100 * value for value in self.against_runner_up)
            place = "behind" if value > 0.0 else "ahead"
            points = f"{abs(value):.1f} ± {error:.1f} points {place}" if value else "equal"
            runner = f"runner-up {self.runner_up.setting}, {points}"
        return f"{advised} ({reached}; {runner})."

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        runner, against = self.runner_up, self.against_runner_up
        total, against_total = self.at_total, self.against_total
        return {
            "kind": self.kind,
            "distil": self.distils,
            "sentence": self.sentence,
            "setting": self.chosen.setting.as_dict(),
            "chosen": self.chosen.as_dict(),
            "reference": self.reference.as_dict(),
            "best": self.best.as_dict(),
            "runner_up": runner and runner.as_dict(),
            "at_total": total and total.as_dict(),
            "gain": self.gain._asdict(),
            "behind_best": self.behind._asdict(),
            "against_runner_up": against and against._asdict(),
            "against_total": against_total and against_total._asdict(),
        }


class RankedSetting(NamedTuple):
    """An exact setting, what the theory says of it (None where it was not asked), and its roles.

    Roles in the advice are ``"advised"``, ``"in use"`` and ``"runner-up"``.
    """

    exact: Trial
    theory: Trial | None
    roles: list[str]


def advise(trials: Sequence[Trial], reference: float, scoring: Scoring) -> Advice:
    """Choose among exact trials by the one-standard-error rule.

    Rounds have to beat one training at their total weight decay, or the nearest to it of the
    ``trials``, by more than a standard error too. One round at the ``reference`` weight decay, the
    one in use, must be among them; ``scoring`` is what they were scored by.
    """
    difference = scoring.difference

    def work(setting: Setting) -> tuple[float, ...]:
        return setting.rounds, LABELS.index(setting.labels), -setting.weight_decay

    # The highest estimated accuracy first; of equals, the least work and then the larger decay.
    exact = sorted(
        (t for t in trials if t.head == "exact"),
        key=lambda t: (-t.accuracy.value, *work(t.setting)),
    )
    in_use = next(t for t in exact if t.setting == Setting(reference))
    trainings = [t for t in exact if not (t.setting.distils or t.setting.cleaned)]
    mended = next((t for t in exact if t.setting.cleaned), None)
    best, once, at_total = exact[0], trainings[0], None
    if best.setting.distils and not best.setting.refine:
        total = best.setting.total_weight_decay
        at_total = min(trainings, key=lambda t: abs(math.log(t.setting.weight_decay / total)))
    steps = (in_use, once, at_total, mended, best)
    for chosen in (one for one in steps if one is not None):
        behind = difference(best, chosen)
        if behind.value <= behind.standard_error:
            break
    runner = next((t for t in exact if t is not chosen), None)
    at_total = at_total if chosen is best else None
    return Advice(
        kind=_kind(chosen.setting, reference),
        chosen=chosen,
        reference=in_use,
        best=best,
        runner_up=runner,
        on_given=next(t for t in (chosen, *exact) if not t.setting.cleaned),
        at_total=at_total,
        gain=difference(chosen, in_use),
        behind=behind,
        against_runner_up=runner and difference(chosen, runner),
        against_total=at_total and difference(chosen, at_total),
        left_out=int((~CleanedLabels(scoring.given, scoring.posterior).kept).sum()),
    )


def _kind(setting: Setting, reference: float) -> str:
    if setting.cleaned:
        return setting.labels
    if setting.distils:
        return "top2-student" if setting.refine else "distil"
    ratio = setting.weight_decay / reference
    if ratio > 1.0 + 1e-9:  # weight decays nearer than this are one
        return "raise-weight-decay"
    return "lower-weight-decay" if ratio < 1.0 - 1e-9 else "keep"

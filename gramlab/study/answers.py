"""What a study's rows answer: paired differences over seeds, and only where seeds separate.

Heads of one seed share their draw of noisy labels, so their difference says more than their two
means. Its mean over seeds comes with a t-interval, and a verdict is "higher" or "lower" only where
the interval excludes 0. The intervals are one at a time: of many at 95 %, some are wrong.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from scipy.special import stdtrit

from gramlab.errors import InvalidSetting
from gramlab.study.rows import PLL, TEACHER, Column, Group, Row, groups
from gramlab.study.tables import markdown_table

__all__ = [
    "Difference",
    "Threshold",
    "Trend",
    "answers_markdown",
    "best_round",
    "differences",
    "paired_difference",
    "study_answers",
    "thresholds",
    "thresholds_markdown",
    "trends",
]


@dataclass(frozen=True)
class Difference:
    """One measure of one column minus that of another, paired by seed.

    Attributes
    ----------
    setting
        Features, preparation, noise and weight decay.
    rate
        Of label noise.
    first, second
        What is compared: first minus second.
    measure
        Which measure.
    seeds
        Those that both have.
    unpaired
        Those that only one has; they do not count.
    mean, low, high
        Of the difference, with its t-interval; the ends are None with fewer than two seeds, and at
        rate 0, where no label is drawn and all seeds say the same.
    verdict
        ``"higher"``, ``"lower"`` or ``"not separated"``.
    """

    setting: Mapping[str, str]
    rate: float
    first: str
    second: str
    measure: str
    seeds: tuple[int, ...]
    unpaired: tuple[int, ...]
    mean: float
    low: float | None
    high: float | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**self.setting, **{k: v for k, v in vars(self).items() if k != "setting"}}


@dataclass(frozen=True)
class Trend:
    """How a measure moves from round to round at one rate.

    Attributes
    ----------
    setting, rate, measure
        As of ``Difference``.
    steps
        Round t + 1 minus round t, for t = 1, 2, ….
    best_round
        With the largest mean over seeds; the first of equals.
    shape
        Of the separated steps: ``"rises"``, ``"falls"``, ``"rises, then falls"``, ``"falls, then
        rises"``, ``"turns more than once"``, or ``"not separated"``.
    """

    setting: Mapping[str, str]
    rate: float
    measure: str
    steps: tuple[Difference, ...]
    best_round: int
    shape: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain = {**self.setting, "rate": self.rate, "measure": self.measure}
        plain |= {"best_round": self.best_round, "shape": self.shape}
        return plain | {"steps": [step.as_dict() for step in self.steps]}


@dataclass(frozen=True)
class Threshold:
    """The least teacher with which a partial-label student beats plain distillation.

    Attributes
    ----------
    features, preparation, noise
        Over all rates and weight decays of these.
    student, against
        The student, and what it is to beat.
    quantity
        Of the teacher: ``test_accuracy``, ``label_recovery`` or ``top_two_coverage``.
    least
        Its smallest value among settings where the student is higher; None if there are none.
    greatest_without
        Its largest value among the other settings; None if there are none.
    higher, lower, not_separated
        Counts of settings.
    """

    features: str
    preparation: str
    noise: str
    student: str
    against: str
    quantity: str
    least: float | None
    greatest_without: float | None
    higher: int
    lower: int
    not_separated: int

    @property
    def separates(self) -> bool:
        """Whether the quantity alone tells the settings with a gain from those without."""
        if self.least is None or self.greatest_without is None:
            return False
        return self.least > self.greatest_without

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "separates": self.separates}


def paired_difference(
    group: Group,
    rate: float,
    first: Column,
    second: Column,
    *,
    measure: str = "test_accuracy",
    confidence: float = 0.95,
    second_name: str | None = None,
) -> Difference | None:
    """First minus second at one rate, by seeds that both have; None if there are none.

    Raises
    ------
    InvalidSetting
        If ``confidence`` is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise InvalidSetting(f"confidence must be in (0, 1), got {confidence!r}: 0.95 is usual")
    one, other = (group.values(column, rate, measure) for column in (first, second))
    seeds = tuple(seed for seed in one if seed in other)
    if not seeds:
        return None
    gaps = [one[seed] - other[seed] for seed in seeds]
    mean, low, high, verdict = statistics.fmean(gaps), None, None, "not separated"
    if len(gaps) > 1 and rate > 0.0:  # without noise all seeds are one draw
        error = statistics.stdev(gaps) / math.sqrt(len(gaps))
        reach = float(stdtrit(len(gaps) - 1, 0.5 + 0.5 * confidence)) * error
        low, high = mean - reach, mean + reach
        verdict = "higher" if low > 0.0 else "lower" if high < 0.0 else verdict
    return Difference(
        setting=group.setting(),
        rate=rate,
        first=first.label,
        second=second_name or second.label,
        measure=measure,
        seeds=seeds,
        unpaired=tuple(sorted(set(one) ^ set(other))),
        mean=mean,
        low=low,
        high=high,
        verdict=verdict,
    )


def differences(
    rows: Sequence[Row], *, measure: str = "test_accuracy", confidence: float = 0.95
) -> list[Difference]:
    """The comparisons that the study is asked for, by group and rate.

    Every later round against the teacher; the partial-label students, the mixture and tuned heads
    against the teacher, the last round and the best round; tuned heads against the partial-label
    students; published runs against the exact teacher. The best round is the one with the largest
    mean over seeds of this very measure, which favours the rounds.
    """
    options: dict[str, Any] = {"measure": measure, "confidence": confidence}
    found = [
        paired_difference(group, rate, first, second, second_name=name, **options)
        for group, rate in _by_rate(rows)
        for first, second, name in _comparisons(group, rate, measure)
    ]
    return [difference for difference in found if difference is not None]


def trends(
    rows: Sequence[Row], *, measure: str = "test_accuracy", confidence: float = 0.95
) -> list[Trend]:
    """Where a measure rises or falls from round to round, by group and rate."""
    options: dict[str, Any] = {"measure": measure, "confidence": confidence}
    found = []
    for group, rate in _by_rate(rows):
        pairs = pairwise(group.rounds)
        steps = [paired_difference(group, rate, late, early, **options) for early, late in pairs]
        known = tuple(step for step in steps if step is not None)
        best = best_round(group, rate, measure)
        if known and best is not None:
            shape = _shape([step.verdict for step in known])
            found.append(Trend(group.setting(), rate, measure, known, best.round or 0, shape))
    return found


def thresholds(rows: Sequence[Row], *, confidence: float = 0.95) -> list[Threshold]:
    """The least teacher with which each partial-label student beats the last, and the best, round.

    The student wins where its test accuracy is higher with separated seeds. The teacher is
    measured three ways: test accuracy, label recovery, and the share of training rows with the
    true label among its two largest.
    """
    seen: dict[tuple[str, str, str, str, str, str], list[tuple[float, str]]] = {}
    for group, rate in _by_rate(rows):
        for student, against, name in _rivals(group, rate):
            gap = paired_difference(group, rate, student, against, confidence=confidence)
            for quantity in ("test_accuracy", "label_recovery", "top_two_coverage"):
                values = group.values(TEACHER, rate, quantity)
                if gap is not None and values:
                    where = (group.features, group.preparation, group.noise)
                    points = seen.setdefault((*where, student.label, name, quantity), [])
                    points.append((statistics.fmean(values.values()), gap.verdict))
    found = []
    for key, points in seen.items():
        wins = [value for value, verdict in points if verdict == "higher"]
        rest = [value for value, verdict in points if verdict != "higher"]
        lower = sum(verdict == "lower" for _, verdict in points)
        least, greatest = min(wins, default=None), max(rest, default=None)
        found.append(Threshold(*key, least, greatest, len(wins), lower, len(rest) - lower))
    return found


def best_round(group: Group, rate: float, measure: str = "test_accuracy") -> Column | None:
    """The round with the largest mean over seeds; the first of equals, None where none is known."""
    means = {
        column: statistics.fmean(values.values())
        for column in group.rounds
        if (values := group.values(column, rate, measure))
    }
    return max(means, key=lambda column: means[column], default=None)


def study_answers(rows: Sequence[Row], *, confidence: float = 0.95) -> dict[str, Any]:
    """All answers as plain data: ``differences``, ``trends``, ``thresholds``, ``confidence``."""
    return {
        "confidence": confidence,
        "differences": [d.as_dict() for d in differences(rows, confidence=confidence)],
        "trends": [t.as_dict() for t in trends(rows, confidence=confidence)],
        "thresholds": [t.as_dict() for t in thresholds(rows, confidence=confidence)],
    }


def answers_markdown(rows: Sequence[Row], *, confidence: float = 0.95) -> str:
    """All answers as Markdown."""
    parts = [
        f"Differences in percentage points, mean over seeds with a {100 * confidence:g} % "
        "t-interval, one at a time.",
    ]
    found = differences(rows, confidence=confidence)
    for title, same in groupby(found, key=lambda difference: _title(difference.setting)):
        heads = ["rate", "difference", "mean", "interval", "seeds", "verdict"]
        lines = []
        for d in same:
            interval = "—"
            if d.low is not None and d.high is not None:
                interval = f"{_points(d.low)} … {_points(d.high)}"
            seeds = f"{len(d.seeds)}" + f" ({len(d.unpaired)} unpaired)" * bool(d.unpaired)
            what = f"{d.first} − {d.second}"
            lines.append([f"{d.rate:g}", what, _points(d.mean), interval, seeds, d.verdict])
        align = ["---:", "---", "---:", "---", "---:", "---"]
        parts += [f"**{title}**", markdown_table(heads, lines, align)]
    lines = [
        [_title(t.setting), f"{t.rate:g}", t.shape, f"{t.best_round}"]
        for t in trends(rows, confidence=confidence)
    ]
    heads, align = ["setting", "rate", "shape", "best round"], ["---", "---:", "---", "---:"]
    parts += ["Test accuracy by round.", markdown_table(heads, lines, align)]
    return "\n\n".join([*parts, thresholds_markdown(rows, confidence=confidence)])


def thresholds_markdown(rows: Sequence[Row], *, confidence: float = 0.95) -> str:
    """``thresholds`` by features, noise, student and rival: a Markdown table."""
    intro = (
        "The least teacher with which a partial-label student wins, and the greatest with which it "
        "does not, by the teacher's test accuracy and by the share of training rows with the true "
        "label among its two largest; over the rates of each noise."
    )
    heads = [
        *("features", "noise", "student", "against", "accuracy: least with, greatest without"),
        "coverage: least with, greatest without",
        "rates higher / lower / not separated",
    ]
    told: dict[tuple[str, ...], dict[str, Threshold]] = {}
    for t in thresholds(rows, confidence=confidence):
        where = ", ".join(part for part in (t.features, t.preparation) if part)
        told.setdefault((where, t.noise, t.student, t.against), {})[t.quantity] = t
    lines = []
    for where, found in told.items():
        first = next(iter(found.values()))
        shares = [
            f"{_share(found[name].least)}, {_share(found[name].greatest_without)}"
            if name in found
            else "—"
            for name in ("test_accuracy", "top_two_coverage")
        ]
        counts = f"{first.higher} / {first.lower} / {first.not_separated}"
        lines.append([*where, *shares, counts])
    return f"{intro}\n\n{markdown_table(heads, lines, ['---'] * 4 + ['---:'] * 3)}\n"


def _by_rate(rows: Sequence[Row]) -> Iterator[tuple[Group, float]]:
    return ((group, rate) for group in groups(rows) for rate in group.rates)


def _comparisons(
    group: Group, rate: float, measure: str
) -> list[tuple[Column, Column, str | None]]:
    best, rounds = best_round(group, rate, measure), list(group.rounds)
    pairs: list[tuple[Column, Column, str | None]] = [(t, TEACHER, None) for t in rounds[1:]]
    students = [c for c in group.columns if c.method in (*PLL, "mixture", "tuned")]
    for student in students:
        pairs.append((student, TEACHER, None))
        if len(rounds) > 1:
            pairs.append((student, rounds[-1], None))
        if best is not None and best not in (TEACHER, rounds[-1]):
            pairs.append((student, best, f"best round ({best.round})"))
        if student.method == "tuned":
            pairs += [(student, other, None) for other in students if other.method in PLL]
    pairs += [(c, TEACHER, None) for c in group.columns if c.method == "published"]
    baseline = Column("ablation", None, ("given", "ce", "zero"))
    parts = [c for c in group.columns if c.method == "ablation" and c != baseline]
    return pairs + [(part, baseline, None) for part in parts]


def _rivals(group: Group, rate: float) -> list[tuple[Column, Column, str]]:
    """Partial-label students, with the last round and the best round to beat."""
    best = best_round(group, rate)
    if best is None or len(group.rounds) < 2:
        return []
    rivals = ((group.rounds[-1], "last round"), (best, "best round"))
    students = [column for column in group.columns if column.method in PLL]
    return [(student, rival, name) for student in students for rival, name in rivals]


def _shape(verdicts: Sequence[str]) -> str:
    """Directions of the separated steps, runs of equal ones taken together."""
    runs = [verdict for verdict, _ in groupby(v for v in verdicts if v != "not separated")]
    if len(runs) > 2:
        return "turns more than once"
    words = ["rises" if run == "higher" else "falls" for run in runs]
    return ", then ".join(words) or "not separated"


def _title(setting: Mapping[str, str]) -> str:
    return Group(*setting.values(), rows={}).title


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−")


def _share(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f} %"

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
from itertools import groupby, pairwise, product
from typing import Any

from scipy.special import stdtrit

from gramlab.errors import InvalidSetting
from gramlab.study.rows import PLL, TEACHER, Column, Group, Row, groups
from gramlab.study.tables import markdown_table

__all__ = [
    "Answer",
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


class Answer:
    """What every answer can be told as."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the fields in order, those of a setting in the setting's place."""
        fields = dict(vars(self))
        if "steps" in fields:
            fields["steps"] = [step.as_dict() for step in fields["steps"]]
        return {**fields.pop("setting", {}), **fields}


@dataclass(frozen=True)
class Difference(Answer):
    """One measure of one column minus that of another at one rate of noise, paired by seed.

    ``setting`` is features, preparation, noise and weight decay. Seeds that only one of the two
    has are ``unpaired`` and do not count. ``low`` and ``high`` are the ends of the t-interval of
    the mean: None with fewer than two seeds, and at rate 0, where no label is drawn and all seeds
    say the same. The verdict is ``"higher"``, ``"lower"`` or ``"not separated"``.
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


@dataclass(frozen=True)
class Trend(Answer):
    """How a measure moves from round to round at one rate.

    ``best_round`` has the largest mean over seeds (the first of equals). ``steps`` are round t + 1
    minus round t, for t = 1, 2, …, and ``shape`` is that of the separated ones: ``"rises"``,
    ``"falls"``, ``"rises, then falls"``, ``"falls, then rises"``, ``"turns more than once"``, or
    ``"not separated"``.
    """

    setting: Mapping[str, str]
    rate: float
    measure: str
    best_round: int
    shape: str
    steps: tuple[Difference, ...]


@dataclass(frozen=True)
class Threshold(Answer):
    """The least teacher with which a partial-label student beats plain distillation.

    Over all rates and weight decays of one noise. The ``quantity`` is the teacher's
    ``test_accuracy``, ``label_recovery`` or ``top_two_coverage``; ``least`` is its smallest value
    among settings where the student is higher, ``greatest_without`` its largest among the others
    (None if there are none), and it ``separates`` if it alone tells these from those. ``higher``,
    ``lower`` and ``not_separated`` count settings.
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
    separates: bool


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
    names, unpaired = (first.label, second_name or second.label), sorted(one.keys() ^ other.keys())
    interval = (mean, low, high, verdict)
    return Difference(group.setting(), rate, *names, measure, seeds, tuple(unpaired), *interval)


def differences(
    rows: Sequence[Row], *, measure: str = "test_accuracy", confidence: float = 0.95
) -> list[Difference]:
    """The comparisons that the study is asked for, by group and rate.

    Every later round against the teacher; the partial-label students, the mixture and tuned heads
    against the teacher, the last round and the best round; tuned heads against the partial-label
    students; published runs against the exact teacher. The best round is the one with the largest
    mean over seeds of this very measure, which favours the rounds.
    """
    asked: dict[str, Any] = {"measure": measure, "confidence": confidence}
    found = (
        paired_difference(group, rate, first, second, second_name=name, **asked)
        for group, rate in _by_rate(rows)
        for first, second, name in _comparisons(group, rate, measure)
    )
    return list(filter(None, found))


def trends(
    rows: Sequence[Row], *, measure: str = "test_accuracy", confidence: float = 0.95
) -> list[Trend]:
    """Where a measure rises or falls from round to round, by group and rate."""
    asked: dict[str, Any] = {"measure": measure, "confidence": confidence}
    found = []
    for group, rate in _by_rate(rows):
        pairs = pairwise(group.rounds)
        steps = (paired_difference(group, rate, late, early, **asked) for early, late in pairs)
        known, best = tuple(filter(None, steps)), best_round(group, rate, measure)
        if known and best is not None:
            shape = _shape([step.verdict for step in known])
            found.append(Trend(group.setting(), rate, measure, best.round or 0, shape, known))
    return found


def thresholds(rows: Sequence[Row], *, confidence: float = 0.95) -> list[Threshold]:
    """The least teacher with which each partial-label student beats the last, and the best, round.

    The student wins where its test accuracy is higher with separated seeds. The teacher is
    measured three ways: test accuracy, label recovery, and the share of training rows with the
    true label among its two largest.
    """
    seen: dict[tuple[str, str, str, str, str, str], list[tuple[float, str]]] = {}
    for group, rate in _by_rate(rows):
        students = [column for column in group.columns if column.method in PLL]
        best, rounds = best_round(group, rate), list(group.rounds)
        rivals = {"last round": rounds[-1], "best round": best} if best and rounds[1:] else {}
        for student, (name, rival) in product(students, rivals.items()):
            gap = paired_difference(group, rate, student, rival, confidence=confidence)
            for quantity in ("test_accuracy", "label_recovery", "top_two_coverage"):
                value = group.mean(TEACHER, rate, quantity)
                if gap is not None and value is not None:
                    key = (group.features, group.preparation, group.noise, student.label, name)
                    seen.setdefault((*key, quantity), []).append((value, gap.verdict))
    found = []
    for key, points in seen.items():
        wins = [value for value, verdict in points if verdict == "higher"]
        rest = [value for value, verdict in points if verdict != "higher"]
        lower = sum(verdict == "lower" for _, verdict in points)
        least, greatest = min(wins, default=None), max(rest, default=None)
        separates = least is not None and greatest is not None and least > greatest
        counts = (len(wins), lower, len(rest) - lower)
        found.append(Threshold(*key, least, greatest, *counts, separates))
    return found


def best_round(group: Group, rate: float, measure: str = "test_accuracy") -> Column | None:
    """The round with the largest mean over seeds; the first of equals, None where none is known."""
    means = {column: group.mean(column, rate, measure) for column in group.rounds}
    known = {column: mean for column, mean in means.items() if mean is not None}
    return max(known, key=lambda column: known[column], default=None)


def study_answers(rows: Sequence[Row], *, confidence: float = 0.95) -> dict[str, Any]:
    """All answers as plain data: ``differences``, ``trends``, ``thresholds``, ``confidence``."""
    kinds = {"differences": differences, "trends": trends, "thresholds": thresholds}
    return {"confidence": confidence} | {
        kind: [answer.as_dict() for answer in found(rows, confidence=confidence)]
        for kind, found in kinds.items()
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
    told: dict[tuple[str, ...], dict[str, str]] = {}
    for t in thresholds(rows, confidence=confidence):
        where = ", ".join(part for part in (t.features, t.preparation) if part)
        line = told.setdefault((where, t.noise, t.student, t.against), {})
        line[t.quantity] = f"{_share(t.least)}, {_share(t.greatest_without)}"
        line.setdefault("counts", f"{t.higher} / {t.lower} / {t.not_separated}")
    columns = ("test_accuracy", "top_two_coverage", "counts")
    lines = [[*where, *(line.get(name, "—") for name in columns)] for where, line in told.items()]
    return f"{intro}\n\n{markdown_table(heads, lines, ['---'] * 4 + ['---:'] * 3)}\n"


def _by_rate(rows: Sequence[Row]) -> Iterator[tuple[Group, float]]:
    return ((group, rate) for group in groups(rows) for rate in group.rates)


def _comparisons(
    group: Group, rate: float, measure: str
) -> list[tuple[Column, Column, str | None]]:
    """What is compared with what, and what the latter is called if not by its label."""
    best, rounds = best_round(group, rate, measure), list(group.rounds)
    rivals: list[tuple[Column, str | None]] = [(TEACHER, None)]
    rivals += [(rounds[-1], None)] if len(rounds) > 1 else []
    if best is not None and best not in (TEACHER, rounds[-1]):
        rivals.append((best, f"best round ({best.round})"))
    students = [c for c in group.columns if c.method in (*PLL, "mixture", "tuned")]
    pairs: list[tuple[Column, Column, str | None]] = [(t, TEACHER, None) for t in rounds[1:]]
    for student in students:
        pairs += [(student, *rival) for rival in rivals]
        if student.method == "tuned":
            pairs += [(student, other, None) for other in students if other.method in PLL]
    baseline = Column("ablation", None, ("given", "ce", "zero"))
    against = {"published": TEACHER, "ablation": baseline}
    for method, rival in against.items():
        parts = [c for c in group.columns if c.method == method and c != rival]
        pairs += [(part, rival, None) for part in parts]
    return pairs


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

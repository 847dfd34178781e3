"""One self-contained HTML page about a ``gramlab check``: findings, tables, figures, provenance.

The page loads nothing: figures are inline PNG, the style is inline, there is no script, and its
content security policy forbids the rest. Equal results give equal pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gramlab.check import CheckResult
from gramlab.figures import GramDisplay, check_displays
from gramlab.figures.averaging import when_leading
from gramlab.figures.by_round import certified_peak
from gramlab.report.page import SPACE, command, percent, pictures, render

if TYPE_CHECKING:
    from gramlab.figures import Display

__all__ = ["check_report", "headline"]


def check_report(
    result: CheckResult,
    figures: Mapping[str, Display] | None = None,
    pngs: Mapping[str, bytes] | None = None,
) -> str:
    """Write the report of ``gramlab check`` as one HTML page; all text from the data is escaped.

    Parameters
    ----------
    result
        What was found.
    figures
        ``check_displays(result)``, if drawn already.
    pngs
        What ``figure_png`` makes of them, if made already: that takes longer than all else here.
    """
    found = result.as_dict()
    source = str(found["provenance"]["features"]["source"])
    always, never = ["weight_decay", "rounds", "seed"], ["noise", "rate"]
    if result.settings.noise_matrix is None:
        always, never = [*never, *always], []
    heads = [(f"round {row['round']}", row["exact"]["solver"]) for row in found["rounds"]]
    displays = check_displays(result) if figures is None else figures
    gram = displays["gram_heatmap"]
    heads.append(("partial-label student", found["partial_label_student"]["exact"]["solver"]))
    return render(
        "check.html.j2",
        found=found,
        headline=headline(found),
        source=source,
        features=result.features,
        command=command("check", source, result.settings, always, never),
        figures=pictures(displays, pngs),
        diverging=isinstance(gram, GramDisplay) and gram.diverging,
        leads=when_leading(result.dynamics("exact")),
        heads=heads,
    )


def headline(found: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what ``CheckResult.as_dict()`` holds, no more than it certifies."""
    settings, n, rounds = found["settings"], found["data"]["n_samples"], found["rounds"]
    ends = (rounds[0], rounds[-1])
    several, last = len(rounds) > 1, ends[1]["round"]
    recovery = [percent(row["exact"]["label_recovery"]) for row in ends]
    theory = [percent(row["linearized"]["label_recovery"]) for row in ends]
    test = [row["exact"]["test_accuracy"] for row in ends]
    noise = "Without added noise"
    if settings["rate"] > 0:
        noise = (
            f"At {100 * settings['rate']:.6g}{SPACE}% {settings['noise']} noise "
            f"({percent(found['data']['realized_rate'])} of the labels drawn wrong)"
        )
    sentences = [
        f"{noise}, the exact teacher recovers {recovery[0]} of the true training labels; the "
        f"linearized theory predicts {theory[0]}."
    ]
    if several:
        again = " again" if theory[0] == theory[1] else ""
        sentences += [_trend(*ends, n), *_peak(rounds), f"The theory ends at {theory[1]}{again}."]
    if None not in test:
        after = f", {percent(test[1])} at round {last}" if several else ""
        sentences.append(
            f"Measured test accuracy of the exact head: {percent(test[0])} at round 1{after}."
        )
    least = n - max(round(row["certified"]["undecided"] * n) for row in rounds)
    rows = f"all {n}" if least == n else f"{least} of the {n}"
    about = "the class that exact rounds from the given labels reach"
    if settings["certify"] == "round" or not several:
        about = "the exact optimum's class"
    if several:
        sentences.append(f"{found['equivalent']['sentence']}, certified.")
        at_least = "" if least == n else "at least "
        sentences.append(f"In every round {about} is certified on {at_least}{rows} training rows.")
    else:
        sentences.append(f"T{about[1:]} is certified on {rows} training rows.")
    return sentences


def _peak(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on the most that was recovered, if that is at neither end of the rounds."""
    recovery = [row["exact"]["label_recovery"] for row in rounds]
    best = max(recovery)
    if best in (recovery[0], recovery[-1]):
        return []
    found = [row["certified"] for row in rounds]
    peak = certified_peak([(one["right"], one["right"] + one["undecided"]) for one in found])
    if peak is None:
        words = "which round has the most is not certified"
        return [f"Between, up to {percent(best)} is measured; {words}."]
    return [f"Between, it is {percent(best)} at round {peak}, the most (certified)."]


def _trend(first: Mapping[str, Any], last: Mapping[str, Any], n: int) -> str:
    """Rise, fall, or what the certificates cannot tell apart, between the first and last round."""
    (low, high), (last_low, last_high) = (
        (round(right * n), round((right + undecided) * n))
        for right, undecided in (
            (row["certified"]["right"], row["certified"]["undecided"]) for row in (first, last)
        )
    )
    share = last["exact"]["label_recovery"]
    before, now = (round(row["exact"]["label_recovery"] * n) for row in (first, last))
    rows = f"{percent(share)} ({before} to {now} of {n} rows"
    after = f"After {last['round']} rounds the exact heads' label recovery"
    if last_low > high:
        return f"{after} has risen to {rows}; certified)."
    if last_high < low:
        return f"{after} has fallen to {rows}; certified)."
    if low == high == last_low == last_high:
        return f"{after} is the same, {before} of {n} rows (certified)."
    return (
        f"{after} is {rows}), which the certificates cannot tell from no change: they leave {low} "
        f"to {high} rows at round 1 and {last_low} to {last_high} at round {last['round']}."
    )

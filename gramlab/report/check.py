"""One self-contained HTML page about a ``gramlab check``: findings, tables, figures, provenance.

The page loads nothing: figures are inline PNG, the style is inline, there is no script, and its
content security policy forbids the rest. Equal results give equal pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gramlab.check import CheckResult
from gramlab.figures import check_figures, crossing_round
from gramlab.report.page import SPACE, command, percent, pictures, render

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["check_report", "headline"]


def check_report(
    result: CheckResult,
    figures: Mapping[str, Figure] | None = None,
    pngs: Mapping[str, bytes] | None = None,
) -> str:
    """Write the report of ``gramlab check`` as one HTML page.

    Parameters
    ----------
    result
        What was found.
    figures
        ``check_figures(result)``, if drawn already.
    pngs
        What ``figure_png`` makes of them, if made already: that takes longer than all else here.

    Returns
    -------
    str
        The page; all text from the data is escaped.
    """
    found = result.as_dict()
    source = str(found["provenance"]["features"]["source"])
    always = ("noise", "rate", "weight_decay", "rounds", "seed")
    return render(
        "check.html.j2",
        found=found,
        headline=headline(found),
        source=source,
        features=result.features,
        command=command("check", source, result.settings, always),
        figures=pictures(check_figures(result) if figures is None else figures, pngs),
        crossing=crossing_round(result.dynamics("exact")),
        unconverged=_unconverged(found),
    )


def headline(found: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what a check found, no more than it certifies.

    Parameters
    ----------
    found
        ``CheckResult.as_dict()``.
    """
    settings, data, rounds = found["settings"], found["data"], found["rounds"]
    first, last = rounds[0], rounds[-1]
    start = first["exact"]["label_recovery"]
    noise = "Without added noise"
    if settings["rate"] > 0:
        noise = (
            f"At {100 * settings['rate']:.6g}{SPACE}% {settings['noise']} noise "
            f"({percent(data['realized_rate'])} of the labels drawn wrong)"
        )
    sentences = [
        f"{noise}, the exact teacher recovers {percent(start)} of the true training labels; the "
        f"linearized theory predicts {percent(first['linearized']['label_recovery'])}."
    ]
    if len(rounds) > 1:
        sentences.append(_trend(first, last, data["n_samples"]))
        theory = [percent(row["linearized"]["label_recovery"]) for row in (first, last)]
        again = " again" if theory[0] == theory[1] else ""
        sentences.append(f"The theory ends at {theory[1]}{again}.")
    test = [row["exact"]["test_accuracy"] for row in (first, last)]
    if None not in test:
        sentences.append(
            f"Measured test accuracy of the exact head: {percent(test[0])} at round 1"
            + (f", {percent(test[1])} at round {last['round']}." if len(rounds) > 1 else ".")
        )
    n = data["n_samples"]
    least = n - max(round(row["certified"]["undecided"] * n) for row in rounds)
    rows = f"all {n}" if least == n else f"{least} of the {n}"
    about = "the class that exact rounds from the given labels reach"
    if settings["certify"] == "round" or len(rounds) == 1:
        about = "the exact optimum's class"
    sentences.append(
        f"{about[0].upper()}{about[1:]} is certified on {rows} training rows."
        if len(rounds) == 1
        else f"In every round {about} is certified on "
        f"{'' if least == n else 'at least '}{rows} training rows."
    )
    return sentences


def _trend(first: Mapping[str, Any], last: Mapping[str, Any], n: int) -> str:
    """Rise, fall, or what the certificates cannot tell apart, between the first and last round."""
    ends = []
    for row in (first, last):
        right, undecided = row["certified"]["right"], row["certified"]["undecided"]
        ends.append((round(right * n), round((right + undecided) * n)))
    (low, high), (last_low, last_high) = ends
    share = [row["exact"]["label_recovery"] for row in (first, last)]
    found = [round(value * n) for value in share]
    rows = f"{found[0]} to {found[1]} of {n} rows"
    after = f"After {last['round']} rounds the exact heads' label recovery"
    if last_low > high:
        return f"{after} has risen to {percent(share[1])} ({rows}; certified)."
    if last_high < low:
        return f"{after} has fallen to {percent(share[1])} ({rows}; certified)."
    if low == high == last_low == last_high:
        return f"{after} is the same, {found[0]} of {n} rows (certified)."
    return (
        f"{after} is {percent(share[1])} ({rows}), which the certificates cannot tell from no "
        f"change: they leave {low} to {high} rows at round 1 and {last_low} to {last_high} at "
        f"round {last['round']}."
    )


def _unconverged(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Heads that did not reach what was asked, with the solver's reason and remedy."""
    heads = [(f"round {row['round']}", row["exact"]["solver"]) for row in found["rounds"]]
    heads.append(("partial-label student", found["partial_label_student"]["exact"]["solver"]))
    return [
        (name, solver["message"] or solver["result"])
        for name, solver in heads
        if solver["result"] != "converged"
    ]

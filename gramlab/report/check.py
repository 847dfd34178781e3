"""One self-contained HTML page about a ``gramlab check``: findings, tables, figures, provenance.

The page loads nothing: figures are inline PNG, the style is inline, there is no script, and its
content security policy forbids the rest. Equal results give equal pages.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gramlab.check import CheckResult, CheckSettings
from gramlab.figures import check_figures, crossing_round
from gramlab.figures.style import at_most
from gramlab.report.page import SPACE, number, percent, picture, render

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["check_report", "headline"]

_NAMED_CLASSES = 25


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
    drawn = check_figures(result) if figures is None else figures
    texts = _figure_texts(result, found)
    made = pngs or {}
    pictures = [
        picture(figure, made.get(stem), stem, *texts[stem]) for stem, figure in drawn.items()
    ]
    return render(
        "check.html.j2",
        found=found,
        headline=headline(found),
        source=str(found["provenance"]["features"]["source"]),
        names=result.features.class_names[:_NAMED_CLASSES],
        counts=(int(result.features.class_counts.min()), int(result.features.class_counts.max())),
        command=_command(result),
        figures=pictures,
        angles=found["spectrum"]["class_angles_degrees"],
        unconverged=_unconverged(found),
        recursion_failures=[
            row["round"] for row in found["rounds"] if not row["error_recursion"]["holds"]
        ],
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


def _figure_texts(result: CheckResult, found: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Heading, alternative text (the finding) and caption (how to read it) of each figure."""
    rounds, spectrum, k = found["rounds"], found["spectrum"], found["data"]["n_classes"]
    last, gap = rounds[-1], spectrum["gap"]
    correlations = spectrum["correlations"]
    student = found["partial_label_student"]["exact"]
    worst = max(row["distance"]["max_abs"] for row in rounds)
    return {
        "eigenvalue_gap": (
            "Eigenvalues of the Gram matrix and the filter",
            f"Eigenvalues of G on a log axis against their rank. The gap after eigenvalue "
            f"{gap['after']} is {number(gap['value'])}, certified to "
            f"{at_most(gap['error_at_most'])}.",
            "Top: the first K eigenvalues in orange, the rest in blue; those below the certified "
            "error cannot be told from zero. Bottom: one round multiplies each direction by "
            "h(s) = s/(s + μ), so directions with eigenvalues far below μ = KNλ are averaged "
            "away, and more rounds move the edge to the left.",
        ),
        "gram_heatmap": (
            "Gram matrix, ordered by class",
            f"Heat map of cosines between training rows ordered by class. Over all pairs, the "
            f"mean cosine is {number(correlations['within']['mean'])} inside a class and "
            f"{number(correlations['between']['mean'])} "
            + ("between superclasses." if correlations["superclass"] else "between classes."),
            "Each pixel is the cosine of two rows, taken evenly from the classes. Bright or red "
            "blocks on the diagonal are classes that hold together; off-diagonal blocks show "
            "which classes are close. The colours span the middle 99 % of the cosines.",
        ),
        "label_averaging": (
            "Label averaging by round",
            _averaging_alt(result),
            "Top: predictions averaged inside each class and then over classes, for rows with a "
            "clean and rows with a wrong given label. Bottom: how much the theory's prediction "
            "of a row takes from its own given label, from the other rows of its true class, and "
            "from all others; negative weights subtract.",
        ),
        "error_by_round": (
            "Theory against exact heads",
            f"By round, the largest difference of a theory and an exact prediction is at most "
            f"{worst:.3g}; at round {last['round']} they name another class on "
            f"{percent(1 - last['argmax_agreement'])} of the rows.",
            "Top: distance of the two prediction matrices. Middle: share of rows on which the "
            "theory names another class than the exact head, and the part of it that is "
            "certified. Bottom: the identity that links the errors of successive rounds, "
            "evaluated on this run; it must stay under its rounding bound.",
        ),
        "accuracy_by_round": (
            "Accuracy by round",
            f"Exact label recovery is {percent(rounds[0]['exact']['label_recovery'])} at round "
            f"1 and {percent(last['exact']['label_recovery'])} at round {last['round']}; the "
            f"partial-label student reaches {percent(student['label_recovery'])} (K = {k}).",
            "Lines are the theory, dots the exact heads. A bar through a dot is the range that "
            "is left to what is certified. PLL is one student trained on the "
            "teacher's two largest labels, 1/2 each.",
        ),
    }


def _averaging_alt(result: CheckResult) -> str:
    exact = result.dynamics("exact")
    if exact[0].flipped_true is None:
        return "Class-averaged predictions by round; there are no mislabelled rows."
    crossing = crossing_round(exact)
    if crossing is None:
        verdict = f"stays below their given label through round {len(exact)}"
    else:
        verdict = f"leads their given label from round {crossing}"
    return "Class-averaged predictions by round: the mislabelled rows' true label " + verdict + "."


def _unconverged(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Heads that did not reach what was asked, with the solver's reason and remedy."""
    heads = [(f"round {row['round']}", row["exact"]["solver"]) for row in found["rounds"]]
    heads.append(("partial-label student", found["partial_label_student"]["exact"]["solver"]))
    return [
        (name, solver["message"] or solver["result"])
        for name, solver in heads
        if solver["result"] != "converged"
    ]


def _command(result: CheckResult) -> str:
    """The command line that makes this result again; defaults of rare settings are left out."""
    settings, default = result.settings, CheckSettings()
    words = ["gramlab", "check", str(result.features.provenance["source"])]
    words += ["--noise", settings.noise, "--rate", f"{settings.rate!r}"]
    words += ["--weight-decay", f"{settings.weight_decay!r}", "--rounds", str(settings.rounds)]
    words += ["--seed", str(settings.seed)]
    words += [
        flag
        for flag, wanted in (
            ("--center", settings.center),
            ("--unit-norm", settings.unit_norm),
            ("--exact-counts", settings.exact_counts),
        )
        if wanted
    ]
    if settings.certify != default.certify:
        words += ["--certify", settings.certify]
    for flag, value, usual in (
        ("--tolerance", settings.tolerance, default.tolerance),
        ("--certified-share", settings.certified_share, default.certified_share),
    ):
        if value != usual:
            words += [flag, f"{value!r}"]
    return shlex.join(words)

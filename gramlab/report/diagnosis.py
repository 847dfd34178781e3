"""One self-contained HTML page about a ``gramlab diagnose``: advice first, then its evidence.

The page loads nothing. Its only script sorts the table of suspects; the content security policy
names it by its hash and forbids every other. Without scripts the table is there, in its order.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from gramlab.diagnosis import Diagnosis
from gramlab.figures import diagnosis_figures
from gramlab.report.page import command, percent, pictures, render

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["diagnosis_headline", "diagnosis_report"]


def diagnosis_report(
    diagnosis: Diagnosis,
    figures: Mapping[str, Figure] | None = None,
    pngs: Mapping[str, bytes] | None = None,
) -> str:
    """Write the report of ``gramlab diagnose`` as one HTML page.

    Parameters
    ----------
    diagnosis
        What was found.
    figures
        ``diagnosis_figures(diagnosis)``, if drawn already.
    pngs
        What ``figure_png`` makes of them, if made already: that takes longer than all else here.

    Returns
    -------
    str
        The page; all text from the data is escaped.
    """
    found, settings, estimate = diagnosis.as_dict(), diagnosis.settings, diagnosis.estimate
    names = diagnosis.features.class_names
    always = ("noise", "rate") if settings.rate else ()
    source = str(found["provenance"]["features"]["source"])
    script = resources.files("gramlab.report").joinpath("sort.js").read_text("utf-8")
    exact = [one for one in found["tried"] if one["head"] == "exact"]
    theory = {_key(one): one for one in found["tried"] if one["head"] == "theory"}
    exact.sort(key=lambda one: -one["accuracy"])
    return render(
        "diagnosis.html.j2",
        found=found,
        headline=diagnosis_headline(found),
        names=names,
        source=source,
        figures=pictures(diagnosis_figures(diagnosis) if figures is None else figures, pngs),
        settings=[
            {"exact": one, "theory": theory.get(_key(one)), "roles": _roles(one, found["advice"])}
            for one in exact[:12]
        ],
        tried=len(exact),
        pairs=[
            {
                "true": names[k],
                "given": names[label],
                "share": float(estimate.matrix[k, label]),
                "low": float(estimate.lower[k, label]),
                "high": float(estimate.upper[k, label]),
            }
            for k, label in estimate.frequent_errors(10)
        ],
        tied=diagnosis.format_tied(),
        suspects=found["suspects"]["rows"][:300],  # suspects.csv has all
        command=command("diagnose", source, settings, always, never=("tolerance", "voters")),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode(),
    )


def diagnosis_headline(found: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what a diagnosis found, the advice first.

    Parameters
    ----------
    found
        ``Diagnosis.as_dict()``.
    """
    rate, suspects, n = found["noise"]["noise_rate"], found["suspects"], found["data"]["n_samples"]
    sentences = [
        found["advice"]["sentence"],
        f"About {percent(rate['value'])} of the given labels are wrong "
        f"({100 * found['noise']['confidence']:g} % interval {percent(rate['low'])} to "
        f"{percent(rate['high'])}).",
    ]
    if not suspects["count"]:
        sentences.append(f"None of the {n} rows has a suspicious label.")
        return sentences
    sentences.append(
        f"{suspects['count']} of {n} labels are suspected, of which about "
        f"{suspects['expected_wrong']:.0f} are expected to be wrong."
    )
    trial = found["trial"]
    if trial is not None and trial["precision"] is not None:
        sentences.append(
            f"Trial: {percent(trial['precision'])} of the suspects are truly wrong "
            f"({percent(trial['claimed_precision'])} claimed), and {percent(trial['recall'])} of "
            "the wrong labels are among them."
        )
    return sentences


def _key(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return one["weight_decay"], one["rounds"], one["refine"]


def _roles(one: Mapping[str, Any], advice: Mapping[str, Any]) -> list[str]:
    names = (("chosen", "advised"), ("reference", "in use"), ("runner_up", "runner-up"))
    return [
        word for key, word in names if advice[key] is not None and _key(advice[key]) == _key(one)
    ]

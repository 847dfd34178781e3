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
from gramlab.figures import diagnosis_displays
from gramlab.report.page import command, percent, pictures, render

if TYPE_CHECKING:
    from gramlab.figures import Display

__all__ = ["diagnosis_headline", "diagnosis_report"]


def diagnosis_report(
    diagnosis: Diagnosis,
    figures: Mapping[str, Display] | None = None,
    pngs: Mapping[str, bytes] | None = None,
) -> str:
    """Write the report of ``gramlab diagnose`` as one HTML page; see ``check_report``.

    ``figures`` is ``diagnosis_displays(diagnosis)``, if drawn already.
    """
    found, settings = diagnosis.as_dict(), diagnosis.settings
    always = ("noise", "rate") if settings.rate else ()
    source = str(found["provenance"]["features"]["source"])
    script = resources.files("gramlab.report").joinpath("sort.js").read_text("utf-8")
    return render(
        "diagnosis.html.j2",
        found=found,
        headline=diagnosis_headline(found),
        names=diagnosis.features.class_names,
        source=source,
        figures=pictures(figures or diagnosis_displays(diagnosis), pngs),
        settings=diagnosis.ranked_settings(),
        estimate=diagnosis.estimate,
        aside=diagnosis.origin.format_set_aside(),
        tied=diagnosis.classes.format_tied(),
        unsupported=diagnosis.classes.format_unsupported(),
        spared=diagnosis.format_spared(),
        copies=diagnosis.copies.format_copies(diagnosis.groups),
        suspects=found["suspects"]["rows"][:300],  # suspects.csv has all
        outliers=found["outliers"]["rows"][:300],  # and outliers.csv
        unlabelled=found["unlabelled"]["rows"][:300],  # and labels.csv
        predictions=diagnosis.unlabelled.format_rows(),
        identified=diagnosis.origin.identifiers is not None,
        command=command("diagnose", source, settings, always, never=("tolerance", "voters"))
        + (" # and with --groups FILE" if diagnosis.groups is not None else ""),
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode(),
    )


def diagnosis_headline(found: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what was found (``Diagnosis.as_dict()``), the advice first."""
    noise, suspects, n = found["noise"], found["suspects"], found["data"]["n_samples"]
    sentences = [
        found["advice"]["sentence"],
        noise["sentence"],
    ]
    if found["outliers"]["count"]:
        sentences.append(f"{found['outliers']['count']} of {n} rows seem to belong to no class.")
    if not suspects["count"]:
        claimed = ", and nothing is claimed of any" if suspects["withheld"] else ""
        return [*sentences, f"None of the {n} labels is suspected{claimed}."]
    told = f"of which about {suspects['expected_wrong']:.0f} are expected to be wrong."
    if suspects["withheld"]:
        told = "and nothing is claimed of them."
    sentences.append(f"{suspects['count']} of {n} labels are suspected, {told}")
    trial = found["trial"]
    if trial is not None and trial["precision"] is not None:
        claim = percent(trial["claimed_precision"])
        claimed = "nothing was" if suspects["withheld"] else claim
        sentences.append(
            f"Trial: {percent(trial['precision'])} of the suspects are truly wrong "
            f"({claimed} claimed), and {percent(trial['recall'])} of "
            "the wrong labels are among them."
        )
    return sentences

"""One self-contained HTML page about a ``gramlab diagnose``: advice first, then its evidence.

The page loads nothing. Its only script sorts the table of suspects; the content security policy
names it by its hash and forbids every other. Without scripts the table is there, in its order.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab.diagnosis import Diagnosis, DiagnosisSettings
from gramlab.figures import diagnosis_figures
from gramlab.report.page import percent, picture, render

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["diagnosis_headline", "diagnosis_report"]

_ROWS = 300  # suspects in the table; suspects.csv has all
_PAIRS = 10
_SETTINGS = 12


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
    found = diagnosis.as_dict()
    drawn = diagnosis_figures(diagnosis) if figures is None else figures
    made, texts = pngs or {}, _figure_texts(found)
    script = resources.files("gramlab.report").joinpath("sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
    exact = [one for one in found["tried"] if one["head"] == "exact"]
    theory = {_key(one): one for one in found["tried"] if one["head"] == "theory"}
    exact.sort(key=lambda one: -one["accuracy"])
    return render(
        "diagnosis.html.j2",
        found=found,
        headline=diagnosis_headline(found),
        names=diagnosis.features.class_names,
        source=str(found["provenance"]["features"]["source"]),
        figures={stem: picture(drawn[stem], made.get(stem), stem, *texts[stem]) for stem in drawn},
        settings=[
            {"exact": one, "theory": theory.get(_key(one)), "roles": _roles(one, found["advice"])}
            for one in exact[:_SETTINGS]
        ],
        tried=len(exact),
        pairs=_pairs(diagnosis),
        tied=diagnosis.tied_words(),
        suspects=found["suspects"]["rows"][:_ROWS],
        command=_command(diagnosis),
        script=script,
        digest=digest,
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


def _pairs(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The most frequent wrong labels, with their intervals."""
    estimate, names = diagnosis.estimate, diagnosis.features.class_names
    off = np.where(np.eye(len(names), dtype=bool), -1.0, estimate.matrix)
    off[estimate.unsupported] = -1.0
    out = []
    for flat in np.argsort(-off, axis=None, kind="stable")[:_PAIRS]:
        k, j = (int(i) for i in np.unravel_index(flat, off.shape))
        if off[k, j] <= 0.0:
            break
        out.append(
            {
                "true": names[k],
                "given": names[j],
                "share": float(off[k, j]),
                "low": float(estimate.lower[k, j]),
                "high": float(estimate.upper[k, j]),
            }
        )
    return out


def _figure_texts(found: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Heading, alternative text (the finding) and caption (how to read it) of each figure."""
    rate, suspects = found["noise"]["noise_rate"], found["suspects"]
    return {
        "settings": (
            "Rounds and weight decay",
            f"Estimated held-out accuracy over weight decay. {found['advice']['sentence']}",
            "Lines are the linearized theory, dots exact heads, both on rows held out of the "
            "training. The ring is the advised setting, the bar through it one standard error of "
            "its accuracy; settings are compared by the much smaller paired errors.",
        ),
        "suspects": (
            "How far the suspects can be trusted",
            f"{suspects['count']} suspects, of which {suspects['expected_wrong']:.0f} are "
            "expected to be wrong; the first are surest.",
            "Of the first k suspects, the share whose label is wrong, as measured where it is "
            "known: the labels were cleaned, spoilt again with the estimated noise, and searched "
            "again. The band spans two ways to make up the truth, one too easy and one too hard.",
        ),
        "transition": (
            "Which classes are mistaken for which",
            f"Heat map of the estimated shares of given labels by true class; "
            f"{percent(rate['value'])} of the labels are wrong.",
            "Each row is a true class, each column a given label. Below, the share of right labels "
            "by class, with intervals that hold for each class by itself.",
        ),
        "eigenvalue_gap": (
            "Spectrum and filter",
            "Eigenvalues of the Gram matrix on a log axis against their rank, with the filter of "
            "the advised weight decay.",
            "One round multiplies each direction by h(s) = s/(s + μ) with μ = KNλ: directions with "
            "eigenvalues far below μ are averaged away. Classes live in the first K.",
        ),
    }


def _command(diagnosis: Diagnosis) -> str:
    """The command line that makes this result again; defaults are left out."""
    settings, default = diagnosis.settings, DiagnosisSettings()
    words = ["gramlab", "diagnose", str(diagnosis.features.provenance["source"])]
    if settings.rate:
        words += ["--noise", settings.noise, "--rate", f"{settings.rate!r}"]
    for flag in ("weight_decay", "max_rounds", "folds", "seed", "explained"):
        value = getattr(settings, flag)
        if value != getattr(default, flag):
            words += [f"--{flag.replace('_', '-')}", f"{value!r}"]
    for flag in ("center", "unit_norm", "recorrupt"):
        if not getattr(settings, flag):
            words.append(f"--no-{flag.replace('_', '-')}")
    return shlex.join(words)

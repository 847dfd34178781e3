"""How far the linearized softmax is from the exact head, against how large its logits are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gramlab.errors import InvalidSetting
from gramlab.figures.style import BLACK, BLUE, GREY, blend, drawing, plain_text, subtitle

_MARKERS = "os^Dv"


def error_by_logits(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the teacher's error against the range of its logits, one mark per head.

    Parameters
    ----------
    rows
        Of recipe ``approximation``; those of round 1 with the method of that name are drawn. Each
        is a draw of labels at one weight decay and sample size: marks tell rates apart, shades
        sample sizes.

    The error is the root mean square over training rows of the distance of the two predictions. The
    line is what the remainder bound allows it to be: osc²/4 at the largest range of logits.

    Raises
    ------
    InvalidSetting
        If there is no such row.
    """
    found = [r for r in rows if r.get("method") == "approximation" and r.get("round") == 1]
    found = [r for r in found if r["largest_logit_range"] > 0.0 and r["rms_distance"] > 0.0]
    if not found:
        raise InvalidSetting(
            "rows must hold round 1 of method approximation, got none: pass the rows of "
            "gramlab study --recipe approximation"
        )
    shades = _shades(sorted({r["n_samples"] for r in found}))
    marks = dict(zip(sorted({r["rate"] for r in found}), _MARKERS * len(found), strict=False))
    with drawing(4.4, 5.6) as figure:
        axes = figure.subplots()
        for r in found:
            axes.plot(
                r["largest_logit_range"],
                r["rms_distance"],
                marks[r["rate"]],
                color=shades[r["n_samples"]],
                mec="white",
                mew=0.6,
                ms=6,
                zorder=3,
                gid=f"rate {r['rate']:g}, {r['n_samples']} rows",
            )
        ranges = [r["largest_logit_range"] for r in found]
        x = np.geomspace(min(ranges) / 1.5, max(ranges) * 1.5, 200)
        axes.plot(x, x**2 / 4.0, color=BLACK, lw=1.2, gid="bound")
        axes.set_xscale("log")
        axes.set_yscale("log")
        # The bound leaves the figure where nothing is near it.
        axes.set_ylim(min(r["rms_distance"] for r in found) / 2.0, 2.5)
        axes.set_xlabel("largest range of a row's logits at the exact teacher")
        axes.set_ylabel("theory − exact, root mean square over rows")
        axes.set_title("Error of the linearized softmax against its logits")
        first = found[0]
        words = f"{first['features']}, {first['preparation']}, {first['noise']} noise; teachers"
        subtitle(axes, plain_text(words, "study", 76))
        handles = [Line2D([], [], color=BLACK, lw=1.2)]
        handles += [
            Line2D([], [], color=GREY, linestyle="none", marker=m, ms=6) for m in marks.values()
        ]
        handles += [
            Line2D([], [], color=c, linestyle="none", marker="s", ms=8) for c in shades.values()
        ]
        texts = ["remainder bound"]
        texts += [f"{100 * rate:g} % noise" for rate in marks]
        texts += [f"N = {n}" for n in shades]
        axes.legend(handles, texts, loc="lower right", handlelength=1.2)
    return figure


def _shades(sizes: Sequence[int]) -> dict[int, str]:
    """One blue, the darker the more rows."""
    last = max(len(sizes) - 1, 1)
    return {n: blend(BLUE, "white", 0.3 + 0.7 * i / last) for i, n in enumerate(sizes)}

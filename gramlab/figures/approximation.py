"""How far the linearized softmax is from the exact head, against how large its logits are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gramlab.errors import InvalidSetting
from gramlab.figures.style import BLACK, GREY, blues, caption, dots, drawing, legend, plain_text


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
    sizes = sorted({r["n_samples"] for r in found})
    shades = dict(zip(sizes, blues(len(sizes)), strict=True))
    rates = sorted({r["rate"] for r in found})
    symbols = {rate: "os^Dv"[i % 5] for i, rate in enumerate(rates)}
    with drawing(4.4, 5.6) as figure:
        axes = figure.subplots()
        for r in found:
            name = f"rate {r['rate']:g}, {r['n_samples']} rows"
            x, y = r["largest_logit_range"], r["rms_distance"]
            dots(axes, x, y, shades[r["n_samples"]], symbols[r["rate"]], mew=0.6, gid=name)
        ranges = [r["largest_logit_range"] for r in found]
        x = np.geomspace(min(ranges) / 1.5, max(ranges) * 1.5, 200)
        axes.plot(x, x**2 / 4.0, color=BLACK, lw=1.2, gid="bound")
        axes.set(xscale="log", yscale="log")
        # The bound leaves the figure where nothing is near it.
        axes.set_ylim(min(r["rms_distance"] for r in found) / 2.0, 2.5)
        setting = found[0]["features"], found[0]["preparation"], f"{found[0]['noise']} noise"
        caption(
            axes,
            "Error of the linearized softmax against its logits",
            "largest range of a row's logits at the exact teacher",
            "theory − exact, root mean square over rows",
            note=plain_text(", ".join(setting) + "; teachers", "study", 76),
        )
        mark = {"linestyle": "none"}
        marks: dict[str, dict[str, Any]] = {"remainder bound": {"lw": 1.2}}
        for rate, symbol in symbols.items():
            marks[f"{100 * rate:g} % noise"] = {"color": GREY, "marker": symbol, "ms": 6, **mark}
        for n, shade in shades.items():
            marks[f"N = {n}"] = {"color": shade, "marker": "s", "ms": 8, **mark}
        legend(axes, marks, loc="lower right", handlelength=1.2)
    return figure

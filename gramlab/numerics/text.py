"""How results show themselves: a repr of one line, whatever their size, and a table in HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

__all__ = ["html_table", "short_repr"]

_LONGEST = 160  # letters of one value


def short_repr(self: Any, **shown: Any) -> str:
    """The repr of a dataclass in which arrays and collections stand by their sizes.

    Shown is what is given, by default the fields that a dataclass would show. Left out is what is
    None, an empty text, or still to be made: nothing is computed.
    """
    values = vars(self)
    shown = shown or {f.name: values.get(f.name) for f in fields(self) if f.repr}
    words = [
        f"{name}={_value(value)}"
        for name, value in shown.items()
        if value is not None and not callable(value) and not (isinstance(value, str) and not value)
    ]
    return f"{type(self).__name__}({', '.join(words)})"


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        size = f"{' x '.join(map(str, value.shape))} {value.dtype}"
        if value.ndim == 1 and value.size and value.dtype.kind == "f":
            return f"<{size}, {value.min():.4g} to {value.max():.4g}>"
        return f"<{size}>"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple) and len(value) <= 4 and all(isinstance(v, float) for v in value):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, list | tuple | dict):
        kinds = sorted({type(one).__name__ for one in value})
        return f"<{len(value)} {' or '.join(kinds)}>" if kinds else "<none>"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def html_table(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[tuple[str, str, str]],
    caption: str,
) -> str:
    """Rows as an HTML table; columns are (heading, key, format), all text is escaped.

    Of numbers ``"%"`` shows a share in percent; a dash stands where nothing is known.
    """

    def cell(value: Any, form: str) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "–"
        return f"{100.0 * value:.2f} %" if form == "%" else format(value, form)

    head = "".join(f"<th>{html.escape(heading)}</th>" for heading, _, _ in columns)
    lines = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(cell(row[key], form))}</td>" for _, key, form in columns)
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{lines}</tbody></table>"
    )

"""What the HTML pages share: the template environment, the numbers in them, inline figures."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2

from gramlab.figures import figure_png
from gramlab.figures.style import at_most

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["SPACE", "bound", "number", "percent", "picture", "render", "words"]

SPACE = "\N{NO-BREAK SPACE}"


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; all text from the data is escaped.

    Parameters
    ----------
    template
        Name of the file.
    **values
        What it shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, at_most=bound, words=words)
    return environment.get_template(template).render(**values)


def _source(name: str) -> str:
    return resources.files("gramlab.report").joinpath(name).read_text(encoding="utf-8")


def picture(
    figure: Figure, png: bytes | None, stem: str, heading: str, alt: str, caption: str
) -> dict[str, Any]:
    """A figure as the template wants it: an inline PNG with its size, finding and caption."""
    drawn = figure_png(figure) if png is None else png
    return {
        "stem": stem,
        "source": "data:image/png;base64," + base64.b64encode(drawn).decode(),
        "width": round(96 * figure.get_figwidth()),
        "height": round(96 * figure.get_figheight()),
        "heading": heading,
        "alt": alt,
        "caption": caption,
    }


def percent(value: float | None) -> str:
    """A share as percent; as many digits as it takes not to round something to nothing."""
    if value is None:
        return "–"
    digits = 1
    if 0.0 < value < 1.0:
        # 99.96 % must not read as 100.0 %, nor 0.04 % as 0.0 %.
        while digits < 6 and round(100.0 * value, digits) in (0.0, 100.0):
            digits += 1
    return f"{100.0 * value:.{digits}f}{SPACE}%"


def number(value: float | None, digits: int = 4) -> str:
    """A plain number, with a real minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{float(value):.{digits}g}".replace("-", "−") if math.isfinite(value) else "∞"


def words(value: object) -> str:
    """A provenance entry, which may be nested, as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {words(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return "; ".join(words(entry) for entry in value) or "none"
    return "none" if value is None else str(value)


def bound(value: float | None) -> str:
    """A bound, rounded up; a dash where there is none."""
    return "–" if value is None else at_most(float(value))

"""What the HTML pages share: the template environment, the numbers in them, inline figures."""

from __future__ import annotations

import base64
import dataclasses
import math
import shlex
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import jinja2

from gramlab.errors import NO_FORM, printable
from gramlab.features.inspection import format_width
from gramlab.figures import Display, figure_png
from gramlab.figures.style import at_most
from gramlab.labels import OBSERVED

if TYPE_CHECKING:
    from gramlab.figures import Figure

__all__ = ["SPACE", "command", "number", "percent", "pictures", "render", "words"]

SPACE = "\N{NO-BREAK SPACE}"


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; all text from the data is escaped and printable."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gramlab.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        number=number,
        words=words,
        width=format_width,
        at_most=lambda value: "–" if value is None else at_most(float(value)),
    )
    return environment.get_template(template).render(**values)


def _shown(value: Any) -> Any:
    """A value with its text printable; what is HTML already, and our own spaces, stay."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    if value.replace(SPACE, "").isprintable() and not NO_FORM.search(value):
        return value
    return SPACE.join(map(printable, value.split(SPACE)))


def pictures(
    figures: Mapping[str, Figure | Display], pngs: Mapping[str, bytes] | None
) -> dict[str, dict[str, Any]]:
    """Figures as the templates want them, by stem: inline PNG and size in pixels."""
    shown = {}
    for stem, figure in figures.items():
        png = (pngs or {}).get(stem) or figure_png(figure)
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        drawn = figure.figure_ if isinstance(figure, Display) else figure
        width, height = (round(96 * inches) for inches in drawn.get_size_inches())
        shown[stem] = {"source": source, "width": width, "height": height}
    return shown


def command(
    verb: str, source: str, settings: Any, always: Collection[str], never: Collection[str] = ()
) -> str:
    """The command line that makes a result again, without settings at their defaults.

    Fields of the dataclass ``settings`` are the verb's options, but for ``never``; ``always`` are
    told also at their defaults. Labels that were observed were in a file, whose name and side no
    result knows: a comment names both options.
    """
    parts, seen = ["gramlab", verb, source], settings.noise == OBSERVED
    never = {*never, *(("noise", "rate") if seen else ())}
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), field.name.replace("_", "-")
        if field.name in never or (value == field.default and field.name not in always):
            continue
        if isinstance(value, tuple):  # what was in a file, whose name no result knows
            parts += [f"--{name}", "FILE"]
        elif isinstance(value, bool):
            parts.append(f"--{name}" if value else f"--no-{name}")
        else:
            parts += [f"--{name}", str(value)]
    return shlex.join(parts) + (" # with --given FILE, or --truth FILE" if seen else "")


def percent(value: float | None) -> str:
    """A share as percent; as many digits, up to six, as it takes not to round it to none or all."""
    if value is None:
        return "–"
    digits = 1
    # 99.96 % must not read as 100.0 %, nor 0.04 % as 0.0 %.
    while 0.0 < value < 1.0 and digits < 6 and round(100.0 * value, digits) in (0.0, 100.0):
        digits += 1
    shown = f"{100.0 * value:.{digits}f}"
    if 0.0 < value < 1.0 and float(shown) in (0.0, 100.0):
        shown = "<0.000001" if value < 0.5 else ">99.999999"
    return f"{shown}{SPACE}%"


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

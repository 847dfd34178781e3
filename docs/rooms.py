"""Draw the rooms of gramlab on their floors, from pyproject.toml and from what imports what.

    python docs/rooms.py            # writes docs/images/rooms.svg

A room is a file or folder of gramlab/. Lines are imports, less those that follow from others.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
HEAVY = {
    "jax": "#0072B2",
    "matplotlib": "#D55E00",
    "sklearn": "#CC79A7",
    "torch": "#E69F00",
    "sympy": "#009E73",
    "flint": "#009E73",
    "typer": "#56B4E9",
    "jinja2": "#8C6D31",
}
NAMES = {"sympy": "computer algebra", "sklearn": "scikit-learn", "torch": "PyTorch", "jax": "JAX"}
ACROSS = 13.0  # width of the page in inches; a floor that is wider goes on below


def floors() -> list[list[str]]:
    """Rooms by floor, highest first, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["id"] == "floors")
    there = {path.stem for path in (ROOT / "gramlab").iterdir() if path.name[0] != "_"}
    split = [[room.strip(" ()") for room in layer.split("|")] for layer in layers]
    return [kept for floor in split if (kept := [room for room in floor if room in there])]


def imports(rooms: set[str]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Rooms that each room imports, and the heavy libraries that it does."""
    graph = grimp.build_graph("gramlab", include_external_packages=True, cache_dir=None)
    inner: dict[str, set[str]] = {room: set() for room in rooms}
    outer: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        room = module.partition(".")[2].partition(".")[0]
        if room not in rooms:
            continue
        for other in graph.find_modules_directly_imported_by(module):
            if other in HEAVY:
                outer[room].add(other)
            elif (to := other.partition(".")[2].partition(".")[0]) in rooms - {room}:
                inner[room].add(to)
    return inner, outer


def needed(inner: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports that do not follow from others."""
    below: dict[str, set[str]] = {}

    def reached(room: str) -> set[str]:
        if room not in below:
            below[room] = set().union(*({to} | reached(to) for to in inner[room]))
        return below[room]

    return [
        (room, to)
        for room, targets in sorted(inner.items())
        for to in sorted(targets)
        if not any(to in reached(other) for other in targets)
    ]


def size(room: str) -> str:
    """Lines of a room, and files of a folder."""
    place = ROOT / "gramlab" / room
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    lines = sum(file.read_text(encoding="utf-8").count("\n") for file in files)
    return f"{lines:,} lines" + (f", {len(files)} files" if len(files) > 1 else "")


def draw() -> Figure:
    rows = []
    for number, floor in zip(range(len(floors()), 0, -1), floors(), strict=True):
        row: list[tuple[str, float]] = []
        for room in floor:
            width = 0.3 + 0.105 * max(len(room), 0.72 * len(size(room)))
            if row and sum(w + 0.25 for _, w in row) + width > ACROSS - 1.0:
                rows.append((number, row))
                row = []
            row.append((room, width))
        rows.append((number, row))
    inner, outer = imports({room for _, row in rows for room, _ in row})
    figure = Figure(figsize=(ACROSS, 0.85 * len(rows) + 0.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, ACROSS), ylim=(0, 0.85 * len(rows) + 0.4))
    axes.axis("off")
    place = {}
    for line, (number, row) in enumerate(rows):
        y = 0.85 * (len(rows) - line) - 0.1
        axes.text(0.25, y, f"{number}", color="0.55", fontsize=11, va="center", ha="center")
        x = 0.5 + (ACROSS - 0.5 - sum(w + 0.25 for _, w in row) + 0.25) / 2
        for room, width in row:
            colours = [colour for name, colour in HEAVY.items() if name in outer[room]]
            edge = colours[0] if colours else "0.6"
            shape = FancyBboxPatch(
                (x, y - 0.22),
                width,
                0.44,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor="white",
                edgecolor=edge,
                linewidth=2.2 if colours else 1.0,
                zorder=2,
            )
            axes.add_patch(shape)
            middle = x + width / 2
            axes.text(middle, y + 0.07, room, fontsize=10, va="center", ha="center", zorder=3)
            axes.text(
                middle,
                y - 0.11,
                size(room),
                fontsize=7,
                color="0.45",
                va="center",
                ha="center",
                zorder=3,
            )
            place[room] = (middle, y)
            x += width + 0.25
    for room, to in needed(inner):
        (x0, y0), (x1, y1) = place[room], place[to]
        axes.plot([x0, x1], [y0 - 0.22, y1 + 0.22], color="0.82", linewidth=0.7, zorder=1)
    told = [name for name in HEAVY if name != "flint"]
    for number, name in enumerate(told):
        x = 0.6 + 1.65 * number
        axes.plot([x, x + 0.25], [0.2, 0.2], color=HEAVY[name], linewidth=2.2)
        axes.text(x + 0.35, 0.2, NAMES.get(name, name), fontsize=9, va="center")
    return figure


if __name__ == "__main__":
    # Text stays text, and equal rooms give equal bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gramlab"}):
        draw().savefig(PICTURE, metadata={"Date": None})
    print(f"written: {PICTURE}")

"""Draw which theorem uses which on paper, dotted where its Rocq proof does without.

    python docs/theorem_graph.py    # writes docs/generated-theorems/uses.svg

Every docs build draws it anew. A column holds what rests on the columns before it. Theorems that no
other rests on, and that rest on no other, stand below. The colour of a frame says what stands
behind the proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gramlab.theorems import registry
from gramlab.theorems.catalogue import prove
from gramlab.theorems.dependence import needed, rests_on
from gramlab.theorems.form import Theorem

PICTURE = Path(__file__).resolve().parent / "generated-theorems" / "uses.svg"
COLOURS = {
    "kernel": "#009E73",
    "decided": "#0072B2",
    "core": "#E69F00",
    "asserted": "#CC79A7",
    "false": "#7F7F7F",
}
WIDTH, HEIGHT, ACROSS, DOWN = 2.2, 0.3, 2.75, 0.42  # of a box, and from one to the next; inches


def places(known: Mapping[str, Theorem]) -> tuple[dict[str, tuple[int, float]], int]:
    """Column and row of every theorem, and the number of rows of the graph proper."""
    depth: dict[str, int] = {}
    for name, theorem in known.items():
        for one in (*rests_on(theorem, known, on_paper=True), name):  # bases come first
            depth[one] = max((depth[base] + 1 for base in known[one].uses), default=0)
    joined = {base for one in known.values() for base in one.uses}
    joined |= {name for name, one in known.items() if one.uses}
    columns: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in sorted(joined):
        columns[depth[name]].append(name)
    rows = max(map(len, columns))
    place: dict[str, tuple[int, float]] = {}
    for number, column in enumerate(columns):
        height = {n: [place[base][1] for base in known[n].uses] for n in column}
        above = {n: sum(at) / len(at) if at else 0.0 for n, at in height.items()}
        for row, name in enumerate(sorted(column, key=lambda n: (above[n], n))):
            place[name] = number, row + (rows - len(column)) / 2
    alone = sorted(known.keys() - joined)
    for number, name in enumerate(alone):
        place[name] = number % len(columns), rows + 1 + number // len(columns)
    return place, rows


def draw(known: Mapping[str, Theorem], levels: Mapping[str, str]) -> Figure:
    place, rows = places(known)
    across = ACROSS * (1 + max(column for column, _ in place.values()))
    height = DOWN * (1 + max(row for _, row in place.values())) + 0.7
    figure = Figure(figsize=(across, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, across), ylim=(0, height))
    axes.axis("off")

    def at(name: str) -> tuple[float, float]:
        column, row = place[name]
        return ACROSS * column + 0.2, height - 0.4 - DOWN * row

    for name, theorem in known.items():
        x, y = at(name)
        colour = COLOURS[levels[name]]
        shape = f"round,pad=0,rounding_size={HEIGHT / 3}"
        box = FancyBboxPatch((x, y - HEIGHT / 2), WIDTH, HEIGHT, shape)
        box.set(facecolor="white", edgecolor=colour, linewidth=1.8, zorder=2)
        axes.add_patch(box)
        axes.text(x + WIDTH / 2, y, name, fontsize=8.5, va="center", ha="center", zorder=3)
        for base in theorem.uses:
            left, low = at(base)
            style = "-" if base in needed(theorem, known) else ":"
            axes.plot([left + WIDTH, x], [low, y], style, color="0.6", linewidth=0.9, zorder=1)
    axes.text(0.2, height - 0.4 - DOWN * rows, "alone:", fontsize=8.5, va="center", color="0.4")
    told = [level for level in COLOURS if level in levels.values()]
    for number, level in enumerate(told):
        x = 0.2 + 1.4 * number
        axes.plot([x, x + 0.25], [0.2, 0.2], color=COLOURS[level], linewidth=2.2)
        axes.text(x + 0.35, 0.2, level, fontsize=9, va="center")
    return figure


def write(levels: Mapping[str, str]) -> Path:
    """The picture of the registry, in a file; ``levels`` by name, "false" where it is refuted."""
    PICTURE.parent.mkdir(exist_ok=True)
    # Text stays text, and equal theorems give equal bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gramlab"}):
        draw(registry, levels).savefig(PICTURE, metadata={"Date": None})
    return PICTURE


def level(theorem: Theorem) -> str:
    """What stands behind the proof of a theorem, or that it is false."""
    return "false" if theorem.expected == "counterexample" else prove(theorem).level


if __name__ == "__main__":
    print(f"written: {write({name: level(one) for name, one in registry.items()})}")

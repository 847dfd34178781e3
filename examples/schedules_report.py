"""Tables and figures of schedules.py, from the lines that it keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gramlab.spectrum.filters import filter_power

__all__ = ["SCHEDULES", "by_round", "by_total", "filters", "markdown"]

SCHEDULES = {
    "one training": (1,),
    "2 equal": (1,) * 2,
    "4 equal": (1,) * 4,
    "16 equal": (1,) * 16,
    "rising": (1, 3, 9, 27),
    "falling": (27, 9, 3, 1),
}
COLOURS = ("#222222", "#CC79A7", "#56B4E9", "#0072B2", "#009E73", "#D55E00")
ROUNDS = 64  # drawn of linear theory
Rows = dict[str, list[dict]]

# ---- Tables --------------------------------------------------------------------------------------


def plain_as_momentum(rounds: float) -> float:
    """Rounds t with momentum whose filter has the slope of so many plain ones: t² + 5t + 2 = 8n."""
    return (math.sqrt(32 * rounds + 17) - 5) / 2


def at(rows: list[dict], *path: Any) -> np.ndarray:
    """A number of every draw of labels."""
    found = []
    for row in rows:
        value: Any = row
        for part in path:
            value = value[part]
        found.append(value)
    return np.array(found, dtype=float)


def by(rows: list[dict], name: str) -> dict[float, list[dict]]:
    return {
        value: [r for r in rows if r[name] == value] for value in sorted({r[name] for r in rows})
    }


def percent(values: np.ndarray) -> str:
    return f"{100 * float(np.mean(values)):.1f}"


def spread(values: np.ndarray) -> str:
    """Mean of a difference in points, with its standard error over draws of labels."""
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{100 * float(np.mean(values)):+.2f} ± {100 * float(error):.2f}"


def table(*names: str) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]


def told_schedules(name: str, rows: list[dict]) -> Iterator[str]:
    totals = by(rows, "total")
    draws = len(rows) // len(totals)
    yield f"**{name}**, label recovery / test accuracy of the last round, mean of {draws} draws"
    yield ""
    yield from table("Λ", *SCHEDULES, "linear: 4 equal", "linear: rising", "linear: falling")
    linear = ("4 equal", "rising", "falling")
    columns = [("exact", one) for one in SCHEDULES] + [("linear", one) for one in linear]

    def score(chosen: list[dict], head: str, one: str) -> str:
        return " / ".join(percent(at(chosen, head, one, key)) for key in ("recovery", "test"))

    for total, chosen in totals.items():
        yield f"| {total:.0e} | " + " | ".join(score(chosen, *one) for one in columns) + " |"
    best = [
        " / ".join(
            percent(max(at(chosen, *one, key).mean() for chosen in totals.values()))
            for key in ("recovery", "test")
        )
        for one in columns
    ]
    yield "| best | " + " | ".join(best) + " |"
    yield ""


def told_order(found: Rows) -> Iterator[str]:
    yield "What the order changes, rising (1, 3, 9, 27) less falling (27, 9, 3, 1):"
    yield ""
    yield from table(
        "features",
        "Λ",
        "recovery, points",
        "test, points",
        "mean entropy, nats",
        "largest difference of p",
        "same class, least",
        "certified in both",
    )
    for name, rows in found.items():
        for total, chosen in by(rows, "total").items():
            gaps = {
                key: at(chosen, "exact", "rising", key) - at(chosen, "exact", "falling", key)
                for key in ("recovery", "test", "entropy")
            }
            certified = [r["order"]["certified"] for r in chosen if r["order"].get("certified")]
            cells = [
                name,
                f"{total:.0e}",
                spread(gaps["recovery"]),
                spread(gaps["test"]),
                f"{gaps['entropy'].mean():+.4f}",
                f"{at(chosen, 'order', 'largest_difference').max():.3f}",
                f"{100 * at(chosen, 'order', 'same_class').min():.1f} %",
                f"{100 * min(certified):.1f} %" if certified else "–",
            ]
            yield "| " + " | ".join(cells) + " |"
    yield ""


def first(values: np.ndarray, level: float) -> int | None:
    reached = np.flatnonzero(values >= level)
    return int(reached[0]) + 1 if len(reached) else None


def told_momentum(found: Rows) -> Iterator[str]:
    yield "Plain rounds and rounds with momentum, at one weight decay, means of the draws:"
    yield ""
    yield from table(
        "features",
        "draws",
        "λ",
        "score",
        "plain: best (round)",
        "momentum: best (round)",
        "plain: first within 0.5",
        "momentum: first within 0.5 of that best",
        "by slope",
    )
    for name, rows in found.items():
        for decay, chosen in by(rows, "weight_decay").items():
            for key in ("recovery", "test"):
                plain, fast = (at(chosen, kind, key).mean(axis=0) for kind in ("plain", "momentum"))
                level = plain.max() - 0.005
                slow, soon = first(plain, level), first(fast, level)
                cells = [
                    name,
                    f"{len(chosen)}",
                    f"{decay:.0e}",
                    key,
                    *(f"{100 * v.max():.1f} ({v.argmax() + 1})" for v in (plain, fast)),
                    f"{slow}",
                    f"{soon}" if soon else "none",
                    f"{plain_as_momentum(slow or 1):.1f}",
                ]
                yield "| " + " | ".join(cells) + " |"
    yield ""


def told_top_two(found: Rows) -> Iterator[str]:
    yield "Top-two rounds, means of the draws:"
    yield ""
    yield from table(
        "features",
        "draws",
        "λ",
        "rows with new targets in rounds 3, 4, 5, …",
        "mean entropy, rounds 1, 2, last",
        "‖W‖, rounds 1, 2, last",
        "recovery, rounds 1, 2, last",
        "test, rounds 1, 2, last",
    )
    for name, rows in found.items():
        for decay, chosen in by(rows, "weight_decay").items():
            new = at(chosen, "new").mean(axis=0)[1:]
            kept = new[: max(4, len(np.trim_zeros(new, "b")) + 1)]
            three = {key: at(chosen, key).mean(axis=0)[[0, 1, -1]] for key in ("entropy", "norm")}
            cells = [
                name,
                f"{len(chosen)}",
                f"{decay:.0e}",
                ", ".join(f"{100 * v:.2g} %" for v in kept),
                *(", ".join(f"{v:.3g}" for v in three[key]) for key in ("entropy", "norm")),
                *(
                    ", ".join(f"{100 * v:.1f}" for v in at(chosen, key).mean(axis=0)[[0, 1, -1]])
                    for key in ("recovery", "test")
                ),
            ]
            yield "| " + " | ".join(cells) + " |"


def markdown(totals: Rows, momentum: Rows, top_two: Rows) -> str:
    lines = [line for name, rows in totals.items() for line in told_schedules(name, rows)]
    lines += [*told_order(totals), *told_momentum(momentum), *told_top_two(top_two)]
    return "\n".join(lines) + "\n"


# ---- Figures -------------------------------------------------------------------------------------


def panels(count: int, height: float = 3.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(3.3 * count + 0.4, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for ax in axes:
        ax.grid(color="0.92")
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def filters() -> Figure:
    """Linear theory: what is kept at one total, and by momentum from round to round."""
    figure, (left, right) = panels(2)
    spent = np.logspace(-1.5, 1.5, 200)  # Λ/s
    for (name, shares), colour in zip(SCHEDULES.items(), COLOURS, strict=True):
        if name != "falling":
            kept = [filter_power(1 / spent, share / sum(shares)) for share in shares]
            left.plot(spent, np.prod(kept, axis=0), color=colour, label=name)
    left.plot(spent, np.exp(-spent), ":", color="0.3", label="exp(−Λ/s)")
    left.set(xscale="log", xlabel="total weight decay over eigenvalue, Λ/s", ylabel="kept of it")
    left.set_title("one total", loc="left", fontsize=10)
    rounds = np.arange(ROUNDS + 1)
    for ratio, colour in zip((0.01, 0.1, 1.0), COLOURS[3:], strict=True):
        h = 1 / (1 + ratio)
        kept = [1.0, h]
        for t in range(1, ROUNDS):
            kept.append(h * (kept[t] + (t - 1) / (t + 2) * (kept[t] - kept[t - 1])))
        right.plot(rounds, h**rounds, color=colour, label=f"μ/s = {ratio:g}")
        right.plot(rounds, kept, "^", markersize=3, color=colour)
    right.axhline(0, color="0.5", linewidth=0.6)
    right.set(xlabel="rounds", ylabel="kept of it")
    right.set_title("plain: lines; momentum: triangles", loc="left", fontsize=10)
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
    return figure


def by_total(totals: Rows) -> Figure:
    figure, axes = panels(len(totals))
    for ax, (name, rows) in zip(axes, totals.items(), strict=True):
        spent = by(rows, "total")
        for one, colour in zip(SCHEDULES, COLOURS, strict=True):
            recovery = [
                100 * at(chosen, "exact", one, "recovery").mean() for chosen in spent.values()
            ]
            ax.plot(list(spent), recovery, "o-", markersize=3, color=colour, label=one)
        ax.set(xscale="log", xlabel="total weight decay Λ")
        ax.set_title(name, loc="left", fontsize=10)
    axes[0].set_ylabel("label recovery, %")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def by_round(momentum: Rows) -> Figure:
    figure, axes = panels(len(momentum))
    for ax, (name, rows) in zip(axes, momentum.items(), strict=True):
        decays = by(rows, "weight_decay")
        for (decay, chosen), colour in zip(decays.items(), COLOURS[3:], strict=False):
            for kind, mark in (("plain", "-"), ("momentum", "^")):
                recovery = 100 * at(chosen, kind, "recovery").mean(axis=0)
                told = f"λ = {decay:.0e}" if kind == "plain" else None
                rounds = np.arange(1, len(recovery) + 1)
                ax.plot(rounds, recovery, mark, markersize=3, color=colour, label=told)
        ax.set(xscale="log", xlabel="rounds (lines plain, triangles momentum)")
        ax.set_title(name, loc="left", fontsize=10)
    axes[0].set_ylabel("label recovery, %")
    axes[0].legend(frameon=False, fontsize=8)
    return figure

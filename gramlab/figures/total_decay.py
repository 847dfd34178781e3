"""What rounds spend: scores against the total weight decay Σλ, beside one training at as much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import LogLocator, NullFormatter

from gramlab import validation
from gramlab.comparison import accuracy_on_test_rows, certify_predictions
from gramlab.distillation import Rounds, same_features
from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, expect
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, VERMILLION
from gramlab.heads.fit import ClosedFormFit

_HEADS = {"exact": "Exact heads", "linear": "Linear heads"}
_SCORES = {"recovery": "true labels recovered\n(training)", "test": "test accuracy"}
_KINDS = ("one", "rounds", "momentum")
_MARKS = {"rounds": ("o", BLUE), "momentum": ("^", VERMILLION)}
_CERTIFIED = ("certified_right", "undecided")

Cell = Mapping[str, Any]
Range = tuple[float, float]


class TotalDecayDisplay(Display):
    """Label recovery and test accuracy against the total weight decay Λ = Σλ that was spent.

    One training at Λ is a line; rounds are dots at the sum of their weight decays, momentum rounds
    triangles, both darker with t. Exact and linearized heads stand side by side, of rows those
    whose labels are known. A title says by how much rounds differ from one training at the same
    Σλ, least and most over all pairs that are drawn up to the best of one training, the note below
    it says so of those beyond: of label recovery as far as the certificates tell, where cells have
    them.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells: tuple[Cell, ...] = tuple(cells)
        self.heads: list[str] = [h for h in _HEADS if any(c["head"] == h for c in cells)]
        self.scores: list[str] = [s for s in _SCORES if all(c[s] is not None for c in cells)]

    @classmethod
    def from_rounds(cls, runs: Sequence[Rounds], truth: object) -> Self:
        """Score every round of distillations of one data set.

        Parameters
        ----------
        runs
            From ``distill``, with and without momentum, at any weight decays, of exact and of
            linearized heads. Round 1 of each is one training: several ``distill(..., rounds=1)``
            make the line.
        truth : (N,)
            True labels of the training rows.

        Raises
        ------
        InvalidLabels
            If labels are not one class number per training row.
        InvalidSetting
            If there are no runs, one is no ``Rounds``, they have other training rows, or rounds are
            neither plain nor with momentum, or minimize another loss.
        """
        expect(runs, Sequence, "runs", "give a list of what gramlab.distill(...) returned")
        for one in runs:
            expect(one, Rounds, "each of runs", "give what gramlab.distill(...) returned, whole")
        _some(runs, "runs", "give a list of what gramlab.distill(...) returned")
        features = runs[0].features_by_round[0]
        for one in runs:
            plain = one.refine is None and one.temperature == 1.0 and one.mixing == 1.0
            if not plain or any(fit.loss is None for fit in one):
                raise InvalidSetting(
                    "each of runs must be of SoftmaxHead or LinearizedHead, plain or with "
                    f"momentum: others spend no Σλ, got {one!r}; run distill without refine, "
                    "temperature and mixing"
                )
            if not all(same_features(features, other) for other in one.features_by_round):
                raise InvalidSetting(
                    "runs must be of the same training rows, got two sets of them; draw a figure "
                    "of each"
                )
        labels = validation.check_labels(truth, n_samples=features.n_samples, name="truth")
        return cls([cell for one in runs for cell in _scored(one, labels)])

    @classmethod
    def from_cells(cls, cells: Sequence[Cell]) -> Self:
        """Draw scores that were computed before, such as ``display.cells`` kept in a file.

        Parameters
        ----------
        cells
            Each with ``head`` ("exact" or "linear"), ``kind`` ("one", "rounds" or "momentum"),
            ``round``, ``total_weight_decay`` Λ > 0, and the shares ``recovery`` and ``test``
            (None where labels are not known); where known also ``certified_right`` and
            ``undecided`` of the training rows.

        Raises
        ------
        InvalidSetting
            If there are none, a cell lacks an entry or has one out of range, or neither score is
            known of all.
        """
        expect(cells, Sequence, "cells", "give a list of dicts, such as display.cells")
        _some(cells, "cells", "give a list of dicts, such as display.cells")
        for place, cell in enumerate(cells):
            _check_cell(cell, f"cells[{place}]")
        display = cls(cells)
        if not display.scores:
            raise InvalidSetting(
                "cells must have recovery or test in all of them, got None for both in some; leave "
                "these out"
            )
        return display

    def differences(self, head: str, score: str) -> tuple[Range | None, Range | None]:
        """Least and most of score(rounds) − score(one training at the same Σλ), plain rounds only.

        First over pairs up to the Σλ at which one training, as drawn, scores best, then over those
        beyond. Of label recovery these bound the differences of the exact optima, where cells are
        certified. ``None`` where no rounds have one training at as much beside them.

        Raises
        ------
        InvalidSetting
            If there are no such heads, or the score is not known of all cells.
        """
        for name, value, known in (("head", head, self.heads), ("score", score, self.scores)):
            if value not in known:
                raise InvalidSetting(
                    f"{name} must be one that is drawn, {' or '.join(map(repr, known))}, got "
                    f"{value!r}; choose one of these"
                )
        line = self._of(head, "one")
        best = max(line, key=lambda cell: cell[score], default=None)
        once = {_key(cell): cell for cell in line}
        sides: tuple[list[Range], list[Range]] = [], []
        for cell in self._of(head, "rounds"):
            if (one := once.get(_key(cell))) is not None and best is not None:
                (low, high), (least, most) = _range(cell, score), _range(one, score)
                beyond = one["total_weight_decay"] > best["total_weight_decay"]
                sides[beyond].append((low - most, high - least))
        return _hull(sides[0]), _hull(sides[1])

    def _of(self, head: str, kind: str) -> list[Cell]:
        """Cells by total weight decay; of one training the first of each."""
        found = [c for c in self.cells if c["head"] == head and c["kind"] == kind]
        found.sort(key=lambda cell: cell["total_weight_decay"])
        if kind == "one":
            found = list({_key(cell): cell for cell in reversed(found)}.values())[::-1]
        return found

    def _panels(self) -> Panels:
        wide, high = len(self.heads), len(self.scores)
        width = 4.8 if wide == 1 else 4.0 * wide
        return Panels(0.8 + 2.8 * high, width, rows=(1.0,) * high, columns=(1.0,) * wide)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        wide, most = len(self.heads), max(cell["round"] for cell in self.cells)
        for place, panel in enumerate(axes):
            score, head = self.scores[place // wide], self.heads[place % wide]
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator())
            panel.xaxis.set_minor_formatter(NullFormatter())
            self._points(panel, head, score, most)
            style.percent_axis(panel.yaxis)
            last = not look.house or place >= len(axes) - wide
            first = not look.house or place % wide == 0
            title, note = _format_differences(_HEADS[head], *self.differences(head, score))
            look.caption(
                panel,
                title,
                x="total weight decay Σλ" if last else "",
                y=_SCORES[score] if first else "",
                note=note,
            )
        for row in range(len(self.scores)):  # heads side by side are read against each other
            beside = axes[row * wide : (row + 1) * wide]
            limits = [panel.get_ylim() for panel in beside]
            for panel in beside:
                panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        drawn = {cell["kind"] for cell in self.cells}
        names = {"rounds": f"rounds (dark: t = {most})", "momentum": "with momentum"}
        marks: dict[str, Mapping[str, Any]] = {"one training": {}} if "one" in drawn else {}
        for kind, (marker, color) in _MARKS.items():
            if kind in drawn:
                marks[names[kind]] = {
                    "marker": marker,
                    "color": color,
                    "ls": "none",
                    "mec": "white",
                }
        look.legend(axes[-1], marks, outside=True, loc="outside lower center", ncols=len(marks))

    def _points(self, axes: Axes, head: str, score: str, most: int) -> None:
        line = self._of(head, "one")
        x, y = ([cell[name] for cell in line] for name in ("total_weight_decay", score))
        axes.plot(x, y, color=BLACK, lw=1.4, gid=f"{head} one {score}", **style.as_line(len(x)))
        for kind, (marker, color) in _MARKS.items():
            cells = self._of(head, kind)
            shade = LinearSegmentedColormap.from_list(
                kind, [style.blend(color, "white", 0.3), color]
            )
            for t in sorted({cell["round"] for cell in cells}):
                of_round = [cell for cell in cells if cell["round"] == t]
                x, y = ([c[name] for c in of_round] for name in ("total_weight_decay", score))
                tone, gid = shade((t - 1) / max(most - 1, 1)), f"{head} {kind} {score} {t}"
                style.dots(axes, x, y, tone, marker, ms=5, mew=0.5, gid=gid)


def _check_cell(cell: object, name: str) -> None:
    do = "give dicts such as display.cells"
    expect(cell, Mapping, name, do)
    given: Any = cell
    for entry in ("head", "kind", "round", "total_weight_decay", *_SCORES):
        if entry not in given:
            raise InvalidSetting(f"{name} must have an entry {entry!r}, got none; {do}")
    for entry, known in (("head", tuple(_HEADS)), ("kind", _KINDS)):
        if given[entry] not in known:
            choices = ", ".join(map(repr, known))
            raise InvalidSetting(
                f"{entry} of {name} must be one of {choices}, got {given[entry]!r}; {do}"
            )
    validation.check_integer(f"round of {name}", given["round"], 1)
    validation.check_positive(f"total_weight_decay of {name}", given["total_weight_decay"])
    for entry in (*_SCORES, *_CERTIFIED):
        if given.get(entry) is not None:
            validation.check_share(f"{entry} of {name}", given[entry])


def _some(given: Sequence[Any], name: str, do: str) -> None:
    if not given:
        raise InvalidSetting(f"{name} must hold at least one entry, got none: {do}")


def _scored(rounds: Rounds, truth: Any) -> Iterator[dict[str, Any]]:
    """A cell of each round; the first is one training."""
    decays = [fit.weight_decay for fit in rounds]
    each = zip(rounds, rounds.features_by_round, rounds.chain, strict=True)
    for t, (fit, features, certificate) in enumerate(each, 1):
        cell = {
            "head": "linear" if isinstance(fit, ClosedFormFit) else "exact",
            "kind": "one" if t == 1 else "momentum" if rounds.momentum else "rounds",
            "weight_decay": fit.weight_decay,
            "round": t,
            "total_weight_decay": math.fsum(decays[:t]),
            "recovery": float((fit.labels == truth).mean()),
            "test": accuracy_on_test_rows(fit, features),
        }
        if certificate is not None and not isinstance(fit, ClosedFormFit):
            found = certify_predictions(fit, features, truth, certificate)[0]
            cell |= {"certified_right": found.right, "undecided": found.undecided}
            cell |= {"weights_bound": certificate.weights_bound}
        yield cell


def _key(cell: Cell) -> str:
    """Λ to as many digits as sums of weight decays keep."""
    return f"{cell['total_weight_decay']:.10g}"


def _range(cell: Cell, score: str) -> Range:
    """Within which the share of the exact head is, as far as the cell tells."""
    if score == "recovery" and all(cell.get(name) is not None for name in _CERTIFIED):
        right, undecided = (cell[name] for name in _CERTIFIED)
        return right, right + undecided
    return cell[score], cell[score]


def _hull(ranges: Sequence[Range]) -> Range | None:
    return (min(r[0] for r in ranges), max(r[1] for r in ranges)) if ranges else None


def _format_differences(head: str, before: Range | None, beyond: Range | None) -> tuple[str, str]:
    """What rounds gain or lose on one training at the same Σλ, and the note that says so."""
    note = "rounds less one training at the same Σλ"
    if before is None:
        if beyond is None:
            return head, ""
        return f"{head}: {_points(beyond)} points\nbeyond the best of one training", note
    if beyond is not None:
        note = f"rounds less one training; beyond {_points(beyond)}"
    return f"{head}: {_points(before)} points\nup to the best of one training", note


def _points(found: Range) -> str:
    """A range of shares in points, rounded outwards."""
    # Differences of shares are rounded: a billionth of a point is none.
    low, high = (round(1000.0 * value, 7) for value in found)
    low, high = math.floor(low) / 10.0, math.ceil(high) / 10.0
    words = f"{low:+.1f}" if low == high else f"{low:+.1f} to {high:+.1f}"
    return words.replace("-", "−")

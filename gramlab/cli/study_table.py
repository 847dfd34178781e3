"""What the terminal shows of a study: one line per rate, gains over the teacher in points."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab.cli.study_progress import duration_words
from gramlab.memory import format_bytes

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult
    from gramlab.study.estimate import Estimate
    from gramlab.study.plan import Plan

__all__ = ["dry_run_words", "premise_tables", "study_summary"]

_Rows = Sequence[dict[str, Any]]
_RIVALS = (
    ("PLL\nCE", {"method": "top2-ce"}),
    ("PLL\nGCE", {"method": "top2-gce"}),
    ("mix-\nture", {"method": "mixture"}),
    ("tuned\nnoisy", {"method": "tuned", "selected_on": "noisy validation"}),
    ("tuned\nclean", {"method": "tuned", "selected_on": "clean validation"}),
)


def study_summary(result: StudyResult, seconds: float) -> str:
    """Tables of the means over seeds, and sentences on the run.

    Parameters
    ----------
    result
        What the study found.
    seconds
        How long the run took; only shown, never kept.
    """
    from rich.console import Console

    stdout, text = Console(), io.StringIO()
    # As wide as its columns need: a table that is cut says nothing.
    console = Console(file=text, width=160, force_terminal=stdout.is_terminal)
    plan = result.plan
    _paragraph(text, _data_words(plan))
    for title, columns, groups in _tables(result.rows):
        text.write(f"\n{title}\n")
        console.print(_laid_out(columns, groups))
    text.write("\n")
    _paragraph(text, _legend(result))
    _paragraph(text, _work_words(result, seconds))
    for reason in result.damaged:
        _paragraph(text, f"A damaged cell was computed again: {reason}.")
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def dry_run_words(plan: Plan, estimate: Estimate) -> str:
    """What a study would take, and its cells."""
    text = io.StringIO()
    _paragraph(text, _data_words(plan))
    kinds: dict[str, int] = {}
    for cell in plan.cells:
        kinds[cell.kind] = kinds.get(cell.kind, 0) + 1
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    _paragraph(text, f"{estimate.cells} cells ({listed}), {estimate.kept} of them kept already.")
    basis = "measured on the kept cells" if estimate.measured else "assumed"
    _paragraph(
        text,
        f"{estimate.heads} exact heads to fit: about {duration_words(estimate.seconds)} (an "
        f"estimate, good to a factor of about three: {estimate.passes_per_head:.0f} passes per "
        f"head, {basis}, at {1e3 * estimate.seconds_per_pass:.2g} ms each, timed now), and about "
        f"{format_bytes(estimate.memory_bytes)} of memory.",
    )
    for cell in plan.cells:
        text.write(f"  {cell.words}{f' ({cell.name})' if cell.name else ''}\n")
    return text.getvalue()


def _paragraph(text: io.StringIO, words: str) -> None:
    text.write(textwrap.fill(words, 78, break_long_words=False, subsequent_indent="  ") + "\n")


def _data_words(plan: Plan) -> str:
    features = plan.features
    test = "no" if features.test_x is None else len(features.test_x)
    words = (
        f"{plan.recipe.title}. {plan.name} ({plan.preparation}): N = {features.n_samples} "
        f"training rows, {test} test rows, d = {features.n_features}, K = {features.n_classes}"
    )
    if plan.recipe.needs_superclasses and features.superclasses is not None:
        count = len(np.unique(features.superclasses))
        words += f"; {count} superclasses, {plan.superclass_origin}"
        if plan.superclass_origin == "found":
            words += " from the correlations of the clean features"
    return words + "."


def _tables(rows: _Rows) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, column headers and lines of each table."""
    out = []
    measure = "test_accuracy" if any(r["test_accuracy"] is not None for r in rows) else None
    measure = measure or "label_recovery"
    for key in dict.fromkeys((r["noise"], r["weight_decay_name"]) for r in rows):
        noise, size = key
        if size == "tuned":
            continue
        own = [r for r in rows if r["noise"] == noise and r["weight_decay_name"] in (size, "tuned")]
        title = f"{noise} noise, {size} weight decay"
        methods = {r["method"] for r in own}
        if "distill" in methods:
            out.append((title, *_gains(own, measure)))
        if "ablation" in methods:
            out.append((f"{title}, ablation", *_combinations(own, measure)))
        if "published" in methods:
            out.append((f"{title}, as published", *_published(own, measure)))
    return out + premise_tables(rows)


def premise_tables(rows: _Rows) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, headers and lines of what was measured of the theory's premises, by kind of noise."""
    out = []
    for method, columns in _MEASURES.items():
        for noise in dict.fromkeys(r["noise"] for r in rows if r["method"] == method):
            own = [r for r in rows if r["method"] == method and r["noise"] == noise]
            out.append((f"{noise} noise, {method}", *_measured(own, columns)))
    return out


def _gains(rows: _Rows, measure: str) -> tuple[list[str], list[list[str]]]:
    """The teacher's accuracy, and what every other head adds to it."""
    rounds = sorted({r["round"] for r in rows if r["method"] == "distill"})
    columns = [(f"\n{t}", {"method": "distill", "round": t}) for t in rounds[1:]]
    columns += [c for c in _RIVALS if any(_fits(r, c[1]) for r in rows)]
    headers = ["\nrate", "teacher\n%", *(header for header, _ in columns), "theory\nteacher %"]
    lines = []
    for rate in dict.fromkeys(r["rate"] for r in rows):
        here = [r for r in rows if r["rate"] == rate]
        first = [r for r in here if _fits(r, {"method": "distill", "round": 1})]
        teacher = _mean(first, measure)
        cells = [f"{rate:g}", _percent(teacher)]
        for _, wanted in columns:
            found = _mean([r for r in here if _fits(r, wanted)], measure)
            if found is None or teacher is None:
                cells.append("-")
            else:  # rounded first, so that no gain is shown as a negative zero
                cells.append(f"{round(100.0 * (found - teacher), 2) + 0.0:+.2f}")
        cells.append(_percent(_mean(first, f"linearized_{measure}")))
        lines.append(cells)
    return headers, lines


def _combinations(rows: _Rows, measure: str) -> tuple[list[str], list[list[str]]]:
    own = [r for r in rows if r["method"] == "ablation"]
    made = list(dict.fromkeys((r["targets"], r["loss"], r["start"]) for r in own))
    headers = ["\n\nrate", *("\n".join(parts) for parts in made)]
    return headers, _by_rate(
        own, measure, lambda r: made.index((r["targets"], r["loss"], r["start"])), len(made)
    )


def _published(rows: _Rows, measure: str) -> tuple[list[str], list[list[str]]]:
    own = [r for r in rows if r["method"] == "published"]
    made = list(dict.fromkeys((r["stopping"], r["round"]) for r in own))
    headers = ["\nrate"]
    headers += [f"{s.split()[0]}\n{'PLL' if t is None else t}" for s, t in made]
    return headers, _by_rate(
        own, measure, lambda r: made.index((r["stopping"], r["round"])), len(made)
    )


def _by_rate(
    rows: _Rows, measure: str, column: Callable[[dict[str, Any]], int], count: int
) -> list[list[str]]:
    lines = []
    for rate in dict.fromkeys(r["rate"] for r in rows):
        here = [r for r in rows if r["rate"] == rate]
        means = [_mean([r for r in here if column(r) == i], measure) for i in range(count)]
        lines.append([f"{rate:g}", *map(_percent, means)])
    return lines


_MEASURES = {
    "structure": (
        ("weight\ndecay", "weight_decay"),
        ("\nround", "round"),
        ("within\nc", "within"),
        ("super-\nclass d", "superclass"),
        ("between\ne", "between"),
        ("gap\nafter K", "gap"),
        ("distance\npromised", "promised_distance"),
        ("distance\nseen", "seen_distance"),
    ),
    "approximation": (
        ("\nrows", "n_samples"),
        ("weight\ndecay", "weight_decay"),
        ("\nround", "round"),
        ("largest\nlogit range", "largest_logit_range"),
        ("largest\n|diff|", "max_abs_distance"),
        ("rms\ndiff", "rms_distance"),
        ("same\nclass", "argmax_agreement"),
    ),
}


def _measured(rows: _Rows, columns: Sequence[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    """Means over seeds of plain columns, by rate and by what else tells the rows apart."""
    told = [n for _, n in columns if n in ("n_samples", "weight_decay", "round")]

    def place(r: dict[str, Any]) -> tuple:
        return (r["rate"], *(r[name] for name in told))

    lines = []
    for key in dict.fromkeys(place(r) for r in rows):
        here = [r for r in rows if place(r) == key]
        means = [_mean(here, name) for _, name in columns]
        lines.append([f"{key[0]:g}", *("-" if m is None else f"{m:.4g}" for m in means)])
    return ["\nrate", *(header for header, _ in columns)], lines


def _fits(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in wanted.items())


def _mean(rows: _Rows, measure: str) -> float | None:
    values = [r[measure] for r in rows if r.get(measure) is not None]
    return float(np.mean(values)) if values else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.2f}"


def _laid_out(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table


def _legend(result: StudyResult) -> str:
    rows = result.rows
    seeds = len(result.plan.recipe.seeds)
    words = f"Means over {seeds} seed{'s' if seeds > 1 else ''}."
    heads = [r for r in rows if r["method"] not in _MEASURES]
    if heads:
        measured = any(r["test_accuracy"] is not None for r in heads)
        kind = "test accuracy" if measured else "training rows predicted as their true label"
        words += f" Accuracies are {kind}."
    if any(r["method"] == "distill" for r in rows):
        words += (
            " Numbered columns are the students' gains over the teacher in points, round by round; "
            "so are the others: PLL learns from the teacher's two largest labels."
        )
    if any(r["method"] == "tuned" for r in rows):
        words += (
            " Tuned is one head whose weight decay was chosen on held-out rows, judged by their "
            "given (noisy) or true (clean) labels."
        )
    if any(r.get("selected_on") == "test" for r in rows):
        words += " Columns headed best select their checkpoint on the test data."
    return words


def _work_words(result: StudyResult, seconds: float) -> str:
    gaps = [r["relative_gap"] for r in result.rows if r["relative_gap"] is not None]
    words = f"{result.computed} cells computed, {result.kept} kept from before"
    if result.computed:
        words += f", in {duration_words(seconds)}"
    words += f"; {result.heads} heads in all."
    exact = [r["relative_gap"] for r in result.rows if r["certified_undecided"] is not None]
    if exact:
        within = sum(gap <= result.plan.settings["tolerance"] for gap in exact)
        words += (
            f" {within} of {len(exact)} exact heads reached the relative gap "
            f"{result.plan.settings['tolerance']:g} (largest {max(exact):.1e})."
        )
    elif gaps:
        words += f" Largest relative gap {max(gaps):.1e}."
    return words

"""``gramlab population``: the block model's condition, rounds and phase diagrams."""

from __future__ import annotations

import io
import os
import textwrap
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidSetting, OutputError
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.phase import Condition, PhaseDiagram
    from gramlab.population import ClassBlockModel, Population

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "population"]

HELP = """The block model with all samples there are: eigenvalues, the accuracy condition and its
least number of rounds, the first perfect round of the linear and of the exact head, and phase
diagrams of where both are perfect."""

SHORT_HELP = "The block model: condition, least rounds, phase diagram."

EXAMPLE = "gramlab population --rate 0.5 --phase rate-round --out population"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab population --classes 6 --superclass-size 3 --superclass 0.3 --between 0.1 --json -
"""

_SAME = "Correlation {} of rows of one {}."
_SIZE = "Classes in each superclass, m; without it all classes are in one."
_OUT = "Write results.json there, and the phase diagram as phase.png and phase.csv."
_HELD_OUT = {
    "right": "are predicted right, whatever the round (linear model)",
    "tie": "tie with a wrong class, whatever the round (linear model)",
    "wrong": "are predicted wrong, whatever the round (linear model)",
    None: "have no statement for noise that is not balanced",
}
_MOST_CLASSES = 1000
_PHASE_RATES = 40
_PHASE_ROUNDS = 30
_PHASE_DECAYS = [float(f"{10 ** (-7 + i / 4):.3g}") for i in range(21)]
_WEIGHTS = ("own", "class", "superclass", "overall", "uniform")


class Plane(StrEnum):
    """Planes of a phase diagram."""

    RATE_ROUND = "rate-round"
    RATE_DECAY = "rate-decay"
    DECAY_ROUND = "decay-round"


_AXES = {
    Plane.RATE_ROUND: ("rate", "round"),
    Plane.RATE_DECAY: ("rate", "weight_decay"),
    Plane.DECAY_ROUND: ("weight_decay", "round"),
}


def population(
    classes: Annotated[int, typer.Option("--classes", help="Classes K.")] = 4,
    samples_per_class: Annotated[
        int, typer.Option("--samples-per-class", help="Rows of each class, n.")
    ] = 500,
    within: Annotated[float, typer.Option("--within", help=_SAME.format("c", "class"))] = 0.4,
    superclass: Annotated[
        float, typer.Option("--superclass", help=_SAME.format("d", "superclass"))
    ] = 0.1,
    between: Annotated[float, typer.Option("--between", help="Correlation e otherwise.")] = 0.0,
    superclass_size: Annotated[
        int | None, typer.Option("--superclass-size", show_default=False, help=_SIZE)
    ] = None,
    noise: options.Noise = options.NoiseKind.SYMMETRIC,
    rate: options.Rate = 0.5,
    weight_decay: options.WeightDecay = 1e-5,
    max_rounds: Annotated[
        int, typer.Option("--max-rounds", help="Rounds in which to look for a perfect one.")
    ] = 100,
    phase: Annotated[
        Plane | None, typer.Option("--phase", show_default=False, help="Plane of a phase diagram.")
    ] = None,
    round: Annotated[int, typer.Option("--round", help="Round of the plane rate-decay.")] = 2,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", show_default=False, help=_OUT)
    ] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab population``: settings and output paths first, then work, then the files."""
    asked = {
        "classes": validation.check_integer("--classes", classes, 2, _MOST_CLASSES),
        "samples_per_class": validation.check_integer("--samples-per-class", samples_per_class, 1),
        "within": within,
        "superclass": superclass,
        "between": between,
        "superclass_size": superclass_size,
        "noise": noise.value,
        "rate": validation.check_rate("--rate", rate),
        "weight_decay": validation.check_positive("--weight-decay", weight_decay),
        "max_rounds": validation.check_integer("--max-rounds", max_rounds, 1),
        "round": validation.check_integer("--round", round, 1),
    }
    if phase is not None and out is None and json is None:
        raise InvalidSetting(
            f"--phase {phase.value} must have a place to go, got none: give --out DIR or --json"
        )
    from gramlab.population import ClassBlockModel  # loads JAX

    model = ClassBlockModel(
        classes, samples_per_class, within, superclass, between, superclass_size
    )
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        folder = None if out is None else Path(os.path.expanduser(out))
        if folder is not None:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(terminal.Progress(1.0, quiet=quiet))
        progress.stage("solving exact rounds")
        found = _found(model, asked)
        diagram = None
        if phase is not None:
            diagram = _diagram(model, asked, phase, progress.stage)
            found["phase"] = diagram.as_dict()
        text = to_json(found)
        written = [] if folder is None else _write(folder, text, diagram)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(_summary(found, written))


def _found(model: ClassBlockModel, asked: dict[str, Any]) -> dict[str, Any]:
    """Everything but the phase diagram, as plain data."""
    from gramlab.labels import corruption_matrix
    from gramlab.phase import condition

    kind, rate, most = asked["noise"], asked["rate"], asked["max_rounds"]
    matrix = corruption_matrix(kind, model.n_classes, rate, model.superclasses)
    whole = model.population(matrix, asked["weight_decay"])
    theorem, unbalanced = None, ""
    try:
        theorem = condition(model, kind, rate, asked["weight_decay"])
    except InvalidSetting as problem:  # the settings are checked: the noise is not balanced
        unbalanced = str(problem)
    if theorem is None:
        linear = whole.first_perfect_round("linearized", most)
    else:
        linear = next((t for t in range(1, most + 1) if theorem.perfect(t)), None)
    exact = whole.first_perfect_round("exact", most)
    shown = sorted({t for t in (1, 2, 3, 5, linear, exact) if t is not None and t <= most})
    return {
        "settings": asked,
        "eigenvalues": [asdict(eigenvalue) for eigenvalue in model.eigenvalues()],
        "mu": whole.mu,
        "factors": dict(zip("ABCD", whole.factors().tolist(), strict=True)),
        "rho": whole.rho if theorem is None else float(1 + theorem.excess),
        "condition": _condition(theorem, unbalanced),
        "minimum_rounds": theorem and theorem.minimum_rounds,
        "first_perfect_round": {"linearized": linear, "exact": exact},
        "undecided": {
            "linearized": [] if theorem else list(whole.undecided_rounds("linearized", most)),
            "exact": list(whole.undecided_rounds("exact", most)),
        },
        "exact_certificate": _certificate(whole, most if exact is None else exact),
        "averaging_weights": [{"round": t} | whole.averaging_weights(t) for t in shown],
        "held_out": theorem and _sign(theorem.difference, ("right", "wrong")),
        "partial_labels": theorem
        and {
            "row_maximum": _sign(theorem.difference, ("holds", "fails")),
            "side_condition": _sign(1 - theorem.own - theorem.other, ("holds", "fails")),
            "student": theorem.partial_labels,
        },
    }


def _condition(theorem: Condition | None, unbalanced: str) -> dict[str, Any]:
    """What the condition rests on; ``attainable``: some round is perfect in the linear model."""
    if theorem is None:
        return {"balanced": False, "reason": unbalanced}
    return {
        "balanced": True,
        "own_share": float(theorem.own),
        "largest_wrong_share": float(theorem.other),
        "difference": float(theorem.difference),
        "attainable": theorem.difference > 0,
    }


def _certificate(whole: Population, round: int) -> dict[str, Any]:
    found = whole.exact(round)
    return {
        "round": round,
        "least_margin": float(found.margins.min()),
        "margin_bound": float(found.margin_bound.max()),
        "perfect": found.perfect,
        "undecided": found.verdict is None,
    }


def _sign(value: Any, words: tuple[str, str]) -> str:
    return "tie" if value == 0 else words[value < 0]


def _diagram(model: ClassBlockModel, asked: dict[str, Any], plane: Plane, stage) -> PhaseDiagram:
    from gramlab.phase import phase_diagram

    axes, most = _AXES[plane], asked["max_rounds"]
    values: dict[str, Any] = {
        "rate": [f"{i}/{_PHASE_RATES}" for i in range(_PHASE_RATES)],
        "weight_decay": _PHASE_DECAYS,
        "round": range(1, min(most, _PHASE_ROUNDS) + 1),
    }
    given = {name: values[name] if name in axes else asked[name] for name in values}
    return phase_diagram(model, asked["noise"], *axes, **given, max_rounds=most, progress=stage)


def _write(folder: Path, text: str, diagram: PhaseDiagram | None) -> list[str]:
    """Write the diagram and the results; what was written, in words."""
    # results.json closes the set: while it is there, it belongs to the files beside it.
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(folder / 'results.json')!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem
    names = "results.json"
    if diagram is not None:
        from gramlab.figures import phase_figure, save_figure

        save_figure(phase_figure(diagram), folder / "phase.png")
        atomic_write(folder / "phase.csv", diagram.as_csv())
        names = "results.json, phase.png and phase.csv"
    atomic_write(folder / "results.json", text)
    return [f"{names} to {folder}"]


def _summary(found: dict[str, Any], written: list[str]) -> str:
    """Lay out what was found, for the width of the terminal."""
    from rich.console import Console

    text, width = io.StringIO(), max(20, Console().width)
    form = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}

    def paragraph(words: str) -> None:
        text.write(textwrap.fill(words, width, **form) + "\n")

    paragraph(_model_words(found["settings"]))
    text.write("\n      eigenvalue  multiplicity  eigenspace\n")
    for e in found["eigenvalues"]:
        text.write(f"{e['value']:16.10g}  {e['multiplicity']:12}  {e['eigenspace']}\n")
    text.write("\n")
    p = found["factors"]
    paragraph(
        f"μ = {found['mu']:.6g}; p_A = {p['A']:.10g}, p_B = {p['B']:.10g}, p_C = {p['C']:.10g}, "
        f"p_D = {p['D']:.10g}; ρ = {found['rho']:.10g}."
    )
    paragraph(_condition_words(found))
    paragraph(_round_words(found))
    text.write("\nround" + "".join(f"{name:>12}" for name in _WEIGHTS) + "\n")
    for row in found["averaging_weights"]:
        text.write(f"{row['round']:5}" + "".join(f"{row[name]:12.6f}" for name in _WEIGHTS) + "\n")
    paragraph("Weights of own label, class, superclass, all labels and 1/K in one prediction.")
    text.write("\n")
    paragraph(f"Held-out points {_HELD_OUT[found['held_out']]}.")
    paragraph(_partial_words(found))
    if "phase" in found:
        paragraph(_phase_words(found["phase"]))
    for files in written:
        text.write(f"Wrote {files}\n")  # not wrapped: a path must stay whole
    return text.getvalue()


def _model_words(asked: dict[str, Any]) -> str:
    m = asked["superclass_size"]
    correlations = f"c = {asked['within']:g}, d = {asked['superclass']:g}"
    if m is not None:
        correlations += f", e = {asked['between']:g} in superclasses of {m}"
    return (
        f"Block model: K = {asked['classes']}, n = {asked['samples_per_class']}, {correlations}; "
        f"{asked['noise']} noise of rate {asked['rate']:g}; weight decay "
        f"{asked['weight_decay']:g}."
    )


def _condition_words(found: dict[str, Any]) -> str:
    theorem = found["condition"]
    if not theorem["balanced"]:
        return f"No least number of rounds: {theorem['reason']}."
    own, other = theorem["own_share"], theorem["largest_wrong_share"]
    if other == 0.0:
        return "Without noise the linear head is perfect in every round."
    needed = (
        f"The linear head is perfect at round t iff C_kk − C_kl = {own:.6g} − {other:.6g} = "
        f"{theorem['difference']:.6g} > 1/(ρ^t − 1)"
    )
    if not theorem["attainable"]:
        return f"{needed}: in no round."
    return f"{needed}, that is, t > t* = {found['minimum_rounds']:.6g}."


def _round_words(found: dict[str, Any]) -> str:
    most, proof = found["settings"]["max_rounds"], found["exact_certificate"]
    linear, exact = (
        f"none within {most}" if t is None else str(t)
        for t in (found["first_perfect_round"][kind] for kind in ("linearized", "exact"))
    )
    open_rounds = found["undecided"]["exact"]
    left = f" Undecided: round {_listed(open_rounds)}." if open_rounds else ""
    return (
        f"First perfect round: linear {linear}, exact {exact} (least margin in logits at round "
        f"{proof['round']}: {proof['least_margin']:.3g}, certified to within "
        f"{proof['margin_bound']:.1e}).{left}"
    )


def _listed(rounds: list[int]) -> str:
    """Rounds in words, the first few of them."""
    first = ", ".join(map(str, rounds[:5]))
    return first if len(rounds) <= 5 else f"{first} and {len(rounds) - 5} more"


def _partial_words(found: dict[str, Any]) -> str:
    conditions, theorem = found["partial_labels"], found["condition"]
    if conditions is None:
        return "Partial labels: not stated for noise that is not balanced."
    row, side = conditions["row_maximum"], conditions["side_condition"]
    own, other = theorem["own_share"], theorem["largest_wrong_share"]
    verdict = {
        "right": "the student of the teacher's two largest labels is right on every label (linear)",
        "tie": "the student ends in an exact tie and gains nothing",
        "not promised": "perfection is not promised",
        None: "no verdict for labels that leave their superclass",
    }[conditions["student"]]
    if other == 0.0:
        verdict = "no label is wrong, there is nothing to gain"
    return (
        f"Partial labels: row maximum C_kk > max C_kl {row} ({own:.4g}, {other:.4g}); side "
        f"condition C_kk + max C_kl < 1 {side} (sum {own + other:.4g}): {verdict}."
    )


def _phase_words(phase: dict[str, Any]) -> str:
    cells = [cell for row in phase["decided_by"] for cell in row]
    return (
        f"Phase diagram: theory and exact head differ in {sum(map(sum, phase['disagree']))} of "
        f"{len(cells)} cells, the exact head is undecided in {sum(map(sum, phase['undecided']))}; "
        f"the theory is too near a tie for float64 in {len(cells) - cells.count('float64')}."
    )

"""``gramlab diagnose SOURCE``: should you distil, and which labels are wrong."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import OutputError
from gramlab.storage import atomic_path, atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.diagnosis import Diagnosis

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "diagnose"]

HELP = """Diagnose the features and given labels of SOURCE, whose true labels nobody needs to know:
how noisy the labels are, whether distillation would help or another weight decay would do, which
labels are probably wrong, and which rows say so. With --rate the labels are taken as true and
spoilt first: a trial in which the truth is known."""

SHORT_HELP = "Should you distil, and which labels are wrong: for your own data."

EXAMPLE = "gramlab diagnose digits --noise asymmetric --rate 0.3 --out diagnosis"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab diagnose my-features.npz --weight-decay 1e-4 --json -

A run that was stopped leaves whole files only, and starts anew when it is run again.
"""

_LAST_SEED = 2**64 - 1
_OUT = "Write results.json, report.html, suspects.csv, labels.csv and the figures there."
_SHOWN = 10


def diagnose(
    source: options.Source,
    noise: options.Noise = options.NoiseKind.SYMMETRIC,
    rate: Annotated[
        float,
        typer.Option("--rate", help="Share of labels to spoil for a trial; 0 takes them as given."),
    ] = 0.0,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            show_default=False,
            help="The one in use, to measure advice against; default: 1/N (scikit-learn's C = 1).",
        ),
    ] = None,
    max_rounds: Annotated[
        int, typer.Option("--max-rounds", help="Most trainings to consider, the teacher included.")
    ] = 5,
    folds: Annotated[int, typer.Option("--folds", help="Folds of the held-out predictions.")] = 5,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    recorrupt: Annotated[
        bool,
        typer.Option(
            "--recorrupt/--no-recorrupt",
            help="Calibrate the suspects' precision on labels spoilt anew.",
        ),
    ] = True,
    explained: Annotated[
        int, typer.Option("--explained", help="Suspects to explain, most suspicious first.")
    ] = 500,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", show_default=False, help=_OUT)
    ] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab diagnose``: settings and output paths first, then work, then the files."""
    asked: dict[str, Any] = {
        "noise": noise.value,
        "rate": validation.check_rate("--rate", rate),
        "weight_decay": (
            None if weight_decay is None else validation.check_weight_decay(weight_decay)
        ),
        "max_rounds": validation.check_integer("--max-rounds", max_rounds, 1),
        "folds": validation.check_integer("--folds", folds, 2),
        "seed": validation.check_integer("--seed", seed, 0, _LAST_SEED),
        "center": center,
        "unit_norm": unit_norm,
        "recorrupt": recorrupt,
        "explained": validation.check_integer("--explained", explained, 0),
    }
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        folder = None if out is None else Path(os.path.expanduser(out))
        if folder is not None:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(terminal.Progress(1.0, quiet=quiet))
        result = _run(source, asked, progress)
        found = result.as_dict()
        text = to_json(found)
        written = [] if folder is None else _write(folder, result, text, progress.stage)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(_summary(found, result, Path(source).name, written))


def _run(source: str, asked: dict[str, Any], progress: terminal.Progress) -> Diagnosis:
    """Load the features and run the diagnosis; what is heavy is imported here."""
    from gramlab.sources import load_features

    progress.stage("loading features")
    features = load_features(source)

    from gramlab.diagnosis import DiagnosisSettings, diagnose

    return diagnose(features, DiagnosisSettings(**asked), stage=progress.stage)


def _write(folder: Path, result: Diagnosis, text: str, stage: Callable[[str], None]) -> list[str]:
    """Write tables, figures, report and results into the folder; what was written, in words."""
    from gramlab.diagnosis.columns import label_columns, suspect_columns
    from gramlab.figures import diagnosis_figures, save_figure
    from gramlab.report import diagnosis_report
    from gramlab.tables import can_write_parquet, write_csv, write_parquet

    stage("figures")
    figures = diagnosis_figures(result)
    # results.json closes the set: while it is there, it belongs to the files beside it.
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(folder / 'results.json')!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem
    pngs = {}
    for stem, figure in figures.items():
        with atomic_path(folder / f"{stem}.png") as temporary:
            pngs[stem] = save_figure(figure, temporary).read_bytes()
    stage("tables")
    tables = {"suspects": suspect_columns(result), "labels": label_columns(result)}
    kinds = "csv"
    for stem, columns in tables.items():
        write_csv(folder / f"{stem}.csv", columns)
        if can_write_parquet():
            write_parquet(folder / f"{stem}.parquet", columns)
            kinds = "csv and .parquet"
    stage("report")
    atomic_write(folder / "report.html", diagnosis_report(result, figures, pngs))
    atomic_write(folder / "results.json", text)
    return [
        f"results.json, report.html, suspects and labels as .{kinds} and {len(figures)} figures "
        f"to {folder}"
    ]


def _summary(found: dict[str, Any], result: Diagnosis, name: str, written: list[str]) -> str:
    from gramlab.diagnosis.advice import describe

    text = io.StringIO()

    def paragraph(words: str) -> None:
        text.write(textwrap.fill(words, 78, break_long_words=False) + "\n")

    data, suspects, trial = found["data"], result.suspects, found["trial"]
    rate, names = result.estimate.noise_rate, result.features.class_names
    paragraph(result.advice.sentence)
    text.write("\n")
    paragraph(
        f"{name}: N = {data['n_samples']} rows, d = {data['n_features']}, K = "
        f"{data['n_classes']}. About {100 * rate.value:.1f} % of the labels are wrong "
        f"({100 * result.estimate.confidence:g} % interval {100 * rate.low:.1f} to "
        f"{100 * rate.high:.1f} %)."
    )
    if mixed := result.tied_words():
        paragraph(mixed)
    text.write("\nestimated %   theory %   agrees %   setting\n")
    theory = {t.setting: t for t in result.trials if t.head == "theory"}
    exact = [t for t in result.trials if t.head == "exact"]
    exact.sort(key=lambda t: -t.accuracy.value)
    shown = list(dict.fromkeys([*exact[:5], result.advice.chosen, result.advice.reference]))
    for one in sorted(shown, key=lambda t: -t.accuracy.value):
        marks = [
            word
            for trial_, word in (
                (result.advice.chosen, "advised"),
                (result.advice.reference, "in use"),
            )
            if trial_ is one
        ]
        predicted = theory.get(one.setting)
        near = "-" if predicted is None else f"{100 * predicted.accuracy.value:.1f}"
        text.write(
            f"{100 * one.accuracy.value:11.1f} {near:>10} {100 * one.agreement:10.1f}   "
            f"{describe(one.setting)}{' (' + ', '.join(marks) + ')' if marks else ''}\n"
        )
    text.write("\n")
    if len(suspects):
        paragraph(
            f"{len(suspects)} labels are suspected, of which about {suspects.precision.sum():.0f} "
            "are expected to be wrong. The most suspicious:"
        )
        for number in range(min(_SHOWN, len(suspects))):
            text.write(
                f"  row {suspects.rows[number]:<7} given {names[suspects.given[number]]}, probably "
                f"{names[suspects.proposed[number]]}: wrong with "
                f"{100 * suspects.precision[number]:.1f} %\n"
            )
    else:
        paragraph("No label is suspected.")
    if trial is not None:
        share = {k: "-" if trial[k] is None else f"{100 * trial[k]:.1f} %" for k in _SHARES}
        auc = "-" if trial["auc"] is None else f"{trial['auc']:.4f}"
        paragraph(
            f"Trial: {100 * trial['realized_rate']:.1f} % of the labels were spoilt; of the "
            f"suspects {share['precision']} are truly wrong ({share['claimed_precision']} "
            f"claimed), {share['recall']} of the wrong labels are found, ranking AUC {auc}."
        )
    for files in written:
        text.write(f"Wrote {files}\n")  # not wrapped: a path must stay whole
    if not written:
        paragraph("Nothing was written; --out DIR writes tables, figures and a report.")
    return text.getvalue()


_SHARES = ("precision", "claimed_precision", "recall")

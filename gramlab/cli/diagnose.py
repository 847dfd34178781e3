"""``gramlab diagnose SOURCE``: should you distil, and which labels are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gramlab.cli import options
from gramlab.cli.output import Output, draw
from gramlab.files.whole import atomic_write

__all__ = ["EXAMPLES", "NOTE", "diagnose"]

EXAMPLES = (
    "gramlab diagnose digits --noise asymmetric --rate 0.3 --out diagnosis",
    "gramlab diagnose my-features.npz --weight-decay 1e-4 --json -",
)

NOTE = "A run that was stopped leaves whole files only, and starts anew when it is run again.\n"

_WEIGHT_DECAY = "The one in use, to measure advice against; default: 1/N (scikit-learn's C = 1)."
_ROUNDS = "Most trainings to consider, the teacher included."
_RECORRUPT = "Calibrate the suspects' precision on labels corrupted anew."
_OUT = "Write results.json, report.html, suspects.csv, labels.csv and the figures there."


def diagnose(
    source: options.Source,
    noise: options.Noise = "symmetric",
    rate: options.TrialRate = 0.0,
    weight_decay: Annotated[float | None, options.trial_weight_decay(_WEIGHT_DECAY)] = None,
    max_rounds: Annotated[int, options.at_least(1, _ROUNDS)] = 5,
    folds: options.Folds = 5,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    recorrupt: Annotated[bool, typer.Option(help=_RECORRUPT)] = True,
    explained: Annotated[
        int, options.at_least(0, "Suspects to explain, most suspicious first.")
    ] = 500,
    out: Annotated[str | None, options.out(_OUT)] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Should you distil, and which labels are wrong: for your own data.

    Diagnose the features and given labels of SOURCE, whose true labels nobody needs to know:
    how noisy the labels are, whether distillation would help or another weight decay would do,
    which labels are probably wrong, and which rows say so. With --rate the labels are taken as
    true and corrupted first: a trial in which the truth is known.
    """
    with Output(json, out, quiet=quiet) as output:
        features, stage = output.load(source), output.progress.stage

        from gramlab.diagnosis import DiagnosisSettings
        from gramlab.diagnosis import diagnose as run
        from gramlab.files.tables import can_write_parquet, write_csv, write_parquet

        settings = DiagnosisSettings(
            noise=noise,
            rate=rate,
            weight_decay=weight_decay,
            max_rounds=max_rounds,
            folds=folds,
            seed=seed,
            center=center,
            unit_norm=unit_norm,
            recorrupt=recorrupt,
            explained=explained,
        )
        result = run(features, settings, stage=stage)

        found, names = result.as_dict(), ""
        if output.folder is not None:
            from gramlab.diagnosis.columns import label_columns, suspect_columns
            from gramlab.figures import diagnosis_figures
            from gramlab.report import diagnosis_report

            stage("figures")
            figures = diagnosis_figures(result)
            pngs = draw(output.folder, figures)
            stage("tables")
            tables = {"suspects": suspect_columns(result), "labels": label_columns(result)}
            for stem, columns in tables.items():
                write_csv(output.folder / f"{stem}.csv", columns)
                if can_write_parquet():
                    write_parquet(output.folder / f"{stem}.parquet", columns)
            stage("report")
            atomic_write(output.folder / "report.html", diagnosis_report(result, figures, pngs))
            kinds = "csv and .parquet" if can_write_parquet() else "csv"
            names = "results.json, report.html, suspects and labels as "
            names += f".{kinds} and {len(figures)} figures"
        output.keep(found, names)
    output.show("diagnose", result=result, found=found, name=Path(source).name)

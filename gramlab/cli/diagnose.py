"""``gramlab diagnose SOURCE``: should you distil, and which labels are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Context

from gramlab.cli import options
from gramlab.cli.output import given, running
from gramlab.files.whole import atomic_path, atomic_write
from gramlab.validation import check_rate

EXAMPLES = (
    "gramlab diagnose digits --noise asymmetric --rate 0.3 --out diagnosis",
    "gramlab diagnose my-features.npz --weight-decay 1e-4 --json -",
    "gramlab diagnose table.csv --label-column kind --id-column file --out diagnosis",
)

NOTE = "A run that was stopped leaves whole files only, and starts anew when it is run again.\n"

_DONE = "done"

_WEIGHT_DECAY = "The one in use, to measure advice against; default: 1/N (scikit-learn's C = 1)."
_ROUNDS = "Most trainings to consider, the teacher included."
_RECORRUPT = "Calibrate the suspects' precision on labels corrupted anew."
_EXPLAINED = "Suspects to explain, most suspicious first."
_OUTLIERS = "Share of the rows listed as of no class that may be of one, in [0, 1); 0 lists none."
_OUT = "Write results.json, report.html, the tables, what to train on, and figures there."


def diagnose(
    context: Context,
    source: options.AnySource,
    labels: options.Labels = None,
    feature_columns: options.FeatureColumns = None,
    label_column: options.LabelColumn = None,
    id_column: options.IdColumn = None,
    drop: options.Drop = None,
    noise: options.Noise = "symmetric",
    rate: options.TrialRate = 0.0,
    given_file: options.Given = None,
    truth_file: options.Truth = None,
    weight_decay: Annotated[float | None, options.positive(_WEIGHT_DECAY)] = None,
    max_rounds: Annotated[int, options.at_least(1, _ROUNDS)] = 5,
    folds: options.Folds = 5,
    groups_file: options.Groups = None,
    copy_radius: options.CopyRadius = 1e-6,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    constant: options.Constant = True,
    recorrupt: Annotated[bool, options.option(_RECORRUPT)] = True,
    outlier_rate: Annotated[float, options.option(_OUTLIERS, check=check_rate)] = 0.2,
    explained: Annotated[int, options.at_least(0, _EXPLAINED)] = 500,
    out: Annotated[str | None, options.option(_OUT, metavar="DIR")] = None,
    figure_format: options.FigureFormat = "png",
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Should you distil, and which labels are wrong: for your own data.

    Diagnose the features and given labels of SOURCE, whose true labels nobody needs to know:
    how noisy the labels are, whether distillation would help or another weight decay would do,
    which labels are probably wrong, and which rows say so. With --rate the labels are taken as
    true and corrupted first: a trial in which the truth is known. So it is with --given or
    --truth, where somebody has given labels beside the true ones.
    """
    observed = options.observed(context)
    with running(context, out) as output:
        rows, stage = output.load_rows(), output.progress.stage

        from gramlab.diagnosis import DiagnosisSettings
        from gramlab.diagnosis.cost import stages
        from gramlab.diagnosis.entry import diagnose_rows
        from gramlab.diagnosis.origin import Origin
        from gramlab.files.whole import can_write_parquet, write_csv, write_parquet

        settings = DiagnosisSettings(**given(context, DiagnosisSettings))
        features, truth = rows.features, None
        origin = Origin(
            rows.rows,
            rows.set_aside,
            rows.classes,
            rows.identifiers,
            rows.unlabelled,
        )
        if observed is not None:
            seen = observed(features, rows)
            features = features.replaced(labels=seen.labels)
            truth = origin.labels(origin.spread(seen.true_labels, -1))
        beside = {"groups": options.own_groups(context), "truth": truth}
        drawn = [("figures", 1, 5.0), ("tables", 1, 1.0), ("report", 1, 1.0), (_DONE, 1, 0.0)]
        output.progress.plan([*stages(settings), *(drawn if output.folder else drawn[-1:])])
        result = diagnose_rows(features, origin, settings, **beside, stage=stage)

        found, names = result.as_dict(), ""
        if output.folder is not None:
            import numpy as np

            from gramlab.diagnosis import columns
            from gramlab.figures import diagnosis_displays
            from gramlab.report import diagnosis_report

            stage("figures")
            figures = diagnosis_displays(result)
            pngs = output.draw(figures)
            stage("tables")
            writers: dict[str, Any] = {"csv": write_csv}
            if can_write_parquet():
                writers["parquet"] = write_parquet
            tables = {
                "suspects": columns.suspect_columns(result),
                "outliers": columns.outlier_columns(result),
                "labels": columns.label_columns(result),
                "cleaned": columns.cleaned_columns(result),
                "classes": columns.class_columns(result),
            }
            for stem, table in tables.items():
                for suffix, write in writers.items():
                    write(output.folder / f"{stem}.{suffix}", table)
            arrays: dict[str, Any] = {**columns.cleaned_arrays(result, rows.x)}
            with atomic_path(output.folder / "cleaned.npz") as path:
                np.savez(path, **arrays)
            stage("report")
            atomic_write(output.folder / "report.html", diagnosis_report(result, figures, pngs))
            names = "results.json, report.html, classes, suspects, outliers, labels and cleaned "
            names += f"labels as .{' and .'.join(writers)}, cleaned.npz and {len(figures)} figures"
        output.keep(found, names)
        stage(_DONE)
    offers = "tables, figures and a report"
    output.show("diagnose", offers, result=result, found=found, name=Path(source).name)

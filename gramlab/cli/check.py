"""``gramlab check SOURCE``: the main job, from features to table, figures and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from typer import Context

from gramlab import validation
from gramlab.cli import options, text
from gramlab.cli.options import option
from gramlab.cli.output import Output, given, running
from gramlab.files.whole import atomic_write, write_csv

if TYPE_CHECKING:
    from gramlab.check import CheckSettings
    from gramlab.features import Features
    from gramlab.labels import CorruptedLabels

EXAMPLES = (
    "gramlab check digits --out digits-report",
    "gramlab check digits --weight-decay 1e-5,1e-4,1e-3 --out digits-map",
    "gramlab check features.npz --noise asymmetric --rate 0.3 --json -",
)

# What shows label averaging on the digits. At the usual weight decay the eigenvalues of their raw
# pixels that carry the classes are so far above μ = KNλ that a round hardly changes a prediction.
DEMONSTRATION = {"center": True, "unit_norm": True, "weight_decay": 3e-4, "rate": 0.6, "rounds": 8}
NOTE = f"""SOURCE 'digits' is a demonstration of label averaging: what is not given is there
{text.format_options(DEMONSTRATION)}. Raw digits at the defaults above hardly
change by round. On all other sources rows are taken as they are, unless --center or --unit-norm
is given.
"""

_SHARE = options.positive(
    "Share of training predictions to certify, in (0, 1].",
    "at most 1",
    "0.99 asks for 99 % of the training predictions",
)
_CERTIFY = """What certified right / wrong / undecided is about: the iterate that exact rounds from
the given labels reach (chain), or the optimum for the targets that each round was given (round)."""
_DECAYS = options.listed(
    """Weight decay of the objective, above 0. With several, all rounds of both heads are run at
    each: results.json, cells.csv and the figure regime_map; a report is of one weight decay.""",
    float,
    check=validation.check_positive,
)
_OUT = "Write results.json, report.html and the figures there."


def check(
    context: Context,
    source: options.Source,
    noise: options.Noise = "symmetric",
    rate: options.Rate = 0.5,
    noise_matrix: options.NoiseMatrix = None,
    given_file: options.Given = None,
    truth_file: options.Truth = None,
    weight_decay: Annotated[list[str], _DECAYS] = ("5e-4",),  # pyright: ignore
    rounds: options.Rounds = 5,
    seed: options.Seed = 0,
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    exact_counts: options.ExactCounts = False,
    tolerance: options.Tolerance = 1e-8,
    certified_share: Annotated[float, _SHARE] = 0.99,
    certify: Annotated[Literal["chain", "round"], option(_CERTIFY)] = "chain",
    out: Annotated[str | None, option(_OUT, metavar="DIR")] = None,
    figure_format: options.FigureFormat = "png",
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Theory beside the exact heads, round by round: the main job.

    Corrupt the labels of SOURCE, or take those that somebody gave (--given, --truth), run
    self-distillation through the closed form and through exact softmax heads, and compare the
    two round by round, with certificates.
    """
    from gramlab.check import CheckSettings

    asked: dict[str, Any] = given(context, CheckSettings) | {"weight_decay": weight_decay}
    shown_off = demonstrated(context) if source == "digits" else {}
    observed = options.observed(context)
    asked |= shown_off | {"noise_matrix": options.own_matrix(context)}
    if observed or asked["noise_matrix"] is not None:  # which say themselves what these do
        for settled in (asked, shown_off):
            settled.pop("noise", None)
            settled.pop("rate", None)
    decays: list[float] = np.atleast_1d(asked["weight_decay"]).tolist()
    asked["weight_decay"] = decays[0]
    settings = CheckSettings(**asked)
    with running(context, out) as output:
        features = output.load()
        seen = observed and observed(features)
        if len(decays) > 1:
            how = "check_path", "a table and a figure"
            shown = _over_decays(features, settings, seen, decays, output)
        else:
            how = "check", "figures and a report"
            shown = _at_one(features, settings, seen, output)
    shown["demonstrated"] = text.format_options(shown_off)
    if shown["failures"]:
        text.say(f"warning: {shown['failures']}")
    output.show(*how, **shown, name=Path(source).name)


def _at_one(
    features: Features, settings: CheckSettings, observed: CorruptedLabels | None, output: Output
) -> dict[str, Any]:
    """The whole chain at one weight decay."""
    from gramlab.check import run_check

    result = run_check(features, settings, output.progress, observed=observed)
    found, names = result.as_dict(), ""
    if output.folder is not None:
        from gramlab.figures import check_displays
        from gramlab.report import check_report

        output.progress.stage("figures")
        figures = check_displays(result)
        pngs = output.draw(figures)
        output.progress.stage("report")
        atomic_write(output.folder / "report.html", check_report(result, figures, pngs))
        names = f"results.json, report.html and {len(figures)} figures"
    output.keep(found, names)
    return summary(found)


def _over_decays(
    features: Features,
    settings: CheckSettings,
    observed: CorruptedLabels | None,
    decays: list[float],
    output: Output,
) -> dict[str, Any]:
    """The heads at several weight decays."""
    from gramlab.check import run_path_check

    result = run_path_check(features, settings, decays, output.progress, observed=observed)
    found, names = result.as_dict(), ""
    if output.folder is not None:
        from gramlab.figures import PathDisplay

        output.progress.stage("figure")
        output.draw({"regime_map": PathDisplay.from_path(result.path)})
        write_csv(output.folder / "cells.csv", result.path.columns())
        names = "results.json, cells.csv and the figure regime_map"
    output.keep(found, names)
    lost = [cell for cell in found["cells"] if not cell["recursion_holds"]]
    where = ", ".join(f"round {c['round']} at {c['weight_decay']:g}" for c in lost)
    return found | {"failures": where and _broken(where)}


def demonstrated(context: Context) -> dict[str, Any]:
    """Settings of ``DEMONSTRATION`` for the options that were not given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in DEMONSTRATION}
    left_out = [name for name, one in sources.items() if one is None or one.name == "DEFAULT"]
    return {name: DEMONSTRATION[name] for name in left_out}


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What the summary shows beside the numbers of ``CheckResult.as_dict()``."""
    heads = [*found["rounds"], found["partial_label_student"] | {"round": "PLL"}]
    share, n = found["settings"]["certified_share"], found["data"]["n_samples"]
    unpolished: dict[str, list[dict[str, Any]]] = {}  # by what stopped them
    for head in heads:
        undecided = round(head["certified"]["undecided"] * n)  # a whole number of rows
        if undecided > (1.0 - share) * n + 1e-3:  # the product is off by far less than this
            solver = head["exact"]["solver"]
            floor = "float64 floor" if solver["at_float64_floor"] else ""
            reason = floor or solver["polish"] or solver["result"]
            unpolished.setdefault(reason, []).append(head)
    failed = ", ".join(
        f"round {row['round']} (residual {row['error_recursion']['residual']:.1e}, rounding "
        f"allows {row['error_recursion']['tolerance']:.1e})"
        for row in found["rounds"]
        if not row["error_recursion"]["holds"]
    )
    return found | {
        "heads": heads,
        "unpolished": unpolished,
        "failures": failed and _broken(failed),
        "demonstrated": "",
    }


def _broken(where: str) -> str:
    return (
        f"the error recursion did NOT hold in {where}: do not rely on these rounds, "
        "and please report this as a fault of gramlab"
    )

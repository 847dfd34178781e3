"""``gramlab check SOURCE``: the main job, from features to table, figures and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gramlab.cli import options, text
from gramlab.cli.output import Output, draw
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write

__all__ = ["EXAMPLES", "check"]

EXAMPLES = (
    "gramlab check digits --unit-norm --weight-decay 1e-4 --out digits-report",
    "gramlab check features.npz --noise asymmetric --rate 0.3 --json -",
)

_SHARE = "Share of training predictions to certify, in (0, 1]."
_CERTIFY = """What certified right / wrong / undecided is about: the iterate that exact rounds from
the given labels reach (chain), or the optimum for the targets that each round was given (round)."""
_OUT = "Write results.json, report.html and the figures there."


def _check_share(name: str, value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise InvalidSetting(
            f"{name} must be greater than 0 and at most 1, got {value}; "
            "0.99 asks for 99 % of the training predictions"
        )
    return value


def check(
    source: options.Source,
    noise: options.Noise = "symmetric",
    rate: options.Rate = 0.5,
    weight_decay: options.WeightDecay = 5e-4,
    rounds: options.Rounds = 5,
    seed: options.Seed = 0,
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    exact_counts: options.ExactCounts = False,
    tolerance: options.Tolerance = 1e-8,
    certified_share: Annotated[
        float, typer.Option(help=_SHARE, callback=options.checked(_check_share))
    ] = 0.99,
    certify: Annotated[
        Literal["chain", "round"], typer.Option(help=" ".join(_CERTIFY.split()))
    ] = "chain",
    out: Annotated[str | None, options.out(_OUT)] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Theory beside the exact heads, round by round: the main job.

    Corrupt the labels of SOURCE, run self-distillation through the closed form and through
    exact softmax heads, and compare the two round by round, with certificates.
    """
    with Output(json, out, quiet=quiet, tolerance=tolerance) as output:
        features = output.load(source)

        from gramlab.check import CheckSettings, run_check

        settings = CheckSettings(
            noise=noise,
            rate=rate,
            weight_decay=weight_decay,
            rounds=rounds,
            seed=seed,
            center=center,
            unit_norm=unit_norm,
            exact_counts=exact_counts,
            tolerance=tolerance,
            certified_share=certified_share,
            certify=certify,
        )
        result = run_check(features, settings, output.progress)

        found, names = result.as_dict(), ""
        if output.folder is not None:
            from gramlab.figures import check_figures
            from gramlab.report import check_report

            output.progress.stage("figures")
            figures = check_figures(result)
            pngs = draw(output.folder, figures)
            output.progress.stage("report")
            atomic_write(output.folder / "report.html", check_report(result, figures, pngs))
            names = f"results.json, report.html and {len(figures)} figures"
        output.keep(found, names)
    failures = recursion_failures(found)
    if failures:
        text.say(f"warning: {failures}")
    output.show("check", **summary(found), name=Path(source).name)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What the summary shows beside the numbers of ``CheckResult.as_dict()``."""
    rounds, student = found["rounds"], found["partial_label_student"] | {"round": "PLL"}
    chain = found["settings"]["certify"] == "chain"
    heads = [*rounds, student]
    return found | {
        "heads": heads,
        "in_blocks": sorted(
            {
                head["exact"]["solver"]["method"]
                for head in rounds
                if "read in blocks" in head["exact"]["solver"]["method"]
            }
        ),
        "undecided": max(
            row["own" if chain else "chain"]["certified"]["undecided"] for row in rounds
        ),
        "unpolished": _unpolished(heads, found),
        "failures": recursion_failures(found),
        "recursion": max(
            (row["error_recursion"] for row in rounds), key=lambda check: check["residual"]
        ),
    }


def _unpolished(heads: list[dict[str, Any]], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Heads that miss the share asked for, by what stopped them."""
    share, n = found["settings"]["certified_share"], found["data"]["n_samples"]
    short: dict[str, list[dict[str, Any]]] = {}
    for head in heads:
        undecided = round(head["certified"]["undecided"] * n)  # a whole number of rows
        if undecided > (1.0 - share) * n + 1e-3:  # the product is off by far less than this
            solver = head["exact"]["solver"]
            at_floor = solver["at_float64_floor"]
            reason = "float64 floor" if at_floor else solver["polish"] or solver["result"]
            short.setdefault(reason, []).append(head)
    return [
        {
            "reason": reason,
            "rounds": [head["round"] for head in members],
            "count": len(members),
            "certified": min(1.0 - head["certified"]["undecided"] for head in members),
        }
        for reason, members in short.items()
    ]


def recursion_failures(found: dict[str, Any]) -> str:
    """Name the rounds in which the error recursion did not hold; empty where it held in all."""
    failed = [
        f"round {row['round']} (residual {row['error_recursion']['residual']:.1e}, rounding "
        f"allows {row['error_recursion']['tolerance']:.1e})"
        for row in found["rounds"]
        if not row["error_recursion"]["holds"]
    ]
    if not failed:
        return ""
    return (
        f"the error recursion did NOT hold in {', '.join(failed)}: do not rely on these rounds, "
        "and please report this as a fault of gramlab"
    )

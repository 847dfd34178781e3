"""The page of diagnose_judged.py from its lines: goals and what misses them, then every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from judged_noise import CLASSWISE

PEERS = {
    "cleanlab_same": "cleanlab, same heads",
    "cleanlab_logistic": "cleanlab, logistic",
    "datalab": "Datalab",
    "neighbours": "20 neighbours",
}
# The goals.
POINT, ERRORS, NEAR = 0.01, 2.0, 0.9  # of regret, or so many standard errors, in so many cells
BEHIND = 2  # sets and kinds in which a peer may rank as well
HELD, WITHHELD, WIDTH = 0.95, 0.1, 0.1
CLAIM, TOP_CLAIM = 0.05, 0.1
CLEAN = 0.02


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def share(cells: list[dict], holds: Callable[[dict], bool]) -> float | None:
    return mean(float(holds(c)) for c in cells)


def table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    body = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return [body[0], "|" + "---|" * len(header), *body[1:], ""]


def called(c: dict) -> str:
    return f"{c['features']}, {c['kind']}, seed {c['seed']}"


# ---- Goals -------------------------------------------------------------------------------------


def near(c: dict) -> bool:
    return c["regret"] <= max(POINT, ERRORS * c["regret_error"])


def behind(c: dict) -> list[str]:
    """Peers that rank at least as well."""
    own = c["auc"]["gramlab"]
    return [
        f"{name} {c['auc'][who]:.4f}"
        for who, name in PEERS.items()
        if c["auc"][who] is not None and c["auc"][who] >= own
    ]


def gap(c: dict, claimed: str, true: str) -> float | None:
    """Claimed less true precision; None where nothing is claimed, or there are no suspects."""
    of = c["suspects"]
    return None if of[claimed] is None or of[true] is None else of[claimed] - of[true]


def all_gap(c: dict) -> float | None:
    return gap(c, "claimed", "precision")


def top_gap(c: dict) -> float | None:
    return gap(c, "top_claimed", "top_true")


def goal(
    what: str, found: str, met: bool | None, missing: Iterable[str]
) -> tuple[list[str], list[str]]:
    """A row of the table, and what misses."""
    missing = list(missing)
    verdict = "–" if met is None else "met" if met else "**missed**"
    lines = [f"{what}: {len(missing)}", "", *(f"- {one}" for one in missing), ""]
    return [what, found, verdict], lines if missing else []


def goals(cells: list[dict]) -> list[tuple[list[str], list[str]]]:
    told = [c for c in cells if c["tied"] == 0.0]
    ranked = [c for c in cells if c["auc"]["gramlab"] is not None]
    losers = {(c["features"], c["kind"]) for c in ranked if behind(c)}
    said = [c for c in cells if not c["noise"]["withheld"]]
    silent = [c for c in cells if c["noise"]["withheld"]]
    classwise = [c for c in cells if c["kind"] in CLASSWISE]
    widths = [c["noise"]["width"] for c in classwise]
    width = float(np.median(widths)) if widths else None
    claims, tops = ([abs(g) for c in cells if (g := f(c)) is not None] for f in (all_gap, top_gap))
    unclaimed = sum(c["suspects"]["withheld"] for c in cells)
    clean = [c for c in cells if c["kind"] == "clean"]
    worst = max((c["suspects"]["share"] for c in clean), default=None)
    close, held, quiet = (
        share(told, near),
        share(said, lambda c: c["noise"]["held"]),
        share(cells, lambda c: c["noise"]["withheld"]),
    )

    def at_most(value: float | None, limit: float) -> bool | None:
        return None if value is None else value <= limit

    def at_least(value: float | None, limit: float) -> bool | None:
        return None if value is None else value >= limit

    return [
        goal(
            f"regret at most {percent(POINT, 0)} point or {ERRORS:g} standard errors in "
            f"{percent(NEAR, 0)} % of the cells that are not tied",
            f"{percent(close)} % of {len(told)}",
            at_least(close, NEAR),
            (
                f"{called(c)}: {percent(c['regret'])} ± {percent(c['regret_error'])} points; "
                f"advised {c['chosen']}, best {c['best']}"
                for c in told
                if not near(c)
            ),
        ),
        goal(
            f"AUC above every peer on every set and kind but at most {BEHIND}",
            f"not in {len(losers)} of {len({(c['features'], c['kind']) for c in ranked})}",
            len(losers) <= BEHIND if ranked else None,
            (
                f"{called(c)}: {c['auc']['gramlab']:.4f}, {', '.join(behind(c))}"
                for c in ranked
                if behind(c)
            ),
        ),
        goal(
            f"intervals of the noise rate hold it in {percent(HELD, 0)} % of the cells where "
            "something is said",
            f"{percent(held)} % of {len(said)}",
            at_least(held, HELD),
            (f"{called(c)}: {interval(c)}" for c in said if not c["noise"]["held"]),
        ),
        goal(
            f"nothing is said of the noise rate in at most {percent(WITHHELD, 0)} %",
            f"{percent(quiet)} % of {len(cells)}",
            at_most(quiet, WITHHELD),
            map(called, silent),
        ),
        goal(
            f"median width of the intervals on noise by class at most {percent(WIDTH, 0)} points",
            f"{percent(width)} in {len(classwise)} cells",
            at_most(width, WIDTH),
            (f"{called(c)}: {interval(c)}" for c in classwise if c["noise"]["width"] > WIDTH),
        ),
        goal(
            f"claimed precision of the suspects off by at most {percent(CLAIM, 0)} points on "
            "average",
            f"{percent(mean(claims))} in {len(claims)} cells; withheld in {unclaimed}",
            at_most(mean(claims), CLAIM),
            (
                f"{called(c)}: {percent(c['suspects']['claimed'])} claimed, "
                f"{percent(c['suspects']['precision'])} true"
                for c in cells
                if abs(all_gap(c) or 0.0) > CLAIM
            ),
        ),
        goal(
            f"of the first twenty by at most {percent(TOP_CLAIM, 0)}",
            f"{percent(mean(tops))} in {len(tops)} cells",
            at_most(mean(tops), TOP_CLAIM),
            (
                f"{called(c)}: {percent(c['suspects']['top_claimed'])} claimed, "
                f"{percent(c['suspects']['top_true'])} true"
                for c in cells
                if abs(top_gap(c) or 0.0) > TOP_CLAIM
            ),
        ),
        goal(
            f"at most {percent(CLEAN, 0)} % of the rows suspected where all labels are right",
            f"at most {percent(worst)} % in {len(clean)} cells",
            at_most(worst, CLEAN),
            (
                f"{called(c)}: {percent(c['suspects']['share'])} %"
                for c in clean
                if c["suspects"]["share"] > CLEAN
            ),
        ),
    ]


# ---- Cells -------------------------------------------------------------------------------------


def interval(c: dict) -> str:
    of = c["noise"]
    text = f"{percent(of['value'])} [{percent(of['low'])}, {percent(of['high'])}]"
    return f"{text} for {percent(of['true'])}"


def of_kinds(cells: list[dict]) -> dict[str, list[dict]]:
    """The seeds of each kind, in the order of the kinds."""
    found: dict[str, list[dict]] = {}
    for c in cells:
        found.setdefault(c["kind"], []).append(c)
    return found


def averaged(some: list[dict], *path: str) -> float | None:
    def at(c: dict) -> float | None:
        for name in path:
            c = c[name]
        return c

    return mean(map(at, some))


def counted(some: list[dict], holds: Callable[[dict], bool]) -> str:
    """yes or no of one seed, so many of several."""
    many = sum(map(holds, some))
    return f"{many} of {len(some)}" if len(some) > 1 else ("yes" if many else "no")


def noise_row(name: str, kind: str, some: list[dict]) -> list[str]:
    values = [averaged(some, "noise", part) for part in ("value", "low", "high", "true")]
    value, low, high, true = map(percent, values)
    aucs = {who: averaged(some, "auc", who) for who in ("gramlab", *PEERS)}
    best = max((a for a in aucs.values() if a is not None), default=None)
    planted = averaged(some, "outliers", "planted")
    outliers = [percent(averaged(some, "outliers", part), 0) for part in ("recall", "false")]
    return [
        name,
        kind,
        f"{averaged(some, 'rows'):.0f}",
        percent(averaged(some, "tied"), 0),
        true,
        f"{value} [{low}, {high}]",
        "withheld"
        if all(c["noise"]["withheld"] for c in some)
        else counted(some, lambda c: c["noise"]["held"]),
        counted(some, lambda c: c["noise"]["instance_dependent"]),
        *("–" if a is None else f"**{a:.4f}**" if a == best else f"{a:.4f}" for a in aucs.values()),
        f"{averaged(some, 'outliers', 'listed'):.0f} of {planted:.0f}; {' / '.join(outliers)}",
    ]


def suspect_row(name: str, kind: str, some: list[dict]) -> list[str]:
    def both(*path: str) -> str:
        parts = (averaged(some, "suspects", *path, part) for part in ("precision", "recall"))
        return " / ".join(percent(part) for part in parts)

    def claim(claimed: str, true: str) -> str:
        own = [c for c in some if not c["suspects"]["withheld"]]
        said = percent(averaged(own, "suspects", claimed)) if own else "withheld"
        return f"{said} / {percent(averaged(some, 'suspects', true))}"

    return [
        name,
        kind,
        f"{averaged(some, 'suspects', 'count'):.0f}",
        percent(averaged(some, "suspects", "of_right")),
        both(),
        both("cleanlab_same"),
        both("cleanlab_logistic"),
        claim("claimed", "precision"),
        claim("top_claimed", "top_true"),
    ]


def advice_row(name: str, kind: str, some: list[dict]) -> list[str]:
    ways = ("in_use", "advised", "best", "logistic")
    error = averaged(some, "regret_error")
    memory = averaged(some, "peak_mb")
    return [
        name,
        kind,
        ", ".join(dict.fromkeys(c["advice"] for c in some)),
        " / ".join(percent(averaged(some, "accuracy", way)) for way in ways),
        ", ".join(dict.fromkeys(c["best"] for c in some)),
        f"{percent(averaged(some, 'regret'))} ± {percent(error)}",
        counted(some, near),
        " / ".join(f"{averaged(some, 'seconds', part):.0f}" for part in some[0]["seconds"]),
        "–" if memory is None else f"{memory:.0f}",
    ]


def markdown(tables: dict[str, list[dict]]) -> str:
    """The page, from the lines of each source in the order of the kinds."""
    every = [c for some in tables.values() for c in some]
    cells = [c for c in every if not c.get("refused")]
    found = goals(cells)
    lines = table(["goal", "found", ""], (row for row, _ in found))
    refused = [f"- {called(c)}: {c['refused']}" for c in every if c.get("refused")]
    if refused:
        lines += [f"Refused: {len(refused)}", "", *refused, ""]
    missing = [line for _, part in found for line in part]
    if missing:
        lines += ["Cells that miss a goal, by goal:", "", *missing]
    groups = [
        (name, kind, some)
        for name, own in tables.items()
        for kind, some in of_kinds([c for c in own if not c.get("refused")]).items()
    ]
    lines += [
        "Noise rate, AUC of the ranking, and outliers (listed of planted; recall / false):",
        "",
    ]
    header = ["set", "kind", "rows", "tied %", "wrong %", "estimate", "held", "by row", "gramlab"]
    lines += table(
        [*header, *PEERS.values(), "outliers"],
        (noise_row(*group) for group in groups),
    )
    lines += ["Suspects (precision / recall, claimed / true, in %):", ""]
    header = ["set", "kind", "suspects", "of right rows", "gramlab"]
    lines += table(
        [*header, "cleanlab, same heads", "cleanlab, logistic", "claimed", "first twenty"],
        (suspect_row(*group) for group in groups),
    )
    lines += ["Clean test accuracy in % (in use / advised / best / logistic regression):", ""]
    lines += table(
        ["set", "kind", "advice", "accuracy", "best way", "regret", "near", "seconds", "MB"],
        (advice_row(*group) for group in groups),
    )
    lines += ["Seconds: diagnosis / peers / brute force. MB: the peak of the process in it.", ""]
    return "\n".join(lines)

"""The benchmark suite: one command, one JSON, one Markdown page.

    python examples/benchmarks/run.py digits FEATURES.npz ... --out docs/generated
    python examples/benchmarks/run.py --quick
    python examples/benchmarks/run.py FEATURES.npz --only study --repeats 1

Writes benchmarks.json and benchmarks.md to --out, each table as soon as it is known. With --only or
--problem a table replaces the one of the same problem and leaves the others; a part that this
machine cannot do is left as it is. --record adds a line of ratios to benchmarks_history.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

import accelerator
import authors_method
import cold_start
import one_head
import spectrum
import study
from _measure import Settings, core_seconds, machine, markdown_table, share_of_others

import gramlab
from gramlab.files.whole import atomic_write, output_folder
from gramlab.numerics.content import to_json

PARTS = {
    "one_head": ("One head against its peers", one_head),
    "study": ("A study of many heads", study),
    "spectrum": ("Closed forms from one factorization", spectrum),
    "authors_method": ("The authors' numerical method", authors_method),
    "cold_start": ("Commands in a fresh process", cold_start),
    "accelerator": ("Large heads on an accelerator", accelerator),
}
FORMAT = 2
BUSY = 0.05  # share of the cores in other programs' hands from which the tables warn


def ratios(section: dict[str, Any]) -> dict[str, float]:
    """Of one problem its own; of several their geometric mean and the least."""
    found = {}
    for name in dict.fromkeys(name for table in section["tables"] for name in table["ratios"]):
        values = [table["ratios"][name] for table in section["tables"] if name in table["ratios"]]
        if len(values) > 1:
            found[f"{name}, geometric mean"] = statistics.geometric_mean(values)
        found[f"{name}, least" if len(values) > 1 else name] = min(values)
    return found


def markdown(record: dict[str, Any]) -> str:
    lines = []
    for part, section in record["parts"].items():
        lines += [f"### {PARTS[part][0]}", ""]
        if "skipped" in section:
            lines += [f"Skipped: {section['skipped']}.", ""]
            continue
        if found := ratios(section):
            summary = "; ".join(f"{name} {value:.3g}×" for name, value in found.items())
            lines += [f"Ratios of {len(section['tables'])} tables: {summary}.", ""]
        for table in section["tables"]:
            asked = f"{table['repeats']} repeats, peers at most {table['cap']:g} s a run"
            asked += f", of them only {table['peers']}." if table["peers"] else "."
            if table["quick"]:
                asked += " A quick run, only good for trying the suite."
            if table["others"] > BUSY:
                asked += f" **Not idle: others took {100 * table['others']:.0f} % of the cores.**"
            lines += [f"**{table['problem']}**", "", f"{table['text']} {asked}", ""]
            lines += markdown_table(table["rows"])
        lines += [f"*{section['machine']}; {section['versions']}; {section['threads']}.*", ""]
    return "\n".join(lines)


def remember(folder: Path, record: dict[str, Any], options: argparse.Namespace) -> None:
    """Add the ratios of this call's parts to the history, with what they depend on."""
    parts = [record["parts"].get(name, {}) for name in options.only]
    sections = [part for part in parts if "tables" in part]
    if not sections:
        return
    found = {name: value for section in sections for name, value in ratios(section).items()}
    line = {
        "version": gramlab.__version__,
        "machine": sections[0]["machine"],
        "sources": [Path(source).stem for source in options.sources],
        "target": options.target,
        "quick": options.quick,
        "others": max(table["others"] for section in sections for table in section["tables"]),
        "ratios": {name: float(f"{ratio:.3g}") for name, ratio in found.items()},
    }
    path = folder / "benchmarks_history.jsonl"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = before + json.dumps(line, ensure_ascii=False) + "\n"
    atomic_write(path, text)
    entries = [json.loads(entry) for entry in text.splitlines()]
    rows = []
    for entry in entries:
        on = ", ".join(entry["sources"]) + (" (quick)" if entry["quick"] else "")
        said = "; ".join(f"{name} {value:.3g}×" for name, value in entry["ratios"].items())
        row = {"version": entry["version"], "machine": entry["machine"], "features": on}
        rows.append(row | {"ratios": said})
    atomic_write(folder / "benchmarks_history.md", "\n".join(markdown_table(rows)))


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", default=["digits"], help="digits, *.npz, …")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, help="runs of each timing (3; 1 with --quick)")
    parser.add_argument("--target", type=float, default=1e-10, help="relative duality gap")
    parser.add_argument("--cap", type=float, help="seconds for one run of a peer (60; 2)")
    parser.add_argument("--problem", default="", help="only problems whose name holds this text")
    parser.add_argument("--peers", default="", help="only peers whose name holds this text")
    parser.add_argument("--quick", action="store_true", help="small problems, to try the suite")
    parser.add_argument("--record", action="store_true", help="add a line to the history")
    parser.add_argument("--out", default="out/benchmarks")
    options = parser.parse_args()
    if options.repeats is not None and options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.cap = options.cap or (2.0 if options.quick else 60.0)
    return options


def main() -> None:
    options = command_line()
    asked = {name: getattr(options, name) for name in ("repeats", "cap", "peers", "quick")}
    settings = Settings(options.sources, options.target, problem=options.problem, **asked)
    folder = output_folder(options.out)
    path = folder / "benchmarks.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if record.get("format") != FORMAT:
        record = {"format": FORMAT, "parts": {}}
    warnings.simplefilter("ignore", gramlab.NotConvergedWarning)  # a miss is a row of a table
    partial = options.problem or len(options.only) < len(PARTS)
    for part in options.only:
        print(f"== {part}", flush=True)
        before, since = record["parts"].get(part, {}).get("tables", []), core_seconds()
        tables = {table["problem"]: table for table in before} if partial else {}
        for table in PARTS[part][1].run(settings):
            if "skipped" in table and before:
                print(f"    {table['skipped']}; the tables that are there are kept", flush=True)
            elif "skipped" in table:
                record["parts"][part] = table
            else:
                print(table["problem"], *markdown_table(table["rows"]), sep="\n", flush=True)
                others = round(share_of_others(since), 2)
                tables[table["problem"]] = table | asked | {"others": others}
                # Asked each time: libraries that came in since have thread pools of their own.
                record["parts"][part] = machine() | {"tables": list(tables.values())}
            atomic_write(path, to_json(record))
            atomic_write(folder / "benchmarks.md", markdown(record))
    if options.record:
        remember(folder, record, options)
    print("written: benchmarks.json and benchmarks.md")


if __name__ == "__main__":
    main()

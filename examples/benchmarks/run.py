"""The benchmark suite: one command, one JSON, one Markdown page.

    python examples/benchmarks/run.py digits FEATURES.npz ... --out docs/generated
    python examples/benchmarks/run.py --quick
    python examples/benchmarks/run.py FEATURES.npz --only study --repeats 1

Writes benchmarks.json and benchmarks.md to --out. A benchmark that is run again replaces its own
part of them and leaves the others, and with --only or --problem the problems of other sources as
well, so a long suite can be made in pieces; each part says on which machine it was made, and one
that this machine cannot do is left as it is. What is done is written as soon as it is known.
--record adds a line of ratios, without dates or seconds, to benchmarks_history.jsonl there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import accelerator
import authors_method
import batch
import one_head
import spectrum
import study
from _measure import Others, Settings, machine, machine_words, ratio_words, table

import gramlab
from gramlab.storage import atomic_write, output_folder, to_json

BENCHMARKS = {
    "one_head": ("One head against its peers", one_head),
    "batch": ("Many heads on the same features", batch),
    "study": ("A study of many heads", study),
    "spectrum": ("Closed forms from one factorization", spectrum),
    "authors_method": ("The authors' numerical method", authors_method),
    "accelerator": ("Large heads on an accelerator", accelerator),
}


BUSY = 0.05  # share of the cores in other programs' hands from which the tables warn


def settings_words(section: dict[str, Any]) -> str:
    settings, problems = section["settings"], section["result"].get("problems", ())
    words = "; quick run, only good for trying the suite" if settings["quick"] else ""
    if not any("repeats" in problem for problem in problems):  # those say it themselves
        words += f"; {settings['repeats']} repeats, peers at most {settings['cap']:g} s a run"
    return words


def markdown(record: dict[str, Any]) -> str:
    lines = []
    for name, (title, module) in BENCHMARKS.items():
        section = record["benchmarks"].get(name)
        if section is None:
            continue
        settings = section["settings"]
        lines += [f"### {title}", "", *module.markdown(section["result"], settings)]
        lines += [f"*{machine_words(section['machine'])}{settings_words(section)}.*", ""]
        others = section["others"]
        if others > BUSY:
            lines += [f"**Not idle: others took {100 * others:.0f} % of the cores meanwhile.**", ""]
    return "\n".join(lines)


def merged(before: dict[str, Any] | None, result: dict[str, Any]) -> dict[str, Any]:
    """A result of some problems, with the others as they were before."""
    if before is None or "problems" not in before:
        return result
    new = {problem["problem"]: problem for problem in result["problems"]}
    kept = [new.pop(problem["problem"], problem) for problem in before["problems"]]
    return {"problems": [*kept, *new.values()]}


def history_line(record: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Ratios of this call, with what they depend on; no date, no seconds."""
    sections = [record["benchmarks"][name] for name in names]
    ratios: dict[str, float] = {}
    for name, section in zip(names, sections, strict=True):
        ratios |= BENCHMARKS[name][1].headline(section["result"])
    facts = sections[0]["machine"]
    return {
        "version": gramlab.__version__,
        "machine": f"{facts['cpu']}, {facts['cores']} cores, {facts['device']}",
        "sources": sections[0]["settings"]["sources"],
        "target": sections[0]["settings"]["target"],
        "quick": sections[0]["settings"]["quick"],
        "others": round(max(section["others"] for section in sections), 2),
        "ratios": {name: float(f"{ratio:.3g}") for name, ratio in ratios.items()},
    }


def history_table(entries: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for entry in entries for name in entry["ratios"]))
    rows = []
    for entry in entries:
        on = ", ".join(entry["sources"]) + (" (quick)" if entry["quick"] else "")
        ratios = [ratio_words(entry["ratios"].get(name)) for name in names]
        rows.append([entry["version"], entry["machine"], on, *ratios])
    return "\n".join(table(["version", "machine", "features", *names], rows))


def remember(folder: Path, line: dict[str, Any]) -> None:
    path = folder / "benchmarks_history.jsonl"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = before + json.dumps(line, ensure_ascii=False) + "\n"
    atomic_write(path, text)
    entries = [json.loads(entry) for entry in text.splitlines()]
    atomic_write(folder / "benchmarks_history.md", history_table(entries))


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", default=["digits"], help="digits, *.npz, …")
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=list(BENCHMARKS))
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
    return options


def main() -> None:
    options = command_line()
    folder = output_folder(options.out)
    settings = Settings(
        sources=tuple(options.sources),
        target=options.target,
        repeats=options.repeats or (1 if options.quick else 3),
        cap=options.cap or (2.0 if options.quick else 60.0),
        quick=options.quick,
        problem=options.problem,
        peers=options.peers,
    )
    path = folder / "benchmarks.json"
    record: dict[str, Any] = {"format": 1, "benchmarks": {}}
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
    # Only names of sources are kept, never where they lay.
    shown = asdict(replace(settings, sources=tuple(Path(s).stem for s in settings.sources)))
    for name in options.only:
        print(f"== {name}", flush=True)
        others = Others()
        partial = options.problem or len(options.only) < len(BENCHMARKS)
        section = record["benchmarks"].get(name, {}) if partial else {}
        before, kept = section.get("result"), dict(section.get("settings", shown))
        kept["sources"] = list(dict.fromkeys([*kept.get("sources", ()), *shown["sources"]]))
        for result in BENCHMARKS[name][1].run(settings):
            if "skipped" in result and name in record["benchmarks"]:
                print(f"    {result['skipped']}; the table that is there is kept", flush=True)
                continue
            result = merged(before, result)
            # Asked each time: libraries that came in since then have thread pools of their own.
            record["benchmarks"][name] = {
                "settings": kept,
                "machine": machine(),
                "others": others.share(),
                "result": result,
            }
            atomic_write(path, to_json(record))
            atomic_write(folder / "benchmarks.md", markdown(record))
    if options.record:  # after "--only" without a name: of all that is there
        remember(folder, history_line(record, options.only or list(record["benchmarks"])))
    print("written: benchmarks.json and benchmarks.md")


if __name__ == "__main__":
    main()

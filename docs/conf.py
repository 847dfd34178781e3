"""Sphinx configuration: furo, MyST with executed notebooks, docstrings in numpy style."""

import re
import shutil
import sys
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import typer.main
from docutils import nodes
from sphinx.errors import ConfigError, ExtensionError
from typer.testing import CliRunner

from gramlab.cli import app as command_line
from gramlab.cli.text import format_value
from gramlab.cli.theorems import count_as, format_source, format_verdict
from gramlab.theorems import registry, run_all
from gramlab.theorems.catalogue import dropped, refuted
from gramlab.theorems.record import HOUSE, kernel_lines, place

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import theorem_graph  # noqa: E402  (a script of this folder)

metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project = metadata["name"]
author = metadata["authors"][0]["name"]
version = release = metadata["version"]
copyright = f"2026, {author}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas show without a network
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]

# generated/ holds fragments that pages take in (see take_in_generated), not pages; so does
# generated-theorems/overview.md. paper.md is in the form of the Journal of Open Source Software.
exclude_patterns = [
    "_build",
    "paper.md",
    "generated",
    "generated-theorems/overview.md",
    "**.ipynb_checkpoints",
]

html_theme = "furo"
html_title = f"{project} {version}"

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are stored without outputs and run at every build; a cell that raises fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# Without the extra "extract" the one notebook that needs it is shown as it is stored.
if find_spec("torch") is None or find_spec("transformers") is None:
    nb_execution_excludepatterns = ["notebooks/images_to_check.ipynb"]

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
# Types of parameters and attributes are words ("array of shape (N, d)"), which Sphinx takes for
# references to everything called "shape"; the warning says that there are several.
suppress_warnings = ["ref.python"]


def copy_notebooks() -> None:
    """Bring the notebooks under docs/, the only place where Sphinx looks for pages."""
    target = DOCS / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copyfile(notebook, target / notebook.name)


# ---- One page for each theorem of the registry --------------------------------------------------

# Instances of each check, and their seed.
INSTANCES, SEED = 100, 0


def write_theorems() -> None:
    """Prove and check every theorem and write its page; one that fails fails the build."""
    target = DOCS / "generated-theorems"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (target / ".gitignore").write_text("*\n", encoding="utf-8")
    rows = [
        "| theorem | paper | kind | source | verdict, level | failures | tightest slack | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    failing = []
    chosen = [theorem for _, theorem in sorted(registry.items())]
    reports = run_all(chosen, registry, INSTANCES, SEED)
    for report in reports:
        theorem, name = report.theorem, report.theorem.name
        if not report.ok:
            failing.append(f"{name}: {format_verdict(report)}, {report.failures} failures")
        cells = [
            f"[{plain(theorem.title)}](generated-theorems/{name}.md)",
            plain(", ".join(theorem.paper)),
            theorem.kind,
            plain(theorem.source),
            f"{format_verdict(report)}; {report.proof.level}",
            f"{report.failures} of {INSTANCES}",
            format_value(report.tightest_slack, ".1e"),
            ", ".join(f"`{'.'.join(path.split('.')[-2:])}`" for path in theorem.runs)
            or "dense code only",
        ]
        rows.append(f"| {' | '.join(cells)} |")
        (target / f"{name}.md").write_text(theorem_page(report), encoding="utf-8")
    if failing:
        raise ConfigError("theorems that fail: " + "; ".join(failing))
    counts = Counter(map(count_as, reports)).most_common()
    rows += ["", f"Of {len(reports)}: {', '.join(f'{number} {what}' for what, number in counts)}."]
    (target / "overview.md").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (target / "rocq-files.md").write_text(rocq_files_page(), encoding="utf-8")
    theorem_graph.write({one.theorem.name: theorem_graph.level(one.theorem) for one in reports})


def theorem_page(report) -> str:
    """Statement, hypotheses, proof, check and planted variants of one theorem."""
    theorem, proof = report.theorem, report.proof
    without = dropped(theorem, INSTANCES, SEED)
    lines = [
        f"# {plain(theorem.title)}",
        "",
        f"**{format_verdict(report).capitalize()}** · {theorem.kind} · source: "
        f"{plain(format_source(theorem.source))} · `gramlab theorems {theorem.name}`",
        *([f"· in the paper: {plain(', '.join(theorem.paper))}"] if theorem.paper else []),
        "",
        "## Statement",
        "",
        "$$",
        display(theorem.statement),
        "$$",
        "",
        "## Hypotheses",
        "",
    ]
    for hypothesis in theorem.hypotheses:
        lines.append(f"- {plain(hypothesis.name)}: ${' '.join(hypothesis.statement.split())}$")
        if hypothesis.name in without:
            number = without[hypothesis.name]
            lines[-1] += (
                f" (needed: without it the conclusion fails, on draw {number})"
                if number
                else f" (without it the conclusion did not fail in {INSTANCES} draws)"
            )
    lines += [
        "",
        "## Proof",
        "",
        f"Level: {proof.level}. Method: {plain(proof.method.rstrip('.'))}.",
        "",
        f"Scope: {plain(proof.scope.rstrip('.'))}.",
        "",
        *(f"- {code(line) if proof.level == 'kernel' else plain(line)}" for line in proof.evidence),
        *rocq_proof(report),
        "",
        "## Check",
        "",
        f"{INSTANCES} instances drawn from seed {SEED}: {report.failures} failures, tightest slack "
        f"{format_value(report.tightest_slack, '.1e')}.",
        "",
        f"Public code that the check runs: {', '.join(f'`{path}`' for path in theorem.runs)}."
        if theorem.runs
        else "The check runs no public code: both sides are computed by dense code of its own.",
    ]
    if theorem.expected == "counterexample":
        lines.append("Failures are as they should be here: the statement is false.")
    if theorem.planted:
        lines += ["", "False variants planted to see that the check can fail:", ""]
    for variant, number in refuted(theorem, INSTANCES, SEED).items():
        found = f"refuted on draw {number}" if number else f"not refuted in {INSTANCES} draws"
        lines.append(f"- {plain(variant)}: {found}")
    lines += [
        "",
        "## On an instance of your own",
        "",
        "```python",
        "from gramlab.theorems import check",
    ]
    lines += [
        "",
        f'check("{theorem.name}", {", ".join(f"{a}=..." for a in theorem.arguments)})',
        "```",
    ]
    lines += [
        "",
        *(f"- `{name}`: {plain(str(words))}" for name, words in theorem.arguments.items()),
    ]
    return "\n".join(lines) + "\n"


def rocq_proof(report) -> list[str]:
    """What a proof rests on, and the Rocq file; of one that covers a part, what is recorded."""
    theorem = report.theorem
    argued = [name for name in theorem.uses if name not in report.rests_on]
    told = []
    for names, words in (
        (report.rests_on, "The proof rests on {}."),
        (argued, "The argument on paper uses {}, which the Rocq proof does without."),
    ):
        links = ", ".join(f"[{name}]({name}.md)" for name in names)
        told += ["", words.format(links)] if names else []
    if theorem.kernel is None:
        return told
    if theorem.kernel.covers:
        told += ["", f"Rocq's kernel checks a part, {plain(theorem.kernel.covers)}:", ""]
        told += [f"- {code(line)}" for line in kernel_lines(theorem)]
    return [*told, "", *folded(place(theorem)), "", "What it requires: [](rocq-files.md)."]


def rocq_files_page() -> str:
    """All Rocq files that are of no single theorem."""
    single = {place(theorem) for theorem in registry.values() if theorem.kernel}
    lines = ["# Rocq files that proofs share", "", "Definitions and lemmas under the proofs."]
    for file in sorted({*HOUSE.glob("*.v")} - single):
        lines += ["", f"## {file.name}", "", *folded(file)]
    return "\n".join(lines) + "\n"


def folded(file: Path) -> list[str]:
    """A Rocq file as a block that opens at a click."""
    return [
        "```{raw} html",
        f"<details><summary>The Rocq file {file.name}</summary>",
        "```",
        f"```{{literalinclude}} ../../{file.relative_to(ROOT).as_posix()}",
        ":language: coq",
        "```",
        "```{raw} html",
        "</details>",
        "```",
    ]


def code(text: str) -> str:
    """What Rocq printed, in one line that Markdown shows as it is: it holds no backquote."""
    return f"`{' '.join(text.split())}`"


def plain(text: str) -> str:
    """Text in one line that Markdown shows as it is."""
    text = re.sub(r"([\\`*_{}\[\]<>#|$~^])", r"\\\1", " ".join(text.split()))
    text = re.sub(r"^(\d+)([.)])", r"\1\\\2", text)  # not a numbered list, nor another one
    return re.sub(r"^[-+=:]", r"\\\g<0>", text)


def display(statement: str) -> str:
    """LaTeX for a display: a long statement is broken at the spaces between its parts."""
    statement = " ".join(statement.split())
    if len(statement) <= 110:
        return statement
    parts, depth = [""], 0
    marks = r"(\\q?quad\b|\\iff\b|\\left\b|\\right\b|\\begin\b|\\end\b|\\.|[{}])"
    for piece in re.split(marks, statement):
        if depth == 0 and re.fullmatch(r"\\(q?quad|iff)", piece):
            parts.append(piece if piece == r"\iff" else "")
            continue
        depth += piece in ("{", r"\left", r"\begin")
        depth -= piece in ("}", r"\right", r"\end")
        parts[-1] += piece
    lines = [part.strip() for part in parts if part.strip()]
    return "\n".join([r"\begin{gathered}", " \\\\\n".join(lines), r"\end{gathered}"])


def command_help(*words: str) -> str:
    """What ``gramlab WORDS --help`` prints."""
    shown = CliRunner().invoke(command_line, [*words, "--help"], prog_name="gramlab")
    if shown.exit_code:
        raise ConfigError(f"gramlab {' '.join(words)} --help: exit code {shown.exit_code}")
    return f"```text\n{shown.output.strip()}\n```\n"


def every_help() -> str:
    """A section for each verb, with what it prints when asked for help."""
    parts = []

    def verb(command, *words: str) -> None:
        below = getattr(command, "commands", {})
        if not below:
            parts.append(f"## gramlab {' '.join(words)}\n\n{command_help(*words)}")
        for name, one in below.items():
            verb(one, *words, name)

    verb(typer.main.get_command(command_line))
    return "\n".join(parts)


def take_in_generated(app, name, source) -> None:
    """Replace ``<!-- generated: NAME -->`` by docs/generated/NAME, or say that it is not there."""

    def fragment(match: re.Match) -> str:
        path = DOCS / "generated" / match[1]
        if path.is_file():
            return path.read_text(encoding="utf-8")
        return f"*Not in this copy: `docs/generated/{match[1]}` is made by a command of its own.*"

    source[0] = re.sub(r"<!-- generated: ([\w.-]+) -->", fragment, source[0])
    # Pages link to the notebooks where the repository has them, the build where it copied them to.
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")
    if name == "reference/command_line":
        text = source[0].replace("<!-- help -->", command_help())
        source[0] = text.replace("<!-- help of every verb -->", every_help())


def prepare_docstring(app, what, name, obj, options, lines) -> None:
    """Escape what reStructuredText takes for its own: the bars of |x|, the last mark of ``coef_``.

    What a module says of itself is for those who change it; the pages say it for readers.
    """
    if what == "module":
        lines.clear()
    for number, line in enumerate(lines):
        pieces = re.split(r"(``.*?``)", line)  # literals stay as they are
        pieces[::2] = [re.sub(r"(?<!\\)\|", r"\\|", piece) for piece in pieces[::2]]
        lines[number] = re.sub(r"^:(ivar|vartype) (\w+)_:", r":\1 \2\\_:", "".join(pieces))


def refuse_pictures_as_text(app, doctree, name) -> None:
    """A cell that shows ``<Figure size ...>`` instead of its picture fails the build."""
    for block in doctree.findall(nodes.literal_block):
        if "<Figure size" in block.astext():
            raise ExtensionError(
                f"{name}: a cell shows {block.astext()[:60]!r} instead of a picture; "
                "end it with a Display, or with IPython.display.Image(figure_png(figure))"
            )


def write_pages(app) -> None:
    """Pages that are made anew at every build."""
    copy_notebooks()
    write_theorems()


def setup(app) -> None:
    app.connect("builder-inited", write_pages)
    app.connect("source-read", take_in_generated)
    app.connect("autodoc-process-docstring", prepare_docstring)
    app.connect("doctree-resolved", refuse_pictures_as_text)

"""What the project promises about itself: its commands, floors, versions, files and notation."""

import ast
import importlib
import importlib.util
import inspect
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[3]

TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "gramlab",
    "notebooks",
    "tests",
    "docs",
    "examples",
    ".ci",
    ".gitattributes",
    ".gitignore",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "SECURITY.md",
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tracked_files() -> list[str]:
    """The files under git, or a skip where the project is not in a repository of its own."""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"no git repository to ask: {problem}")
    files = [name for name in found.stdout.split("\0") if name and (ROOT / name).exists()]
    if not files:
        pytest.skip("git tracks no files here")
    return files


def marked_command(marker: str, page: str = "README.md") -> str:
    """The one line of the code block that follows an HTML marker in a page."""
    blocks = re.findall(rf"<!-- {marker} -->\s*```bash\n(.*?)\n```", read(page), re.DOTALL)
    assert len(blocks) == 1, f"{page} must hold exactly one block marked {marker}"
    assert "\n" not in blocks[0], f"the {marker} must be one line"
    return blocks[0]


# ---- Commands ---------------------------------------------------------------------------------


def test_readme_run_command_installs_and_runs_the_main_job():
    steps = marked_command("run-command").split(" && ")
    assert steps[0] == "python3 -m venv .venv"
    assert steps[1].startswith(".venv/bin/pip install")
    assert steps[1].endswith(" .")
    assert steps[2].startswith(".venv/bin/gramlab check digits ")


def test_readme_test_command_installs_and_tests():
    steps = marked_command("test-command").split(" && ")
    assert steps[0] == "python3 -m venv .venv"
    assert '".[test,docs]"' in steps[1]
    assert steps[2].startswith(".venv/bin/python -m pytest")
    every = marked_command("all-tests-command").split(" && ")
    assert every[:2] == steps[:2]
    assert every[2].startswith(steps[2])
    assert every[2].endswith(" tests")


def test_ci_takes_its_test_commands_from_the_pages():
    """The script's own extraction gives the marked lines, and the script has none beside them."""
    script = read(".ci/run")
    assert not re.search(r"-m pytest|\bpip3? install|-m venv", script), "one command, one place"
    awk = re.search(r"marked_command\(\) \{.*?\n\}", script, re.DOTALL)
    assert awk is not None
    for page, marker in (
        ("README.md", "all-tests-command"),
        ("CONTRIBUTING.md", "other-python-command"),
    ):
        assert f"$(marked_command {page} {marker})" in script
        found = subprocess.run(
            ["bash", "-c", f"{awk[0]}\nmarked_command {page} {marker}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout == marked_command(marker, page) + "\n"


def test_readme_example_runs(capsys):
    examples = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    assert len(examples) == 2
    names: dict = {}
    exec(compile(examples[0], "README.md", "exec"), names)
    assert "certified right" in capsys.readouterr().out
    digits = names["features"]
    names |= {"x": digits.x[:150], "y": [f"digit {k}" for k in digits.labels[:150]]}
    exec(compile(examples[1], "README.md", "exec"), names)
    assert "istil" in capsys.readouterr().out


def test_quickstart_runs(capsys):
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    assert "certified" in capsys.readouterr().out


def test_nothing_tells_to_install_gramlab_from_an_index():
    """It is on none: what works is an installation from a copy of the repository."""
    pages = [name for name in tracked_files() if name.endswith((".md", ".ipynb", ".cff"))]
    pages += [name for name in tracked_files() if name.startswith("gramlab/")]
    told = {name for name in pages if re.search(r"pip install[^.\n]*\bgramlab\b", read(name))}
    assert told == set()
    assert read("docs/features.md").count('pip install ".[extract]"') == 1


def test_ci_can_be_executed():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


# ---- Files ------------------------------------------------------------------------------------


def test_top_level_holds_only_what_was_agreed():
    found = {name.split("/", 1)[0] for name in tracked_files()}
    assert found <= TOP_LEVEL, f"not agreed at the top level: {sorted(found - TOP_LEVEL)}"


def refuses_pickle(line: str) -> bool:
    """Whether each mention of pickle in a line switches it off or is part of words for a person."""
    rest = re.sub(r"allow_pickle\s*=\s*False", "", line)
    if "pickle" not in rest.lower():
        return True
    code = re.sub(r"\bimport\b.*|\ballow_pickle\b|\bpickle\s*[.(]", "\0", rest, flags=re.IGNORECASE)
    return "\0" not in code


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("np.load(path, allow_pickle=False)", True),
        ('f"{path} holds pickled objects, which gramlab does not open"', True),
        ("import pickle", False),
        ("from pickle import loads", False),
        ("np.load(path, allow_pickle=True)", False),
        ("np.load(path, allow_pickle=flag)", False),
        ("pickle.loads(data)", False),
    ],
)
def test_the_search_for_pickle_sees_it(line, refused):
    assert refuses_pickle(line) is refused


def test_the_package_never_opens_a_pickle():
    offending = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "gramlab").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if not refuses_pickle(line)
    ]
    assert offending == []


def test_notebooks_are_stored_without_outputs():
    notebooks = [ROOT / name for name in tracked_files() if name.endswith(".ipynb")]
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells):
            stored = cell.get("outputs") or cell.get("execution_count")
            assert not stored, f"{path.name}, cell {number}: clear the outputs before committing"


def test_no_large_files():
    large = [name for name in tracked_files() if (ROOT / name).stat().st_size > 1_000_000]
    assert large == [], "data belong in GRAMLAB_DATA, not in the repository"


# ---- Imports ----------------------------------------------------------------------------------


FAR = "matplotlib sklearn jinja2 torch pyarrow scipy.stats scipy.optimize scipy.sparse"
NEAR = f"{FAR} jax typer rich sympy z3 flint scipy.linalg scipy.special"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("gramlab", NEAR),
        ("gramlab.cli.diagnose", NEAR.replace(" typer", "")),
        ("gramlab.diagnosis", f"{FAR} typer rich sympy z3 flint"),
        ("gramlab.check", f"{FAR} typer rich sympy z3 flint"),
    ],
)
def test_imports_are_light(module, heavy):
    """Each costs every run of the command line more than many a problem takes to solve."""
    program = f"import sys, {module}; print([m for m in {heavy.split()!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["gramlab.diagnosis", "gramlab.check"])
def test_jax_is_loaded_by_the_head_that_needs_it(module):
    program = f"import sys, {module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_public_names_are_all_there():
    import gramlab

    missing = [name for name in gramlab.__all__ if not hasattr(gramlab, name)]
    assert missing == []
    assert set(gramlab.__all__) <= set(dir(gramlab))


def test_floors_and_walls():
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed (pip install '.[test]')")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def borrowed_privates(source: str, modules: set[str]) -> list[str]:
    """Underscore names that a file takes from another; not methods of tuples, nor ``modules``."""
    tree, own, taken = ast.parse(source), {"_replace", "_asdict", "_exit"} | modules, []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gramlab"):
            taken += [alias.name for alias in node.names if private(alias.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            taken.append(node.attr)
    return [name for name in taken if name not in own]


def test_no_room_takes_what_another_calls_private():
    files = sorted((ROOT / "gramlab").rglob("*.py"))
    for path in files:
        beside = {other.stem for other in path.parent.glob("_*.py")}
        assert borrowed_privates(path.read_text(encoding="utf-8"), beside) == [], path
    # Planted: each way to take one.
    assert borrowed_privates("from gramlab.spectrum import _gram", set()) == ["_gram"]
    assert borrowed_privates("import gramlab\ngramlab.spectrum._gram(x)", set()) == ["_gram"]
    assert borrowed_privates("def _own(): pass\n_own()", set()) == []


def test_no_file_is_longer_than_400_lines():
    lengths = {
        p: p.read_text(encoding="utf-8").count("\n") for p in (ROOT / "gramlab").rglob("*.py")
    }
    assert {str(path): n for path, n in lengths.items() if n > 400} == {}


# ---- Versions ---------------------------------------------------------------------------------


def test_versions_agree():
    import gramlab

    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    citation = re.search(r"^version: (\S+)$", read("CITATION.cff"), re.MULTILINE)
    assert citation is not None
    assert citation[1].strip("\"'") == version
    released = re.findall(r"^## \[(\d[^]]*)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert released[0] == version
    assert gramlab.__version__ == version


def test_wheel_holds_the_package_alone(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"gramlab", wheel.name[:13] + ".dist-info"}
    tracked = {name for name in tracked_files() if name.startswith("gramlab/")}
    assert {name for name in names if name.startswith("gramlab/")} == tracked
    assert "gramlab/py.typed" in names, "so that type checkers read the annotations"
    proofs = {Path(name).suffix for name in names if name.startswith("gramlab/theorems/rocq/")}
    assert proofs == {".v", ".json"}, "the Rocq proofs and their record, and nothing compiled"


# ---- Docs -------------------------------------------------------------------------------------


def rooms() -> set[str]:
    """Every module but the faces of cli and the single theorems, which the docs list themselves."""
    package = ROOT / "gramlab"
    files = [path for path in package.rglob("*.py") if not path.name.startswith("_")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    theorems = ("catalogue", "dependence", "form", "kernel", "record", "steps")
    shown = {f"gramlab.theorems.{name}" for name in theorems}
    return shown | {
        name for name in names if not name.startswith(("gramlab.cli", "gramlab.theorems."))
    }


def public_names(room: str) -> list[str]:
    """What a room calls public: ``__all__``, or what it defines itself without an underscore."""
    module = importlib.import_module(room)
    own = (
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == room and not name.startswith("_")
    )
    return list(getattr(module, "__all__", own))


def reference_names() -> list[str]:
    """Every name that a directive of the reference shows, as ``room.name``."""
    shown = []
    for path in sorted((ROOT / "docs" / "reference").glob("*.md")):
        text, current = path.read_text(encoding="utf-8"), ""
        pattern = r"\.\. (\w+):: (\S+)((?:\n +:[^\n]+)*)"
        for directive, name, options in re.findall(pattern, text):
            if directive == "currentmodule":
                current = name
            elif directive == "automodule":
                current = name
                given = dict(re.findall(r":([\w-]+): *(.*)", options))
                names = given.get("members") or ", ".join(public_names(name))
                left_out = given.get("exclude-members", "").split(", ")
                shown += [f"{name}.{one}" for one in names.split(", ") if one not in left_out]
            elif directive.startswith("auto"):
                shown.append(name if name.startswith("gramlab.") else f"{current}.{name}")
    return shown


def defined_at(name: str) -> str:
    """Where a name was defined, so that one thing under two names is told as one."""
    room, own = name.rsplit(".", 1)
    thing = getattr(importlib.import_module(room), own)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return f"{thing.__module__}.{thing.__qualname__}"
    return f"{own}, number {id(thing)}"


def test_reference_shows_each_public_name_once():
    shown = reference_names()
    assert [name for name in shown if not resolves(name)] == []
    things = [defined_at(name) for name in shown]
    assert {name for name in things if things.count(name) > 1} == set()
    public = [f"gramlab.{name}" for name in public_names("gramlab")]
    for room in (
        "diagnosis",
        "transition",
        "estimator",
        "extract",
        "figures",
        "report",
        "testing",
        "theorems",
    ):
        public += [f"gramlab.{room}.{name}" for name in public_names(f"gramlab.{room}")]
    missing = [name for name in public if defined_at(name) not in things]
    assert missing == ["gramlab.figures.Figure"]  # Matplotlib's own


def test_every_page_of_the_docs_can_be_reached():
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in docs_pages()}
    trees = {
        (page.parent / entry.strip())
        for page in docs_pages()
        for tree in re.findall(
            r"```{toctree}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        )
        for entry in tree.splitlines()
        if entry.strip() and not entry.startswith(":")
    }
    listed = {Path(os.path.normpath(path)).relative_to(ROOT / "docs") for path in trees}
    assert pages - listed == {Path("index")}


def test_links_lead_somewhere_in_the_repository():
    """As it is read there; the docs build looks at the links between its own pages too."""
    files = tracked_files()
    there = {str(path) for name in files for path in (Path(name), *Path(name).parents)}
    pages = [ROOT / name for name in files if re.fullmatch(r"[^/]+\.md", name)]
    dead = []
    for page in [*docs_pages(), *pages]:
        for target in re.findall(r"\]\(([^()\s:#]+)[^()\s:]*\)", page.read_text(encoding="utf-8")):
            if os.path.relpath(page.parent / target, ROOT) not in there:
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []


def docs_pages() -> list[Path]:
    """The pages that are written by hand; the paper is none."""
    pages = [name for name in tracked_files() if re.fullmatch(r"docs(/reference)?/\w+\.md", name)]
    return [ROOT / name for name in pages if name != "docs/paper.md"]


def test_paper_cites_what_the_bibliography_holds():
    cited = set(re.findall(r"@(\w+)[;\]]", read("docs/paper.md")))
    assert cited
    assert cited <= set(re.findall(r"^@\w+{(\w+),", read("docs/references.bib"), re.M))


def test_figures_of_the_plotting_page_are_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", read("docs/plot_features.md"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "plot_features.md", "exec"), names)
    written = {path.name: path.read_bytes()[:4] for path in tmp_path.iterdir()}
    vectors = {"gap.pdf": b"%PDF", "classes.svg": b"<?xm", "column.pdf": b"%PDF"}
    assert written == {"gram.png": b"\x89PNG"} | vectors


def test_docs_hold_one_table_a_study_and_name_its_command():
    """No file of a single cell, no page of a thousand lines, nothing that no command makes."""
    files = [name for name in tracked_files() if name.startswith("docs/generated/")]
    assert all(name.count("/") == 2 for name in files), "one folder, no cells"
    pages = "".join(path.read_text(encoding="utf-8") for path in docs_pages())
    for name in files:
        taken_in = f"generated: {Path(name).stem}.md -->" in pages
        assert taken_in or f"generated/{Path(name).name}" in pages, name
        if name.endswith(".md"):
            assert read(name).count("\n") <= 500, name


def test_architecture_page_names_every_room():
    page = read("docs/architecture.md")
    missing = [name for name in rooms() if f"`{name.rsplit('.', 1)[-1]}`" not in page]
    assert missing == []
    cells = [cell for line in page.splitlines() if line[:1] == "|" for cell in line.split("|")]
    assert max(len(cell.split()) for cell in cells) <= 25, "a cell is read at a glance"


def test_picture_of_the_rooms_shows_each():
    shown = set(re.findall(r">(\w+)</text>", read("docs/images/rooms.svg")))
    there = {name.split(".")[1] for name in rooms()} | {"cli"}
    assert there - shown == set(), "run python docs/rooms.py"
    assert {name for name in shown if name.islower()} - there <= {"matplotlib", "typer", "jinja2"}


def test_docs_link_to_the_notebooks_that_the_build_copied():
    pytest.importorskip("sphinx")
    source = ["see [it](../notebooks/study.ipynb)"]
    runpy.run_path(str(ROOT / "docs" / "conf.py"))["take_in_generated"](None, "index", source)
    assert source == ["see [it](notebooks/study.ipynb)"]


def test_docs_refuse_a_figure_that_is_shown_as_text():
    pytest.importorskip("sphinx")
    from docutils import nodes, utils
    from sphinx.errors import ExtensionError

    refuse = runpy.run_path(str(ROOT / "docs" / "conf.py"))["refuse_pictures_as_text"]
    page = utils.new_document("page")
    page += nodes.literal_block("", "label recovery 0.9")
    refuse(None, page, "page")
    page += nodes.literal_block("", "<Figure size 640x480 with 1 Axes>")
    with pytest.raises(ExtensionError, match="instead of a picture"):
        refuse(None, page, "page")


@pytest.fixture
def examples_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


def test_pages_are_what_their_tables_say(examples_path):
    pytest.importorskip("cleanlab")
    kept_rows, judged, noise = map(
        importlib.import_module, ("kept_rows", "diagnose_judged", "transition")
    )
    for name, example, key, order in (
        ("diagnose_judged", judged, ("kind", "seed"), judged.order),
        (
            "transition",
            noise,
            ("kind", "rate", "seed"),
            lambda c: (c["kind"], c["rate"], c["seed"]),
        ),
    ):
        path = ROOT / "docs" / "generated" / f"{name}.csv"
        kept = kept_rows.KeptRows(path, "features", *key)
        page = example.markdown(kept.by("features", order))
        assert page.strip() == read(f"docs/generated/{name}.md").strip()


def test_the_page_of_schedules_is_what_its_lines_say(examples_path):
    from kept_rows import KeptRows
    from schedules import PARTS
    from schedules_report import markdown

    found = {}
    for part, (key, *_) in PARTS.items():
        path = ROOT / "docs" / "generated" / f"schedules_{part}.csv"
        kept = KeptRows(path, "features", "seed", key)
        found[part] = kept.by("features", lambda row: row["seed"])
    assert markdown(**found).strip() == read("docs/generated/schedules.md").strip()


def test_kept_rows_go_on_from_their_file(examples_path, tmp_path):
    from kept_rows import KeptRows

    row = {"name": "a,b", "rate": 0.1, "ok": True, "none": None, "at": {"x": [1.5, 2]}, "n": 3}
    KeptRows(tmp_path / "t.csv", "name", "rate").add(row)
    again = KeptRows(tmp_path / "t.csv", "name", "rate")
    assert again.rows == {("a,b", 0.1): row}
    again.add({"name": "c", "rate": 1e-300, "refused": "no"})
    last = KeptRows(tmp_path / "t.csv", "name", "rate")
    assert ("c", 1e-300) in last
    assert last.rows["a,b", 0.1]["at"] == row["at"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# ---- Notation ---------------------------------------------------------------------------------


def resolves(name: str) -> bool:
    """Whether ``gramlab.a.b`` or ``gramlab.a.b(parameter)`` names something that exists."""
    dotted, _, parameter = name.removesuffix(")").partition("(")
    parts = dotted.split(".")
    here = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], start=1):
        if hasattr(here, part):
            here = getattr(here, part)
        elif inspect.ismodule(here):
            try:
                here = importlib.import_module(".".join(parts[: position + 1]))
            except ModuleNotFoundError:
                return False
        else:  # a field without a default is no attribute of its class, but it is declared there
            declared = inspect.get_annotations(here) if inspect.isclass(here) else {}
            return part in declared and position == len(parts) - 1 and not parameter
    return not parameter or parameter in inspect.signature(here).parameters


def notation_names() -> list[str]:
    return re.findall(r"`(gramlab\.[\w.]+(?:\(\w+\))?)`", read("docs/notation.md"))


def test_the_notation_table_is_read():
    assert len(notation_names()) > 25


@pytest.mark.parametrize("name", sorted(set(notation_names())))
def test_notation_names_exist(name):
    assert resolves(name), f"docs/notation.md names {name}, which does not exist"


@pytest.mark.parametrize(
    "name",
    [
        "gramlab.NoSuchName",
        "gramlab.no_such_room.f",
        "gramlab.Features.no_such_field",
        "gramlab.distill(no_such_parameter)",
    ],
)
def test_notation_names_that_do_not_exist_are_caught(name):
    assert not resolves(name)


def test_the_thorough_profile_reaches_every_property_test():
    """Marked with a number of its own, a test would keep it; ``examples`` gives it up."""
    before = settings.get_current_profile_name()
    try:
        settings.load_profile("thorough")
        assert examples(7).max_examples == settings().max_examples == 2000
        settings.load_profile("default")
        assert examples(7).max_examples == 7
    finally:
        settings.load_profile(before)
    number = "max_" + "examples="
    files = (path for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [path.name for path in files if number in path.read_text(encoding="utf-8")] == []
    assert number in read("tests/conftest.py")
    assert "--hypothesis-profile=thorough" in read("CONTRIBUTING.md")

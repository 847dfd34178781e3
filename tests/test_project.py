"""What the project promises about itself: its commands, floors, versions, files and notation."""

import importlib
import importlib.util
import inspect
import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

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


def marked_command(marker: str) -> str:
    """The one line of the code block that follows an HTML marker in the README."""
    blocks = re.findall(rf"<!-- {marker} -->\s*```bash\n(.*?)\n```", read("README.md"), re.DOTALL)
    assert len(blocks) == 1, f"README.md must hold exactly one block marked {marker}"
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


def test_ci_takes_its_test_command_from_the_readme():
    script = read(".ci/run")
    assert "readme_command test-command" in script
    assert marked_command("test-command") not in script
    assert not re.search(r"-m pytest|\bpip3? install|-m venv", script), "one command, one place"
    # The script's own extraction gives the marked line.
    awk = re.search(r"readme_command\(\) \{\n.*?\n\}", script, re.DOTALL)
    assert awk is not None
    found = subprocess.run(
        ["bash", "-c", f"{awk[0]}\nreadme_command test-command"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == marked_command("test-command") + "\n"


def test_readme_example_runs(capsys):
    examples = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    assert len(examples) == 1
    exec(compile(examples[0], "README.md", "exec"), {})
    assert "certified right" in capsys.readouterr().out


def test_quickstart_runs(capsys):
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    assert "certified" in capsys.readouterr().out


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


# ---- Docs -------------------------------------------------------------------------------------


def rooms() -> set[str]:
    """Every module but the faces of cli and the single theorems, which the docs list themselves."""
    package = ROOT / "gramlab"
    files = [path for path in package.rglob("*.py") if not path.name.startswith("_")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    shown = {"gramlab.theorems.catalogue", "gramlab.theorems.form"}
    return shown | {
        name for name in names if not name.startswith(("gramlab.cli", "gramlab.theorems."))
    }


def test_reference_holds_every_room():
    listed = set(re.findall(r"automodule:: (gramlab[\w.]+)", read("docs/api.md")))
    assert listed == rooms()


def test_architecture_page_names_every_room():
    page = read("docs/architecture.md")
    missing = [name for name in rooms() if f"`{name.rsplit('.', 1)[-1]}`" not in page]
    assert missing == []


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
    files = (path for path in (ROOT / "tests").glob("*.py") if path.name != "conftest.py")
    assert [path.name for path in files if number in path.read_text(encoding="utf-8")] == []
    assert number in read("tests/conftest.py")
    assert "--hypothesis-profile=thorough" in read("CONTRIBUTING.md")

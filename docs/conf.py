"""Sphinx configuration: furo, MyST with executed notebooks, docstrings in numpy style."""

import re
import shutil
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project = metadata["name"]
author = metadata["authors"][0]["name"]
version = release = metadata["version"]
copyright = f"2026, {author}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]

# generated/ holds fragments that pages take in (see take_in_generated), not pages.
exclude_patterns = ["_build", "generated", "**.ipynb_checkpoints"]

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

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autosummary_generate = False
autosummary_ignore_module_all = False
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False


def copy_notebooks() -> None:
    """Bring the notebooks under docs/, the only place where Sphinx looks for pages."""
    target = DOCS / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copyfile(notebook, target / notebook.name)


def take_in_generated(app, name, source) -> None:
    """Replace ``<!-- generated: NAME -->`` by docs/generated/NAME, or say that it is not there."""

    def fragment(match: re.Match) -> str:
        path = DOCS / "generated" / match[1]
        if path.is_file():
            return path.read_text(encoding="utf-8")
        return f"*Not in this copy: `docs/generated/{match[1]}` is made by a command of its own.*"

    source[0] = re.sub(r"<!-- generated: ([\w.-]+) -->", fragment, source[0])


def keep_absolute_values(app, what, name, obj, options, lines) -> None:
    """Escape the bars of |x| in docstrings, which reStructuredText takes for a substitution."""
    for number, line in enumerate(lines):
        pieces = re.split(r"(``.*?``)", line)  # literals stay as they are
        pieces[::2] = [re.sub(r"(?<!\\)\|", r"\\|", piece) for piece in pieces[::2]]
        lines[number] = "".join(pieces)


copy_notebooks()


def setup(app) -> None:
    app.connect("source-read", take_in_generated)
    app.connect("autodoc-process-docstring", keep_absolute_values)

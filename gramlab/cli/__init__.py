"""The command line: one function per verb, one line per error, exit codes that can be relied on.

``main`` turns every foreseen end into a line on stderr and an exit code; what is not foreseen keeps
its traceback. JAX, scikit-learn and Matplotlib are loaded by the verbs that need them, when they
need them, so that ``gramlab --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Annotated, Any, NoReturn

import typer
import typer.main

from gramlab import __version__
from gramlab.cli import (
    check,
    correlations,
    diagnose,
    extract,
    features,
    population,
    study,
    theorems,
    transition,
)
from gramlab.cli.options import option
from gramlab.cli.parsing import Group, UsageError, Verb, misuse
from gramlab.cli.stopping import Stopped, signals_raise
from gramlab.cli.text import emit, say
from gramlab.errors import GramAsFeaturesWarning, GramlabError, NotConvergedWarning, one_line

__all__ = ["app", "main"]

# A paragraph that begins with \b keeps its line breaks.
EXIT_CODES = """\b
Exit codes:
  0    done (a head that did not converge is a warning, not an error)
  1    a fault in gramlab itself, with a traceback; or a theorem that fails
  2    a wrong option, source, setting or output path; one line says which
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM. Files written are whole.
  141  whoever read the output went away
"""

FIRST = """Self-distillation on frozen features: the theory beside the exact softmax heads.

Type one of these:

  gramlab check digits
      a first result in a minute, on data that come with gramlab
  gramlab extract --images photos --backbone microsoft/resnet-34 --out feats
      features of your images, of each class in a folder of its own
  gramlab features import data.csv --out data.safetensors
      features that you have: .csv, .parquet, .npy, .npz, .pt
  gramlab check feats
      the same on features of yours; gramlab diagnose feats finds wrong labels
  gramlab --help
      all commands, examples and exit codes
"""

CITATION = f"""Please cite the paper whose theory gramlab implements, and gramlab itself:

@inproceedings{{jeong2025rethinking,
  title     = {{Rethinking Self-Distillation: Label Averaging and Enhanced Soft Label Refinement
               with Partial Labels}},
  author    = {{Jeong, Hyeonsu and Chung, Hye Won}},
  booktitle = {{The Thirteenth International Conference on Learning Representations (ICLR 2025)}},
  year      = {{2025}},
  url       = {{https://openreview.net/forum?id=EJfLvrzh2Q}},
  note      = {{arXiv:2402.10482}}
}}

@software{{gramlab,
  title   = {{gramlab: self-distillation on frozen features, theory against the exact head}},
  author  = {{{{gramlab developers}}}},
  version = {{{__version__}}}
}}
"""

_CITE = "Print how to cite the paper and gramlab, and exit."

# Where the same command goes on after a stop; other verbs keep nothing of unfinished work.
_GOES_ON = {
    "study": "goes on after the last finished cell",
    "extract": "goes on at the first missing shard",
}

_VERBS = (check, diagnose, theorems, population, study, correlations, transition, extract)


def _examples(commands: Iterable[str]) -> str:
    return "\b\nExamples:\n" + "".join(f"  {command}\n" for command in commands)


def _gramlab(
    context: typer.Context,
    version: Annotated[bool, option("Print the version and exit.", "--version")] = False,
    cite: Annotated[bool, option(_CITE, "--cite")] = False,
) -> None:
    if version or cite:
        emit(f"gramlab {__version__}\n" if version else CITATION)
        raise typer.Exit
    if context.invoked_subcommand is None:
        emit(FIRST)


app = typer.Typer(
    name="gramlab",
    cls=Group,
    callback=_gramlab,
    invoke_without_command=True,
    help="Self-distillation on frozen features: the closed-form theory beside the exact softmax "
    "heads, with a certificate for every number.",
    epilog=f"{_examples(verb.EXAMPLES[0] for verb in (*_VERBS, features))}\n{EXIT_CODES}",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in _VERBS:
    name = verb.__name__.rpartition(".")[2]
    run = getattr(verb, name)
    app.command(
        name,
        cls=Verb,
        short_help=(run.__doc__ or "").partition("\n")[0],  # the docstring is the help
        epilog=f"{_examples(verb.EXAMPLES)}\n{getattr(verb, 'NOTE', '')}\n{EXIT_CODES}",
    )(run)
app.add_typer(features.app)


@cache
def _command() -> Any:
    """All verbs with their options, made once: it takes longer than some of them."""
    return typer.main.get_command(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code, see ``gramlab --help``.

    Without ``argv``, the arguments after the program's name, the arguments are those of the
    process: this call then is the program, and one that is stopped ends the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with signals_raise(), _warnings_in_one_line():
            code = _command().main(args=arguments, prog_name="gramlab", standalone_mode=False)
    except Stopped as stop:
        if stop.reason:
            again = _GOES_ON.get(next(iter(arguments), ""), "begins anew")
            say(
                f"stopped by {stop.reason}: files written so far are whole; run the same command "
                f"again, it {again}"
            )
        if argv is None:
            _leave(stop.exit_code)
        return stop.exit_code
    except GramlabError as problem:
        refusal = str(problem)
    except MemoryError:
        refusal = (
            "expected enough memory for what was asked, but it is used up; use fewer rows, "
            "close other programs, or raise the limit of this process (ulimit -v)"
        )
    except UsageError as problem:
        refusal = misuse(problem, arguments)
    except SystemExit as end:  # typer's way to end once it has written or installed a completion
        return end.code if isinstance(end.code, int) else 0
    else:
        if code != 1 or not {"--install-completion", "--show-completion"} & set(arguments):
            return code if isinstance(code, int) else 0
        refusal = (
            "expected to be run in a shell that can complete, but it is none of those known "
            "here; start bash, zsh, fish or PowerShell first"
        )
    say(f"error: {refusal}")
    return 2


def _leave(code: int) -> NoReturn:
    """End the process now: everything is cleaned up, but for what XLA's threads have in hand.

    A compilation that was interrupted leaves threads at work, and Python's own way out takes the
    ground from under them, which ends in a crash now and then.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it
            stream.flush()
    os._exit(code)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show each warning of gramlab's own as one line; others keep their usual form."""
    own = NotConvergedWarning, GramAsFeaturesWarning
    with warnings.catch_warnings():
        for category in own:
            warnings.simplefilter("always", category)
        usual: Any = warnings.showwarning

        def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if issubclass(category, own):
                say(f"warning: {message}")
            else:
                usual(one_line(str(message)), category, *place, **more)

        warnings.showwarning = show
        yield

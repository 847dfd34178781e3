"""How the words of a command are read: help, lists, options given twice, what was misspelt."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from gramlab.cli.text import show_help
from gramlab.errors import InvalidSetting

# typer does not export the base of its usage errors, and where it lives depends on its version.
UsageError: Any = typer.BadParameter.__bases__[0]


def _helps(context: Any, _: Any, asked: bool) -> None:
    """Print the help and end, as ``--help`` does; a stdout that takes nothing is an error."""
    if asked and not context.resilient_parsing:
        show_help(context)
        context.exit()


class _Helpful:
    """A command whose help goes the way of all that is printed (``text.emit``)."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option that typer makes, with what it does replaced."""
        usual: Any = super()
        found = usual.get_help_option(ctx)
        found.callback = _helps
        return found


class Group(_Helpful, TyperGroup):
    """Commands under one name, which alone shows their list."""


class Verb(_Helpful, TyperCommand):
    """A command whose lists go on up to the next option, and whose other options come once.

    SOURCE may stand anywhere: where it is not elsewhere, it is the last word in a list that is
    none of its values (``options.listed`` says which are), save the first word of the list.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Hand typer the arguments with each value of a list behind an option of its own."""
        try:
            whole = args if ctx.resilient_parsing else self._apart(args, self.get_params(ctx))
            return super().parse_args(ctx, whole)
        except UsageError as problem:
            problem.ctx = problem.ctx or ctx  # typer forgets it where a value is missing
            raise

    def _apart(self, args: Sequence[str], params: Sequence[Any]) -> list[str]:
        options = [one for one in params if one.param_type_name == "option"]
        named = {name: one for one in options for name in (*one.opts, *one.secondary_opts)}
        seen: dict[str, str] = {}  # what an option was given as: a flag's name, or the value
        apart: list[list[str]] = []
        places: list[int] = []  # in ``apart``: words of lists that may be SOURCE
        missing, words, after, fits = len(params) > len(options), [*args], "", None
        while words:
            word = words.pop(0)
            if word == "--":
                missing = missing and not words
                apart.append([word, *words])
                break
            name, attached, value = word.partition("=")
            one = named.get(name)
            if one is None and fits and (not word.startswith("-") or fits(word)):
                places += [] if fits(word) else [len(apart)]
                apart.append([after, word])
                continue
            fits, after = getattr(one and one.callback, "fits", None), name
            apart.append([word])
            if one is None:
                missing = missing and word.startswith("-")
                continue
            flag = one.is_flag
            if not flag and not attached and words:
                value = words.pop(0)
                apart[-1].append(value)
            given = value if not flag else one.opts[0] if name in one.opts else name
            if not fits and one.name in seen and not (flag and given == seen[one.name]):
                raise InvalidSetting(
                    f"{name} is given twice, as {seen[one.name]!r} and {given!r}, but takes one "
                    "value; leave one of them out"
                )
            seen[one.name] = given
        if missing and places:
            apart[places[-1]] = apart[places[-1]][1:]
        return [word for part in apart for word in part]


def misuse(problem: Any, arguments: Sequence[str]) -> str:
    """What is wrong with a command, and what to type next."""
    context, said = problem.ctx, problem.format_message().rstrip(".")
    if context is None:
        return f"{said}; see gramlab --help"
    verb, command = context.command_path, context.command
    see = f"see {verb} --help"
    if hasattr(problem, "possibilities") and hasattr(problem, "option_name"):
        starts = [word for word in arguments if word.startswith(problem.option_name)]
        word = (starts or [problem.option_name])[0].partition("=")[0]
        names = [name for one in command.params for name in one.opts if name.startswith("--")]
        near = get_close_matches(f"--{word.strip('-')}", [*names, "--help"], 1, 0.7)
        return f"{verb} has no option {word!r}; {''.join(f'type {n}, or ' for n in near)}{see}"
    if unknown := re.match(r"No such command '(.*?)'(\.|$)", said):
        root, word = context.find_root().command, unknown[1]
        paths = {word: f"gramlab {word}" for word in root.commands}
        for group, one in root.commands.items():
            below = getattr(one, "commands", ())
            paths |= {name: f"gramlab {group} {name}" for name in below}
        near = [paths[name] for name in get_close_matches(word, paths, 1)]
        if word == "digits" or os.path.exists(word):
            near = [f"gramlab check {shlex.quote(word)}"]
        return f"{verb} has no command {word!r}; {''.join(f'type {n}, or ' for n in near)}{see}"
    example = re.search(r"^  (gramlab .+)", command.epilog or "", re.MULTILINE)
    if example is None or type(problem) is typer.BadParameter:
        return f"{said}; {see}"
    return f"{said}; type for example {example[1]}, or {see}"

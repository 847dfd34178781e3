"""Error classes: everything gramlab refuses on purpose, in one family."""

from __future__ import annotations

import re

# What Unicode calls default ignorable and Python printable, and the blank of Braille.
NO_FORM = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def printable(text: str) -> str:
    r"""Text that hides nothing and that no terminal obeys: what is not printable as its escape.

    Such are line breaks and other controls, ESC, U+2028, marks of direction, what has no width
    (U+200B, U+FEFF, soft hyphens), lone surrogates and every space but the plain one: whatever
    ``repr`` escapes, as ``\x1b`` or ``\u202e``.
    """
    return "".join(c if shows(c) else c.encode("unicode_escape").decode() for c in text)


def shows(letter: str) -> bool:
    """Whether a letter is printable and has a form of its own (Default_Ignorable has none)."""
    return letter.isprintable() and not NO_FORM.match(letter)


def one_line(text: str, longest: int = 2000) -> str:
    """One printable line of about ``longest`` characters at most, whatever a library says.

    Line breaks become spaces, the rest is :func:`printable`, and the middle of a long text is left
    out.
    """
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
    return printable(re.sub(r"[\r\n]+", " ", text.strip("\r\n")))


class GramlabError(Exception):
    """Base of every error raised on purpose by gramlab.

    Its message says what was expected, what came, where, and the fix, on one line, also when it
    quotes another library.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(str(message)))


class InvalidFeatures(GramlabError, ValueError):
    """Features with a wrong shape or dtype, or with a value that cannot be used."""


class InvalidLabels(GramlabError, ValueError):
    """Class labels out of range, of the wrong kind or of the wrong length."""


class InvalidTargets(GramlabError, ValueError):
    """Soft targets off the simplex, or of the wrong shape."""


class InvalidSetting(GramlabError, ValueError):
    """A setting (rate, weight decay, count, matrix, name) outside its range."""


class UnreadableSource(GramlabError, OSError):
    """A feature source that is missing, damaged, foreign or unsafe to open."""


class OutputError(GramlabError, OSError):
    """A file or folder that could not be written."""


class NotEnoughMemory(GramlabError, MemoryError):
    """A request that would need more memory than is free."""


class DeviceError(GramlabError, RuntimeError):
    """JAX cannot compute here: a platform that is not there, or a process forked too late."""


class NoCertificate(GramlabError, AttributeError):
    """A certificate was asked of a fit whose objective has none."""


class Diverged(GramlabError, ArithmeticError):
    """An iteration without a line search that left the range of finite numbers."""


class NotConvergedWarning(UserWarning):
    """A solver stopped before its tolerance; the message gives the reason and a remedy."""


class GramAsFeaturesWarning(UserWarning):
    """Features that look like a Gram matrix, whose own Gram matrix is its square."""

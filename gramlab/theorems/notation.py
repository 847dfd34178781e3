"""Statements in LaTeX as text for a terminal, by the part of LaTeX that statements use."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["as_unicode"]

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\s+|.", re.DOTALL)

_WIDE = "\N{EM SPACE}"
_SYMBOLS: dict[str, str] = {
    **dict(zip("alpha beta gamma delta".split(), "αβγδ", strict=True)),
    **dict(zip("varepsilon epsilon eta theta".split(), "εϵηθ", strict=True)),
    **dict(zip("kappa lambda mu nu xi pi rho".split(), "κλμνξπρ", strict=True)),
    **dict(zip("sigma tau phi chi psi omega".split(), "στφχψω", strict=True)),
    **dict(zip("Gamma Delta Theta Lambda Pi Sigma".split(), "ΓΔΘΛΠΣ", strict=True)),
    **dict(zip("Phi Psi Omega".split(), "ΦΨΩ", strict=True)),
    **dict(zip("le ge ne in notin sim mid to".split(), "≤≥≠∈∉∼|→", strict=True)),
    **dict(zip("iff Rightarrow preceq succeq forall exists".split(), "⇔⇒⪯⪰∀∃", strict=True)),
    **dict(zip("sum prod int partial nabla infty".split(), "∑∏∫∂∇∞", strict=True)),
    **dict(zip("otimes times cdot cdots dots pm".split(), "⊗×·⋯…±", strict=True)),
    **dict(zip("star bullet top".split(), "*•⊤", strict=True)),
    **{
        word: word
        for word in ("max", "min", "inf", "ln", "log", "exp", "sin", "cos", "arg", "Im", "Re")
    },
    # Sizes, and spaces of other widths.
    **dict.fromkeys("big Big bigl bigr Bigl Bigr left right textstyle displaystyle !".split(), ""),
    **dict.fromkeys([" ", ",", ";", ":"], " "),
    **dict.fromkeys(["quad", "qquad"], _WIDE),
    **{mark: mark for mark in "#%&_"},
}
_OPENING = dict(zip("lVert lvert langle lfloor lceil {".split(), "‖|⟨⌊⌈{", strict=True))
_CLOSING = dict(zip("rVert rvert rangle rfloor rceil }".split(), "‖|⟩⌋⌉}", strict=True))
_NO_BLANK = "\N{WORD JOINER}"  # before it
_RAISED = {**dict(zip("0123456789+−=()⊤*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵀ*", strict=True)), "'": "'"} | dict(
    zip("abcdefghijklmnoprstuvwxyzKN", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴷᴺ", strict=True)
)
_LOWERED = {**dict(zip("0123456789+−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", strict=True)), "'": "'"} | dict(
    zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True)
)
_SCRIPTS = re.escape("".join({*_RAISED.values(), *_LOWERED.values()}))
_BLACKBOARD = dict(zip("CENPQRZ", "ℂ𝔼ℕℙℚℝℤ", strict=True))
_ACCENTS = {
    "bar": "\N{COMBINING MACRON}",
    "overline": "\N{COMBINING OVERLINE}",
    "tilde": "\N{COMBINING TILDE}",
    "widetilde": "\N{COMBINING TILDE}",
    "hat": "\N{COMBINING CIRCUMFLEX ACCENT}",
}


def as_unicode(latex: str) -> str:
    r"""A statement in LaTeX as one line of text: ``\lambda > 0`` becomes ``λ > 0``.

    A command that it does not know stays as it is written.
    """
    text = _Reader(latex).text()
    # Wide spaces part the pieces of a statement; all else is one blank.
    blanks = re.sub(r"\s+", lambda run: "  " if _WIDE in run[0] else " ", text)
    return re.sub(rf" (?=[,;:.)])| ?{_NO_BLANK}", "", blanks).strip()


def _script(content: str, letters: dict[str, str], mark: str) -> str:
    """Content raised or lowered, letter by letter, or behind its mark where one is missing."""
    if all(letter in letters for letter in content):
        return "".join(map(letters.__getitem__, content))
    whole = re.fullmatch(r"[\w'•*]+", content)
    return mark + (content if whole else f"({content})")


def _over(top: str, bottom: str) -> str:
    """A fraction in one line, with brackets around what a slash would part."""
    plain = re.fullmatch(r"‖[^‖]*‖\S*|[^\s+−=/<>]+(\([^()]*\)\S*)?", top)
    single = re.fullmatch(rf"(\d+|[^\W\d_])(_\w|[{_SCRIPTS}])*", bottom)
    return f"{top if plain else f'({top})'}/{bottom if single else f'({bottom})'}"


class _Reader:
    """Reads tokens from left to right; a command takes its arguments as they come."""

    def __init__(self, latex: str) -> None:
        self._tokens = _TOKEN.findall(latex)
        self._commands: dict[str, Callable[[], str]] = {
            "frac": lambda: _over(self._argument(), self._argument()),
            "sqrt": self._root,
            "text": self._verbatim,
            "operatorname": self._verbatim,
            "mathrm": self._verbatim,
            "mathbb": lambda: "".join(_BLACKBOARD.get(x, x) for x in self._argument()),
        }
        self._commands["tfrac"] = self._commands["frac"]

    def text(self, end: str = "") -> str:
        """All up to a closing brace, or to the end."""
        parts: list[str] = []
        while self._tokens and self._tokens[0] != end:
            parts.append(self._next())
        del self._tokens[:1]
        return "".join(parts)

    def _next(self) -> str:
        token = self._tokens.pop(0)
        if token == "{":
            return self.text("}")
        if token in "^_":
            letters = _RAISED if token == "^" else _LOWERED
            return _script(self._argument().strip(), letters, token)
        if not token.startswith("\\"):
            return "−" if token == "-" else " " if token.isspace() else token
        name = token[1:]
        if name in _ACCENTS:
            return "".join(x + _ACCENTS[name] for x in self._argument())
        if name in self._commands:
            return self._commands[name]()
        if name in _OPENING:
            self._skip_blanks()
            return _OPENING[name]
        if name in _CLOSING:
            return _NO_BLANK + _CLOSING[name]
        return _SYMBOLS[name] if name in _SYMBOLS else token

    def _argument(self) -> str:
        """What a command or a script is about: one group or one symbol."""
        self._skip_blanks()
        return self._next() if self._tokens else ""

    def _root(self) -> str:
        inside = self._argument()
        return f"√{inside}" if len(inside) == 1 else f"√({inside})"

    def _verbatim(self) -> str:
        """The words of a group as they stand."""
        self._skip_blanks()
        depth, words = 0, []
        while self._tokens:
            token = self._tokens.pop(0)
            depth += (token == "{") - (token == "}")
            if depth == 0:
                break
            words.append(token)
        return "".join(words[1:])

    def _skip_blanks(self) -> None:
        while self._tokens and self._tokens[0].isspace():
            del self._tokens[0]

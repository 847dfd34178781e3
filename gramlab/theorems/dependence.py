"""Which theorem rests on which: by what each says that its argument uses, and by its Rocq file."""

from __future__ import annotations

from collections.abc import Mapping

from gramlab.errors import InvalidSetting
from gramlab.theorems.form import Theorem
from gramlab.theorems.record import place, sources

__all__ = ["check_uses", "needed", "rests_on"]


def needed(theorem: Theorem, known: Mapping[str, Theorem]) -> tuple[str, ...]:
    """Names in ``uses`` with which a theorem falls, one of ``known`` each.

    A Rocq proof of the whole statement falls with those alone whose Rocq files its own requires,
    directly or not; of the others the kernel saw nothing.
    """
    if theorem.kernel is None or theorem.kernel.covers:
        return theorem.uses
    files = set(sources(place(theorem)).values())
    return tuple(n for n in theorem.uses if known[n].kernel and place(known[n]) in files)


def rests_on(
    theorem: Theorem, known: Mapping[str, Theorem], *, on_paper: bool = False
) -> list[str]:
    """Names of all theorems with which one falls, directly or through others, deepest first.

    With ``on_paper`` they are all that the argument on paper uses.

    Raises
    ------
    InvalidSetting
        If one of them is not among ``known``, or rests on itself.
    """
    found: dict[str, None] = {}

    def visit(one: Theorem, above: tuple[str, ...]) -> None:
        if one.name in above:
            circle = " uses ".join([*above[above.index(one.name) :], one.name])
            raise InvalidSetting(
                f"no theorem may rest on itself, got {circle}; take one of these out of `uses`"
            )
        for name in one.uses:
            if name not in known:
                raise InvalidSetting(
                    f"theorem {one.name!r} uses {name!r}, which is unknown; known are "
                    f"{', '.join(sorted(known))}"
                )
        for name in one.uses if on_paper else needed(one, known):
            if name not in found:
                visit(known[name], (*above, one.name))
        found[one.name] = None

    visit(theorem, ())
    del found[theorem.name]
    return list(found)


def check_uses(known: Mapping[str, Theorem]) -> None:
    """Refuse theorems of which one rests on itself, or on one that is not there.

    Raises
    ------
    InvalidSetting
        If there is such a one.
    """
    for theorem in known.values():
        rests_on(theorem, known, on_paper=True)

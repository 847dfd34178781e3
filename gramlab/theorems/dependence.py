"""Which theorem rests on which: by the names that each one says its proof uses."""

from __future__ import annotations

from collections.abc import Mapping

from gramlab.errors import InvalidSetting
from gramlab.theorems.form import Theorem

__all__ = ["check_uses", "rests_on"]


def rests_on(theorem: Theorem, known: Mapping[str, Theorem]) -> list[str]:
    """Names of all theorems that one rests on, directly or through others, deepest first.

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
        rests_on(theorem, known)

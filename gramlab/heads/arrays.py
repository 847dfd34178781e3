"""NumPy's arrays or JAX's: what the two spell differently, so that the solver is written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

__all__ = ["Array", "compiled", "namespace", "repeat", "store", "while_loop"]

Array = Any  # np.ndarray or jax.Array: one function serves both


def namespace(array: Array) -> Any:
    """The module whose functions take ``array``."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    import jax.numpy as jnp  # small problems do without

    return jnp


def store(array: Array, index: Array, value: Array) -> Array:
    """``array`` with ``value`` at ``index``; NumPy's in place."""
    if isinstance(array, np.ndarray):
        array[int(index)] = value
        return array
    return array.at[index].set(value)


def while_loop(go_on: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any, xp: Any) -> Any:
    """``carry = step(carry)`` while ``go_on(carry)``."""
    if xp is np:
        while go_on(carry):
            carry = step(carry)
        return carry
    import jax

    return jax.lax.while_loop(go_on, step, carry)


def repeat(count: int, step: Callable[[Any, Any], Any], carry: Any, xp: Any) -> Any:
    """``carry = step(i, carry)`` for i = 0 … ``count`` − 1."""
    if xp is np:
        for i in range(count):
            carry = step(i, carry)
        return carry
    import jax

    return jax.lax.fori_loop(0, count, step, carry)


def compiled(function: Callable[..., Any], array: Array, **options: Any) -> Callable[..., Any]:
    """``function`` as ``jax.jit`` makes it, once; as it is where ``array`` is NumPy's."""
    if namespace(array) is np:
        return function
    return _jitted(function, tuple(sorted(options.items())))


@cache
def _jitted(function: Callable[..., Any], options: tuple[tuple[str, Any], ...]) -> Any:
    import jax

    return jax.jit(function, **dict(options))

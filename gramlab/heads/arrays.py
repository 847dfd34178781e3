"""NumPy's arrays or JAX's: what the two spell differently, so that the solver is written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import numpy as np

__all__ = ["Array", "compiled", "namespace", "repeat", "store", "while_loop"]

Function = TypeVar("Function", bound=Callable[..., Any])
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


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Make a function of an objective run as ``jax.jit`` makes it, once, on JAX's arrays."""

    def decorate(function: Any) -> Any:
        @cache
        def jitted() -> Any:
            import jax

            return jax.jit(function, **options)

        @wraps(function)
        def run(objective: Any, *args: Any, **more: Any) -> Any:
            made = function if namespace(objective.gradient) is np else jitted()
            return made(objective, *args, **more)

        return run

    return decorate

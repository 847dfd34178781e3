"""What is derived from an immutable object: made once, and seen by nobody before it is finished.

Threads that fit to the same features share what is derived from them. Whoever needs something that
is not there makes it under the lock of the features; whoever else needs it waits. So what a thread
gets does not depend on what others do, as long as no choice depends on what is there already.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar, TypeVarTuple

Source = TypeVar("Source")
Made = TypeVar("Made")
Args = TypeVarTuple("Args")


class Derived:
    """Finished data by the function that made them and its arguments."""

    def __init__(self) -> None:
        self.made: dict[tuple[Any, ...], Any] = {}
        # By process: a child forked while another thread held the lock would wait for it for ever.
        self._locks: dict[int, RLock] = {}

    def once(self, source: Source, make: Callable[[Source, *Args], Made], *args: *Args) -> Made:
        """What ``make(source, *args)`` returned the first time; a failure leaves nothing.

        One thread makes one thing at a time, for which it may need others.
        """
        key = (make, *args)
        if key not in self.made:
            with self._locks.setdefault(os.getpid(), RLock()):
                if key not in self.made:
                    self.made[key] = make(source, *args)
        return self.made[key]

    def keep(self, value: object, make: Callable[..., object], *args: object) -> None:
        """Have ``once`` find ``value``, known already, as what ``make(source, *args)`` returned."""
        self.made[(make, *args)] = value

    def __reduce__(self) -> tuple[type[Derived], tuple[()]]:
        return type(self), ()  # a copy derives its own

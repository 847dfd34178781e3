"""What is derived from an immutable object: made once, and seen by nobody before it is finished.

Threads that fit to the same features share what is derived from them. Whoever needs something that
is not there makes it under the lock of the features; whoever else needs it waits. So what a thread
gets does not depend on what others do, as long as no choice depends on what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from threading import RLock
from typing import Any, TypeVar

__all__ = ["Derived", "shared_property"]

Made = TypeVar("Made")


class Derived(dict[Any, Any]):
    """Finished data by name, kept with the object they are derived from.

    Attributes
    ----------
    lock : threading.RLock
        Held while something is made; by one thread, for one thing that needs another.
    """

    def __init__(self, **known: object) -> None:
        super().__init__(known)
        self.lock = RLock()

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make()`` returned under that name, the first time; a failure leaves nothing."""
        if name not in self:
            with self.lock:
                if name not in self:
                    self[name] = make()
        return self[name]

    def __reduce__(self) -> tuple[type[Derived], tuple[()]]:
        return type(self), ()  # a copy derives its own


class shared_property(cached_property[Made]):
    """A ``cached_property`` of what belongs to ``features``, made under the lock of these.

    The one of Python 3.11 has a lock of its own for all instances, so that two threads would wait
    for each other if its function needs the features, and later ones have none.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        known, name = instance.__dict__, self.attrname
        with instance.features._memo.lock:
            if name not in known:
                known[name] = self.func(instance)
            return known[name]

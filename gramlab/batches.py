"""Independent work in batches: as many items at once as there are workers.

One head alone leaves cores idle between its products; the heads of a batch fill them for each
other. Widening the products themselves to (d, K·B) was measured and gains less (docs, exact head).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gramlab import device

__all__ = ["in_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_batches(
    task: Callable[[Item, int], Result],
    items: Iterable[Item],
    *,
    stop: threading.Event | None = None,
    busy: bool = False,
) -> list[Result]:
    """``[task(item, device number) for item in items]``, several items at once.

    Parameters
    ----------
    task
        Called in a thread whose new JAX arrays live on the device of that number. What it computes
        must not depend on the other items; then no result does.
    items
        Taken in order, each by the next worker that is free.
    stop
        Set once a task has failed or this thread is interrupted, for tasks in hand to look at.
        Nothing is begun after that.
    busy
        Whether one item keeps all cores of a CPU busy (``heads.softmax.keeps_cores_busy``): then
        a second one in hand there would only be in its way.

    Raises
    ------
    BaseException
        What a task raised, once those in hand have ended.
    """
    stop = threading.Event() if stop is None else stop
    numbered = list(enumerate(items))
    places = device.workers()[: len(numbered)]
    places = sorted(set(places)) if busy else places
    waiting, turn = iter(numbered), threading.Lock()
    results: dict[int, Result] = {}
    failures: list[BaseException] = []

    def left() -> Iterator[tuple[int, Item]]:
        while not stop.is_set():
            with turn:
                found = next(waiting, None)
            if found is None:
                return
            yield found

    def worker(place: int) -> None:
        with device.on_device(place):
            for position, item in left():
                try:
                    results[position] = task(item, place)
                except BaseException as failure:
                    failures.append(failure)
                    stop.set()

    with device.undisturbed():
        if len(places) <= 1:
            return [task(item, place) for _, item in numbered for place in places]
        with ThreadPoolExecutor(len(places)) as pool:
            try:
                for ended in [pool.submit(worker, place) for place in places]:
                    ended.result()
            except BaseException:
                stop.set()
                raise
    if failures:
        raise failures[0]
    return [results[position] for position, _ in numbered]

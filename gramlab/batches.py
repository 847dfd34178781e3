"""Independent work in batches: as many items at once as there are workers.

One head alone leaves cores idle between its products; the heads of a batch fill them for each
other. Widening the products themselves to (d, K·B) was measured and gains less (docs, exact head).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from gramlab import hardware

__all__ = ["in_batches"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_batches(
    task: Callable[[Item, int], Result],
    items: Iterable[Item],
    *,
    stop: threading.Event | None = None,
    on_devices: bool = True,
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
    on_devices
        Whether the task computes with JAX. If not, JAX is not loaded, and all places are 0.

    Raises
    ------
    BaseException
        What a task raised, once those in hand have ended.
    """
    stop = threading.Event() if stop is None else stop
    numbered = list(enumerate(items))
    if on_devices:
        from gramlab import device

        workers, at = device.workers(), device.on_device
        alone = nullcontext() if device.accelerated() else hardware.one_blas_thread()
    else:
        workers, at = [0] * min(2, hardware.cores()), nullcontext
        alone = hardware.one_blas_thread()
    places = workers[: len(numbered)]
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
        with at(place):
            for position, item in left():
                try:
                    results[position] = task(item, place)
                except BaseException as failure:
                    failures.append(failure)
                    stop.set()

    with alone:
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

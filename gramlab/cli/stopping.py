"""Stopping in good order: a signal becomes an exception, so that cleaning up runs."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_SECONDS = 0.05
_asked: list[int] = []  # signals that have come since ``signals_raise`` was entered


class Stopped(BaseException):
    """The end was asked for from outside: a signal, or a reader of stdout that went away.

    Not an ``Exception``, so that nothing on the way mistakes it for a failure of its own; its
    ``reason`` is the name of the signal, empty when there is nobody to tell.
    """

    def __init__(self, exit_code: int, reason: str = "") -> None:
        super().__init__(exit_code, reason)
        self.exit_code = exit_code
        self.reason = reason


def raise_if_asked(cause: Exception | None = None) -> None:
    """Raise ``Stopped`` (once more) if a signal has come.

    For long loops to call: compiled code that calls back into Python may drop an exception without
    a trace, and the loop would go on.
    """
    if _asked:
        raise Stopped(128 + _asked[-1], signal.Signals(_asked[-1]).name) from cause


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise ``Stopped`` here, in the main thread.

    A signal that the caller ignores (nohup, a background job) stays ignored. Python swallows
    exceptions in finalizers and in callbacks of its garbage collector, and JAX installs such
    callbacks; a ``Stopped`` that is lost there is raised again a moment later. Compiled code may
    put an error of its own in its place (Matplotlib's reading of a box does): what ends the work
    after a signal has come is the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[threading.Timer] = []
    usual = sys.unraisablehook

    def stop(number: int, frame: object) -> None:
        _asked.append(number)
        raise_if_asked()

    def lost(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Stopped):
            usual(unraisable)
            return
        number = signal.Signals[unraisable.exc_value.reason]
        pending.append(threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main, [number]))
        pending[-1].daemon = True
        pending[-1].start()

    before = {}
    sys.unraisablehook = lost
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, stop)
    try:
        yield
    except Exception as problem:
        raise_if_asked(problem)
        raise
    finally:
        _asked.clear()
        for timer in pending:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = usual

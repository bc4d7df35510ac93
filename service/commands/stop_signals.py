"""SIGTERM and SIGHUP end a command in the foreground like Ctrl-C: what it began is cleaned up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals_end_it() -> Iterator[None]:
    """The first of them raises SystemExit (128 + its number) in the main thread; the later ones do not disturb the end.

    One that is ignored, as SIGHUP under nohup, stays ignored.
    """
    heeded = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    ending = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

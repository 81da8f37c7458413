"""Ctrl-C, and `kill` as Ctrl-C: one line on stderr and exit status 130, at any moment.

Import it first: from then on a signal ends the process at once, as it should while the libraries are
imported, which takes seconds, and while Python shuts down. In between, within `Interruptible`, what is
half-written is cleared away first.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
LAUNCHER = "VIGGO_LAUNCHER"  # in a worker's environment: the process that started it, and speaks for it
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IS_WORKER = LAUNCHER in os.environ
_Handler = Callable[[int, FrameType | None], Any]


class Interruptible:
    """A block in which a signal raises KeyboardInterrupt. At its end the old handlers are back.

    Some libraries turn a KeyboardInterrupt into an error of their own, as pydantic does in building a schema.
    So an error that ends the block after a signal counts as KeyboardInterrupt.
    """

    def __enter__(self) -> "Interruptible":
        self._interrupted = False
        self._before = _handle(self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._interrupted and isinstance(error, Exception):
            raise KeyboardInterrupt from error

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        raise KeyboardInterrupt


def _exit(number: int, frame: FrameType | None) -> None:
    name = os.path.basename(sys.argv[0]).removesuffix(".py")
    if not _IS_WORKER:
        os.write(2, f"{name}: interrupted, and nothing is half-written; run again to go on\n".encode())
    os._exit(INTERRUPTED)  # an exception would pass through imports, some of which make other errors of it


def _handle(handler: _Handler) -> dict[signal.Signals, _Handler | int | None]:
    """Call `handler` at the signals, except those that are ignored, as under `nohup`.

    Returns:
        The handlers so far.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, handler)
    return before


_handle(_exit)

"""Ctrl-C, and `kill` as Ctrl-C: one line on stderr and exit status 130, at any moment.

Import it first: from then on a signal ends the process at once, as it should while the libraries are imported, which takes
seconds, and while Python shuts down. In between, within `Interruptible`, what is half-written is cleared away first.
"""

import os
import signal
import sys

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible:
    """A block in which a signal raises KeyboardInterrupt; at its end the signals do again what they did before.

    Libraries make errors of their own of a KeyboardInterrupt that meets them in the wrong place (pydantic does, while it
    builds a schema): an error that ends the block after a signal is taken for it.
    """

    def __enter__(self) -> "Interruptible":
        self._interrupted = False
        self._before = _handle(self._interrupt)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._interrupted and isinstance(error, Exception):
            raise KeyboardInterrupt from error

    def _interrupt(self, number, frame) -> None:
        self._interrupted = True
        raise KeyboardInterrupt


def _exit(number, frame) -> None:
    name = os.path.basename(sys.argv[0]).removesuffix(".py")
    os.write(2, f"{name}: interrupted, and nothing is half-written; run again to go on\n".encode())
    os._exit(INTERRUPTED)  # an exception would pass through imports, some of which make other errors of it


def _handle(handler) -> dict:
    """Have `handler` called at the signals, but for those that are ignored, as under `nohup`; return the handlers so far."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, handler)
    return before


_handle(_exit)

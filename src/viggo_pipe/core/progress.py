"""Progress of long steps: a bar with an ETA on a terminal, a plain line now and then elsewhere."""

import sys
import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Counts `total` items under `label`; use as a context manager and call `advance` as items are done.

    Args:
        label: what is being counted, as the line shows it.
        total: how many items there are.
        style: `bar`, `plain`, or `auto`: a bar where stderr is a terminal.
        done: how many were done before, by another process.
    """

    def __init__(self, label: str, total: int, style: str = "auto", done: int = 0):
        self.label, self.total, self.done = label, total, done
        self._shown = self._start = done
        self._note = ""
        self._started = self._last_line = time.monotonic()
        as_bar = style == "bar" or (style == "auto" and sys.stderr.isatty())
        self._bar = (
            tqdm(total=total, initial=done, desc=label, file=sys.stderr, dynamic_ncols=True)
            if as_bar
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the bar, or show the last plain line."""
        if self._bar is not None:
            self._bar.close()
            return
        at_once = self._shown == self._start and self.done == self.total  # not worth a line
        if self.done != self._shown and not at_once:
            self._line()

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count `items` more; `note` (the loss, say) is shown behind the figures."""
        self.done += items
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(items)
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        self._last_line, self._shown = time.monotonic(), self.done
        elapsed = self._last_line - self._started
        fresh = self.done - self._start
        left = elapsed / fresh * (self.total - self.done) if fresh else 0
        note = f", {self._note}" if self._note else ""
        print(
            f"{self.label}: {self.done}/{self.total}, {elapsed:.0f} s, about {left:.0f} s left{note}",
            flush=True,
        )

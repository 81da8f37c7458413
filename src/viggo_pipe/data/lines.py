"""The lines of a text file, and how to say what is wrong with one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from viggo_pipe.core.errors import InputError

_SHOWN = 200  # characters of a bad value


def decoded_lines(path: Path, file: Iterable[bytes]) -> Iterator[str]:
    """The lines of `file`, with their ends, without a BOM.

    Raises:
        InputError: a line is not UTF-8.
    """
    offset = 0
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: byte {offset + error.start} of the file, "
                f"0x{line[error.start]:02x}, is not UTF-8; save it as UTF-8"
            ) from error
        yield text.lstrip("\ufeff") if number == 1 else text
        offset += len(line)


def shown(value: str) -> str:
    """A bad value on one line, and not all of a long one."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"

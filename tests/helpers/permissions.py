"""What may not be written to, for root as for any user."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_VERSION_3 = 0x20080522  # of Linux's capget and capset: 64 capabilities in two words
_OVERRIDE = 1 << 1  # CAP_DAC_OVERRIDE: root writes whatever the permissions say


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inherited", ctypes.c_uint32),
    )


@contextlib.contextmanager
def obeying_permissions() -> Iterator[None]:
    """Within the block this thread has no right that files' permissions do not give it."""
    if os.geteuid():
        yield
        return
    libc, header, data = ctypes.CDLL(None), _Header(_VERSION_3, 0), (_Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    data[0].effective &= ~_OVERRIDE
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective |= _OVERRIDE
        assert libc.capset(ctypes.byref(header), data) == 0


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within the block `folder` and all in it can be read, and not be written to."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode & ~0o222)
    try:
        with obeying_permissions():
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)

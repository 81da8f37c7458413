"""Environment variables that libraries read when they are imported, and fail on with a traceback."""

import os
from urllib.parse import urlsplit

from viggo_pipe.core.errors import InputError

_NUMBERS = {
    "HF_HUB_ETAG_TIMEOUT": "seconds",
    "HF_HUB_DOWNLOAD_TIMEOUT": "seconds",
    "HF_DATASETS_IN_MEMORY_MAX_SIZE": "bytes",
}


def check_environment() -> None:
    """See that huggingface_hub and datasets can be imported.

    Raises:
        InputError: HF_ENDPOINT is no address, or another variable no number.
    """
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint is not None and not _is_address(endpoint):  # not quoted: it may hold a password
        raise InputError("HF_ENDPOINT is not an http(s) address; correct or unset it")
    for name, unit in _NUMBERS.items():
        value = os.environ.get(name)
        if value is not None and not value.strip().isdecimal():
            raise InputError(f"{name} is {value!r}, not a whole number of {unit}; correct or unset it")


def _is_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        return False

"""Pinned downloads from the Hugging Face Hub, through its own client and cache.

The client reads the environment: HF_ENDPOINT (a mirror), HF_HOME (its cache), HF_HUB_OFFLINE, HF_TOKEN (or a
stored login), and HF_HUB_VERBOSITY. Without the last it is kept silent: its warnings would bury the one line
that matters.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from viggo_pipe.core.environment import check_environment
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.hub_errors import Download, RepoType, explain

# What the client itself waits out, with growing pauses; anything else that the Hub answers is final.
_TRANSIENT = {408, 429, 500, 502, 503, 504}


def download_file(repo: str, revision: str, filename: str, repo_type: RepoType) -> Path:
    """Fetch one file of `repo` at the commit `revision`; one that is in the cache needs no network.

    Raises:
        InputError: the file is not to be had: no network, no such thing, no permission, no space.
    """
    with _explaining(Download(repo, revision, repo_type, filename)):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

        cached = try_to_load_from_cache(repo, filename, revision=revision, repo_type=repo_type)
        if isinstance(cached, str):
            return Path(cached)
        _ask_once(
            lambda: get_hf_file_metadata(hf_hub_url(repo, filename, revision=revision, repo_type=repo_type))
        )
        return Path(hf_hub_download(repo, filename, revision=revision, repo_type=repo_type))


def download_snapshot(repo: str, revision: str, patterns: list[str], repo_type: RepoType = "model") -> Path:
    """Fetch the files of `repo` at the commit `revision` that match a pattern; return the folder that holds
    them.

    Where the Hub is out of reach, a snapshot that the cache holds is good enough.

    Raises:
        InputError: as `download_file`; or no file matches.
    """
    with _explaining(Download(repo, revision, repo_type)):
        from huggingface_hub import HfApi, constants, snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HTTPError,  # pyright: ignore[reportPrivateImportUsage] (httpx's, or httpx2's in version 2)
            LocalEntryNotFoundError,
            OfflineModeIsEnabled,
        )

        unreachable = None
        try:
            timeout = constants.HF_HUB_ETAG_TIMEOUT
            _ask_once(
                lambda: HfApi().repo_info(repo, revision=revision, repo_type=repo_type, timeout=timeout)
            )
        except HfHubHTTPError:
            raise
        except (HTTPError, OfflineModeIsEnabled) as error:
            unreachable = error
        try:
            folder = Path(
                snapshot_download(
                    repo,
                    revision=revision,
                    repo_type=repo_type,
                    allow_patterns=patterns,
                    local_files_only=unreachable is not None,
                )
            )
        except LocalEntryNotFoundError as error:
            error.__cause__ = error.__cause__ or unreachable
            raise
    if not any(path for pattern in patterns for path in folder.rglob(pattern)):
        raise InputError(
            f"the {repo_type} {repo} at {revision[:12]} has none of the files {', '.join(patterns)}; "
            "name another one"
        )
    return folder


def _ask_once(ask: Callable[[], object]) -> None:
    """See with one request whether the Hub answers, and whether it would hand over `repo`.

    The client alone retries for half a minute where the connection is refused, and for minutes where packets
    are dropped. Its listing of a snapshot has no timeout at all. It wraps most answers in one and the same
    error.
    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        ask()
    except HfHubHTTPError as error:
        if error.response.status_code not in _TRANSIENT:
            raise


@contextmanager
def _explaining(download: Download) -> Iterator[None]:
    """Silence the client, and turn what it raises into an InputError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_environment()
        from huggingface_hub.errors import (
            HTTPError,  # pyright: ignore[reportPrivateImportUsage] (httpx's, or httpx2's in version 2)
        )
        from huggingface_hub.utils import disable_progress_bars, logging

        if "HF_HUB_VERBOSITY" not in os.environ:
            logging.set_verbosity_error()
        if not sys.stderr.isatty():
            disable_progress_bars()
        try:
            yield
        except (HTTPError, OSError, ValueError, RuntimeError) as error:
            raise InputError(explain(error, download)) from error

"""Pinned downloads from the Hugging Face Hub, through its own client and cache, with errors that say what to do.

The client reads the environment: HF_ENDPOINT (a mirror), HF_HOME (its cache), HF_HUB_OFFLINE, HF_TOKEN (or a stored
login), and HF_HUB_VERBOSITY, without which it is kept silent: its warnings would bury the one line that matters.
"""

import errno
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from viggo_pipe.errors import InputError

RepoType = Literal["dataset", "model"]  # also the section of params.yaml whose key `source` leads away from the Hub

# What the client itself waits out, with growing pauses; anything else that the Hub answers is final.
_TRANSIENT = {408, 429, 500, 502, 503, 504}
# By name, since huggingface_hub 1.x stands on httpx, 2.x on httpx2; their messages may hold addresses and headers.
_REASONS = {
    "ConnectTimeout": "no answer in time",
    "ReadTimeout": "no answer in time",
    "RemoteProtocolError": "the connection broke off",
    "ReadError": "the connection broke off",
    "ProxyError": "the proxy refused",
    "LocalProtocolError": "HF_TOKEN has characters that no token has",
    "UnicodeEncodeError": "HF_TOKEN has characters that no token has",
}


def download_file(repo: str, revision: str, filename: str, repo_type: RepoType) -> Path:
    """Fetch one file of `repo` at the commit `revision`; one that is in the cache needs no network.

    Raises:
        InputError: the file is not to be had: no network, no such thing, no permission, no space.
    """
    with _explaining(_Wanted(repo, revision, repo_type, filename)):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

        cached = try_to_load_from_cache(repo, filename, revision=revision, repo_type=repo_type)
        if isinstance(cached, str):
            return Path(cached)
        _ask_once(lambda: get_hf_file_metadata(hf_hub_url(repo, filename, revision=revision, repo_type=repo_type)))
        return Path(hf_hub_download(repo, filename, revision=revision, repo_type=repo_type))


def download_snapshot(repo: str, revision: str, patterns: list[str], repo_type: RepoType = "model") -> Path:
    """Fetch the files of `repo` at the commit `revision` that match a pattern; return the folder that holds them.

    Where the Hub is out of reach, a snapshot that the cache holds is good enough.

    Raises:
        InputError: as `download_file`; or no file matches.
    """
    with _explaining(_Wanted(repo, revision, repo_type)):
        from huggingface_hub import HfApi, constants, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

        commit = {"revision": revision, "repo_type": repo_type}
        unreachable = None
        try:
            _ask_once(lambda: HfApi().repo_info(repo, **commit, timeout=constants.HF_HUB_ETAG_TIMEOUT))
        except HfHubHTTPError:
            raise
        except (HTTPError, OfflineModeIsEnabled) as error:
            unreachable = error
        try:
            offline = unreachable is not None
            folder = Path(snapshot_download(repo, **commit, allow_patterns=patterns, local_files_only=offline))
        except LocalEntryNotFoundError as error:
            error.__cause__ = error.__cause__ or unreachable
            raise
    if not any(path for pattern in patterns for path in folder.rglob(pattern)):
        raise InputError(
            f"the {repo_type} {repo} at {revision[:12]} has none of the files {', '.join(patterns)}; name another one"
        )
    return folder


@dataclass(frozen=True)
class _Wanted:
    """What is being fetched, for the error messages; `filename` is None for a snapshot."""

    repo: str
    revision: str
    repo_type: RepoType
    filename: str | None = None

    def __str__(self) -> str:
        repo = f"the {self.repo_type} {self.repo}"
        return f"{self.filename} of {repo}" if self.filename else repo


def _ask_once(ask: Callable[[], object]) -> None:
    """See with one request whether the Hub answers, and whether it would hand over what is wanted.

    The client alone would retry for half a minute where the connection is refused, for minutes where packets are
    dropped, and its listing of a snapshot has no timeout at all; and it wraps most answers in one and the same error.
    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        ask()
    except HfHubHTTPError as error:
        if error.response.status_code not in _TRANSIENT:
            raise


@contextmanager
def _explaining(wanted: _Wanted) -> Iterator[None]:
    """Silence the client, and turn what it raises into an InputError.

    No text of the client or of the server is passed on: it runs over lines, and may hold addresses with credentials.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_environment()
        from huggingface_hub.errors import HTTPError
        from huggingface_hub.utils import disable_progress_bars, logging

        if "HF_HUB_VERBOSITY" not in os.environ:
            logging.set_verbosity_error()
        if not sys.stderr.isatty():
            disable_progress_bars()
        try:
            yield
        except (HTTPError, OSError, ValueError, RuntimeError) as error:
            raise InputError(_message(error, wanted)) from error


def _check_environment() -> None:
    """See that the client can be imported: it reads its environment then, which is why nothing imports it earlier."""
    try:
        if "HF_ENDPOINT" in os.environ:
            endpoint = urlsplit(os.environ["HF_ENDPOINT"])
            if endpoint.scheme not in {"http", "https"} or not endpoint.hostname or endpoint.port == 0:
                raise ValueError
        from huggingface_hub import constants  # noqa: F401
    except ValueError as error:
        raise InputError(
            "huggingface_hub cannot read its environment variables: HF_ENDPOINT must be an http(s) address, and "
            "HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT whole seconds; correct or unset them"
        ) from error


def _message(error: Exception, wanted: _Wanted) -> str:
    from huggingface_hub import constants, errors, get_token

    if isinstance(error, errors.LocalEntryNotFoundError):
        if constants.HF_HUB_OFFLINE:
            error = errors.OfflineModeIsEnabled()
        error = error.__cause__ or error
    section = wanted.repo_type
    elsewhere = f"set {section}.source to another source"
    login = "set HF_TOKEN or run `hf auth login`"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.OfflineModeIsEnabled):
        return (
            f"{wanted} is not in the Hub's cache on this machine, and HF_HUB_OFFLINE is set; unset it and run once "
            f"with a network, point HF_HOME to a filled cache, or {elsewhere}"
        )
    if isinstance(error, errors.GatedRepoError):
        trouble = "your token does not open it" if get_token() else "there is no token"
        return (
            f"{wanted} is gated, and {trouble} ({status}); accept the terms on its page on the Hub, and {login} with "
            "the account that accepted them"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted}: the Hub knows no revision {wanted.revision} ({status}); correct {section}.revision"
    if isinstance(error, errors.EntryNotFoundError) and status is not None:
        return f"{wanted}: not in revision {wanted.revision} ({status}); correct {section}.repo or {section}.revision"
    if isinstance(error, errors.RepositoryNotFoundError) or (status == 401 and not get_token()):
        return (
            f"{wanted}: the Hub knows no such {section}, or shows it only with a token ({status}); correct "
            f"{section}.repo, or {login}"
        )
    if status in {401, 403}:
        return (
            f"{wanted}: the Hub refuses access ({status}); renew the token with `hf auth login` or in HF_TOKEN, or "
            f"give it the right to read this {section}"
        )
    if status is not None:
        return f"{wanted}: the Hub at {_host()} answered with status {status}; try again later, check HF_ENDPOINT, or {elsewhere}"
    if isinstance(error, errors.FileMetadataError):
        return f"{wanted}: what answers at {_host()} is not the Hub; check HF_ENDPOINT and the proxy, or {elsewhere}"
    if isinstance(error, errors.HFValidationError):
        return f"{wanted.repo!r} is not the name of a repository, such as owner/name; correct {section}.repo"
    return _about_disk(error, wanted) or (
        f"cannot fetch {wanted} from the Hub at {_host()} ({_reason(error)}); check the network, the proxy and "
        f"HF_ENDPOINT and run again, point HF_HOME to a filled cache and set HF_HUB_OFFLINE=1, or {elsewhere}"
    )


def _about_disk(error: Exception, wanted: _Wanted) -> str | None:
    """The message where the cache's disk is the trouble."""
    number = getattr(error, "errno", None)
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return f"no space left in the Hub's cache for {wanted}; free some, or set HF_HOME to a folder on another disk"
    if number in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return f"cannot write {wanted} to the Hub's cache ({error.strerror}); set HF_HOME to a folder that is writable"
    return None


def _reason(error: BaseException) -> str:
    """Why the connection failed: the operating system's own words where it has some, never the client's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return " ".join(cause.strerror.split())
        cause = cause.__cause__ or cause.__context__
    return _REASONS.get(type(error).__name__, type(error).__name__)


def _host() -> str:
    """The host that HF_ENDPOINT names, without credentials, path and query."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

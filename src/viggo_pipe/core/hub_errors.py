"""Words for what can go wrong with a download from the Hugging Face Hub: what failed, and what to do.

No text of the client or of the server is passed on. It runs over lines, and may hold addresses with
credentials.
"""

import errno
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

# Also the section of params.yaml whose key `source` leads away from the Hub.
RepoType = Literal["dataset", "model"]

# Why a connection failed, by the name of the error's class. Client 1.x stands on httpx, 2.x on httpx2.
_REASONS = {
    "ConnectTimeout": "no answer in time",
    "ReadTimeout": "no answer in time",
    "RemoteProtocolError": "the connection broke off",
    "ReadError": "the connection broke off",
    "ProxyError": "the proxy refused",
    "LocalProtocolError": "HF_TOKEN has characters that no token has",
    "UnicodeEncodeError": "HF_TOKEN has characters that no token has",
}


@dataclass(frozen=True)
class Download:
    """What is being fetched, for the error messages; `filename` is None for a snapshot."""

    repo: str
    revision: str
    repo_type: RepoType
    filename: str | None = None

    def __str__(self) -> str:
        repo = f"the {self.repo_type} {self.repo}"
        return f"{self.filename} of {repo}" if self.filename else repo


def explain(error: BaseException, download: Download) -> str:
    """The line for `error`, which the client raised while it fetched `download`."""
    from huggingface_hub import constants, errors, get_token

    if isinstance(error, errors.LocalEntryNotFoundError):
        if constants.HF_HUB_OFFLINE:
            error = errors.OfflineModeIsEnabled()
        error = error.__cause__ or error
    section = download.repo_type
    elsewhere = f"set {section}.source to another source"
    login = "set HF_TOKEN or run `hf auth login`"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.OfflineModeIsEnabled):
        return (
            f"{download} is not in the Hub's cache on this machine, and HF_HUB_OFFLINE is set; unset it and "
            f"run once with a network, point HF_HOME to a filled cache, or {elsewhere}"
        )
    if isinstance(error, errors.GatedRepoError):
        trouble = "your token does not open it" if get_token() else "there is no token"
        return (
            f"{download} is gated, and {trouble} ({status}); accept the terms on its page on the Hub, and "
            f"{login} with the account that accepted them"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{download}: the Hub knows no revision {download.revision} ({status}); correct "
            f"{section}.revision"
        )
    if isinstance(error, errors.EntryNotFoundError) and status is not None:
        return (
            f"{download}: not in revision {download.revision} ({status}); correct {section}.repo or "
            f"{section}.revision"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or (status == 401 and not get_token()):
        return (
            f"{download}: the Hub knows no such {section}, or shows it only with a token ({status}); correct "
            f"{section}.repo, or {login}"
        )
    if status in {401, 403}:
        return (
            f"{download}: the Hub refuses access ({status}); renew the token with `hf auth login` or in "
            f"HF_TOKEN, or give it the right to read this {section}"
        )
    if status is not None:
        return (
            f"{download}: the Hub at {_host()} answered with status {status}; try again later, check "
            f"HF_ENDPOINT, or {elsewhere}"
        )
    if isinstance(error, errors.FileMetadataError):
        return (
            f"{download}: what answers at {_host()} is not the Hub; check HF_ENDPOINT and the proxy, or "
            f"{elsewhere}"
        )
    if isinstance(error, errors.HFValidationError):
        return f"{download.repo!r} is no repository's name, such as owner/name; correct {section}.repo"
    return _about_disk(error, download) or (
        f"cannot fetch {download} from the Hub at {_host()} ({_reason(error)}); check the network, the proxy "
        f"and HF_ENDPOINT and run again, point HF_HOME to a filled cache and set HF_HUB_OFFLINE=1, "
        f"or {elsewhere}"
    )


def _about_disk(error: BaseException, download: Download) -> str | None:
    """The line where the cache's disk is the trouble."""
    from huggingface_hub import constants

    if not isinstance(error, OSError):
        return None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"no space left in the Hub's cache for {download}; free some, or set HF_HOME to a folder on "
            "another disk"
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return (
            f"cannot write {download} to the Hub's cache ({error.strerror}); set HF_HOME to a folder that "
            "is writable"
        )
    if error.errno in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}:
        return (
            f"cannot lock the Hub's cache {constants.HF_HUB_CACHE} for {download} ({error.strerror}); set "
            "HF_HOME to a folder on a disk that has locks"
        )
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

"""Fetching files over https: checked by size and SHA-256, taken up again, tried again."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mri_tumor.errors import MriTumorError
from mri_tumor.files import sha256_of

TIMEOUT = 30.0
TRIES = 4
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(MriTumorError):
    """A file cannot be fetched, or is not the file that was asked for."""


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: its address, where it goes, and what it must be."""

    url: str
    path: Path
    size: int
    sha256: str


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        check_url(args[-1])
        return super().redirect_request(*args)


_OPENER = urllib.request.build_opener(_SafeRedirects)


def check_url(url: str) -> None:
    """Refuse an address that is neither https nor on this machine.

    Raises:
        DownloadError: it is refused.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise DownloadError(f"the address {url} is not https", "https://", "check the address or the proxy")


def is_whole(wanted: Wanted) -> bool:
    """Say whether the file is there with the right bytes."""
    path = wanted.path
    return path.is_file() and path.stat().st_size == wanted.size and sha256_of(path) == wanted.sha256


def fetch(wanted: Wanted, *, pause: float = 1.0) -> None:
    """Fetch a file; one that is there and whole is left alone, and a part of one is gone on with.

    Args:
        wanted: the file.
        pause: seconds before the second try; each further try waits twice as long.

    Raises:
        DownloadError: after some tries it is not there, or it holds other bytes.
    """
    check_url(wanted.url)
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        if is_whole(wanted):
            return
        try:
            _receive(wanted)
        except (OSError, http.client.HTTPException) as error:
            problem: Exception | None = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if not _worth_another(error):
                break
        else:
            problem = None
    if is_whole(wanted):
        return
    raise _explained(wanted, problem) from problem


def _receive(wanted: Wanted) -> None:
    have = wanted.path.stat().st_size if wanted.path.exists() else 0
    have = have if have < wanted.size else 0
    request = urllib.request.Request(wanted.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with _OPENER.open(request, timeout=TIMEOUT) as answer:
        # A server that knows no ranges sends all of it, with 200.
        goes_on = have > 0 and answer.status == 206
        left = wanted.size - (have if goes_on else 0) + 1
        with wanted.path.open("ab" if goes_on else "wb") as file:
            while left > 0 and (block := answer.read(min(left, 1 << 16))):
                file.write(block)
                left -= len(block)
    if wanted.path.stat().st_size >= wanted.size and not is_whole(wanted):
        found = hashlib.sha256(wanted.path.read_bytes()).hexdigest()
        wanted.path.unlink()
        raise _WrongBytesError(f"SHA-256 {found[:16]}...")


class _WrongBytesError(OSError):
    """The file came to its end and is another one."""


def _worth_another(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _AGAIN
    return "CERTIFICATE_VERIFY_FAILED" not in str(error) and getattr(error, "errno", None) != 28


def _explained(wanted: Wanted, problem: Exception | None) -> DownloadError:
    url = wanted.url
    if isinstance(problem, urllib.error.HTTPError):
        fix = "try later" if problem.code in _AGAIN else "the file has moved: get the data by hand"
        return DownloadError(f"{url} answers {problem.code}", "the file", fix)
    if isinstance(problem, _WrongBytesError):
        return DownloadError(
            f"{url} gives other bytes ({problem})",
            f"{wanted.size} bytes with SHA-256 {wanted.sha256[:16]}...",
            "try again; if it stays so, a proxy changes files or the source has changed",
        )
    if getattr(problem, "errno", None) == 28:
        return DownloadError(f"no space for {wanted.path}", "room on the disk", "make room and call it again")
    if "CERTIFICATE_VERIFY_FAILED" in str(problem):
        return DownloadError(
            f"the certificate of {url} cannot be trusted", "a valid one", "check the clock and the proxy"
        )
    return DownloadError(
        f"{url} cannot be fetched ({problem or 'the connection was cut'})",
        "a connection that holds",
        "check the network and call it again: it goes on where it stopped",
    )

"""Fetching files over https: checked by size and SHA-256, taken up again, tried again."""

import contextlib
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mri_tumor.errors import DownloadError
from mri_tumor.files import sha256_of

TIMEOUT = 30.0
TRIES = 4
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: its address, where it goes, and what it must be."""

    url: str
    path: Path
    size: int
    sha256: str


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, request: urllib.request.Request, answer: Any, *rest: Any
    ) -> urllib.request.Request | None:
        try:
            check_url(rest[-1])
        except DownloadError:
            answer.close()  # only an HTTPError would do it
            raise
        return super().redirect_request(request, answer, *rest)


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
        DownloadError: after some tries it is not there, it holds other bytes, or it cannot be written.
    """
    check_url(wanted.url)
    with writing(wanted.path):
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        if is_whole(wanted):
            return
    for attempt in range(TRIES):
        problem = _tried(wanted)
        if problem is None:
            return
        if attempt + 1 == TRIES or not _worth_another(problem):
            raise _explained(wanted, problem) from problem
        time.sleep(pause * 2**attempt)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a file or folder into our error.

    Raises:
        DownloadError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be written ({error.strerror or error})",
            "room on the disk, and the right to write there",
            "make room or choose another folder, and call it again: it goes on where it stopped",
        ) from error


def _tried(wanted: Wanted) -> Exception | None:
    """Try once; return what went wrong, None if the file is whole now."""
    try:
        _receive(wanted)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return error
    with writing(wanted.path):
        if is_whole(wanted):
            return None
        if wanted.path.stat().st_size < wanted.size:
            return ConnectionError("the connection was cut")
        found = sha256_of(wanted.path)
        wanted.path.unlink()
    return _WrongBytesError(f"SHA-256 {found[:16]}...")


def _receive(wanted: Wanted) -> None:
    have = wanted.path.stat().st_size if wanted.path.exists() else 0
    have = have if have < wanted.size else 0
    request = urllib.request.Request(wanted.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with _OPENER.open(request, timeout=TIMEOUT) as answer:
        # A server that knows no ranges sends all of it, with 200.
        goes_on = have > 0 and answer.status == 206
        left = wanted.size - (have if goes_on else 0) + 1
        with writing(wanted.path):
            file = wanted.path.open("ab" if goes_on else "wb", buffering=0)
        with file:
            while left > 0 and (block := answer.read(min(left, 1 << 16))):
                with writing(wanted.path):
                    _write(file, block)
                left -= len(block)


def _write(file: io.FileIO, block: bytes) -> None:
    """Write all of a block: unbuffered, so that a full disk is met here and not when the file is closed."""
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


class _WrongBytesError(Exception):
    """The file came to its end and is another one."""


def _worth_another(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _AGAIN
    return "CERTIFICATE_VERIFY_FAILED" not in str(error)


def _explained(wanted: Wanted, problem: Exception) -> DownloadError:
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
    if "CERTIFICATE_VERIFY_FAILED" in str(problem):
        return DownloadError(
            f"the certificate of {url} cannot be trusted", "a valid one", "check the clock and the proxy"
        )
    return DownloadError(
        f"{url} cannot be fetched ({problem})",
        "a connection that holds",
        "check the network and call it again: it goes on where it stopped",
    )

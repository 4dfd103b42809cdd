"""S3 on this machine: a real server (rclone), moto for what rclone does not keep, and faults in between."""

import contextlib
import functools
import http.client
import itertools
import os
import shutil
import socket
import struct
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import boto3
import pytest

KEY, SECRET, REGION = "an-access-key", "a-secret-key", "eu-west-1"
_OTHERS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
)
_NUMBERS = itertools.count(1)


@dataclass
class Bucket:
    """A bucket of its own for one test, and the environment that leads to it.

    Args:
        url: the server's.
        name: the bucket's.
        folder: where its objects lie as files, on the real server.
    """

    url: str
    name: str
    folder: Path = Path()

    @property
    def client(self) -> Any:
        return _client(self.url)

    def address(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}"

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def put(self, key: str, body: bytes, **how: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **how)

    def put_here(self, key: str, body: bytes) -> None:
        """Put an object where the server will find it; only before it has looked into that folder."""
        (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / key).write_bytes(body)

    def head(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key)
        return answer

    def unfinished(self) -> list[str]:
        client = self.client
        try:
            answer = client.list_multipart_uploads(Bucket=self.name)
        except client.exceptions.NoSuchUpload:  # rclone says so when there is none
            return []
        return [upload["Key"] for upload in answer.get("Uploads", ())]


@functools.cache  # making one takes long
def _client(url: str) -> Any:
    return session().client("s3", endpoint_url=url)


@functools.cache
def session() -> boto3.Session:
    """Return a session with our key; many calls that share it are faster than with one of their own each."""
    return boto3.Session(KEY, SECRET, region_name=REGION)


class RcloneServer:
    """`rclone serve s3` on a folder; its buckets are folders in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or "rclone"
        command = [
            program,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{self.port}",
            "--auth-key",
            f"{KEY},{SECRET}",
        ]
        # No configuration of the user's.
        command += ["--config", os.devnull, str(self.folder)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port))
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def bucket(self) -> Bucket:
        name = f"bucket-{next(_NUMBERS)}"
        bucket = Bucket(self.url, name, self.folder / name)
        bucket.client.create_bucket(Bucket=name)
        return bucket


@dataclass
class Fault:
    """What happens to requests.

    Args:
        kind: `"slow down"`, `"error"`, `"expired"`, `"denied"`: these answers; `"reset"`: the connection ends
            before the answer; `"broken body"`, `"short body"`, `"other body"`: an answer that breaks in the
            middle, ends there in good order, or has a wrong byte; `"hold"`: the answer comes late; `"call"`:
            `action` is called first.
        method: of HTTP.
        path: what the path must contain.
        count: so many requests are hit.
        after: so many are let through first.
        action: for `"call"`.
    """

    kind: str
    method: str = ""
    path: str = ""
    count: int = 1_000_000
    after: int = 0
    action: Callable[[], Any] = lambda: time.sleep(0.3)


_ANSWERS = {
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "denied": (403, "AccessDenied", "Access Denied"),
}


@dataclass
class Proxy:
    """Stands before a server, passes on what comes, and does faults to some of it."""

    upstream: str
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.method in ("", method) and fault.path in path and fault.count > 0:
                    if fault.after > 0:
                        fault.after -= 1
                        return None
                    fault.count -= 1
                    return fault
            return None

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.seen if method not in ("GET", "HEAD")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def handle_any(self) -> None:
        fault = self.proxy.fault(self.command, self.path)
        kind = "" if fault is None else fault.kind
        if kind == "reset":
            return self._reset()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if kind in _ANSWERS:
            return self._refuse(*_ANSWERS[kind])
        if fault is not None and kind in ("hold", "call"):
            fault.action()
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            return self._pass_on(body, kind)
        self._reset()
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def _pass_on(self, body: bytes, kind: str) -> None:
        host, port = self.proxy.upstream.removeprefix("http://").split(":")
        way = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            way.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    way.putheader(name, value)
            way.endheaders(body)
            answer = way.getresponse()
            content = answer.read()
        finally:
            way.close()
        if kind == "other body":
            content = bytes([content[0] ^ 1]) + content[1:]
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        stated = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if kind == "short body":
            content = content[: len(content) // 2]
            stated = str(len(content))
        self.send_header("Content-Length", stated or "0")
        self.end_headers()
        if kind == "broken body":
            self.wfile.write(content[: len(content) // 2])
            return self._reset()
        self.wfile.write(content)
        return None

    def _refuse(self, status: int, code: str, message: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _reset(self) -> None:
        self.wfile.flush()
        # With this option closing sends RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.wfile = open(os.devnull, "wb")  # noqa: SIM115, PTH123 - what the base class flushes at the end

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that go away are what some tests are about."""


@contextlib.contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_for(what: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def lead_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 go to a server with our key, and nowhere else."""
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    values = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """Return a real S3 server: multipart, paging, ranges, signatures; it keeps no tags and knows no KMS."""
    with RcloneServer(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def rclone(rclone_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return an empty bucket on the real server, to which the environment leads."""
    lead_to(rclone_server.url, monkeypatch)
    return rclone_server.bucket()


@pytest.fixture
def proxy(rclone: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return a proxy before the real server, through which the environment leads."""
    with proxied(rclone.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto_s3(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return an empty bucket on moto, which knows KMS, tags and any key; it checks no signature."""
    lead_to(moto_url, monkeypatch)
    bucket = Bucket(moto_url, f"bucket-{next(_NUMBERS)}")
    bucket.client.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket

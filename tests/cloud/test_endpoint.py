"""The endpoint as a server: nonsense over HTTP, and how its process starts and ends."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mri_tumor import cloud
from mri_tumor.cloud import process
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.errors import ArgumentError, EndpointError, PackageError

from .conftest import encoded


def ask(
    endpoint: cloud.Predictor,
    body: bytes | None = None,
    *,
    kind: str | None = None,
    path: str = "/invocations",
    method: str = "POST",
) -> tuple[int, dict]:
    parts = urlsplit(endpoint.name)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else {}
    finally:
        connection.close()


def test_ping(endpoint: cloud.Predictor) -> None:
    assert ask(endpoint, path="/ping", method="GET") == (200, {})


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/json", 400),
        (b"hello", "application/json", 400),
        (b"hello", "image/jpeg", 400),
        (b"hello", "application/x-npy", 400),
        (b"hello", "text/plain", 415),
        (b"hello", None, 415),
        (None, None, 415),
        (encoded(1)[:700], "image/jpeg", 400),
        (encoded(1, ".png")[:700], "image/png", 400),
    ],
)
def test_nonsense_gets_one_form_of_error(
    endpoint: cloud.Predictor, body: bytes | None, kind: str | None, code: int
) -> None:
    status, card = ask(endpoint, body, kind=kind)
    assert status == card["code"] == code
    assert card.keys() == {"code", "error"}
    assert "Expected: " in card["error"]
    assert "To do: " in card["error"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/invocations", 405), ("POST", "/ping", 405), ("GET", "/", 404), ("POST", "/../etc", 404)],
)
def test_other_places_and_methods(endpoint: cloud.Predictor, method: str, path: str, code: int) -> None:
    status, card = ask(endpoint, path=path, method=method)
    assert status == card["code"] == code
    assert "POST /invocations" in card["error"]


@pytest.mark.parametrize("size", [MAX_BODY + 1, 3 * MAX_BODY])
def test_a_request_over_6_mib_is_refused_and_the_next_one_answered(
    endpoint: cloud.Predictor, size: int
) -> None:
    status, card = ask(endpoint, bytes(size), kind="image/jpeg")
    assert status == card["code"] == 413
    assert ask(endpoint, encoded(1), kind="image/jpeg")[0] == 200


def test_a_request_of_exactly_6_mib_is_read(endpoint: cloud.Predictor) -> None:
    picture = encoded(1)
    padded = picture + bytes(MAX_BODY - len(picture))
    assert ask(endpoint, padded, kind="image/jpeg")[0] == 200


def test_a_connection_that_ends_early_harms_nobody(endpoint: cloud.Predictor) -> None:
    parts = urlsplit(endpoint.name)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Length", "1000")
    connection.putheader("Content-Type", "image/jpeg")
    connection.endheaders(b"begin")
    connection.close()
    assert ask(endpoint, encoded(1), kind="image/jpeg")[0] == 200


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def predict_and_fail(predictor: cloud.Predictor) -> None:
    with predictor:
        assert predictor.predict_raw(encoded(1))[0].id == "0"
        raise ZeroDivisionError


def test_the_endpoint_is_gone_after_its_context_also_after_an_error(archive: Path) -> None:
    predictor = cloud.deploy(archive)
    server = predictor._owned
    assert server.process.poll() is None
    with pytest.raises(ZeroDivisionError):
        predict_and_fail(predictor)
    assert server.process.poll() is not None
    assert not server.folder.exists()
    with pytest.raises(EndpointError, match="was deleted") as caught:
        predictor.predict_raw(encoded(1))
    assert caught.value.code == 410
    predictor.delete()


PARENT = """
import sys, time
from mri_tumor import cloud
predictor = cloud.deploy(sys.argv[1])
print(predictor._owned.process.pid, predictor._owned.folder, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_endpoint_ends_with_a_parent_that_was_killed(archive: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(archive)]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=process.with_library(os.environ)
    )
    try:
        pid, folder = parent.stdout.readline().split()
        assert alive(int(pid))
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for(lambda: not alive(int(pid)))
    assert not Path(folder).exists()


@pytest.mark.slow
def test_a_package_with_faults_is_not_deployed(altered: Callable, tmp_path: Path) -> None:
    path = altered(lambda folder: (folder / "code" / "inference.py").unlink())
    with pytest.raises(PackageError, match=r"code/inference.py is missing"):
        cloud.deploy(path)


def test_what_is_no_package_starts_no_process(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="there is no file"):
        cloud.deploy(tmp_path / "missing.tar.gz")
    with pytest.raises(ArgumentError, match="int"):
        cloud.deploy(3)  # type: ignore[arg-type]


def test_an_endpoint_that_does_not_start_in_time_is_ended(archive: Path) -> None:
    with pytest.raises(EndpointError, match="still starts") as caught:
        cloud.deploy(archive, startup_timeout=0.05)
    assert caught.value.code == 503


def test_an_endpoint_whose_process_ends_shows_its_log(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A real fault of a machine: a broken library comes first on the path.
    (tmp_path / "uvicorn.py").write_text("raise RuntimeError('uvicorn is broken here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EndpointError, match=r"ended with status 1(.|\n)*uvicorn is broken here"):
        cloud.deploy(archive)

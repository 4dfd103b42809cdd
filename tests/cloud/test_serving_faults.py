"""Servers in processes of their own that end or are flooded while clients ask."""

import contextlib
import io
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import cloud
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.cloud.container.inference import DIGEST_KEY
from mri_tumor.cloud.serving.gate import Limits
from mri_tumor.errors import EndpointError

from .conftest import SIZE, encoded, picture
from .serving import Asking, answer_on

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where all temporary folders lie, ours and the server's."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def own(archive: Path, temporary: Path) -> Iterator[cloud.Predictor]:
    """Return an endpoint of the test's own; when it has gone, nothing may be left of it."""
    with cloud.deploy(archive) as predictor:
        yield predictor
    assert not list(temporary.iterdir())


def pid_of(predictor: cloud.Predictor) -> int:
    return predictor._owned.process.pid


def test_a_server_that_is_killed_under_load_loses_no_call(own: cloud.Predictor) -> None:
    pictures = [picture(seed) for seed in range(6)]
    expected = [own.predict(one)[0] for one in pictures]
    right, raised, begun = [], [], threading.Barrier(len(pictures) + 1, timeout=60)

    def ask(index: int) -> None:
        begun.wait()
        try:
            while True:
                right.append(own.predict(pictures[index])[0] == expected[index])
        except EndpointError as error:
            raised.append(error)

    numbers = iter(range(len(pictures)))
    asking = Asking(lambda: ask(next(numbers)), len(pictures))
    begun.wait()
    time.sleep(0.5)
    os.kill(pid_of(own), signal.SIGKILL)
    assert asking.join(30) == [None] * len(pictures)
    assert right
    assert all(right)
    assert len(raised) == len(pictures)
    for error in raised:
        assert error.code == 503
        assert "To do: deploy the package again" in str(error)
    with pytest.raises(EndpointError, match="deploy the package again"):
        own.predict(pictures[0])


def test_sigterm_under_load_answers_what_is_in_progress(own: cloud.Predictor) -> None:
    rng, count, callers = np.random.default_rng(0), 300, 8
    body = io.BytesIO()
    np.save(body, rng.integers(0, 256, (count, SIZE, SIZE, 1), np.uint8))
    sent = body.getvalue()
    with contextlib.ExitStack() as lines:
        waiting = [lines.enter_context(let_in(own, len(sent))) for _ in range(callers)]
        os.kill(pid_of(own), signal.SIGTERM)
        for line in waiting:
            line.sendall(sent)
        for line in waiting:
            status, answer = answer_on(line)
            assert status == 200
            assert len(answer["predictions"]) == count
    with pytest.raises(EndpointError, match="deploy the package again"):
        own.predict(picture(1))
    assert own._owned.process.wait(15) == 0


def let_in(predictor: cloud.Predictor, size: int) -> socket.socket:
    """Begin a request that waits to be told to go on, which it is once it has its place."""
    host, port = predictor.name.removeprefix("http://").split(":")
    line = socket.create_connection((host, int(port)), 60)
    head = (
        "POST /invocations HTTP/1.1",
        "Host: x",
        "Content-Type: application/x-npy",
        f"X-Amzn-SageMaker-Custom-Attributes: {DIGEST_KEY}={predictor.preprocess.digest}",
        f"Content-Length: {size}",
        "Expect: 100-continue",
    )
    line.sendall("\r\n".join((*head, "", "")).encode())
    assert line.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return line


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
def test_memory_is_bounded_under_many_large_uploads(own: cloud.Predictor) -> None:
    uploads, most = 40, Limits().memory // MAX_BODY
    before, padded = peak_of(pid_of(own)), encoded(1) + bytes(MAX_BODY - len(encoded(1)))
    with contextlib.ExitStack() as lines:
        open_lines = [lines.enter_context(begun(own.name, padded[:-1])) for _ in range(uploads)]
        # Those that were let in wait for their last byte; a place that one left was not given to another.
        waiting = [line for line in open_lines if not answered(line)]
        assert len(waiting) == most
        for line in open_lines:
            if line not in waiting:
                assert answer_on(line)[0] == 429
        for line in waiting:
            line.sendall(padded[-1:])
        assert [answer_on(line)[0] for line in waiting] == [200] * most
    assert peak_of(pid_of(own)) - before < 2 * Limits().memory


def begun(url: str, sent: bytes) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    line = socket.create_connection((host, int(port)), 60)
    head = (
        "POST /invocations HTTP/1.1",
        "Host: x",
        "Content-Type: image/jpeg",
        f"Content-Length: {MAX_BODY}",
    )
    line.sendall("\r\n".join((*head, "", "")).encode() + sent)
    return line


def answered(line: socket.socket) -> bool:
    line.settimeout(0.2)
    try:
        return bool(line.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        line.settimeout(60)


def peak_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", text)[1])

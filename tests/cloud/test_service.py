"""A model's server from loading to the end, in a program that goes on afterwards."""

import contextlib
import http.client
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor.cloud.serving import service
from mri_tumor.cloud.serving.gate import Limits
from mri_tumor.cloud.serving.listener import bind
from mri_tumor.cloud.serving.service import Service

from .serving import PICTURE, Asking, Held


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep the server from ending this process; the list holds with which status it wanted to."""
    found: list[int] = []
    monkeypatch.setattr(service, "_MARGIN", 0.0)
    monkeypatch.setattr(service.os, "_exit", found.append)
    return found


def served(source: Path, folder: Path, act: Callable[[Service, int], None]) -> Service:
    """Run a service in this thread; `act` is called in another one with it and its port once it is ready."""
    folder.mkdir()
    taken = bind()
    one = Service(source, folder, Limits(grace=0.5, workers=1))
    acting: list[Asking] = []

    def ready() -> None:
        acting.append(Asking(lambda: act(one, taken.getsockname()[1])))

    one.run(taken, ready)
    assert acting[0].join() == [None]
    return one


def test_a_program_goes_on_after_its_server(archive: Path, tmp_path: Path, ends: list[int]) -> None:
    one = served(archive, tmp_path / "own", lambda one, port: one.stop())
    assert not (tmp_path / "own").exists()
    one.stop()
    time.sleep(1.5)
    assert ends == []


def test_a_call_that_never_ends_is_ended_with_the_program(
    archive: Path, tmp_path: Path, ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Held()
    monkeypatch.setattr(service, "load_model", lambda *_: model)
    monkeypatch.setattr(service, "warm_up", lambda infer, size: None)

    def act(one: Service, port: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", "/invocations", PICTURE, {"Content-Type": "image/jpeg"})
            while not model.entered:
                time.sleep(0.01)
            one.stop()
            connection.getresponse().read()

    served(archive, tmp_path / "own", act)
    deadline = time.monotonic() + 10
    while not ends and time.monotonic() < deadline:
        time.sleep(0.05)
    model.free.set()
    assert ends == [1]

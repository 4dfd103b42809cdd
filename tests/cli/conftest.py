"""The command line as a user calls it, without a process of its own."""

import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from mri_tumor.cli import main


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `to_console` does to the library's logger: other tests read its lines elsewhere."""
    top = logging.getLogger("mri_tumor")
    before = (top.handlers[:], top.level, top.propagate)
    yield
    top.handlers[:], top.propagate = before[0], before[2]
    top.setLevel(before[1])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple]:
    """Return a function that runs `mri-tumor ARGUMENTS` and gives (exit code, standard output and error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mri-tumor", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, error = capsys.readouterr()
        return int(left.value.code or 0), out, error

    return call

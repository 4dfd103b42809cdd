"""The command line as a user calls it, without a process of its own."""

import sys
from collections.abc import Callable

import pytest

from mri_tumor.cli import main


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

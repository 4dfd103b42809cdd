"""Progress: a bar in a terminal, lines elsewhere, and never a change to the items."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from mri_tumor import progress
from mri_tumor.progress import track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at the clock take four seconds."""
    ticks = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(ticks)))


@pytest.mark.parametrize("terminal", [False, True])
def test_items_pass_unchanged(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    items = [object() for _ in range(5)]
    assert list(track(items, "working")) == items
    assert list(track(iter(items), "working", total=5)) == items
    assert list(track([], "working")) == []


@pytest.mark.usefixtures("clock")
def test_a_log_gets_a_line_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert len(list(track(range(7), "reading pictures"))) == 7
    assert [record.getMessage() for record in caplog.records] == [
        "reading pictures: 3/7",
        "reading pictures: 6/7",
        "reading pictures: 7 done in 32.0 s",
    ]


@pytest.mark.usefixtures("clock")
def test_a_total_that_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        list(track(iter(range(3)), "reading"))
    assert caplog.records[0].getMessage() == "reading: 3"


def test_a_terminal_gets_a_bar_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO):
        list(track(range(3), "reading pictures"))
    assert "reading pictures" in terminal.getvalue()
    assert not caplog.records
    assert capsys.readouterr().out == ""


def test_an_exception_comes_through() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        list(track(broken(), "working"))

"""Progress: a bar in a terminal, lines elsewhere, and never a change to the items."""

import io
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from mri_tumor import progress
from mri_tumor.progress import bytes_moved, size_text, track


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


@pytest.mark.usefixtures("clock")
def test_a_log_gets_bytes_and_rate_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), bytes_moved("sending", 7_000_000) as moved:
        for _ in range(7):
            moved(1_000_000)
    assert [record.getMessage() for record in caplog.records] == [
        "sending: 3.0 MB of 7.0 MB, 250.0 kB/s",
        "sending: 6.0 MB of 7.0 MB, 250.0 kB/s",
        "sending: 7.0 MB done in 32.0 s, 218.8 kB/s",
    ]


def test_a_terminal_gets_bytes_and_rate(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), bytes_moved("sending a[b]", 4_000_000) as moved:
        moved(3_000_000)
        moved(1_000_000)
    shown = terminal.getvalue()
    assert "sending a[b]" in shown
    assert "4.0/4.0 MB" in shown
    assert "/s" in shown
    assert not caplog.records


def test_threads_move_bytes_together(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), bytes_moved("sending", 40_000) as moved:
        threads = [threading.Thread(target=lambda: [moved(10) for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        moved(-10_000)
    assert caplog.records[-1].getMessage().startswith("sending: 30.0 kB done in")


def test_a_transfer_that_fails_is_not_called_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="stop"), bytes_moved("sending", 2):
        raise ValueError("stop")
    assert not caplog.records


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (2.5e15, "2500.0 TB")],
)
def test_sizes_as_people_read_them(count: float, text: str) -> None:
    assert size_text(count) == text

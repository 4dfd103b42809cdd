"""Logs as they come, and their ends in errors: pages may be empty, hosts may be many."""

from collections.abc import Mapping
from typing import Any

import pytest

from mri_tumor.cloud.aws.logs import LogTail, last_events
from mri_tumor.errors import CloudError

Pages = Mapping[str, list[list[tuple[int, str]]]]


class Logs:
    """CloudWatch's client for some streams, each given as pages of (time, message)."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"logStreams": [{"logStreamName": name} for name in self.pages]}]

    def get_log_events(self, **asked: Any) -> dict[str, Any]:
        pages = self.pages[asked["logStreamName"]]
        step, first = (1, 0) if asked["startFromHead"] else (-1, len(pages) - 1)
        place = int(asked.get("nextToken", first))
        there = 0 <= place < len(pages)
        events = [{"timestamp": when, "message": text} for when, text in pages[place]] if there else []
        token = str(place + step if there else place)
        return {"events": events, "nextForwardToken": token, "nextBackwardToken": token}


class Account:
    """An account whose logs these are."""

    def __init__(self, pages: Pages) -> None:
        self._logs = Logs(pages)

    def client(self, _: str) -> Logs:
        return self._logs


def tail(pages: Pages) -> LogTail:
    return LogTail(Account(pages), "group", "job/")  # type: ignore[arg-type]


def test_an_empty_page_is_not_the_end() -> None:
    pages = {"job/algo-1-17": [[(1, "a")], [], [(2, "the reason")]]}
    assert list(tail(pages).new_lines()) == ["a", "the reason"]
    assert last_events(Account(pages), "group", "job/") == "a\nthe reason"  # type: ignore[arg-type]


def test_each_line_comes_once() -> None:
    pages = {"job/algo-1-17": [[(1, "a")]]}
    following = tail(pages)
    assert list(following.new_lines()) == ["a"]
    assert list(following.new_lines()) == []
    pages["job/algo-1-17"].append([(2, "b")])
    assert list(following.new_lines()) == ["b"]


def test_hosts_are_told_apart_also_where_there_are_ten() -> None:
    pages = {f"job/algo-{host}-1700": [[(host, "here")]] for host in (1, 2, 10)}
    assert sorted(tail(pages).new_lines()) == ["[algo-10] here", "[algo-1] here", "[algo-2] here"]


def test_the_end_is_that_of_all_hosts_together() -> None:
    pages = {
        "job/algo-1-17": [[(number, f"first {number}") for number in range(0, 60, 2)]],
        "job/algo-2-17": [[(number, f"second {number}") for number in range(1, 61, 2)]],
    }
    lines = tail(pages).last_lines(4)
    assert lines == ["[algo-1] first 56", "[algo-2] second 57", "[algo-1] first 58", "[algo-2] second 59"]


def test_a_log_that_may_not_be_read_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CloudError("denied", "the permission", "add it")

    monkeypatch.setattr(LogTail, "_streams", refuse)
    assert last_events(Account({}), "group") == ""  # type: ignore[arg-type]

"""What a test tells the server, and asks it, besides AWS's calls: faults, orders, and the calls so far."""

import json
from typing import Any

from harness.backend import Backend
from harness.base import Platform
from harness.errors import Answer, Refused
from harness.faults import Fault


class Control:
    """Answers `POST /harness/<what>` with JSON.

    Args:
        platform: what all parts share.
        backend: what stands for SageMaker.
    """

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform, self._backend = platform, backend
        self.calls: list[dict[str, str]] = []

    def answer(self, path: str, body: bytes) -> Answer:
        """Do what a test wants."""
        given = json.loads(body or b"{}")
        act = getattr(self, f"do_{path.removeprefix('/harness/')}", None)
        if act is None:
            return Answer(404, {}, b"")
        try:
            return _json(200, act(given))
        except Refused as refused:
            return _json(400, {"error": str(refused)})

    def do_ready(self, given: dict[str, Any]) -> Any:
        return {"ready": True}

    def do_calls(self, given: dict[str, Any]) -> Any:
        return self.calls[given.get("since", 0) :]

    def do_fault(self, given: dict[str, Any]) -> Any:
        self._platform.faults.add(Fault(**given))
        return {}

    def do_clear(self, given: dict[str, Any]) -> Any:
        self._platform.faults.clear()
        self._platform.orders.clear()
        return {}

    def do_order(self, given: dict[str, Any]) -> Any:
        self._platform.orders.update(given)
        return {}

    def do_interrupt(self, given: dict[str, Any]) -> Any:
        self._backend.training.interrupt(given["name"])
        return {}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

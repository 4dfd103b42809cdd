"""CloudWatch's logs: the lines of containers, sent on as they come."""

import contextlib
import threading
import time
from typing import Any

from harness.base import Platform

_EVERY = 0.3  # seconds after which a line is sent, with all that came meanwhile


class LogStream:
    """One stream of a group; both are made with the first line.

    Args:
        platform: whose logs it goes to.
        group: the group's name.
        stream: the stream's name.
    """

    def __init__(self, platform: Platform, group: str, stream: str) -> None:
        self.group, self.stream = group, stream
        self.lines: list[str] = []
        self._client: Any = platform.client("logs")
        self._waiting: list[dict[str, Any]] = []
        self._made = False
        self._due = False
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Add a line."""
        with self._lock:
            self.lines.append(line)
            self._waiting.append({"timestamp": int(time.time() * 1000), "message": line or " "})
            due, self._due = not self._due, True
        if due:
            timer = threading.Timer(_EVERY, self.flush)
            timer.daemon = True
            timer.start()

    def follow(self, pipe: Any) -> threading.Thread:
        """Write what comes out of a pipe, in a thread, until it ends."""

        def read() -> None:
            with contextlib.suppress(ValueError, OSError), pipe:
                for line in pipe:
                    self.write(line.decode("utf-8", "replace").rstrip("\n"))
            self.flush()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._due = False
            events, self._waiting = self._waiting, []
            if not events:
                return
            if not self._made:
                self._make()
            self._client.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)

    def _make(self) -> None:
        exists = self._client.exceptions.ResourceAlreadyExistsException
        with contextlib.suppress(exists):
            self._client.create_log_group(logGroupName=self.group)
        with contextlib.suppress(exists):
            self._client.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
        self._made = True

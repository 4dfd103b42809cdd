"""What containers log: CloudWatch, as far as we may read it."""

from collections.abc import Iterator
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.errors import CloudError

_LAST = 20  # lines shown in errors


class LogTail:
    """The lines of one job or endpoint, each given once.

    Args:
        account: where it runs.
        group: the log group's name.
        prefix: how the names of its streams begin: the job's name; empty: all of the group.
    """

    def __init__(self, account: Account, group: str, prefix: str = "") -> None:
        self.group, self.prefix = group, prefix
        self._account = account
        self._client = account.client("logs")
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """Yield what came since the last call; with several hosts each line begins with its host's name.

        Raises:
            CloudError: the log may not be read. A group or stream that is not there yet has no lines.
        """
        streams = self._streams()
        for stream in streams:
            head = self._head(stream) if len(streams) > 1 else ""
            for event in self._events(stream):
                yield head + event["message"].rstrip()

    def last_lines(self, most: int) -> list[str]:
        """Return the last lines of all streams together, in the order of their times.

        Args:
            most: how many at most.

        Raises:
            CloudError: the log may not be read.
        """
        streams = self._streams()
        found = [
            (event["timestamp"], (self._head(stream) if len(streams) > 1 else "") + event["message"].rstrip())
            for stream in streams
            for event in self._end_of(stream, most)
        ]
        return [line for _, line in sorted(found, key=lambda one: one[0])[-most:]]

    def _head(self, stream: str) -> str:
        """Return which host a stream is of: its name is the job's, the host's and a number."""
        return f"[{stream.removeprefix(self.prefix).strip('/').rpartition('-')[0]}] "

    def _end_of(self, stream: str, most: int) -> list[Any]:
        """Return the last events of a stream; pages on the way there may be empty."""
        found: list[Any] = []
        token: str | None = None
        while len(found) < most:
            given: dict[str, Any] = {"nextToken": token} if token else {}
            with asking(f"reading the log {self.group} {stream}"):
                answer = self._client.get_log_events(
                    logGroupName=self.group, logStreamName=stream, startFromHead=False, limit=most, **given
                )
            found = [*answer["events"], *found]
            if answer["nextBackwardToken"] == token:
                break
            token = answer["nextBackwardToken"]
        return found[-most:]

    def _streams(self) -> list[str]:
        given = {"logStreamNamePrefix": self.prefix} if self.prefix else {}
        try:
            with asking(f"reading the log group {self.group}"):
                pages = self._client.get_paginator("describe_log_streams").paginate(
                    logGroupName=self.group, **given
                )
                return sorted(stream["logStreamName"] for page in pages for stream in page["logStreams"])
        except CloudError as error:
            if error.code == "ResourceNotFound":
                return []
            raise

    def _events(self, stream: str) -> Iterator[Any]:
        """Yield the events of a stream after those already given."""
        while True:
            token = self._tokens.get(stream)
            given: dict[str, Any] = {"nextToken": token} if token else {}
            with asking(f"reading the log {self.group} {stream}"):
                answer = self._client.get_log_events(
                    logGroupName=self.group, logStreamName=stream, startFromHead=True, **given
                )
            yield from answer["events"]
            self._tokens[stream] = answer["nextForwardToken"]
            # The same token again says that there is no more for now.
            if answer["nextForwardToken"] == token:
                return


def last_events(account: Account, group: str, prefix: str = "") -> str:
    """Return the last lines of a log for an error; nothing if it is not there or may not be read.

    Args:
        account: where it is.
        group: the log group's name.
        prefix: how the names of its streams begin.
    """
    try:
        return "\n".join(LogTail(account, group, prefix).last_lines(_LAST))
    except CloudError:
        return ""

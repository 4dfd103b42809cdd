"""What containers log: CloudWatch, as far as we may read it."""

import time
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
            head = (
                f"[{stream.removeprefix(self.prefix).strip('/').split('-1')[0]}] " if len(streams) > 1 else ""
            )
            for event in self._events(stream):
                yield head + event["message"].rstrip()

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
            given = {"nextToken": token} if token else {}
            with asking(f"reading the log {self.group} {stream}"):
                answer = self._client.get_log_events(
                    logGroupName=self.group, logStreamName=stream, startFromHead=True, **given
                )
            yield from answer["events"]
            self._tokens[stream] = answer["nextForwardToken"]
            # The same token again says that there is no more for now.
            if answer["nextForwardToken"] == token or not answer["events"]:
                return


def last_events(account: Account, group: str, prefix: str = "", *, wait: float = 0.0) -> str:
    """Return the last lines of a log for an error; nothing if it is not there or may not be read.

    Args:
        account: where it is.
        group: the log group's name.
        prefix: how the names of its streams begin.
        wait: seconds to wait first: the last lines come late.
    """
    time.sleep(wait)
    try:
        lines = list(LogTail(account, group, prefix).new_lines())
    except CloudError:
        return ""
    return "\n".join(lines[-_LAST:])

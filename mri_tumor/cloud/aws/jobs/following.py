"""A job while it runs: followed to its end, its log, and what its end tells of a failure."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.logs import LogTail, last_events
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.errors import CloudError

logger = logging.getLogger(__name__)

# How the lines begin that say nothing of the job: some hundred that the SDK's entry point traces, and those
# with which TensorFlow starts. Errors show them all the same.
_CHATTER = re.compile(r"(\[[\w.-]+\] )?(\++ |SM_\w+=|[IWE]\d{4} \d|WARNING: All log messages before absl)")


ENDED = ("Completed", "Failed", "Stopped")
"""The states that a job of any kind ends in."""

_GONE = ("ResourceNotFound", "ValidationException")  # what is said of a job that is not there, or has ended
_STOPPING = 300.0  # seconds that a job may take to stop


Watcher = Callable[[dict[str, Any], float], None]
"""Is shown what AWS says of a job, and the seconds since it is followed."""


@dataclass(frozen=True)
class Followed:
    """A job of any kind, as it is followed to its end and, if need be, stopped.

    Args:
        kind: in words, as in `"processing job"`.
        name: its name.
        status: under which key its description has its state.
        look: asks AWS for its description.
        halt: asks AWS to stop it.
        ours: tells by its description that it is the one meant: a name may have been somebody else's before.
    """

    kind: str
    name: str
    status: str
    look: Callable[[], Any]
    halt: Callable[[], Any]
    ours: Callable[[dict[str, Any]], bool] = lambda card: True

    def describe(self) -> dict[str, Any]:
        """Return what AWS says of it now.

        Raises:
            CloudError: there is no such job, or AWS refused.
        """
        with asking(f"looking at the {self.kind} {self.name}"):
            return dict(self.look())

    def follow(self, pause: float, *watchers: Watcher) -> dict[str, Any]:
        """Wait for its end and return the last description.

        Args:
            pause: seconds between two looks.
            watchers: each is shown every description.

        Raises:
            CloudError: AWS cannot be asked any more; the job goes on.
        """
        start = time.monotonic()
        while True:
            card = self.describe()
            for watcher in watchers:
                watcher(card, time.monotonic() - start)
            if card[self.status] in ENDED:
                return card
            time.sleep(pause)

    def states(self) -> Watcher:
        """Return a watcher that logs each of its states once."""
        shown = ""

        def watch(card: dict[str, Any], seconds: float) -> None:
            nonlocal shown
            if card[self.status] != shown:
                shown = card[self.status]
                logger.info("%s %s: %s after %.0f s", self.kind, self.name, shown, seconds)

        return watch

    def stop_after(self, error: BaseException, pause: float) -> None:
        """Stop it after an exception, and wait until it writes nothing more; a note tells what goes on.

        Args:
            error: the exception, which gets the note.
            pause: seconds between two looks.
        """
        try:
            card = self.describe()
            if card[self.status] in ENDED or not self.ours(card):
                return
            logger.info("%s %s: is stopped", self.kind, self.name)
            with asking(f"stopping the {self.kind} {self.name}"):
                self.halt()
            deadline = time.monotonic() + _STOPPING
            while (status := self.describe()[self.status]) not in ENDED:
                if time.monotonic() > deadline:
                    error.add_note(f"The {self.kind} {self.name} is {status}: what it writes now stays.")
                    return
                time.sleep(pause)
        except CloudError as left:
            if left.code not in _GONE:  # else it was never started, or has ended meanwhile
                error.add_note(f"The {self.kind} {self.name} may still run, and cost money: {left}")


class JobLines:
    """A job's own lines, logged here as they come, as long as we may read them.

    Args:
        account: where the job runs.
        group: its log group.
        name: the job's name.
    """

    def __init__(self, account: Account, group: str, name: str) -> None:
        self.group = group
        self._account, self._prefix = account, f"{name}/"
        self._tail = LogTail(account, group, self._prefix)
        self._readable = True

    def __call__(self, card: dict[str, Any], seconds: float) -> None:
        """Log what came since the last call, as a watcher of the job."""
        if not self._readable:
            return
        try:
            for line in self._tail.new_lines():
                if not _CHATTER.match(line):
                    logger.info("%s", line)
        except CloudError as error:
            self._readable = False
            logger.warning("the job's log cannot be shown: %s", error)

    def explained(self, reason: str) -> str:
        """Return the reason of a failure, with the end of the log unless it says what to do."""
        if "To do: " in reason:
            return reason
        lines = last_events(self._account, self.group, self._prefix)
        return f"{reason.rstrip('.')}. The end of its log:\n{lines}" if lines else reason

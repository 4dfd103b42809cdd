"""The log of a job while it runs, and what its end tells of a failure."""

import logging
import re

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.logs import LogTail, last_events
from mri_tumor.errors import CloudError

logger = logging.getLogger(__name__)

# How the lines begin that say nothing of the job: some hundred that the SDK's entry point traces, and those
# with which TensorFlow starts. Errors show them all the same.
_CHATTER = re.compile(r"(\[[\w.-]+\] )?(\++ |SM_\w+=|[IWE]\d{4} \d|WARNING: All log messages before absl)")


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

    def show(self) -> None:
        """Log what came since the last call."""
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

"""Which of the judged pictures leaked, and whether all that leaked is said."""

import logging
from collections.abc import Collection
from typing import Any, Protocol

from mri_tumor.dataset.tables import few
from mri_tumor.errors import ArgumentError, LeakageError
from mri_tumor.models.judging.truth import Truth
from mri_tumor.models.seen import Shared

logger = logging.getLogger(__name__)


class Leaks(Protocol):
    """Anything that knows leaked pictures, such as an `AuditReport` or a `Known`."""

    @property
    def leaked_ids(self) -> Collection[str]:
        """Ids of test pictures that training holds too."""


def leaked_among(leaked: Leaks | Collection[str] | None, truth: Truth) -> frozenset[str] | None:
    """Return the leaked ids among the pictures; None if nothing is known about leaks.

    Raises:
        ArgumentError: `leaked` is of another type, or none of its ids is among the pictures.
    """
    if leaked is None:
        return None
    given: Any = getattr(leaked, "leaked_ids", leaked)
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ArgumentError(
            f"leaked is a {type(leaked).__name__}", "an AuditReport or ids", "pass dataset.audit(...)"
        )
    found = frozenset(given) & frozenset(truth.ids)
    if given and not (found and truth.known_ids):
        raise ArgumentError(
            f"none of the {len(given)} leaked ids, such as {next(iter(given))!r}, is in the data",
            f"ids such as {truth.ids[0]!r}" if truth.known_ids else "data with ids",
            "audit the very pictures that are evaluated; pass leaked=() if none of them leaked",
        )
    if len(found) < len(set(given)):
        logger.warning("%d of the leaked ids are not in the data", len(set(given)) - len(found))
    return found


def check_all_said(shared: Shared, leaked: Collection[str]) -> None:
    """Check that every picture that the classifier was trained on is among the leaked ones.

    Raises:
        LeakageError: one is not.
    """
    hidden = [name for name in shared.pictures if name not in leaked]
    if hidden:
        raise LeakageError(
            f"the classifier was trained on {len(hidden)} pictures that leaked= does not name: {few(hidden)}",
            "all of them among the leaked ones",
            "pass leaked=dataset.audit(train, test) of the very pictures it was trained on; "
            "allow_leakage=True scores all the same and says so",
        )


def check_not_seen(shared: Shared | None) -> None:
    """Check that the classifier was trained on none of the pictures, nor on their groups.

    Raises:
        LeakageError: it was.
    """
    if shared:
        raise LeakageError(
            f"the classifier was trained on {shared} of the data",
            "pictures and groups that it was not trained on",
            "judge it by other pictures; or pass leaked=dataset.audit(train, test) for leaked and clean "
            "scores apart; allow_leakage=True scores all the same and says so",
        )

"""Faults that a test lays down: the next calls of an operation fail as AWS's fail now and then."""

import threading
from dataclasses import dataclass

from harness.errors import Refused
from harness.recognise import Request

RESET = "reset"
"""The connection is reset before the call is carried out."""

LOST = "lost"
"""The call is carried out and the connection is reset in place of its answer."""

KINDS = ("throttle", "error", "expired", "denied", RESET, LOST)


@dataclass
class Fault:
    """One fault.

    Args:
        service: botocore's name of the service.
        operation: the operation's name, or "*" for all of the service.
        kind: one of `KINDS`.
        count: how many calls it hits.
    """

    service: str
    operation: str
    kind: str
    count: int


class Faults:
    """The faults that have not hit yet. The platform's own calls are never hit, those of jobs are."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Lay down a fault.

        Raises:
            Refused: there is no such kind.
        """
        if fault.kind not in KINDS:
            raise Refused("ValidationException", f"there is no fault {fault.kind!r}; there are {KINDS}")
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Take all faults up again."""
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> str | None:
        """Return the kind of fault that hits this call, if any does."""
        if request.principal in ("platform", "harness"):
            return None
        with self._lock:
            for fault in self._faults:
                if fault.service == request.service and fault.operation in ("*", request.operation):
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                    return fault.kind
        return None


def refusal(kind: str, request: Request) -> Refused:
    """Return the error of a fault that is one, as the service of the call words it."""
    xml, query = request.protocol == "rest-xml", request.protocol == "query"
    action = f"{request.service.removesuffix('-runtime')}:{request.operation}"
    denied = (
        f"User: arn:aws:iam::123456789012:user/somebody is not authorized to perform: {action} because no "
        f"identity-based policy allows the {action} action"
    )
    if kind == "throttle":
        if xml:
            return Refused("SlowDown", "Please reduce your request rate.", 503)
        return Refused("Throttling" if query else "ThrottlingException", "Rate exceeded")
    if kind == "error":
        return Refused(
            "InternalError" if xml else "InternalFailure", "We encountered an internal error.", 500
        )
    if kind == "expired":
        code = "ExpiredToken" if xml or query else "ExpiredTokenException"
        text = (
            "The provided token has expired."
            if xml
            else "The security token included in the request is expired"
        )
        return Refused(code, text, 400 if xml else 403)
    return Refused(
        "AccessDenied" if xml or query else "AccessDeniedException", denied, 403 if xml or query else 400
    )

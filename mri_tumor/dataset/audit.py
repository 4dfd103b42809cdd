"""Audit."""


class AuditReport:
    """Stand in while this is being written."""


def audit() -> None:
    """Stand in while this is being written."""

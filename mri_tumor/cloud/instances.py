"""Where jobs and endpoints can run."""

import re

from mri_tumor.errors import ArgumentError

LOCAL = "local"
SERVERLESS = "serverless"

_INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")


def check_instance_type(instance_type: str, *, serverless: bool = False) -> None:
    """Refuse what nothing runs on.

    Args:
        instance_type: `"local"`, `"ml.<family>.<size>"`, or `"serverless"` where that is allowed.
        serverless: whether it is.

    Raises:
        ArgumentError: it is something else.

    >>> check_instance_type("local")
    >>> check_instance_type("ml.g5.xlarge")
    """
    known = (LOCAL, SERVERLESS) if serverless else (LOCAL,)
    if instance_type in known or (isinstance(instance_type, str) and _INSTANCE.fullmatch(instance_type)):
        return
    raise ArgumentError(
        f"instance_type is {instance_type!r}",
        f"{', '.join(map(repr, known))}, or an instance type of SageMaker such as 'ml.m5.xlarge'",
        f"pass instance_type={LOCAL!r} for this machine",
    )

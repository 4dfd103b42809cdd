"""Where jobs and endpoints can run."""

from mri_tumor.errors import ArgumentError

LOCAL = "local"


def check_instance_type(instance_type: str) -> None:
    """Refuse what this release cannot run on.

    Raises:
        ArgumentError: `instance_type` is not `"local"`.

    >>> check_instance_type("local")
    """
    if instance_type == LOCAL:
        return
    if isinstance(instance_type, str) and instance_type.startswith("ml."):
        raise ArgumentError(
            f"instance_type is {instance_type!r}: this release runs jobs and endpoints on this machine only,"
            " SageMaker itself comes with a later release",
            f"{LOCAL!r}",
            f"pass instance_type={LOCAL!r}; the package it makes can be deployed on SageMaker as it is",
        )
    raise ArgumentError(f"instance_type is {instance_type!r}", f"{LOCAL!r}", f"pass instance_type={LOCAL!r}")

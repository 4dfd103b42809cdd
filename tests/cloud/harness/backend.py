"""The operations of SageMaker that run here; moto answers the others."""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

from harness.base import Platform
from harness.containers.children import Serving
from harness.describing import Descriptions, Tags
from harness.endpoints import Endpoints
from harness.errors import Answer
from harness.jobs.processing import ProcessingJobs
from harness.jobs.training import TrainingJobs
from harness.jobs.transform import TransformJobs
from harness.jobs.tuning import TuningJobs
from harness.models import Models
from harness.runtime import Runtime
from harness.validation import check_request, reply_problems

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class Backend:
    """What stands for SageMaker.

    Args:
        platform: its resources, files and children.
    """

    def __init__(self, platform: Platform) -> None:
        serving = Serving(platform)
        endpoints = Endpoints(platform, serving)
        self.runtime = Runtime(platform, endpoints)
        self.training = TrainingJobs(platform)
        self._tags = Tags(platform.store)
        self._operations: dict[str, Operation] = Descriptions(platform.store).operations()
        parts = (
            Models(platform),
            endpoints,
            self.training,
            TuningJobs(platform, self.training),
            ProcessingJobs(platform),
            TransformJobs(platform, serving),
            self._tags,
        )
        for part in parts:
            self._operations |= operations_of(part)

    def knows(self, operation: str, given: dict[str, Any]) -> bool:
        """Return whether an operation runs here."""
        if operation in ("ListTags", "AddTags", "DeleteTags"):
            return self._tags.is_ours(given)
        return operation in self._operations

    def answer(self, operation: str, given: dict[str, Any]) -> Answer:
        """Carry an operation out.

        Raises:
            Refused: the platform refuses.
            AssertionError: what would be answered is not of the operation's shape.
        """
        check_request(operation, given)
        reply = self._operations[operation](given)
        problems = reply_problems(operation, reply)
        assert not problems, f"{operation}: {problems}"
        return Answer(
            200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(reply, default=_plain).encode()
        )


def operations_of(part: Any) -> dict[str, Operation]:
    """Return the operations of a part: its public methods that are named as AWS's operations are.

    >>> class Part:
    ...     def stop_training_job(self, given): ...
    >>> list(operations_of(Part()))
    ['StopTrainingJob']
    """
    names = [name for name in dir(part) if re.match(r"(create|update|delete|stop|list|add)_", name)]
    return {"".join(word.title() for word in name.split("_")): getattr(part, name) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is in no reply")

"""SageMaker's resources: kept as they were asked for, with what became of them."""

import datetime
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Refused
from harness.recognise import model_of

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Args:
        name: as in `Describe<name>`; its members are `<name>Name`, `<name>Arn` and often `<name>Status`.
        arn: the kind's name in an ARN.
        title: what error messages call it.
    """

    name: str
    arn: str
    title: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("Model", "model", "model"),
        Kind("EndpointConfig", "endpoint-config", "endpoint configuration"),
        Kind("Endpoint", "endpoint", "endpoint"),
        Kind("TrainingJob", "training-job", "training job"),
        Kind("ProcessingJob", "processing-job", "processing job"),
        Kind("TransformJob", "transform-job", "transform job"),
        Kind("HyperParameterTuningJob", "hyper-parameter-tuning-job", "hyperparameter tuning job"),
    )
}


def now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Resource:
    """One resource.

    Args:
        kind: of which it is.
        name: its name.
        arn: its ARN.
        request: what it was created with.
        facts: the members of its description that the platform adds or changes.
        tags: key -> value.
    """

    kind: Kind
    name: str
    arn: str
    request: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def status(self) -> str:
        """Its status, "" for resources that have none."""
        return str(self.facts.get(f"{self.kind.name}Status", ""))

    def set(self, **facts: Any) -> None:
        """Change facts, and the time of the last change with them."""
        with self.lock:
            # In one step: a description that is made meanwhile sees all of them or none.
            self.facts = {**self.facts, **facts, "LastModifiedTime": now()}

    def described(self, operation: str) -> dict[str, Any]:
        """Return the members that an operation's reply has; those without a value are left out."""
        shape = model_of("sagemaker").operation_model(operation).output_shape
        assert shape is not None
        known = {**self.request, **self.facts}
        return {name: known[name] for name in shape.members if known.get(name) not in (None, {}, [])}


class Store:
    """All resources of an account in a region."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._resources: dict[tuple[str, str], Resource] = {}
        self._lock = threading.RLock()

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN that a resource has; SageMaker writes names in it in lower case."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{KINDS[kind].arn}/{name.lower()}"

    def create(self, kind: str, request: dict[str, Any], **facts: Any) -> Resource:
        """Add a resource.

        Raises:
            Refused: its name is taken.
        """
        name, arn = request[f"{kind}Name"], self.arn(kind, request[f"{kind}Name"])
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        with self._lock:
            if (kind, name) in self._resources:
                raise _taken(KINDS[kind], arn)
            own = {f"{kind}Arn": arn, "CreationTime": now(), "LastModifiedTime": now(), **facts}
            resource = Resource(KINDS[kind], name, arn, request, own, tags)
            self._resources[kind, name] = resource
        return resource

    def get(self, kind: str, name: str) -> Resource:
        """Return a resource.

        Raises:
            Refused: there is none of that name.
        """
        with self._lock:
            found = self._resources.get((kind, name))
        if found is None:
            raise _missing(KINDS[kind], name, self.arn(kind, name))
        return found

    def delete(self, resource: Resource) -> None:
        """Take a resource away, if it is still there."""
        with self._lock:
            self._resources.pop((resource.kind.name, resource.name), None)

    def all(self, kind: str = "") -> list[Resource]:
        """Return all resources, of a kind or of any."""
        with self._lock:
            return [one for one in self._resources.values() if kind in ("", one.kind.name)]

    def of_arn(self, arn: str) -> Resource | None:
        """Return the resource of an ARN, or None."""
        return next((one for one in self.all() if one.arn == arn.lower()), None)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.all())


def _taken(kind: Kind, arn: str) -> Refused:
    if kind.name in ("Model", "EndpointConfig", "Endpoint"):
        return Refused("ValidationException", f'Cannot create already existing {kind.title} "{arn}".')
    text = (
        f"{kind.title.capitalize()} names must be unique within an AWS account and region, and one with this"
    )
    return Refused("ResourceInUse", f"{text} name already exists ({arn})")


def _missing(kind: Kind, name: str, arn: str) -> Refused:
    if kind.name in ("Model", "EndpointConfig", "Endpoint"):
        return Refused("ValidationException", f'Could not find {kind.title} "{arn}".')
    if kind.name == "TrainingJob":
        return Refused("ValidationException", "Requested resource not found.")
    if kind.name == "HyperParameterTuningJob":
        return Refused("ResourceNotFound", f"Amazon SageMaker can't find a tuning job with the name: {name}")
    return Refused("ValidationException", f"Could not find requested job with name: {name}")

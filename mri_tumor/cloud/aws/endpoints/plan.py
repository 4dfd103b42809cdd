"""What an endpoint on SageMaker is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mri_tumor.cloud.instances import SERVERLESS
from mri_tumor.errors import ArgumentError

VARIANT = "AllTraffic"
"""The name of an endpoint's one variant, which autoscaling asks for."""

_ONLY_SERVERLESS = "the default: only a 'serverless' endpoint has this limit"


@dataclass(frozen=True)
class Plan:
    """What an endpoint is made of.

    Args:
        instance_type: `"ml.<family>.<size>"` or `"serverless"`.
        instance_count: how many instances share the requests.
        memory_mb: of a serverless endpoint: 1024 to 6144 in steps of 1024.
        max_concurrency: requests that a serverless endpoint answers at a time, 1 to 200.
        asynchronous: whether requests and answers go through S3.
        environment: of the container.
        startup_timeout: seconds until the endpoint must be in service.

    Raises:
        ArgumentError: a value is outside its range, or the kinds are mixed.

    >>> Plan("ml.m5.large").variant("m")["InitialInstanceCount"]
    1
    """

    instance_type: str
    instance_count: int = 1
    memory_mb: int = 4096
    max_concurrency: int = 5
    asynchronous: bool = False
    environment: Mapping[str, str] | None = None
    startup_timeout: float = 1800.0

    def __post_init__(self) -> None:
        checks = [
            (self.memory_mb in range(1024, 6145, 1024), "memory_mb", "1024 to 6144 in steps of 1024"),
            (1 <= self.max_concurrency <= 200, "max_concurrency", "1 to 200"),
            (self.instance_count >= 1, "instance_count", "a whole number from 1"),
            (
                self.serverless or self.memory_mb == Plan.memory_mb,
                "memory_mb",
                _ONLY_SERVERLESS,
            ),
            (
                self.serverless or self.max_concurrency == Plan.max_concurrency,
                "max_concurrency",
                _ONLY_SERVERLESS,
            ),
            (not (self.serverless and self.instance_count > 1), "instance_count", "1 with 'serverless'"),
            (not (self.serverless and self.asynchronous), "asynchronous", "False with 'serverless'"),
        ]
        for good, name, expected in checks:
            if not good:
                raise ArgumentError(f"{name} is {getattr(self, name)!r}", expected, "change it")

    @property
    def serverless(self) -> bool:
        """Whether no instance is named."""
        return self.instance_type == SERVERLESS

    def variant(self, name: str) -> dict[str, Any]:
        """Return the one variant of the endpoint, as `create_endpoint_config` takes it."""
        common = {"VariantName": VARIANT, "ModelName": name}
        if self.serverless:
            limits = {"MemorySizeInMB": self.memory_mb, "MaxConcurrency": self.max_concurrency}
            return {**common, "ServerlessConfig": limits}
        return {
            **common,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": self.instance_count,
            "InitialVariantWeight": 1.0,
        }

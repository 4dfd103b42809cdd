"""An AWS account as this program reaches it: credentials, a region, clients."""

import functools
import os
import threading
from typing import Any

from mri_tumor._lazy import load_extra
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.errors import ArgumentError, CloudError

_ATTEMPTS = 8
_CONNECT = 10  # seconds
_READ = 90  # seconds: an endpoint may take 60 for its answer


class Account:
    """The account, region and credentials that calls are made with.

    Args:
        session: a `boto3.Session`; without one the environment and the usual files decide, as for all of
            AWS's tools (`AWS_PROFILE`, `AWS_REGION`, ...).

    Raises:
        MissingExtra: boto3 is not installed.
        ArgumentError: `session` is something else.
        CloudError: no region is set anywhere.
    """

    def __init__(self, session: Any = None) -> None:
        boto3 = load_extra("boto3", "cloud", "AWS")
        if session is not None and not isinstance(session, boto3.Session):
            found = f"session is a {type(session).__name__}"
            raise ArgumentError(found, "a boto3.Session or None", "pass boto3.Session(profile_name=...)")
        with asking("starting an AWS session"):
            # boto3 itself knows only AWS_DEFAULT_REGION.
            self.session = session or boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        if self.session.region_name is None:
            raise CloudError(
                "no AWS region is set",
                "a region",
                "set AWS_REGION, or pass session=boto3.Session(region_name=...)",
                "NoRegionError",
            )
        self._clients: dict[tuple[str, float | None, int | None], Any] = {}
        self._lock = threading.Lock()  # boto3 makes clients one at a time; using them is safe

    @property
    def region(self) -> str:
        """The region's name."""
        return str(self.session.region_name)

    @functools.cached_property
    def number(self) -> str:
        """The account's number, which AWS is asked for once.

        Raises:
            CloudError: there are no valid credentials.
        """
        with asking("asking AWS who we are"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def client(self, service: str, *, seconds: float | None = None, attempts: int | None = None) -> Any:
        """Return boto3's client of a service; it tries again, with pauses, what was throttled or broke off.

        Args:
            service: `"s3"`, `"sagemaker"`, ...
            seconds: that an answer may take; None for 90.
            attempts: how often a call is made at most; None for 8.
        """
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=seconds or _READ,
            max_pool_connections=32,
            retries={"mode": "standard", "total_max_attempts": attempts or _ATTEMPTS},
        )
        kind = (service, seconds, attempts)
        with self._lock, asking(f"starting the client of {service}"):
            if kind not in self._clients:
                self._clients[kind] = self.session.client(service, config=config)
            return self._clients[kind]

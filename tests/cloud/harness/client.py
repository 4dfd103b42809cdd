"""The server as a test sees it."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

import boto3

from harness.base import REGION
from harness.store import ACCOUNT

_CLOUD = Path(__file__).resolve().parents[1]
_CALLER = "AKIACALLER0000000000"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
_CONFIG = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"


class SageMakerServer:
    """A server's process, started and ended as a context.

    Args:
        folder: a folder for its log and for the SDK's settings.

    `url` is where it answers; `bucket` is there, and `role` is an execution role's ARN.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.bucket = "mri-tumor-tests"
        self.role = f"arn:aws:iam::{ACCOUNT}:role/execution"
        self.url = ""

    def __enter__(self) -> Self:
        settings = self.folder / "sagemaker.yaml"
        settings.write_text(_CONFIG, encoding="utf-8")
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SM_"))}
        own["PYTHONPATH"] = str(_CLOUD)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own,
                cwd=self.folder,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-3000:]}")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"
        self.client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.client("iam").create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(_TRUST))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead boto3 and the SDK here, and nowhere else."""
        nowhere = str(self.folder / "no-such-file")
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _CALLER,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(self.folder / "sagemaker.yaml"),
            "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(self.folder / "sagemaker.yaml"),
        }

    def client(self, service: str) -> Any:
        """Return a client of boto3 for a service here, whatever the environment says."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=_CALLER,
            aws_secret_access_key="not-a-secret",
        )

    def fail(
        self, operation: str, kind: str = "throttle", *, count: int = 1, service: str = "sagemaker"
    ) -> None:
        """Let the next calls of an operation fail.

        Args:
            operation: as in `"DescribeEndpoint"`; `"*"` is any of the service.
            kind: "throttle", "error" (500), "expired" (token), "denied", "reset" (before the call is carried
                out) or "lost" (it is carried out, and its answer lost).
            count: how many calls, the SDK's own retries among them.
            service: botocore's name of it: "sagemaker", "sagemaker-runtime", "s3", "logs", ...
        """
        self._post("fault", {"service": service, "operation": operation, "kind": kind, "count": count})

    def fail_endpoints(self, count: int = 1) -> None:
        """Let the next endpoints fail to start."""
        self._post("order", {"fail_endpoints": count})

    def interrupt(self, job: str) -> None:
        """Take back the machine of a running managed spot training job."""
        self._post("interrupt", {"name": job})

    def interrupt_spot_jobs(self, count: int = 1) -> None:
        """Take back the machines of coming spot jobs once they have kept their first checkpoint."""
        self._post("order", {"interrupt_spot_jobs": count})

    def clear(self) -> None:
        """Take up all faults that have not hit."""
        self._post("clear", {})

    def mark(self) -> int:
        """Return a mark in the record of calls, for `calls`."""
        return len(self._post("calls", {}))

    def calls(self, since: int = 0, *, principal: str = "caller") -> list[tuple[str, str]]:
        """Return the calls since a mark as (service, operation), in order.

        Args:
            since: what `mark` returned.
            principal: "caller" (tests and library), "role" (code in jobs and containers) or "platform" (what
                SageMaker does in the execution role's name: read channels, write outputs and logs).
        """
        found = self._post("calls", {"since": since})
        return [(one["service"], one["operation"]) for one in found if one["principal"] == principal]

    def _post(self, what: str, card: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/harness/{what}", json.dumps(card).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return json.load(reply)

"""Batch transform jobs: one request for each object under a prefix, the answers beside each other in S3."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from harness import s3
from harness.base import Platform
from harness.containers.children import Serving
from harness.containers.container import Container, NotServing
from harness.errors import Refused
from harness.jobs.work import JobFailed, Work
from harness.logs import LogStream
from harness.models import container_of
from harness.store import now

GROUP = "/aws/sagemaker/TransformJobs"
_MIB = 2**20
_SEE = "See job logs for more information"


class TransformJobs:
    """The operations on batch transform jobs.

    Args:
        platform: whose they are.
        serving: loads their models.
    """

    def __init__(self, platform: Platform, serving: Serving) -> None:
        self._platform, self._serving = platform, serving
        self._works: dict[str, Work] = {}

    def create_transform_job(self, given: dict[str, Any]) -> dict[str, Any]:
        self._platform.store.get("Model", given["ModelName"])
        source = given["TransformInput"]
        if source.get("SplitType", "None") != "None" or source.get("CompressionType", "None") != "None":
            raise Refused("ValidationException", "the harness sends whole objects as they are")
        job = self._platform.store.create("TransformJob", given, TransformJobStatus="InProgress")
        work = self._works[job.name] = Work(job)
        run = TransformRun(self._platform, self._serving, work)
        work.begin(lambda _: run.run(), lambda reason: run.end("Failed", FailureReason=reason))
        return {"TransformJobArn": job.arn}

    def stop_transform_job(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._platform.store.get("TransformJob", given["TransformJobName"])
        if job.status != "InProgress":
            raise Refused("ValidationException", f"The job is in status {job.status} and cannot be stopped.")
        job.set(TransformJobStatus="Stopping")
        self._works[job.name].stopped.set()
        return {}


class TransformRun:
    """One run of a job.

    Args:
        platform: where it runs.
        serving: loads its model.
        work: the job and its signals.
    """

    def __init__(self, platform: Platform, serving: Serving, work: Work) -> None:
        self._platform, self._serving, self._work = platform, serving, work
        self._given = work.job.request
        self._client = platform.client("s3")
        self._log = LogStream(platform, GROUP, f"{work.job.name}/i-{uuid.uuid4().hex[:17]}/data-log")
        self._broken = threading.Event()
        self._written: list[str] = []

    def run(self) -> None:
        """Run the job to its end.

        Raises:
            JobFailed: an object could not be transformed.
        """
        self._work.job.set(TransformStartTime=now())
        model = container_of(self._platform.store.get("Model", self._given["ModelName"]).request)
        keys = self._keys()
        try:
            container = Container(
                self._platform, self._serving, model, self._log, self._given.get("Environment")
            )
        except NotServing as error:
            raise JobFailed(f"AlgorithmError: {error}") from error
        try:
            with ThreadPoolExecutor(self._given.get("MaxConcurrentTransforms") or 1) as pool:
                list(pool.map(lambda key: self._transform(container, key), keys))
        finally:
            container.close()
            self._log.flush()
            if self._broken.is_set():
                self._remove()
        self.end("Stopped" if self._work.stopped.is_set() else "Completed")

    def end(self, status: str, **facts: Any) -> None:
        """Say what became of the job."""
        self._work.job.set(TransformJobStatus=status, TransformEndTime=now(), **facts)

    def _keys(self) -> list[str]:
        address = self._address()
        try:
            keys = s3.keys_under(self._client, address)
        except ClientError as error:
            raise JobFailed(f"ClientError: {error.response['Error']['Message']}") from error
        if not keys:
            raise JobFailed(f"ClientError: No S3 objects found under S3 URL {address}")
        return keys

    def _address(self) -> str:
        return str(self._given["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])

    def _transform(self, container: Container, key: str) -> None:
        if self._broken.is_set() or self._work.stopped.is_set():
            return
        bucket, prefix = s3.parts_of(self._address())
        body = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        limit = self._given.get("MaxPayloadInMB", 6)
        if len(body) > limit * _MIB:
            self._fail(
                f"{bucket}/{key}: ClientError: 413", f"{len(body)} bytes are over {limit} MB", "Client"
            )
        headers = {"Content-Type": self._given["TransformInput"].get("ContentType", "application/json")}
        if accept := self._given["TransformOutput"].get("Accept"):
            headers["Accept"] = accept
        try:
            said = container.ask(body, headers, timeout=600)
        except OSError as error:
            self._fail(f"{bucket}/{key}: no answer", str(error), "Algorithm")
        if said.status >= 400:
            text = said.body.decode("utf-8", "replace")
            first = f"{bucket}/{key}: Bad HTTP status received from algorithm: {said.status}"
            self._fail(first, text, "Client" if said.status < 500 else "Algorithm")
        output = self._given["TransformOutput"]["S3OutputPath"].rstrip("/")
        place = f"{output}/{s3.place_of(key, prefix)}.out"
        kms_key = self._given["TransformOutput"].get("KmsKeyId")
        s3.send(self._client, said.body, place, kms_key=kms_key, kind=said.kind)
        self._written.append(place)

    def _fail(self, line: str, detail: str, side: str) -> None:
        self._broken.set()
        self._log.write(line)
        self._log.write(f"{line.partition(': ')[0]}: {detail}")
        raise JobFailed(f"{side}Error: {_SEE}")

    def _remove(self) -> None:
        """Take back what was written: a job that failed leaves no results."""
        for place in self._written:
            bucket, key = s3.parts_of(place)
            self._client.delete_object(Bucket=bucket, Key=key)

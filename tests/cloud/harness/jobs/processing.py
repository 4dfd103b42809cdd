"""Processing jobs: inputs from S3, a command, outputs to S3, on one host or several."""

import json
import time
from pathlib import Path
from typing import Any

from harness import s3
from harness.base import Platform
from harness.errors import Refused
from harness.jobs.ml_folder import OPT_ML, adapt, fetch, host_names
from harness.jobs.work import (
    DAY,
    GRACE,
    Containers,
    JobFailed,
    Work,
    check_role,
    exit_code,
    wait,
    without_credentials,
)
from harness.logs import LogStream
from harness.store import Resource, now

GROUP = "/aws/sagemaker/ProcessingJobs"
_CODE = ("code", "entrypoint")


class ProcessingJobs:
    """The operations on processing jobs.

    Args:
        platform: whose they are.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._works: dict[str, Work] = {}

    def create_processing_job(self, given: dict[str, Any]) -> dict[str, Any]:
        check_role(self._platform, given["RoleArn"])
        job = self._platform.store.create("ProcessingJob", given, ProcessingJobStatus="InProgress")
        work = self._works[job.name] = Work(job)
        run = ProcessingRun(self._platform, work)
        work.begin(lambda _: run.run(), lambda reason: run.end("Failed", FailureReason=reason))
        return {"ProcessingJobArn": job.arn}

    def stop_processing_job(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._platform.store.get("ProcessingJob", given["ProcessingJobName"])
        if job.status != "InProgress":
            raise Refused("ValidationException", f"The job is in status {job.status} and cannot be stopped.")
        job.set(ProcessingJobStatus="Stopping")
        self._works[job.name].stopped.set()
        return {}


class ProcessingRun:
    """One run of a job.

    Args:
        platform: where it runs.
        work: the job and its signals.
    """

    def __init__(self, platform: Platform, work: Work) -> None:
        self._platform, self._work = platform, work
        self._job: Resource = work.job
        self._given = work.job.request
        self._client = platform.client("s3")
        self._cluster = self._given["ProcessingResources"]["ClusterConfig"]
        self._hosts = host_names(self._cluster.get("InstanceCount", 1))
        self._folders = [platform.new_folder(work.job.name) for _ in self._hosts]
        self._mirrors: list[s3.Mirror] = []
        self._began = time.monotonic()

    def run(self) -> None:
        """Run the job to its end.

        Raises:
            JobFailed: an input is not there, or the command failed.
        """
        for host, folder in enumerate(self._folders):
            self._prepare(host, folder)
        self._job.set(ProcessingStartTime=now())
        containers = Containers(self._platform)
        try:
            self._start(containers)
            status, reason = wait(containers, self._look)
        finally:
            containers.end(grace=GRACE)
        for mirror in self._mirrors:
            mirror.send()
        self._job.set(ExitMessage=self._message())
        if status:
            raise JobFailed(f"AlgorithmError: , exit code: {exit_code(status)}")
        if reason == "MaxRuntimeExceeded":
            raise JobFailed(
                "InternalServerError: Processing job runtime exceeded MaxRuntimeInSeconds provided"
            )
        if not reason:
            self._upload()
        self.end("Stopped" if reason else "Completed")

    def end(self, status: str, **facts: Any) -> None:
        """Say what became of the job."""
        self._job.set(ProcessingJobStatus=status, ProcessingEndTime=now(), **facts)

    def _prepare(self, host: int, folder: Path) -> None:
        (folder / "config").mkdir()
        (folder / "output").mkdir()
        (folder / "processing").mkdir()
        card = {"current_host": self._hosts[host], "hosts": self._hosts, "network_interface_name": "lo"}
        (folder / "config" / "resourceconfig.json").write_text(json.dumps(card), encoding="utf-8")
        (folder / "config" / "processingjobconfig.json").write_text(json.dumps(self._given), encoding="utf-8")
        for one in self._given.get("ProcessingInputs", []):
            source = one["S3Input"]
            place = _here(folder, source["LocalPath"])
            place.mkdir(parents=True, exist_ok=True)
            sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
            fetch(self._client, source["S3Uri"], place, (host, len(self._hosts)) if sharded else (0, 1))
            if one["InputName"] in _CODE:
                adapt(place, folder)
        for output in self._outputs():
            place = _here(folder, output["LocalPath"])
            place.mkdir(parents=True, exist_ok=True)
            if output["S3UploadMode"] == "Continuous":
                self._mirrors.append(self._mirror(place, output))

    def _start(self, containers: Containers) -> None:
        application = self._given["AppSpecification"]
        given = [*application.get("ContainerEntrypoint", []), *application.get("ContainerArguments", [])]
        if not given:
            raise JobFailed("AlgorithmError: the harness knows no image's own entry point, exit code: 127")
        own = self._platform.environment()
        if self._given.get("NetworkConfig", {}).get("EnableNetworkIsolation"):
            own = without_credentials(own)
        for number, folder in enumerate(self._folders, 1):
            log = LogStream(self._platform, GROUP, f"{self._job.name}/algo-{number}-{int(time.time())}")
            variables = self._given.get("Environment", {})
            there = {name: value.replace(OPT_ML, str(folder)) for name, value in variables.items()}
            command = [word.replace(OPT_ML, str(folder)) for word in given]
            containers.start(command, {**own, **there}, folder, log)

    def _look(self) -> str | None:
        for mirror in self._mirrors:
            mirror.send(every=1.0)
        if self._work.stopped.is_set():
            return "Stopped"
        limit = self._given.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DAY)
        return "MaxRuntimeExceeded" if time.monotonic() - self._began > limit else None

    def _upload(self) -> None:
        for output in self._outputs():
            if output["S3UploadMode"] == "EndOfJob":
                for folder in self._folders:
                    self._mirror(_here(folder, output["LocalPath"]), output).send()

    def _mirror(self, place: Path, output: dict[str, Any]) -> s3.Mirror:
        key = self._given["ProcessingOutputConfig"].get("KmsKeyId")
        return s3.Mirror(self._client, place, output["S3Uri"], kms_key=key)

    def _outputs(self) -> list[dict[str, Any]]:
        return [one["S3Output"] for one in self._given.get("ProcessingOutputConfig", {}).get("Outputs", [])]

    def _message(self) -> str | None:
        for folder in self._folders:
            path = folder / "output" / "message"
            if path.is_file():
                return path.read_text(encoding="utf-8", errors="replace")[:1024]
        return None


def _here(folder: Path, path: str) -> Path:
    return Path(path.replace(OPT_ML, str(folder)))

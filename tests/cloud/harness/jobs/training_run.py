"""One run of a training job: channels from S3, a command, checkpoints, model and output to S3."""

import sys
import tarfile
import time
from pathlib import Path

from harness import s3
from harness.base import Platform
from harness.containers.children import HERE as CONTAINERS
from harness.jobs.metrics import final_metrics
from harness.jobs.ml_folder import OPT_ML, MlFolder, host_names
from harness.jobs.states import move
from harness.jobs.work import DAY, GRACE, Containers, JobFailed, Work, exit_code, wait, without_credentials
from harness.logs import LogStream
from harness.store import now

INTERRUPT_ORDER = "interrupt_spot_jobs"
"""The order that spot jobs are interrupted once their first checkpoint is kept: so many times."""

GROUP = "/aws/sagemaker/TrainingJobs"
_IMAGES_OWN = [sys.executable, str(CONTAINERS / "toolkit.py"), OPT_ML]


class TrainingRun:
    """One run of a job from its channels to its output.

    Args:
        platform: where it runs.
        work: the job and its signals.
    """

    def __init__(self, platform: Platform, work: Work) -> None:
        self._platform, self._work, self._job = platform, work, work.job
        self._given = work.job.request
        self._client = platform.client("s3")
        count = self._given["ResourceConfig"].get("InstanceCount", 1)
        self._hosts = host_names(count)
        self._logs = [
            LogStream(platform, GROUP, f"{work.job.name}/algo-{number}-{int(time.time())}")
            for number in range(1, count + 1)
        ]
        self._folders: list[MlFolder] = []
        self._mirrors: list[s3.Mirror] = []
        self._began = time.monotonic()

    def run(self) -> None:
        """Run the job to its end."""
        while True:
            move(self._job, "Downloading")
            self._prepare()
            if self._work.stopped.is_set():
                self._close("Stopped", "Stopped")
                return
            move(self._job, "Training")
            if "TrainingStartTime" not in self._job.facts:
                self._job.set(TrainingStartTime=now())
            status, reason = self._train()
            if reason != "Interrupted":
                break
            self._work.interrupted.clear()
            move(self._job, "Interrupted")
            move(self._job, "Restarting")
        self._finish(status, reason)

    def _prepare(self) -> None:
        self._folders = []
        self._mirrors = []
        for number in range(len(self._hosts)):
            folder = MlFolder(self._platform.new_folder(self._job.name), number, self._hosts)
            self._folders.append(folder)
            folder.write_configuration(self._given)
            folder.fetch_channels(self._client, self._given.get("InputDataConfig", []))
            if checkpoints := self._given.get("CheckpointConfig"):
                place = folder.place(checkpoints.get("LocalPath", "/opt/ml/checkpoints"))
                place.mkdir(parents=True, exist_ok=True)
                s3.fetch(self._client, checkpoints["S3Uri"], place)
                # All hosts write to one address, as on SageMaker.
                self._mirrors.append(s3.Mirror(self._client, place, checkpoints["S3Uri"], sent_before=True))

    def _train(self) -> tuple[int | None, str]:
        containers = Containers(self._platform)
        specification = self._given["AlgorithmSpecification"]
        given = [
            *specification.get("ContainerEntrypoint", _IMAGES_OWN),
            *specification.get("ContainerArguments", []),
        ]
        try:
            for folder, log in zip(self._folders, self._logs, strict=True):
                command = [folder.here(word) for word in given]
                containers.start(command, self._environment(folder), folder.folder, log)
            status, reason = wait(containers, self._look)
        finally:
            containers.end(grace=GRACE)
            self._keep_checkpoints()
        return status, reason

    def _look(self) -> str | None:
        """Return why what runs must end, or None; keep the checkpoints meanwhile."""
        if self._work.stopped.is_set():
            return "Stopped"
        limit = self._given["StoppingCondition"].get("MaxRuntimeInSeconds", DAY)
        if time.monotonic() - self._began > limit:
            return "MaxRuntimeExceeded"
        self._keep_checkpoints(every=1.0)
        if self._given.get("EnableManagedSpotTraining") and self._to_be_interrupted():
            return "Interrupted"
        return None

    def _to_be_interrupted(self) -> bool:
        orders = self._platform.orders
        if self._work.interrupted.is_set():
            return True
        if orders.get(INTERRUPT_ORDER) and any(mirror.count for mirror in self._mirrors):
            orders[INTERRUPT_ORDER] -= 1
            return True
        return False

    def _keep_checkpoints(self, every: float = 0.0) -> None:
        for mirror in self._mirrors:
            mirror.send(every=every)

    def _environment(self, folder: MlFolder) -> dict[str, str]:
        own = self._platform.environment()
        if self._given.get("EnableNetworkIsolation"):
            own = without_credentials(own)
        given = {name: folder.here(value) for name, value in self._given.get("Environment", {}).items()}
        return {**own, **given, "TRAINING_JOB_NAME": self._job.name, "TRAINING_JOB_ARN": self._job.arn}

    def _finish(self, status: int | None, reason: str) -> None:
        lines = [line for log in self._logs for line in log.lines]
        definitions = self._given["AlgorithmSpecification"].get("MetricDefinitions", [])
        self._job.set(FinalMetricDataList=final_metrics(definitions, lines))
        if status:
            self._set_times()
            raise JobFailed(f"AlgorithmError: {self._failure()}, exit code: {exit_code(status)}")
        if not reason:
            move(self._job, "Uploading")
        self._upload()
        self._close("Stopped" if reason else "Completed", reason or "Completed")

    def _failure(self) -> str:
        for folder in self._folders:
            path = folder.folder / "output" / "failure"
            if path.is_file():
                return path.read_text(encoding="utf-8", errors="replace")[:1024]
        return ""

    def _upload(self) -> None:
        output = f"{self._given['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self._job.name}/output"
        for name, source in (("model", "model"), ("output", "output/data")):
            # What every host left in these folders is packed together.
            sources = [folder.folder / source for folder in self._folders]
            files = {
                path: path.relative_to(place)
                for place in sources
                for path in place.rglob("*")
                if path.is_file()
            }
            if files:
                archive = self._folders[0].folder / f"{name}.tar.gz"
                _pack(files, archive)
                body, key = archive.read_bytes(), self._given["OutputDataConfig"].get("KmsKeyId")
                s3.send(self._client, body, f"{output}/{name}.tar.gz", kms_key=key)
                if name == "model":
                    self._job.set(ModelArtifacts={"S3ModelArtifacts": f"{output}/model.tar.gz"})

    def _close(self, status: str, secondary: str) -> None:
        self._set_times()
        move(self._job, secondary, TrainingJobStatus=status)

    def _set_times(self) -> None:
        seconds = max(1, round(time.monotonic() - self._began))
        spot = self._given.get("EnableManagedSpotTraining")
        billed = max(1, round(0.3 * seconds)) if spot else seconds
        self._job.set(TrainingEndTime=now(), TrainingTimeInSeconds=seconds, BillableTimeInSeconds=billed)


def _pack(files: dict[Path, Path], archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as packed:
        for path, name in sorted(files.items()):
            packed.add(path, str(name))

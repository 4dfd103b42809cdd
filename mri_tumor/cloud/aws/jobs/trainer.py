"""The adapter to the SageMaker SDK: our words for a training job to its `ModelTrainer`, and nothing else."""

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mri_tumor._lazy import load_extra
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.images import training_image
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.jobs.source import TRAIN, stored_source
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.container.job import METRICS


@dataclass(frozen=True)
class JobPlan:
    """A training job on SageMaker before it starts.

    Args:
        name: how the job's name begins; a time is added.
        folder: the `s3://` folder for everything the job reads and writes.
        channels: name -> `s3://` address.
        hyperparameters: name -> text.
        machines: what it runs on.
        terms: the terms it runs on.
    """

    name: str
    folder: S3Address
    channels: Mapping[str, str]
    hyperparameters: Mapping[str, str]
    machines: Machines
    terms: Terms

    @property
    def checkpoints(self) -> str:
        """Where the job's checkpoints are kept, for it and for those that go on from it."""
        return f"{self.folder}/jobs/{self.name}/checkpoints"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back the SDK's log lines, its warnings about itself, and its look at the role.

    That look may fail where the role is fine.
    """
    logger = logging.getLogger("sagemaker")
    level, before = logger.level, os.environ.get("SAGEMAKER_VALIDATE_ROLE")
    logger.setLevel(logging.CRITICAL)
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = before or "false"
    try:
        with warnings.catch_warnings():
            # It imports its own old names, and leaves temporary folders to the garbage collector.
            for kind in (DeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)
            yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ["SAGEMAKER_VALIDATE_ROLE"]


def trainer_of(plan: JobPlan) -> Any:
    """Return the SDK's `ModelTrainer` for a job; the library's source is put into S3.

    Raises:
        MissingExtra: the SDK is not installed.
        ArgumentError: AWS has no image for the instance type.
        CloudError: AWS refused.
    """
    train = load_extra("sagemaker.train", "cloud", "training on SageMaker")
    from sagemaker.core.shapes import CheckpointConfig, MetricDefinition, OutputDataConfig, Tag
    from sagemaker.core.training.configs import Compute, Networking, SourceCode, StoppingCondition

    machines, terms = plan.machines, plan.terms
    longest = {} if machines.longest_wait is None else {"max_wait_time_in_seconds": machines.longest_wait}
    key = {} if terms.kms_key is None else {"kms_key_id": terms.kms_key}
    trainer = train.ModelTrainer(
        training_image=machines.image or training_image(terms.account, machines.instance_type),
        source_code=SourceCode(source_dir=stored_source(plan.folder, terms), entry_script=TRAIN),
        compute=Compute(
            instance_type=machines.instance_type,
            instance_count=machines.instance_count,
            volume_size_in_gb=machines.volume_size,
            **terms.volume_key("volume_kms_key_id", machines.instance_type),
            enable_managed_spot_training=machines.spot,
        ),
        networking=Networking(
            subnets=list(terms.subnets) or None,
            security_group_ids=list(terms.security_group_ids) or None,
            enable_network_isolation=terms.network_isolation,
            # Workers send each other gradients of patients' pictures.
            enable_inter_container_traffic_encryption=machines.instance_count > 1,
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=machines.max_run, **longest),
        output_data_config=OutputDataConfig(s3_output_path=f"{plan.folder}/jobs", **key),
        checkpoint_config=CheckpointConfig(s3_uri=plan.checkpoints),
        hyperparameters=dict(plan.hyperparameters),
        environment=dict(machines.environment),
        base_job_name=plan.name,
        role=terms.role,
        tags=[Tag(key=name, value=value) for name, value in terms.tags.items()],
        sagemaker_session=_session(plan),
    )
    return trainer.with_metric_definitions(
        [MetricDefinition(name=name, regex=expression) for name, expression in METRICS.items()]
    )


def channels_of(plan: JobPlan) -> list[Any]:
    """Return the job's channels in the SDK's form.

    Every host gets all of a channel: the workers cut each batch among them.
    """
    from sagemaker.core.shapes import Channel, DataSource, S3DataSource

    return [
        Channel(
            channel_name=name,
            input_mode=plan.machines.input_mode,
            data_source=DataSource(
                s3_data_source=S3DataSource(
                    s3_data_type="S3Prefix",
                    s3_uri=prefix_of(address),
                    s3_data_distribution_type="FullyReplicated",
                )
            ),
        )
        for name, address in plan.channels.items()
    ]


def prefix_of(address: str) -> str:
    """Return the prefix of a channel's keys: with a slash, "train" does not also name "train2"."""
    return address if address.endswith((".h5", "/")) else f"{address}/"


def _session(plan: JobPlan) -> Any:
    """Return the SDK's session: it puts what it needs under the plan's folder, and reports to nobody."""
    from sagemaker.core.config.config import load_sagemaker_config
    from sagemaker.core.helper.session_helper import Session

    config = copy.deepcopy(load_sagemaker_config()) or {"SchemaVersion": "1.0"}
    python = config.setdefault("SageMaker", {}).setdefault("PythonSDK", {})
    python.setdefault("Modules", {})["TelemetryOptOut"] = True
    return Session(
        boto_session=plan.terms.account.session,
        default_bucket=plan.folder.bucket,
        default_bucket_prefix=f"{plan.folder.key}/jobs".lstrip("/"),
        sagemaker_config=config,
    )

"""Many pictures at a time, without an endpoint that waits for them."""

import tempfile
from pathlib import Path
from typing import Any, Unpack

from mri_tumor.cloud.answers import bodies, pictures_a_body, predictions_of
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.endpoints.deployment import stored_package
from mri_tumor.cloud.aws.images import serving_image
from mri_tumor.cloud.aws.jobs.transform import TransformPlan, transform
from mri_tumor.cloud.aws.names import own_name
from mri_tumor.cloud.aws.terms import GivenTerms, Terms, check_names, refuse_locally
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.cloud.container.inference import DIGEST_KEY, NPY_TYPE
from mri_tumor.cloud.endpoint import deploy
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.transport import json_of
from mri_tumor.errors import ArgumentError
from mri_tumor.manifest import Manifest
from mri_tumor.models.prediction import Prediction


def batch_predict(
    package: str | Path,
    images: Any,
    *,
    instance_type: str = LOCAL,
    instance_count: int = 1,
    output: str | None = None,
    name: str | None = None,
    image: str | None = None,
    **terms: Unpack[GivenTerms],
) -> list[Prediction]:
    """Predict pictures in one job and return one prediction a picture, in the order given and with its id.

    On SageMaker a batch transform job does it: its instances run as long as there are pictures and cost
    nothing afterwards. Requests and answers lie under `output` meanwhile, and are removed with the model at
    the end, also after an exception. On this machine an endpoint is started and ended.

    Args:
        package: a `model.tar.gz`: a path, or `s3://...`.
        images: what `Predictor.predict` takes.
        instance_type: `"local"` or `"ml.<family>.<size>"`.
        instance_count: how many instances share the pictures.
        output: on SageMaker the `s3://` folder for the package, requests and answers.
        name: of the job on SageMaker, which begins with `mri-tumor-` in any case; a new one by default.
        image: the inference image, AWS's TensorFlow image by default.
        **terms: on SageMaker `role`, and if need be `subnets`, `security_group_ids`, `kms_key`,
            `network_isolation`, `tags`, `session`.

    Raises:
        ArgumentError: an argument is of the wrong kind, or means nothing for the instance type.
        PackageError: the archive cannot be used.
        ReadError: a picture cannot be read.
        ManifestMismatch: the pictures were prepared for another model.
        CloudError: AWS refused.
        EndpointError: the job failed, or the model answered in a form that is not known.

    >>> batch_predict("model.tar.gz", "scan.png", instance_type="m5.large")
    Traceback (most recent call last):
        ...
    mri_tumor.errors.ArgumentError: instance_type is 'm5.large'. Expected: ...
    """
    check_names(terms, batch_predict)
    check_instance_type(instance_type)
    if not isinstance(instance_count, int) or instance_count < 1:
        raise ArgumentError(f"instance_count is {instance_count!r}", "a whole number from 1", "change it")
    if instance_type == LOCAL:
        count = None if instance_count == 1 else instance_count
        remote = {"output": output, "name": name, "image": image, "instance_count": count}
        refuse_locally({key: value for key, value in remote.items() if value is not None} | dict(terms))
        with deploy(package) as endpoint:
            return endpoint.predict(images)
    if output is None:
        raise ArgumentError("output is None", "an s3:// folder", "pass output='s3://BUCKET/PREFIX'")
    checked, name, folder = Terms.of(terms), own_name(name), S3Address.parse(output)
    image = image or serving_image(checked.account, instance_type)
    data, manifest = stored_package(package, folder, checked)
    # A batch transform sends no header of ours: the digest goes with the content type.
    kind = f"{NPY_TYPE}; {DIGEST_KEY}={manifest.sections['data']['preprocess_digest']}"
    place = folder / "batches"
    plan = TransformPlan(name, data, image, place, kind, instance_type, instance_count, checked)
    return _predict(plan, images, manifest)


def _predict(plan: TransformPlan, images: Any, manifest: Manifest) -> list[Prediction]:
    """Write the requests into a folder, run the job, and read its answers."""
    from mri_tumor.dataset.preprocess import Preprocess

    preprocess = Preprocess.from_dict(manifest.sections["data"]["preprocess"])
    most = pictures_a_body(preprocess.size, MAX_BODY)
    ids: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="mri_tumor-batch-") as temporary:
        for number, (own, body) in enumerate(bodies(images, preprocess, most)):
            (Path(temporary) / f"{number:06d}.npy").write_bytes(body)
            ids.append(own)
        answers = transform(plan, Path(temporary)) if ids else []
    parts = (
        predictions_of(json_of(answer, plan.name), own, manifest, plan.name)
        for answer, own in zip(answers, ids, strict=True)
    )
    return [prediction for part in parts for prediction in part]

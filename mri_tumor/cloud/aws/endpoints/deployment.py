"""From an archive, here or in S3, to an endpoint on SageMaker."""

import logging
from pathlib import Path

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.endpoints.hosting import RemoteEndpoint
from mri_tumor.cloud.aws.endpoints.plan import Plan
from mri_tumor.cloud.aws.images import serving_image
from mri_tumor.cloud.aws.names import own_name
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.package import archive_of, validate_package
from mri_tumor.errors import ArgumentError
from mri_tumor.files import sha256_of
from mri_tumor.manifest import Manifest

logger = logging.getLogger(__name__)


def deploy_remotely(
    package: str | Path, plan: Plan, terms: Terms, *, name: str | None, output: str | None, image: str | None
) -> RemoteEndpoint:
    """Check an archive, put it into S3 if it is not there, and start an endpoint from it.

    Args:
        package: a path, or `s3://.../model.tar.gz`.
        plan: what the endpoint is made of.
        terms: the terms it runs on.
        name: of the endpoint, or None.
        output: the `s3://` folder for the archive and for asynchronous answers, or None.
        image: the inference image, or None for AWS's.

    Raises:
        ArgumentError: `output` is needed and missing, or no `s3://` address; AWS has no image.
        PackageError: the archive cannot be deployed.
        CloudError: AWS refused.
        EndpointError: the endpoint did not start.
    """
    if plan.serverless and (terms.subnets or terms.network_isolation):
        raise ArgumentError(
            "subnets or network_isolation is given with 'serverless', which has neither",
            "an instance type",
            "pass instance_type='ml.m5.large', or leave them out",
        )
    name = own_name(name)
    folder = None if output is None else S3Address.parse(output)
    if folder is None and (plan.asynchronous or not str(package).startswith("s3://")):
        reason = "requests and answers" if plan.asynchronous else "the archive"
        raise ArgumentError(
            "output is None", "an s3:// folder", f"pass output='s3://BUCKET/PREFIX', for {reason}"
        )
    instance = "ml.m5.large" if plan.serverless else plan.instance_type
    image = image or serving_image(terms.account, instance)
    data, _ = stored_package(package, folder, terms)
    answers = f"{folder}/endpoints/{name}" if plan.asynchronous else None
    logger.info("endpoint %s: %s from %s", name, plan.instance_type, data)
    return RemoteEndpoint.create(name, data, image, plan, terms, answers=answers)


def stored_package(package: str | Path, folder: S3Address | None, terms: Terms) -> tuple[str, Manifest]:
    """Check an archive and return where in S3 it lies, and its manifest; one of this machine is put there.

    Equal archives share a place, named by their SHA-256.

    Raises:
        PackageError: the archive cannot be deployed.
        CloudError: AWS refused.
    """
    from mri_tumor.cloud.storage import upload

    session = terms.account.session
    with archive_of(package, session=session) as archive:
        manifest = validate_package(archive)
        if folder is None or str(package).startswith("s3://"):
            return str(package), manifest
        place = f"{folder}/packages/{sha256_of(archive)[:16]}"
        sent = upload(archive, place, kms_key=terms.kms_key, tags=dict(terms.tags), session=session)
        logger.info("%s", sent.summary())
        return f"{place}/{archive.name}", manifest

"""AWS's images of TensorFlow that jobs and endpoints run in."""

from mri_tumor._lazy import load_extra
from mri_tumor.cloud.aws.account import Account
from mri_tumor.errors import ArgumentError

TRAINING = "2.21"
"""The image of training jobs: TensorFlow 2.21, Keras 3.15, Python 3.12."""

SERVING = {"2.21": "2.20", "2.19": "2.19"}
"""Training image -> the inference image for what it trains: AWS does not make all versions of both."""


def training_image(account: Account, instance_type: str, version: str = TRAINING) -> str:
    """Return the address of the training image in the account's region.

    Raises:
        ArgumentError: AWS has no image for that instance type or version.
    """
    return _image(account, instance_type, version, "training")


def serving_image(account: Account, instance_type: str, version: str = TRAINING) -> str:
    """Return the address of the inference image for what an image of `version` trains.

    Raises:
        ArgumentError: AWS has no image for that instance type or version.
    """
    if version not in SERVING:
        raise ArgumentError(f"the image is {version!r}", f"one of {', '.join(SERVING)}", "choose another one")
    return _image(account, instance_type, SERVING[version], "inference")


def _image(account: Account, instance_type: str, version: str, scope: str) -> str:
    uris = load_extra("sagemaker.core.image_uris", "cloud", "finding AWS's images")
    python = {"py_version": "py312"} if scope == "training" else {}
    try:
        found = uris.retrieve(
            "tensorflow",
            region=account.region,
            version=version,
            instance_type=instance_type,
            image_scope=scope,
            **python,
        )
    except (ValueError, KeyError) as error:
        raise ArgumentError(
            f"no {scope} image of TensorFlow {version} for {instance_type} in {account.region}: {error}",
            "an x86 instance type, such as ml.m5.xlarge or ml.g5.xlarge",
            "choose another one, or pass image=",
        ) from error
    return str(found)

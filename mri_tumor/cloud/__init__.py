"""The cloud API: a `Classifier` to and from SageMaker, and the same job on this machine."""

from typing import TYPE_CHECKING

from mri_tumor._lazy import attach

# Imported at once: a module of the same name would otherwise take the function's place in this package.
from mri_tumor.cloud.package import package

if TYPE_CHECKING:
    from mri_tumor.cloud.aws.inventory import Resource, resources
    from mri_tumor.cloud.aws.policy import policy
    from mri_tumor.cloud.batch import batch_predict
    from mri_tumor.cloud.checkup import Finding, doctor
    from mri_tumor.cloud.endpoint import deploy
    from mri_tumor.cloud.estimator import Estimator
    from mri_tumor.cloud.package import validate_package
    from mri_tumor.cloud.predictor import Predictor
    from mri_tumor.cloud.preparing import prepare
    from mri_tumor.cloud.storage import download, upload

__all__ = [
    "Estimator",
    "Finding",
    "Predictor",
    "Resource",
    "batch_predict",
    "deploy",
    "doctor",
    "download",
    "package",
    "policy",
    "prepare",
    "resources",
    "upload",
    "validate_package",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Estimator": ".estimator",
        "Finding": ".checkup",
        "Predictor": ".predictor",
        "Resource": ".aws.inventory",
        "batch_predict": ".batch",
        "deploy": ".endpoint",
        "doctor": ".checkup",
        "download": ".storage",
        "policy": ".aws.policy",
        "prepare": ".preparing",
        "resources": ".aws.inventory",
        "upload": ".storage",
        "validate_package": ".package",
    },
)

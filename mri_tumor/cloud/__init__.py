"""The cloud API: a `Classifier` to and from SageMaker, and the same job on this machine."""

from typing import TYPE_CHECKING

from mri_tumor._lazy import attach

# Imported at once: a module of the same name would otherwise take the function's place in this package.
from mri_tumor.cloud.package import package

if TYPE_CHECKING:
    from mri_tumor.cloud.endpoint import deploy
    from mri_tumor.cloud.estimator import Estimator
    from mri_tumor.cloud.package import validate_package
    from mri_tumor.cloud.predictor import Predictor
    from mri_tumor.cloud.storage import download, upload

__all__ = [
    "Estimator",
    "Predictor",
    "deploy",
    "download",
    "package",
    "upload",
    "validate_package",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Estimator": ".estimator",
        "Predictor": ".predictor",
        "deploy": ".endpoint",
        "download": ".storage",
        "upload": ".storage",
        "validate_package": ".package",
    },
)

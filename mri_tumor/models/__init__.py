"""The models API: from `tf.data` to a `Classifier` that knows what it was trained on."""

from typing import TYPE_CHECKING

from mri_tumor._lazy import attach

if TYPE_CHECKING:
    from mri_tumor.models.builders import available, build
    from mri_tumor.models.classifier import Classifier
    from mri_tumor.models.evaluation import Evaluation, evaluate
    from mri_tumor.models.prediction import Prediction
    from mri_tumor.models.recipe import Recipe
    from mri_tumor.models.training import train

__all__ = [
    "Classifier",
    "Evaluation",
    "Prediction",
    "Recipe",
    "available",
    "build",
    "evaluate",
    "train",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Classifier": ".classifier",
        "Evaluation": ".evaluation",
        "Prediction": ".prediction",
        "Recipe": ".recipe",
        "available": ".builders",
        "build": ".builders",
        "evaluate": ".evaluation",
        "train": ".training",
    },
)

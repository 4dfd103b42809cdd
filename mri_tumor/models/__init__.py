"""The models API: from `tf.data` to a `Classifier` that knows what it was trained on."""

from typing import TYPE_CHECKING

from mri_tumor._lazy import attach

if TYPE_CHECKING:
    from mri_tumor.models.builders import available, build
    from mri_tumor.models.calibration import calibrate
    from mri_tumor.models.card import model_card
    from mri_tumor.models.classifier import Classifier
    from mri_tumor.models.engines.report import ExportReport
    from mri_tumor.models.evaluation import Evaluation, evaluate
    from mri_tumor.models.explaining.explanation import Explanation
    from mri_tumor.models.judging.comparison import Comparison, compare
    from mri_tumor.models.judging.five import five
    from mri_tumor.models.judging.five_numbers import FiveNumbers
    from mri_tumor.models.novelty import Density
    from mri_tumor.models.prediction import Prediction
    from mri_tumor.models.recipe import Recipe
    from mri_tumor.models.reliability import brier, expected_calibration_error, reliability_curve
    from mri_tumor.models.training import train

__all__ = [
    "Classifier",
    "Comparison",
    "Density",
    "Evaluation",
    "Explanation",
    "ExportReport",
    "FiveNumbers",
    "Prediction",
    "Recipe",
    "available",
    "brier",
    "build",
    "calibrate",
    "compare",
    "evaluate",
    "expected_calibration_error",
    "five",
    "model_card",
    "reliability_curve",
    "train",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Classifier": ".classifier",
        "Comparison": ".judging.comparison",
        "Density": ".novelty",
        "Evaluation": ".evaluation",
        "Explanation": ".explaining.explanation",
        "ExportReport": ".engines.report",
        "FiveNumbers": ".judging.five_numbers",
        "Prediction": ".prediction",
        "Recipe": ".recipe",
        "available": ".builders",
        "brier": ".reliability",
        "build": ".builders",
        "calibrate": ".calibration",
        "compare": ".judging.comparison",
        "evaluate": ".evaluation",
        "expected_calibration_error": ".reliability",
        "five": ".judging.five",
        "model_card": ".card",
        "reliability_curve": ".reliability",
        "train": ".training",
    },
)

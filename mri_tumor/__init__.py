"""mri_tumor: brain-MRI pictures to a tumour classifier whose reported numbers are true.

Three rooms, one direction: `dataset` (files to `tf.data`), `models` (`tf.data` to a `Classifier`) and `cloud`
(a `Classifier` to and from SageMaker). Importing this package loads none of the heavy libraries.

Research and teaching only: not a medical device.
"""

from typing import TYPE_CHECKING

from mri_tumor import errors
from mri_tumor._lazy import attach
from mri_tumor.labels import LABELS

if TYPE_CHECKING:
    from mri_tumor import cloud, dataset, models

__version__ = "0.1.0.dev0"
__all__ = ["LABELS", "__version__", "cloud", "dataset", "errors", "models"]

__getattr__, __dir__ = attach(__name__, {"dataset": ".dataset", "models": ".models", "cloud": ".cloud"})

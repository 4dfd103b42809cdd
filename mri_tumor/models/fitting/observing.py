"""What a network sees and says of many pictures: features and logits, by the views that predictions take."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.builders import head
from mri_tumor.models.deciding.views import observe
from mri_tumor.models.engines.tensorflow_engine import pictures_a_call
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.pool import Places, Pool


class Observed(NamedTuple):
    """`logits` float32 (N, K) and `features` float32 (N, F), both the mean over the views."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


def observed(network: Any, pool: Pool, places: Places, tta: str, table: FeatureTable | None) -> Observed:
    """Run the pictures at these places through a network as its classifier will.

    Args:
        network: trained.
        pool: the pictures.
        places: which of them.
        tta: as in `Recipe`.
        table: their cached features, if the backbone is as it was when they were computed; None runs it.
    """
    if table is not None:
        views = [view.values for view in table.views(places)]
        model = head(network)
        said = [np.asarray(model.predict(view, batch_size=256, verbose=0)) for view in views]
        return Observed(np.mean(said, axis=0), np.mean(views, axis=0))
    shape = (None, *network.inputs[0].shape[1:])
    run = tf.function(
        lambda images: observe(network, images, tta), input_signature=[tf.TensorSpec(shape, tf.uint8)]
    )
    batches = pool.batches(places, batch_size=pictures_a_call(), augment=None, seed=0, epoch=0)
    parts = [[array.numpy() for array in run(batch["image"])] for batch in batches]
    return Observed(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.deciding.views import observe

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def classifier(make_classifier: Callable[..., Classifier]) -> Classifier:
    return make_classifier()


def test_logits_and_features_of_the_network(classifier: Classifier) -> None:
    logits, features = observe(classifier.model, PICTURES)
    np.testing.assert_allclose(logits, classifier.model(PICTURES, training=False), atol=1e-5)
    np.testing.assert_allclose(features, backbone(classifier.model)(PICTURES, training=False), atol=1e-5)


def test_mirror_is_the_mean_of_both_views(classifier: Classifier) -> None:
    both = [observe(classifier.model, images) for images in (PICTURES, PICTURES[:, :, ::-1])]
    assert np.abs(np.asarray(both[0][0]) - both[1][0]).max() > 0.01  # the views differ
    for found, *parts in zip(observe(classifier.model, PICTURES, "mirror"), *both, strict=True):
        np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=1e-5)


def test_mirror_sees_a_picture_and_its_mirror_image_alike(classifier: Classifier) -> None:
    first, second = (observe(classifier.model, x, "mirror")[0] for x in (PICTURES, PICTURES[:, :, ::-1]))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("count", [1, 5])
def test_a_traced_one_takes_any_number_of_pictures(classifier: Classifier, count: int) -> None:
    spec = tf.TensorSpec((None, 32, 32, 1), tf.uint8)
    traced = tf.function(lambda x: observe(classifier.model, x, "mirror"), input_signature=[spec])
    logits, features = traced(PICTURES[:count])
    assert (logits.shape[0], features.shape[0]) == (count, count)
    expected = observe(classifier.model, PICTURES, "mirror")[0][:count]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_other_views(classifier: Classifier) -> None:
    with pytest.raises(ArgumentError, match="tta is 'ten_crop'"):
        observe(classifier.model, PICTURES, "ten_crop")

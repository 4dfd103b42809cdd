"""The networks of `keras.applications` that `build` knows: what each expects, in one table."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

_SERVER = "https://storage.googleapis.com"
_KERAS = f"{_SERVER}/tensorflow/keras-applications"
_OLD = "weights_tf_dim_ordering_tf_kernels"


class Scaling(NamedTuple):
    """What a network is given of a grey value from 0 to 255: `value * scale + offset`, a channel each."""

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]


_MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""ImageNet's standard deviation of red, green and blue, as shares of 255."""

SCALINGS: Mapping[str, Scaling | None] = {
    "inside": None,
    "-1 to 1": Scaling((1 / 127.5,) * 3, (-1.0,) * 3),
    "standardised": Scaling(
        tuple(1 / (255 * one) for one in DEVIATION),  # type: ignore[arg-type]
        tuple(-mean / one for mean, one in zip(_MEAN, DEVIATION, strict=True)),  # type: ignore[arg-type]
    ),
    "less the mean": Scaling((1.0,) * 3, (-103.939, -116.779, -123.68)),
}
"""How the networks were trained: with 0 to 255 and a scaling of their own (`"inside"`), with -1 to 1, with
ImageNet's mean and deviation of red, green and blue, or with its means of blue, green and red taken off."""


class Application(NamedTuple):
    """One network.

    Args:
        make: the function of `keras.applications`.
        scaling: a key of `SCALINGS`.
        maps: layers whose outputs are pooled beside the last one's, from the picture's side. A padding stands
            for the layer before it, which Keras gives no name of its own.
        file: where its ImageNet weights without the top layer lie; `{alpha}` is its width.
        source: where it was published.
        least: the smallest picture it takes, in pixels.
        widths: the values of `alpha` for which there are ImageNet weights; empty where it has one width.
    """

    make: Callable[..., Any]
    scaling: str
    maps: tuple[str, ...]
    file: str
    source: str
    least: int = 32
    widths: tuple[float, ...] = ()


APPLICATIONS: Mapping[str, Application] = {
    "mobilenet_v2": Application(
        keras.applications.MobileNetV2,
        "-1 to 1",
        ("block_6_expand_relu", "block_10_project_BN", "block_13_expand_relu", "block_16_expand_relu"),
        f"{_KERAS}/mobilenet_v2/mobilenet_v2_{_OLD}_{{alpha}}_224_no_top.h5",
        "Sandler et al. 2018, arXiv:1801.04381",
        widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    ),
    "mobilenet_v3_small": Application(
        keras.applications.MobileNetV3Small,
        "inside",
        (
            "expanded_conv_1_depthwise_pad",
            "expanded_conv_3_depthwise_pad",
            "expanded_conv_7_add",
            "expanded_conv_8_depthwise_pad",
        ),
        f"{_KERAS}/mobilenet_v3/weights_mobilenet_v3_small_224_{{alpha}}_float_no_top_v2.h5",
        "Howard et al. 2019, arXiv:1905.02244",
        widths=(0.75, 1.0),
    ),
    "mobilenet_v3_large": Application(
        keras.applications.MobileNetV3Large,
        "inside",
        (
            "expanded_conv_3_depthwise_pad",
            "expanded_conv_6_depthwise_pad",
            "expanded_conv_11_add",
            "expanded_conv_12_depthwise_pad",
        ),
        f"{_KERAS}/mobilenet_v3/weights_mobilenet_v3_large_224_{{alpha}}_float_no_top_v2.h5",
        "Howard et al. 2019, arXiv:1905.02244",
        widths=(0.75, 1.0),
    ),
    "efficientnet_b0": Application(
        keras.applications.EfficientNetB0,
        "inside",
        (
            "block3a_expand_activation",
            "block4a_expand_activation",
            "block5c_add",
            "block6a_expand_activation",
        ),
        f"{_SERVER}/keras-applications/efficientnetb0_notop.h5",
        "Tan and Le 2019, arXiv:1905.11946",
    ),
    "efficientnet_v2_b0": Application(
        keras.applications.EfficientNetV2B0,
        "inside",
        ("block2b_add", "block4a_expand_activation", "block5e_add", "block6a_expand_activation"),
        f"{_KERAS}/efficientnet_v2/efficientnetv2-b0_notop.h5",
        "Tan and Le 2021, arXiv:2104.00298",
    ),
    "densenet121": Application(
        keras.applications.DenseNet121,
        "standardised",
        ("pool2_relu", "pool3_relu", "pool4_relu", "conv5_block9_0_relu"),
        f"{_KERAS}/densenet/densenet121_{_OLD}_notop.h5",
        "Huang et al. 2017, arXiv:1608.06993",
    ),
    "resnet50_v2": Application(
        keras.applications.ResNet50V2,
        "-1 to 1",
        (
            "conv3_block1_preact_relu",
            "conv4_block1_preact_relu",
            "conv5_block1_preact_relu",
            "conv5_block3_preact_relu",
        ),
        f"{_KERAS}/resnet/resnet50v2_{_OLD}_notop.h5",
        "He et al. 2016, arXiv:1603.05027",
    ),
    "inception_resnet_v2": Application(
        keras.applications.InceptionResNetV2,
        "-1 to 1",
        ("mixed_5b", "mixed_6a", "mixed_7a", "block8_5_mixed"),
        f"{_KERAS}/inception_resnet_v2/inception_resnet_v2_{_OLD}_notop.h5",
        "Szegedy et al. 2017, arXiv:1602.07261",
        least=75,
    ),
    "xception": Application(
        keras.applications.Xception,
        "-1 to 1",
        ("block4_sepconv1_act", "block5_sepconv1_act", "block13_sepconv2_act", "block14_sepconv1_act"),
        f"{_KERAS}/xception/xception_{_OLD}_notop.h5",
        "Chollet 2017, arXiv:1610.02357",
        least=71,
    ),
    "vgg16": Application(
        keras.applications.VGG16,
        "less the mean",
        ("block1_pool", "block2_pool", "block3_pool", "block4_pool"),
        f"{_KERAS}/vgg16/vgg16_{_OLD}_notop.h5",
        "Simonyan and Zisserman 2015, arXiv:1409.1556",
    ),
    "convnext_tiny": Application(
        keras.applications.ConvNeXtTiny,
        "inside",
        (
            "convnext_tiny_stage_0_block_2_identity",
            "convnext_tiny_stage_1_block_2_identity",
            "convnext_tiny_stage_2_block_4_identity",
            "convnext_tiny_stage_2_block_8_identity",
        ),
        f"{_KERAS}/convnext/convnext_tiny_notop.h5",
        "Liu et al. 2022, arXiv:2201.03545",
    ),
}
"""The networks by name."""

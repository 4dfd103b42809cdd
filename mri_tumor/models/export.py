"""A classifier in the forms that other programs serve."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import check_replaceable, whole_folder
from mri_tumor.manifest import Manifest
from mri_tumor.models.decision import answer

if TYPE_CHECKING:
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.models.deciding.settings import Settings

EXTRA = "assets.extra"
"""The folder of a SavedModel that TensorFlow leaves alone: here the manifest lies."""


def write_export(
    model: Any,
    settings: "Settings",
    preprocess: "Preprocess",
    manifest: Manifest,
    directory: str | Path,
    form: str,
) -> None:
    """Write a network with its preprocessing and its decision; whole or not there.

    Args:
        model: uint8 (N, size, size, 1) to logits.
        settings: how it decides.
        preprocess: what `serving_default` does with an encoded picture.
        manifest: is put beside it.
        directory: where; an earlier export there is replaced.
        form: `"saved_model"`.

    Raises:
        ArgumentError: an unknown form, a folder that holds something else, or a preprocessing that cannot be
            done in TensorFlow.
    """
    if form not in _FORMATS:
        raise ArgumentError(
            f"there is no format {form!r}", f"one of {', '.join(_FORMATS)}", "correct the name"
        )
    check_target(directory, "saved_model.pb")
    with whole_folder(directory) as partial:
        _FORMATS[form](model, settings, preprocess, partial)
        (partial / EXTRA).mkdir()
        manifest.save(partial / EXTRA)


def check_target(directory: str | Path, marker: str, *, kind: str | None = None) -> None:
    """Refuse a folder that holds something else than what is about to replace it.

    Args:
        directory: the target.
        marker: a file that shows it to be an earlier one of the same kind.
        kind: the kind of manifest that must lie there.

    Raises:
        ArgumentError: it is a file, or a folder with other content.
    """

    def strange(path: Path) -> str:
        earlier = (path / marker).is_file() and _is_of(path, kind)
        return "" if earlier else f"{path} exists and holds something else"

    check_replaceable(directory, strange)


def _is_of(path: Path, kind: str | None) -> bool:
    try:
        return kind is None or Manifest.load(path, kind=kind).kind == kind
    except ManifestMismatch:
        return False


def _saved_model(model: Any, settings: "Settings", preprocess: "Preprocess", directory: Path) -> None:
    size = preprocess.size
    prepare = preprocess.graph()
    picture = tf.TensorSpec((size, size, 1), tf.uint8)

    def decided(image: Any) -> dict[str, Any]:
        return answer(model, image, settings)

    batch = tf.TensorSpec((None, size, size, 1), tf.uint8, name="image")
    preprocessed = tf.function(decided, input_signature=[batch])

    def prepared(image: Any) -> Any:
        # One by one: the pictures of a request may all have other sizes.
        return preprocessed(tf.map_fn(prepare, image, fn_output_signature=picture))

    encoded = tf.TensorSpec((None,), tf.string, name="image")
    signatures = {
        "serving_default": tf.function(prepared, input_signature=[encoded]),
        "preprocessed": preprocessed,
    }
    # A bare module with the weights: Keras' own ExportArchive writes every weight twice (Keras 3.15).
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    tf.saved_model.save(module, str(directory), signatures=signatures)


_FORMATS: dict[str, Callable[[Any, "Settings", "Preprocess", Path], None]] = {"saved_model": _saved_model}

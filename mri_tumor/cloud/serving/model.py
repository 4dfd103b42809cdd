"""The model that a server calls: from a package or a classifier's folder to its two signatures."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mri_tumor.cloud.container.bodies import bad
from mri_tumor.cloud.container.inference import Infer
from mri_tumor.cloud.package import VERSION, unpack_package
from mri_tumor.manifest import Manifest

if TYPE_CHECKING:
    from mri_tumor.models.engines.saved_model import SavedModelEngine


def lay_out(source: Path, folder: Path) -> Manifest:
    """Put the SavedModel of a source into an empty folder and return its manifest.

    Args:
        source: a `model.tar.gz`, or a folder that `Classifier.save` or a training run wrote.
        folder: where it goes.

    Raises:
        PackageError: the archive cannot be used.
        ManifestMismatch: the folder holds no classifier, or a damaged one.
    """
    if not source.is_dir():
        return unpack_package(source, folder)
    from mri_tumor.models.classifier import Classifier
    from mri_tumor.models.export import write_servable

    classifier = Classifier.load(source)
    write_servable(classifier, folder / VERSION)
    return classifier.manifest


def load_model(folder: Path, engine: str | None = None) -> Infer:
    """Load the SavedModel that lies in a folder and return what calls its signatures.

    Args:
        folder: holds it.
        engine: what works the network out, as `Classifier.load` takes it. In any case TensorFlow decodes and
            prepares encoded pictures.

    Raises:
        ArgumentError: an unknown engine.
        MissingExtra: it is not installed.
        EngineError: it cannot run this network here, or does not say what TensorFlow says.
    """
    # Beside a program that has taken most of a GPU, a server can only take what it needs.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    import tensorflow as tf

    from mri_tumor.models.engines.saved_model import SavedModelEngine

    (graph,) = [path for path in folder.rglob("saved_model.pb") if path.parent.name.isdecimal()]
    saved = SavedModelEngine(graph.parent, "float32")
    call = saved.call if engine in (None, "tensorflow") else _by_another(saved, graph.parent, engine)

    def infer(signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
        try:
            return call(signature, inputs)
        except tf.errors.InvalidArgumentError as error:
            reason = error.message.splitlines()[0][:200]
            raise bad(f"a picture cannot be decoded ({reason})", "a whole JPEG or PNG file") from error

    return infer


def _by_another(saved: "SavedModelEngine", folder: Path, name: str | None) -> Infer:
    """Return what calls the signatures of a SavedModel by another engine, if that says the same."""
    import tensorflow as tf

    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.models.engines.choice import Subject, engine_for
    from mri_tumor.models.engines.frozen import Frozen
    from mri_tumor.models.engines.saved_model import PREPROCESSED
    from mri_tumor.models.export import EXTRA

    manifest = Manifest.load(folder / EXTRA, kind="model")
    spec = Preprocess.from_dict(manifest.sections["data"]["preprocess"])
    frozen = Frozen.of_signature(saved.model.signatures[PREPROCESSED])
    engine = engine_for(Subject(frozen, saved, saved, spec, manifest.digest), name)
    if engine is saved:
        return saved.call
    prepare, picture = spec.graph(), tf.TensorSpec((spec.size, spec.size, 1), tf.uint8)
    encoded = tf.TensorSpec((None,), tf.string)
    prepared = tf.function(
        lambda files: tf.map_fn(prepare, files, fn_output_signature=picture), input_signature=[encoded]
    )

    def call(signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
        return engine(inputs if signature == PREPROCESSED else prepared(tf.constant(inputs)).numpy())

    return call


def warm_up(infer: Infer, size: int) -> None:
    """Call both signatures once: the first call of each builds its graph, which takes a while."""
    import tensorflow as tf

    blank = np.zeros((1, size, size, 1), np.uint8)
    infer("preprocessed", blank)
    infer("serving_default", [tf.io.encode_png(blank[0]).numpy()])

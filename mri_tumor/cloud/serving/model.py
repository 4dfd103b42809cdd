"""The model that a server calls: from a package or a classifier's folder to its two signatures."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor.cloud.container.bodies import bad
from mri_tumor.cloud.container.inference import Infer
from mri_tumor.cloud.package import VERSION, unpack_package
from mri_tumor.manifest import Manifest


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


def load_model(folder: Path) -> Infer:
    """Load the SavedModel that lies in a folder and return what calls its signatures."""
    # Beside a program that has taken most of a GPU, a server can only take what it needs.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    import tensorflow as tf

    (graph,) = [path for path in folder.rglob("saved_model.pb") if path.parent.name.isdecimal()]
    model = tf.saved_model.load(str(graph.parent))

    def infer(signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
        try:
            outputs = model.signatures[signature](image=tf.constant(inputs))
        except tf.errors.InvalidArgumentError as error:
            reason = error.message.splitlines()[0][:200]
            raise bad(f"a picture cannot be decoded ({reason})", "a whole JPEG or PNG file") from error
        return {name: value.numpy() for name, value in outputs.items()}

    return infer


def warm_up(infer: Infer, size: int) -> None:
    """Call both signatures once: the first call of each builds its graph, which takes a while."""
    import tensorflow as tf

    blank = np.zeros((1, size, size, 1), np.uint8)
    infer("preprocessed", blank)
    infer("serving_default", [tf.io.encode_png(blank[0]).numpy()])

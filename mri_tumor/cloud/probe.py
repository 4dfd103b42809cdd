"""The probe in a package: made-up pictures and what the classifier says of them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.cloud.container.bodies import MAX_BODY, RequestError, batch_of
from mri_tumor.errors import ArgumentError
from mri_tumor.files import whole_file, write_text
from mri_tumor.manifest import Manifest
from mri_tumor.models.prediction import Prediction, predictions

if TYPE_CHECKING:
    from mri_tumor.models.classifier import Classifier

PROBE = "probe"
"""The folder with the pictures (`pictures.npy`) and the answers (`answers.json`)."""

TOLERANCE = 1e-5
"""What probabilities may differ by, and novelty in proportion."""

_PICTURES, _ANSWERS = "pictures.npy", "answers.json"
_MEND = "build the package again from its classifier"


def probe_pictures(size: int) -> NDArray[np.uint8]:
    """Return pictures that show nobody: waves in an ellipse, coarse and fine, and noise.

    Args:
        size: height and width in pixels.

    Returns:
        uint8 (3, size, size, 1), the same on every call.

    >>> probe_pictures(32).shape
    (3, 32, 32, 1)
    """
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    inside = (across / 0.7) ** 2 + (down / 0.85) ** 2 < 1
    waves = [
        120 + 60 * np.sin(fine * across + 1) * np.cos(fine * down) + 50 * (np.hypot(across - 0.3, down) < 0.2)
        for fine in (4, 11)
    ]
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (size, size))
    pictures = np.stack([*(np.where(inside, wave, 0) for wave in waves), noise])
    found: NDArray[np.uint8] = np.clip(pictures, 0, 255).astype(np.uint8)[..., None]
    return found


def write_probe(classifier: "Classifier", folder: Path) -> None:
    """Write the probe of a classifier into a package's folder."""
    import tensorflow as tf

    pictures = probe_pictures(classifier.preprocess.size)
    with tf.device("/CPU:0"):  # which every machine has; graphics cards round otherwise
        answers = classifier.predict(pictures)
    place = folder / PROBE
    place.mkdir(parents=True, exist_ok=True)
    with whole_file(place / _PICTURES) as partial:
        np.save(partial, pictures, allow_pickle=False)
    write_text(place / _ANSWERS, json.dumps([one.to_dict() for one in answers], indent=1) + "\n")


def check_probe(folder: Path, version: Path, manifest: Manifest) -> list[str]:
    """Run a package's model on its probe.

    Both signatures must work: `preprocessed` says of the pictures what the classifier said, and
    `serving_default` says of their PNG files what `preprocessed` says once they went through the same
    preprocessing. Neither sees the network or writes files: the layout's check refuses such operations.

    Args:
        folder: the unpacked package, whose layout was checked.
        version: its SavedModel.
        manifest: of its classifier.

    Returns:
        What is wrong, each with how to mend it; nothing for a package without a probe, as early ones are.
    """
    import tensorflow as tf

    place = folder / PROBE
    if not place.is_dir():
        return []
    labels = manifest.sections["data"]["labels"]
    try:
        pictures, answers = _read(place, manifest.sections["data"]["preprocess"]["size"])
    except (OSError, ValueError, RecursionError, RequestError, ArgumentError) as error:
        return [f"{PROBE}/ cannot be used ({str(error)[:200]}); {_MEND}"]
    with tf.device("/CPU:0"):
        try:
            signatures = tf.saved_model.load(str(version)).signatures
            ready, files = _prepared(pictures, manifest)
            found = _said(signatures["preprocessed"], pictures, labels)
            again = _said(signatures["preprocessed"], ready, labels)
            raw = _said(signatures["serving_default"], files, labels)
        except Exception as error:  # whatever a damaged graph makes TensorFlow raise
            return [f"{version.name}/ cannot be run ({str(error)[:200]}); {_MEND}"]
    problems = [f"preprocessed and the classifier: {text}" for text in _differences(found, answers)]
    problems += [f"serving_default and preprocessed: {text}" for text in _differences(raw, again)]
    return [f"{text}; {_MEND}" for text in problems]


def _read(place: Path, size: int) -> tuple[NDArray[np.uint8], list[Prediction]]:
    for name in (_PICTURES, _ANSWERS):
        if (place / name).stat().st_size > MAX_BODY:
            raise ValueError(f"{name} is larger than {MAX_BODY} bytes")
    pictures = batch_of((place / _PICTURES).read_bytes(), size)
    cards = json.loads((place / _ANSWERS).read_text(encoding="utf-8"))
    if not isinstance(cards, list) or len(cards) != len(pictures):
        raise ValueError(f"{_ANSWERS} does not hold one answer a picture")
    return pictures, [Prediction.from_dict(card) for card in cards]


def _prepared(pictures: NDArray[np.uint8], manifest: Manifest) -> tuple[Any, Any]:
    """Return the pictures once they went through the in-graph preprocessing, and as PNG files."""
    import tensorflow as tf

    from mri_tumor.dataset.preprocess import Preprocess

    prepare = Preprocess.from_dict(manifest.sections["data"]["preprocess"]).graph()
    files = tf.stack([tf.io.encode_png(picture) for picture in pictures])
    return tf.stack([prepare(file) for file in files]), files


def _said(signature: Any, given: Any, labels: Sequence[str]) -> list[Prediction]:
    import tensorflow as tf

    outputs = {name: value.numpy() for name, value in signature(image=tf.constant(given)).items()}
    return predictions([str(place) for place in range(len(given))], outputs, labels)


def _differences(found: Sequence[Prediction], expected: Sequence[Prediction]) -> Iterator[str]:
    for one, other in zip(found, expected, strict=True):
        apart = [
            abs(one.probabilities[label] - other.probabilities.get(label, 9)) for label in one.probabilities
        ]
        if not max(apart) <= TOLERANCE:
            yield f"probabilities of picture {one.id} differ by {max(apart):.2g}, more than {TOLERANCE:g}"
        if not _alike(one.novelty, other.novelty):
            yield f"novelty of picture {one.id} is {one.novelty}, not {other.novelty}"
        for name in ("top", "label", "prediction_set", "reason"):
            if getattr(one, name) != getattr(other, name):
                yield f"{name} of picture {one.id} is {getattr(one, name)}, not {getattr(other, name)}"


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))

"""What is asked of a model, and what its answers mean: for endpoints and for batches alike."""

import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mri_tumor.cloud.transport import check_size
from mri_tumor.errors import ArgumentError, EndpointError
from mri_tumor.manifest import Manifest
from mri_tumor.models.prediction import Prediction

if TYPE_CHECKING:
    from mri_tumor.dataset.preprocess import Preprocess

_HEADER = 256  # bytes that the header of an npy file takes, at most


def pictures_a_body(size: int, most: int) -> int:
    """Return how many preprocessed pictures fit into a request.

    Args:
        size: height and width in pixels.
        most: bytes that a request may have.

    Raises:
        EndpointError: with code 413: not even one does.

    >>> pictures_a_body(224, 6 * 2**20)
    125
    """
    check_size(size**2 + _HEADER, most)
    return (most - _HEADER) // size**2


def bodies(images: Any, preprocess: "Preprocess", most: int) -> Iterator[tuple[list[str], bytes]]:
    """Yield pictures as npy files, and the ids of those in each.

    Args:
        images: what `Predictor.predict` takes.
        preprocess: of the model.
        most: pictures a file.

    Raises:
        ArgumentError: `images` is nothing that can be predicted.
        ReadError: a picture cannot be read.
        ManifestMismatch: the pictures were prepared for another model.
    """
    from mri_tumor.dataset.inputs import batches

    for ids, pictures in batches(images, preprocess, batch_size=most):
        body = io.BytesIO()
        np.save(body, np.ascontiguousarray(pictures), allow_pickle=False)
        yield ids, body.getvalue()


def predictions_of(answer: Any, ids: Sequence[str], manifest: Manifest, name: str) -> list[Prediction]:
    """Check an answer and return its predictions, with the ids that the pictures have on our side.

    Args:
        answer: the JSON.
        ids: of the pictures that were sent.
        manifest: of the model that was asked.
        name: of what answered, for errors.

    Raises:
        EndpointError: it has another form, is that of another model, or has another number of predictions.
    """
    labels = tuple(manifest.sections["data"]["labels"])
    try:
        found = [Prediction.from_dict(card) for card in answer["predictions"]]
        digest, theirs = answer["model"]["digest"], tuple(answer["labels"])
    except (TypeError, KeyError, ArgumentError) as error:
        what = f"{name} answered in a form that is not known ({error})"
        raise EndpointError(what, "an endpoint of this library", "upgrade mri-tumor here or there") from error
    if digest != manifest.digest or theirs != labels:
        what = f"{name} now serves another model ({digest!s:.12}, not {manifest.digest:.12})"
        raise EndpointError(what, "the model it served before", "make a new Predictor", code=409)
    if len(found) != len(ids):
        what = f"{name} answered {len(found)} predictions for {len(ids)} pictures"
        raise EndpointError(what, "one a picture", "look at the endpoint's log")
    return [dataclasses.replace(one, id=own) for one, own in zip(found, ids, strict=True)]

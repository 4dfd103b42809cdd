"""Predictor: pictures to an endpoint and predictions back."""

import dataclasses
import io
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from mri_tumor.cloud.connection import Connection, check_size
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.cloud.container.inference import DIGEST_KEY, JSON_TYPE, NPY_TYPE
from mri_tumor.errors import ArgumentError, EndpointError, ManifestMismatch, ReadError
from mri_tumor.manifest import Manifest
from mri_tumor.models.prediction import Prediction

if TYPE_CHECKING:
    from mri_tumor.dataset.preprocess import Preprocess

_HEADER = 256  # bytes that an npy header takes, at most


class Server(Protocol):
    """What a Predictor may own."""

    def stop(self) -> None:
        """End it; a second call does nothing."""


class Predictor:
    """A client of an endpoint.

    It asks the endpoint for its manifest, prepares pictures as that says, and packs as many of them into a
    request as fit below 6 MiB. Used as a context manager it deletes the endpoint at the end, also after an
    exception.

    Args:
        name: `http://127.0.0.1:PORT`, the name of an endpoint on this machine.
        timeout: seconds that a request may take.
        server: what `delete` stops; `deploy` passes it. Without it the endpoint belongs to somebody else.

    Raises:
        ArgumentError: the name is none of an endpoint on this machine.
    """

    def __init__(self, name: str, *, timeout: float = 60.0, server: Server | None = None) -> None:
        if not isinstance(name, str):
            found = f"the endpoint's name is a {type(name).__name__}"
            raise ArgumentError(found, "http://127.0.0.1:PORT", "pass the name as text")
        self.name = name.rstrip("/")
        self._connection = Connection(self.name, timeout)
        self._server = server
        self._deleted = False

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of the endpoint's classifier."""
        card = self._post(json.dumps({"describe": True}).encode(), JSON_TYPE)
        manifest = Manifest.from_dict(card, source=f"the manifest of {self.name}")
        if manifest.kind != "model":
            raise ManifestMismatch(f"{self.name} serves a {manifest.kind!r}", "'model'", "check the name")
        return manifest

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities."""
        return tuple(self.manifest.sections["data"]["labels"])

    @cached_property
    def preprocess(self) -> "Preprocess":
        """How the endpoint wants its pictures prepared."""
        from mri_tumor.dataset.preprocess import Preprocess

        return Preprocess.from_dict(self.manifest.sections["data"]["preprocess"])

    def predict(self, images: Any) -> list[Prediction]:
        """Return one prediction a picture, in the order given and with its id.

        Args:
            images: what `Classifier.predict` takes: paths, encoded bytes, raw (H, W) arrays, a Catalog (all
                prepared here); (size, size, 1) and (N, size, size, 1) arrays, a `load()` Dataset and shard
                folders (used as they are).

        Raises:
            ArgumentError: `images` is none of these.
            ReadError: a picture cannot be read.
            ManifestMismatch: the pictures were prepared for another model.
            EndpointError: the endpoint refused a request or cannot be reached.
        """
        from mri_tumor.dataset.inputs import batches

        preprocess = self.preprocess
        check_size(preprocess.size**2 + _HEADER)
        most = (MAX_BODY - _HEADER) // preprocess.size**2
        attributes = f"{DIGEST_KEY}={preprocess.digest}"
        found: list[Prediction] = []
        for ids, pictures in batches(images, preprocess, batch_size=most):
            body = io.BytesIO()
            np.save(body, np.ascontiguousarray(pictures), allow_pickle=False)
            found += self._predictions(ids, self._post(body.getvalue(), NPY_TYPE, attributes))
        return found

    def predict_raw(self, pictures: Any) -> list[Prediction]:
        """Send JPEG or PNG files as they are, one a request: the endpoint's own preprocessing answers.

        This is what programs without this library do. The preprocessing in the endpoint may differ from ours
        by 2 grey levels.

        Args:
            pictures: a path, encoded bytes, a list of these, or a Catalog.

        Raises:
            ArgumentError: `pictures` is none of these.
            ReadError: a file cannot be read, or is neither JPEG nor PNG.
            EndpointError: the endpoint refused a request or cannot be reached.
        """
        found: list[Prediction] = []
        for name, data in _files(pictures):
            found += self._predictions([name], self._post(data, _type_of(data, name)))
        return found

    def delete(self) -> None:
        """Stop the endpoint if this Predictor owns it, else only let it go; a second call does nothing."""
        self._deleted = True
        self._connection.close()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"Predictor({self.name!r})"

    def _post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        if self._deleted:
            found = f"{self.name} was deleted"
            raise EndpointError(found, "a running endpoint", "deploy the package again", code=410)
        return self._connection.post(body, content_type, attributes)

    def _predictions(self, ids: list[str], answer: Any) -> list[Prediction]:
        """Check an answer and give the predictions the ids they have on our side."""
        try:
            found = [Prediction.from_dict(card) for card in answer["predictions"]]
            digest, labels = answer["model"]["digest"], tuple(answer["labels"])
        except (TypeError, KeyError, ArgumentError) as error:
            what = f"{self.name} answered in a form that is not known ({error})"
            raise EndpointError(
                what, "an endpoint of this library", "upgrade mri-tumor here or there"
            ) from error
        if digest != self.manifest.digest or labels != self.labels:
            what = f"{self.name} now serves another model ({digest!s:.12}, not {self.manifest.digest:.12})"
            raise EndpointError(what, "the model it served before", "make a new Predictor", code=409)
        if len(found) != len(ids):
            what = f"{self.name} answered {len(found)} predictions for {len(ids)} pictures"
            raise EndpointError(what, "one a picture", "look at the endpoint's log")
        return [dataclasses.replace(one, id=name) for one, name in zip(found, ids, strict=True)]


def _files(pictures: Any) -> Iterator[tuple[str, bytes]]:
    """Yield each file's id and bytes."""
    if isinstance(pictures, str | Path | bytes):
        pictures = [pictures]
    if hasattr(pictures, "paths") and hasattr(pictures, "ids"):
        for name, path in zip(pictures.ids, pictures.paths, strict=True):
            yield name, _read(path)
        return
    if not isinstance(pictures, list | tuple):
        found = f"pictures is a {type(pictures).__name__}"
        raise ArgumentError(found, "a path, bytes, a list of these, or a Catalog", "pass one of them")
    for index, one in enumerate(pictures):
        if isinstance(one, bytes):
            yield str(index), one
        elif isinstance(one, str | Path):
            yield str(one), _read(one)
        else:
            found = f"pictures[{index}] is a {type(one).__name__}"
            raise ArgumentError(found, "a path or bytes", "pass encoded files; arrays go to predict()")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        found = f"{path} cannot be read ({error.strerror})"
        raise ReadError(found, "a JPEG or PNG file", "check the path") from error


def _type_of(data: bytes, name: str) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    raise ReadError(f"{name} is neither JPEG nor PNG", "a JPEG or PNG file", "check the file")

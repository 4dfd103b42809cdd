"""Predictor: pictures to an endpoint and predictions back."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from mri_tumor.cloud.answers import bodies, pictures_a_body, predictions_of
from mri_tumor.cloud.aws.names import is_name
from mri_tumor.cloud.connection import Connection
from mri_tumor.cloud.container.inference import DIGEST_KEY, JSON_TYPE, NPY_TYPE
from mri_tumor.cloud.transport import Transport, check_size, in_order
from mri_tumor.errors import ArgumentError, EndpointError, ManifestMismatch, ReadError
from mri_tumor.manifest import Manifest
from mri_tumor.models.prediction import Prediction
from mri_tumor.progress import track

if TYPE_CHECKING:
    from mri_tumor.cloud.aws.endpoints.hosting import RemoteEndpoint
    from mri_tumor.dataset.preprocess import Preprocess

logger = logging.getLogger(__name__)

_ASYNC = 900.0  # seconds


class Owned(Protocol):
    """What a Predictor may own."""

    def stop(self) -> None:
        """End it; a second call does nothing."""


class Predictor:
    """A client of an endpoint, on this machine or on SageMaker.

    It asks the endpoint for its manifest, prepares pictures as that says, packs as many of them into a
    request as the endpoint takes, and sends several requests at a time. Used as a context manager, the
    Predictor that `deploy` returned deletes its endpoint at the end, also after an exception; another one
    lets it go.

    Args:
        name: the name of an endpoint on SageMaker, or `http://127.0.0.1:PORT` for one on this machine.
        timeout: seconds that an answer may take; an asynchronous endpoint has at least 15 minutes. What is
            lost on the way to SageMaker is sent again, up to five times in all.
        threads: requests at a time.
        session: a `boto3.Session`, for an endpoint on SageMaker.
        owned: what `delete` stops; `deploy` passes it. Without it the endpoint belongs to somebody else.

    Raises:
        ArgumentError: the name is none of an endpoint.
        MissingExtra: the name is one on SageMaker, and boto3 is not installed.
        CloudError: there is no such endpoint on SageMaker, or AWS refused.

    >>> Predictor("http://127.0.0.1:9", timeout=1).predict("scan.png")
    Traceback (most recent call last):
        ...
    mri_tumor.errors.EndpointError: ...
    """

    def __init__(
        self,
        name: str,
        *,
        timeout: float = 60.0,
        threads: int = 4,
        session: Any = None,
        owned: Owned | None = None,
    ) -> None:
        if not isinstance(name, str) or not (":" in name or is_name(name)):
            raise ArgumentError(
                f"the endpoint's name is {name!r}",
                "the name of an endpoint on SageMaker, or http://127.0.0.1:PORT for one on this machine",
                "pass Predictor.name of a running endpoint, or start one with mri_tumor.cloud.deploy",
            )
        check_threads(threads)
        self.name = name.rstrip("/")
        self.threads = threads
        self._owned = owned
        self._endpoint = None if ":" in name else _remote(self.name, session, owned)
        self._transport = _transport(self.name, self._endpoint, timeout, threads)
        self._closed = ""

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
        self._check_open()
        preprocess = self.preprocess
        most = pictures_a_body(preprocess.size, self._transport.max_body)
        attributes = f"{DIGEST_KEY}={preprocess.digest}"
        requests = (
            _Request(ids, body, NPY_TYPE, attributes) for ids, body in bodies(images, preprocess, most)
        )
        count = _count(images)
        return self._answers(requests, None if count is None else -(-count // most))

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
        requests = (_Request([name], data, _type_of(data, name)) for name, data in _files(pictures))
        return self._answers(requests, _count(pictures))

    def close(self) -> None:
        """Let the endpoint go; it goes on."""
        self._closed = self._closed or "closed"
        self._transport.close()

    def delete(self) -> None:
        """Remove the endpoint; a second call does nothing.

        On SageMaker that is the endpoint, its configuration and its model, whoever created them. An endpoint
        on this machine goes with the Predictor that `deploy` returned, and with no other.

        Raises:
            EndpointError: what could not be removed; or an endpoint on this machine belongs to somebody else.
        """
        owned = self._owned or self._endpoint
        if owned is None:
            found = f"{self.name} was started by another program"
            raise EndpointError(
                found, "an endpoint that this Predictor owns", "stop it there; close() lets it go"
            )
        self._closed = "deleted"
        self._transport.close()
        owned.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned is None:
            self.close()
            return
        try:
            self.delete()
        except EndpointError as left:
            if error is None:
                raise
            # The first error says what happened; what is left stands beside it.
            error.add_note(str(left))
            logger.error("%s", left)

    def __repr__(self) -> str:
        return f"Predictor({self.name!r})"

    def _check_open(self) -> None:
        if self._closed:
            found = f"{self.name} was {self._closed}"
            raise EndpointError(found, "a running endpoint", "deploy the package again", code=410)

    def _post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        self._check_open()
        check_size(len(body), self._transport.max_body)
        return self._transport.post(body, content_type, attributes)

    def _answers(self, requests: Iterator["_Request"], total: int | None) -> list[Prediction]:
        """Send requests, several at a time, and return the predictions in the order of the pictures."""

        def answer(request: _Request) -> list[Prediction]:
            card = self._post(request.body, request.content_type, request.attributes)
            return predictions_of(card, request.ids, self.manifest, self.name)

        _ = self.labels  # asked for once, before the threads need it
        answers: Iterable[Any] = in_order(answer, requests, threads=self.threads)
        if total is None or total > 1:
            answers = track(answers, f"predicting with {self.name}", total)
        return [one for _, found in answers for one in found]


@dataclasses.dataclass(frozen=True)
class _Request:
    """What is sent, and the ids of the pictures in it."""

    ids: list[str]
    body: bytes
    content_type: str
    attributes: str = ""


def check_threads(threads: Any) -> None:
    """Refuse a number of requests at a time that is none, with an ArgumentError."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= 64:
        raise ArgumentError(f"threads is {threads!r}", "a whole number, 1 to 64", "change it")


def _remote(name: str, session: Any, owned: Any) -> "RemoteEndpoint":
    """Return the endpoint of a name on SageMaker."""
    from mri_tumor.cloud.aws.account import Account
    from mri_tumor.cloud.aws.endpoints.hosting import RemoteEndpoint

    if isinstance(owned, RemoteEndpoint):
        return owned
    endpoint = RemoteEndpoint(Account(session), name)
    endpoint.describe()
    return endpoint


def _transport(name: str, endpoint: "RemoteEndpoint | None", timeout: float, threads: int) -> Transport:
    if endpoint is None:
        return Connection(name, timeout, connections=threads)
    from mri_tumor.cloud.aws.endpoints.runtime import AsyncRuntime, Runtime

    return AsyncRuntime(endpoint, max(timeout, _ASYNC)) if endpoint.answers else Runtime(endpoint, timeout)


def _count(images: Any) -> int | None:
    """Return how many pictures these are, as far as that can be seen without reading them."""
    if isinstance(images, str | Path | bytes) or (isinstance(images, np.ndarray) and images.ndim < 4):
        return 1
    countable = isinstance(images, list | tuple | np.ndarray) or hasattr(images, "ids")
    return len(images) if countable else None


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

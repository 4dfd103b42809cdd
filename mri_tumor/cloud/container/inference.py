"""What an endpoint does with a request, in TensorFlow Serving's container and in the local server alike.

It uses the standard library and numpy only: the container has nothing else. In a package it lies in `code/`,
beside `bodies.py`, `prediction.py` and `manifest.json`.
"""

import functools
import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

try:
    from mri_tumor.cloud.container.bodies import (
        MAX_BODY,
        RequestError,
        bad,
        batch_of,
        check_pictures,
        encoded_of,
        pixels_of,
        too_large,
    )
    from mri_tumor.models.prediction import predictions
except ImportError:  # inside the container: the copies that the package brought along
    from bodies import (  # type: ignore[import-not-found,no-redef]
        MAX_BODY,
        RequestError,
        bad,
        batch_of,
        check_pictures,
        encoded_of,
        pixels_of,
        too_large,
    )
    from prediction import predictions  # type: ignore[import-not-found,no-redef]

Infer = Callable[[str, Any], Mapping[str, np.ndarray]]
"""`infer(signature, inputs)`; inputs are encoded pictures for `serving_default`, else uint8 (N, S, S, 1)."""

SCHEMA = "1.0"
RAW_TYPES = ("image/jpeg", "image/png")
NPY_TYPE = "application/x-npy"
JSON_TYPE = "application/json"
DIGEST_KEY = "preprocess-digest"

_ROWS = 32  # pictures a call of the model: bounds its memory, whatever the request holds
_TIMEOUT = 60  # seconds, as long as SageMaker waits


def handler(data: Any, context: Any) -> tuple[str, str]:
    """Answer a request inside TensorFlow Serving's container.

    The environment variable `MRI_TUMOR_MAX_BODY` raises the limit of 6 MiB for endpoints that may take more.

    Args:
        data: the request's body, a stream.
        context: what AWS's handler service knows of the request: `request_content_type`, `custom_attributes`
            and `rest_uri`, where TensorFlow Serving answers.

    Returns:
        The body and its content type.

    Raises:
        RequestError: the request is refused.
    """
    limit = int(os.environ.get("MRI_TUMOR_MAX_BODY", MAX_BODY))
    infer = functools.partial(_tensorflow_serving, context.rest_uri)
    attributes = getattr(context, "custom_attributes", None) or ""
    kind = context.request_content_type or ""
    return respond(data.read(limit + 1), kind, attributes, infer, _own_manifest(), max_body=limit)


def respond(
    data: bytes,
    content_type: str,
    attributes: str,
    infer: Infer,
    manifest: Mapping[str, Any],
    *,
    max_body: int = MAX_BODY,
) -> tuple[str, str]:
    """Answer one request.

    Args:
        data: the request's body.
        content_type: `image/jpeg` or `image/png` (a raw picture), `application/x-npy` (a preprocessed uint8
            batch) or `application/json` (`{"describe": true}`, or TensorFlow Serving's form).
        attributes: the header `X-Amzn-SageMaker-Custom-Attributes`: `preprocess-digest=...`. A batch
            transform sends none; there the digest is a parameter of the content type.
        infer: calls the model.
        manifest: the model's manifest, as its JSON object.
        max_body: the largest body in bytes.

    Returns:
        The body and its content type.

    Raises:
        RequestError: the request is refused.
    """
    if len(data) > max_body:
        raise too_large(max_body)
    kind, _, parameters = content_type.partition(";")
    kind, attributes = kind.strip().lower(), ",".join([attributes, *parameters.split(";")])
    if kind in RAW_TYPES:
        check_pictures([data])
        return _answer(_outputs(infer, "serving_default", [data]), manifest)
    if kind == NPY_TYPE:
        _check_digest(attributes, manifest, needed=True)
        return _answer(_outputs(infer, "preprocessed", batch_of(data, _size(manifest))), manifest)
    if kind == JSON_TYPE:
        return _answer_json(data, attributes, infer, manifest)
    known = ", ".join((*RAW_TYPES, NPY_TYPE, JSON_TYPE))
    raise RequestError(415, f"the content type is {kind[:80]!r}", f"one of {known}", "set Content-Type")


def _size(manifest: Mapping[str, Any]) -> int:
    return int(manifest["sections"]["data"]["preprocess"]["size"])


def _outputs(infer: Infer, signature: str, inputs: Any) -> dict[str, np.ndarray]:
    parts = [infer(signature, inputs[at : at + _ROWS]) for at in range(0, len(inputs), _ROWS)]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _answer(outputs: dict[str, np.ndarray], manifest: Mapping[str, Any]) -> tuple[str, str]:
    sections = manifest["sections"]
    labels = sections["data"]["labels"]
    columns = {name: array.tolist() for name, array in outputs.items()}
    found = predictions([str(row) for row in range(len(columns["top"]))], columns, labels)
    body = {
        "schema": SCHEMA,
        "labels": labels,
        "model": {"name": sections.get("model", {}).get("name"), "digest": manifest.get("digest")},
        "notice": found[0].notice,
        "predictions": [prediction.to_dict() for prediction in found],
    }
    return json.dumps(body, allow_nan=False), JSON_TYPE


def _check_digest(attributes: str, manifest: Mapping[str, Any], *, needed: bool) -> None:
    given = dict(part.strip().partition("=")[::2] for part in attributes.split(",")).get(DIGEST_KEY)
    own = str(manifest["sections"]["data"]["preprocess_digest"])
    wanted = f"the header X-Amzn-SageMaker-Custom-Attributes: {DIGEST_KEY}={own}"
    fix = 'preprocess as the answer to {"describe": true} says, or post the JPEG or PNG itself'
    if given is None and needed:
        raise bad(
            f"the request does not say how its pictures were preprocessed (no {DIGEST_KEY})", wanted, fix
        )
    if given is not None and given != own:
        raise RequestError(409, f"the pictures were preprocessed by {given[:64]!r}", wanted, fix)


def _answer_json(data: bytes, attributes: str, infer: Infer, manifest: Mapping[str, Any]) -> tuple[str, str]:
    request = _json_of(data)
    if request == {"describe": True}:
        return json.dumps(manifest), JSON_TYPE
    if "instances" not in request or not request.keys() <= {"instances", "signature_name"}:
        raise bad(
            "the JSON is no request that this endpoint knows",
            '{"describe": true} or {"instances": [...], "signature_name": ...}',
        )
    signature = request.get("signature_name", "serving_default")
    rows = _rows(request["instances"])
    if signature == "serving_default":
        inputs: Any = [encoded_of(row) for row in rows]
        check_pictures(inputs)
    elif signature == "preprocessed":
        _check_digest(attributes, manifest, needed=False)
        inputs = pixels_of(rows, _size(manifest))
    else:
        raise bad(f"signature_name is {str(signature)[:40]!r}", "'serving_default' or 'preprocessed'")
    return _serving_form(_outputs(infer, signature, inputs))


def _json_of(data: bytes) -> dict[str, Any]:
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad(f"the body is not JSON ({type(error).__name__})", "a JSON object") from error
    if not isinstance(request, dict):
        raise bad(f"the JSON is a {type(request).__name__}", "a JSON object")
    return request


def _rows(instances: Any) -> list[Any]:
    if not isinstance(instances, list) or not instances:
        raise bad("instances is not a list with entries", "a list with one entry a picture")
    named = all(isinstance(row, dict) and row.keys() == {"image"} for row in instances)
    return [row["image"] for row in instances] if named else instances


def _serving_form(outputs: dict[str, np.ndarray]) -> tuple[str, str]:
    columns = {name: array.tolist() for name, array in outputs.items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows}, allow_nan=False), JSON_TYPE


def _tensorflow_serving(rest_uri: str, signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
    """Call the model over TensorFlow Serving's REST interface."""
    raw = signature == "serving_default"
    rows = [{"b64": b64encode(picture).decode()} for picture in inputs] if raw else inputs.tolist()
    body = json.dumps({"signature_name": signature, "instances": rows}).encode()
    request = urllib.request.Request(rest_uri, body, {"Content-Type": JSON_TYPE})  # noqa: S310 - the service's own
    # No proxy: TensorFlow Serving is in the same container, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT) as reply:
            answers = json.load(reply)["predictions"]
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        found = f"the model could not take the request: {text}"
        raise RequestError(min(error.code, 500), found, "whole pictures", "check the pictures") from error
    return {name: np.array([answer[name] for answer in answers]) for name in answers[0]}


@functools.cache
def _own_manifest() -> Mapping[str, Any]:
    card: Mapping[str, Any] = json.loads(
        Path(__file__).with_name("manifest.json").read_text(encoding="utf-8")
    )
    return card

"""The handler's core around the real SavedModel, and the handler as TensorFlow Serving's container has it."""

import base64
import io
import json
import os
import struct
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mri_tumor import LABELS, models
from mri_tumor.cloud.aws.endpoints.hosting import ASYNC_BODY
from mri_tumor.cloud.container import inference
from mri_tumor.cloud.container.bodies import MAX_BODY, RequestError
from mri_tumor.cloud.container.inference import Infer, respond
from mri_tumor.cloud.serving.model import load_model
from mri_tumor.labels import NOTICE
from mri_tumor.manifest import Manifest

from .conftest import SIZE, encoded


@pytest.fixture(scope="module")
def infer(unpacked: Path) -> Infer:
    return load_model(unpacked)


@pytest.fixture(scope="module")
def manifest(unpacked: Path) -> dict:
    return json.loads((unpacked / "code" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def attributes(manifest: dict) -> str:
    return f"preprocess-digest={manifest['sections']['data']['preprocess_digest']}"


def batch(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 1)).astype(np.uint8)


def npy(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_a_batch_gets_what_the_classifier_says(
    infer: Infer, manifest: dict, attributes: str, classifier: models.Classifier
) -> None:
    body, kind = respond(npy(batch(40)), "application/x-npy", attributes, infer, manifest)
    answer = json.loads(body)
    assert kind == "application/json"
    assert answer["schema"] == "1.0"
    assert answer["labels"] == list(LABELS)
    assert answer["model"] == {"name": "small_cnn", "digest": manifest["digest"]}
    assert answer["notice"] == NOTICE
    expected = [one.to_dict() for one in classifier.predict(batch(40))]
    assert [one["id"] for one in answer["predictions"]] == [str(number) for number in range(40)]
    for one, other in zip(answer["predictions"], expected, strict=True):
        assert one.keys() == other.keys()
        assert one["top"] == other["top"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "image/jpeg"), (".png", "image/png; charset=binary")])
def test_a_raw_picture_is_preprocessed_in_the_graph(
    infer: Infer, manifest: dict, classifier: models.Classifier, suffix: str, kind: str
) -> None:
    data = encoded(5, suffix)
    answer = json.loads(respond(data, kind, "", infer, manifest)[0])
    (expected,) = classifier.predict(data)
    assert answer["predictions"][0]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-2)


def test_describe_gives_the_manifest(infer: Infer, manifest: dict) -> None:
    body, _ = respond(b'{"describe": true}', "application/json", "", infer, manifest)
    assert Manifest.from_json(body).kind == "model"


@pytest.mark.parametrize("named", [False, True])
def test_servings_form_gets_servings_form_back(infer: Infer, manifest: dict, named: bool) -> None:
    rows: list = [{"b64": base64.b64encode(encoded(seed)).decode()} for seed in (1, 2)]
    request = {"instances": [{"image": row} for row in rows] if named else rows}
    answer = json.loads(respond(json.dumps(request).encode(), "application/json", "", infer, manifest)[0])
    assert answer.keys() == {"predictions"}
    single = json.loads(respond(encoded(2), "image/jpeg", "", infer, manifest)[0])["predictions"][0]
    row = answer["predictions"][1]
    assert row["probabilities"] == pytest.approx(list(single["probabilities"].values()), abs=1e-5)
    assert LABELS[row["top"]] == single["top"]


def test_servings_form_with_the_signature_for_preprocessed_pictures(
    infer: Infer, manifest: dict, classifier: models.Classifier
) -> None:
    request = {"signature_name": "preprocessed", "instances": batch(2).tolist()}
    answer = json.loads(respond(json.dumps(request).encode(), "application/json", "", infer, manifest)[0])
    expected = classifier.predict(batch(2))[1].probabilities
    assert answer["predictions"][1]["probabilities"] == pytest.approx(list(expected.values()), abs=1e-5)


def header(shape: tuple, dtype: str = "|u1", fortran: bool = False, version: bytes = b"\x01\x00") -> bytes:
    text = repr({"descr": dtype, "fortran_order": fortran, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


PIXELS = SIZE * SIZE
NONSENSE = {
    "empty": b"",
    "text": b"hello, this is no array",
    "zip": b"PK\x03\x04" + bytes(100),
    "cut header": npy(batch())[:40],
    "cut pixels": npy(batch())[:-1],
    "more than it says": npy(batch()) + b"\0",
    "pickle": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "float": npy(batch().astype(np.float32)),
    "int8": npy(batch().astype(np.int8)),
    "other size": npy(np.zeros((1, SIZE + 1, SIZE + 1, 1), np.uint8)),
    "(N, S, S)": npy(np.zeros((1, SIZE, SIZE), np.uint8)),
    "(S, S, 1)": npy(np.zeros((SIZE, SIZE, 1), np.uint8)),
    "scalar": npy(np.uint8(3)),
    "no picture": npy(np.zeros((0, SIZE, SIZE, 1), np.uint8)),
    "fortran": npy(np.asfortranarray(batch())),
    "more than memory": header((10**12, SIZE, SIZE, 1)) + bytes(PIXELS),
    "negative": header((-1, SIZE, SIZE, 1)) + bytes(PIXELS),
    "version 3": header((1, SIZE, SIZE, 1), version=b"\x03\x00") + bytes(PIXELS),
    "code in the header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"__import__('os')   \n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
def test_npy_bodies_that_are_none(infer: Infer, manifest: dict, attributes: str, data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        respond(data, "application/x-npy", attributes, infer, manifest)
    card = json.loads(str(caught.value))
    assert (caught.value.code, card["code"]) == (400, 400)
    assert f"uint8 (N, {SIZE}, {SIZE}, 1)" in card["error"]


def test_pictures_of_another_preprocessing_are_refused(infer: Infer, manifest: dict, attributes: str) -> None:
    for given, code in (
        ("preprocess-digest=" + "0" * 64, 409),
        (f"a=b, {attributes}0", 409),
        ("", 400),
        ("other=1", 400),
    ):
        with pytest.raises(RequestError, match="preprocess-digest") as caught:
            respond(npy(batch()), "application/x-npy", given, infer, manifest)
        assert caught.value.code == code
    assert respond(npy(batch()), "application/x-npy", f"a=b, {attributes}", infer, manifest)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int) -> bytes:
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    data = encoded(1)
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def test_a_batch_transform_says_the_digest_in_the_content_type(
    infer: Infer, manifest: dict, attributes: str
) -> None:
    expected = respond(npy(batch()), "application/x-npy", attributes, infer, manifest)
    for kind in (f"application/x-npy; {attributes}", f"application/x-npy;{attributes};charset=x"):
        assert respond(npy(batch()), kind, "", infer, manifest) == expected
    with pytest.raises(RequestError) as caught:
        respond(npy(batch()), "application/x-npy; preprocess-digest=abc", "", infer, manifest)
    assert caught.value.code == 409


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"GIF89a" + bytes(100), 400),
        (b"\xff\xd8\xff\xe0", 400),
        (b"\xff\xd8" + b"\xff" * 500, 400),
        (b"\xff\xd8\xff\xe0\x00\x00" * 100, 400),
        (encoded(1)[:700], 400),
        (encoded(1)[:-2][:-200], 400),
        (encoded(1, ".png")[:900], 400),
        (png_of(0, 10), 400),
        (png_of(60_000, 60_000), 413),
        (jpeg_of(60_000, 60_000), 413),
        (bytes(MAX_BODY + 1), 413),
    ],
    ids=lambda value: f"{value[:6]!r}" if isinstance(value, bytes) else str(value),
)
def test_raw_pictures_that_are_none_or_too_large(
    infer: Infer, manifest: dict, data: bytes, code: int
) -> None:
    with pytest.raises(RequestError) as caught:
        respond(data, "image/jpeg", "", infer, manifest)
    assert json.loads(str(caught.value))["code"] == code


def test_many_small_files_may_not_be_huge_together(infer: Infer, manifest: dict) -> None:
    rows = [{"b64": base64.b64encode(png_of(7000, 9000)).decode()}] * 5
    with pytest.raises(RequestError, match="315000000 with those before it"):
        respond(json.dumps({"instances": rows}).encode(), "application/json", "", infer, manifest)


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"3",
        b"[]",
        b"{}",
        b'{"describe": false}',
        b'{"describe": true, "more": 1}',
        b'{"instances": []}',
        b'{"instances": 3}',
        b'{"instances": ["text"]}',
        b'{"instances": [{"b64": 3}]}',
        b'{"instances": [{"b64": "***"}]}',
        b'{"instances": [{"b64": "aGVsbG8="}]}',
        b'{"instances": [1], "signature_name": "other"}',
        b'{"instances": [1], "signature_name": ["preprocessed"]}',
        b'{"instances": [1], "signature_name": "preprocessed"}',
        b'{"instances": [[[1], [2, 3]]], "signature_name": "preprocessed"}',
        b'{"instances": [], "inputs": []}',
    ],
)
def test_json_that_is_no_request(infer: Infer, manifest: dict, request_: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        respond(request_, "application/json", "", infer, manifest)
    assert caught.value.code == 400


@pytest.mark.parametrize("value", [256, -1, 0.5, True, "1", None, 10**30])
def test_json_pixels_outside_of_0_to_255(infer: Infer, manifest: dict, value: object) -> None:
    rows = np.zeros((1, SIZE, SIZE, 1), int).tolist()
    rows[0][3][4][0] = value
    if value is True:
        rows = np.ones((1, SIZE, SIZE, 1), bool).tolist()
    request = json.dumps({"signature_name": "preprocessed", "instances": rows}).encode()
    with pytest.raises(RequestError, match="whole numbers 0-255"):
        respond(request, "application/json", "", infer, manifest)


def test_json_pixels_of_another_preprocessing(infer: Infer, manifest: dict) -> None:
    request = json.dumps({"signature_name": "preprocessed", "instances": batch(1).tolist()}).encode()
    with pytest.raises(RequestError) as caught:
        respond(request, "application/json", "preprocess-digest=0", infer, manifest)
    assert caught.value.code == 409


@pytest.mark.parametrize("kind", ["", "text/csv", "image/gif", "application/octet-stream"])
def test_other_content_types(infer: Infer, manifest: dict, kind: str) -> None:
    with pytest.raises(RequestError, match="application/x-npy") as caught:
        respond(b"1,2", kind, "", infer, manifest)
    assert caught.value.code == 415


# --- behind TensorFlow Serving ---


class Serving(HTTPServer):
    """Answers as TensorFlow Serving's REST interface does, from the real SavedModel."""

    infer: Infer


class Answers(BaseHTTPRequestHandler):
    server: Serving

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = request["instances"]
        signature = request["signature_name"]
        if signature == "serving_default":
            inputs: object = [base64.b64decode(row["b64"]) for row in rows]
        else:
            inputs = np.array(rows, np.uint8)
        try:
            columns = {name: value.tolist() for name, value in self.server.infer(signature, inputs).items()}
            found = [
                dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
            ]
            status, answer = 200, {"predictions": found}
        except RequestError:
            status, answer = 400, {"error": "Invalid JPEG data"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def serving(infer: Infer) -> Iterator[str]:
    server = Serving(("127.0.0.1", 0), Answers)
    server.infer = infer
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/model:predict"
    server.shutdown()
    server.server_close()
    thread.join()


def context(serving: str, kind: str, attributes: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        request_content_type=kind, accept_header="*/*", rest_uri=serving, custom_attributes=attributes
    )


def test_both_worlds_give_the_same_answer(
    serving: str,
    infer: Infer,
    manifest: dict,
    attributes: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inference, "_own_manifest", lambda: manifest)
    for data, kind in ((npy(batch(35)), "application/x-npy"), (encoded(3), "image/jpeg")):
        there = json.loads(inference.handler(io.BytesIO(data), context(serving, kind, attributes))[0])
        here = json.loads(respond(data, kind, attributes, infer, manifest)[0])
        for one, other in zip(there.pop("predictions"), here.pop("predictions"), strict=True):
            assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-6)
            assert one == other
        assert there == here


def test_servings_own_errors_keep_their_number(
    serving: str, manifest: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_own_manifest", lambda: manifest)
    with pytest.raises(RequestError, match="Invalid JPEG data") as caught:
        inference.handler(io.BytesIO(encoded(1)[:700]), context(serving, "image/jpeg"))
    assert caught.value.code == 400


def test_the_limit_of_the_body_can_be_set(
    serving: str, manifest: dict, attributes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_own_manifest", lambda: manifest)
    monkeypatch.setenv("MRI_TUMOR_MAX_BODY", "100")
    with pytest.raises(RequestError, match="larger than 100 bytes") as caught:
        inference.handler(io.BytesIO(npy(batch())), context(serving, "application/x-npy", attributes))
    assert caught.value.code == 413


SCRIPT = textwrap.dedent(
    """
    import importlib.abc, json, sys

    class Only(importlib.abc.MetaPathFinder):
        allowed = sys.stdlib_module_names | {"numpy", "inference", "bodies", "prediction"}
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] not in self.allowed:
                raise ImportError(f"{name} is not in the container")

    sys.meta_path.insert(0, Only())
    sys.path.insert(0, sys.argv[1])
    import inference
    from types import SimpleNamespace

    context = SimpleNamespace(
        request_content_type=sys.argv[2],
        accept_header="application/json",
        rest_uri=sys.argv[3],
        custom_attributes=sys.argv[4] or None,
    )
    try:
        text, kind = inference.handler(sys.stdin.buffer, context)
    except Exception as error:  # as AWS's handler service does
        text = json.dumps({"error": str(error)})
    loaded = {name.partition(".")[0] for name in sys.modules} - {"__main__"}
    assert loaded <= Only.allowed, loaded - Only.allowed
    sys.stdout.write(text)
    """
)


def in_the_container(unpacked: Path, serving: str, data: bytes, kind: str, attributes: str = "") -> dict:
    # -S: the files of site-packages that run at the start of Python are no part of the container.
    command = [sys.executable, "-S", "-W", "error", "-c", SCRIPT, str(unpacked / "code")]
    environ = {**os.environ, "PYTHONPATH": str(Path(np.__file__).parents[1])}
    done = subprocess.run(
        [*command, kind, serving, attributes], input=data, capture_output=True, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("says", ["in a header", "in the content type"])
def test_the_packed_handler_alone_answers_a_batch_as_the_classifier(
    unpacked: Path, serving: str, attributes: str, classifier: models.Classifier, says: str
) -> None:
    """A batch transform job sends no custom attributes: there the content type says the digest."""
    kind, header = "application/x-npy", attributes
    if says == "in the content type":
        kind, header = f"{kind}; {attributes}", ""
    answer = in_the_container(unpacked, serving, npy(batch(35)), kind, header)
    assert [one.pop("id") for one in answer["predictions"]] == [str(number) for number in range(35)]
    for found, prediction in zip(answer["predictions"], classifier.predict(batch(35)), strict=True):
        expected = prediction.to_dict()
        del expected["id"]
        assert found.pop("probabilities") == pytest.approx(expected.pop("probabilities"), abs=1e-5)
        assert found == expected
    assert answer["notice"] == NOTICE


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "image/jpeg"), (".png", "image/png")])
def test_the_packed_handler_alone_answers_a_raw_picture_as_the_classifier(
    unpacked: Path, serving: str, classifier: models.Classifier, suffix: str, kind: str
) -> None:
    data = encoded(7, suffix)
    (found,) = in_the_container(unpacked, serving, data, kind)["predictions"]
    (expected,) = classifier.predict(data)
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-2)
    assert (found["top"], found["label"]) == (expected.top, expected.label)


def test_the_packed_handler_alone_answers_json_in_all_its_forms(
    unpacked: Path, serving: str, manifest: dict, classifier: models.Classifier
) -> None:
    def ask(request: dict) -> dict:
        return in_the_container(unpacked, serving, json.dumps(request).encode(), "application/json")

    assert ask({"describe": True}) == manifest
    expected = [list(one.probabilities.values()) for one in classifier.predict(batch(2))]
    rows = ask({"signature_name": "preprocessed", "instances": batch(2).tolist()})["predictions"]
    assert [row["probabilities"] for row in rows] == [pytest.approx(one, abs=1e-5) for one in expected]
    data = encoded(8)
    picture = {"b64": base64.b64encode(data).decode()}
    for row in (picture, {"image": picture}):
        (found,) = ask({"instances": [row]})["predictions"]
        (single,) = classifier.predict(data)
        assert found["probabilities"] == pytest.approx(list(single.probabilities.values()), abs=1e-2)


REFUSED = {
    "another digest": (npy(batch()), "application/x-npy", "preprocess-digest=0", 409),
    "another digest in the content type": (npy(batch()), "application/x-npy; preprocess-digest=0", "", 409),
    "no digest": (npy(batch()), "application/x-npy", "", 400),
    "no picture": (b"hello", "image/png", "", 400),
    "half a picture": (encoded(1)[:700], "image/jpeg", "", 400),
    "another type": (b"1,2", "text/csv", "", 415),
    "no JSON": (b"{", "application/json", "", 400),
    "too large": (bytes(MAX_BODY + 1), "image/jpeg", "", 413),
}


@pytest.mark.parametrize(("data", "kind", "header", "code"), REFUSED.values(), ids=REFUSED)
def test_the_packed_handler_alone_refuses_with_a_code(
    unpacked: Path, serving: str, data: bytes, kind: str, header: str, code: int
) -> None:
    answer = in_the_container(unpacked, serving, data, kind, header)
    assert answer.keys() == {"error"}
    refusal = json.loads(answer["error"])
    assert refusal["code"] == code
    assert "Expected: " in refusal["error"]
    assert "To do: " in refusal["error"]


def test_an_asynchronous_endpoint_takes_more(
    unpacked: Path, serving: str, manifest: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b'{"describe": true}' + b" " * MAX_BODY
    refusal = json.loads(in_the_container(unpacked, serving, data, "application/json")["error"])
    assert (refusal["code"], f"larger than {MAX_BODY} bytes" in refusal["error"]) == (413, True)
    monkeypatch.setenv("MRI_TUMOR_MAX_BODY", str(ASYNC_BODY))
    assert in_the_container(unpacked, serving, data, "application/json") == manifest

"""The client: what it refuses to send, and what it makes of answers, also of those of foreign servers."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import cloud, dataset
from mri_tumor.cloud.connection import refusal
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.errors import ArgumentError, EndpointError, ManifestMismatch, ReadError

from .conftest import SIZE, encoded, picture, untrained


def test_another_client_may_attach_and_does_not_own(endpoint: cloud.Predictor) -> None:
    with cloud.Predictor(endpoint.name + "/") as other:
        assert other.name == endpoint.name
        first = other.predict(picture(1))
    assert endpoint.predict(picture(1)) == first
    with pytest.raises(EndpointError, match="was closed") as caught:
        other.predict(picture(1))
    assert caught.value.code == 410


def test_an_endpoint_of_another_program_is_not_deleted(endpoint: cloud.Predictor) -> None:
    with pytest.raises(EndpointError, match=r"started by another program.*close\(\)"):
        cloud.Predictor(endpoint.name).delete()
    assert len(endpoint.predict(picture(1))) == 1


@pytest.mark.parametrize("threads", [0, 65, 1.5, "four"])
def test_threads_are_counted(endpoint: cloud.Predictor, threads: object) -> None:
    with pytest.raises(ArgumentError, match="1 to 64"):
        cloud.Predictor(endpoint.name, threads=threads)  # type: ignore[arg-type]


def test_more_pictures_than_fit_into_one_request(endpoint: cloud.Predictor) -> None:
    count = MAX_BODY // SIZE**2 + 100
    pictures = np.zeros((count, SIZE, SIZE, 1), np.uint8)
    pictures[:, :8, :8, 0] = (np.arange(count) % 251)[:, None, None]
    found = endpoint.predict(pictures)
    assert [one.id for one in found] == [str(number) for number in range(count)]
    for number in (0, 1, 250, count - 1):
        alone = endpoint.predict(pictures[number])[0].probabilities
        assert found[number].probabilities == pytest.approx(alone, abs=1e-5)


def test_several_threads_share_a_predictor(endpoint: cloud.Predictor) -> None:
    expected = [endpoint.predict(picture(seed))[0].probabilities for seed in range(8)]
    found: dict[int, dict] = {}

    def ask(seed: int) -> None:
        found[seed] = endpoint.predict(picture(seed))[0].probabilities

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(8)] == expected


def test_pictures_of_another_preprocessing_are_not_sent(
    endpoint: cloud.Predictor, catalog: dataset.Catalog, tmp_path: Path
) -> None:
    dataset.write_tfrecords(
        catalog[:2], tmp_path / "other", preprocess=dataset.Preprocess(size=SIZE, crop=False)
    )
    with pytest.raises(ManifestMismatch):
        endpoint.predict(tmp_path / "other")
    with pytest.raises(ArgumentError, match="shape"):
        endpoint.predict(np.zeros((2, SIZE + 1, SIZE + 1, 1), np.uint8))
    with pytest.raises(ArgumentError, match="float"):
        endpoint.predict(np.zeros((2, SIZE, SIZE, 1), np.float32))
    with pytest.raises(ArgumentError, match="shape"):
        endpoint.predict(np.zeros((2, SIZE, SIZE), np.uint8))


def test_raw_files_are_looked_at_before_they_are_sent(endpoint: cloud.Predictor, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ReadError, match=r"text\.jpg is neither JPEG nor PNG"):
        endpoint.predict_raw(tmp_path / "text.jpg")
    with pytest.raises(ReadError, match=r"missing\.jpg"):
        endpoint.predict_raw([tmp_path / "missing.jpg"])
    with pytest.raises(ArgumentError, match=r"pictures\[1\] is a ndarray"):
        endpoint.predict_raw([encoded(1), picture(1)])
    with pytest.raises(ArgumentError, match="int"):
        endpoint.predict_raw(3)
    with pytest.raises(EndpointError, match="at most 6291456 bytes") as caught:
        endpoint.predict_raw(encoded(1) + bytes(MAX_BODY))
    assert caught.value.code == 413


def test_a_png_under_a_jpegs_name_is_a_png(endpoint: cloud.Predictor, tmp_path: Path) -> None:
    (tmp_path / "ü (1).jpg").write_bytes(encoded(1, ".png"))
    (found,) = endpoint.predict_raw(tmp_path / "ü (1).jpg")
    assert found.id.endswith("ü (1).jpg")


def test_an_error_of_the_endpoint_keeps_its_number(endpoint: cloud.Predictor) -> None:
    with pytest.raises(EndpointError, match=r"refused the request \(400\).*Expected") as caught:
        endpoint.predict_raw(encoded(1)[:700])
    assert caught.value.code == 400


@pytest.mark.parametrize(
    "name",
    [
        "https://127.0.0.1:1",
        "http://example.org",
        "http://10.0.0.1:80",
        "http://127.0.0.1:abc",
        "http://[::1",
        "",
        "a b",
        "a_b",
        3,
    ],
)
def test_names_that_are_none_of_an_endpoint(name: object) -> None:
    with pytest.raises(ArgumentError, match=r"127\.0\.0\.1"):
        cloud.Predictor(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (409, b'{"code": 409, "error": "another"}', 409, "another"),
        (500, json.dumps({"error": '{"code": 413, "error": "too large"}'}).encode(), 413, "too large"),
        (500, b'{"error": "division by zero"}', 500, "division by zero"),
        (500, b'{"error": 3}', 500, "3"),
        (502, b"<html>Bad gateway</html>", 502, "Bad gateway"),
        (500, b'{"error": "x", "code": "many"}', 500, "x"),
        (500, b'{"error": null, "code": null}', 500, "null"),
        (500, b"[" * 100_000, 500, "[["),
        (503, b"", 503, ""),
        (500, b"\xff\xfe", 500, ""),
    ],
)
def test_errors_are_read_in_both_worlds(status: int, body: bytes, code: int, text: str) -> None:
    error = refusal(status, body)
    assert error.code == code
    assert text in str(error)


# --- servers that are none of ours ---


class Other(BaseHTTPRequestHandler):
    """Answers each request with the next of what the test laid down; None: closes the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answers.pop(0)  # type: ignore[attr-defined]
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


Start = Callable[..., cloud.Predictor]


@pytest.fixture
def other() -> Iterator[Start]:
    servers, predictors = [], []

    def start(*answers: bytes | None) -> cloud.Predictor:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
        server.daemon_threads = True
        server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        server.answers = list(answers)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        predictors.append(cloud.Predictor(f"http://127.0.0.1:{server.server_port}", timeout=5))
        return predictors[-1]

    yield start
    for predictor in predictors:
        predictor.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def manifest_of(seed: int = 0) -> bytes:
    return untrained(seed=seed).manifest.to_json().encode()


def answer_of(*, count: int = 1, digest: str | None = None) -> bytes:
    classifier = untrained()
    body = {
        "labels": list(classifier.labels),
        "model": {"digest": digest or classifier.manifest.digest},
        "predictions": [one.to_dict() for one in classifier.predict([picture(1)] * count)],
    }
    return json.dumps(body).encode()


def test_an_answer_without_fault_is_taken(other: Start) -> None:
    assert other(manifest_of(), answer_of()).predict(picture(1))[0].id == "0"


def test_a_connection_that_was_closed_meanwhile_is_opened_again(other: Start) -> None:
    assert len(other(manifest_of(), None, answer_of()).predict(picture(1))) == 1


@pytest.mark.parametrize(
    ("answers", "reason", "code"),
    [
        ([None], "does not answer", 503),
        ([b"hello"], "answered b'hello'", 500),
        ([manifest_of(), b"[]"], "in a form that is not known", 500),
        ([manifest_of(), b'{"predictions": [{}]}'], "in a form that is not known", 500),
        ([manifest_of(), answer_of(count=2)], "2 predictions for 1 pictures", 500),
        ([manifest_of(), answer_of(digest="0" * 64)], "serves another model", 409),
        ([manifest_of(), None, None], "does not answer", 503),
    ],
    ids=["closed", "text", "list", "fields", "count", "model", "closed twice"],
)
def test_answers_that_are_none(other: Start, answers: list, reason: str, code: int) -> None:
    with pytest.raises(EndpointError, match=reason) as caught:
        other(*answers).predict(picture(1))
    assert caught.value.code == code


def test_a_manifest_that_is_none(other: Start) -> None:
    with pytest.raises(ManifestMismatch):
        _ = other(b"{}").labels


def test_nobody_there() -> None:
    with pytest.raises(EndpointError, match="does not answer") as caught:
        _ = cloud.Predictor("http://127.0.0.1:9").labels
    assert caught.value.code == 503

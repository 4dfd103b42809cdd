"""What serving costs: the local endpoint beside the bare call of its model, and beside Keras' `predict`.

    python benchmarks/serving.py

MobileNetV2 for 224 pixels with random weights, which are as fast as trained ones, and one drawn head. All is
asked one picture a request, over 127.0.0.1, and each of these is a process of its own:

* `call`: the SavedModel's signature `preprocessed`, called in a loop without any server;
* `endpoint`: what `mri_tumor.cloud.deploy` starts, asked with `application/x-npy` (a preprocessed picture)
  and with `image/jpeg` (512 x 512 pixels, which the server decodes and preprocesses);
* `predict`: Starlette and uvicorn too, but around `keras.Model.predict` of the same network in Starlette's
  threads, asked with the same npy file: what people write first;
* the clients, in threads.

They take turns, `--rounds` times after one round that is not counted, so that what else the machine does hits
all alike; with one client they do so after every four requests. A row of `benchmarks/results/serving.csv` has
times over all rounds; its `ratio` is the median of the rounds' ratios, `lowest` and `highest` are the ends of
them. Five minutes on two cores.
"""

import argparse
import contextlib
import csv
import http.client
import importlib.metadata
import io
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from mri_tumor import LABELS, cloud, dataset
from mri_tumor.cloud import process
from mri_tumor.cloud.container.inference import DIGEST_KEY, JSON_TYPE, NPY_TYPE
from mri_tumor.files import whole_file

RESULTS = Path(__file__).resolve().parent / "results" / "serving.csv"
COLUMNS = (
    "what", "clients", "requests", "p50_ms", "p95_ms", "p99_ms", "requests_a_second",
    "against", "ratio", "lowest", "highest", "goal", "met", "setting",
)  # fmt: skip
SPEC = dataset.Preprocess(size=224)
PACKAGES = ("tensorflow", "keras", "starlette", "uvicorn")
GOAL = 1.3
PART = 4

Block = Callable[[int], tuple[list[float], float]]
"""Makes so many requests; returns the seconds of each, and of all together."""


@dataclass
class Measured:
    """What one way took, round by round."""

    what: str
    clients: int
    block: Block
    requests: int
    times: list[list[float]] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)

    def begin(self) -> None:
        """Begin a round."""
        self.times.append([])
        self.walls.append(0.0)

    def turn(self, requests: int) -> None:
        """Make so many requests of this round."""
        times, wall = self.block(requests)
        self.times[-1] += times
        self.walls[-1] += wall

    @property
    def rates(self) -> list[float]:
        """Requests a second, round by round."""
        return [len(times) / wall for times, wall in zip(self.times, self.walls, strict=True)]

    @property
    def medians(self) -> list[float]:
        """Seconds of a request, round by round."""
        return [statistics.median(times) for times in self.times]

    def row(self) -> dict[str, Any]:
        """Return the row without a comparison."""
        every = np.concatenate(self.times) * 1000
        shares = zip(("p50_ms", "p95_ms", "p99_ms"), np.percentile(every, (50, 95, 99)), strict=True)
        return {
            "what": self.what,
            "clients": self.clients,
            "requests": len(every),
            **{name: f"{value:.1f}" for name, value in shares},
            "requests_a_second": f"{len(every) / sum(self.walls):.1f}",
        }


def main() -> None:
    options = parsed()
    if options.role:
        ROLES[options.role](Path(options.place))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = Path(folder)
        in_fresh_process(prepare, place)
        ways = {(way.what, way.clients): way for way in started(place, options.requests, stack)}
        for number in range(options.rounds + 1):
            take_turns(list(ways.values()))
            print(f"round {number} of {options.rounds}", flush=True)
        for way in ways.values():
            del way.times[0], way.walls[0]
    rows = compared(ways)
    write(rows, options.output)
    for row in rows:
        print({name: value for name, value in row.items() if name != "setting"})


def take_turns(ways: list[Measured]) -> None:
    """Make one round's requests of all ways."""
    for way in ways:
        way.begin()
    alone = [way for way in ways if way.clients == 1]
    for turn in range(-(-alone[0].requests // PART)):
        for way in alone if turn % 2 else reversed(alone):
            way.turn(PART)
    for way in ways:
        if way.clients > 1:
            way.turn(way.requests)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--requests", type=int, default=32, help="a round, of every way; twice as many for 16 clients"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_fresh_process(act: Callable[[Path], None], place: Path) -> None:
    """Run `act` apart: the clients' process loads no TensorFlow."""
    child = multiprocessing.get_context("spawn").Process(target=act, args=(place,))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"{act.__name__} failed")


def prepare(place: Path) -> None:
    """Write the classifier, its package, and the picture as JPEG and preprocessed."""
    import cv2
    import keras

    from mri_tumor import models
    from mri_tumor.manifest import Manifest

    keras.utils.set_random_seed(0)
    data = {"labels": list(LABELS), "preprocess": SPEC.to_dict(), "preprocess_digest": SPEC.digest}
    network = models.build("mobilenet_v2", weights=None, size=SPEC.size)
    models.Classifier(network, Manifest("model", {"data": data})).save(place / "classifier")
    cloud.package(place / "classifier", place / "model.tar.gz")
    drawn = dataset.make_phantoms(place / "pictures", per_class=5, size=512)
    picture = dataset.read_image(drawn.paths[0])
    (place / "picture.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    np.save(place / "picture.npy", SPEC(picture)[None])


def started(place: Path, requests: int, stack: contextlib.ExitStack) -> Iterator[Measured]:
    """Start the processes and yield the ways in which they are asked, checked to give the same answer."""
    npy, jpeg = (place / "picture.npy").read_bytes(), (place / "picture.jpg").read_bytes()
    endpoint = stack.enter_context(cloud.deploy(place / "model.tar.gz"))
    bare, peer = (stack.enter_context(child(role, place)) for role in ("call", "predict"))
    first = json.loads(bare.stdout.readline())
    port = json.loads(peer.stdout.readline())["port"]
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": f"{DIGEST_KEY}={SPEC.digest}"}
    asks = {
        "endpoint, npy": ask(endpoint.name, npy, {"Content-Type": NPY_TYPE} | attributes),
        "endpoint, jpeg": ask(endpoint.name, jpeg, {"Content-Type": "image/jpeg"}),
        "predict, npy": ask(f"http://127.0.0.1:{port}", npy, {"Content-Type": NPY_TYPE}),
    }
    for name, makes in asks.items():
        with contextlib.closing(makes()) as client:
            said = list(json.loads(client())["predictions"][0]["probabilities"].values())
        if "npy" in name and not np.allclose(said, first["probabilities"], atol=1e-4):
            sys.exit(f"{name} says {said}, and the call {first['probabilities']}")
    yield Measured("call", 1, calls(bare), requests)
    for clients in (1, 4, 16):
        for name, makes in asks.items():
            yield Measured(name, clients, load(makes, clients), requests * (1 if clients < 16 else 2))


@contextlib.contextmanager
def child(role: str, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [__file__, "--role", role, "--place", str(place)]
    started = process.start(arguments, environment=os.environ, stdout=subprocess.PIPE, stderr=None)
    try:
        yield started
    finally:
        process.stop(started)


def calls(bare: subprocess.Popen[bytes]) -> Block:
    def block(count: int) -> tuple[list[float], float]:
        bare.stdin.write(f"{count}\n".encode())
        bare.stdin.flush()
        times = json.loads(bare.stdout.readline())
        return times, sum(times)

    return block


class Client:
    """One connection that asks one thing."""

    def __init__(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._connection.connect()
        self._request = ("POST", "/invocations", body, headers)

    def __call__(self) -> bytes:
        """Ask, and return the answer."""
        self._connection.request(*self._request)
        reply = self._connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            sys.exit(f"the server answered {reply.status}: {answer[:500]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def ask(url: str, body: bytes, headers: dict[str, str]) -> Callable[[], Client]:
    return lambda: Client(url, body, headers)


def load(makes: Callable[[], Client], clients: int) -> Block:
    """Return what lets so many clients ask at a time, each again as soon as it has its answer."""

    def block(count: int) -> tuple[list[float], float]:
        times: list[float] = []
        left = iter(range(count))  # a step of it cannot be taken twice

        def run() -> None:
            with contextlib.closing(makes()) as client:
                for _ in left:
                    start = time.perf_counter()
                    client()
                    times.append(time.perf_counter() - start)

        threads = [threading.Thread(target=run) for _ in range(clients)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(times) != count:
            sys.exit("a request failed")
        return times, time.perf_counter() - start

    return block


def call(place: Path) -> None:
    """Call the model as often as a line on standard input says, and print the seconds of each call."""
    import tensorflow as tf

    from mri_tumor.cloud.archive import extract

    picture = np.load(place / "picture.npy")
    model = tf.saved_model.load(str(extract(place / "model.tar.gz", place / "unpacked") / "1"))
    signature = model.signatures["preprocessed"]

    def once() -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in signature(image=tf.constant(picture)).items()}

    print(json.dumps({"probabilities": once()["probabilities"][0].tolist()}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            once()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


def predict(place: Path) -> None:
    """Serve `keras.Model.predict`."""
    import socket

    import uvicorn
    from scipy.special import softmax
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from mri_tumor import models

    model = models.Classifier.load(place / "classifier").model

    def answer(data: bytes) -> str:
        pictures = np.load(io.BytesIO(data), allow_pickle=False)
        shares = softmax(np.asarray(model.predict(pictures, verbose=0)), axis=1)
        said = [{"probabilities": dict(zip(LABELS, row, strict=True))} for row in shares.tolist()]
        return json.dumps({"predictions": said})

    async def invocations(request: Request) -> Response:
        body = await run_in_threadpool(answer, await request.body())
        return Response(body, media_type=JSON_TYPE)

    answer((place / "picture.npy").read_bytes())
    process.when_parent_ends(lambda: os._exit(0))
    taken = socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(taken.family, taken.type, socket.IPPROTO_TCP, fileno=taken.detach())
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


ROLES = {"call": call, "predict": predict}


def compared(ways: dict[tuple[str, int], Measured]) -> list[dict[str, Any]]:
    """Return the rows, each beside what it is held against."""
    rows, bare = [], ways["call", 1]
    for (name, clients), way in ways.items():
        row = way.row()
        if name != "call" and clients == 1:
            pairs = zip(way.medians, bare.medians, strict=True)
            row |= {"against": "p50 over that of call"} | ratio_of([one / other for one, other in pairs])
            if name == "endpoint, npy":
                row |= {"goal": f"<= {GOAL}", "met": "yes" if float(row["ratio"]) <= GOAL else "no"}
        elif name.startswith("endpoint"):
            peer = ways["predict, npy", clients]
            pairs = zip(way.rates, peer.rates, strict=True)
            row |= {"against": "requests a second over those of predict"}
            row |= ratio_of([one / other for one, other in pairs])
        rows.append(row)
    return rows


def ratio_of(ratios: list[float]) -> dict[str, str]:
    found = {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: f"{value:.2f}" for name, value in found.items()}


def write(rows: list[dict[str, Any]], path: Path) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    machine = f"cores: {cores}, {platform.machine()}, Python {platform.python_version()}, {versions}"
    setting = f"{machine}; {shlex.join(['python', 'benchmarks/serving.py', *sys.argv[1:]])}"
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([row | {"setting": setting} for row in rows])


if __name__ == "__main__":
    main()

"""What an answer costs: `Classifier.predict` by every engine beside the bare calls, and from files on.

    python benchmarks/inference.py

MobileNetV2 for 224 pixels with random weights, which are as fast as trained ones. Rows of
`benchmarks/results/inference.csv`, all of one run:

* `predict, ENGINE`: `Classifier.predict` of preprocessed pictures, 1 and 32 a call, over the very model run
  bare by that engine: TensorFlow's compiled graph, `run` of an ONNX Runtime session, a call of OpenVINO's
  compiled model in float32, each with that engine's own settings;
* `keras predict`: `keras.Model.predict` of the same network, over `predict, ENGINE`;
* `files, ...`: JPEG files to answers, 32 a batch. Ours: `Classifier.predict(paths)`. The loops that people
  write first: `keras.utils.load_img` and `keras.Model.predict`; and with torch and torchvision PIL, `resize`
  and torchvision's MobileNetV2 with random weights and four classes. Both only resize, where ours also crops
  to the head. `ratio` is pictures a second, ours over theirs.

The contenders take turns, `--rounds` times after one round that is not counted, in the opposite order every
other round, so that what else the machine does hits all alike. `ratio` is the median of the rounds' ratios,
`lowest` and `highest` are the ends of them. Real pictures are read from `--data`; without them the rows of
files are left out, and so is what is not installed: both are said. Three minutes on two cores.
"""

import argparse
import contextlib
import csv
import functools
import importlib.metadata
import importlib.util
import logging
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with contextlib.suppress(ImportError):
    import torchvision  # noqa: F401 - loaded after TensorFlow, torch ends the process

import keras
import numpy as np
import tensorflow as tf
from sartaj import ROOT, SHARED

from mri_tumor import LABELS, dataset, models
from mri_tumor.files import whole_file
from mri_tumor.manifest import Manifest
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.engines.libraries import onnxruntime, openvino
from mri_tumor.models.engines.machine import machine
from mri_tumor.models.engines.samples import phantoms
from mri_tumor.models.engines.tensorflow_engine import compiled
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "inference.csv"
DATA = SHARED / "data" / "sartaj" / "Testing"
COLUMNS = (
    "what", "pictures_a_call", "calls", "median_ms", "pictures_a_second",
    "against", "ratio", "lowest", "highest", "goal", "met", "setting",
)  # fmt: skip
SPEC = dataset.Preprocess(size=224)
PACKAGES = ("tensorflow", "keras", "openvino", "onnxruntime", "torch", "torchvision")
CALLS = {1: 16, 32: 2}
BATCH = 32
PAUSE = 0.05  # seconds: threads that wait for more work have gone to sleep by then

Call = Callable[[], Any]


@dataclass
class Way:
    """One way to get answers, and what it took, round by round.

    Args:
        what: its name.
        pictures: how many a call.
        call: makes one call.
        calls: how many a round.
    """

    what: str
    pictures: int
    call: Call
    calls: int
    rounds: list[list[float]] = field(default_factory=list)

    def turn(self) -> None:
        """Make the calls of a round; the first one is not counted, as the caches are another's."""
        time.sleep(PAUSE)
        times = []
        for _ in range(self.calls + (self.pictures <= BATCH)):
            start = time.perf_counter()
            self.call()
            times.append(time.perf_counter() - start)
        self.rounds.append(times[-self.calls :])

    @property
    def medians(self) -> list[float]:
        """The median of each round, in seconds."""
        return [statistics.median(times) for times in self.rounds]

    def row(self) -> dict[str, Any]:
        """Return what it took over all rounds."""
        median = statistics.median([one for times in self.rounds for one in times])
        return {
            "what": self.what,
            "pictures_a_call": self.pictures,
            "calls": sum(map(len, self.rounds)),
            "median_ms": f"{median * 1000:.2f}",
            "pictures_a_second": f"{self.pictures / median:.1f}",
        }

    def over(self, other: "Way", goal: float | None, *, slower: bool = False) -> dict[str, Any]:
        """Return the ratio of the times to another's; with `slower` that of the other's to these."""
        pairs = zip(self.medians, other.medians, strict=True)
        ratios = [theirs / own if slower else own / theirs for own, theirs in pairs]
        against = f"time of {other.what} over its" if slower else f"its time over that of {other.what}"
        found: dict[str, Any] = {"against": against}
        numbers = {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        found |= {name: f"{value:.2f}" for name, value in numbers.items()}
        if goal is not None:
            met = numbers["ratio"] >= goal if slower else numbers["ratio"] <= goal
            found |= {"goal": f"{'>=' if slower else '<='} {goal}", "met": "yes" if met else "no"}
        return found


def main() -> None:
    options = parsed()
    to_console()
    with tempfile.TemporaryDirectory() as folder:
        classifiers = prepared(Path(folder))
        bare = dict(bare_calls(classifiers["tensorflow"].model, Path(folder)))
        rows = [*engines(classifiers, bare, options.rounds), *files(classifiers, options)]
    write(rows, options.output)
    for row in rows:
        print({name: value for name, value in row.items() if name != "setting"})


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, default=DATA, help="class folders of JPEG files")
    parser.add_argument("--pictures", type=int, default=96, help="JPEG files, spread over the classes")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def prepared(folder: Path) -> dict[str, models.Classifier]:
    """Return the classifier by every engine that is installed."""
    keras.utils.set_random_seed(0)
    data = {"labels": list(LABELS), "preprocess": SPEC.to_dict(), "preprocess_digest": SPEC.digest}
    network = models.build("mobilenet_v2", size=SPEC.size)
    models.Classifier(network, Manifest("model", {"data": data})).save(folder / "classifier")
    found = {}
    for engine, library in (("tensorflow", "tensorflow"), ("openvino", "openvino"), ("onnx", "onnxruntime")):
        if importlib.util.find_spec(library) is None:
            logger.info("without %s: no rows of the engine %s", library, engine)
            continue
        found[engine] = models.Classifier.load(folder / "classifier", engine=engine)
    return found


def bare_calls(network: Any, folder: Path) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield what calls each engine's model, which lies beside the classifier, without this library."""
    graphs = {}
    for count in CALLS:
        spec = tf.TensorSpec((count, *network.inputs[0].shape[1:]), tf.uint8)
        graphs[count] = compiled(network, Settings()).get_concrete_function(spec)

    def graph(images: Any) -> Any:
        said = graphs[len(images)](tf.constant(images))
        return {name: value.numpy() for name, value in said.items()}

    yield "tensorflow", graph
    for path in folder.rglob("model.xml"):
        core = openvino().Core()
        yield "openvino", core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for path in folder.rglob("model.onnx"):
        session = onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
        yield "onnx", functools.partial(run, session)


def run(session: Any, images: Any) -> Any:
    return session.run(None, {"image": images})


def engines(
    classifiers: dict[str, models.Classifier], bare: dict[str, Callable[[Any], Any]], rounds: int
) -> list[dict[str, Any]]:
    """Return the rows of preprocessed pictures."""
    rows = []
    for count, calls in CALLS.items():
        images = phantoms(SPEC, count)
        ways = {}
        for name, classifier in classifiers.items():
            ways["ours", name] = Way(f"predict, {name}", count, call_of(classifier.predict, images), calls)
            ways["bare", name] = Way(f"bare, {name}", count, call_of(bare[name], images), calls)
        network = classifiers["tensorflow"].model
        ways["keras", ""] = Way("keras predict", count, call_of(network.predict, images, verbose=0), calls)
        in_turns(list(ways.values()), rounds, f"{count} a call")
        rows += compared(ways, count)
    return rows


def call_of(function: Callable[..., Any], images: Any, **options: Any) -> Call:
    return lambda: function(images, **options)


def compared(ways: dict[tuple[str, str], Way], count: int) -> Iterator[dict[str, Any]]:
    own = {name: way for (kind, name), way in ways.items() if kind == "ours"}
    for (kind, name), way in ways.items():
        if kind == "keras":
            for engine, ours in own.items():
                row = way.row() | ours.over(way, 5.0 if count == 1 else None, slower=True)
                yield row | {"against": f"its time over that of predict, {engine}"}
        elif kind == "ours":
            yield way.row() | way.over(
                ways["bare", name], 1.15 if (name, count) == ("tensorflow", 1) else 1.1
            )
        else:
            yield way.row()


def files(classifiers: dict[str, models.Classifier], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of JPEG files; none where there are no files."""
    found = sorted(options.data.glob("*/*.jpg"))
    if not found:
        logger.info("no JPEG files under %s: no rows of files", options.data)
        return []
    paths = found[:: max(1, len(found) // options.pictures)][: options.pictures]
    others = [keras_loop(classifiers["tensorflow"].model, paths), *torch_loop(paths)]
    ours = [
        Way(f"files, {name}", len(paths), call_of(classifier.predict, paths), 1)
        for name, classifier in classifiers.items()
    ]
    in_turns([*ours, *others], max(3, options.rounds // 3), "files")
    rows = [way.row() for way in others]
    best = ours[0] if len(ours) == 1 else ours[1]
    for way in ours:
        for other in others:
            goal = 3.0 if way is best and "keras" in other.what else None
            rows.append(way.row() | way.over(other, goal, slower=True))
    return rows


def keras_loop(network: Any, paths: list[Path]) -> Way:
    size = (SPEC.size, SPEC.size)

    def loop() -> list[Any]:
        answers = []
        for at in range(0, len(paths), BATCH):
            batch = [
                keras.utils.img_to_array(keras.utils.load_img(path, color_mode="grayscale", target_size=size))
                for path in paths[at : at + BATCH]
            ]
            answers.append(network.predict(np.stack(batch).astype(np.uint8), verbose=0))
        return answers

    return Way("files, keras loop", len(paths), loop, 1)


def torch_loop(paths: list[Path]) -> list[Way]:
    """Return the loop in torch, nothing where torch or torchvision are not installed."""
    missing = [name for name in ("torch", "torchvision", "PIL") if importlib.util.find_spec(name) is None]
    if missing:
        logger.info("without %s: no rows of torch", ", ".join(missing))
        return []
    import torch
    import torchvision
    from PIL import Image

    network = torchvision.models.mobilenet_v2(num_classes=len(LABELS)).eval()

    def loop() -> list[Any]:
        answers = []
        with torch.inference_mode():
            for at in range(0, len(paths), BATCH):
                pictures = []
                for path in paths[at : at + BATCH]:
                    with Image.open(path) as file:
                        small = file.convert("L").resize((SPEC.size, SPEC.size))
                    pictures.append(torch.from_numpy(np.array(small)).expand(3, -1, -1))
                answers.append(network(torch.stack(pictures) / 127.5 - 1).softmax(1).numpy())
        return answers

    return [Way("files, torch loop", len(paths), loop, 1)]


def in_turns(ways: list[Way], rounds: int, doing: str) -> None:
    for number in range(rounds + 1):
        for way in ways if number % 2 else reversed(ways):
            way.turn()
        logger.info("%s: round %d of %d", doing, number, rounds)
    for way in ways:
        del way.rounds[0]


def write(rows: list[dict[str, Any]], path: Path) -> None:
    installed = [name for name in PACKAGES if importlib.util.find_spec(name)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in installed]
    here = machine()
    setting = f"{here['processor']}, cores: {here['cores']}, {', '.join(versions)}; "
    setting += shlex.join(["python", "benchmarks/inference.py", *sys.argv[1:]])
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([row | {"setting": setting} for row in rows])


if __name__ == "__main__":
    main()

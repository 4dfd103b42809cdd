"""How much sooner two workers are done than one process, each on one processor core.

    python benchmarks/workers.py

Each case is trained three ways, on drawn pictures that lie in memory, so that only training is measured:

* `fit`: one process, `devices="one"`, on the first core: what a user without workers runs.
* `alone`: one worker without others, on the first core: what the loop for workers costs by itself.
* `workers`: two workers, each on a core of its own; they talk through 127.0.0.1.

The batches are the same global batches; every worker has half of each. Of each way the first epoch is left
out, in which TensorFlow builds its graphs; of the others the quickest counts, because other work on the
machine would otherwise be measured too. The ways take turns, `--rounds` times. A row in
`benchmarks/results/workers.csv` has `speed_up`: how often it is done while the quicker one of `fit` and
`alone` is done once. Two cores can at best give 2.

Cases: `small_cnn`, whose batch normalisation is taken over both workers; `mobilenet_v2` with the top 30 % of
its layers free and its batch normalisation fixed, as a second phase trains it.
"""

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results" / "workers.csv"
COLUMNS = ("case", "way", "workers", "batch_size", "ms_a_step", "pictures_a_second", "speed_up", "setting")
CASES = {
    "small_cnn 96 px": {"name": "small_cnn", "size": 96, "batch": 32},
    "small_cnn 224 px": {"name": "small_cnn", "size": 224, "batch": 32},
    "mobilenet_v2 224 px": {"name": "mobilenet_v2", "size": 224, "batch": 16},
}
WAYS = {"fit": ("one", 1), "alone": ("workers", 1), "workers": ("workers", 2)}
TIME_LIMIT = 1800


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed-up of two workers against one process.")
    parser.add_argument("--steps", type=int, default=20, help="steps an epoch")
    parser.add_argument("--epochs", type=int, default=4, help="measured epochs, after the first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train is not None:
        train(**json.loads(arguments.train))
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("this machine lends one core only; two workers need two")
    rows = []
    for case in arguments.cases:
        rows += measure(case, arguments.steps, arguments.epochs, arguments.rounds, cores)
    write(rows, arguments.results)


def measure(case: str, steps: int, epochs: int, rounds: int, cores: list[int]) -> list[dict]:
    """Return one row a way; each has the quickest epoch of all rounds."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for way, (devices, count) in WAYS.items():
            job = CASES[case] | {"devices": devices, "steps": steps, "epochs": epochs + 1}
            best[way] = min(best.get(way, float("inf")), run(job, cores[:count]))
    setting = f"{steps} steps, quickest of {rounds} x {epochs} epochs, one core a process"
    rows, base = [], min(best["fit"], best["alone"])
    for way, (_, count) in WAYS.items():
        batch, seconds, speed_up = CASES[case]["batch"], best[way], base / best[way]
        print(f"{case:20s} {way:8s} {seconds * 1000:8.1f} ms a step, speed-up {speed_up:.2f}", flush=True)
        numbers = (f"{seconds * 1000:.1f}", f"{batch / seconds:.1f}", f"{speed_up:.2f}")
        rows.append(dict(zip(COLUMNS, (case, way, count, batch, *numbers, setting), strict=True)))
    return rows


def run(job: dict, cores: list[int]) -> float:
    """Start one process a core and return worker 0's seconds a step."""
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in cores]}
    processes = []
    for index, core in enumerate(cores):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [sys.executable, __file__, "--train", json.dumps(job | {"core": core})]
        environment = os.environ | {"TF_CONFIG": config, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    try:
        answers = [process.communicate(timeout=TIME_LIMIT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode for process in processes):
        sys.exit(f"a process failed: {job}")
    return json.loads(answers[0].splitlines()[-1])["seconds"]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def train(name: str, size: int, batch: int, devices: str, steps: int, epochs: int, core: int) -> None:
    """Train on one core, and print the seconds a step of the quickest epoch but the first."""
    os.sched_setaffinity(0, {core})  # before TensorFlow counts the cores
    import keras
    import numpy as np
    import tensorflow as tf

    from mri_tumor.models.builders import build
    from mri_tumor.models.loop import run_epochs
    from mri_tumor.models.recipe import Recipe
    from mri_tumor.models.steps.devices import devices_of

    recipe = Recipe(batch_size=batch, augment=None, schedule="constant", devices=devices)
    place = devices_of(recipe)

    class Watch(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.last = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append((self.last - self.start) / steps)

    rng = np.random.default_rng(0)
    cut = slice(batch * place.worker // place.workers, batch * (place.worker + 1) // place.workers)
    images = rng.integers(0, 256, (batch, size, size, 1), np.uint8)[cut]
    part = (images, (np.arange(batch) % 4)[cut], np.ones(batch, np.float32)[cut])
    data = tf.data.Dataset.from_tensors(part).repeat(steps)
    keras.utils.set_random_seed(0)
    watch, model = Watch(), network(build, name, size)
    with tempfile.TemporaryDirectory() as folder:
        options = {"recipe": recipe, "directory": Path(folder), "callbacks": [watch]}
        run_epochs(model, lambda epoch: data, steps=steps, epochs=epochs, **options)
    print(json.dumps({"seconds": min(watch.seconds[1:])}))


def network(build, name: str, size: int):
    """Return a network of random weights, free as far as a run would train it."""
    model = build(name, size=size, dropout=0)
    if name != "small_cnn":
        kept = int(len(model.layers) * 0.7)
        for number, layer in enumerate(model.layers):
            layer.trainable = number >= kept and "BatchNormalization" not in type(layer).__name__
    return model


def write(rows: list[dict], path: Path) -> None:
    from mri_tumor.files import whole_file

    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""How fast pictures are varied, beside Albumentations (and MONAI for the bias field), on one core.

    python benchmarks/augmentation.py

Each row of `benchmarks/results/augmentation.csv` is one operation, or a list of them, on the same 32 phantoms
of 224 x 224 as uint8, from a batch in memory to a new batch in memory, everything drawn anew each time. Ours
and the other's turns alternate; the quickest turn of each counts, because other work on the machine would
otherwise be measured too. `ratio` is the other's time divided by ours: above 1 we are quicker.

`call` is the plain call on an array; `dataset` is the same inside `tf.data.Dataset.map`, from tensors to
tensors. OpenCV and TensorFlow get one thread.
"""

import argparse
import csv
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import tensorflow as tf
from monai.transforms import RandBiasField
from numpy.typing import NDArray

from mri_tumor.dataset import Augment, load, make_phantoms, scan
from mri_tumor.files import whole_file

RESULTS = Path(__file__).resolve().parent / "results" / "augmentation.csv"
COLUMNS = ("operation", "way", "ours_us", "other", "other_us", "ratio", "setting")
BATCH, SIZE, TIMES = 32, 224, 50
OFF = {"rotation": 0, "brightness": 0, "contrast": 0, "mirror": False}

Images = NDArray[np.uint8]
Vary = Callable[[Images], Any]


def affine(**how: Any) -> A.Affine:
    return A.Affine(**{"rotate": 0, "scale": 1, "shear": 0, "translate_percent": 0, **how}, p=1)


def rotate() -> A.Rotate:
    return A.Rotate((-15, 15), border_mode=cv2.BORDER_CONSTANT, fill=0, p=1)


def blur() -> A.GaussianBlur:
    return A.GaussianBlur(blur_limit=0, sigma_limit=(0, 1.5), p=1)


def noise() -> A.GaussNoise:
    return A.GaussNoise(std_range=(0, 10 / 255), p=1)


def gamma() -> A.RandomGamma:
    return A.RandomGamma((74, 135), p=1)


EVERYTHING = {
    "rotation": 15, "brightness": 0.2, "contrast": 0.2, "mirror": True, "translation": 0.1, "zoom": 0.1,
    "shear": 5, "gamma": 0.3, "noise": 10, "blur": 1.5, "bias_field": 0.3,
}  # fmt: skip


def cases() -> Iterator[tuple[str, Augment, list[Any]]]:
    """Yield a name, our form of the operations, and Albumentations'."""
    grey = A.RandomBrightnessContrast
    yield "rotation + brightness + contrast", Augment(mirror=False), [rotate(), grey(0.2, 0.2, p=1)]
    moves = affine(rotate=(-15, 15), scale=(0.9, 1.1), shear={"x": (-5, 5)}, translate_percent=(-0.1, 0.1))
    whole = [A.HorizontalFlip(p=0.5), moves, blur(), A.Illumination(mode="linear", p=1)]
    whole += [grey(0.2, 0.2, p=1), gamma(), noise()]
    yield "everything but updown", Augment(**EVERYTHING), whole
    for name, other in {
        "rotation": rotate(),
        "translation": affine(translate_percent=(-0.1, 0.1)),
        "zoom": affine(scale=(0.9, 1.1)),
        "shear": affine(shear={"x": (-5, 5), "y": 0}),
        "mirror": A.HorizontalFlip(p=0.5),
        "updown": A.VerticalFlip(p=0.5),
        "brightness": grey(0.2, 0, p=1),
        "contrast": grey(0, 0.2, p=1),
        "gamma": gamma(),
        "noise": noise(),
        "blur": blur(),
        "bias_field": A.Illumination(mode="linear", p=1),
    }.items():
        yield name, Augment(**{**OFF, name: EVERYTHING.get(name, True)}), [other]


def ours(augment: Augment) -> Vary:
    indices, epochs = np.arange(BATCH), iter(range(10**9))
    return lambda images: augment(images, indices, seed=0, epoch=next(epochs))


def albumentations(transforms: list[Any]) -> Vary:
    vary = A.Compose(transforms, seed=0)
    return lambda images: np.stack([vary(image=image)["image"] for image in images])


def monai() -> Vary:
    # Coefficients that change the gain by about as much as ours do.
    vary = RandBiasField(degree=3, coeff_range=(-0.1, 0.1), prob=1)

    def call(images: Images) -> Images:
        moved = np.moveaxis(images, 3, 1)
        done = [np.clip(np.rint(vary(image)), 0, 255) for image in moved]
        return np.moveaxis(np.stack(done).astype(np.uint8), 1, 3)

    return call


def in_dataset(images: Images, vary: Callable[[Any, Any], Any]) -> Callable[[], None]:
    """Return a pass over many batches: starting one takes a while."""
    data = tf.data.Dataset.from_tensors((tf.constant(images), tf.range(BATCH))).cache().repeat(TIMES)
    data = data.map(vary, num_parallel_calls=1)

    def run() -> None:
        for _ in data:
            pass

    return run


def compare(first: Callable[[], Any], second: Callable[[], Any], turns: int) -> tuple[float, float]:
    """Return the quickest turn of each, in seconds."""
    best = [float("inf"), float("inf")]
    for turn in range(turns + 2):
        for place, call in enumerate((first, second)):
            start = time.perf_counter()
            call()
            # The first turns fill caches.
            best[place] = min(best[place], time.perf_counter() - start) if turn > 1 else best[place]
    return best[0], best[1]


def row(name: str, way: str, other: str, seconds: tuple[float, float], pictures: int) -> dict[str, str]:
    mine, theirs = (value / pictures * 1e6 for value in seconds)
    print(f"{name:34s} {way:8s} {mine:8.1f} us, {other} {theirs:8.1f} us: x{theirs / mine:.2f}", flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("opencv-python-headless", other))
    setting = f"{BATCH} x {SIZE} px, 1 thread, {versions}, {platform.machine()}"
    values = (name, way, f"{mine:.1f}", other, f"{theirs:.1f}", f"{theirs / mine:.2f}", setting)
    return dict(zip(COLUMNS, values, strict=True))


def measure(images: Images, turns: int) -> Iterator[dict[str, str]]:
    name = "albumentations"
    for operation, augment, transforms in cases():
        mine, theirs = ours(augment), albumentations(transforms)
        found = compare(lambda f=mine: f(images), lambda f=theirs: f(images), turns)
        yield row(operation, "call", name, found, BATCH)
        yield row(operation, "dataset", name, inside(images, augment, theirs, turns // 10), BATCH * TIMES)
    mine, theirs = ours(Augment(**{**OFF, "bias_field": 0.3})), monai()
    found = compare(lambda: mine(images), lambda: theirs(images), turns // 5)
    yield row("bias_field", "call", "monai", found, BATCH)


def inside(images: Images, augment: Augment, theirs: Vary, turns: int) -> tuple[float, float]:
    def wrapped(batch: Any, _: Any) -> Any:
        return tf.numpy_function(theirs, [batch], tf.uint8)

    own = in_dataset(images, lambda batch, indices: augment(batch, indices, seed=0, epoch=0))
    return compare(own, in_dataset(images, wrapped), turns)


def pictures() -> Images:
    with tempfile.TemporaryDirectory() as folder:
        make_phantoms(folder, per_class=12)
        batch = next(iter(load(scan(folder), batch_size=BATCH)))
    return batch["image"].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the augmentation.")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = list(measure(pictures(), arguments.turns))
    with whole_file(arguments.results) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

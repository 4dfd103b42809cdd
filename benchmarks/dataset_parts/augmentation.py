"""Augmentation beside Albumentations (and MONAI for the bias field), on one core.

Each row is one operation, or a list of them, on the same 32 pictures of 224 x 224 as uint8, from a batch in
memory to a new batch in memory, everything drawn anew each time. *Called* is the plain call on an array;
*in a Dataset* is the same inside `tf.data.Dataset.map`, from tensors to tensors. OpenCV and TensorFlow get
one thread. There is no bias field in Albumentations: its linear gradient of light is what comes nearest.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataset_parts.comparison import BATCH, SIZE, Comparison, Job, alternate, installed, one_core, speeds
from mri_tumor.dataset import Augment, Preprocess, load

TURNS = 10  # a round: times the batch is varied, or rounds of the pictures through a Dataset
CLOCK = time.process_time
OFF = {"rotation": 0, "brightness": 0, "contrast": 0, "mirror": False}
PACKAGES = ("albumentations", "opencv-python-headless", "tensorflow", "numpy")

Images = NDArray[np.uint8]
Vary = Callable[[Images], Any]


def measure(job: Job) -> Iterator[Comparison]:
    """Yield two rows for each operation, called and in a Dataset."""
    one_core()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    batch = next(iter(load(job.catalog[:BATCH], Preprocess(SIZE), batch_size=BATCH)))
    images, rounds = batch["image"].numpy(), 3 * job.rounds
    for name, augment, transforms in cases():
        mine, theirs = ours(augment), albumentations(transforms)
        times = alternate(repeated(mine, images), repeated(theirs, images), rounds, CLOCK)
        yield compared(f"{name}, called", "Albumentations", times, PACKAGES)
        sides = in_dataset(images, numbered(augment)), in_dataset(images, wrapped(theirs))
        yield compared(f"{name}, in a Dataset", "Albumentations", alternate(*sides, rounds, CLOCK), PACKAGES)
    if installed("monai"):
        mine = ours(Augment(**{**OFF, "bias_field": 0.3}))
        times = alternate(repeated(mine, images), repeated(monai(), images), job.rounds, CLOCK)
        yield compared("bias_field, called", "MONAI RandBiasField", times, ("monai", *PACKAGES[1:]))


def compared(what: str, against: str, times: Any, packages: tuple[str, ...]) -> Comparison:
    """Return the row of one operation."""
    goal = ">= 1" if against == "Albumentations" else ""
    return speeds(f"Augment: {what}", against, BATCH * TURNS, times, goal, packages)


def repeated(vary: Vary, images: Images) -> Callable[[], None]:
    """Return `TURNS` plain calls."""

    def run() -> None:
        for _ in range(TURNS):
            vary(images)

    return run


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
    import torch
    from monai.transforms import RandBiasField

    torch.set_num_threads(1)
    # Coefficients that change the gain by about as much as ours do.
    vary = RandBiasField(degree=3, coeff_range=(-0.1, 0.1), prob=1)

    def call(images: Images) -> Images:
        moved = np.moveaxis(images, 3, 1)
        done = [np.clip(np.rint(vary(image)), 0, 255) for image in moved]
        return np.moveaxis(np.stack(done).astype(np.uint8), 1, 3)

    return call


def in_dataset(images: Images, vary: Callable[[Any, Any], Any]) -> Callable[[], None]:
    """Return a pass over `TURNS` batches in a Dataset that is made once."""
    data = tf.data.Dataset.from_tensors((tf.constant(images), tf.range(BATCH))).cache().repeat(TURNS)
    data = data.map(vary, num_parallel_calls=1)

    def run() -> None:
        for _ in data:
            pass

    return run


def numbered(augment: Augment) -> Callable[[Any, Any], Any]:
    return lambda batch, indices: augment(batch, indices, seed=0, epoch=0)


def wrapped(vary: Vary) -> Callable[[Any, Any], Any]:
    return lambda batch, _: tf.numpy_function(vary, [batch], tf.uint8)

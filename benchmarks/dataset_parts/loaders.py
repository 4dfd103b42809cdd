"""Epochs of picture files as grey batches of 32, 224 x 224: the first one, which decodes, and a later one.

Every loader runs on all cores in its natural best form: parallel calls and `cache()` for Keras' dataset, 0
and 2 workers for PyTorch, `CacheDataset` with as many workers as cores for MONAI. All are made anew in every
round, untimed, except for what reads pictures. Ours resizes only, as the others do, by the area kernel: Keras
by its default, which looks at four pixels for each that it makes, and by the area kernel too.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dataset_parts.comparison import BATCH, SIZE, Comparison, Job, cores, installed, speeds, turn

Epoch = Callable[[], Iterable[Any]]
"""Called once for each epoch, in turn."""


def measure(job: Job) -> Iterator[Comparison]:
    """Yield a row for the first epoch and one for a later one for each loader; shards beside the quickest."""
    from mri_tumor.dataset import Preprocess, write_tfrecords

    spec, shards = Preprocess(SIZE, crop=False, window=None), job.place / "shards"
    write_tfrecords(job.catalog, shards, preprocess=spec)
    for peer in PEERS:
        if installed(*peer.packages):
            yield from epochs("files, resized", lambda: examples(job.catalog, spec), peer, job)
    for peer in QUICKEST:
        yield from epochs("shards", lambda: examples(shards, None), peer, job)


class Peer(NamedTuple):
    """Another loader.

    Args:
        name: what it is called in the table.
        packages: what it needs.
        make: makes it.
    """

    name: str
    packages: tuple[str, ...]
    make: Callable[[Job], Epoch]


def epochs(source: str, ours: Callable[[], Epoch], peer: Peer, job: Job) -> Iterator[Comparison]:
    first, later = [], []
    for number in range(job.rounds + 1):
        mine, theirs = ours(), peer.make(job)
        for times in (first, later):
            times.append(turn(partial(look, mine), partial(look, theirs), number))
    for epoch, times in (("first", first), ("later", later)):
        packages = ("tensorflow", "opencv-python-headless", *peer.packages)
        what = f"Examples of {source}: {epoch} epoch"
        yield speeds(what, peer.name, len(job.catalog), times[1:], "> 1", packages)


def look(epoch: Epoch) -> None:
    """Go through an epoch and look at the pictures of each batch, which makes them real."""
    for batch in epoch():
        np.asarray(batch["image"] if isinstance(batch, dict) else batch[0])


def examples(source: Any, preprocess: Any) -> Epoch:
    """Return our loader, which reads all pictures in the first epoch and shuffles them in each."""
    from mri_tumor.dataset.pipeline import Examples

    made: list[Examples] = []
    numbers = iter(range(10**9))

    def epoch() -> Iterable[Any]:
        if not made:
            made.append(Examples(source, preprocess))
        batches: Iterable[Any] = made[0].batches(BATCH, shuffle=True, epoch=next(numbers))
        return batches

    return epoch


def keras_folder(folder: Path, interpolation: str = "bilinear", batch: int | None = BATCH) -> Any:
    import keras

    return keras.utils.image_dataset_from_directory(
        folder, color_mode="grayscale", image_size=(SIZE, SIZE), batch_size=batch, seed=0,
        interpolation=interpolation, shuffle=batch is not None, verbose=False,
    )  # fmt: skip


def keras_plain(job: Job, interpolation: str = "bilinear") -> Epoch:
    data = keras_folder(job.folder, interpolation).prefetch(2)
    return lambda: data


def keras_cached(job: Job) -> Epoch:
    data = keras_folder(job.folder).cache().prefetch(2)
    return lambda: data


def keras_shuffled(job: Job) -> Epoch:
    data = keras_folder(job.folder, batch=None).cache().shuffle(len(job.catalog)).batch(BATCH).prefetch(2)
    return lambda: data


def torch_loader(job: Job, workers: int) -> Epoch:
    import torch
    from PIL import Image

    paths, labels = job.catalog.paths, job.catalog.label_indices

    class Files(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, place: int) -> tuple[Any, int]:
            image = Image.open(paths[place]).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(image)), int(labels[place])

    how = {"persistent_workers": True, "multiprocessing_context": "fork"} if workers else {}
    loader = torch.utils.data.DataLoader(Files(), BATCH, shuffle=True, num_workers=workers, **how)
    return lambda: loader


def monai_cache(job: Job) -> Epoch:
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose, EnsureChannelFirst, Lambda, LoadImage, Resize

    grey = Lambda(lambda image: image if image.ndim == 2 else image[..., 0])
    steps: list[Any] = [
        LoadImage(image_only=True, reader="PILReader"),
        grey,
        EnsureChannelFirst(channel_dim="no_channel"),
        Resize((SIZE, SIZE), mode="bilinear"),
    ]
    paths = [str(path) for path in job.catalog.paths]
    made: list[Any] = []

    def epoch() -> Iterable[Any]:
        if not made:
            cached = CacheDataset(paths, Compose(steps), num_workers=cores(), progress=False)
            made.append(DataLoader(cached, batch_size=BATCH, shuffle=True, num_workers=0))
        return ({"image": batch} for batch in made[0])

    return epoch


KERAS, TORCH = ("keras", "tensorflow"), ("torch", "pillow")
PEERS = (
    Peer("Keras image_dataset_from_directory", KERAS, keras_plain),
    Peer("Keras image_dataset_from_directory, area kernel", KERAS, lambda job: keras_plain(job, "area")),
    Peer("Keras image_dataset_from_directory, cache(): the same batches each epoch", KERAS, keras_cached),
    Peer("Keras image_dataset_from_directory, cache() and shuffle()", KERAS, keras_shuffled),
    Peer("PyTorch DataLoader and Pillow, 0 workers", TORCH, lambda job: torch_loader(job, 0)),
    Peer("PyTorch DataLoader and Pillow, 2 workers", TORCH, lambda job: torch_loader(job, 2)),
    Peer("MONAI CacheDataset", ("monai", "torch", "pillow"), monai_cache),
)
QUICKEST = (PEERS[0], PEERS[2])

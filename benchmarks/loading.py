"""How fast pictures reach training: our shards and loader beside those that people use, in one run.

    python benchmarks/loading.py --data SARTAJ

*Shards*: the same preprocessed pictures, batches of 32, once through: our records (raw uint8, SHA-256 of
every shard checked), read in batches or by `load`, which keeps all in memory; and records that hold a
float32 RGB picture each, made by `tf.io.serialize_tensor` and read by `parse_tensor` as many tutorials do it.
*Files*: the JPEG files of sartaj/Training, grey, 224 x 224, batches of 32: the first epoch, which decodes,
and a later one, shuffled anew by all but Keras. The row "cropped" does more than the others, which resize.

Every loader runs on the cores that this process may use, in its natural best form: parallel calls and cache()
for Keras' dataset, 0 and 2 workers for PyTorch, CacheDataset with as many workers as cores for MONAI.
`ratio` is pictures a second divided by those of the row that is named first in its part.
"""

import argparse
import csv
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sartaj import ROOT, SHARED

RESULTS = ROOT / "benchmarks" / "results" / "loading.csv"
SIZE, BATCH = 224, 32
CORES = len(os.sched_getaffinity(0))

Epoch = Callable[[], Iterable[Any]]


def pictures_in(batch: Any) -> int:
    """Return how many pictures a batch holds, whatever library made it; looking at it makes it real."""
    images = batch["image"] if isinstance(batch, dict) else batch[0]
    return int(np.asarray(images).shape[0])


def timed(epoch: Epoch) -> tuple[int, float]:
    start = time.perf_counter()
    count = sum(pictures_in(batch) for batch in epoch())
    return count, time.perf_counter() - start


def row(part: str, loader: str, epoch: str, measured: tuple[int, float]) -> dict[str, Any]:
    count, seconds = measured
    found = {"part": part, "loader": loader, "epoch": epoch, "pictures": count, "seconds": round(seconds, 3)}
    return found | {"pictures_a_second": round(count / seconds)}


def shards(catalog: Any, place: Path, repeats: int) -> list[dict[str, Any]]:
    """Time one pass over our shards and over those of tutorials; the best of several passes each."""
    import tensorflow as tf

    from mri_tumor import dataset
    from mri_tumor.dataset.inputs import batches

    dataset.write_tfrecords(catalog, place / "ours", preprocess=dataset.Preprocess(size=SIZE))
    names = write_as_tutorials_do(dataset.load(place / "ours"), place)
    features = {"image": tf.io.FixedLenFeature((), tf.string), "label": tf.io.FixedLenFeature((), tf.int64)}

    def parse(record: Any) -> tuple[Any, Any]:
        found = tf.io.parse_single_example(record, features)
        image = tf.io.parse_tensor(found["image"], tf.float32)
        return tf.ensure_shape(image, (SIZE, SIZE, 3)), found["label"]

    def tutorial() -> Any:
        data = tf.data.TFRecordDataset(names, num_parallel_reads=tf.data.AUTOTUNE)
        data = data.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        return data.batch(BATCH).prefetch(tf.data.AUTOTUNE)

    spec = dataset.Preprocess(size=SIZE)
    passes = {
        "tutorials: float32 RGB, serialize_tensor": tutorial,
        "ours: raw uint8, verified, in batches": lambda: (
            (pictures,) for _, pictures in batches(place / "ours", spec, batch_size=BATCH)
        ),
        "ours: raw uint8, verified, by load": lambda: dataset.load(place / "ours", batch_size=BATCH),
    }
    found = {name: [timed(epoch) for _ in range(repeats)] for name, epoch in passes.items()}
    return [
        row("shards", name, "one pass", min(times, key=lambda one: one[1])) for name, times in found.items()
    ]


def write_as_tutorials_do(data: Any, place: Path) -> list[str]:
    import tensorflow as tf

    names = [str(place / f"{number}.tfrecord") for number in range(8)]
    writers = [tf.io.TFRecordWriter(name) for name in names]
    for batch in data:
        for image, label, index in zip(batch["image"], batch["label"], batch["index"], strict=True):
            rgb = tf.image.grayscale_to_rgb(tf.cast(image, tf.float32) / 255.0)
            values = {
                "image": tf.train.Feature(bytes_list={"value": [tf.io.serialize_tensor(rgb).numpy()]}),
                "label": tf.train.Feature(int64_list={"value": [int(label)]}),
            }
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writers[int(index) % 8].write(example.SerializeToString())
    for writer in writers:
        writer.close()
    return names


def ours(catalog: Any, **how: Any) -> tuple[Epoch, Epoch]:
    from mri_tumor.dataset import Preprocess
    from mri_tumor.dataset.pipeline import Examples

    made: list[Examples] = []

    def first() -> Any:
        made.append(Examples(catalog, Preprocess(size=SIZE, **how)))
        return made[0].batches(BATCH, shuffle=True, epoch=0)

    return first, lambda: made[0].batches(BATCH, shuffle=True, epoch=1)


def ours_shards(place: Path) -> tuple[Epoch, Epoch]:
    from mri_tumor.dataset.pipeline import Examples

    made: list[Examples] = []

    def first() -> Any:
        made.append(Examples(place))
        return made[0].batches(BATCH, shuffle=True, epoch=0)

    return first, lambda: made[0].batches(BATCH, shuffle=True, epoch=1)


def keras_folder(data: Path, *, cache: bool) -> tuple[Epoch, Epoch]:
    import keras
    import tensorflow as tf

    loaded = keras.utils.image_dataset_from_directory(
        data, color_mode="grayscale", image_size=(SIZE, SIZE), batch_size=BATCH, seed=0, verbose=False
    )
    loaded = (loaded.cache() if cache else loaded).prefetch(tf.data.AUTOTUNE)
    return (lambda: loaded), (lambda: loaded)


def torch_loader(catalog: Any, workers: int) -> tuple[Epoch, Epoch]:
    import torch
    from PIL import Image

    paths, labels = catalog.paths, catalog.label_indices

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, place: int) -> tuple[Any, int]:
            image = Image.open(paths[place]).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(image)), int(labels[place])

    loader = torch.utils.data.DataLoader(
        Files(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    return (lambda: loader), (lambda: loader)


def monai_cache(catalog: Any) -> tuple[Epoch, Epoch]:
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose, EnsureChannelFirst, Lambda, LoadImage, Resize
    from monai.transforms.transform import Transform

    paths = [str(path) for path in catalog.paths]
    grey = Lambda(lambda image: image if image.ndim == 2 else image[..., 0])
    steps: list[Transform] = [
        LoadImage(image_only=True, reader="PILReader"),
        grey,
        EnsureChannelFirst(channel_dim="no_channel"),
        Resize((SIZE, SIZE), mode="bilinear"),
    ]
    made: list[Any] = []

    def first() -> Any:
        cached = CacheDataset(paths, Compose(steps), num_workers=CORES, progress=False)
        made.append(DataLoader(cached, batch_size=BATCH, shuffle=True, num_workers=0))
        return ({"image": batch} for batch in made[0])

    return first, lambda: ({"image": batch} for batch in made[0])


def files(catalog: Any, data: Path, place: Path) -> list[dict[str, Any]]:
    loaders: dict[str, Callable[[], tuple[Epoch, Epoch]]] = {
        "ours: Examples of the files, resized": lambda: ours(catalog, crop=False, window=None),
        "ours: Examples of the files, cropped": lambda: ours(catalog),
        "ours: Examples of shards": lambda: ours_shards(place / "ours"),
        "Keras image_dataset_from_directory": lambda: keras_folder(data, cache=False),
        "Keras image_dataset_from_directory, cache()": lambda: keras_folder(data, cache=True),
        "PyTorch DataLoader and Pillow, 0 workers": lambda: torch_loader(catalog, 0),
        "PyTorch DataLoader and Pillow, 2 workers": lambda: torch_loader(catalog, 2),
        "MONAI CacheDataset": lambda: monai_cache(catalog),
    }
    rows = []
    for name, make in loaders.items():
        first, later = make()
        rows += [row("files", name, "first", timed(first)), row("files", name, "later", timed(later))]
        print(rows[-2], rows[-1], sep="\n", flush=True)
    return rows


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    reference: dict[tuple[str, str], int] = {}
    for found in rows:
        speed = reference.setdefault((found["part"], found["epoch"]), found["pictures_a_second"])
        found["ratio"] = round(found["pictures_a_second"] / speed, 3)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "sartaj")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture only")
    parser.add_argument("--parts", nargs="+", choices=("shards", "files"), default=["shards", "files"])
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.exit(0, f"skipped: {options.data} is not there\n")
    from mri_tumor import dataset

    catalog = dataset.scan(options.data).select(split="Training")[:: options.every]
    for path in catalog.paths:  # all find the files in the system's cache, as after a first look at them
        path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        rows = shards(catalog, Path(folder), repeats=3)
        print(*rows, sep="\n", flush=True)
        if "files" in options.parts:
            rows += files(catalog, options.data / "Training", Path(folder))
    command = shlex.join(["python", "benchmarks/loading.py", *sys.argv[1:]])
    with options.output.open("w", newline="", encoding="utf-8") as file:
        rows = [found | {"cores": CORES, "command": command} for found in with_ratios(rows)]
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""One pass over our shards beside one over shards as many tutorials make them.

The same preprocessed pictures in batches of 32. Ours: raw uint8, SHA-256 of every shard and every record
checked, read in batches as `predict` does, or by `load`, which keeps all in memory for the next epochs.
Theirs: a float32 RGB picture a record, made by `tf.io.serialize_tensor` and read by `parse_tensor`, several
files at a time and parallel calls.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dataset_parts.comparison import BATCH, SIZE, Comparison, Job, alternate, speeds
from mri_tumor import dataset
from mri_tumor.dataset.inputs import batches

FLOAT = "float32 RGB records of tf.io.serialize_tensor, by TFRecordDataset"
FILES = 8
FEATURES = {"image": tf.io.FixedLenFeature((), tf.string), "label": tf.io.FixedLenFeature((), tf.int64)}


def measure(job: Job) -> Iterator[Comparison]:
    """Yield one row for each way to read ours."""
    ours, theirs = job.place / "ours", job.place / "theirs"
    spec = dataset.Preprocess(SIZE)
    dataset.write_tfrecords(job.catalog, ours, preprocess=spec)
    names = write_floats(dataset.load(ours), theirs)
    ways: dict[str, Callable[[], Any]] = {
        "shards, verified, read in batches": lambda: through(batches(ours, spec, batch_size=BATCH)),
        "shards, verified, by load": lambda: through(dataset.load(ours, batch_size=BATCH)),
    }
    for what, way in ways.items():
        times = alternate(way, lambda: through(read_floats(names)), job.rounds)
        yield speeds(what, FLOAT, len(job.catalog), times, ">= 5", ("tensorflow", "numpy"))


def through(batches: Any) -> None:
    """Go through all batches and look at each, which makes it real."""
    for batch in batches:
        np.asarray(batch["image"] if isinstance(batch, dict) else batch[1])


def write_floats(data: Any, place: Path) -> list[str]:
    """Write float32 RGB pictures, 0-1, into files of equal length; return their names."""
    place.mkdir()
    names = [str(place / f"{number}.tfrecord") for number in range(FILES)]
    writers = [tf.io.TFRecordWriter(name) for name in names]
    for image, label, index in (
        record
        for batch in data
        for record in zip(*(batch[key] for key in ("image", "label", "index")), strict=True)
    ):
        rgb = tf.image.grayscale_to_rgb(tf.cast(image, tf.float32) / 255.0)
        values = {
            "image": tf.train.Feature(bytes_list={"value": [tf.io.serialize_tensor(rgb).numpy()]}),
            "label": tf.train.Feature(int64_list={"value": [int(label)]}),
        }
        example = tf.train.Example(features=tf.train.Features(feature=values))
        writers[int(index) % FILES].write(example.SerializeToString())
    for writer in writers:
        writer.close()
    return names


def read_floats(names: list[str]) -> Any:
    data = tf.data.TFRecordDataset(names, num_parallel_reads=tf.data.AUTOTUNE)
    data = data.map(parsed, num_parallel_calls=tf.data.AUTOTUNE)
    return ((None, images) for images, _ in data.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def parsed(record: Any) -> tuple[Any, Any]:
    found = tf.io.parse_single_example(record, FEATURES)
    image = tf.io.parse_tensor(found["image"], tf.float32)
    return tf.ensure_shape(image, (SIZE, SIZE, 3)), found["label"]

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset import decoding
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.inputs import batches, count_of
from mri_tumor.dataset.pipeline import Examples, load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, ManifestMismatch, ReadError, ShardError

SMALL = Preprocess(size=32)


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    return scan(make_folder(per_class=3))


@pytest.fixture
def shards(catalog: Catalog, tmp_path: Path) -> Path:
    write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, shards=2)
    return tmp_path / "shards"


@pytest.fixture
def ready(catalog: Catalog) -> np.ndarray:
    return np.stack([SMALL(read_image(path)) for path in catalog.paths])


def taken(images: Any, batch_size: int = 5) -> tuple[list[str], np.ndarray]:
    ids, parts = [], []
    for names, pictures in batches(images, SMALL, batch_size=batch_size):
        assert 1 <= len(names) == len(pictures) <= batch_size
        assert pictures.dtype == np.uint8
        assert pictures.shape[1:] == (32, 32, 1)
        ids += names
        parts.append(pictures)
    return ids, np.concatenate(parts)


NUMBERS = [str(place) for place in range(12)]


def _of_catalog(catalog: Catalog, shards: Path, ready: np.ndarray) -> dict[str, tuple[Any, list[str]]]:
    ids, paths = list(catalog.ids), [str(path) for path in catalog.paths]
    raw = [read_image(path) for path in catalog.paths]
    single = tf.data.Dataset.from_tensor_slices({"image": ready, "id": ids})
    return {
        "catalog": (catalog, ids),
        "records": (list(catalog), ids),
        "paths": (list(catalog.paths), paths),
        "texts": (tuple(paths), paths),
        "a generator of paths": ((path for path in catalog.paths), paths),
        "bytes": ([path.read_bytes() for path in catalog.paths], NUMBERS),
        "raw arrays": (raw, NUMBERS),
        "raw tensors": ([tf.constant(image) for image in raw], NUMBERS),
        "preprocessed list": (list(ready), NUMBERS),
        "preprocessed batch": (ready, NUMBERS),
        "preprocessed tensor": (tf.constant(ready), NUMBERS),
        "shards": (shards, ids),
        "shards as text": (str(shards), ids),
        "load of a catalog": (load(catalog, SMALL, batch_size=7), ids),
        "load of shards": (load(shards, batch_size=4), ids),
        "examples": (Examples(catalog, SMALL), ids),
        "single dictionaries": (single, ids),
        "batched pictures": (tf.data.Dataset.from_tensor_slices(ready).batch(5), NUMBERS),
        "pairs": (tf.data.Dataset.from_tensor_slices((ready, catalog.label_indices)), NUMBERS),
        "mixed": ([paths[0], raw[1], ready[2], catalog[3], catalog.paths[4].read_bytes(), *paths[5:]],
                  [paths[0], "1", "2", ids[3], "4", *paths[5:]]),
    }  # fmt: skip


FORMS = (
    "catalog", "records", "paths", "texts", "a generator of paths", "bytes", "raw arrays", "raw tensors",
    "preprocessed list", "preprocessed batch", "preprocessed tensor", "shards", "shards as text",
    "load of a catalog", "load of shards", "examples", "single dictionaries", "batched pictures", "pairs",
    "mixed",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures(
    form: str, catalog: Catalog, shards: Path, ready: np.ndarray
) -> None:
    forms = _of_catalog(catalog, shards, ready)
    assert set(forms) == set(FORMS)
    images, expected = forms[form]
    ids, pictures = taken(images)
    assert ids == expected
    np.testing.assert_array_equal(pictures, ready)


def test_one_picture_in_every_form(catalog: Catalog, ready: np.ndarray) -> None:
    path = catalog.paths[0]
    for images, name in (
        (path, str(path)),
        (str(path), str(path)),
        (path.read_bytes(), "0"),
        (read_image(path), "0"),
        (ready[0], "0"),
        (ready[:1], "0"),
        (catalog[0], catalog.ids[0]),
    ):
        ids, pictures = taken(images)
        assert ids == [name]
        np.testing.assert_array_equal(pictures, ready[:1])


def test_batches_are_full_but_the_last(catalog: Catalog) -> None:
    for images in (catalog, load(catalog, SMALL, batch_size=3)):
        sizes = [len(ids) for ids, _ in batches(images, SMALL, batch_size=5)]
        assert sizes == [5, 5, 2]


def test_nothing_gives_nothing(ready: np.ndarray) -> None:
    for nothing in ([], (), ready[:0], iter(())):
        assert list(batches(nothing, SMALL)) == []


def test_a_shuffled_dataset_keeps_its_ids(catalog: Catalog, ready: np.ndarray) -> None:
    ids, pictures = taken(load(catalog, SMALL, shuffle=True, seed=1))
    assert ids != list(catalog.ids)
    np.testing.assert_array_equal(pictures, ready[[catalog.ids.index(name) for name in ids]])


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_ahead_is_bounded(catalog: Catalog, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "thread_count", lambda: threads)
    asked = itertools.count()

    def endless() -> Iterator[Path]:
        for place in asked:
            yield catalog.paths[place % 12]

    stream = batches(endless(), SMALL, batch_size=2)
    for _ in range(6):
        next(stream)
    stream.close()
    assert 12 <= next(asked) <= 12 + 4 * threads + 1


def test_a_bad_picture_is_named_after_the_good_ones(catalog: Catalog) -> None:
    catalog.paths[7].write_bytes(b"text")
    for images, name in ((catalog, catalog.ids[7]), (catalog.paths, str(catalog.paths[7]))):
        stream = batches(images, SMALL, batch_size=3)
        assert len(next(stream)[0]) == len(next(stream)[0]) == 3
        with pytest.raises(ReadError) as caught:
            next(stream)
        assert name in str(caught.value)


def test_bad_bytes_are_named_by_their_place(catalog: Catalog) -> None:
    good = catalog.paths[0].read_bytes()
    with pytest.raises(ReadError, match="element 1 of images"):
        list(batches([good, good[:-30]], SMALL))


def test_a_missing_file_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone\.png"):
        list(batches(tmp_path / "gone.png", SMALL))


def byte_array(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


WRONG = {
    "a stack of raw pictures": (byte_array(4, 50, 40), r"\(4, 50, 40\).*list\(images\).*\[\.\.\., None\]"),
    "a stack at the model's size": (byte_array(4, 32, 32), r"could be N raw pictures"),
    "colour": (byte_array(50, 40, 3), "colour"),
    "a colour batch": (byte_array(2, 32, 32, 3), "colour"),
    "another size": (byte_array(24, 24, 1), r"\(24, 24, 1\).*32, 32, 1\)"),
    "a batch of another size": (byte_array(2, 24, 24, 1), r"\(2, 24, 24, 1\).*32, 32, 1\)"),
    "five dimensions": (byte_array(1, 2, 32, 32, 1), r"\(1, 2, 32, 32, 1\)"),
    "one dimension": (byte_array(32), r"shape \(32,\)"),
    "an empty picture": (byte_array(0, 5), r"shape \(0, 5\)"),
    "floats": (np.zeros((32, 32), np.float32), "float32.*uint8, 0-255"),
    "a float batch": (np.zeros((2, 32, 32, 1)), "float64.*uint8, 0-255"),
    "a float tensor": (tf.zeros((2, 32, 32, 1)), "float32.*uint8, 0-255"),
    "wide integers": (np.zeros((32, 32), np.int64), "int64.*uint8, 0-255"),
    "booleans": (np.zeros((32, 32), bool), "bool.*uint8, 0-255"),
    "a number": (3, "a int.*a Catalog"),
    "none": (None, "None.*a Catalog"),
    "a dictionary": ({"image": 1}, "a dict"),
    "a bytearray": (bytearray(b"abc"), "a bytearray"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_inputs_are_refused_at_once(name: str) -> None:
    images, what = WRONG[name]
    with pytest.raises(ArgumentError, match=what):
        batches(images, SMALL)


@pytest.mark.parametrize("name", ["colour", "another size", "floats", "none", "a number", "five dimensions"])
def test_other_elements_are_refused_by_place(name: str) -> None:
    with pytest.raises(ArgumentError, match="element 1 of images"):
        list(batches([byte_array(32, 32, 1), WRONG[name][0]], SMALL))


@pytest.mark.parametrize(
    "elements",
    [
        np.zeros((4, 32, 32, 1), np.float32),
        byte_array(4, 24, 24, 1),
        byte_array(4, 32, 32),
        {"picture": byte_array(4, 32, 32, 1)},
        ["a.png", "b.png"],
    ],
)
def test_other_datasets_are_refused_at_once(elements: Any) -> None:
    with pytest.raises(ArgumentError, match="Dataset's elements"):
        batches(tf.data.Dataset.from_tensor_slices(elements), SMALL)


def test_a_dataset_of_unknown_shape_is_checked_element_by_element() -> None:
    def made() -> Iterator[np.ndarray]:
        yield byte_array(2, 32, 32, 1)
        yield byte_array(2, 24, 24, 1)

    data = tf.data.Dataset.from_generator(made, output_signature=tf.TensorSpec(None, tf.uint8))
    with pytest.raises(ArgumentError, match=r"an element of the Dataset has shape \(2, 24, 24, 1\)"):
        list(batches(data, SMALL))


def test_other_preprocessing_is_refused(catalog: Catalog, shards: Path) -> None:
    other = Preprocess(size=32, crop=False)
    for images in (shards, Examples(catalog, SMALL)):
        with pytest.raises(ManifestMismatch, match="crop=False"):
            batches(images, other)


def test_a_folder_of_pictures_is_no_input(catalog: Catalog) -> None:
    with pytest.raises(ArgumentError, match=r"dataset\.scan"):
        batches(catalog.paths[0].parent, SMALL)


def test_damaged_shards_are_refused(shards: Path) -> None:
    with (shards / "part-00000-of-00002.tfrecord").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ShardError, match="part-00000"):
        list(batches(shards, SMALL))


def test_bad_arguments(catalog: Catalog) -> None:
    with pytest.raises(ArgumentError, match="preprocess is 32"):
        batches(catalog, 32)
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        batches(catalog, SMALL, batch_size=0)


def test_a_client_of_paths_and_arrays_loads_no_tensorflow(catalog: Catalog) -> None:
    code = (
        "import sys, numpy; from mri_tumor.dataset.inputs import batches;"
        "from mri_tumor.dataset.preprocess import Preprocess;"
        f"spec = Preprocess(size=8); list(batches([{str(catalog.paths[0])!r}], spec));"
        "list(batches(numpy.zeros((2, 8, 8, 1), numpy.uint8), spec));"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_next_batch_is_read_while_this_one_is_used(catalog: Catalog) -> None:
    """A batch leaves the next one on its way, not only as many pictures as there are threads."""
    read: list[Path] = []

    def listed() -> Iterator[Path]:
        for _ in range(50):
            for path in catalog.paths:
                read.append(path)
                yield path

    stream = batches(listed(), SMALL, batch_size=24)
    next(stream)
    assert 48 <= len(read) <= 24 + 48


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (b"bytes", 1),
        ("picture.png", 1),
        (["a.png", np.zeros((4, 4), np.uint8)], 2),
        (np.zeros((4, 4), np.uint8), 1),
        (np.zeros((32, 32, 1), np.uint8), 1),
        (np.zeros((7, 32, 32, 1), np.uint8), 7),
        (iter(["a.png"]), None),
        (tf.data.Dataset.from_tensor_slices([1]), None),
    ],
)
def test_how_many_pictures_there_are(images: Any, count: int | None) -> None:
    assert count_of(images) == count


def test_how_many_pictures_catalogs_and_folders_hold(catalog: Catalog, shards: Path) -> None:
    assert count_of(catalog) == len(catalog)
    assert count_of(shards) is None

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.pipeline import Examples, load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.labels import LABELS
from mri_tumor.models.fitting.sources import PlainSource, open_source

SPEC = Preprocess(size=32)
COUNT = 7
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 1), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(COUNT)  # a picture says its place
CLASSES = np.array([0, 1, 2, 0, 1, 2, 0], np.int32)
OPTIONS = {"batch_size": 3, "augment": None, "seed": 0, "epoch": 0}


def pairs() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES))


@pytest.fixture
def source() -> PlainSource:
    return PlainSource(pairs(), "train", SPEC, 3)


def places(batches) -> list[int]:
    return np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches]).tolist()


@pytest.mark.parametrize("form", ["pairs", "batches", "triples", "dicts"])
def test_every_form_gives_the_same_pictures(form):
    data = {
        "pairs": pairs(),
        "batches": pairs().batch(4),
        "triples": pairs().map(lambda image, label: (image, label, 1.0)),
        "dicts": pairs().map(lambda image, label: {"image": image, "label": label}).batch(2),
    }[form]
    source = PlainSource(data, "train", SPEC, 3)
    assert (source.count, source.labels, source.ids) == (COUNT, ("0", "1", "2"), ())
    assert source.groups == (None,) * COUNT
    assert source.label_indices.tolist() == CLASSES.tolist()
    batches = list(source.batches(order=np.arange(COUNT), **OPTIONS))
    assert [len(batch["image"]) for batch in batches] == [3, 3, 1]
    assert places(batches) == list(range(COUNT))
    assert np.concatenate([batch["label"] for batch in batches]).tolist() == CLASSES.tolist()
    assert np.concatenate([batch["index"] for batch in batches]).tolist() == list(range(COUNT))


def test_an_order_that_mixes_shuffles_anew_in_every_epoch_and_the_same_again(source):
    mixed = np.array([3, 1, 0, 2, 6, 5, 4])
    epochs = [places(source.batches(order=mixed, **(OPTIONS | {"epoch": epoch}))) for epoch in (0, 0, 1)]
    assert sorted(epochs[0]) == list(range(COUNT))
    assert epochs[0] == epochs[1] != epochs[2]
    assert epochs[0] != list(range(COUNT))


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 13], [*range(8)]])
def test_orders_that_leave_pictures_out_or_take_one_twice_are_refused(source, order):
    with pytest.raises(ArgumentError, match="plain Dataset, which has no positions"):
        source.batches(order=np.array(order), **OPTIONS)


def test_the_number_of_batches_is_known(source):
    batches = source.batches(order=np.arange(COUNT), **OPTIONS)
    assert int(batches.cardinality()) == len(list(batches)) == 3


def test_what_is_drawn_follows_the_index(source):
    augment = Augment(rotation=20)
    options = OPTIONS | {"augment": augment, "seed": 5, "epoch": 2}
    found = np.concatenate([b["image"] for b in source.batches(order=np.arange(COUNT), **options)])
    expected = augment(IMAGES, np.arange(COUNT), seed=5, epoch=2)
    np.testing.assert_array_equal(found, expected)
    own = pairs().enumerate().map(lambda at, pair: {"image": pair[0], "label": pair[1], "index": at + 50})
    shifted = PlainSource(own, "train", SPEC, 3).batches(order=np.arange(COUNT), **options)
    expected = augment(IMAGES, np.arange(50, 50 + COUNT), seed=5, epoch=2)
    np.testing.assert_array_equal(np.concatenate([batch["image"] for batch in shifted]), expected)


def test_the_section_has_no_secrets_of_its_own(source):
    section = source.section
    assert section["counts"] == {"0": 3, "1": 2, "2": 2}
    assert (section["count"], section["catalog_digest"], section["groups"]) == (COUNT, None, None)
    assert PlainSource(pairs(), "train", SPEC, 4).labels == LABELS


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (tf.data.Dataset.from_tensor_slices(IMAGES), "has elements"),
        (tf.data.Dataset.from_tensor_slices((IMAGES / 255, CLASSES)), "uint8"),
        (tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES / 2)), "whole numbers"),
        (tf.data.Dataset.from_tensor_slices((IMAGES[:, :16], CLASSES)), "uint8"),
        (tf.data.Dataset.from_tensor_slices((IMAGES[..., 0], CLASSES)), "uint8"),
        (tf.data.Dataset.from_tensor_slices({"image": IMAGES}), "'label'"),
        (pairs().repeat(), "never ends"),
        (tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES - 1)), "labels from -1 to 1"),
        (tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES + 1)), "labels from 1 to 3"),
    ],
)
def test_other_datasets_are_refused(data, text):
    with pytest.raises(ArgumentError, match=f"validation.*{text}|{text}.*validation"):
        PlainSource(data, "validation", SPEC, 3)


def test_each_kind_of_data_is_opened(sides, tmp_path, caplog):
    fits = {"preprocess": None, "size": 32, "classes": 4}
    catalog = open_source(sides[1], "train", **fits)
    write_tfrecords(sides[1], tmp_path / "shards", preprocess=SPEC)
    shards = open_source(str(tmp_path / "shards"), "train", **fits)
    assert isinstance(catalog, Examples)
    assert catalog.section == shards.section
    assert not caplog.text
    plain = open_source(load(sides[1], SPEC), "validation", **fits)
    assert plain.preprocess == SPEC
    assert plain.label_indices.tolist() == catalog.label_indices.tolist()
    assert "validation is a plain Dataset: no check for leaks" in caplog.text
    with pytest.raises(ArgumentError, match="train is a dict"):
        open_source({}, "train", **fits)
    with pytest.raises(ManifestMismatch):
        open_source(load(sides[1], SPEC), "train", **(fits | {"preprocess": Preprocess(size=32, crop=False)}))

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset import decoding, inputs, pipeline
from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.draws import shuffled
from mri_tumor.dataset.pipeline import Examples, load, worker_part
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, CatalogError, ManifestMismatch, ReadError, ShardError

SMALL = Preprocess(size=32)
AUGMENT = Augment()
BAD = "none/001.png"


@pytest.fixture
def catalog(make_folder: Callable[..., Path]) -> Catalog:
    found = scan(make_folder(per_class=3, folders=("pituitary", "glioma", "none", "meningioma")))
    return found.with_groups({found.ids[0]: "p1", found.ids[1]: "p1"})


@pytest.fixture
def shards(catalog: Catalog, tmp_path: Path) -> Path:
    write_tfrecords(catalog, tmp_path / "shards", preprocess=SMALL, shards=2)
    return tmp_path / "shards"


@pytest.fixture
def broken_catalog(catalog: Catalog) -> Catalog:
    path = catalog.select(ids=[BAD]).paths[0]
    path.write_bytes(b"this is no picture")
    return catalog


def table(data: tf.data.Dataset) -> dict[str, np.ndarray]:
    batches = list(data.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def assert_same(one: tf.data.Dataset, other: tf.data.Dataset) -> None:
    first, second = table(one), table(other)
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_elements_are_as_documented(catalog: Catalog) -> None:
    data = load(catalog, SMALL, batch_size=5)
    assert data.element_spec == {
        "image": tf.TensorSpec((None, 32, 32, 1), tf.uint8),
        "label": tf.TensorSpec((None,), tf.int64),
        "id": tf.TensorSpec((None,), tf.string),
        "index": tf.TensorSpec((None,), tf.int64),
    }
    assert [len(batch["id"]) for batch in data] == [5, 5, 2]
    assert data.cardinality() == 3
    found = table(data)
    expected = np.stack([SMALL(read_image(path)) for path in catalog.paths])
    np.testing.assert_array_equal(found["image"], expected)
    np.testing.assert_array_equal(found["label"], catalog.label_indices)
    assert [name.decode() for name in found["id"]] == list(catalog.ids)
    np.testing.assert_array_equal(found["index"], np.arange(12))


def test_catalog_and_shards_give_the_same(catalog: Catalog, shards: Path) -> None:
    for how in ({}, {"shuffle": True, "seed": 4, "epoch": 2, "augment": AUGMENT}):
        assert_same(load(catalog, SMALL, 5, **how), load(shards, None, 5, **how))
    one, other = Examples(catalog, SMALL), Examples(str(shards), SMALL)
    assert one.section == other.section
    assert (one.ids, one.groups, one.labels, one.count) == (
        other.ids,
        other.groups,
        other.labels,
        other.count,
    )
    assert one.preprocess == other.preprocess == SMALL
    assert one.groups == catalog.groups
    assert one.groups[2] is None
    np.testing.assert_array_equal(one.label_indices, other.label_indices)


def test_default_preprocessing_of_a_catalog(catalog: Catalog) -> None:
    assert Examples(catalog[:1]).preprocess == Preprocess()
    assert load(catalog[:1]).element_spec["image"].shape.as_list() == [None, 224, 224, 1]


def test_one_epoch_alone_is_what_a_run_saw(catalog: Catalog) -> None:
    examples = Examples(catalog, SMALL)
    how = {"batch_size": 5, "augment": AUGMENT, "shuffle": True, "seed": 3}
    run = [table(examples.batches(**how, epoch=epoch)) for epoch in range(3)]
    for epoch in (2, 0, 1):
        alone = table(load(catalog, SMALL, **how, epoch=epoch))
        for name in alone:
            np.testing.assert_array_equal(alone[name], run[epoch][name])
    assert not np.array_equal(run[0]["index"], run[1]["index"])
    first = [run[epoch]["image"][np.argsort(run[epoch]["index"])] for epoch in (0, 1)]
    assert not np.array_equal(*first)


def test_iterating_twice_gives_the_same(catalog: Catalog) -> None:
    data = load(catalog, SMALL, 5, AUGMENT, True)
    assert_same(data, data)


@pytest.mark.parametrize("threads", [1, 8])
def test_threads_change_nothing(catalog: Catalog, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"augment": AUGMENT, "shuffle": True, "seed": 1, "batch_size": 2}
    expected = load(catalog, SMALL, **how)
    monkeypatch.setattr(decoding, "thread_count", lambda: threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    assert_same(load(catalog, SMALL, **how).with_options(options), expected)


def test_batch_size_changes_no_picture(catalog: Catalog) -> None:
    how = {"augment": AUGMENT, "shuffle": True, "seed": 1}
    assert_same(load(catalog, SMALL, batch_size=1, **how), load(catalog, SMALL, batch_size=7, **how))


def test_shuffling_is_a_permutation_and_off_by_default(catalog: Catalog) -> None:
    index = table(load(catalog, SMALL, shuffle=True))["index"]
    assert sorted(index) == list(range(12)) != list(index)
    assert list(table(load(catalog, SMALL, seed=5, epoch=5))["index"]) == list(range(12))


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 500), seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_every_order_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    assert sorted(shuffled(count, seed, epoch)) == list(range(count))


def test_orders_are_fair() -> None:
    firsts = np.bincount([shuffled(5, 0, epoch)[0] for epoch in range(2000)], minlength=5)
    assert np.abs(firsts / 2000 - 0.2).max() < 0.04


def test_augmented_pictures_are_described(catalog: Catalog) -> None:
    from mri_tumor.dataset.augment import apply

    plain = table(load(catalog, SMALL))["image"]
    seen = table(load(catalog, SMALL, augment=AUGMENT, shuffle=True, seed=8, epoch=6))
    for index, image in zip(seen["index"], seen["image"], strict=True):
        described = AUGMENT.describe(seed=8, epoch=6, index=int(index))
        np.testing.assert_array_equal(apply(plain[index][None], **described)[0], image)


def test_pictures_are_read_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Examples(catalog, SMALL)
    for path in catalog.paths:
        path.unlink()
    assert table(examples.batches())["image"].shape == table(examples.batches(epoch=1))["image"].shape


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MEMORY_LIMIT", 12 * 32 * 32 - 1)


def test_beyond_the_memory_limit_the_pictures_are_the_same(
    catalog: Catalog, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"batch_size": 5, "augment": AUGMENT, "shuffle": True, "seed": 3, "epoch": 1}
    expected = load(catalog, SMALL, **how)
    monkeypatch.setattr(pipeline, "MEMORY_LIMIT", 12 * 32 * 32 - 1)
    for source in (catalog, shards):
        data = load(source, SMALL, **how)
        assert data.element_spec == expected.element_spec
        assert data.cardinality() == 3
        assert_same(data, expected)
        assert_same(data, expected)


@pytest.mark.usefixtures("no_memory")
def test_files_that_change_while_they_are_streamed_stop_the_epoch(catalog: Catalog, shards: Path) -> None:
    from_shards, from_catalog = Examples(shards), Examples(catalog, SMALL)
    path = shards / "part-00001-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[-500] ^= 1
    path.write_bytes(data)
    with pytest.raises(tf.errors.OpError, match=r"ShardError: part-00001-of-00002\.tfrecord"):
        list(from_shards.batches())
    catalog.paths[7].write_bytes(b"nothing")
    with pytest.raises(tf.errors.OpError, match=r"ReadError: picture 'none/001\.png'"):
        list(from_catalog.batches())


@pytest.mark.parametrize("limit", [0, 2**31])
def test_unreadable_pictures_raise_or_are_left_out(
    broken_catalog: Catalog, limit: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "MEMORY_LIMIT", limit)
    with pytest.raises(ReadError, match=r"none/001\.png"):
        load(broken_catalog, SMALL)
    examples = Examples(broken_catalog, SMALL, on_error="skip")
    assert [entry["id"] for entry in examples.skipped] == [BAD]
    assert "1 pictures left out" in caplog.text
    assert examples.count == examples.section["count"] == 11
    assert BAD not in examples.ids
    found = table(examples.batches(shuffle=True))
    assert sorted(name.decode() for name in found["id"]) == sorted(examples.ids)
    for index, image in zip(found["index"], found["image"], strict=True):
        path = broken_catalog.select(ids=[examples.ids[index]]).paths[0]
        np.testing.assert_array_equal(image, SMALL(read_image(path)))


def test_skipping_gives_what_the_shards_hold(broken_catalog: Catalog, tmp_path: Path) -> None:
    manifest = write_tfrecords(broken_catalog, tmp_path / "kept", preprocess=SMALL, on_error="skip")
    examples = Examples(broken_catalog, SMALL, on_error="skip")
    assert examples.section == manifest.sections["data"]
    assert examples.skipped == manifest.sections["skipped"]
    assert_same(examples.batches(augment=AUGMENT), load(tmp_path / "kept", augment=AUGMENT))


def test_nothing_to_load_is_an_error(broken_catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="empty"):
        load(broken_catalog[:0])
    with pytest.raises(CatalogError, match="none of the 1"):
        Examples(broken_catalog.select(ids=[BAD]), on_error="skip")


def test_labels_of_ones_own_keep_their_order(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    classes = ("zebra", "ape", "none")
    found = scan(make_folder(per_class=1, folders=("ape", "none", "zebra")), classes=classes)
    write_tfrecords(found, tmp_path / "shards", preprocess=SMALL)
    examples = Examples(tmp_path / "shards")
    assert examples.labels == classes
    assert [examples.labels[place] for place in examples.label_indices] == list(found.labels)


def test_other_preprocessing_than_the_shards_own_is_refused(shards: Path) -> None:
    with pytest.raises(ManifestMismatch, match="size=32"):
        load(shards, Preprocess(size=24))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"source": ["a.png"]}, "source is a list"),
        ({"source": None}, "source is a NoneType"),
        ({"preprocess": 224}, "preprocess is 224"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": True}, "batch_size is True"),
        ({"augment": 15}, "augment is 15"),
        ({"seed": -1}, "seed is -1"),
        ({"epoch": 0.5}, r"epoch is 0\.5"),
        ({"workers": 0}, "workers is 0"),
        ({"worker": 2, "workers": 2}, "worker is 2 of 2 workers"),
        ({"worker": -1}, "worker is -1"),
        ({"batch_size": 5, "workers": 2}, "batch_size is 5 for 2 workers"),
    ],
)
def test_bad_arguments(catalog: Catalog, wrong: dict, what: str) -> None:
    with pytest.raises(ArgumentError, match=what):
        load(**({"source": catalog[:2], "preprocess": SMALL} | wrong))


def test_folders_without_shards_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="not a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(ManifestMismatch, match=r"manifest\.json"):
        load(catalog.paths[0].parent)
    with pytest.raises(ArgumentError, match="on_error"):
        Examples(catalog, on_error="never")


def test_a_dataset_says_how_its_pictures_were_made(catalog: Catalog) -> None:
    data = load(catalog, SMALL)
    assert data.preprocess == SMALL
    assert [len(ids) for ids, _ in inputs.batches(data, SMALL)] == [12]
    with pytest.raises(ManifestMismatch, match="the Dataset was preprocessed with"):
        inputs.batches(data, Preprocess(size=32, crop=False))
    plain = data.map(lambda batch: batch["image"])  # no longer ours: used as it is
    assert [len(ids) for ids, _ in inputs.batches(plain, Preprocess(size=32, crop=False))] == [12]


@pytest.mark.parametrize("limit", [0, 2**31])
@pytest.mark.parametrize(("workers", "batch_size"), [(2, 4), (3, 3), (4, 8), (5, 5)])
def test_workers_parts_together_are_the_batches_of_one_process(
    catalog: Catalog, shards: Path, workers: int, batch_size: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MEMORY_LIMIT", limit)
    how = {"batch_size": batch_size, "augment": AUGMENT, "shuffle": True, "seed": 3, "epoch": 1}
    alone = list(load(catalog[:11], SMALL, **how).as_numpy_iterator())
    examples = Examples(catalog[:11], SMALL)
    parts = [examples.batches(**how, worker=worker, workers=workers) for worker in range(workers)]
    assert {len(part) for part in parts} == {len(alone)}
    for whole, *cuts in zip(alone, *(part.as_numpy_iterator() for part in parts), strict=True):
        for name in whole:
            np.testing.assert_array_equal(np.concatenate([cut[name] for cut in cuts]), whole[name])
        if len(whole["index"]) == batch_size:
            assert {len(cut["index"]) for cut in cuts} == {batch_size // workers}


@given(count=st.integers(1, 60), workers=st.integers(1, 9))
def test_every_cut_is_even_and_loses_nothing(count: int, workers: int) -> None:
    parts = [worker_part(np.arange(count), worker, workers) for worker in range(workers)]
    assert np.concatenate(parts).tolist() == list(range(count))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_load_cuts_as_examples_do(catalog: Catalog, shards: Path) -> None:
    how = {"batch_size": 4, "shuffle": True, "worker": 1, "workers": 2}
    assert_same(load(catalog, SMALL, **how), Examples(shards).batches(**how))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not say it")
def test_pictures_are_in_memory_once(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    spec = Preprocess(size=640)
    write_tfrecords(scan(make_folder(per_class=40)), tmp_path / "large", preprocess=spec, shards=16)
    pictures = 160 * 640 * 640
    warm = Examples(tmp_path / "large")
    list(warm.batches(batch_size=4, shuffle=True))  # TensorFlow's own start is not counted
    del warm
    gc.collect()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    examples = Examples(tmp_path / "large")
    next(iter(examples.batches(batch_size=4, shuffle=True)))
    assert examples.count == 160
    # All pictures once, three shards of sixteen twice, a few batches.
    assert (_resident("VmHWM") - before) / pictures < 1.5
    for _ in range(3):
        examples = Examples(tmp_path / "large")
        next(iter(examples.batches(batch_size=4, shuffle=True)))
    del examples
    gc.collect()
    assert (_resident("VmRSS") - before) / pictures < 1.5, "pictures stay in memory after their use"


def _resident(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


@pytest.mark.realdata
def test_real_pictures_are_the_same_from_catalog_and_shards(shared: Path, tmp_path: Path) -> None:
    found = scan(shared / "data" / "sartaj").select(split="Testing")[::9]
    write_tfrecords(found, tmp_path / "shards", shards=3)
    how = {"augment": AUGMENT, "shuffle": True, "seed": 1, "epoch": 4}
    assert_same(load(found, **how), load(tmp_path / "shards", **how))


def test_chosen_pictures_come_in_the_chosen_order(catalog: Catalog):
    examples = Examples(catalog, Preprocess(size=32))
    order = [3, 0, 3 + examples.count, 5]
    found = list(examples.batches(3, order=order))
    assert [len(batch["id"]) for batch in found] == [3, 1]
    names = [name.decode() for batch in found for name in batch["id"].numpy()]
    assert names == [examples.ids[place % examples.count] for place in order]
    assert [int(place) for batch in found for place in batch["index"]] == order
    images = np.concatenate([batch["image"] for batch in found])
    np.testing.assert_array_equal(images[0], images[2])
    (shuffled,) = examples.batches(9, order=order, shuffle=True, seed=1)
    assert sorted(shuffled["index"].numpy().tolist()) == sorted(order)


def test_a_picture_that_comes_again_is_varied_anew(catalog: Catalog):
    examples = Examples(catalog, Preprocess(size=32))
    augment = Augment(rotation=15)
    (batch,) = examples.batches(9, augment, order=[2, 2 + examples.count, 2])
    images = batch["image"].numpy()
    np.testing.assert_array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    ("order", "what"), [([], "order is"), ([[0]], "order is"), ([0.5], "order is"), ([-1], "holds -1")]
)
def test_orders_that_are_none(catalog: Catalog, order: list, what: str):
    with pytest.raises(ArgumentError, match=what):
        Examples(catalog, Preprocess(size=32)).batches(3, order=order)

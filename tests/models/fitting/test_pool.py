import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.augment import Augment
from mri_tumor.models.fitting.pool import balanced_order

OPTIONS = {"augment": None, "seed": 4, "epoch": 1}
VARIED = OPTIONS | {"augment": Augment(rotation=10)}


def images(batches) -> np.ndarray:
    return np.concatenate([batch["image"] for batch in batches])


def alone(pool, name: str, order: list[int], **options) -> np.ndarray:
    return images(pool.sources[name].batches(batch_size=32, order=np.array(order), **options))


def test_the_pictures_are_numbered_through(pool, sides):
    train, validation = sides
    assert (pool.count, pool.labels) == (30, train.classes)
    assert pool.ids == (*train.ids, *validation.ids)
    assert pool.groups == (*train.groups, *validation.groups)
    assert pool.label_indices.tolist() == [*train.label_indices, *validation.label_indices]
    assert pool.places("train").tolist() == list(range(22))
    assert pool.places("validation").tolist() == list(range(22, 30))


def test_pictures_of_both_sources_come_in_the_order_asked_for(pool):
    order = np.array([23, 0, 1, 29, 7, 22])
    data = pool.batches(order, batch_size=4, **OPTIONS)
    batches = list(data)
    assert int(data.cardinality()) == 2
    assert [len(batch["image"]) for batch in batches] == [4, 2]
    assert [set(batch) for batch in batches] == [{"image", "label", "index"}] * 2
    assert np.concatenate([batch["label"] for batch in batches]).tolist() == [*pool.label_indices[order]]
    ours, theirs = alone(pool, "train", [0, 1, 7], **OPTIONS), alone(pool, "validation", [1, 7, 0], **OPTIONS)
    expected = np.stack([theirs[0], ours[0], ours[1], theirs[1], ours[2], theirs[2]])
    np.testing.assert_array_equal(images(batches), expected)


@pytest.mark.parametrize(("place", "name", "local"), [(3, "train", 3), (25, "validation", 3)])
def test_a_position_beyond_the_count_is_the_same_picture_varied_anew(pool, place, name, local):
    size = pool.sources[name].count
    found = images(pool.batches(np.array([place, place + 30, place + 60]), batch_size=8, **VARIED))
    np.testing.assert_array_equal(found, alone(pool, name, [local, local + size, local + 2 * size], **VARIED))
    assert not np.array_equal(found[0], found[1])
    still = images(pool.batches(np.array([place, place + 30]), batch_size=8, **OPTIONS))
    np.testing.assert_array_equal(still[0], still[1])


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**31 - 1)


@given(LABELS, SEEDS, st.integers(0, 50))
def test_every_class_comes_equally_often_and_no_position_twice(labels, seed, epoch):
    order = balanced_order(labels, seed, epoch)
    assert order.shape == labels.shape
    assert len(set(order.tolist())) == len(order)
    counts = np.bincount(labels[order % len(labels)])
    assert np.ptp(counts[np.unique(labels)]) <= 1
    # The pictures of a class come as evenly as can be: none twice before each came once.
    for kind in np.unique(labels):
        places = order[labels[order % len(labels)] == kind] % len(labels)
        times = np.bincount(places, minlength=len(labels))[labels == kind]
        assert np.ptp(times) <= 1
    np.testing.assert_array_equal(order, balanced_order(labels, seed, epoch))


def test_of_a_large_class_another_part_comes_in_every_epoch():
    labels = np.repeat([0, 1], [40, 4])
    parts = [set(balanced_order(labels, seed=1, epoch=epoch)) for epoch in range(8)]
    assert set().union(*parts) >= set(range(40))
    assert parts[0] != parts[1]
    assert len(set(labels[balanced_order(labels, 1, 0)[:12] % 44])) == 2  # the classes come mixed

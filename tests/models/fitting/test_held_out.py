from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.errors import ArgumentError, ManifestMismatch, TrainingError
from mri_tumor.models.fitting.held_out import FILE_NAME, HeldOut, group_folds
from mri_tumor.models.fitting.pool import Pool
from mri_tumor.models.recipe import Recipe


def pool_of(labels: list[int], groups: list[str | None], classes: int = 3) -> Pool:
    """Return a pool of pictures that nothing but labels and groups is known of."""
    source = SimpleNamespace(
        labels=[f"class {place}" for place in range(classes)],
        label_indices=np.array(labels, np.int64),
        ids=[f"{place}.png" for place in range(len(labels))],
        groups=groups,
        count=len(labels),
    )
    return Pool({"all": source})


@st.composite
def pools(draw) -> tuple[Pool, int]:
    """Draw pictures in groups of one class each, some of them without a group, and a number of folds."""
    folds = draw(st.integers(3, 5))
    labels, groups = [], []
    for kind in range(3):
        for number in range(draw(st.integers(folds, folds + 3))):
            size = draw(st.integers(3, 9))
            labels += [kind] * size
            groups += [f"{kind}-{number}"] * size
        alone = draw(st.integers(0, 4))
        labels += [kind] * alone
        groups += [None] * alone
    order = draw(st.permutations(range(len(labels))))
    return pool_of([labels[place] for place in order], [groups[place] for place in order]), folds


@settings(max_examples=60)
@given(pools(), st.integers(0, 1000))
def test_every_picture_is_held_once_and_validated_once_and_no_group_is_in_two(drawn, seed):
    pool, count = drawn
    folds = group_folds(pool, Recipe(folds=count, seed=seed))
    assert len(folds) == count
    for name in ("held", "validation"):
        together = np.concatenate([getattr(fold, name) for fold in folds])
        assert sorted(together.tolist()) == list(range(pool.count))
    names = np.array([group or f"alone {place}" for place, group in enumerate(pool.groups)])
    for fold in folds:
        parts = [set(names[places]) for places in fold]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert sorted(np.concatenate(fold).tolist()) == list(range(pool.count))
        assert all(set(pool.label_indices[places]) == {0, 1, 2} for places in fold)


def test_another_seed_makes_other_folds():
    pool = pool_of([0, 1, 2] * 8, [f"{place % 3}-{place // 6}" for place in range(24)])
    one, again, other = (group_folds(pool, Recipe(folds=3, seed=seed)) for seed in (0, 0, 1))
    assert [fold.held.tolist() for fold in one] == [fold.held.tolist() for fold in again]
    assert [fold.held.tolist() for fold in one] != [fold.held.tolist() for fold in other]


def test_too_few_groups_of_a_class_are_refused():
    groups = ["a", "b", "c", "a", "b", "c", *"ddef"]
    with pytest.raises(ArgumentError, match="class 'class 1' has 3 groups for 4 folds"):
        group_folds(pool_of([0, 0, 0, 0, 0, 0, 1, 1, 1, 1], [None] * 6 + groups[6:], 2), Recipe(folds=4))


def test_an_id_that_stands_for_two_pictures_is_refused():
    one, other = (pool_of([0, 1, 0, 1], [None] * 4, 2).sources["all"] for _ in range(2))
    with pytest.raises(ArgumentError, match=r"4 ids stand in train and in validation, such as '0.png'"):
        group_folds(Pool({"train": one, "validation": other}), Recipe(folds=3))


def test_folds_that_cannot_be_learnt_from_are_refused():
    # Beside a group with most pictures of both classes, one fold gets no picture of the first.
    labels = [1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    groups = ["large"] * 12 + ["b", "b", "b", "c", "c", "c", "d"]
    with pytest.raises(TrainingError, match="fold 1 has no picture of class 0"):
        group_folds(pool_of(labels, groups, 2), Recipe(folds=3, seed=1))
    with pytest.raises(TrainingError, match=r"fold 1 has 3 pictures.*at least 7"):
        group_folds(pool_of([0, 1, 2] * 3, [None] * 9), Recipe(folds=3))


PARTS = [
    (np.array([2, 0]), np.array([[2.0, 1], [0, 1]]), np.array([0.2, 0.0])),
    (np.array([1, 3]), np.array([[1.0, 1], [3, 1]]), np.array([0.1, 0.3])),
]


def test_the_folds_rows_come_in_the_order_of_the_pictures(tmp_path):
    pool = pool_of([0, 1, 1, 0], ["a", None, "b", "b"], 2)
    found = HeldOut.joined(pool, PARTS)
    found.save(tmp_path)
    for kept in (found, HeldOut.load(tmp_path)):
        assert kept.ids.tolist() == ["0.png", "1.png", "2.png", "3.png"]
        assert kept.labels.tolist() == [0, 1, 1, 0]
        assert kept.groups.tolist() == ["a", "", "b", "b"]
        assert kept.logits.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
        np.testing.assert_allclose(kept.distances, [0, 0.1, 0.2, 0.3])
        kinds = [column.dtype.name for column in (kept.labels, kept.logits, kept.distances)]
        assert kinds == ["int64", "float32", "float32"]


def test_a_file_that_is_missing_or_damaged_is_refused_by_name(tmp_path):
    with pytest.raises(ManifestMismatch, match=rf"{FILE_NAME} cannot be used.*what a run with folds wrote"):
        HeldOut.load(tmp_path)
    HeldOut.joined(pool_of([0, 1, 1, 0], [None] * 4, 2), PARTS).save(tmp_path)
    whole = (tmp_path / FILE_NAME).read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:300] + whole[400:]):
        (tmp_path / FILE_NAME).write_bytes(damaged)
        with pytest.raises(ManifestMismatch, match=rf"{FILE_NAME} cannot be used"):
            HeldOut.load(tmp_path)
    np.savez(tmp_path / FILE_NAME, ids=np.array(["a"]), labels=np.array([0]))
    with pytest.raises(ManifestMismatch, match="groups"):
        HeldOut.load(tmp_path)
    np.savez(tmp_path / FILE_NAME, ids=np.array(["a"], object))
    with pytest.raises(ManifestMismatch, match="pickle"):
        HeldOut.load(tmp_path)

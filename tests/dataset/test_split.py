"""Splits and folds: what must hold whatever the groups are."""

import logging
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.dataset.split import folds, split
from mri_tumor.errors import ArgumentError, CatalogError

# Five groups or more of every class that comes at all, so that five parts are possible.
pure = st.dictionaries(
    st.sampled_from(LABELS), st.lists(st.integers(1, 9), min_size=5, max_size=15), min_size=1
).map(lambda sizes: [(label, size) for label, several in sizes.items() for size in several])


def catalog_of(groups: list[tuple[str, int]]) -> Catalog:
    """One group a (label, size)."""
    return Catalog(
        Record(f"{number}/{picture}.png", Path("x"), label, f"g{number}")
        for number, (label, size) in enumerate(groups)
        for picture in range(size)
    )


def mixed() -> Catalog:
    rng = random.Random(3)
    return Catalog(
        Record(f"{i}.png", Path("x"), LABELS[(i // 40) % 4] if i % 7 else rng.choice(LABELS), f"g{i // 3}")
        for i in range(480)
    )


def check_parts(catalog: Catalog, parts: list[Catalog]) -> None:
    ids = [name for part in parts for name in part.ids]
    assert sorted(ids) == sorted(catalog.ids)
    groups = [set(part.groups) for part in parts]
    assert sum(map(len, groups)) == len(set(catalog.groups))
    order = {name: place for place, name in enumerate(catalog.ids)}
    for part in parts:
        assert part.classes == catalog.classes
        assert list(part.ids) == sorted(part.ids, key=order.__getitem__)


@given(pure, st.sampled_from([(0.8, 0.2), (0.5, 0.5), (0.7, 0.2, 0.1), (0.05, 0.95)]), st.integers(0, 5))
def test_parts_are_disjoint_whole_and_stratified(
    groups: list[tuple[str, int]], fractions: tuple[float, ...], seed: int
) -> None:
    catalog = catalog_of(groups)
    parts = split(catalog, fractions, seed=seed)
    check_parts(catalog, parts)
    for label in set(catalog.labels):
        whole = catalog.labels.count(label)
        largest = max(size for name, size in groups if name == label)
        for fraction, part in zip(fractions, parts, strict=True):
            count = part.labels.count(label)
            assert 0 < count <= fraction * whole + largest * max(1, fraction * (len(fractions) - 1)) + 1e-6


@given(pure, st.integers(2, 5), st.integers(0, 5))
def test_folds_are_equal_parts(groups: list[tuple[str, int]], n: int, seed: int) -> None:
    catalog = catalog_of(groups)
    pairs = list(folds(catalog, n, seed=seed))
    check_parts(catalog, [validation for _, validation in pairs])
    assert [validation for _, validation in pairs] == split(catalog, [1 / n] * n, seed=seed)
    for train, validation in pairs:
        check_parts(catalog, [train, validation])


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_catalogs_order_does_not_count(rng: random.Random, seed: int) -> None:
    records = list(mixed())
    expected = [set(part.ids) for part in split(Catalog(records), seed=seed)]
    rng.shuffle(records)
    assert [set(part.ids) for part in split(Catalog(records), seed=seed)] == expected


def test_group_names_do_not_count() -> None:
    catalog = mixed()
    renamed = Catalog(
        Record(record.id, record.path, record.label, f"{hash(record.group)}") for record in catalog
    )
    assert [part.ids for part in split(catalog)] == [part.ids for part in split(renamed)]


def test_this_split_stays_for_ever() -> None:
    # Numbers in reports rest on it: another release must not deal otherwise.
    validation = split(catalog_of([(label, 1 + number % 3) for label in LABELS for number in range(10)]))[1]
    groups = sorted({int(str(group)[1:]) for group in validation.groups})
    assert groups == [0, 1, 3, 11, 16, 19, 20, 27, 29, 38]


def test_large_groups_come_into_every_part_over_the_seeds() -> None:
    catalog = catalog_of([("none", size) for size in (40, 38, 36, 34, 33, *[1] * 100)])
    held = {group for seed in range(20) for group in split(catalog, (0.5, 0.5), seed=seed)[1].groups}
    assert {f"g{number}" for number in range(5)} <= held


def test_class_shares_of_mixed_groups() -> None:
    catalog = mixed()
    parts = split(catalog, (0.6, 0.2, 0.2), seed=1)
    check_parts(catalog, parts)
    for label in LABELS:
        share = catalog.labels.count(label) / len(catalog)
        for part in parts:
            assert abs(part.labels.count(label) / len(part) - share) < 0.05


def test_a_group_of_two_classes_counts_for_the_larger() -> None:
    one = [Record(f"a{i}", Path("x"), "glioma" if i < 2 else "none", "mixed") for i in range(5)]
    rest = [
        Record(f"{label}{i}", Path("x"), label, f"{label}{i}")
        for label in ("glioma", "none")
        for i in range(2)
    ]
    train, test = split(Catalog([*one, *rest]), (0.5, 0.5))
    assert Counter(group for part in (train, test) for group in set(part.groups))["mixed"] == 1
    with pytest.raises(CatalogError, match=r"'glioma' has 1 groups \(3 pictures\) for 2 parts"):
        split(Catalog([*one, *rest[1:]]), (0.5, 0.5))


def test_seeds_differ_and_repeat() -> None:
    catalog = mixed()
    assert split(catalog, seed=1) == split(catalog, seed=1)
    assert split(catalog, seed=1) != split(catalog, seed=2)


def test_by_image_warns_and_ignores_groups() -> None:
    catalog = mixed()
    with pytest.warns(UserWarning, match="patient") as caught:
        parts = split(catalog, by="image")
    assert caught[0].filename == __file__
    assert set(parts[0].groups) & set(parts[1].groups)
    for label in LABELS:
        assert abs(parts[1].labels.count(label) - 0.2 * catalog.labels.count(label)) <= 1
    with pytest.warns(UserWarning, match="patient") as caught:
        assert len(list(folds(catalog, 3, by="image"))) == 3
    assert caught[0].filename == __file__


def test_without_groups_it_audits_first_and_says_so(
    make_folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(per_class=6)
    for number in range(5):
        copy = root / "no_tumor" / f"copy{number}.png"
        copy.write_bytes((root / "no_tumor" / "000.png").read_bytes())
    with caplog.at_level(logging.INFO):
        parts = split(scan(root), (0.5, 0.5), seed=4)
    assert "29 pictures have no group; auditing them first" in caplog.text
    check_parts(Catalog([record for part in parts for record in part]), parts)
    copies = [{name for name in part.ids if "copy" in name or name == "no_tumor/000.png"} for part in parts]
    assert sorted(map(len, copies)) == [0, 6]


def test_too_few_groups() -> None:
    catalog = catalog_of([("glioma", 3)] * 5 + [("none", 9)] * 2)
    with pytest.raises(CatalogError, match=r"'none' has 2 groups \(18 pictures\) for 3 parts.*at least 3"):
        folds(catalog, 3)
    with pytest.raises(CatalogError, match="holds no picture"):
        split(catalog[:0])


@pytest.mark.parametrize(
    "fractions",
    [(1.0,), (0.5, 0.4), (0.5, 0.6), (1.2, -0.2), (1.0, 0.0), (), 0.8, ("a", "b"), (float("nan"), 1)],
)
def test_bad_fractions(fractions: object) -> None:
    with pytest.raises(ArgumentError, match="two or more numbers"):
        split(mixed(), fractions)  # type: ignore[arg-type]


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="by is 'patient'"):
        split(mixed(), by="patient")
    with pytest.raises(ArgumentError, match="seed is 'a'"):
        split(mixed(), seed="a")  # type: ignore[arg-type]
    for n in (1, 2.0, "5"):
        with pytest.raises(ArgumentError, match="n is"):
            folds(mixed(), n)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="catalog is a list"):
        split([])  # type: ignore[arg-type]


@pytest.mark.realdata
def test_folds_of_the_real_training_pictures(shared: Path) -> None:
    catalog = scan(shared / "data" / "sartaj", groups=shared / "data" / "sartaj_groups.csv")
    training = catalog.select(split="Training")
    for seed in range(3):
        for train, validation in folds(training, seed=seed):
            assert not set(train.groups) & set(validation.groups)
            for label in LABELS:
                share = validation.labels.count(label) / training.labels.count(label)
                assert 0.17 < share < 0.24


def test_parts_that_are_mixed_are_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    records = [
        Record(
            f"{number}.png",
            Path(f"{number}.png"),
            "glioma",
            str(number),
            "Training" if number % 2 else "Testing",
        )
        for number in range(8)
    ]
    split(Catalog(records), (0.5, 0.5))
    assert "Testing and Training are mixed" in caplog.text

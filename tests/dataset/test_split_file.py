"""Splits and folds in files: what is read is what was divided, or an error says what is not."""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor import LABELS, dataset
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.dataset.division import Division, division_digest
from mri_tumor.dataset.split import folds, split
from mri_tumor.dataset.split_file import read_folds, read_split, write_folds, write_split
from mri_tumor.errors import ArgumentError, CatalogError, LeakageError, ManifestMismatch, MriTumorError
from mri_tumor.manifest import Manifest

# Five groups or more of every class that comes at all, so that five parts are possible.
catalogs = st.dictionaries(
    st.sampled_from(LABELS), st.lists(st.integers(1, 4), min_size=5, max_size=8), min_size=1
).map(
    lambda sizes: Catalog(
        picture(f"{label}/{number}-{place}.png", label, f"{label} {number}")
        for label, several in sizes.items()
        for number, size in enumerate(several)
        for place in range(size)
    )
)


def picture(name: str, label: str, group: str | None = None) -> Record:
    return Record(name, Path("gone") / name, label, group, digest=f"{name} as SHA-256")


def moved(catalog: Catalog, rng: random.Random | None = None) -> Catalog:
    """The same pictures in another folder and order, their groups unknown."""
    records = [replace(one, path=Path("elsewhere") / one.id, group=None) for one in catalog]
    if rng is not None:
        rng.shuffle(records)
    return Catalog(records, catalog.classes)


def changed(catalog: Catalog, name: str, **fields: Any) -> Catalog:
    return Catalog((replace(one, **fields) if one.id == name else one for one in catalog), catalog.classes)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        picture(f"{label}/{number}.png", label, f"{label} {number // 2}")
        for label in LABELS
        for number in range(12)
    )


@pytest.fixture
def file(catalog: Catalog, tmp_path: Path) -> Path:
    train, validation = split(catalog, seed=3)
    write_split(tmp_path / "split.json", {"train": train, "validation": validation})
    return tmp_path / "split.json"


@settings(max_examples=30)
@given(catalogs, st.lists(st.floats(0.1, 1), min_size=2, max_size=5), st.integers(0, 9), st.randoms())
def test_a_split_comes_back_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory,
    catalog: Catalog,
    weights: list[float],
    seed: int,
    rng: random.Random,
) -> None:
    path = tmp_path_factory.mktemp("split") / "split.json"
    parts = split(catalog, [weight / sum(weights) for weight in weights], seed=seed)
    write_split(path, {f"part {place}": part for place, part in enumerate(parts)})
    again = read_split(path, moved(catalog))
    assert list(again) == [f"part {place}" for place in range(len(parts))]
    for part, found in zip(parts, again.values(), strict=True):
        assert (found.ids, found.groups) == (part.ids, part.groups)
        assert found.division == part.division
    mixed = moved(catalog, rng)
    for part, found in zip(parts, read_split(path, mixed).values(), strict=True):
        assert set(found.ids) == set(part.ids)
        assert list(found.ids) == sorted(found.ids, key=mixed.ids.index)
    assert list(read_split(path, catalog).values()) == parts


@settings(max_examples=30)
@given(catalogs, st.integers(2, 5), st.integers(0, 9))
def test_folds_from_a_file_are_those_computed(
    tmp_path_factory: pytest.TempPathFactory, catalog: Catalog, n: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("folds") / "folds.json"
    expected = list(folds(catalog, n, seed=seed))
    write_folds(path, expected)
    found = list(read_folds(path, catalog))
    assert found == expected
    assert [[part.division for part in pair] for pair in found] == [
        [part.division for part in pair] for pair in expected
    ]
    assert list(read_split(path, catalog)) == [f"fold {place + 1}" for place in range(n)]


@given(catalogs, st.randoms())
def test_the_digest_is_of_what_lies_together(catalog: Catalog, rng: random.Random) -> None:
    parts = split(catalog, (0.5, 0.3, 0.2))
    digest = parts[0].division.digest
    assert {part.division for part in parts} == {Division(digest, "group", 0, (0.5, 0.3, 0.2))}
    # Neither where the files lie, nor the order of pictures and of parts.
    records = list(parts[0])
    rng.shuffle(records)
    others = [Catalog(replace(one, path=Path("x")) for one in records), *parts[1:]]
    rng.shuffle(others)
    assert division_digest(others) == digest
    one = parts[0][0]
    gone = parts[0].select(where=lambda record: record.id != one.id)
    assert division_digest([gone, Catalog([*parts[1], one]), parts[2]]) != digest
    assert division_digest([changed(parts[0], one.id, digest="other"), *parts[1:]]) != digest


def test_the_same_split_gives_the_same_bytes(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    train, validation = split(catalog, seed=3)
    manifest = write_split(tmp_path / "again.json", {"train": train, "validation": validation})
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    assert Manifest.read(file, kind="split") == manifest
    assert str(tmp_path) not in file.read_text()
    assert "gone" not in file.read_text()


def test_the_file_says_how_it_was_made(catalog: Catalog, file: Path) -> None:
    section = json.loads(file.read_text())["sections"]["split"]
    assert [section[name] for name in ("by", "seed", "fractions")] == ["group", 3, [0.8, 0.2]]
    assert section["classes"] == list(LABELS)
    assert [part["name"] for part in section["parts"]] == ["train", "validation"]
    one = section["parts"][0]["pictures"][0]
    assert set(one) == {"id", "label", "group", "sha256"}


def test_parts_chosen_by_hand(catalog: Catalog, tmp_path: Path) -> None:
    parts = {"a": catalog.select(label="glioma"), "b": catalog.select(label="none")}
    manifest = write_split(tmp_path / "x.json", parts)
    assert manifest.sections["split"]["by"] is None
    both = catalog.select(where=lambda record: record.label in ("glioma", "none"))
    found = read_split(tmp_path / "x.json", both)
    assert found == parts
    assert found["a"].division == Division(division_digest(parts.values()))


def test_only_some_parts_of_a_split_are_another_division(catalog: Catalog, tmp_path: Path) -> None:
    train, validation, test = split(catalog, (0.6, 0.2, 0.2))
    write_split(tmp_path / "x.json", {"train": train, "validation": validation})
    left = catalog.select(where=lambda record: record.id not in test.ids)
    assert read_split(tmp_path / "x.json", left)["train"].division != train.division


def test_what_is_made_of_a_part_is_no_part(catalog: Catalog) -> None:
    train = split(catalog)[0]
    assert train.division is not None
    assert catalog.division is None
    for other in (train[:3], train.select(label="none"), train.with_groups({train.ids[0]: "x"})):
        assert other.division is None
    assert Catalog(train, train.classes) == train


def test_shards_and_a_trained_classifier_name_the_division(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    from mri_tumor import models
    from mri_tumor.dataset.pipeline import Examples

    root = make_folder(per_class=5)
    pictures = scan(root, groups=lambda name: name)
    parts = dict(zip(("train", "validation"), split(pictures, (0.6, 0.4)), strict=True))
    write_split(tmp_path / "split.json", parts)
    spec = dataset.Preprocess(size=32)
    sections = [
        dataset.write_tfrecords(part, tmp_path / name, preprocess=spec).sections["data"]
        for name, part in parts.items()
    ]
    division = parts["train"].division
    assert [section["division"] for section in sections] == [division.to_dict()] * 2
    assert (
        "division"
        not in dataset.write_tfrecords(pictures, tmp_path / "all", preprocess=spec).sections["data"]
    )
    again = read_split(tmp_path / "split.json", scan(root))
    assert [Examples(part, spec).section for part in again.values()] == sections
    network = models.build("small_cnn", size=32)
    shards = [tmp_path / name for name in parts]
    models.train(network, *shards, recipe=models.Recipe(epochs=1, augment=None), run_dir=tmp_path / "run")
    found = models.Classifier.load(tmp_path / "run").manifest.sections
    assert [found[name]["division"] for name in ("data", "validation")] == [division.to_dict()] * 2


def test_a_picture_that_is_skipped_leaves_the_division(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(per_class=5)
    (root / "no_tumor" / "000.png").write_text("no picture")
    parts = split(scan(root, groups=lambda name: name), (0.5, 0.5))
    part = next(part for part in parts if "no_tumor/000.png" in part.ids)
    spec = dataset.Preprocess(size=16)
    manifest = dataset.write_tfrecords(part, tmp_path / "x", preprocess=spec, on_error="skip")
    assert manifest.sections["data"]["division"] == part.division.to_dict()
    assert manifest.sections["skipped"]


def test_groups_of_the_file_are_joined_to_those_of_the_catalog(catalog: Catalog, file: Path) -> None:
    train = read_split(file, catalog)["train"]
    first, other = next((a, b) for a in train for b in train if a.label == b.label and a.group != b.group)
    joined = moved(catalog).with_groups({first.id: "same", other.id: "same"})
    found = {one.id: one.group for one in read_split(file, joined)["train"]}
    assert (
        len(
            {
                group
                for name, group in found.items()
                if train.groups[train.ids.index(name)] in (first.group, other.group)
            }
        )
        == 1
    )


def test_pictures_that_are_missing_or_new(catalog: Catalog, file: Path) -> None:
    with pytest.raises(
        CatalogError, match=r"1 pictures are not in the catalog but in .*split\.json: 'none/0\.png'"
    ):
        read_split(file, catalog.select(where=lambda record: record.id != "none/0.png"))
    with pytest.raises(
        CatalogError, match=r"1 pictures are in the catalog but not in .*: 'new\.png'.*leave them out"
    ):
        read_split(file, Catalog([*catalog, picture("new.png", "none")]))
    renamed = Catalog(replace(one, id=f"Training/{one.id}") for one in catalog)
    with pytest.raises(CatalogError, match=r"'Training/glioma/\d+\.png' is the same file as 'glioma/"):
        read_split(file, renamed)


def test_another_label_or_other_bytes(catalog: Catalog, file: Path) -> None:
    with pytest.raises(CatalogError, match=r"another label than in .*'none/0\.png \(none, now glioma\)'"):
        read_split(file, changed(catalog, "none/0.png", label="glioma"))
    with pytest.raises(CatalogError, match=r"1 pictures have other bytes than in .*'none/0\.png'"):
        read_split(file, changed(catalog, "none/0.png", digest="other"))


def test_a_catalog_without_digests_has_its_files_looked_at(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(per_class=5)
    pictures = scan(root, groups=lambda name: name)
    parts = split(pictures, (0.5, 0.5))
    write_split(tmp_path / "x.json", {"a": parts[0], "b": parts[1]})
    bare = Catalog(replace(one, digest="") for one in pictures)
    assert read_split(tmp_path / "x.json", bare)["a"].ids == parts[0].ids
    (root / "no_tumor" / "000.png").write_bytes(b"other")
    with pytest.raises(CatalogError, match="other bytes"):
        read_split(tmp_path / "x.json", bare)
    # What the file does not know, it cannot miss.
    write_split(tmp_path / "y.json", {"a": bare[:10], "b": bare[10:]})
    assert len(read_split(tmp_path / "y.json", scan(root))["a"]) == 10


def test_a_group_on_both_sides(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    train, validation = read_split(file, catalog).values()
    copies = catalog.with_groups({train.ids[0]: "copy", validation.ids[0]: "copy"})
    with pytest.raises(LeakageError, match=r"share 1 groups: .*'train' and 'validation'.*allow_leakage"):
        read_split(file, copies)
    with pytest.raises(LeakageError, match="share 1 groups"):
        read_folds(file, copies)
    assert read_split(file, copies, allow_leakage=True)["train"].ids == train.ids
    with pytest.warns(UserWarning, match="patient"):
        careless = dict(zip("ab", split(catalog, by="image"), strict=True))
    with pytest.raises(LeakageError, match="groups"):
        write_split(tmp_path / "x.json", careless)
    assert not (tmp_path / "x.json").exists()
    manifest = write_split(tmp_path / "x.json", careless, allow_leakage=True)
    assert manifest.sections["split"]["by"] == "image"
    with pytest.raises(LeakageError, match="groups"):
        read_split(tmp_path / "x.json", catalog)
    assert read_split(tmp_path / "x.json", catalog, allow_leakage=True) == careless


def test_a_picture_in_two_parts_is_never_written(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(LeakageError, match=r"share 1 pictures: 'glioma/4\.png'.*'a' and 'b'"):
        write_split(tmp_path / "x.json", {"a": catalog[:5], "b": catalog[4:]}, allow_leakage=True)
    assert not (tmp_path / "x.json").exists()


def test_other_classes(catalog: Catalog, file: Path) -> None:
    other = Catalog(catalog, classes=tuple(reversed(LABELS)))
    with pytest.raises(ManifestMismatch, match=r"split\.json divides the classes glioma, .*pituitary, none"):
        read_split(file, other)


def test_pairs_that_are_no_folds(catalog: Catalog, tmp_path: Path) -> None:
    pairs = list(folds(catalog, 3))
    pairs[1] = (pairs[1][0][1:], pairs[1][1])
    with pytest.raises(ArgumentError, match=r"fold 2 does not train on just what .*; 1 differ: '"):
        write_folds(tmp_path / "x.json", pairs)
    with pytest.raises(ArgumentError, match="two or more"):
        write_folds(tmp_path / "x.json", [])
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "parts", [None, {}, {"a": 1, "b": 2}, {"": "catalog", "b": "catalog"}, ["catalog", "catalog"]]
)
def test_what_are_no_parts(catalog: Catalog, tmp_path: Path, parts: Any) -> None:
    if isinstance(parts, dict) and "" in parts:
        parts = dict.fromkeys(parts, catalog)
    with pytest.raises(ArgumentError, match="two or more names with a Catalog each"):
        write_split(tmp_path / "x.json", parts)


def test_parts_that_do_not_fit(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="part 'b' is empty"):
        write_split(tmp_path / "x.json", {"a": catalog, "b": catalog[:0]})
    with pytest.raises(ArgumentError, match="different classes"):
        write_split(tmp_path / "x.json", {"a": catalog[:5], "b": Catalog(catalog[5:], reversed(LABELS))})
    with pytest.raises(ArgumentError, match="catalog is a str"):
        read_split(tmp_path / "x.json", "folder")  # type: ignore[arg-type]


def test_other_files(catalog: Catalog, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestMismatch, match=r"none\.json cannot be read.*kind 'split'"):
        read_split(tmp_path / "none.json", catalog)
    card = json.loads(file.read_text())
    for name, change, says in (
        ("newer", {"schema": "2.0"}, "schema 2.0.*upgrade"),
        ("kind", Manifest("run", {}).to_dict(), "of kind 'run'"),
        ("altered", {"sections": {"split": {}}}, "nobody altered"),
        ("other", Manifest("split", {}).to_dict(), "is no split of this library"),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(ManifestMismatch, match=f"{name}.json.*{says}"):
            read_split(tmp_path / f"{name}.json", catalog)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ManifestMismatch, match="is not JSON"):
        read_split(file, catalog)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=80)
@given(data=st.data())
def test_an_edited_file_gives_the_split_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    pictures = Catalog(picture(f"{place}.png", "none", f"p{place}") for place in range(4))
    path = tmp_path_factory.mktemp("edited") / "split.json"
    parts = {"a": pictures[:2], "b": pictures[2:]}
    section = copy.deepcopy(write_split(path, parts).sections["split"])
    place: Any = data.draw(
        st.sampled_from([section, section["parts"][0], section["parts"][1]["pictures"][0]])
    )
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(odd)
    Manifest("split", {"split": section}).write(path)
    try:
        found = read_split(path, pictures)
    except MriTumorError:
        return
    assert list(found.values()) == list(parts.values())


@pytest.mark.realdata
def test_the_real_folds_come_back(shared: Path, tmp_path: Path) -> None:
    training = scan(shared / "data" / "sartaj", groups=shared / "data" / "sartaj_groups.csv").select(
        split="Training"
    )
    write_folds(tmp_path / "folds.json", folds(training))
    plain = scan(shared / "data" / "sartaj").select(split="Training")
    assert [pair[1].ids for pair in read_folds(tmp_path / "folds.json", plain)] == [
        pair[1].ids for pair in folds(training)
    ]

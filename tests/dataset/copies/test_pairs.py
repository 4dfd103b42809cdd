"""Which pairs are named, and the sets they make: counted against every pair there is."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.catalog import Record
from mri_tumor.dataset.copies.duplicates import Fingerprint, fingerprint
from mri_tumor.dataset.copies.pairs import find_links, pairs_of, same_pixels, sets_of_copies

PICTURE = st.tuples(st.integers(0, 3), st.sampled_from(["glioma", "none", "pituitary"]))


def flat(pixels: str) -> Fingerprint:
    return replace(fingerprint(np.zeros((96, 96), np.uint8)), pixels=pixels)


def found(contents: list[tuple[int, str]], train: int):
    """Return the pairs among flat pictures, which are alike only where their pixels are."""
    records = [
        Record(f"{place:02d}", Path(f"{place:02d}"), label, digest=str(pixels))
        for place, (pixels, label) in enumerate(contents)
    ]
    prints = {place: flat(str(pixels)) for place, (pixels, _) in enumerate(contents)}
    links = find_links(records, train, prints, same_pixels(prints))
    return pairs_of(records, train, links)


@given(st.lists(PICTURE, max_size=14), st.integers(0, 14))
def test_pairs_show_every_copy_leak_and_conflict(contents: list[tuple[int, str]], train: int) -> None:
    pairs = found(contents, train)
    every = [(i, j) for (i, (a, _)), (j, (b, _)) in itertools.combinations(enumerate(contents), 2) if a == b]
    named = {(int(pair.first), int(pair.second)) for pair in pairs}
    assert named <= set(every)
    assert len(named) == len(pairs)

    across = {j for i, j in every if i < train <= j}
    assert {int(pair.second) for pair in pairs if pair.leak} == across
    contradicting = {place for i, j in every if contents[i][1] != contents[j][1] for place in (i, j)}
    assert {
        int(name) for pair in pairs if pair.conflict for name in (pair.first, pair.second)
    } == contradicting

    alike = [[place for place, (pixels, _) in enumerate(contents) if pixels == value] for value in range(4)]
    copies = {tuple(f"{place:02d}" for place in places) for places in alike if len(places) > 1}
    assert {tuple(sorted(one.ids)) for one in sets_of_copies(pairs)} == copies


def test_many_copies_give_a_chain_not_all_pairs() -> None:
    assert len(found([(0, "none")] * 200, 200)) == 199


def test_one_id_on_both_sides_is_two_pictures() -> None:
    records = [Record("a", Path("x"), "none"), Record("a", Path("y"), "none")]
    prints = dict(enumerate([flat("same")] * 2))
    pairs = pairs_of(records, 1, find_links(records, 1, prints, same_pixels(prints)))
    (copies,) = sets_of_copies(pairs)
    assert (copies.ids, copies.sides) == (("a", "a"), ("train", "test"))
    assert not pairs[0].same_file  # a record without a digest says nothing


def test_the_relation_leads_from_the_first_named_to_the_second() -> None:
    shape = np.zeros((60, 60), np.uint8)
    shape[5:50, 10:20] = shape[40:50, 10:45] = 200
    turned = [shape, np.rot90(shape), np.rot90(shape), shape]
    prints = {place: fingerprint(np.ascontiguousarray(image)) for place, image in enumerate(turned)}
    records = [Record(str(place), Path("x"), "none") for place in range(4)]
    pairs = pairs_of(records, 2, find_links(records, 2, prints, same_pixels(prints)))
    relations = {(pair.first, pair.second): pair.relation for pair in pairs if pair.kind == "near-duplicate"}
    assert relations[("0", "1")] == "rotated by 90 degrees"
    assert relations[("1", "3")] == "rotated by 270 degrees"

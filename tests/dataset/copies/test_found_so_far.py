"""What is still worth a look: sets to tie, keys to meet, a first partner for each."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.copies.found_so_far import PARTNERS, FoundSoFar, few_of_each
from mri_tumor.dataset.groups import UnionFind

PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).filter(lambda pair: pair[0] < pair[1]))


def left(found: FoundSoFar, *pairs: tuple[int, int]) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in found.wanted(np.array(pairs)).tolist()]


def test_a_pair_within_a_set_is_not_wanted_again() -> None:
    found = FoundSoFar([{"a"}] * 5)
    assert left(found, (0, 1), (1, 2), (0, 2)) == [(0, 1), (1, 2), (0, 2)]
    found.note(0, 1)
    found.note(1, 2)
    assert left(found, (0, 2), (0, 3), (3, 4)) == [(0, 3), (3, 4)]


def test_a_key_not_met_is_wanted_even_within_a_set() -> None:
    found = FoundSoFar([{"train"}, {"train"}, {"train"}, {"test"}])
    for pair in ((0, 1), (1, 2), (2, 3)):
        found.note(*pair)
    assert left(found, (0, 2), (0, 3), (1, 3)) == [(0, 3), (1, 3)]
    assert {place: holders.tolist() for place, holders in found.unmet()} == {0: [3], 1: [3]}


@given(PAIRS)
def test_sets_are_those_that_the_pairs_make(pairs: list[tuple[int, int]]) -> None:
    found, sets = FoundSoFar([{"a"}] * 20), UnionFind(20)
    for pair in pairs:
        found.note(*pair)
        sets.join(*pair)
    roots = sets.roots()
    together = found.sets[:, None] == found.sets
    assert np.array_equal(together, np.equal.outer(roots, roots))
    assert len(found.representatives()) == len(set(roots))
    assert np.array_equal(found.sets[found.representatives()], found.representatives())


@given(PAIRS.filter(bool))
def test_of_every_picture_only_the_first_few_pairs_are_chosen(pairs: list[tuple[int, int]]) -> None:
    chosen = few_of_each(np.array(pairs))
    seen = [0] * 20
    for (first, second), taken in zip(pairs, chosen, strict=True):
        seen[first] += 1
        seen[second] += 1
        assert taken == (max(seen[first], seen[second]) <= PARTNERS)
    assert chosen[0]

"""The search among many: sets are tied, keys are met, and nothing hangs on threads or order."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.copies import aligned
from mri_tumor.dataset.copies import search as searching
from mri_tumor.dataset.copies.duplicates import Fingerprint, fingerprint
from mri_tumor.dataset.copies.found_so_far import Keys
from mri_tumor.dataset.copies.search import CopySearch, Found
from mri_tumor.dataset.copies.turns import WAYS, turned
from mri_tumor.dataset.groups import UnionFind

Prints = Callable[[Iterable[int]], list[Fingerprint]]


def forms(image: np.ndarray) -> list[np.ndarray]:
    """A picture and nine copies that are turned, cropped, padded, resized, brightened and stored anew."""
    stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    crop = image[6:234, 3:231]
    return [
        *(image, image[:, ::-1], np.rot90(image), np.pad(image, ((0, 30), (20, 0)))),
        *(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE), cv2.resize(image, None, fx=0.5, fy=0.5)),
        *((image * 0.7).astype(np.uint8), crop, np.rot90(crop, 3), crop[:, ::-1] // 2 + crop[:, ::-1] // 4),
    ]


@pytest.fixture(scope="module")
def prints(detailed: Callable[..., np.ndarray]) -> Prints:
    """Return a function of seeds: the fingerprints of ten forms of the picture of each."""
    made: dict[int, list[Fingerprint]] = {}

    def of(seeds: Iterable[int]) -> list[Fingerprint]:
        for seed in set(seeds) - set(made):
            image = detailed(seed, outline=7 * seed, side=240)
            made[seed] = [fingerprint(np.ascontiguousarray(form)) for form in forms(image)]
        return [print_ for seed in seeds for print_ in made[seed]]

    return of


def search(pictures: Sequence[Fingerprint], keys: Keys | None = None) -> list[Found]:
    return list(CopySearch(pictures, keys or [(None,)] * len(pictures)).pairs())


def tied(count: int, found: Sequence[Found]) -> list[int]:
    sets = UnionFind(count)
    for first, second, *_ in found:
        sets.join(first, second)
    return sets.roots()


def test_all_copies_of_every_picture_are_tied_and_no_others(prints: Prints) -> None:
    pictures = prints(range(5))
    found = search(pictures)
    assert tied(50, found) == [place // 10 * 10 for place in range(50)]
    assert all(first < second and -1 <= correlation <= 1 for first, second, correlation, _ in found)
    assert len({pair[:2] for pair in found}) == len(found)


def test_a_set_of_many_copies_is_tied_by_few_pairs(prints: Prints) -> None:
    pictures = prints([0]) * 10
    found = search(pictures)
    assert tied(100, found) == [0] * 100
    assert len(found) < 100 * 99 / 4


@settings(max_examples=10)
@given(st.permutations(range(30)))
def test_order_changes_nothing(prints: Prints, order: list[int]) -> None:
    pictures = prints(range(3))
    found = search([pictures[place] for place in order])
    roots = tied(30, found)
    assert {frozenset(order[at] // 10 for at in range(30) if roots[at] == root) for root in roots} == {
        frozenset({0}),
        frozenset({1}),
        frozenset({2}),
    }


def test_threads_change_nothing(prints: Prints, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = prints(range(3))
    results = []
    for threads in (1, 2, 7):
        monkeypatch.setattr("mri_tumor.dataset.decoding.thread_count", lambda count=threads: count)
        results.append(search(pictures))
    assert results[0] == results[1] == results[2]


def test_every_picture_meets_every_other_key_of_its_set(prints: Prints) -> None:
    pictures = prints([0]) * 4
    keys = [("train", "glioma")] * 38 + [("test", "glioma"), ("train", "none")]
    found = search(pictures, [{key} for key in keys])
    met: dict[int, set[tuple[str, str]]] = {place: {keys[place]} for place in range(40)}
    for first, second, *_ in found:
        met[first].add(keys[second])
        met[second].add(keys[first])
    assert all(len(held) == 3 for held in met.values())


def test_where_the_nearest_is_no_copy_the_next_is_tried(
    prints: Prints, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = prints([0])
    keys = [{"other"}] * 7 + [{"crop"}] * 3
    partners = {second for first, second, *_ in search(pictures, keys) if first == 0 and second >= 7}
    assert partners
    refused = {0, *partners}

    def shown(image: np.ndarray) -> int:
        return next(
            place
            for place, picture in enumerate(pictures)
            if any(np.array_equal(image, turned(picture.content, way)) for way in WAYS)
        )

    def refusing(first: np.ndarray, second: np.ndarray, shift: np.ndarray) -> aligned.Aligned:
        both = {shown(first), shown(second)}
        return aligned.UNLIKE if 0 in both and both <= refused else compare(first, second, shift)

    compare = aligned.compare
    monkeypatch.setattr(aligned, "compare", refusing)
    found = {second for first, second, *_ in search(pictures, keys) if first == 0 and second >= 7}
    assert found
    assert not found & partners


def test_small_windows_find_the_same_sets(prints: Prints, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = prints(range(3))
    expected = tied(30, search(pictures))
    monkeypatch.setattr(searching, "_WINDOW", 3)
    assert tied(30, search(pictures)) == expected

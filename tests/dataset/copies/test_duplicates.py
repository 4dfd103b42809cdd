"""Fingerprints and near-duplicates."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.copies import search as searching
from mri_tumor.dataset.copies.duplicates import fingerprint, near_duplicates
from mri_tumor.dataset.groups import UnionFind

Picture = np.ndarray


def picture(seed: int, size: int = 120) -> Picture:
    """A bright blob of smooth noise, off the centre so that no flip is like another, with a black border."""
    rng = np.random.default_rng(seed)
    texture = cv2.resize(
        rng.uniform(60, 255, (7, 7)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, (size // 2 + 4, size // 2 - 6), (size // 3, size * 2 // 5), 20, 0, 360, 1, -1)
    return (np.clip(texture, 0, 255) * mask).astype(np.uint8)


def jpeg(image: Picture, quality: int) -> Picture:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def pairs(*images: Picture) -> list[tuple[int, int]]:
    return [
        (match.first, match.second) for match in near_duplicates([fingerprint(image) for image in images])
    ]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_every_flip_and_rotation_is_found(flip: bool, turns: int) -> None:
    image = picture(1)
    turned = np.rot90(image[:, ::-1] if flip else image, turns)
    assert pairs(image, picture(2), turned) == [(0, 2)]
    assert pairs(turned, image) == [(0, 1)]


@pytest.mark.parametrize(
    ("relation", "turn"),
    [
        ("same", lambda image: image),
        ("rotated by 90 degrees", lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ("rotated by 180 degrees", lambda image: cv2.rotate(image, cv2.ROTATE_180)),
        ("rotated by 270 degrees", lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ("mirrored left-right", lambda image: cv2.flip(image, 1)),
        ("mirrored top-bottom", lambda image: cv2.flip(image, 0)),
        (
            "mirrored and rotated by 90 degrees",
            lambda image: cv2.rotate(cv2.flip(image, 1), cv2.ROTATE_90_COUNTERCLOCKWISE),
        ),
        (
            "mirrored and rotated by 270 degrees",
            lambda image: cv2.rotate(cv2.flip(image, 1), cv2.ROTATE_90_CLOCKWISE),
        ),
    ],
)
def test_the_relation_says_how_the_second_is_got(relation: str, turn: Callable[[Picture], Picture]) -> None:
    image = picture(1)
    (match,) = near_duplicates([fingerprint(image), fingerprint(jpeg(turn(image), 60))])
    assert match.relation == relation


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 40),
        lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda image: cv2.resize(image, (200, 90)),
        lambda image: (image * 0.8).astype(np.uint8),
        lambda image: np.pad(image, ((30, 5), (0, 60))),
        lambda image: np.rot90(np.pad(jpeg(image, 60), 25)),
    ],
    ids=["quality 40", "half size", "stretched", "darker", "wider border", "all"],
)
def test_changed_copies_are_found(change: Callable[[Picture], Picture]) -> None:
    assert pairs(*(picture(seed) for seed in range(4)), change(picture(2))) == [(2, 4)]


def test_the_content_is_compared_as_well_as_the_whole() -> None:
    wider = np.pad(picture(1), ((0, 0), (0, 90)))
    whole = [fingerprint(image).thumbnails[0].astype(float).ravel() for image in (picture(1), wider)]
    assert np.corrcoef(*whole)[0, 1] < 0.9
    assert pairs(picture(1), wider) == [(0, 1)]


def test_other_pictures_are_not_found() -> None:
    assert pairs(*(picture(seed) for seed in range(40))) == []


def test_the_correlation_is_pearsons() -> None:
    first, second = picture(1), jpeg(picture(1), 30)
    ((_, _, found, _),) = near_duplicates([fingerprint(first), fingerprint(second)])
    views = zip(fingerprint(first).thumbnails, fingerprint(second).thumbnails, strict=True)
    expected = max(np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in views)
    assert found == pytest.approx(expected, abs=1e-4)
    assert 0.99 <= found <= 1


def test_flat_pictures_match_nothing() -> None:
    flat = [np.full((50, 50), level, np.uint8) for level in (0, 0, 100, 255)]
    speck = np.zeros((400, 400), np.uint8)
    speck[100, 100] = 255
    assert pairs(*flat, speck, speck.copy()) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (31, 33), (2000, 7)])
def test_any_shape_has_a_fingerprint(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert fingerprint(image).thumbnails.shape == (2, 32, 32)


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(0, 3))
def test_every_set_is_tied_together_however_many_pairs_are_looked_at_at_once(
    pairs_at_once: int, seed: int
) -> None:
    prints = [fingerprint(picture(number % 5 + 10 * seed)) for number in range(13)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_WINDOW", pairs_at_once)
        found = [(match.first, match.second) for match in near_duplicates(prints)]
    assert all(first < second and first % 5 == second % 5 for first, second in found)
    assert len(set(found)) == len(found)
    sets = UnionFind(13)
    for pair in found:
        sets.join(*pair)
    assert sets.roots() == [number % 5 for number in range(13)]


def test_nothing_to_compare() -> None:
    assert list(near_duplicates([])) == []
    assert list(near_duplicates([fingerprint(picture(1))])) == []


def test_pixels_tell_pictures_apart() -> None:
    image = picture(1)
    changed = image.copy()
    changed[60, 60] ^= 1
    prints = {fingerprint(one).pixels for one in (image, changed, image.reshape(60, 240))}
    assert len(prints) == 3
    assert fingerprint(np.asfortranarray(image)).pixels == fingerprint(image).pixels

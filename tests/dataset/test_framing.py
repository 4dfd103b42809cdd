import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.framing import content_box, find_head, letterbox, longest_run, stretched


def test_content_box_by_hand() -> None:
    image = np.zeros((20, 10), np.uint8)
    image[4:12, 2:9] = 31
    image[0, 0] = 255  # a speck: one pixel in ten of its row, one in twenty of its column
    assert content_box(image, threshold=30, coverage=11) == (4, 12, 2, 9)
    assert content_box(image, threshold=30, coverage=5) == (0, 12, 0, 9)
    assert content_box(image, threshold=31, coverage=11) == (0, 20, 0, 10)  # nothing: the whole picture


def test_coverage_counts_from_exactly_that_percentage() -> None:
    image = np.zeros((200, 200), np.uint8)
    image[20, :6] = image[40:60, :5] = 255
    image[40:60, 100] = 255
    assert content_box(image, threshold=30, coverage=3)[:2] == (20, 60)
    assert content_box(image, threshold=30, coverage=4)[:2] == (0, 200)
    assert find_head(image, threshold=30, coverage=1)[:2] == (40, 60)


def test_the_head_is_found_on_every_second_row_and_column() -> None:
    image = np.zeros((41, 61), np.uint8)
    image[7:30, 12:45] = 90
    assert find_head(image, threshold=30, coverage=5) == (8, 30, 12, 46)
    assert find_head(image, threshold=90, coverage=5) == (0, 41, 0, 61)


def test_the_box_ends_where_the_picture_does() -> None:
    assert find_head(np.full((41, 61), 90, np.uint8), threshold=30, coverage=5) == (0, 41, 0, 61)


@pytest.mark.parametrize(
    ("hits", "run"),
    [
        ("", None),
        ("0000", None),
        ("1", (0, 1)),
        ("0110", (1, 3)),
        ("1101100111", (0, 5)),  # of equals the first
        ("1100111", (4, 7)),
        ("1" + "0" * 9 + "1" * 3 + "0" * 7, (10, 13)),
    ],
)
def test_longest_run_by_hand(hits: str, run: tuple[int, int] | None) -> None:
    assert longest_run(np.array([hit == "1" for hit in hits], bool)) == run


def test_long_sides_close_longer_gaps() -> None:
    hits = np.zeros(500, bool)
    hits[100:200] = hits[209:300] = hits[311:] = True
    assert longest_run(hits) == (100, 300)


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_run_begins_and_ends_with_a_hit_and_holds_the_longest_streak(hits: list[bool]) -> None:
    run = longest_run(np.array(hits))
    assert (run is None) == (not any(hits))
    if run is not None:
        assert hits[run[0]]
        assert hits[run[1] - 1]
        streaks = "".join("1" if hit else "0" for hit in hits).split("0")
        assert run[1] - run[0] >= max(map(len, streaks))


def test_stretching_to_the_same_size_changes_nothing() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(stretched(image, 8), image)


@pytest.mark.parametrize(("shape", "box"), [((8, 16), (4, 12, 0, 16)), ((32, 8), (0, 16, 6, 10))])
def test_letterbox_keeps_proportions_and_centres(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = box
    expected = np.zeros((16, 16), np.uint8)
    expected[top:bottom, left:right] = 200
    np.testing.assert_array_equal(letterbox(np.full(shape, 200, np.uint8), 16), expected)


def test_shrinking_averages_areas() -> None:
    checkers = (np.indices((32, 32)).sum(axis=0) % 2 * 200).astype(np.uint8)
    np.testing.assert_array_equal(letterbox(checkers, 16), np.full((16, 16), 100))


def test_growing_interpolates() -> None:
    grown = letterbox(np.array([[0, 100], [0, 100]], np.uint8), 4)
    np.testing.assert_array_equal(grown, [[0, 25, 75, 100]] * 4)

"""Arrays to pictures: what is drawn, and that the same is the same file."""

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from mri_tumor import LABELS
from mri_tumor.plots import confusion, curves, dots, grid, png, ranked, reliability, save


def pictures(count: int) -> list[np.ndarray]:
    return [np.full((8, 6), 10 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize(("count", "columns", "rows"), [(25, 5, 5), (3, 5, 1), (6, 4, 2), (1, 1, 1)])
def test_grid(count: int, columns: int, rows: int) -> None:
    figure = grid(pictures(count), [f"t{n}" for n in range(count)], columns=columns, caption="all")
    assert len(figure.axes) == rows * columns
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == [f"t{n}" for n in range(count)]
    assert [int(axes.images[0].get_array()[0, 0]) for axes in drawn] == [10 * n for n in range(count)]
    assert {axes.images[0].get_clim() for axes in drawn} == {(0, 255)}
    assert figure.get_suptitle() == "all"


def test_grid_takes_a_channel_of_one() -> None:
    figure = grid(np.zeros((2, 8, 8, 1), np.uint8), columns=2)
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [(8, 8)] * 2


def test_curves() -> None:
    history = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "accuracy": [0.2, 0.8]}
    loss, accuracy = curves(history, best_epoch=1).axes
    assert [list(line.get_ydata()) for line in loss.lines[:2]] == [[2.0, 1.0], [2.5, 1.5]]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation", "kept"]
    assert list(loss.lines[2].get_xdata()) == [1, 1]
    assert len(accuracy.lines) == 2
    assert len(png(curves({}))) > 0


def test_confusion() -> None:
    matrix = np.array([[5, 0, 0, 1], [0, 7, 0, 0], [0, 0, 0, 0], [2, 0, 0, 9]])
    (axes,) = confusion(matrix, LABELS, title="validation").axes
    assert [text.get_text() for text in axes.texts] == [str(value) for value in matrix.ravel()]
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "No tumour"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.images[0].get_array()[0, 0] == pytest.approx(5 / 6)
    # Row: true class, column: predicted.
    assert axes.texts[3].get_position() == (3, 0)


def test_reliability() -> None:
    curve = ([0.5, 0.9], [0.4, 0.95], [10, 30])
    (axes,) = reliability({"before": curve, "after": curve}, title="held out").axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["as sure as right", "before (40 pictures)", "after (40 pictures)"]
    first = axes.containers[0]
    assert list(first.lines[0].get_ydata()) == [0.4, 0.95]
    low, high = first.lines[2][0].get_segments()[0][:, 1]
    assert (low + high) / 2 == pytest.approx(0.4)
    assert high - low == pytest.approx(2 * (0.4 * 0.6 / 10) ** 0.5)
    assert axes.get_ylim()[0] == pytest.approx(0.35)
    assert axes.get_title() == "held out"
    assert len(png(reliability({}))) > 0


def test_save_writes_a_whole_png(tmp_path: Path) -> None:
    save(grid(pictures(2)), tmp_path / "new" / "grid.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["grid.png"]
    assert cv2.imread(str(tmp_path / "new" / "grid.png")).std() > 0


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert png(grid(pictures(3))) == png(grid(pictures(3)))
    assert png(grid(pictures(3))) != png(grid(pictures(4)))


def test_no_global_state_is_touched() -> None:
    before = dict(mpl.rcParams)
    png(confusion(np.eye(4, dtype=int), LABELS))
    assert dict(mpl.rcParams) == before


def test_ranked() -> None:
    line = (np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0]))
    left, right = ranked({"none": line}, {"none": line}, LABELS, title="all").axes
    assert [list(drawn.get_ydata()) for drawn in left.lines] == [[0, 1], [0.0, 1.0, 1.0]]
    assert right.lines[0].get_drawstyle() == "steps-pre"
    # A class has one colour in every figure, also where others are missing.
    both = ranked({"glioma": line, "none": line}, {}, LABELS).axes[0]
    assert both.lines[2].get_color() == left.lines[1].get_color() == right.lines[0].get_color()
    assert len(png(ranked({}, {}, LABELS))) > 0


def test_dots() -> None:
    marks = {"all": [(0.5, 0.4, 0.6), None], "clean": [(0.2, None, None), (0.3, 0.1, 0.4)]}
    (axes,) = dots(["model", "floor"], marks, xlabel="accuracy").axes
    assert [list(drawn.get_offsets()[:, 0]) for drawn in axes.collections] == [[0.5], [0.2, 0.3]]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.4, 0.6], [0.1, 0.4]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["model", "floor"]

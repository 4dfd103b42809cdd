"""Phantoms: pure functions of their arguments, patients that differ, copies that the audit finds."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.audit import audit
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.phantom import make_phantoms, phantom
from mri_tumor.dataset.phantom.anatomy import LEVELS, Head, paint_head
from mri_tumor.dataset.phantom.canvas import Brush, Frame, at_angle, oval, ripples
from mri_tumor.dataset.phantom.scanner import Scanner
from mri_tumor.dataset.phantom.tumour import paint_tumour
from mri_tumor.errors import ArgumentError, CatalogError
from mri_tumor.labels import LABELS

PER_CLASS, SIZE = 20, 96
FRAME = Frame((128, 128), 52.0, 0.1, (64.0, 66.0))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "set"
    make_phantoms(folder, per_class=PER_CLASS, size=SIZE)
    return folder


@pytest.fixture(scope="module")
def catalog(written: Path) -> Catalog:
    return scan(written, groups=written / "groups.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def thumbnail(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel().astype(float)


def painted(label: str, level: str, seed: int) -> tuple[Head, np.ndarray, np.ndarray]:
    """Return a head with a tumour, and where that brightened and darkened it."""
    plain = paint_head(np.random.default_rng(seed), level, FRAME, 0.0)
    head = paint_head(np.random.default_rng(seed), level, FRAME, 0.0)
    paint_tumour(np.random.default_rng(seed + 1), label, head, 0.0)
    change = head.image - plain.image
    return head, change > 25, change < -15


def offsets(mask: np.ndarray) -> np.ndarray:
    """Return the mean place of a mask in head coordinates."""
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows], axis=1).mean(axis=0) - FRAME.centre
    return points @ np.linalg.inv(FRAME.matrix)


@pytest.mark.parametrize("label", LABELS)
def test_the_same_arguments_give_the_same_picture_and_others_another(label: str) -> None:
    first = phantom(label, patient=5, size=SIZE)
    assert first.shape == (SIZE, SIZE)
    assert first.dtype == np.uint8
    assert np.array_equal(first, phantom(label, patient=5, size=SIZE))
    for change in ({"patient": 6}, {"slice_": 1}, {"seed": 1}):
        other = phantom(label, **{"patient": 5, "size": SIZE} | change)
        assert np.mean(first != other) > 0.2


def test_the_number_of_threads_does_not_count() -> None:
    threads = cv2.getNumThreads()
    try:
        pictures = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            pictures.append([phantom(label, patient=2, size=256) for label in LABELS])
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(*pictures)


def test_a_smaller_picture_shows_the_same_head() -> None:
    large, small = phantom("none", patient=9, size=256), phantom("none", patient=9, size=64)
    assert np.corrcoef(thumbnail(large), thumbnail(small))[0, 1] > 0.98


def test_slices_of_a_patient_are_more_alike_than_patients() -> None:
    first = [thumbnail(phantom("glioma", patient=p, size=64)) for p in range(8)]
    next_ = [thumbnail(phantom("glioma", patient=p, slice_=1, size=64)) for p in range(8)]
    alike = np.corrcoef(first, next_)[:8, 8:]
    assert (alike.argmax(axis=1) == np.arange(8)).all()


def test_heads_do_not_depend_on_the_class() -> None:
    for patient in range(4):
        glioma, none, other = (
            thumbnail(phantom(label, patient=p, size=64))
            for label, p in (("glioma", patient), ("none", patient), ("none", patient + 20))
        )
        assert np.corrcoef(glioma, none)[0, 1] > np.corrcoef(glioma, other)[0, 1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"label": "cat"}, "label"),
        ({"patient": -1}, "patient"),
        ({"patient": 1.5}, "patient"),
        ({"slice_": True}, "slice_"),
        ({"size": 31}, "size"),
        ({"size": 1025}, "size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], named: str) -> None:
    arguments = {"label": "glioma", "patient": 0} | change
    with pytest.raises(ArgumentError, match=named):
        phantom(arguments.pop("label"), **arguments)


@pytest.mark.parametrize("level", ["orbits", "sella"])
def test_pituitary_tumours_are_bright_small_and_in_the_midline(level: str) -> None:
    for seed in range(6):
        head, bright, _ = painted("pituitary", level, seed)
        x, y = offsets(bright)
        assert abs(x) < 0.08
        assert -0.3 < y < 0.1
        assert 20 < bright.sum() < 0.1 * head.cavity.sum()


@pytest.mark.parametrize("level", LEVELS)
def test_meningiomas_are_bright_and_reach_the_skull_or_the_falx(level: str) -> None:
    for seed in range(6):
        head, bright, dark = painted("meningioma", level, seed)
        inside = cv2.erode(head.cavity.astype(np.uint8), np.ones((7, 7), np.uint8))
        rows, columns = np.nonzero(bright)
        across = (np.stack([columns, rows], axis=1) - FRAME.centre) @ np.linalg.inv(FRAME.matrix)
        assert (bright & (inside == 0)).any() or np.abs(across[:, 0]).min() < 0.05
        assert bright.sum() > 100
        assert bright.sum() > dark.sum()


@pytest.mark.parametrize("level", LEVELS)
def test_gliomas_lie_in_the_brain_with_bright_and_dark_parts(level: str) -> None:
    for seed in range(6):
        head, bright, dark = painted("glioma", level, seed)
        assert dark.sum() > 50
        assert bright.sum() > 10
        assert np.mean(head.cavity[bright | dark]) > 0.97


def test_no_tumour_changes_nothing() -> None:
    _, bright, dark = painted("none", "sella", 0)
    assert not bright.any()
    assert not dark.any()


def test_every_slice_of_a_tumour_shows_it() -> None:
    for slice_ in range(7):
        with_, without = (
            phantom(x, patient=3, slice_=slice_, size=128).astype(int) for x in ("meningioma", "none")
        )
        assert (cv2.blur((with_ - without).astype(np.float32), (5, 5)) > 25).sum() > 60


def test_counts_splits_and_groups(catalog: Catalog, written: Path) -> None:
    assert Counter(catalog.labels) == dict.fromkeys(LABELS, PER_CLASS)
    assert Counter(catalog.splits) == {"Training": 4 * PER_CLASS * 0.8, "Testing": 4 * PER_CLASS * 0.2}
    assert None not in catalog.groups
    slices = Counter(record.group for record in catalog)
    assert max(slices.values()) > 1
    assert len(slices) > PER_CLASS
    assert len({(r.group, r.label) for r in catalog}) == len(slices)
    assert (written / "groups.csv").read_text().startswith("path,group\nTraining/glioma_tumor/")


def test_only_planted_pictures_share_a_patient_with_training(catalog: Catalog) -> None:
    training = set(catalog.select(split="Training").groups)
    shared = {r.id for r in catalog.select(split="Testing") if r.group in training}
    assert shared == {i for i in catalog.ids if i.startswith("Testing/") and i[-5].isalpha()}
    assert len(shared) == 2


def test_the_audit_finds_what_is_planted_and_nothing_else(catalog: Catalog) -> None:
    patients = dict(zip(catalog.ids, catalog.groups, strict=True))
    report = audit(Catalog([r.__class__(r.id, r.path, r.label, None, r.split, r.digest) for r in catalog]))
    training = set(catalog.select(split="Training").groups)
    planted = {r.id for r in catalog.select(split="Testing") if r.group in training}
    assert set(report.leaked_ids) == planted
    assert {leak.kind for leak in report.leaks} == {"pixel-identical", "near-duplicate"}
    assert not report.conflicts
    together: dict[str, set[str]] = {}
    for id_, group in report.groups.items():
        together.setdefault(group, set()).add(str(patients[id_]))
    assert all(len(found) == 1 for found in together.values())
    for copy in (i for i in catalog.ids if i[-5].isalpha()):
        folder, name = copy.rsplit("/", 1)
        original = f"{folder.replace('Testing', 'Training')}/{name.rsplit('-', 1)[0]}.png"
        assert report.groups[copy] == report.groups[original]


def test_the_same_arguments_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "again", per_class=PER_CLASS, size=SIZE)
    assert contents(tmp_path / "again") == contents(written)


def test_more_pictures_are_the_same_and_others(written: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "few", per_class=8, size=SIZE)
    few, many = contents(tmp_path / "few"), contents(written)
    shared = [name for name in few if name in many and name != "groups.csv"]
    assert len(shared) > 20
    assert all(few[name] == many[name] for name in shared)


def test_sizes_vary_by_patient_and_not_by_class(catalog: Catalog) -> None:
    shapes: dict[str | None, set[tuple[int, ...]]] = {}
    for record in catalog.select(where=lambda r: "resized" not in r.id):
        shapes.setdefault(record.group, set()).add(cv2.imread(str(record.path), cv2.IMREAD_GRAYSCALE).shape)
    assert all(len(found) == 1 for found in shapes.values())
    sides = np.array([next(iter(found)) for found in shapes.values()])
    assert sides.min() >= round(0.9 * SIZE)
    assert sides.max() <= round(1.1 * SIZE)
    assert len(np.unique(sides[:, 0])) > 5


@pytest.mark.parametrize("per_class", [5, 6])
def test_a_tiny_set_has_its_copies_and_a_leak(per_class: int, tmp_path: Path) -> None:
    catalog = make_phantoms(tmp_path / "set", per_class=per_class, size=32, test_share=0.1)
    assert Counter(catalog.labels) == dict.fromkeys(LABELS, per_class)
    kinds = Counter((record.split, record.id[:-4].rsplit("-", 1)[1]) for record in catalog)
    assert [kinds["Training", kind] for kind in ("exact", "mirrored", "rescaled", "resized")] == [1] * 4
    assert kinds["Testing", "exact"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"per_class": 4},
        {"test_share": 0.0},
        {"test_share": 1.0},
        {"test_share": "0.2"},
        {"size": 10},
        {"seed": -1},
    ],
)
def test_bad_numbers_write_nothing(change: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=next(iter(change))):
        make_phantoms(tmp_path / "set", **change)
    assert not (tmp_path / "set").exists()


def test_phantoms_are_replaced(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "set", per_class=6, size=32)
    (tmp_path / "set" / ".DS_Store").write_bytes(b"left by a file browser")
    again = make_phantoms(tmp_path / "set", per_class=5, size=32)
    assert len(again) == 20
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("name", ["notes.txt", "Training/glioma_tumor/mine.png"])
def test_a_folder_with_anything_else_is_refused(name: str, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "set", per_class=5, size=32)
    (tmp_path / "set" / name).write_bytes(b"mine")
    before = contents(tmp_path / "set")
    with pytest.raises(CatalogError, match=Path(name).name):
        make_phantoms(tmp_path / "set", per_class=5, size=32)
    assert contents(tmp_path / "set") == before


def test_a_folder_with_a_table_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("path,group\nmine.png,1\n")
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(CatalogError, match="something else"):
        make_phantoms(tmp_path, per_class=5, size=32)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_a_file_in_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(CatalogError, match="set"):
        make_phantoms(tmp_path / "set", per_class=5, size=32)
    assert (tmp_path / "set").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert len(make_phantoms(tmp_path, per_class=5, size=32)) == 20


def test_a_frame_turns_shifts_and_scales() -> None:
    frame = Frame((100, 100), 40.0, np.pi / 2, (50.0, 60.0))
    assert frame.pixel((0.0, -1.0)) == pytest.approx((90.0, 60.0))
    window, dx, dy = frame.window((0.0, -1.0), 0.1)
    place = np.unravel_index(np.hypot(dx, dy).argmin(), dx.shape)
    assert (place[1] + window[1].start, place[0] + window[0].start) == (90, 60)
    assert dx[place] == pytest.approx(0, abs=1e-5)


def test_a_brush_paints_picture_and_brain_apart() -> None:
    brush = Brush(Frame((64, 64), 24.0, 0.0, (32.0, 32.0)))
    brush.fill(oval(0, 0, 1, 1), 99, brain=True)
    brush.fill(oval(0, 0, 0.5, 0.5), None, brain=False)
    assert brush.picture[32, 32] == 99
    assert (brush.brain[32, 32], brush.brain[32, 12]) == (0, 255)
    assert brush.picture[0, 0] == 0


def test_ripples_are_looked_up_by_angle() -> None:
    waves = ripples(np.random.default_rng(0), 0.2)
    outline = oval(0, 0, 1, 1, shape=waves)
    found = at_angle(waves, outline[:, :1].astype(np.float32), outline[:, 1:].astype(np.float32))
    assert found.ravel() == pytest.approx(np.hypot(*outline.T), abs=0.02)


def test_noise_of_a_scan_is_rician() -> None:
    scanner = Scanner(0.4, (0, 0), 0.0, 0.5, np.zeros((3, 3)), 5.0, np.arange(256, dtype=np.uint8))
    empty = scanner.scan(np.random.default_rng(0), np.zeros((128, 128), np.float32))
    full = scanner.scan(np.random.default_rng(0), np.full((128, 128), 100, np.float32))
    assert empty.mean() == pytest.approx(5 * np.sqrt(np.pi / 2), rel=0.05)  # Rayleigh
    assert full.mean() == pytest.approx(100 + 25 / 200, abs=0.3)
    assert full.std() == pytest.approx(5, rel=0.05)

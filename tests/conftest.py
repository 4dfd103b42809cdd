"""What all tests share: generated class folders, and the public pictures if they lie beside the checkout."""

import importlib.util
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# Before TensorFlow is imported anywhere: quiet, and the same on every run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import cv2
import numpy as np
import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the law it tests.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# A shell starts what runs in its background with interrupts ignored, and all its children so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("realdata") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="the public pictures are not beside this checkout"))
        # Looked for, not imported: imported as it is, OpenVINO reports its use, and its calls wait for that.
        needed = [name for mark in item.iter_markers("needs") for name in mark.args]
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"without {', '.join(missing)}"))


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `to_console` does to the library's logger: other tests read its lines elsewhere."""
    top = logging.getLogger("mri_tumor")
    before = (top.handlers[:], top.level, top.propagate)
    yield
    top.handlers[:], top.propagate = before[0], before[2]
    top.setLevel(before[1])


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of public pictures and weights; only for tests marked `realdata`."""
    return SHARED


def head(seed: int, size: tuple[int, int] = (96, 80)) -> np.ndarray:
    """Return a small uint8 picture (height, width): a bright textured ellipse on black, one a seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    picture = np.zeros((height, width), np.uint8)
    centre = (width // 2 + int(rng.integers(-4, 5)), height // 2 + int(rng.integers(-4, 5)))
    axes = (int(width * rng.uniform(0.3, 0.42)), int(height * rng.uniform(0.3, 0.42)))
    cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 30)), 0, 360, int(rng.integers(120, 220)), -1)
    texture = cv2.GaussianBlur(rng.normal(0, 60, (height, width)).astype(np.float32), (0, 0), 3) * 3
    return np.where(picture > 0, np.clip(picture + texture, 1, 255), 0).astype(np.uint8)


@pytest.fixture(scope="session")
def detailed() -> Callable[..., np.ndarray]:
    """Return a function that draws a head whose outline and inner details are drawn apart."""

    def draw(seed: int, *, outline: int = 0, side: int = 400) -> np.ndarray:
        rng = np.random.default_rng(seed)
        inside = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), side / 60)
        detail = 130 + 40 * inside / inside.std()
        mask = np.zeros((side, side), np.uint8)
        axes = (side * 2 // 5, side // 3 + outline)
        cv2.ellipse(mask, (side // 2, side // 2 - side // 20), axes, 20, 0, 360, 1, -1)
        return (np.clip(detail, 40, 255) * mask).astype(np.uint8)

    return draw


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes `per_class` pictures a class under `root/<split>/<folder>/NNN.png`."""

    def make(
        per_class: int = 4,
        folders: tuple[str, ...] = ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"),
        split: str = "",
        seed: int = 0,
        suffix: str = ".png",
        name: str = "pictures",
    ) -> Path:
        root = tmp_path / name
        for label, folder in enumerate(folders):
            place = root / split / folder
            place.mkdir(parents=True, exist_ok=True)
            for number in range(per_class):
                picture = head(seed * 100_000 + label * 1000 + number)
                (place / f"{number:03d}{suffix}").write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
        return root

    return make

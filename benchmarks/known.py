"""How well `dataset.known` recognises copies: as they are, at JPEG quality 40, at half size.

    python benchmarks/known.py

Pictures are changed in memory; phantoms, and each set's pictures against the other set's, show false ones.
"""

import csv
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mri_tumor import dataset
from mri_tumor.dataset.known import ALIKE
from mri_tumor.dataset.public.fingerprints import perceptual_hash
from mri_tumor.dataset.public.known_tables import SETS, known_pictures
from mri_tumor.files import whole_file

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results" / "known.csv"
LIMITS = (8, 16, 24, 32, 40)


def quality40(image: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def half(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR)


def hashed(images: list[np.ndarray]) -> np.ndarray:
    return np.array([list(bytes.fromhex(perceptual_hash(image))) for image in images], np.uint8)


def distances(seen: np.ndarray, table: np.ndarray) -> np.ndarray:
    return np.array([np.bitwise_count(table ^ row).sum(axis=1) for row in seen])


def main() -> None:
    pictures = [picture for source in SETS for picture in known_pictures(source)]
    table = np.array([list(bytes.fromhex(picture.looks)) for picture in pictures], np.uint8)
    pixels, groups = [np.array([getattr(p, name) for p in pictures]) for name in ("pixels", "group")]
    sources = np.array([p.source for p in pictures])
    blocks = np.array([p.block or f"{p.source} {p.group}" for p in pictures])
    rows = []
    for name in SETS:
        own = np.flatnonzero(sources == name)
        changed: dict[str, list[np.ndarray]] = {"quality 40": [], "half size": []}
        for at in own:
            image = dataset.read_image(DATA / name / pictures[at].id)
            changed["quality 40"].append(quality40(image))
            changed["half size"].append(half(image))
        for change, images in changed.items():
            apart = distances(hashed(images), table)
            nearest, best = apart.argmin(axis=1), apart.min(axis=1)
            same = (pixels[nearest] == pixels[own]) | (nearest == own)
            group = (blocks[nearest] == blocks[own]) | (groups[nearest] == groups[own])
            for limit in LIMITS:
                seen = best <= limit
                rows.append((name, change, limit, len(own), int(seen.sum()), int((seen & same).sum()),
                             int((seen & group).sum())))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        dataset.make_phantoms(folder, per_class=100, seed=0)
        apart = distances(hashed([dataset.read_image(p) for p in dataset.scan(folder).paths]), table).min(
            axis=1
        )
    rows += [("phantoms", "none", k, len(apart), int((apart <= k).sum()), 0, 0) for k in LIMITS]
    with whole_file(RESULTS) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("set", "change", "bits", "pictures", "recognised", "same_picture", "same_group"))
        out.writerows(rows)
    print("limit in use:", ALIKE)


if __name__ == "__main__":
    main()

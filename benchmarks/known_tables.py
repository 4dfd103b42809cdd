"""Make the shipped tables of known pictures from the original files.

    python benchmarks/known_tables.py

Only hashes, sizes, groups and flags are written, never a picture. The same files give the same bytes.
"""

import csv
import gzip
import io
from pathlib import Path

from mri_tumor.dataset import read_image
from mri_tumor.dataset.public.fingerprints import perceptual_hash, pixel_hash
from mri_tumor.files import sha256_of, whole_file

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TABLES = ROOT / "mri_tumor" / "dataset" / "public" / "known_pictures"
COLUMNS = ("id", "sha256", "size", "pixels", "looks", "group", "cluster", "figshare_block", "flags")
CONFLICTS = {f"Testing/glioma_tumor/image({number}).jpg" for number in (2, 48, 52)}
CT = "Testing/meningioma_tumor/image(91).jpg"


def main() -> None:
    write("sartaj", [(row["path"], *together(row), flags(row)) for row in rows("sartaj")])
    write("figshare", [(row["path"], row["block"], "", row["block"], "") for row in rows("figshare")])


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}_groups.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def together(row: dict[str, str]) -> tuple[str, str, str]:
    return row["group"], row["cluster"], row["figshare_block"]


def flags(row: dict[str, str]) -> str:
    source = row["figshare_class"]
    found = {
        "leaked": row["test_neardup_in_train"] == "1",
        "identical": row["test_pixel_identical_in_train"] == "1",
        "conflict": row["path"] in CONFLICTS,
        "not_mr": row["path"] == CT,
        "source_label": bool(source) and source != row["class"],
    }
    return " ".join(name for name, holds in found.items() if holds)


def write(name: str, pictures: list[tuple[str, str, str, str, str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for picture, *known in sorted(pictures):
        path = DATA / name / picture
        image = read_image(path)
        hashes = (sha256_of(path), path.stat().st_size, pixel_hash(image), perceptual_hash(image))
        table.writerow((picture, *hashes, *known))
    with whole_file(TABLES / f"{name}.csv.gz") as partial:
        partial.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main()

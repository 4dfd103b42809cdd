"""How well copies are found, and how seldom other pictures are taken for copies.

    python benchmarks/duplicates.py --data SARTAJ --groups SARTAJ_GROUPS.csv --figshare FIGSHARE

*Planted*: 1,000 pictures of each set (of sartaj the different ones) get one changed copy each (`planted.py`),
a change at a time, and are searched for together with the whole set. A copy is found if the pairs tie it to
its picture. Recall with its 95 % interval (Clopper and Pearson 1934).
*Other pictures*: every pair of two of figshare's 3064 slices is a pair of different pictures, neighbouring
slices of one patient among them. The details' threshold was chosen with them in sight; the odd-numbered
blocks of slices are a row of their own. The bound is the upper end of the one-sided 95 % interval.
*Known copies*: what is known of sartaj (`SARTAJ_GROUPS.csv`): identical pictures, test pictures with
near-duplicates in training, and the figshare slice that a picture is. Every further pair goes into
`--sheets FOLDER` as pictures to look at, with as many of those that were known as make 100; the verdicts are
in `results/duplicates_looked_at.csv`, from which precision is counted.
"""

import argparse
import csv
import logging
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from planted import MIXED, SINGLE, Change, changed
from sartaj import ROOT, SHARED
from scipy.stats import beta

from mri_tumor import dataset
from mri_tumor.dataset.copies.duplicates import Fingerprint, Match, fingerprint, near_duplicates
from mri_tumor.dataset.copies.pairs import same_pixels
from mri_tumor.dataset.groups import UnionFind
from mri_tumor.files import whole_file
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "duplicates.csv"
LOOKED_AT = ROOT / "benchmarks" / "results" / "duplicates_looked_at.csv"
COLUMNS = ("check", "set", "change", "of", "found", "rate", "low", "high", "unit", "command")
PLANTED = 1000
LOOKS = 100
EACH = 20  # pairs on a sheet
IDENTICAL = "test_pixel_identical_in_train"


def row(
    check: str, name: str, found: int, of: int, *, change: str = "", unit: str = "share"
) -> dict[str, Any]:
    """Return a row with a share's two-sided 95 % interval."""
    low = beta.ppf(0.025, found, of - found + 1) if found else 0.0
    high = beta.ppf(0.975, found + 1, of - found) if found < of else 1.0
    rate = {"rate": round(found / of, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return {"check": check, "set": name, "change": change, "of": of, "found": found, **rate, "unit": unit}


def false_row(name: str, found: int, pictures: int) -> dict[str, Any]:
    """Return a row of false pairs a million, with the upper end of the one-sided interval."""
    of = pictures * (pictures - 1) // 2
    high = 1e6 * float(beta.ppf(0.95, found + 1, of - found))
    rate = {"rate": round(1e6 * found / of, 3), "low": "", "high": round(high, 3)}
    return {
        "check": "other pictures",
        "set": name,
        "of": of,
        "found": found,
        **rate,
        "unit": "a million pairs",
    }


def prints_of(paths: Iterable[Path]) -> list[Fingerprint]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: fingerprint(dataset.read_image(path)), paths))


def planted(name: str, paths: Sequence[Path], prints: Sequence[Fingerprint]) -> Iterator[dict[str, Any]]:
    """Yield a row for each change."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(paths))[:PLANTED])
    for change, make in (SINGLE | MIXED).items():
        copies = copies_of([paths[place] for place in chosen], change, make)
        place_of = {len(prints) + at: int(place) for at, place in enumerate(chosen)}
        sets = UnionFind(len(prints) + len(copies))
        for match in near_duplicates([*prints, *copies]):
            sets.join(match.first, match.second)
        roots = sets.roots()
        found = sum(roots[place] == roots[copy] for copy, place in place_of.items())
        yield row("planted", name, found, len(copies), change=change)
        logger.info("%s, %s: %d of %d", name, change, found, len(copies))


def copies_of(paths: Sequence[Path], name: str, make: Change) -> list[Fingerprint]:
    def one(path: Path) -> Fingerprint:
        return fingerprint(changed(dataset.read_image(path), make, *f"{name}/{path.name}".encode()))

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, paths))


def others(rows: Sequence[dict[str, str]], prints: Sequence[Fingerprint]) -> Iterator[dict[str, Any]]:
    """Yield rows of pairs that were found among figshare's slices."""
    odd = [int(table["block"]) % 2 == 1 for table in rows]
    parts = {"figshare": [True] * len(odd), "figshare, odd blocks": odd}
    for name, inside in parts.items():
        part = [print_ for print_, wanted in zip(prints, inside, strict=True) if wanted]
        found = list(near_duplicates(part))
        logger.info("%s: %d pairs of %d pictures", name, len(found), len(part))
        yield false_row(name, len(found), len(part))


def known(
    rows: Sequence[dict[str, str]],
    prints: Sequence[Fingerprint],
    slices: Sequence[dict[str, str]],
    slice_prints: Sequence[Fingerprint],
) -> tuple[list[dict[str, Any]], list[Match]]:
    """Return rows of sartaj's known copies, and the pairs of different pixels that were found in it."""
    matches = list(near_duplicates(prints))
    sets = UnionFind(len(rows))
    sets.join_equal([print_.pixels for print_ in prints])
    for match in matches:
        sets.join(match.first, match.second)
    roots = sets.roots()
    trained = {root for root, own in zip(roots, rows, strict=True) if own["split"] == "Training"}
    leaked = [own["test_neardup_in_train"] == "1" for own in rows]
    hits = sum(root in trained for root, wanted in zip(roots, leaked, strict=True) if wanted)
    pixels = {print_.pixels for print_, own in zip(prints, rows, strict=True) if own["split"] == "Training"}
    tests = [(print_, own) for print_, own in zip(prints, rows, strict=True) if own["split"] == "Testing"]
    right = sum((print_.pixels in pixels) == (own[IDENTICAL] == "1") for print_, own in tests)
    found = [
        row("test pictures with identical pixels in training, or not", "sartaj", right, len(tests)),
        row("known near-duplicates of test pictures", "sartaj", hits, sum(leaked)),
        *across(rows, prints, slices, slice_prints),
    ]
    return found, [match for match in matches if prints[match.first].pixels != prints[match.second].pixels]


def across(
    rows: Sequence[dict[str, str]],
    prints: Sequence[Fingerprint],
    slices: Sequence[dict[str, str]],
    slice_prints: Sequence[Fingerprint],
) -> Iterator[dict[str, Any]]:
    """Yield rows: sartaj's pictures whose slice in figshare is known, searched for there."""
    sets = UnionFind(len(prints) + len(slice_prints))
    sets.join_equal([print_.pixels for print_ in (*prints, *slice_prints)])
    for match in near_duplicates([*prints, *slice_prints]):
        sets.join(match.first, match.second)
    roots = sets.roots()
    tied: dict[int, set[str]] = {}
    for root, own in zip(roots[len(prints) :], slices, strict=True):
        tied.setdefault(root, set()).add(Path(own["path"]).stem)
    source = [(tied.get(root, set()), own["figshare_file"]) for root, own in zip(roots, rows, strict=False)]
    certain = [(names, name) for names, name in source if name]
    yield row(
        "known slices of figshare", "sartaj", sum(name in names for names, name in certain), len(certain)
    )
    wrong = sum(bool(names - {name}) for names, name in certain)
    yield row("taken for another slice too", "sartaj", wrong, len(certain))


def sheets(folder: Path, rows: Sequence[dict[str, str]], data: Path, matches: Sequence[Match]) -> None:
    """Write the further pairs, and some known ones, as sheets of pictures side by side, and their list."""
    new = [match for match in matches if not same_cluster(rows, match)]
    old = [match for match in matches if same_cluster(rows, match)]
    drawn = np.random.default_rng(0).permutation(len(old))[: max(0, LOOKS - len(new))]
    shown = [*new, *(old[int(place)] for place in np.sort(drawn))]
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(shown), EACH):
        lines = [
            beside(rows, data, match, start + at) for at, match in enumerate(shown[start : start + EACH])
        ]
        half = -(-len(lines) // 2)
        lines += [np.zeros_like(lines[0])] * (2 * half - len(lines))
        sheet = np.hstack([np.vstack(lines[:half]), np.vstack(lines[half:])])
        (folder / f"{start:03d}.png").write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", "first", "second", "relation", "correlation", "known", "verdict"])
        for number, match in enumerate(shown):
            names = [rows[place]["path"] for place in match[:2]]
            known_pair = "yes" if same_cluster(rows, match) else ""
            writer.writerow([number, *names, match.relation, match.correlation, known_pair, ""])


def same_cluster(rows: Sequence[dict[str, str]], match: Match) -> bool:
    return rows[match.first]["cluster"] == rows[match.second]["cluster"]


def beside(rows: Sequence[dict[str, str]], data: Path, match: Match, number: int) -> np.ndarray:
    size = 220
    images = [cv2.resize(dataset.read_image(data / rows[place]["path"]), (size, size)) for place in match[:2]]
    line = np.zeros((24, 2 * size), np.uint8)
    text = f"{number}: {match.correlation:.3f} {match.relation}"
    cv2.putText(line, text, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return np.vstack([line, np.hstack(images)])


def looked_at() -> Iterator[dict[str, Any]]:
    """Yield rows of the verdicts on pairs that were looked at."""
    with LOOKED_AT.open(newline="", encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    for name, part in (("further", [pair for pair in pairs if not pair["known"]]), ("all", pairs)):
        right = sum(pair["verdict"] == "copy" for pair in part)
        yield row("looked at and a copy", "sartaj", right, len(part), change=f"{name} pairs")


def read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    to_console()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = SHARED / "data"
    parser.add_argument("--data", type=Path, default=data / "sartaj")
    parser.add_argument("--groups", type=Path, default=data / "sartaj_groups.csv")
    parser.add_argument("--figshare", type=Path, default=data / "figshare")
    parser.add_argument("--blocks", type=Path, default=data / "figshare_groups.csv")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures of the pairs; never commit them")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not (options.data.is_dir() and options.figshare.is_dir()):
        parser.exit(0, f"skipped: {options.data} or {options.figshare} is not there\n")
    rows, slices = read(options.groups), read(options.blocks)
    paths = [options.data / own["path"] for own in rows]
    slice_paths = [options.figshare / own["path"] for own in slices]
    prints, slice_prints = prints_of(paths), prints_of(slice_paths)
    found, matches = known(rows, prints, slices, slice_prints)
    if options.sheets:
        sheets(options.sheets, rows, options.data, matches)
    found += [*looked_at(), *others(slices, slice_prints), *planted("figshare", slice_paths, slice_prints)]
    first = [places[0] for places in same_pixels(dict(enumerate(prints)))]
    found += planted("sartaj", [paths[place] for place in first], [prints[place] for place in first])
    command = shlex.join(["python", "benchmarks/duplicates.py", *sys.argv[1:]])
    with whole_file(options.output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([measured | {"command": command} for measured in found])


if __name__ == "__main__":
    main()

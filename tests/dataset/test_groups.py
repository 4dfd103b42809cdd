"""Groups from mappings, tables and functions, and how two groupings join."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.groups import joined, read_groups
from mri_tumor.errors import ArgumentError, CatalogError

FOLDERS = ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file a class; scan never decodes, so any bytes do."""
    for name in FOLDERS:
        write(tmp_path / "set" / name / "a.png", name)
    return tmp_path / "set"


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


class TestGroups:
    def expected(self) -> dict[str, str]:
        return {f"{name}/a.png": name[0] for name in FOLDERS}

    def check(self, catalog: Catalog) -> None:
        assert dict(zip(catalog.ids, catalog.groups, strict=True)) == self.expected()

    def test_from_a_mapping_that_may_hold_more(self, folder: Path) -> None:
        self.check(scan(folder, groups=self.expected() | {"other.png": "z"}))

    def test_from_the_table_of_another_catalog(self, folder: Path, tmp_path: Path) -> None:
        scan(folder, groups=self.expected()).to_csv(tmp_path / "catalog.csv")
        self.check(scan(folder, groups=tmp_path / "catalog.csv"))

    def test_from_a_function(self, folder: Path) -> None:
        self.check(scan(folder, groups=lambda name: name[0]))

    def test_from_a_pattern(self, folder: Path) -> None:
        self.check(scan(folder, groups=re.compile("^(.)")))

    @pytest.mark.parametrize("column", ["path", "id"])
    @pytest.mark.parametrize("form", ["{}", "./{}"])
    def test_from_a_table(self, folder: Path, tmp_path: Path, column: str, form: str) -> None:
        lines = [f"other,{column},group", *(f"1,{form.format(k)},{v}" for k, v in self.expected().items())]
        table = write(tmp_path / "groups.csv", "\ufeff" + "\r\n".join(lines))
        self.check(scan(folder, groups=table))
        self.check(scan(folder, groups=str(table)))

    def test_from_a_table_of_windows_paths(self, folder: Path, tmp_path: Path) -> None:
        lines = ["path,group", *(f"{k},{v}".replace("/", "\\") for k, v in self.expected().items())]
        self.check(scan(folder, groups=write(tmp_path / "groups.csv", "\n".join(lines))))

    def test_numbers_are_names(self, folder: Path) -> None:
        assert set(scan(folder, groups=lambda _: 7).groups) == {"7"}

    @pytest.mark.parametrize("gap", [None, "", float("nan"), np.float32("nan"), np.datetime64("NaT")])
    def test_missing_pictures_are_named(self, folder: Path, gap: object) -> None:
        table = {**self.expected(), "no_tumor/a.png": gap}
        with pytest.raises(CatalogError, match=r"no group to 1 of 4 pictures: 'no_tumor/a\.png'"):
            scan(folder, groups=table)
        catalog = scan(folder, groups=self.expected())
        with pytest.raises(CatalogError, match="name none of the 4 pictures"):
            catalog.with_groups({"no_tumor/a.png": gap})
        both = catalog.with_groups({"no_tumor/a.png": gap, "glioma_tumor/a.png": "x"})
        assert both.groups == catalog.groups

    def test_only_the_first_missing_are_named(self, folder: Path) -> None:
        for number in range(10):
            write(folder / "glioma_tumor" / f"{number}.png")
        with pytest.raises(
            CatalogError, match=r"14 of 14 pictures: .* and 9 more; its own ids look like 'x'"
        ):
            scan(folder, groups={"x": "y"})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,group\na,b\n", "has the columns file, group"),
            ("path;group\na;b\n", "has the columns path;group"),
            ("", r"has the columns \(none\)"),
            (
                "path,group\nno_tumor/a.png,1\nno_tumor/a.png,2\n",
                r"row 3, gives 'no_tumor/a\.png' the group '2'",
            ),
        ],
    )
    def test_bad_tables(self, folder: Path, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(CatalogError, match=message):
            scan(folder, groups=write(tmp_path / "groups.csv", text))

    def test_a_table_that_cannot_be_read(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match=r"nowhere\.csv cannot be read"):
            scan(folder, groups=tmp_path / "nowhere.csv")
        (tmp_path / "latin.csv").write_bytes("path,group\nMüller,1".encode("latin-1"))
        with pytest.raises(CatalogError, match=r"latin\.csv cannot be read .*CSV file in UTF-8"):
            scan(folder, groups=tmp_path / "latin.csv")

    def test_another_type(self, folder: Path) -> None:
        with pytest.raises(ArgumentError, match="groups is a int"):
            scan(folder, groups=3)  # type: ignore[arg-type]


groupings = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *[st.lists(st.none() | st.sampled_from("abcdef"), min_size=size, max_size=size) for _ in range(2)]
    )
)


@given(groupings)
def test_joined_groups_are_the_finest_that_hold_both(pair: tuple[list[str | None], list[str | None]]) -> None:
    result = joined(*pair)
    size = len(result)

    def linked(i: int, j: int) -> bool:
        return i == j or any(names[i] is not None and names[i] == names[j] for names in pair)

    reach = [[linked(i, j) for j in range(size)] for i in range(size)]
    for middle in range(size):
        for i in range(size):
            for j in range(size):
                reach[i][j] |= reach[i][middle] and reach[middle][j]
    for i in range(size):
        assert (result[i] is None) == (pair[0][i] is None and pair[1][i] is None)
        for j in range(size):
            assert ((result[i] == result[j] and result[i] is not None) or i == j) == reach[i][j]


@given(groupings)
def test_joining_again_changes_nothing(pair: tuple[list[str | None], list[str | None]]) -> None:
    once = joined(*pair)
    assert joined(once, pair[1]) == once


def test_a_pattern_takes_its_named_or_first_group_and_names_what_does_not_match() -> None:
    ids = ["glioma/p1_2.png", "glioma/p2_1.png"]
    assert list(read_groups(re.compile(r"(p\d+)_"), ids).values()) == ["p1", "p2"]
    assert list(read_groups(re.compile(r"(.)/(?P<group>p\d+)"), ids).values()) == ["p1", "p2"]
    with pytest.raises(CatalogError, match=r"p2_1\.png"):
        read_groups(re.compile(r"(p1)_"), ids)
    with pytest.raises(ArgumentError, match="no group"):
        read_groups(re.compile("p"), ids)

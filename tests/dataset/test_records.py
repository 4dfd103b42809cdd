"""Catalogs to CSV tables and back."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.errors import CatalogError

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


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
somewhere = st.builds(
    Record,
    id=names,
    path=names.map(lambda name: Path("/pictures") / name.replace("/", "_")),
    label=st.sampled_from(LABELS),
    group=st.none() | names,
    split=st.none() | names,
    digest=st.text("0123456789abcdef", max_size=8),
)


class TestCsv:
    @given(st.lists(somewhere, max_size=8, unique_by=lambda record: record.id))
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, content: list[Record]) -> None:
        path = tmp_path_factory.mktemp("csv") / "catalog.csv"
        Catalog(content).to_csv(path)
        assert Catalog.from_csv(path) == Catalog(content)

    def test_pictures_that_moved(self, folder: Path, tmp_path: Path) -> None:
        write(folder / "glioma_tumor" / unicodedata.normalize("NFD", "é (1).png"))
        catalog = scan(folder)
        catalog.to_csv(tmp_path / "catalog.csv")
        moved = folder.rename(tmp_path / "moved")
        again = Catalog.from_csv(tmp_path / "catalog.csv", moved)
        assert again.digest == catalog.digest
        assert all(path.is_file() and path.is_relative_to(moved) for path in again.paths)

    def test_relative_paths_are_written_whole(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        scan(".").to_csv("catalog.csv")
        monkeypatch.chdir("/")
        assert all(path.is_file() for path in Catalog.from_csv(folder / "catalog.csv").paths)

    def test_a_table_with_the_needed_columns_alone(self, tmp_path: Path) -> None:
        table = write(tmp_path / "t.csv", "label,id,path\nnone,a,/p/a.png\n")
        assert list(Catalog.from_csv(table)) == [Record("a", Path("/p/a.png"), "none")]

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match="lacks the columns path, label"):
            Catalog.from_csv(write(tmp_path / "t.csv", "id,group\na,b\n"))
        with pytest.raises(CatalogError, match=r"gone\.csv cannot be read"):
            Catalog.from_csv(tmp_path / "gone.csv")
        table = write(tmp_path / "t.csv", "label,id,path\ncat,a,/p/a.png\n")
        with pytest.raises(CatalogError, match="'cat'"):
            Catalog.from_csv(table)
        assert len(Catalog.from_csv(table, classes=("cat",))) == 1
        with pytest.raises(CatalogError, match=r"the root .*gone is not a folder"):
            Catalog.from_csv(table, tmp_path / "gone", classes=("cat",))

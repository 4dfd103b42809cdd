"""Groups by patient: found by themselves, joined with others, and hidden wherever anything is written."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import dataset
from mri_tumor.dataset import patients
from mri_tumor.dataset.patients import PUBLIC_SALT, group_hash, identity_of, patient_groups
from mri_tumor.errors import ArgumentError

Make = Callable[..., bytes]
CLASSES = ("glioma", "none")
NAME, ID = "Roentgen^Wilhelmine", "WR-18950212"  # as conftest writes them
UID = "1.2.3.5"


def head(seed: int) -> np.ndarray:
    """Return a noisy disc on black, int16 (96, 80)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1:1:96j, -1:1:80j]
    disc = (rows / 0.8) ** 2 + (columns / 0.7) ** 2 < 1
    return np.where(disc, rng.normal(600, 150, disc.shape), 0).astype(np.int16)


@pytest.fixture
def make_set(make_dicom: Make, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes files of the tags given, the even ones glioma, the odd ones none."""

    def make(*tags: dict, name: str = "set", suffix: str = ".dcm") -> Path:
        for number, values in enumerate(tags):
            folder = tmp_path / name / CLASSES[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:02d}{suffix}").write_bytes(make_dicom(head(number), **values))
        return tmp_path / name

    return make


def groups_of(root: Path, **options: object) -> list[str | None]:
    """Return the groups in the order in which the files were made."""
    catalog = dataset.scan(root, CLASSES, **options)  # type: ignore[arg-type]
    by_name = sorted(catalog, key=lambda record: record.path.name)
    return [record.group for record in by_name]


@pytest.mark.parametrize("suffix", ["", ".1.2.840.7"])
def test_files_named_as_scanners_do_are_found_and_grouped(make_set: Callable[..., Path], suffix: str) -> None:
    root = make_set({"PatientID": "a"}, {"PatientID": "b"}, {"PatientID": "a"}, suffix=suffix)
    (root / "none" / "DICOMDIR").write_bytes((root / "none" / f"01{suffix}").read_bytes())
    (root / "none" / "notes").write_text("no picture")
    first, second, third = groups_of(root)
    assert first == third != second
    report = dataset.audit(dataset.scan(root, CLASSES))
    assert not [finding for finding in report.files if finding.kind in ("mistyped", "unreadable")]


def test_a_hash_is_the_same_everywhere() -> None:
    assert group_hash("patient 4MR1", PUBLIC_SALT) == "dbf4887f4740a63e"
    assert group_hash("patient 4MR1", "x") != group_hash("patient 4MR1", PUBLIC_SALT)


@pytest.mark.parametrize("salt", ["", None, 3, b"bytes"])
def test_bad_salts(salt: object) -> None:
    with pytest.raises(ArgumentError, match="salt"):
        group_hash("patient 1", salt)  # type: ignore[arg-type]


def test_pictures_of_one_patient_are_one_group(make_set: Callable[..., Path]) -> None:
    first, second, third, fourth = groups_of(
        make_set({"PatientID": "a"}, {"PatientID": "b"}, {"PatientID": "a"}, {"PatientID": "a "})
    )
    assert first == third == fourth
    assert first != second


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS", "Anonymized", "0", None])
def test_the_study_stands_in_for_an_empty_id(make_set: Callable[..., Path], nobody: str | None) -> None:
    first, second, third, fourth = groups_of(
        make_set(
            {"PatientID": nobody, "StudyInstanceUID": "1.1"},
            {"PatientID": nobody, "StudyInstanceUID": "1.2"},
            {"PatientID": nobody, "StudyInstanceUID": "1.1"},
            {"PatientID": nobody, "StudyInstanceUID": None},
        )
    )
    assert first == third
    assert first != second
    assert fourth is None


def test_they_are_joined_with_groups_from_outside(make_set: Callable[..., Path]) -> None:
    root = make_set({"PatientID": "a"}, {"PatientID": "b"}, {"PatientID": "a"}, {"PatientID": "c"})
    given = {"00": "p1", "01": "p2", "02": "p3", "03": "p2"}
    groups = groups_of(root, groups=lambda name: given[Path(name).stem])
    assert groups == ["p1", "p2", "p1", "p2"]


def test_other_pictures_have_no_patient(make_folder: Callable[..., Path]) -> None:
    assert set(dataset.scan(make_folder()).groups) == {None}


def test_a_file_that_is_no_dicom_has_none(make_set: Callable[..., Path]) -> None:
    root = make_set({}, {})
    (root / "glioma/00.dcm").write_bytes(b"not a DICOM file")
    (root / "none/03.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    assert [group is None for group in groups_of(root)] == [True, False, True]


@pytest.mark.parametrize("suffix", [".dcm", ".dicom", ".DCM"])
def test_suffixes(make_set: Callable[..., Path], suffix: str) -> None:
    assert None not in groups_of(make_set({}, {}, suffix=suffix))


def test_a_secret_salt_gives_other_groups_and_says_nothing(
    make_set: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = make_set({"PatientID": "a"}, {"PatientID": "b"})
    public = groups_of(root)
    assert "salt='a secret of your own'" in caplog.text
    caplog.clear()
    assert not set(groups_of(root, salt="ours")) & set(public)
    assert "salt" not in caplog.text


def test_two_scans_agree_so_that_leaks_are_found(make_set: Callable[..., Path]) -> None:
    train = make_set({"PatientID": "a"}, {"PatientID": "b"})
    test = make_set({"PatientID": "b"}, {"PatientID": "c"}, name="test")
    assert len(set(groups_of(train)) & set(groups_of(test))) == 1


def test_each_patient_is_hashed_once(make_set: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    patients._scrypt.cache_clear()
    scrypt = patients.hashlib.scrypt
    monkeypatch.setattr(
        patients.hashlib, "scrypt", lambda *values, **options: calls.append(1) or scrypt(*values, **options)
    )
    groups_of(make_set(*[{"PatientID": str(number % 2) * 3} for number in range(8)]))
    assert len(calls) == 2


def test_only_a_beginning_of_the_file_is_read(make_dicom: Make) -> None:
    data = make_dicom(np.zeros((100, 100), np.int16))
    assert identity_of(data[:1000], "x") == identity_of(data, "x") == f"patient {ID}"
    for syntax in ("ImplicitVRLittleEndian", "ExplicitVRBigEndian", "DeflatedExplicitVRLittleEndian"):
        assert identity_of(make_dicom(head(0), syntax=syntax)[:-900], "x") == f"patient {ID}"


def test_nothing_to_ask(tmp_path: Path) -> None:
    assert patient_groups([tmp_path / "a.png", tmp_path / "b.jpg"], PUBLIC_SALT) == [None, None]


def test_nobody_is_in_what_is_written(make_set: Callable[..., Path], tmp_path: Path) -> None:
    root = make_set(*[{"BurnedInAnnotation": "NO"}] * 6)
    out = tmp_path / "out"
    catalog = dataset.scan(root, CLASSES)
    report = dataset.audit(catalog)
    (out / "tables").mkdir(parents=True)
    catalog.to_csv(out / "tables/catalog.csv")
    report.to_csv(out / "tables/audit.csv")
    report.to_html(out / "audit.html")
    dataset.write_tfrecords(catalog, out / "shards", preprocess=dataset.Preprocess(size=32))
    dataset.read_slices(root / "glioma/00.dcm").to_png(out / "png")
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) >= 6
    secrets = (NAME, *NAME.split("^"), ID, UID, "1.2.3.6", "DICM")
    for path in written:
        content = path.read_bytes() + path.name.encode()
        for secret in secrets:
            assert secret.encode() not in content, (path.name, secret)


def test_an_audit_of_a_folder_with_dicom(make_set: Callable[..., Path], make_dicom: Make) -> None:
    root = make_set(*[{"PatientID": str(number)} for number in range(6)])
    (root / "glioma/ct.dcm").write_bytes(make_dicom(head(7), Modality="CT"))
    (root / "none/typed.png").write_bytes(make_dicom(head(8)))
    (root / "none/wrong.dcm").write_bytes((root / "none/typed.png").read_bytes()[:300])
    report = dataset.audit(dataset.scan(root, CLASSES))
    found = {(finding.id, finding.kind) for finding in report.files}
    assert found == {
        ("glioma/ct.dcm", "unreadable"),
        ("none/typed.png", "mistyped"),
        ("none/wrong.dcm", "unreadable"),
    }

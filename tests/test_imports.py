"""One direction between the rooms, cheap imports, and public names that are what they say."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mri_tumor
from mri_tumor import cloud, dataset, models

PACKAGE = Path(mri_tumor.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "examples" not in path.relative_to(PACKAGE).parts)

FLOOR = ("_lazy", "errors", "files", "labels", "manifest", "page", "plots", "progress")
ROOMS = ("floor", "dataset", "models", "cloud", "roof")
ROOM_OF = {"dataset": "dataset", "models": "models", "cloud": "cloud", "report": "roof", "cli": "roof"}

HEAVY = {
    "tensorflow",
    "keras",
    "cv2",
    "matplotlib",
    "sklearn",
    "sagemaker",
    "boto3",
    "scipy",
    "rich",
    "starlette",
    "pydicom",
    "nibabel",
    "h5py",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the room of `mri_tumor.x.y`; the package itself holds only what the floor gives it."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in FLOOR:
        return "floor"
    return ROOM_OF[parts[1]]


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import of our own, those in functions too."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            # `from mri_tumor import dataset` means the room.
            found = [f"{source}.{alias.name}" if source == "mri_tumor" else source for alias in node.names]
        else:
            continue
        for name in found:
            if name.split(".")[0] == "mri_tumor":
                yield node.lineno, name


def level(module: str) -> int:
    parts = module.split(".")
    known = len(parts) > 1 and (parts[1] in FLOOR or parts[1] in ROOM_OF)
    return ROOMS.index(room_of(module)) if known else 0


# The first is the public face, which shows every room.
@pytest.mark.parametrize("path", MODULES[1:], ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    own = ROOMS.index(room_of(name_of(path)))
    wrong = [f"line {line}: {name}" for line, name in imports_of(path) if level(name) > own]
    assert not wrong, f"{name_of(path)} is in {ROOMS[own]} and imports {wrong}"


@pytest.mark.parametrize("inner", ["formats", "public"])
def test_what_others_stand_on_stands_alone(inner: str) -> None:
    own = f"mri_tumor.dataset.{inner}"
    for path in (PACKAGE / "dataset" / inner).rglob("*.py"):
        used = [name for _, name in imports_of(path) if room_of(name) != "floor"]
        wrong = [name for name in used if not name.startswith(own)]
        assert not wrong, f"{name_of(path)} imports {wrong}"


def test_every_module_has_a_room() -> None:
    assert len(MODULES) > 20
    assert MODULES[0] == PACKAGE / "__init__.py"
    for path in MODULES:
        assert room_of(name_of(path)) in ROOMS


def test_the_check_sees_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "mri_tumor")
    module = tmp_path / "mri_tumor" / "dataset" / "x.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "import numpy, mri_tumor.models.cnn\nfrom mri_tumor import cloud\nfrom ..cloud import package\n"
        "from .reader import y\ndef f():\n    from mri_tumor.cli.app import z\n"
    )
    assert [level(name) for _, name in imports_of(module)] == [2, 3, 3, 1, 4]


@pytest.mark.parametrize("module", ["mri_tumor", "mri_tumor.dataset", "mri_tumor.models", "mri_tumor.cloud"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_rooms_load_when_they_are_used() -> None:
    code = "import sys, mri_tumor; print('mri_tumor.dataset' in sys.modules); mri_tumor.dataset.audit"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("room", [mri_tumor, dataset, models, cloud], ids=lambda room: room.__name__)
def test_public_names_are_there(room: ModuleType) -> None:
    assert set(room.__all__) <= set(dir(room))
    assert sorted(set(room.__all__)) == sorted(room.__all__)
    for name in room.__all__:
        value = getattr(room, name)
        assert getattr(value, "__doc__", None) or isinstance(value, str | tuple), name
        if room is not mri_tumor:
            assert value.__module__.startswith(room.__name__), name
            assert value.__name__ == name


@pytest.mark.parametrize("room", [mri_tumor, dataset, models, cloud], ids=lambda room: room.__name__)
def test_other_names_are_not(room: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{room.__name__}' has no attribute 'nonsense'"):
        _ = room.nonsense


@pytest.mark.parametrize(
    ("room", "name"), [(dataset, "audit"), (dataset, "known"), (dataset, "split"), (cloud, "package")]
)
def test_a_function_stays_one_after_its_module_was_imported(room: ModuleType, name: str) -> None:
    module = importlib.import_module(f"{room.__name__}.{name}")
    assert isinstance(module, ModuleType)
    assert getattr(room, name) is getattr(module, name)
    assert callable(getattr(room, name))


def test_no_module_takes_the_place_of_a_lazy_name() -> None:
    eager = {(dataset, "audit"), (dataset, "known"), (dataset, "split"), (cloud, "package")}
    for room in (dataset, models, cloud):
        folder = Path(str(room.__file__)).parent
        modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        assert {(room, name) for name in modules & set(room.__all__)} <= eager

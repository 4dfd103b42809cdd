"""The pages: each public name has its place, and what they show runs."""

import ast
import csv
import doctest
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mri_tumor
from mri_tumor import cloud, dataset, errors, labels, models
from mri_tumor.models.engines.formats import FORMATS

ROOT = Path(__file__).parents[1]
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
sys.path.insert(0, str(DOCS))

import figures  # noqa: E402


def own(module: object) -> set[str]:
    """Return the public names that a module without `__all__` defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
    } - {"annotations"}


PUBLIC = {
    "mri_tumor": set(mri_tumor.__all__),
    "mri_tumor.dataset": set(dataset.__all__),
    "mri_tumor.models": set(models.__all__),
    "mri_tumor.cloud": set(cloud.__all__),
    "mri_tumor.errors": own(errors),
    "mri_tumor.labels": own(labels),
}


def described(text: str) -> set[str]:
    """Return the full names that the directives of a reference page describe."""
    names, module = set(), ""
    for line in text.splitlines():
        found = re.match(r"\.\. (currentmodule|auto(?:module|function|class|data)|py:data):: (\S+)", line)
        if not found:
            continue
        kind, name = found.groups()
        if kind == "currentmodule":
            module = name
        elif kind == "automodule":
            names |= {name, *(f"{name}.{one}" for one in own(importlib.import_module(name)))}
        else:
            names.add(name if name.startswith("mri_tumor.") else f"{module}.{name}")
    return names


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_describes_every_public_name(module: str) -> None:
    known = {
        name for page in (DOCS / "reference").glob("*.md") for name in described(page.read_text("utf-8"))
    }
    assert {f"{module}.{name}" for name in PUBLIC[module]} - known == set()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pages, built without running the examples."""
    folder = tmp_path_factory.mktemp("html")
    options = [
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-D",
        "plot_gallery=0",
        "-d",
        str(folder / "doctrees"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "pages")],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "pages"


@pytest.mark.slow
def test_every_public_name_can_be_reached_in_the_built_pages(built: Path) -> None:
    head, _, packed = (built / "objects.inv").read_bytes().partition(b"zlib.\n")
    assert head.startswith(b"# Sphinx inventory version 2")
    known = {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines() if " py:" in line}
    wanted = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names}
    assert wanted - known == set()


@pytest.mark.slow
def test_the_front_page_leads_to_all_sections_and_says_what_this_is_not(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    assert "Not a medical device" in page
    for target in ("get_started", "gallery/index", "how_to/index", "concepts/index", "reference/index"):
        assert f'href="{target}.html"' in page, target


# --- pages: what they show runs ---

PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if not path.name.startswith("cloud_") and not {"_build", "gallery"} & set(path.parts)
}


def blocks(page: str) -> list[tuple[int, str]]:
    """Return a page's blocks of Python, each with the line that it begins in."""
    found = re.finditer(r"^```python\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)
    return [(PAGES[page].count("\n", 0, one.start()) + 1, one[1]) for one in found]


WITH_CODE = [page for page in PAGES if blocks(page)]
NOT_RUN = {"how_to/public_data": "needs the public sets", "how_to/serving": "needs a server at port 8080"}
SMALL = 'models.build("small_cnn", size=32, width=2, frozen=True)'


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the pages take for granted: pictures, shards, series, volumes, weights."""
    import keras

    folder = tmp_path_factory.mktemp("desk")
    pictures = dataset.make_phantoms(folder / "FOLDER", per_class=40, size=64, seed=0)
    grouped = pictures.with_groups(dataset.audit(pictures))
    parts = dataset.split(grouped.select(split="Training"), (0.7, 0.3))
    for name, part in zip(("train", "validation"), parts, strict=True):
        dataset.write_tfrecords(part, folder / "shards" / name, preprocess=dataset.Preprocess(size=32))
    cv2.imwrite(str(folder / "picture.png"), dataset.read_image(pictures.paths[0]))
    for label, images in _two_classes(pictures).items():
        for number, image in enumerate(images):
            path = folder / "two_classes" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    with (folder / "patients.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("path", "group"), *((name, name.split("/")[-1][:8]) for name in pictures.ids)]
        )
    _volumes(folder)
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
    network.save_weights(folder / "mobilenet_v2.weights.h5")
    return folder


def _two_classes(pictures: dataset.Catalog) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {"none": [], "tumour": []}
    for one in pictures:
        found["none" if one.label == "none" else "tumour"].append(dataset.read_image(one.path))
    return found


def _volumes(folder: Path) -> None:
    """Write a DICOM series of 120 slices, DICOM class folders and a NIfTI volume."""
    nibabel = pytest.importorskip("nibabel")
    spec = importlib.util.spec_from_file_location(
        "dicom_conftest", ROOT / "tests" / "dataset" / "conftest.py"
    )
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    pixels = np.random.default_rng(0).integers(0, 900, (120, 48, 40)).astype(np.uint16)
    series = folder / "incoming" / "patient_17" / "t1"
    series.mkdir(parents=True)
    for place, one in enumerate(pixels):
        where = {"InstanceNumber": place + 1, "ImagePositionPatient": [0, 0, float(place)]}
        where |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
        (series / f"IM{place:04d}").write_bytes(writer.dicom_bytes(one, **where))
    for label in ("glioma", "none"):
        (folder / "dicom_classes" / label).mkdir(parents=True)
        (folder / "dicom_classes" / label / "IM0001").write_bytes(writer.dicom_bytes(pixels[0]))
    nibabel.save(nibabel.Nifti1Image(pixels.T.astype(np.int16), np.eye(4)), folder / "ixi_17_t1.nii.gz")


@pytest.fixture(scope="module")
def trained(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what some pages have from the page before: a classifier, its pictures, an audit."""
    pictures = dataset.scan(desk / "FOLDER")
    audit = dataset.audit(pictures)
    pictures = pictures.with_groups(audit)
    train, validation, calibration = dataset.split(pictures.select(split="Training"), (0.4, 0.2, 0.4))
    classifier = models.train(
        models.build("small_cnn", size=32, width=2, frozen=True),
        train, validation, recipe=models.Recipe.preset("fast"), run_dir=tmp_path_factory.mktemp("r") / "run",
    )  # fmt: skip
    names = {
        "audit": audit,
        "train": train,
        "test": pictures.select(split="Testing"),
        "augment": dataset.Augment(),
    }
    return names | {
        "classifier": classifier,
        "calibration": calibration,
        "dataset": dataset,
        "models": models,
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if page not in NOT_RUN])
def test_the_python_of_a_page_runs_as_it_stands(
    page: str, desk: Path, trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ImageNet's weights are not fetched: a small network stands for that one; nothing else is changed."""
    monkeypatch.chdir(tmp_path)
    for path in desk.iterdir():
        Path(path.name).symlink_to(path)
    if page not in ("how_to/reading", "how_to/dicom_and_nifti"):
        Path("pictures").symlink_to(desk / "FOLDER")
    for label in ("meningioma", "none", "pituitary") if page == "how_to/reading" else ():
        Path("pictures", label).mkdir(parents=True)
        cv2.imwrite(f"pictures/{label}/p1-t1-0001.png", np.full((8, 8), 9, np.uint8))
    names: dict[str, Any] = {"__name__": page, **trained}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line, code in blocks(page):
            if code.startswith(">>>"):
                test = doctest.DocTestParser().get_doctest(code, names, page, f"{page}.md", line)
                assert (
                    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False).failed
                    == 0
                )
                continue
            code = code.replace('models.build("mobilenet_v2", weights="imagenet")', SMALL)
            exec(compile("\n" * line + code, f"docs/{page}.md", "exec"), names)


@pytest.mark.parametrize("page", NOT_RUN)
def test_what_is_not_run_is_python_with_names_that_exist(page: str) -> None:
    for _, code in blocks(page):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                room = {"dataset": dataset, "models": models, "cloud": cloud}.get(node.value.id)
                assert room is None or hasattr(room, node.attr), ast.unparse(node)


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_pages_lead_somewhere(page: str) -> None:
    """Sphinx holds the anchors; this is the quick look that needs no build."""
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", PAGES[page]):
        there = (DOCS / page).parent / target
        written = EXAMPLES / f"{Path(target).stem}.py" if "gallery/" in target else there
        assert there.exists() or written.exists() or target.endswith("gallery/index.rst"), target


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_ours_and_their_options_exist(page: str) -> None:
    import typer

    from mri_tumor.cli.app import app

    known: Any = typer.main.get_command(app)
    for name, rest in re.findall(r"mri-tumor ([a-z]+)([^\n`#]*)", PAGES[page].replace("\\\n", " ")):
        options = {option for one in known.commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (name, rest)


# --- figures: drawn from what lies in the project ---


def test_every_figure_is_shown_and_every_source_is_there() -> None:
    shown = {
        name for page in PAGES.values() for name in re.findall(r"^```\{measured\} (\w+)", page, re.MULTILINE)
    }
    assert shown == set(figures.SOURCES)
    for sources in figures.SOURCES.values():
        assert all(source.is_file() and source.is_relative_to(ROOT) for source in sources)


@pytest.mark.parametrize("name", [name for name in figures.SOURCES if name != "resizing"])
def test_a_figure_is_the_same_each_time_and_has_no_background(name: str) -> None:
    first = figures.svg(name, "light")
    assert first == figures.svg(name, "light")
    assert first != figures.svg(name, "dark")


def test_the_figure_of_leaks_counts_what_the_table_of_known_pictures_says() -> None:
    from mri_tumor.dataset.public.known_tables import known_pictures

    tested = [one.flags for one in known_pictures("sartaj") if one.split == "Testing"]
    assert [sum(flag in flags for flags in tested) for flag in ("identical", "leaked")] == [251, 260]
    assert len(tested) == 394


def test_numbers_in_the_text_are_those_of_the_tables() -> None:
    text = PAGES["concepts/published_numbers"]
    fast = "five_fast_mobilenet_v2.csv"
    said = {
        "gets 77 % of all": figures.metric(fast, "official", "all", "floor thumbnail accuracy"),
        "it gets 36 %": figures.metric(fast, "official", "clean", "floor thumbnail accuracy"),
        "MobileNetV2 45 %": figures.metric(fast, "official", "clean", "accuracy"),
        "gets 63 % of the official": figures.metric(fast, "official", "all", "floor size accuracy"),
    }
    for words, mark in said.items():
        assert words in text
        assert mark is not None
        assert f" {mark[0]:.0f} %" in words
    text = PAGES["concepts/calibration"]
    errors_found = [figures.metric(fast, "official", part, "ece")[0] for part in ("clean", "leaked")]
    assert f"calibration error of .{errors_found[0]:.0f}" in text.replace("\n", " ")
    assert f"and of .{errors_found[1]:02.0f}" in text.replace("\n", " ")


def test_numbers_of_heat_maps_in_the_text_are_those_of_the_table() -> None:
    with (ROOT / "benchmarks" / "results" / "explanation.csv").open(newline="", encoding="utf-8") as file:
        table = {(row["map"], row["part"], row["measure"]): row for row in csv.DictReader(file)}

    def share(name: str, part: str = "all", measure: str = "pointing", key: str = "value") -> str:
        return str(round(100 * float(table[name, part, measure][key])))

    def points(other: str) -> str:
        value, low, high = (share("layercam", key=f"over_{other}{end}") for end in ("", "_low", "_high"))
        return f"{value} points, {low} to {high}"

    text = " ".join(PAGES["concepts/heat_maps"].split())
    ends = [share("layercam", key=key) for key in ("low", "high")]
    row = table["layercam", "all", "pointing"]
    for words in (
        f"{row['n']} pictures from {row['blocks']} blocks",
        f"lies inside in {share('layercam')} % of the pictures ({ends[0]} to {ends[1]})",
        f"middle of the picture does in {share('centre')} %, the brightest spot in {share('brightest')} %",
        f"beyond doubt ({points('centre')}; {points('brightest')})",
        f"heat as a whole {share('layercam', measure='energy')} % lies inside",
        f"is inside in {share('layercam, last')} to {share('gradcam, last')} %",
        f"Occlusion is inside in {share('occlusion')} %",
        f"probability is .{share('occlusion', measure='deletion')} in the mean",
        f"with LayerCAM's .{share('layercam', measure='deletion')}",
        f"with noise .{share('random', measure='deletion')}",
        f"spot meets {share('brightest', 'meningioma')} %, LayerCAM {share('layercam', 'meningioma')} %",
        f"nothing meets more than {share('layercam', 'glioma')} %",
    ):
        assert words in text
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"inside the tumour in {share('layercam')} %" in readme
    assert f"the middle of the picture does in {share('centre')} %" in readme


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 32, 97, 224]),
    crop=st.booleans(),
    window=st.sampled_from([None, 1, 95, 100]),
    fit=st.sampled_from(["stretch", "letterbox"]),
)
def test_the_twin_for_other_programs_gives_the_same_pixels(
    shape: tuple[int, int], seed: int, size: int, crop: bool, window: int | None, fit: str
) -> None:
    code = re.search(r"## In another program.*?```python\n(.+?)```", PAGES["how_to/preprocessing"], re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(60, 90, shape), (0, 0), float(rng.uniform(0.5, 9)))
    picture = (picture * (rng.random(shape) < rng.uniform(0.5, 1))).clip(0, 255).astype(np.uint8)
    picture[rng.integers(0, shape[0]) :: 7] //= 9  # dark rows, over some of which a run goes on
    spec = dataset.Preprocess(size=size, crop=crop, window=window, fit=fit)
    np.testing.assert_array_equal(names["prepare"](picture, spec.to_dict()), spec(picture))


# --- examples ---

SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def executed() -> tuple[str, ...]:
    """Return the names in `EXECUTED` of the pages' settings, without importing those."""
    for node in ast.parse((DOCS / "conf.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXECUTED":
            return ast.literal_eval(node.value)
    raise AssertionError("docs/conf.py has no EXECUTED")


def test_five_examples_are_executed_by_the_gallery() -> None:
    assert len(executed()) == 5
    assert set(executed()) <= {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_says_how_to_run_it_and_what_it_is_not(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    about = ast.get_docstring(tree)
    assert about is not None
    assert "not a medical device" in about
    assert f"python examples/{path.name}" in about
    title, line = about.splitlines()[:2]
    assert line == "=" * len(title)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_examples_help_names_the_options_that_its_page_shows(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path), "--help"],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    commands = re.findall(rf"python examples/{path.name}(.*)", about)
    assert commands
    for option in re.findall(r"--[a-z-]+", " ".join(commands)):
        assert option in done.stdout, option


@pytest.mark.parametrize(
    "path", [one for one in SCRIPTS if one.stem not in executed()], ids=lambda path: path.stem
)
def test_an_example_that_the_gallery_does_not_execute_is_sound(path: Path) -> None:
    """It compiles, every name of ours that it uses is there, and what it shows as a session is true."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, path.name)
    compile(text, path.name, "exec")
    rooms: dict[str, ModuleType] = {"dataset": dataset, "models": models, "cloud": cloud}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mri_tumor"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, one.name) for one in node.names), ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            assert hasattr(rooms[node.value.id], node.attr), ast.unparse(node)
    about = doctest.DocTestParser().get_doctest(ast.get_docstring(tree) or "", {}, path.name, path.name, 0)
    assert doctest.DocTestRunner().run(about).failed == 0


@pytest.mark.slow
def test_the_whole_workflow_runs_to_its_report(tmp_path: Path) -> None:
    """The gallery does not run it: it takes longer than a page may. SageMaker's has a test of its own."""
    command = [sys.executable, str(EXAMPLES / "full_workflow.py"), "--out", "d"]
    done = subprocess.run(
        [*command, "--per-class", "16", "--epochs", "2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "leaked" in done.stdout
    assert "Not a medical device" in (tmp_path / "d" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_engines_are_compared_in_every_format(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "compare_engines.py"), "--out", "d", "--per-class", "16"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^(\w+) (\w+) +\d+\.\d\d ", done.stdout, re.MULTILINE)
    left_out = re.findall(r"^(\w+) in (\w+): ", done.stdout, re.MULTILINE)
    assert {name for name, precision in shown if precision == "float32"} == set(FORMATS)
    assert sorted(shown + left_out) == sorted(
        (name, precision) for name, form in FORMATS.items() for precision in form.precisions
    )
    assert "engine: openvino, float32" in done.stdout

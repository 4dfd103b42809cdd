"""Which engine a classifier gets, what it is refused for, and that it answers as TensorFlow does."""

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.errors import ArgumentError, EngineError, ManifestMismatch, MissingExtra
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.engines import choice, store
from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.formats import FORMATS
from mri_tumor.models.engines.openvino_engine import OpenVINOEngine, computes
from mri_tumor.models.engines.parity import compare

from .conftest import light

BOTH = [
    pytest.param("onnx", marks=pytest.mark.needs("onnxruntime", "tf2onnx")),
    pytest.param("openvino", marks=pytest.mark.needs("openvino")),
]


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "engines").iterdir()) if (folder / "engines").is_dir() else []


@pytest.mark.parametrize("engine", BOTH)
def test_every_engine_answers_alike(deciding: Classifier, engine: str, tmp_path: Path) -> None:
    deciding.save(tmp_path / "classifier")
    loaded = Classifier.load(tmp_path / "classifier", engine=engine)
    assert (loaded.engine.name, loaded.engine.precision) == (engine, "float32")
    for count in (1, 3, 37):
        found, expected = loaded.predict(light(count)), deciding.predict(light(count))
        said = [
            [(one.id, one.label, one.prediction_set, one.reason) for one in some]
            for some in (found, expected)
        ]
        assert said[0] == said[1]
        shares = [[list(one.probabilities.values()) for one in some] for some in (found, expected)]
        np.testing.assert_allclose(*shares, atol=1e-4)
    seen, expected_seen = loaded.observe(light(9)), deciding.observe(light(9))
    np.testing.assert_allclose(seen.features, expected_seen.features, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(seen.logits, expected_seen.logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("engine", BOTH)
def test_what_was_never_calibrated_is_observed_and_explained_too(
    make_classifier: Callable[..., Classifier], engine: str, tmp_path: Path
) -> None:
    """At a temperature of 1 an engine may do without the division, and the logits get another name."""
    plain, images = make_classifier(), light(3)
    plain.save(tmp_path / "classifier")
    loaded = Classifier.load(tmp_path / "classifier", engine=engine)
    seen, expected = loaded.observe(images), plain.observe(images)
    np.testing.assert_allclose(seen.logits, expected.logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(seen.features, expected.features, rtol=1e-3, atol=1e-4)
    both = [some.explain(images, method="occlusion", target="none") for some in (loaded, plain)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one.heat, other.heat, atol=0.01)


@pytest.mark.parametrize("engine", [None, "tensorflow"])
def test_tensorflow_is_what_it_always_was(saved: Path, engine: str | None) -> None:
    assert Classifier.load(saved, engine=engine).engine.name == "tensorflow"
    assert not kept(saved)


@pytest.mark.parametrize("engine", BOTH)
def test_it_is_kept_and_used_again(saved: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Classifier.load(saved, engine=engine)
    (place,) = kept(saved)
    assert place.name.startswith(f"{engine}-float32-")
    card = json.loads((place / "engine.json").read_bytes())
    assert card["key"]["classifier"] == first.manifest.digest
    assert card["key"]["versions"].keys() >= {"keras", "tensorflow"}
    monkeypatch.setattr(choice, "written", None)  # nothing is made again
    again = Classifier.load(saved, engine=engine)
    np.testing.assert_array_equal(again.engine(light(5))["logits"], first.engine(light(5))["logits"])
    assert Classifier.load(saved).predict(light(2))  # what is kept is in nobody's way


@pytest.mark.needs("openvino")
def test_saving_anew_forgets_what_was_kept(saved: Path, make_deciding: Callable[..., Classifier]) -> None:
    Classifier.load(saved, engine="openvino")
    make_deciding(width=3).save(saved)
    assert not kept(saved)
    loaded = Classifier.load(saved, engine="openvino")
    assert len(kept(saved)) == 1
    shutil.copytree(kept(saved)[0], saved / "engines" / "of-another-time")
    assert Classifier.load(saved, engine="openvino").labels == loaded.labels


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize("harm", ["bytes", "truncated", "missing", "card", "swapped", "more"])
def test_what_is_damaged_is_made_anew_with_a_warning(
    saved: Path, engine: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = Classifier.load(saved, engine=engine).engine(light(4))
    (place,) = kept(saved)
    model = max(place.iterdir(), key=lambda file: file.stat().st_size)
    data = model.read_bytes()
    if harm == "bytes":
        model.write_bytes(data[:100] + bytes([data[100] ^ 255]) + data[101:])
    elif harm == "truncated":
        model.write_bytes(data[: len(data) // 2])
    elif harm == "missing":
        model.unlink()
    elif harm == "card":
        (place / "engine.json").write_bytes(b"{")
    elif harm == "swapped":
        card = json.loads((place / "engine.json").read_bytes())
        card["key"]["classifier"] = "0" * 64
        (place / "engine.json").write_text(json.dumps(card))
    else:
        (place / "more.so").write_bytes(b"")
    found = Classifier.load(saved, engine=engine).engine(light(4))
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-5)
    assert [record.levelname for record in caplog.records if "made anew" in record.message] == ["WARNING"]
    caplog.clear()
    Classifier.load(saved, engine=engine)
    assert not caplog.records


@pytest.mark.needs("openvino")
def test_a_folder_that_cannot_be_written_keeps_nothing(
    saved: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store, "whole_folder", refuse)
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        assert Classifier.load(saved, engine="openvino").predict(light(2))
    assert "not kept" in caplog.text
    assert not kept(saved)


@pytest.mark.needs("openvino")
@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_read_only_folder_stays_as_it_is(saved: Path) -> None:
    saved.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        before = sorted(path.name for path in saved.iterdir())
        assert Classifier.load(saved, engine="openvino").predict(light(2))
        if os.geteuid():  # root may write everywhere
            assert sorted(path.name for path in saved.iterdir()) == before
    finally:
        saved.chmod(0o700)


@pytest.mark.needs("openvino")
def test_links_are_not_followed(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (saved / "engines").symlink_to(tmp_path / "elsewhere")
    Classifier.load(saved, engine="openvino")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.needs("openvino")
def test_two_at_once_end_with_one_that_is_whole(saved: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(Classifier.load, saved, engine="openvino") for _ in range(2)]
        first, second = (job.result().engine(light(3))["logits"] for job in jobs)
    np.testing.assert_array_equal(first, second)
    assert [path.name for path in kept(saved) if not path.name.startswith("openvino-float32-")] == []
    assert Classifier.load(saved, engine="openvino").predict(light(1))


@pytest.mark.needs("openvino")
def test_many_threads_get_each_their_own_answer(saved: Path) -> None:
    engine = Classifier.load(saved, engine="openvino").engine
    batches = [light(count, seed=count) for count in (1, 2, 5, 9) * 6]
    expected = [engine(batch)["logits"] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(engine, batches), expected, strict=True):
            np.testing.assert_allclose(found["logits"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "tensorrt"}, "no engine 'tensorrt'"),
        ({"engine": "tensorflow", "precision": "int8"}, "tensorflow with precision 'int8'"),
        ({"precision": "float16"}, "tensorflow with precision"),
        ({"engine": "auto", "precision": "bfloat16"}, "auto with precision"),
        ({"engine": "onnx", "precision": "bfloat16"}, "onnx with precision"),
    ],
)
def test_engines_and_precisions_that_there_are_not(saved: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Classifier.load(saved, **arguments)


@pytest.mark.parametrize(("engine", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_an_engine_that_is_not_installed(
    saved: Path, engine: str, library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library}.*pip install"):
        Classifier.load(saved, engine=engine)
    if engine == "openvino":
        with caplog.at_level(logging.INFO, logger="mri_tumor"):
            assert Classifier.load(saved, engine="auto").engine.name == "tensorflow"
        assert caplog.messages == ["engine: tensorflow (OpenVINO is not installed)"]


@pytest.mark.needs("openvino")
def test_auto_takes_openvino_and_says_so(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        assert Classifier.load(saved, engine="auto").engine.name == "openvino"
    assert caplog.messages == ["engine: openvino, float32"]


class Wrong:
    """An engine that says something else."""

    def __init__(self, folder: Path, precision: str) -> None:
        self.name, self.precision = "openvino", precision
        self._engine = OpenVINOEngine(folder, "float32")

    def __call__(self, images: np.ndarray) -> Outputs:
        return self._engine(255 - images)


@pytest.mark.needs("openvino")
def test_an_engine_that_says_something_else_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(FORMATS, "openvino", replace(FORMATS["openvino"], engine=Wrong))
    with pytest.raises(EngineError, match="does not say what the network says"):
        Classifier.load(saved, engine="openvino")
    assert not kept(saved)
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        assert Classifier.load(saved, engine="auto").engine.name == "tensorflow"
    assert "does not say what the network says" in caplog.text


@pytest.mark.needs("openvino")
@pytest.mark.parametrize("error", [OSError("no space"), RuntimeError("Exception from core.cpp:1\nno AVX")])
def test_auto_takes_tensorflow_whatever_keeps_openvino_from_running(
    saved: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setitem(FORMATS, "openvino", replace(FORMATS["openvino"], write=broken))
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        assert Classifier.load(saved, engine="auto").engine.name == "tensorflow"
    assert str(error).splitlines()[-1] in caplog.text
    assert "core.cpp" not in caplog.text


@pytest.mark.needs("openvino")
def test_pictures_are_looked_at_by_auto_too(saved: Path) -> None:
    with pytest.raises(ArgumentError):
        Classifier.load(saved, engine="auto", pictures=object())


@pytest.mark.parametrize("engine", BOTH)
def test_another_precision_needs_pictures(saved: Path, engine: str) -> None:
    with pytest.raises(ArgumentError, match=f"{engine} in float16 without pictures"):
        Classifier.load(saved, engine=engine, precision="float16")
    assert not kept(saved)


@pytest.mark.slow
@pytest.mark.needs("openvino")
def test_threads_that_import_openvino_at_once_all_get_it(saved: Path) -> None:
    code = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from mri_tumor.models import Classifier\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    loaded = list(pool.map(lambda _: Classifier.load(sys.argv[1], engine='auto'), range(4)))\n"
        "print({one.engine.name for one in loaded})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip() == "{'openvino'}", done.stderr


@pytest.mark.needs("openvino", "nncf")
def test_an_export_is_held_against_the_network_whatever_engine_is_loaded(
    make_classifier: Callable[..., Classifier], tmp_path: Path
) -> None:
    sure = make_classifier()
    sure.model.get_layer("logits").bias.assign([1000.0, 0, 0, 0])
    sure.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c", engine="openvino", precision="int8", pictures=light(60))
    report = loaded.export(tmp_path / "out", "openvino", precision="int8", pictures=light(60))
    assert report.parity.features > 1e-3


@pytest.mark.needs("openvino", "nncf")
def test_int8_needs_pictures_once_and_must_agree(
    make_classifier: Callable[..., Classifier], tmp_path: Path
) -> None:
    sure = make_classifier()
    layer = sure.model.get_layer("logits")
    layer.bias.assign([1000.0, 0, 0, 0])  # nothing that int8 does to the features changes its mind
    sure.save(tmp_path)
    with pytest.raises(ArgumentError, match="int8 without pictures"):
        Classifier.load(tmp_path, engine="openvino", precision="int8")
    loaded = Classifier.load(tmp_path, engine="openvino", precision="int8", pictures=light(60))
    assert loaded.engine.precision == "int8"
    again = Classifier.load(tmp_path, engine="openvino", precision="int8")
    assert again.predict(light(3)) == loaded.predict(light(3))


@pytest.mark.needs("openvino")
def test_what_is_refused_on_some_pictures_is_not_kept_from_others(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Classifier.load(saved, engine="openvino", pictures=light(30))
    assert kept(saved)
    monkeypatch.setattr(choice, "compare", lambda *found: replace(compare(*found), labels=0))
    with pytest.raises(EngineError, match="labels 0 of 30"):
        Classifier.load(saved, engine="openvino", pictures=light(30))
    assert not kept(saved)


@pytest.mark.needs("openvino", "nncf")
def test_int8_that_changes_sets_is_refused(saved: Path) -> None:
    with pytest.raises(EngineError, match=r"int8 does not say .* sets \d+ of 30"):
        Classifier.load(saved, engine="openvino", precision="int8", pictures=light(60))
    assert not kept(saved)


@pytest.mark.needs("openvino")
@pytest.mark.skipif(computes("bfloat16"), reason="this processor computes in bfloat16")
def test_bfloat16_is_refused_where_the_processor_has_it_not(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not compute in bfloat16"):
        Classifier.load(saved, engine="openvino", precision="bfloat16", pictures=light(3))
    with pytest.raises(EngineError, match="does not compute in bfloat16"):
        Classifier.load(saved).export(tmp_path / "out", "openvino", precision="bfloat16")
    assert not (tmp_path / "out").exists()


@pytest.mark.needs("openvino")
@pytest.mark.skipif(not computes("bfloat16"), reason="this processor does not compute in bfloat16")
def test_bfloat16_differs_from_float32(saved: Path, tmp_path: Path) -> None:
    report = Classifier.load(saved).export(tmp_path / "out", "openvino", precision="bfloat16")
    assert 1e-4 < report.parity.probabilities < 0.1


@pytest.mark.parametrize("engine", [*BOTH, "auto"])
def test_an_altered_network_is_an_error_whatever_the_engine(saved: Path, engine: str) -> None:
    if engine != "auto":
        Classifier.load(saved, engine=engine)  # it is kept, and yet
    path = saved / "model.keras"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.txt", "more")
    with pytest.raises(ManifestMismatch, match="SHA-256"):
        Classifier.load(saved, engine=engine)

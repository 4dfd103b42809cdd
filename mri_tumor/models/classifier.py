"""The classifier: a network, what it was trained on, and how its pictures are prepared, in one artefact."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from mri_tumor.dataset.inputs import batches, count_of
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import whole_folder
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.models.builders import describe
from mri_tumor.models.companions import (
    FILES,
    MODEL_FILE,
    Companions,
    card_of,
    check_file,
    without_cards,
)
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.engines.choice import Subject, engine_for
from mri_tumor.models.engines.eager import EagerEngine
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.engines.frozen import Frozen
from mri_tumor.models.engines.report import ExportReport
from mri_tumor.models.engines.store import FOLDER as ENGINES_FOLDER
from mri_tumor.models.engines.tensorflow_engine import TensorFlowEngine
from mri_tumor.models.explaining.explain import Explainer
from mri_tumor.models.explaining.explanation import Explanation
from mri_tumor.models.export import check_target, manifest_of, write_export
from mri_tumor.models.networks.file import load_network, save_network
from mri_tumor.models.novelty import Density
from mri_tumor.models.prediction import Prediction, predictions
from mri_tumor.models.seen import Seen
from mri_tumor.progress import track

RUN_CLASSIFIER = "classifier"
"""The folder of a run that holds its classifier."""


class Observed(NamedTuple):
    """What a network saw of pictures: `ids` (N,), `logits` float32 (N, K) and `features` float32 (N, F)."""

    ids: tuple[str, ...]
    logits: np.ndarray
    features: np.ndarray


class Classifier:
    """A trained network with its manifest: what people save, load, call and deploy.

    `predict` may be called from several threads at once.

    Args:
        model: a network as `build` makes it: uint8 (N, size, size, 1) to logits (N, K).
        manifest: kind `"model"`; its section `"data"` names the K labels in order and the preprocessing. A
            section `"model"` that describes the network is added when there is none.
            section `"decision"` says how it decides; `calibrate` fills that.
        seen: which pictures it was trained on, so that `evaluate` can refuse a test set that holds some of
            them; None if nothing is known of them.
        selected: which pictures something was selected by, such as the best epoch, so that `calibrate` can
            refuse them; None if nothing was, or nothing is known of them.
        calibrated: which pictures it was calibrated by, so that `evaluate` can say so; None if by none.
        density: where the training pictures' features lie; None leaves `novelty` None.

    Raises:
        ManifestMismatch: labels, preprocessing or sizes of the manifest are not those of the network, its
            section `"decision"` cannot be used, or the density is of another network.
        ArgumentError: the network does not take and give what it should.

    >>> from mri_tumor.models import build
    >>> data = {"labels": ["none", "tumour"], "preprocess": Preprocess(size=32).to_dict()}
    >>> network = build("small_cnn", size=32, classes=2, width=2)
    >>> classifier = Classifier(network, Manifest("model", {"data": data}))
    >>> [one.id for one in classifier.predict(np.zeros((2, 32, 32, 1), np.uint8))]
    ['0', '1']
    """

    def __init__(
        self,
        model: Any,
        manifest: Manifest,
        *,
        seen: Seen | None = None,
        selected: Seen | None = None,
        calibrated: Seen | None = None,
        density: Density | None = None,
    ) -> None:
        if not isinstance(manifest, Manifest):
            raise ArgumentError(
                f"manifest is a {type(manifest).__name__}", "a Manifest of kind 'model'", "make one"
            )
        described = describe(model)
        self.model = model
        self.seen, self.selected, self.calibrated, self.density = seen, selected, calibrated, density
        self.manifest = _with_model(manifest, described | {"parameters": model.count_params()})
        self.labels, self.preprocess = _read_data(self.manifest)
        _check_belongs(described, self.labels, self.preprocess)
        _check_density(density, model, self.labels)
        self.settings = Settings.of(self.manifest.sections.get("decision", {}), self.labels, density)
        self._engine: Engine = TensorFlowEngine(model, self.settings)
        self._explainer = Explainer(model, self.labels, self.settings.tta)

    def predict(self, images: Any, *, batch_size: int = 32) -> list[Prediction]:
        """Return one prediction a picture, in the order given and with its id.

        Args:
            images: a path, encoded bytes, a list of these or of raw uint8 (H, W) arrays, a Catalog: these are
                preprocessed here. Or uint8 (size, size, 1) or (N, size, size, 1), a Dataset from `load`, or a
                folder of shards: these are preprocessed already and used as they are.
            batch_size: pictures a call of the network; it changes speed and memory, not the answers.

        Raises:
            ArgumentError: `images` is none of these, or `batch_size` is not a whole number from 1.
            ReadError: a picture cannot be read; the error names it.
            ManifestMismatch: the shards were preprocessed in another way.
        """
        found = []
        for ids, batch in self._batches(images, batch_size, "predicting"):
            found += predictions(ids, self._engine(batch), self.labels)
        return found

    def explain(
        self,
        images: Any,
        *,
        method: str = "layercam",
        target: str | None = None,
        layer: str | None = None,
        batch_size: int = 32,
    ) -> list[Explanation]:
        """Return for each picture what in it speaks for a class, in the order given and with its id.

        A heat map shows what the network went by. It is no proof of a lesion, and no reason to believe the
        answer. `docs/concepts/heat_maps.md` has how well each method meets tumours' outlines. For more
        pictures than memory holds there is `explanations`.

        Args:
            images: as in `predict`.
            method: `"layercam"`; `"gradcam"`; `"gradcam++"`; or `"occlusion"`, which asks the network about
                each picture some 200 times and needs no gradients.
            target: the class to explain; None for the most likely one of each picture, even if the classifier
                abstains.
            layer: look at this layer's map only, by its name or as `"last"`, the deepest. None adds up all
                maps that the features are pooled from. Not with `"occlusion"`.
            batch_size: as in `predict`.

        Raises:
            ArgumentError: an unknown method or target, a layer that there is not or that has no map; or as in
                `predict`.
            ReadError, ManifestMismatch: as in `predict`.
        """
        options: dict[str, Any] = {"method": method, "target": target, "layer": layer}
        return list(self.explanations(images, **options, batch_size=batch_size))

    def explanations(
        self,
        images: Any,
        *,
        method: str = "layercam",
        target: str | None = None,
        layer: str | None = None,
        batch_size: int = 32,
    ) -> Iterator[Explanation]:
        """Return what `explain` does one by one, each as soon as it is found.

        Args:
            images: as in `predict`.
            method: as in `explain`, as are the others.
            target: the class to explain.
            layer: the layer to look at.
            batch_size: as in `predict`.

        Raises:
            ArgumentError: at once, of method, target and layer; of the pictures when they are reached.
            ReadError, ManifestMismatch: as in `predict`, when the pictures are reached.

        >>> from mri_tumor.models import build
        >>> data = {"labels": ["none", "tumour"], "preprocess": Preprocess(size=32).to_dict()}
        >>> network = build("small_cnn", size=32, classes=2, width=2)
        >>> classifier = Classifier(network, Manifest("model", {"data": data}))
        >>> pictures = np.zeros((2, 32, 32, 1), np.uint8)
        >>> [one.id for one in classifier.explanations(pictures, method="gradcam")]
        ['0', '1']
        """
        self._explainer.check(method, target, layer)
        found = self._batches(images, batch_size, "explaining")
        return self._explainer.explanations(found, self._engine, method=method, target=target, layer=layer)

    def observe(self, images: Any, *, batch_size: int = 32) -> Observed:
        """Return what the network sees of pictures before anything is decided: logits and features.

        They are the means over the views that the manifest names (`tta`); temperature and thresholds are not
        applied.

        Args:
            images: as in `predict`.
            batch_size: as in `predict`.

        Raises:
            ArgumentError, ReadError, ManifestMismatch: as in `predict`.
        """
        names: list[str] = []
        width = int(self.model.get_layer("features").output.shape[1])
        parts = [(np.empty((0, len(self.labels)), np.float32), np.empty((0, width), np.float32))]
        for ids, batch in self._batches(images, batch_size, "looking at pictures"):
            seen = self._engine(batch)
            parts.append((seen["logits"], seen["features"]))
            names += ids
        logits, features = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Observed(tuple(names), logits, features)

    def _batches(self, images: Any, batch_size: int, doing: str) -> Iterator[tuple[list[str], np.ndarray]]:
        """Return the preprocessed batches of what was given; the pictures of more than one are counted."""
        found = batches(images, self.preprocess, batch_size=batch_size)
        count = count_of(images)
        if count is not None and count <= batch_size:
            return found
        return track(found, doing, count, count=lambda batch: len(batch[0]))

    @property
    def engine(self) -> Engine:
        """What works the network out: its `name` and its `precision`."""
        return self._engine

    def __repr__(self) -> str:
        network = self.manifest.sections["model"].get("name", self.model.name)
        return f"<Classifier {network}: {', '.join(self.labels)}>"

    @property
    def _companions(self) -> Companions:
        return Companions(self.seen, self.selected, self.calibrated, self.density)

    def with_decision(self, section: dict[str, Any], *, calibrated: Seen | None = None) -> "Classifier":
        """Return a classifier of the same network that decides as a section `"decision"` says.

        It answers by TensorFlow; saved and loaded it may have another engine again.

        Args:
            section: what `calibrate` stores.
            calibrated: the pictures that it was fitted on, None if on none.

        Raises:
            ManifestMismatch: the section cannot be used.
        """
        manifest = _with_section(self.manifest, "decision", section)
        return Classifier(
            self.model, manifest, **vars(dataclasses.replace(self._companions, calibrated=calibrated))
        )

    def save(self, directory: str | Path) -> None:
        """Write the classifier into a folder; an earlier one is replaced.

        The folder holds `model.keras`, `manifest.json` and, where there is such a thing, the hashes of the
        pictures it was trained on (`training_pictures.json`), selected by (`selection_pictures.json`) and
        calibrated by (`calibration_pictures.json`), and the density of the training pictures' features
        (`decision.npz`). From then on `manifest` also names the files and their SHA-256.

        Raises:
            ArgumentError: the folder exists and holds something else.
        """
        check_target(directory, _earlier)
        with whole_folder(directory) as partial:
            save_network(self.model, partial / MODEL_FILE)
            cards = self._companions.save(partial)
            section = without_cards(self.manifest.sections["model"])
            section |= {"file": card_of(partial / MODEL_FILE), **cards}
            manifest = _with_section(self.manifest, "model", section)
            manifest.save(partial)
        self.manifest = manifest

    @classmethod
    def load(
        cls,
        directory: str | Path,
        *,
        engine: str | None = None,
        precision: str | None = None,
        pictures: Any = None,
    ) -> Self:
        """Read a classifier that `save` wrote; no code that lies in the folder is run.

        Another engine than TensorFlow is made from the network as it is loaded, and keeps answering by it
        whatever becomes of `model`. It is held against the network before it is used, and kept in the folder
        (`engines/`) where that can be written, so that the next loading is quick.

        Args:
            directory: the classifier's folder, or the folder of a finished run, which holds one.
            engine: what works the network out: `"tensorflow"`, which None is too; `"openvino"` (extra
                `fast`); `"onnx"` (extra `export`); or `"auto"`: OpenVINO where it is installed, says the same
                and there is no GPU, and TensorFlow elsewhere. A log line says which.
            precision: None for `"float32"`. `"float16"`, `"bfloat16"` (OpenVINO, on a processor that has it)
                or `"int8"` are only taken where labels, sets and abstentions are the network's on `pictures`.
            pictures: what `predict` takes, to check the engine by and for int8 also to calibrate it; None
                for a few phantoms. Where the engine is kept already it is then made anew.

        Raises:
            ManifestMismatch: the folder, its manifest or its network is missing, altered or too new, or they
                do not belong together.
            ArgumentError: an unknown engine or precision, or int8 without pictures and none kept.
            MissingExtra: the engine is not installed.
            EngineError: the engine cannot run this network here, or does not say what the network says.
        """
        inside = Path(directory) / RUN_CLASSIFIER
        folder = inside if (inside / MODEL_FILE).is_file() else Path(directory)
        manifest = Manifest.load(folder, kind="model")
        path = folder / MODEL_FILE
        check_file(path, manifest, "file")
        kept = Companions.load(folder, manifest)
        loaded = cls(load_network(path), manifest, **vars(kept))
        loaded._engine = engine_for(loaded._subject(folder), engine, precision, pictures)
        return loaded

    def _subject(self, folder: Path) -> Subject:
        frozen, reference = Frozen.of(self.model, self.settings), EagerEngine(self.model, self.settings)
        return Subject(frozen, reference, self._engine, self.preprocess, self.manifest.digest, folder)

    def export(
        self,
        directory: str | Path,
        format: str = "saved_model",  # noqa: A002 - the public name
        *,
        precision: str = "float32",
        pictures: Any = None,
    ) -> ExportReport:
        """Write the classifier in a form that other programs run, which needs no mri_tumor, and measure it.

        Every form gives what `decide` returns, under the same names, and takes any number of pictures:

        * `"saved_model"`, TensorFlow's: its signature `serving_default` takes `image`, encoded JPEG or PNG of
          any size (N,), its signature `preprocessed` takes `image`, uint8 (N, size, size, 1).
        * `"onnx"` (`model.onnx`), `"litert"` (`model.tflite`) and `"openvino"` (`model.xml`, `model.bin`)
          take preprocessed pictures only, and also give `logits` and `features`.

        The manifest and the report (`parity.json`, `parity.txt`) lie beside it, for a SavedModel in
        `assets.extra/`.

        Args:
            directory: where; an earlier export of this format there is replaced.
            format: one of these.
            precision: `"float32"`; `"float16"` or `"int8"` (onnx, litert, openvino); `"bfloat16"` (openvino,
                on a processor that computes in it).
            pictures: what `predict` takes, to measure by: at most 512 of them are taken. int8 needs them: it
                is calibrated by half of them, at most 200, and measured on the others. None for phantoms.

        Returns:
            How far what was written lies from the classifier, its size and its speed.

        Raises:
            ArgumentError: an unknown format or precision, a folder that holds something else, no pictures for
                int8, or a preprocessing that TensorFlow cannot do.
            ReadError: a picture cannot be read.
            MissingExtra: the format's tools are not installed.
            EngineError: the network has something that the format does not know, or the processor cannot
                compute in this precision.
        """
        return write_export(self, directory, format, precision, pictures)


def _earlier(folder: Path) -> list[str]:
    """Return what an earlier classifier has in a folder; nothing if there is none, as beside an export."""
    manifest = manifest_of(folder)
    if manifest is None or "export" in manifest.sections or not (folder / MODEL_FILE).is_file():
        return []
    return [MODEL_FILE, FILE_NAME, *FILES, ENGINES_FOLDER]


def _with_model(manifest: Manifest, described: dict[str, Any]) -> Manifest:
    if manifest.kind != "model":
        raise ManifestMismatch(
            f"the manifest is of kind {manifest.kind!r}", "kind 'model'", "pass the manifest of a classifier"
        )
    # What was written once stays as it is, so that a loaded classifier has the digest it was saved with.
    return manifest if "model" in manifest.sections else _with_section(manifest, "model", described)


def _with_section(manifest: Manifest, name: str, section: dict[str, Any]) -> Manifest:
    return dataclasses.replace(manifest, sections=manifest.sections | {name: section})


def _read_data(manifest: Manifest) -> tuple[tuple[str, ...], Preprocess]:
    data = manifest.sections.get("data")
    if not isinstance(data, dict) or not data.get("labels") or "preprocess" not in data:
        raise ManifestMismatch(
            "the manifest does not say what the network was trained on",
            "a section 'data' with labels and preprocess",
            "take over the data section of the shards or the Examples it was trained on",
        )
    try:
        preprocess = Preprocess.from_dict(data["preprocess"])
    except ArgumentError as error:
        raise ManifestMismatch(error.found, error.expected, error.fix) from error
    recorded = data.get("preprocess_digest", preprocess.digest)
    if recorded != preprocess.digest:
        raise ManifestMismatch(
            f"preprocess_digest is {recorded!s:.12}, but the preprocess has {preprocess.digest:.12}",
            "both from the same preprocessing",
            "take over the data section as it is",
        )
    return tuple(map(str, data["labels"])), preprocess


def _check_belongs(described: dict[str, Any], labels: tuple[str, ...], preprocess: Preprocess) -> None:
    if described["classes"] != len(labels) or len(set(labels)) != len(labels):
        raise ManifestMismatch(
            f"{len(labels)} labels ({', '.join(labels)}) for a network with {described['classes']} logits",
            "another label for each logit",
            "build the network with classes=the number of labels",
        )
    if described["size"] != preprocess.size:
        raise ManifestMismatch(
            f"pictures of {preprocess.size} pixels for a network that takes {described['size']}",
            "the same size",
            f"build the network with size={preprocess.size}, or use Preprocess(size={described['size']})",
        )


def _check_density(density: Density | None, model: Any, labels: tuple[str, ...]) -> None:
    wanted = (len(labels), int(model.get_layer("features").output.shape[1]))
    if density is not None and density.means.shape != wanted:
        raise ManifestMismatch(
            f"a density of {density.means.shape} class means and features",
            f"{wanted}, as the network has",
            "fit it on the features of this network",
        )

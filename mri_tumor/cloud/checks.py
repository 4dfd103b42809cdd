"""What a package must hold: each check says what is wrong and how to mend it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mri_tumor.cloud.operations import refused_operations
from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import digest_of
from mri_tumor.manifest import FILE_NAME, Manifest

_CODE = ("inference.py", "bodies.py", "prediction.py")
_GRAPH = "saved_model.pb"
_SIGNATURES = ("serving_default", "preprocessed")


def check_layout(folder: Path) -> tuple[Manifest | None, list[str]]:
    """Check an unpacked package without running anything of it.

    Returns:
        The manifest, None if it cannot be read; and what is wrong, each with how to mend it.
    """
    manifest, problems = _manifest(folder)
    problems += _code(folder / "code")
    versions, misplaced = _versions(folder)
    problems += misplaced
    if len(versions) == 1:
        problems += _saved_model(folder, versions[0], manifest)
    return manifest, problems


def version_of(folder: Path) -> Path:
    """Return where the SavedModel of a package lies whose layout was found right."""
    (version,), _ = _versions(folder)
    return version


def _code(code: Path) -> Iterator[str]:
    for name in _CODE:
        if not _has(code / name):
            yield f"code/{name} is missing; put the handler there"
    known = {code / name for name in (*_CODE, FILE_NAME)}
    for path in sorted(code.rglob("*")):
        if path not in known:
            name = path.relative_to(code).as_posix()
            # AWS's container would install a requirements.txt, with the rights of the execution role.
            yield f"code/{name} does not belong there; take it out: the handler needs nothing else"


def _has(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _manifest(folder: Path) -> tuple[Manifest | None, list[str]]:
    """Read `code/manifest.json` and compare it with its copies beside the SavedModel and the classifier."""
    try:
        manifest = Manifest.load(folder / "code", kind="model")
    except ManifestMismatch as error:
        reason = error.found.replace(f"{folder}/", "")
        return None, [f"code/{FILE_NAME} cannot be used: {reason}; copy the classifier's manifest there"]
    problems = list(_sections(manifest))
    usable = None if problems else manifest
    for copy in sorted(folder.rglob(FILE_NAME)):
        place = copy.parent.relative_to(folder).as_posix()
        if place != "code" and _digest(copy.parent) != manifest.digest:
            problems.append(
                f"{place}/{FILE_NAME} is another than code/{FILE_NAME}; take all from one classifier"
            )
    return usable, problems


def _digest(folder: Path) -> str | None:
    try:
        return Manifest.load(folder, kind="model").digest
    except ManifestMismatch:
        return None


def _sections(manifest: Manifest) -> Iterator[str]:
    data = manifest.sections.get("data")
    data = data if isinstance(data, dict) else {}
    labels, spec = data.get("labels"), data.get("preprocess")
    mend = "; copy the manifest that Classifier.save wrote"
    if not isinstance(labels, list) or len(labels) < 2 or len(set(map(str, labels))) != len(labels):
        yield f"code/{FILE_NAME} names the labels {labels!r:.80}{mend}"
    if not isinstance(spec, dict) or not isinstance(spec.get("size"), int):
        yield f"code/{FILE_NAME} has no preprocessing{mend}"
    elif data.get("preprocess_digest") != digest_of(spec):
        yield f"code/{FILE_NAME} has a preprocess_digest that is not that of its preprocessing{mend}"


def _versions(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the SavedModels' folders whose names are numbers, and what is wrong with the places."""
    found = sorted(path.parent for path in folder.rglob(_GRAPH))
    names = [path.relative_to(folder).as_posix() for path in found]
    good = [path for path in found if path.name.isascii() and path.name.isdecimal()]
    problems = [
        f"{name}/{_GRAPH} lies in no folder with a number; put it into 1/"
        for path, name in zip(found, names, strict=True)
        if path not in good
    ]
    if len(good) > 1:
        problems.append(f"there are {len(good)} versions ({', '.join(names)}); keep one")
    # TensorFlow reads these too, and they would not have been looked at.
    problems += [
        f"{path.relative_to(folder).as_posix()} is a graph in another form; take it out, and keep {_GRAPH}"
        for path in sorted(folder.rglob(f"{Path(_GRAPH).stem}.*"))
        if path.name != _GRAPH
    ]
    if not found:
        problems.append(f"no {_GRAPH}; export the classifier into 1/")
    return good, problems


def _saved_model(folder: Path, version: Path, manifest: Manifest | None) -> Iterator[str]:
    """Compare a SavedModel's signatures with the manifest; the file is parsed, never loaded."""
    name = f"{version.relative_to(folder).as_posix()}/{_GRAPH}"
    graph = _graph(version / _GRAPH)
    if graph is None or not (version / "variables" / "variables.index").is_file():
        what = "cannot be read as one graph" if graph is None else "has no variables/ beside it"
        yield f"{name} {what}; export the classifier again"
        return
    refused = refused_operations(graph)
    if refused:
        yield (
            f"{name} uses {', '.join(refused)}, not known to compute only, without files, programs, network; "
            "build it of standard Keras layers and export it with Classifier.export, or report an operation "
            "that is harmless"
        )
    for signature in _SIGNATURES:
        if signature not in graph.signature_def:
            yield f"{name} has no signature {signature!r}; export with Classifier.export"
        elif manifest is not None:
            yield from _signature(name, signature, graph.signature_def[signature], manifest)


def _graph(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        return None
    # Of several graphs, who loads them decides which one runs: that need not be the one that was checked.
    if [list(graph.meta_info_def.tags) for graph in model.meta_graphs] != [["serve"]]:
        return None
    return model.meta_graphs[0]


def _signature(name: str, signature: str, definition: Any, manifest: Manifest) -> Iterator[str]:
    data = manifest.sections["data"]
    size, classes = data["preprocess"]["size"], len(data["labels"])
    wanted = {"serving_default": ("string", [-1]), "preprocessed": ("uint8", [-1, size, size, 1])}[signature]
    taken = {key: _form(tensor) for key, tensor in definition.inputs.items()}
    given = {key: _form(tensor) for key, tensor in definition.outputs.items()}
    mend = "; export with Classifier.export and take the manifest of the same classifier"
    if taken != {"image": wanted}:
        yield f"{name}: {signature} takes {taken}, not image {wanted}{mend}"
    if given.get("probabilities", ("", []))[1][1:] != [classes] or "top" not in given:
        yield f"{name}: {signature} gives {given}, not probabilities of {classes} labels and top{mend}"
    decision = manifest.sections.get("decision")
    for section, output in (("conformal", "prediction_set"), ("novelty", "novelty")):
        if isinstance(decision, dict) and decision.get(section) and output not in given:
            yield f"{name}: {signature} gives no {output}, which the manifest has thresholds for{mend}"


def _form(tensor: Any) -> tuple[str, list[int]]:
    from tensorflow import dtypes

    return dtypes.as_dtype(tensor.dtype).name, [int(axis.size) for axis in tensor.tensor_shape.dim]

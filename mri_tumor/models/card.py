"""The model card: what a classifier is, what it was made from, how well it does, and what it is not for."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import digest_of
from mri_tumor.labels import NOTICE
from mri_tumor.manifest import Manifest
from mri_tumor.models.companions import identity
from mri_tumor.models.describing import calibrated, origin, use
from mri_tumor.models.describing.front_matter import front_matter
from mri_tumor.models.describing.markdown import part, plain

if TYPE_CHECKING:
    from mri_tumor.models.classifier import Classifier
    from mri_tumor.models.judging.five_numbers import FiveNumbers
    from mri_tumor.models.judging.report import Report
    from mri_tumor.models.judging.result import Evaluation

_UNLICENSED = "unknown"  # Hugging Face's own word for it
_TAGS = ["mri", "brain", "tumor", "medical-imaging", "mri-tumor", "not-a-medical-device"]
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def model_card(
    classifier: "Classifier",
    *,
    evaluation: "Evaluation | str | Path | None" = None,
    five: "FiveNumbers | str | Path | None" = None,
    licence: str | None = None,
    name: str | None = None,
) -> str:
    r"""Return the model card of a classifier: Markdown with YAML front matter, as Hugging Face reads it.

    All of it comes from the classifier's manifest and from the numbers that are given; what they do not say
    is said to be unknown. The card begins with that it is no medical device. Its sections are the questions
    of Mitchell et al. (2019); its front matter has the form of Hugging Face's model cards. The scores there,
    which machines read without their caveats, are those of clean pictures where leaks are known.

    Args:
        classifier: what is described.
        evaluation: how it fared on pictures, as `evaluate` returns it, or the JSON file of that.
        five: the five numbers of its way of training, as `five` returns them, or the JSON file of these.
        licence: of the weights: one of Hugging Face's identifiers, such as `"apache-2.0"`, or `"other"`. None
            says that it is unknown.
        name: what the model is called; None calls it by its network and its labels.

    Raises:
        ArgumentError: an argument is of another type, the name empty or the licence no identifier.
        ManifestMismatch: the evaluation is of another classifier, numbers are of other labels, or a file
            holds something else.

    >>> from mri_tumor import dataset, models
    >>> from mri_tumor.manifest import Manifest
    >>> data = {"labels": ["none", "tumour"], "preprocess": dataset.Preprocess(size=32).to_dict()}
    >>> network = models.build("small_cnn", size=32, classes=2, width=2)
    >>> card = model_card(models.Classifier(network, Manifest("model", {"data": data})), licence="mit")
    >>> print(*card.splitlines()[:4], sep="\n")
    ---
    license: "mit"
    library_name: "keras"
    pipeline_tag: "image-classification"
    """
    manifest = getattr(classifier, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise ArgumentError(
            f"classifier is a {type(classifier).__name__}", "a Classifier", "pass Classifier.load(folder)"
        )
    called = origin.title(manifest) if name is None else _checked_name(name)
    reports, results = _results(manifest, evaluation, five)
    licence = _checked_licence(licence)
    sections = {
        "What it is": origin.network(manifest, licence),
        "What it is for": use.INTENDED,
        "What it must not be used for": use.not_for(),
        "How to use it": use.how(manifest),
        "What it was trained on": origin.pictures(manifest),
        "How it was trained": origin.training(manifest),
        "How well it does": results,
        "How it decides, and its calibration": calibrated.decision(manifest),
        "Limits": use.limits(manifest),
    }
    body = [f"## {title}\n\n{text}" for title, text in sections.items()]
    first = [front_matter(_fields(called, licence, reports)), f"# {plain(called)}", f"> **{NOTICE}**"]
    return "\n\n".join([*first, *body]) + "\n"


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"name is {name!r:.60}", "a text", "pass what the model is called, or None")
    return name


def _checked_licence(licence: Any) -> str:
    if licence is None:
        return _UNLICENSED
    if not isinstance(licence, str) or not _LICENCE.fullmatch(licence):
        raise ArgumentError(
            f"licence is {licence!r:.60}",
            "an identifier of Hugging Face's, in small letters, such as 'apache-2.0' or 'other'",
            "take it from https://huggingface.co/docs/hub/repositories-licenses",
        )
    return licence


def _results(manifest: Manifest, evaluation: Any, five: Any) -> "tuple[list[tuple[str, Report]], str]":
    """Return the reports by what they are called, and the section about them."""
    if evaluation is None and five is None:
        return [], "Not measured: this card was made without an evaluation and without the five numbers."
    # Scores need TensorFlow, a card without them does not.
    from mri_tumor.models.describing import results
    from mri_tumor.models.judging.report import FiveReport, Report

    reports: list[tuple[str, Report]] = []
    parts = []
    if evaluation is not None:
        found = Report.of(evaluation)
        _check_labels(manifest, found, "the evaluation")
        _check_classifier(manifest, found)
        reports.append(("evaluation", results.told(found)))
        parts.append(f"### An evaluation\n\n{results.evaluation(found)}")
    if five is not None:
        numbers = FiveReport.of(five)
        _check_labels(manifest, next(iter(numbers.reports.values())), "the five numbers")
        reports += [(title, results.told(one)) for title, one in numbers.reports.items()]
        recipe = part(manifest.sections, "recipe")
        digest = digest_of(recipe) if recipe else None
        parts.append(
            f"### The five numbers of its way of training\n\n{results.five_numbers(numbers, digest)}"
        )
    return reports, "\n\n".join(parts)


def _check_labels(manifest: Manifest, found: "Report", name: str) -> None:
    labels = tuple(map(str, part(manifest.sections, "data").get("labels", ())))
    if found.labels != labels:
        raise ManifestMismatch(
            f"{name} has the labels {', '.join(found.labels)}",
            f"{', '.join(labels)}, those of the classifier in the same order",
            "pass the numbers of this classifier",
        )


def _check_classifier(manifest: Manifest, found: "Report") -> None:
    if found.classifier not in (None, identity(manifest)):
        raise ManifestMismatch(
            f"the evaluation is of the classifier {found.classifier:.12}",
            f"one of this classifier, {identity(manifest):.12}",
            "evaluate this one; calibrating makes another classifier",
        )


def _fields(name: str, licence: str, reports: "list[tuple[str, Report]]") -> dict[str, Any]:
    """Return the front matter."""
    fields: dict[str, Any] = {
        "license": licence,
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": _TAGS,
    }
    if not reports:
        return fields
    from mri_tumor.models.describing.results import index

    found = index(name, reports)
    metrics = {
        metric["type"]: None for one in found for result in one["results"] for metric in result["metrics"]
    }
    return fields | ({"metrics": list(metrics), "model-index": found} if found else {})

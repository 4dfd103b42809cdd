"""What a model card says of using a classifier: what it is for, what it is not for, how, and its limits."""

from collections.abc import Iterator

from mri_tumor.manifest import Manifest
from mri_tumor.models.describing.calibrated import calibrated
from mri_tumor.models.describing.markdown import bullets, part, said

INTENDED = """\
It is meant for research and teaching: for comparing ways of training on brain-MRI slices, for studying
leakage, calibration and refusal, and for learning how such a classifier is made and judged."""

_NOT_FOR = (
    "diagnosis, screening, triage, treatment, or any other decision about a person;",
    "standing in for, or hurrying, the reading of a scan by those who are trained for it;",
    "pictures other than slices of brain MRI, other classes than its own, whole volumes, or patients;",
    "any claim about other scanners, hospitals or people than those it was judged on.",
)

_CODE = """\
```python
from mri_tumor import models

classifier = models.Classifier.load(".")  # the folder that holds manifest.json and model.keras
for one in classifier.predict(["slice.png"]):
    print(one.id, one.label, one.top, one.probabilities, one.prediction_set, one.novelty, one.reason)
```"""


def not_for() -> str:
    """Return what a classifier must not be used for."""
    return bullets(_NOT_FOR)


def how(manifest: Manifest) -> str:
    """Return a piece of code that asks the classifier, and what its answers mean."""
    return f"{_CODE}\n\n{bullets(_answers(calibrated(manifest)))}"


def _answers(sets: bool) -> Iterator[str]:
    yield "`probabilities`: a number a class, in the order of the labels; `top`: the most likely class."
    if sets:
        yield "`prediction_set`: the classes that cannot be ruled out at the calibrated risk."
        yield "`novelty`: how far the picture lies from the training pictures, 1 at the threshold."
        yield "`label`: the class, if the set holds exactly one and the picture is not novel; else None."
        yield "`reason`: why there is no label: `novel`, `ambiguous` (several classes) or `empty` (none)."
    else:
        yield "`label`: the most likely class, always."
        yield "`prediction_set`, `novelty` and `reason`: None, since it is not calibrated."
    yield "`notice`: that this is no medical device. Show it wherever an answer is shown."


def limits(manifest: Manifest) -> str:
    """Return what the numbers and the answers do not say."""
    return bullets(_limits(manifest))


def _limits(manifest: Manifest) -> Iterator[str]:
    data = part(manifest.sections, "data")
    yield "It judges single slices, not patients: what a slice does not show it cannot know."
    yield f"It knows {said(data.get('labels'))} and nothing else: it has no name for other findings."
    if data.get("groups") is None:
        yield "Which pictures are of one patient is unknown, so no score of training is one of new patients."
    else:
        yield "Groups are what is known or inferred to belong together; they need not be patients."
    if calibrated(manifest):
        yield (
            "The promise of the prediction sets holds for pictures that are exchangeable with those of the "
            "calibration: of the same kind, from the same sources. It is one about pictures, on average over "
            "them, and neither about patients nor about the single case."
        )
    if part(manifest.sections, "decision", "novelty"):
        yield (
            "The threshold of novelty is a rough sieve, set by how seldom ordinary pictures may be called "
            "novel. How many strange pictures pass it is not measured here."
        )
    yield "How it fares by age, sex, origin, scanner, sequence or hospital: not measured."
    yield "A picture that was cropped, marked, filtered or compressed may be called otherwise."

"""What must not be overlooked about an evaluation's scores, in words."""

from typing import TYPE_CHECKING

from mri_tumor.dataset.tables import percent
from mri_tumor.labels import display_name
from mri_tumor.models.judging.result import parts_of
from mri_tumor.models.judging.scores import Scores

if TYPE_CHECKING:
    from mri_tumor.models.judging.report import Report
    from mri_tumor.models.judging.result import Evaluation


def telling(found: "Evaluation | Report") -> tuple[str, Scores]:
    """Return the part that says something about new pictures: the clean one, or all where all are new."""
    return ("all", found.all) if found.clean is None or found.twins_removed else ("clean", found.clean)


def verdict(found: "Evaluation | Report") -> list[str]:
    """Return in words what must not be overlooked about the scores."""
    part, scores = telling(found)
    lines = []
    if found.leaked is not None and not found.twins_removed:
        lines.append(
            f"{found.leaked.n} of {found.all.n} pictures leaked: a copy of each was trained on. Only the "
            "clean ones say something about new pictures."
        )
    if found.shared:
        lines.append(f"The model was trained on {found.shared} of these.")
    if found.selected:
        lines.append(f"Its training was selected by {found.selected} of these: scores are a little too good.")
    if found.calibrated:
        lines.append(
            f"It was calibrated by {found.calibrated} of these: its probabilities, sets and abstaining "
            "look a little too good."
        )
    missing = [label for label in found.labels if not scores.per_class[label].support]
    if missing and scores.n:
        names = ", ".join(display_name(label) for label in missing)
        lines.append(f"Part {part!r} has no picture of: {names}. Its means are over the other classes.")
    ends = scores.intervals.get("accuracy")
    reached = {floor.name: parts_of(floor)[part].accuracy for floor in found.floors or ()}
    best = max(reached, key=reached.__getitem__, default="")
    if best and ends is not None and reached[best] >= ends.low:
        lines.append(
            f"The floor {best!r} reaches {percent(reached[best])} % on part {part!r}: the model is not "
            "surely better there than a rule that learns nothing about tumours."
        )
    return lines

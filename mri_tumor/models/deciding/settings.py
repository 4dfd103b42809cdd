"""What a classifier's manifest says of how it decides: its section `"decision"`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.models.deciding.conformal import Conformal
from mri_tumor.models.deciding.views import check_tta
from mri_tumor.models.novelty import Density


@dataclass(frozen=True)
class Settings:
    """How logits and features become an answer; the defaults are those of a network that was only trained.

    Args:
        tta: the views that logits and features are the mean of, as `observe` takes it.
        temperature: what logits are divided by, above 0.
        conformal: how prediction sets are made; None before calibration.
        density: where the training pictures' features lie; None if it was not fitted.
        threshold: the distance that is as far as a picture may lie, above 0; None before calibration.

    >>> Settings.of({"temperature": 2.0}, ("glioma", "none"), None).temperature
    2.0
    """

    tta: str = "none"
    temperature: float = 1.0
    conformal: Conformal | None = None
    density: Density | None = None
    threshold: float | None = None

    @classmethod
    def of(cls, section: Any, labels: Sequence[str], density: Density | None) -> Self:
        """Read a manifest's section `"decision"`; what it does not say has its default.

        Args:
            section: the JSON object; `{}` in artefacts of the first releases.
            labels: the K labels in order.
            density: what lies beside the manifest, or None.

        Raises:
            ManifestMismatch: a value is impossible, a label has no threshold, or a novelty threshold has no
                density to go with.
        """
        try:
            tta, temperature = section.get("tta", "none"), _positive(section.get("temperature", 1.0))
            check_tta(tta)
            novelty = section.get("novelty")
            threshold = None if novelty is None else _positive(novelty["threshold"])
            conformal = _conformal(section.get("conformal"), labels)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = error.found if isinstance(error, ArgumentError) else repr(error)
            raise ManifestMismatch(
                f"the manifest's section 'decision' cannot be used ({reason})",
                "tta, temperature, conformal and novelty as calibrate writes them",
                "copy the whole folder again, or calibrate again",
            ) from error
        if threshold is not None and density is None:
            raise ManifestMismatch(
                "the manifest has a threshold of novelty, but there is no density",
                "the density that the threshold belongs to",
                "copy the whole folder again, or calibrate again",
            )
        return cls(tta, temperature, conformal, density, threshold)


def _conformal(card: Any, labels: Sequence[str]) -> Conformal | None:
    if card is None:
        return None
    limits: Mapping[str, Any] = card["thresholds"]
    if set(limits) != set(labels):
        raise ValueError(f"thresholds of {', '.join(limits)} for the labels {', '.join(labels)}")
    return Conformal(card["method"], float(card["risk"]), tuple(float(limits[label]) for label in labels))


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is no number above 0")
    return float(value)

"""Draw the pictures of docs/how_to/augmentation.md, from phantoms.

python docs/images/augmentation.py
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mri_tumor import plots
from mri_tumor.dataset import MixUp, Preprocess
from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.phantom import phantom
from mri_tumor.files import whole_file

HERE = Path(__file__).parent
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "mirror": {"mirror": True},
    "updown": {"updown": True},
    "shear 12": {"shear": 12},
    "zoom 1.25": {"zoom": 1.25},
    "rotation 20": {"rotation": 20},
    "translation (0.12, 0.06)": {"translation": (0.12, 0.06)},
    "blur 2": {"blur": 2.0},
    "bias_field, right -0.5": {"bias_field": [-0.5, 0, 0, 0, 0, 0, 0, 0, 0]},
    "contrast 1.4": {"contrast": 1.4},
    "brightness 51": {"brightness": 51},
    "gamma 1.6": {"gamma": 1.6},
    "noise 15": {"noise": 15, "noise_seed": 1},
    "all but updown": {
        **{"mirror": True, "shear": 6, "zoom": 1.1, "rotation": 20, "translation": (0.05, 0.03), "blur": 0.8},
        **{"bias_field": [-0.3, 0.1, 0, 0, 0, 0, 0, 0, 0], "contrast": 1.2, "brightness": 10},
        **{"gamma": 1.2, "noise": 8, "noise_seed": 1},
    },
}


def main() -> None:
    """Write augmentation.png: one phantom, once changed by each operation, and MixUp of two."""
    preprocess = Preprocess(size=160)
    two = np.stack([preprocess(phantom(label, patient=2)) for label in ("meningioma", "glioma")])
    pictures = [apply(two[:1], **change).numpy()[0] for change in CHANGES.values()]
    mixup, where = MixUp(alpha=1), {"seed": 0, "epoch": 0}
    pictures.append(mixup(two, [1, 0], [0, 1], **where)[0].numpy()[0])
    share = mixup.describe([0, 1], **where)["share"][0]
    titles = [*CHANGES, f"MixUp, share {share:.2f}"]
    # One grey channel at four fifths of the size takes a third of the bytes.
    drawn = cv2.imdecode(
        np.frombuffer(plots.png(plots.grid(pictures, titles)), np.uint8), cv2.IMREAD_GRAYSCALE
    )
    small = cv2.resize(drawn, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    with whole_file(HERE / "augmentation.png") as partial:
        partial.write_bytes(cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


if __name__ == "__main__":
    main()

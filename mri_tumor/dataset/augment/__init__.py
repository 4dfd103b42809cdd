"""Random changes of training pictures: seeded, stateless, a batch at a time.

One file for each kind of change: `geometry` (mirror, updown, shear, zoom, rotation, translation), `blur`,
`bias_field`, `grey` (contrast, brightness, gamma) and `noise`, applied in this order.
"""

from mri_tumor.dataset.augment.augment import Augment, check_augment
from mri_tumor.dataset.augment.change import apply

__all__ = ["Augment", "apply", "check_augment"]

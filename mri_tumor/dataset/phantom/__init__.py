"""Phantoms: synthetic axial head slices with and without tumours, the library's embedded data set.

Heads, scanner and framing are drawn from the patient's number alone, the tumour from patient and class: a
head tells nothing of the class but its level, since pituitary tumours sit at the skull's base as real ones
do. They are for learning, demos and tests; a score on them says nothing about real patients.
"""

from mri_tumor.dataset.phantom.data_set import make_phantoms, phantom

__all__ = ["make_phantoms", "phantom"]

"""The four classes: their order, their display names, and the folder names that mean them."""

from collections.abc import Sequence

LABELS = ("glioma", "meningioma", "none", "pituitary")
"""The classes in the order of every logit, probability and confusion matrix."""

DISPLAY_NAMES = {
    "glioma": "Glioma",
    "meningioma": "Meningioma",
    "none": "No tumour",
    "pituitary": "Pituitary tumour",
}
"""What plots and reports show for each label."""

NOTICE = "Research and teaching only. Not a medical device: never use it for diagnosis."
"""What the command line, predictions, reports and endpoints say where people could forget it."""

_NO_TUMOUR = frozenset({"no", "none", "normal", "healthy", "control", "nontumor", "nontumour"})


def display_name(label: str) -> str:
    """Return the name to show for a label; a label of one's own shows as it is.

    >>> display_name("none")
    'No tumour'
    """
    return DISPLAY_NAMES.get(label, label)


def label_of(folder: str, classes: Sequence[str] = LABELS) -> str | None:
    """Return the class that a folder's name means, or None when it means none of `classes`.

    Case, blanks, `-`, `_` and a trailing "tumor" or "tumour" do not count.

    >>> label_of("Glioma_tumor"), label_of("no_tumor"), label_of("notumor"), label_of("cats")
    ('glioma', 'none', 'none', None)
    """
    known = {_key(name): name for name in classes}
    key = _key(folder)
    if key in known:
        return known[key]
    return "none" if key in _NO_TUMOUR and "none" in classes else None


def _key(name: str) -> str:
    letters = "".join(character for character in name.casefold() if character not in " -_")
    for ending in ("tumours", "tumors", "tumour", "tumor"):
        if letters.endswith(ending) and letters not in {"nontumor", "nontumour"}:
            return letters.removesuffix(ending) or letters
    return letters

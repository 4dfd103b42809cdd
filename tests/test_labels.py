"""Class order, names and aliases: what every artefact rests on."""

import pytest

from mri_tumor.labels import DISPLAY_NAMES, LABELS, NOTICE, display_name, label_of


def test_the_order_never_changes() -> None:
    assert LABELS == ("glioma", "meningioma", "none", "pituitary")


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("glioma_tumor", "glioma"),
        ("Glioma Tumour", "glioma"),
        ("GLIOMA-TUMORS", "glioma"),
        ("meningioma", "meningioma"),
        ("no_tumor", "none"),
        ("notumor", "none"),
        ("No Tumour", "none"),
        ("no", "none"),
        ("none", "none"),
        ("non_tumor", "none"),
        ("normal", "none"),
        ("Healthy", "none"),
        ("pituitary_tumor", "pituitary"),
        ("cats", None),
        ("tumor", None),
        ("", None),
        ("gliomas_of_cats", None),
    ],
)
def test_aliases(folder: str, label: str | None) -> None:
    assert label_of(folder) == label


def test_classes_of_ones_own() -> None:
    assert label_of("Cats", ("cats", "dogs")) == "cats"
    assert label_of("no_tumor", ("cats", "dogs")) is None
    assert label_of("no_tumor", ("tumor", "no")) == "no"
    assert label_of("Tumor", ("tumor", "normal")) == "tumor"


def test_every_label_has_a_name_to_show() -> None:
    assert tuple(DISPLAY_NAMES) == LABELS
    assert display_name("pituitary") == "Pituitary tumour"
    assert display_name("cats") == "cats"


def test_the_notice_says_what_this_is_not() -> None:
    assert "Not a medical device" in NOTICE

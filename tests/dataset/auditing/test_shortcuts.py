"""The probe: it finds a planted shortcut, finds none in noise, and says why where it cannot run."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.auditing import shortcut_scores, shortcuts
from mri_tumor.dataset.auditing.shortcuts import Sample, Shortcuts, probe
from mri_tumor.dataset.auditing.traits import Traits

LABELS = ("glioma", "none", "pituitary")


def traits(rng: np.random.Generator, width: int = 256) -> Traits:
    margins = tuple(rng.uniform(0, 0.3, 4))
    return Traits(
        width,
        256,
        int(rng.integers(9000, 20000)),
        "JPEG",
        margins,
        (0.0, 1.0),
        tuple(rng.uniform(20, 90, 3)),
        0.0,
    )


def samples(
    count: int, widths: Sequence[int] = (256, 256, 256), groups: int = 40, seed: int = 0
) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [
        Sample(label, f"{label} {number % groups}", traits(rng, widths[place]))
        for place, label in enumerate(LABELS)
        for number in range(count)
    ]


def by_name(found: Shortcuts) -> dict[str, str]:
    return {score.traits: score.strength for score in found.scores}


@pytest.fixture(scope="module")
def noise() -> Shortcuts:
    return probe(samples(60))


def test_noise_has_no_shortcut(noise: Shortcuts) -> None:
    assert set(by_name(noise).values()) == {"none"}
    assert all(score.low <= 0.4 and score.high >= 0.25 for score in noise.scores)
    assert (noise.chance, noise.majority) == pytest.approx((1 / 3, 1 / 3))
    assert (noise.pictures, noise.groups, noise.folds, noise.note) == (180, 120, 5, "")
    assert all(score.test_accuracy is None for score in noise.scores)


def test_a_planted_size_is_found_and_only_that() -> None:
    found = probe(samples(60, widths=(256, 300, 256)), samples(10, widths=(256, 300, 256), seed=1))
    strengths = by_name(found)
    assert (strengths["width and height"], strengths["all of these"]) == ("strong", "strong")
    assert strengths["file bytes and format"] == strengths["brightness"] == "none"
    size = found.scores[0]
    # One class of three is told for certain, the other two are one to this probe.
    assert size.balanced_accuracy == pytest.approx(2 / 3, abs=0.02)
    assert size.low <= size.balanced_accuracy <= size.high
    assert size.test_accuracy == pytest.approx(2 / 3, abs=0.01)
    assert found.test_majority == pytest.approx(1 / 3)


def test_groups_are_held_out_whole() -> None:
    # Every group has its own width: inside a group it tells the class, across groups it tells nothing.
    rng = np.random.default_rng(3)
    widths = rng.permutation(np.arange(200, 260))
    pictures = [
        Sample(LABELS[group % 3], str(group), traits(rng, int(width)))
        for group, width in enumerate(widths)
        for _ in range(5)
    ]
    alone = [Sample(sample.label, str(place), sample.traits) for place, sample in enumerate(pictures)]
    assert probe(alone).scores[0].balanced_accuracy > 0.95
    assert probe(pictures).scores[0].balanced_accuracy < 0.6


def test_the_same_pictures_give_the_same_numbers(noise: Shortcuts) -> None:
    assert probe(samples(60)) == noise


def test_too_little_is_said_not_raised() -> None:
    assert probe([]).note == "no pictures"
    one = [sample for sample in samples(20) if sample.label == "none"]
    assert probe(one).note == "all pictures are of one class, 'none'"
    assert probe(samples(5, groups=1)).note == "class 'glioma' has fewer than 2 groups of its own"
    for few in (probe([]), probe(one), probe(samples(5, groups=1))):
        assert (few.scores, few.folds) == ((), 0)
        assert few.summary().startswith("not probed: ")


def test_the_format_counts() -> None:
    pictures = [
        replace(sample, traits=replace(sample.traits, format="PNG" if sample.label == "none" else "JPEG"))
        for sample in samples(60)
    ]
    assert by_name(probe(pictures))["file bytes and format"] == "strong"


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 9)), max_size=40))
def test_any_set_gives_scores_or_says_why_not(pictures: list[tuple[str, int]]) -> None:
    rng = np.random.default_rng(0)
    drawn = [Sample(label, str(group), traits(rng)) for label, group in pictures]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcut_scores, "_TREES", 2)
        found = probe(drawn)
    assert bool(found.scores) == (found.folds >= 2)
    assert found.scores or found.note
    for score in found.scores:
        assert 0 <= score.low <= score.high <= 1
        assert 0 <= score.balanced_accuracy <= 1


def test_a_class_inside_another_ones_groups_is_said() -> None:
    pictures = [*samples(20), Sample("meningioma", "glioma 0", samples(1)[0].traits)]
    pictures += [Sample("glioma", "glioma 0", sample.traits) for sample in samples(3)]
    assert probe(pictures).note == "class 'meningioma' has fewer than 2 groups of its own"


def test_few_groups_give_few_folds() -> None:
    found = probe(samples(12, groups=3))
    assert (found.folds, found.note) == (3, "3 folds: class 'glioma' has only 3 groups")
    assert len(found.scores) == 5


def test_of_many_pictures_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "MOST", 60)
    found = probe(samples(40))
    assert found.pictures == 60
    assert "60 of 120 pictures, drawn" in found.note
    assert found.note in found.summary()


def test_the_table(noise: Shortcuts) -> None:
    lines = noise.summary().splitlines()
    assert lines[0].split() == ["seen", "balanced", "95", "%", "interval", "accuracy", "shortcut"]
    assert lines[-1].split() == ["nothing", "0.333", "0.333"]
    assert len(lines) == 2 + len(noise.scores)

"""What is confused with what, and the most confident mistakes."""

from mri_tumor.models.judging.mistakes import confused_pairs


def test_the_most_frequent_confusions_come_first() -> None:
    pairs = confused_pairs([[5, 2, 0], [3, 0, 0], [1, 2, 7]], ["a", "b", "c"])
    assert [(pair.label, pair.top, pair.count) for pair in pairs] == [
        ("b", "a", 3),
        ("a", "b", 2),
        ("c", "b", 2),
        ("c", "a", 1),
    ]
    assert pairs[0].share == 1


def test_mistakes_name_files_where_there_are_any(judged) -> None:
    found = judged()
    wrong = [
        one.id for one, label in zip(found.predictions, found.truth.labels, strict=True) if one.top != label
    ]
    assert sorted(one.id for one in found.mistakes) == sorted(wrong)
    assert all(one.path.name == one.id for one in found.mistakes)
    assert all(one.probability >= one.true_probability for one in found.mistakes)
    confident = [one.probability for one in found.mistakes]
    assert confident == sorted(confident, reverse=True)
    assert sum(pair.count for pair in found.confused) == len(wrong)

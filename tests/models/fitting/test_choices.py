import math

import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.fitting.choices import flag, number, numbers, one_of, optional, whole

POSITIVE = number("above 0", lambda value: value > 0)


@pytest.mark.parametrize(
    ("check", "given", "kept"),
    [
        (whole(1), 1, 1),
        (whole(0, below=3), 2, 2),
        (POSITIVE, 2, 2.0),
        (numbers("above 0", lambda value: value > 0), [1, 0.5], (1.0, 0.5)),
        (one_of("a", "b"), "b", "b"),
        (flag, True, True),
        (optional(whole(1)), None, None),
        (optional(whole(1)), 4, 4),
    ],
)
def test_good_values_are_kept_in_their_plain_form(check, given, kept):
    found = check("field", given)
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("check", "given", "expected"),
    [
        (whole(1), 0, "a whole number from 1"),
        (whole(1), 1.0, "a whole number"),
        (whole(1), True, "a whole number"),
        (whole(1), None, "a whole number"),
        (whole(0, below=3), 3, "from 0, below 3"),
        (POSITIVE, 0, "a number above 0"),
        (POSITIVE, math.inf, "a number above 0"),
        (POSITIVE, math.nan, "a number above 0"),
        (POSITIVE, True, "a number above 0"),
        (POSITIVE, "1", "a number above 0"),
        (numbers("above 0", lambda value: value > 0), [], "one or more numbers above 0"),
        (numbers("above 0", lambda value: value > 0), "12", "one or more numbers above 0"),
        (numbers("above 0", lambda value: value > 0), 0.5, "one or more numbers above 0"),
        (numbers("above 0", lambda value: value > 0), [1, -1], "a number above 0"),
        (one_of("a", "b"), "c", "one of a, b"),
        (flag, 1, "True or False"),
        (optional(whole(1)), 0, "a whole number from 1, or None"),
    ],
)
def test_others_are_refused_by_name_with_what_was_expected(check, given, expected):
    with pytest.raises(ArgumentError) as caught:
        check("field", given)
    assert "field" in caught.value.found
    assert repr(given if not isinstance(given, list) or not given else given[-1]) in caught.value.found
    assert expected in caught.value.expected

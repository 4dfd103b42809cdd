"""The names and tags of everything that this library creates in an account, so that it can be found again."""

import datetime
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from mri_tumor import __version__
from mri_tumor.errors import ArgumentError

PREFIX = "mri-tumor"
"""How the names of all resources begin."""

TAG = "created-by"
"""The key of the tag that all resources have; its value is `PREFIX`."""

TIME = 15
"""How many characters the time takes that SageMaker's SDK adds to the name of a job."""

# The platform's form of names of jobs, models, endpoint configurations and endpoints.
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_MOST_TAGS = 8  # of the 10 that an object in S3 may have; two are ours
_OWN = {TAG: PREFIX, "mri-tumor-version": __version__}


def new_name() -> str:
    """Return a name that nothing has yet.

    >>> len(new_name()), new_name() != new_name()
    (34, True)
    """
    now = datetime.datetime.now(datetime.UTC)
    return f"{PREFIX}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def is_name(name: Any) -> bool:
    """Return whether the platform takes a name: 1 to 63 letters, digits and hyphens.

    >>> is_name("study-3"), is_name("study_3")
    (True, False)
    """
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_name(name: Any, argument: str) -> None:
    """Refuse a name that the platform would not take.

    Args:
        name: of a job, a model or an endpoint.
        argument: what it was given as, for the error.

    Raises:
        ArgumentError: it is none of 1 to 63 letters, digits and hyphens.
    """
    if not is_name(name):
        raise ArgumentError(
            f"{argument} is {name!r}", "at most 63 letters, digits and hyphens", "choose another name"
        )


def own_name(name: str | None, *, room: int = 0) -> str:
    """Return the name of a resource: the given one after our prefix, or a new one.

    Args:
        name: None, or a name; one that has the prefix is kept.
        room: so many characters are added to it later.

    Raises:
        ArgumentError: it is too long, or holds other characters than letters, digits and hyphens.

    >>> own_name("study-3"), own_name("mri-tumor-study-3")
    ('mri-tumor-study-3', 'mri-tumor-study-3')
    """
    if name is None:
        return new_name()
    check_name(name, "the name")
    full = name if name.startswith(f"{PREFIX}-") else f"{PREFIX}-{name}"
    if len(full) > 63 - room:
        most = 63 - room - len(PREFIX) - 1
        raise ArgumentError(f"the name {name!r} has {len(name)} characters", f"at most {most}", "shorten it")
    return full


def tags_of(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return the tags of a resource: the given ones and ours.

    Raises:
        ArgumentError: they are too many, too long, or use names that AWS or this library keeps for itself.

    >>> tags_of({"project": "thesis"})["created-by"]
    'mri-tumor'
    """
    given = {} if given is None else given
    wanted = (
        f"at most {_MOST_TAGS} names of up to 128 characters, values of up to 256; none of aws: or of ours"
    )
    if not isinstance(given, Mapping) or len(given) > _MOST_TAGS:
        raise ArgumentError(f"tags is {given!r:.80}", wanted, "pass a mapping of texts")
    for key, value in given.items():
        texts = isinstance(key, str) and isinstance(value, str)
        if not texts or not 0 < len(key) <= 128 or len(value) > 256 or key in _OWN or key.startswith("aws:"):
            raise ArgumentError(f"the tag {key!r:.80} is {value!r:.80}", wanted, "change it")
    return {**given, **_OWN}


def foreign_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without ours: what `tags_of` was given."""
    return {key: value for key, value in tags.items() if key not in _OWN}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that AWS's calls take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def is_ours(tags: Sequence[Mapping[str, str]]) -> bool:
    """Return whether tags, as AWS gives them, are those of something that this library created.

    >>> is_ours(tag_list(tags_of(None))), is_ours([{"Key": "created-by", "Value": "hand"}])
    (True, False)
    """
    return any(tag.get("Key") == TAG and tag.get("Value") == PREFIX for tag in tags)

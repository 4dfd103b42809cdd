"""Descriptions, lists and tags: the same for every kind of resource."""

import re
from typing import Any

from harness.errors import Refused
from harness.recognise import model_of
from harness.store import KINDS, Resource, Store

_PLURALS = {f"List{name}s": name for name in KINDS}


class Descriptions:
    """Describe, list and tag what a store holds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Any]:
        """Return operation -> what answers it."""
        describe = {f"Describe{name}": self._describer(name) for name in KINDS}
        lists = {operation: self._lister(operation, name) for operation, name in _PLURALS.items()}
        return {**describe, **lists}

    def _describer(self, kind: str) -> Any:
        return lambda given: self._store.get(kind, given[f"{kind}Name"]).described(f"Describe{kind}")

    def _lister(self, operation: str, kind: str) -> Any:
        output = model_of("sagemaker").operation_model(operation).output_shape
        assert output is not None
        member = next(name for name in output.members if name != "NextToken")

        def answer(given: dict[str, Any]) -> dict[str, Any]:
            found = [one for one in self._store.all(kind) if _wanted(one, given)]
            if given.get("SortOrder", "Descending") == "Descending":
                found.reverse()
            page, token = paged(found, given)
            known = output.members[member].member.members
            rows = [_row(one, known) for one in page]
            return {member: rows, **({"NextToken": token} if token else {})}

        return answer


def paged(found: list[Any], given: dict[str, Any], most: int = 100) -> tuple[list[Any], str]:
    """Return a page of a list, and the token of the next one or ""."""
    start, count = int(given.get("NextToken", 0)), given.get("MaxResults", most)
    more = start + count < len(found)
    return found[start : start + count], str(start + count) if more else ""


def _row(one: Resource, known: dict[str, Any]) -> dict[str, Any]:
    facts = {**one.request, **one.facts}
    return {name: facts[name] for name in known if facts.get(name) is not None}


def _wanted(one: Resource, given: dict[str, Any]) -> bool:
    made = one.facts["CreationTime"].timestamp()
    return (
        given.get("NameContains", "").lower() in one.name.lower()
        and given.get("StatusEquals", one.status) == one.status
        and given.get("CreationTimeAfter", made) <= made <= given.get("CreationTimeBefore", made)
    )


class Tags:
    """The operations on tags."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list_tags(self, given: dict[str, Any]) -> dict[str, Any]:
        tags = self._of(given).tags
        page, token = paged([{"Key": key, "Value": value} for key, value in tags.items()], given, 50)
        return {"Tags": page, **({"NextToken": token} if token else {})}

    def add_tags(self, given: dict[str, Any]) -> dict[str, Any]:
        resource = self._of(given)
        resource.tags = {**resource.tags, **{tag["Key"]: tag["Value"] for tag in given["Tags"]}}
        return {"Tags": [{"Key": key, "Value": value} for key, value in resource.tags.items()]}

    def delete_tags(self, given: dict[str, Any]) -> dict[str, Any]:
        resource = self._of(given)
        resource.tags = {key: value for key, value in resource.tags.items() if key not in given["TagKeys"]}
        return {}

    def is_ours(self, given: dict[str, Any]) -> bool:
        """Return whether the ARN is of a kind that we keep; moto has the others."""
        kinds = "|".join(kind.arn for kind in KINDS.values())
        return re.search(rf":(?:{kinds})/", given.get("ResourceArn", "")) is not None

    def _of(self, given: dict[str, Any]) -> Resource:
        found = self._store.of_arn(given["ResourceArn"])
        if found is None:
            raise Refused("ValidationException", f"Could not find resource {given['ResourceArn']}")
        return found

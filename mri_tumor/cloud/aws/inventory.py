"""What this library has created in an account, and its removal."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.endpoints.hosting import RemoteEndpoint
from mri_tumor.cloud.aws.names import PREFIX, is_ours
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.errors import CloudError, EndpointError

_KINDS = {"endpoint": "Endpoint", "endpoint configuration": "EndpointConfig", "model": "Model"}


@dataclass(frozen=True)
class Resource:
    """An endpoint, or an endpoint configuration or a model without one.

    Args:
        kind: `"endpoint"`, `"endpoint configuration"` or `"model"`.
        name: its name.
        status: of an endpoint, in SageMaker's words; empty for the others, which cost nothing.
        created: when.

    >>> Resource("model", "mri-tumor-a", "", datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)).kind
    'model'
    """

    kind: str
    name: str
    status: str
    created: datetime.datetime


def resources(session: Any = None) -> list[Resource]:
    """List the endpoints, endpoint configurations and models that this library created.

    They are known by the prefix of their names and by their tags.

    Args:
        session: a `boto3.Session`.

    Raises:
        CloudError: AWS refused.

    >>> resources(session="none of boto3's")
    Traceback (most recent call last):
        ...
    mri_tumor.errors.ArgumentError: session is a str. Expected: a boto3.Session or None. ...
    """
    account = Account(session)
    return [one for kind in _KINDS for one in _listed(account, kind)]


def delete(resource: Resource, session: Any = None) -> None:
    """Delete one of `resources`; an endpoint takes its configuration and its model along.

    Raises:
        EndpointError: what is left, and why.
        CloudError: AWS refused.
    """
    account = Account(session)
    if resource.kind == "endpoint":
        RemoteEndpoint(account, resource.name).stop()
        return
    word = _KINDS[resource.kind]
    call = {"EndpointConfig": "delete_endpoint_config", "Model": "delete_model"}[word]
    try:
        with asking(f"deleting the {resource.kind} {resource.name}"):
            getattr(account.client("sagemaker"), call)(**{f"{word}Name": resource.name})
    except CloudError as error:
        if error.code != "ResourceNotFound":  # it went with its endpoint
            raise EndpointError(error.found, error.expected, error.fix) from error


def _listed(account: Account, kind: str) -> Iterator[Resource]:
    client, word = account.client("sagemaker"), _KINDS[kind]
    call = {"Endpoint": "list_endpoints", "EndpointConfig": "list_endpoint_configs", "Model": "list_models"}[
        word
    ]
    with asking(f"listing what is ours: {kind}"):
        for page in client.get_paginator(call).paginate(NameContains=PREFIX):
            for card in page[f"{word}s"]:
                tags = client.list_tags(ResourceArn=card[f"{word}Arn"])["Tags"]
                if is_ours(tags) and card[f"{word}Name"].startswith(f"{PREFIX}-"):
                    yield Resource(
                        kind, card[f"{word}Name"], card.get("EndpointStatus", ""), card["CreationTime"]
                    )

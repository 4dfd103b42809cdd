"""The terms on which something runs in an account: role, network, encryption, tags."""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.names import foreign_tags, tag_list, tags_of
from mri_tumor.errors import ArgumentError

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
# The families with a "d" for disk, and those with accelerators, which have disks without saying so.
_OWN_DISKS = re.compile(r"ml\.([a-z]+\d+[a-z]*d[a-z]*|gr?[5-9]\w*|p[5-9]\w*|trn\d\w*)\.")
_FIND_ROLE = (
    "aws iam get-role --role-name NAME --query Role.Arn shows it; docs/how_to/cloud_policy says what it needs"
)


class GivenTerms(TypedDict, total=False):
    """The keyword arguments that everything which runs in an account takes.

    `role`: the ARN of the execution role. `subnets` and `security_group_ids`: the VPC to run in. `kms_key`:
    the key that volumes and outputs are encrypted with. `network_isolation`: the containers reach nothing.
    `tags`: put on everything that is created. `session`: a `boto3.Session`.
    """

    role: str
    subnets: Sequence[str]
    security_group_ids: Sequence[str]
    kms_key: str
    network_isolation: bool
    tags: Mapping[str, str]
    session: Any


@dataclass(frozen=True)
class Terms:
    """Checked `GivenTerms`.

    Args:
        account: whose credentials and region are used.
        role: the ARN of the execution role.
        subnets: of the VPC; empty: none.
        security_group_ids: of the VPC; empty: none.
        kms_key: a key's ARN or alias, or None for the service's own.
        network_isolation: whether containers reach nothing.
        tags: ours among them.
    """

    account: Account
    role: str
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    kms_key: str | None = None
    network_isolation: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Terms":
        """Check what was given; nothing is asked of AWS.

        Raises:
            ArgumentError: a value is of the wrong kind or form.
            MissingExtra: boto3 is not installed.
            CloudError: no region is set.
        """
        role = check_role(given.get("role"))
        subnets, groups = (_ids(given.get(name) or (), name) for name in ("subnets", "security_group_ids"))
        if bool(subnets) != bool(groups):
            raise ArgumentError(
                f"there are {len(subnets)} subnets and {len(groups)} security groups",
                "both, for a VPC, or none",
                "pass subnets= and security_group_ids=",
            )
        key, isolation = given.get("kms_key"), given.get("network_isolation", False)
        if not (key is None or (isinstance(key, str) and key)) or not isinstance(isolation, bool):
            raise ArgumentError(
                f"kms_key is {key!r}, network_isolation {isolation!r}",
                "a key's ARN, id or alias, and True or False",
                "correct them",
            )
        tags = tags_of(given.get("tags"))
        return cls(Account(given.get("session")), role, subnets, groups, key, isolation, tags)

    @property
    def given(self) -> dict[str, Any]:
        """The keyword arguments that make these terms again."""
        return {
            "role": self.role,
            "subnets": self.subnets,
            "security_group_ids": self.security_group_ids,
            "kms_key": self.kms_key,
            "network_isolation": self.network_isolation,
            "tags": foreign_tags(self.tags),
            "session": self.account.session,
        }

    @property
    def vpc(self) -> dict[str, Any]:
        """`VpcConfig` as calls of boto3 take it, in a mapping that is empty without one."""
        if not self.subnets:
            return {}
        groups = list(self.security_group_ids)
        return {"VpcConfig": {"Subnets": list(self.subnets), "SecurityGroupIds": groups}}

    def volume_key(self, name: str, instance_type: str) -> dict[str, str]:
        """Return the key for an instance's volume, as calls of boto3 take it.

        Instances with disks of their own have it not: AWS encrypts these by the hardware, and refuses a key.

        Args:
            name: of the argument.
            instance_type: `"ml.<family>.<size>"` or `"serverless"`.
        """
        if self.kms_key is None or not instance_type.startswith("ml.") or _OWN_DISKS.match(instance_type):
            return {}
        return {name: self.kms_key}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The tags as calls of boto3 take them."""
        return tag_list(self.tags)


def check_role(role: Any) -> str:
    """Return the ARN of a role.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise ArgumentError(f"role is {role!r}", "arn:aws:iam::<12 digits>:role/<name>", _FIND_ROLE)
    return role


def check_names(given: Mapping[str, Any], call: Callable[..., Any]) -> None:
    """Refuse keyword arguments that are no terms, and name those that the call takes.

    Args:
        given: what came as `**terms`.
        call: what it was given to.

    Raises:
        ArgumentError: a name is not known.
    """
    unknown = sorted(given.keys() - GivenTerms.__annotations__.keys())
    if not unknown:
        return
    own = [name for name in inspect.signature(call).parameters if name not in ("self", "terms")]
    known = [*own, *GivenTerms.__annotations__]
    near = difflib.get_close_matches(unknown[0], known, 1)
    raise ArgumentError(
        f"there is no argument {unknown[0]!r}",
        f"one of {', '.join(known)}",
        f"did you mean {near[0]!r}?" if near else "correct the name",
    )


def refuse_locally(given: Mapping[str, Any]) -> None:
    """Refuse what means nothing on this machine.

    Raises:
        ArgumentError: anything is given.
    """
    if given:
        raise ArgumentError(
            f"{', '.join(sorted(given))} cannot be honoured with instance_type='local'",
            "instance_type='ml.<family>.<size>' for what runs on AWS",
            "leave them out, or name an instance type",
        )


def _ids(given: Any, name: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one for one in given):
        raise ArgumentError(f"{name} is {given!r}", "a list of ids", "pass a list")
    return tuple(given)

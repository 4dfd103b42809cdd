"""An endpoint on SageMaker: model, configuration and endpoint, made and removed together."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.endpoints.plan import Plan
from mri_tumor.cloud.aws.logs import last_events
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.errors import CloudError, EndpointError

logger = logging.getLogger(__name__)

ASYNC_BODY = 64 * 2**20
"""The largest request in bytes that we send to an asynchronous endpoint; SageMaker would take 1 GB."""

SERVERLESS_BODY = 4_000_000
"""The largest request in bytes of a serverless endpoint: SageMaker's limit."""

_ROOM = 54  # characters of the endpoint's name that the names of its parts begin with
_GROUP = "/aws/sagemaker/Endpoints/{name}"
_PAUSE = 5.0  # seconds between two looks at something that takes minutes
_REMOVAL = 1800.0  # seconds that an endpoint may take until it can be deleted
_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack")


_Step = tuple[str, str, Callable[[], Any]]  # kind, name and deletion


class RemoteEndpoint:
    """An endpoint with its configuration and its model.

    Args:
        account: where it is.
        name: of the endpoint.
        parts: the name of its configuration and its model, if they were created with it: nothing else has
            that name, so what bears it may be deleted.
    """

    def __init__(self, account: Account, name: str, parts: str | None = None) -> None:
        self.account = account
        self.name = name
        self._parts = parts
        self._client = account.client("sagemaker")
        self._confirmed = parts is None  # whether the endpoint of this name is known to be the one meant
        self._card: dict[str, Any] | None = None
        self._to_delete: list[_Step] | None = None  # what is left to do after a deletion that failed
        self._config: dict[str, Any] | None = None

    @classmethod
    def create(
        cls, name: str, data: str, image: str, plan: Plan, terms: Terms, *, answers: str | None = None
    ) -> "RemoteEndpoint":
        """Create the three and wait until the endpoint is in service; after any exception all are removed.

        Args:
            name: of the endpoint.
            data: `s3://.../model.tar.gz`.
            image: the inference image.
            plan: what it is made of.
            terms: the terms it runs on.
            answers: the `s3://` folder of an asynchronous endpoint's answers.

        Raises:
            CloudError: AWS refused.
            EndpointError: the endpoint did not start; the error shows the end of its log.
        """
        endpoint = cls(terms.account, name, f"{name[:_ROOM]}-{secrets.token_hex(4)}")
        try:
            with asking(f"creating the endpoint {name}"):
                endpoint._create(data, image, plan, terms, answers)
            endpoint._wait(plan.startup_timeout)
            endpoint._confirmed = True
        except BaseException as error:
            endpoint._remove_after(error)
            raise
        return endpoint

    def _create(self, data: str, image: str, plan: Plan, terms: Terms, answers: str | None) -> None:
        environment = dict(plan.environment or {})
        if answers:
            environment.setdefault("MRI_TUMOR_MAX_BODY", str(ASYNC_BODY))
        self._client.create_model(
            ModelName=self._parts,
            ExecutionRoleArn=terms.role,
            PrimaryContainer={"Image": image, "ModelDataUrl": data, "Environment": environment},
            EnableNetworkIsolation=terms.network_isolation,
            Tags=terms.tag_list,
            **terms.vpc,
        )
        options: dict[str, Any] = terms.volume_key("KmsKeyId", plan.instance_type)
        if answers:
            place = {"S3OutputPath": f"{answers}/answers", "S3FailurePath": f"{answers}/failures"}
            if terms.kms_key:
                place["KmsKeyId"] = terms.kms_key
            options["AsyncInferenceConfig"] = {"OutputConfig": place}
        self._client.create_endpoint_config(
            EndpointConfigName=self._parts,
            ProductionVariants=[plan.variant(str(self._parts))],
            Tags=terms.tag_list,
            **options,
        )
        self._client.create_endpoint(
            EndpointName=self.name, EndpointConfigName=self._parts, Tags=terms.tag_list
        )

    def _wait(self, timeout: float) -> None:
        """Wait until the endpoint is in service, with a log line for each state."""
        start, shown = time.monotonic(), ""
        while True:
            card = self.describe()
            status = card["EndpointStatus"]
            seconds = time.monotonic() - start
            if status != shown:
                logger.info("endpoint %s: %s after %.0f s", self.name, status, seconds)
                shown = status
            if status == "InService":
                return
            if status not in _BUSY or seconds > timeout:
                raise self._not_started(status, card.get("FailureReason"), seconds)
            time.sleep(_PAUSE)

    def _not_started(self, status: str, reason: str | None, seconds: float) -> EndpointError:
        lines = last_events(self.account, _GROUP.format(name=self.name))
        return EndpointError(
            f"the endpoint {self.name} is {status} after {seconds:.0f} s"
            + (f": {reason}" if reason else "")
            + (f". The end of its log:\n{lines}" if lines else ""),
            "an endpoint in service",
            "mend what the reason names and deploy again; pass a longer startup_timeout if it was starting",
            code=503,
        )

    def _remove_after(self, error: BaseException) -> None:
        """Remove what an exception left half-made; what cannot be removed is named beside that exception."""
        try:
            self.stop()
        except (CloudError, EndpointError) as left:
            error.add_note(str(left))
            logger.error("%s", left)

    def describe(self) -> dict[str, Any]:
        """Return what AWS says of the endpoint now.

        Raises:
            CloudError: there is none of that name, or AWS refused.
        """
        with asking(f"looking at the endpoint {self.name}"):
            self._card = dict(self._client.describe_endpoint(EndpointName=self.name))
        return self._card

    @property
    def card(self) -> dict[str, Any]:
        """What AWS said of the endpoint last."""
        return self._card or self.describe()

    @property
    def config(self) -> dict[str, Any]:
        """The endpoint's configuration, which never changes under its name."""
        if self._config is None:
            name = self.card["EndpointConfigName"]
            with asking(f"looking at the endpoint configuration {name}"):
                self._config = dict(self._client.describe_endpoint_config(EndpointConfigName=name))
        return self._config

    @property
    def answers(self) -> str | None:
        """The `s3://` folder of an asynchronous endpoint's answers; None: it answers at once."""
        return self._async_output.get("S3OutputPath")

    @property
    def kms_key(self) -> str | None:
        """The key that an asynchronous endpoint's answers are encrypted with."""
        return self._async_output.get("KmsKeyId")

    @property
    def _async_output(self) -> dict[str, str]:
        found: dict[str, str] = self.config.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
        return found

    @property
    def max_body(self) -> int:
        """The largest request in bytes."""
        if self.answers:
            return ASYNC_BODY
        variants = self.config.get("ProductionVariants", [])
        serverless = any("ServerlessConfig" in variant for variant in variants)
        return SERVERLESS_BODY if serverless else MAX_BODY

    def stop(self) -> None:
        """Delete endpoint, configuration and model; a second call does nothing.

        An endpoint that is being created or changed cannot be deleted: that is waited for.

        Raises:
            EndpointError: what is left, and may go on costing money, and why.
        """
        if self._to_delete is None:
            self._settle()
            self._to_delete = [("endpoint", self.name, self._delete_endpoint), *self._parts_to_delete()]
        left: list[_Step] = []
        reasons: list[str] = []
        for step in self._to_delete:
            kind, name, delete = step
            if kind != "endpoint" and left and left[0][0] == "endpoint":
                left.append(step)  # the endpoint needs it as long as it runs
                continue
            try:
                with asking(f"deleting the {kind} {name}"):
                    delete()
            except CloudError as error:
                if error.code != "ResourceNotFound":
                    left.append(step)
                    reasons.append(f"the {kind} {name} ({error.found})")
        self._to_delete = left
        if left:
            costs = "; the endpoint costs money until then" if left[0][0] == "endpoint" else ""
            names = " ".join(f"--delete {name}" for name in dict.fromkeys(name for _, name, _ in left))
            raise EndpointError(
                f"could not be deleted: {'; '.join(reasons)}",
                "nothing that is left",
                f"call delete() again, or mri-tumor endpoints {names}{costs}",
            )

    def _parts_to_delete(self) -> list[_Step]:
        """Return kind, name and deletion of what belongs to the endpoint, before it is gone.

        These are the parts it was created with, and those it has now: somebody may have changed it.
        """
        own = [] if self._parts is None else [self._parts]
        configs, models = list(own), list(own)
        try:
            if not self._is_another():
                self._config = None
                configs.append(self.describe()["EndpointConfigName"])
                models += [variant["ModelName"] for variant in self.config["ProductionVariants"]]
        except CloudError as error:
            if error.code != "ResourceNotFound" and not own:
                raise EndpointError(error.found, "to see what belongs to it", error.fix) from error
        delete_config, delete_model = self._client.delete_endpoint_config, self._client.delete_model
        return [
            *(
                ("endpoint configuration", name, partial(delete_config, EndpointConfigName=name))
                for name in dict.fromkeys(configs)
            ),
            *(("model", name, partial(delete_model, ModelName=name)) for name in dict.fromkeys(models)),
        ]

    def _settle(self) -> None:
        """Wait while the endpoint is being created or changed: until then it cannot be deleted."""
        with contextlib.suppress(CloudError):  # the deletion will say the same
            self._wait_while(_BUSY, time.monotonic() + _REMOVAL)

    def _is_another(self) -> bool:
        """Return whether an endpoint of this name was there before ours, whose creation failed then."""
        return not self._confirmed and self.describe()["EndpointConfigName"] != self._parts

    def _delete_endpoint(self) -> None:
        """Delete the endpoint and wait until it is gone."""
        if self._is_another():
            return
        deadline = time.monotonic() + _REMOVAL
        self._client.delete_endpoint(EndpointName=self.name)
        try:
            status = self._wait_while(("Deleting",), deadline)
        except CloudError as error:
            if error.code == "ResourceNotFound":
                return  # it is gone
            raise
        raise CloudError(f"the endpoint {self.name} is {status}", "to be deleted", "call delete() again")

    def _wait_while(self, states: Collection[str], deadline: float) -> str:
        """Wait as long as the endpoint is in one of these states, and return the next one."""
        shown = ""
        while (status := str(self.describe()["EndpointStatus"])) in states and time.monotonic() < deadline:
            if status != shown:
                logger.info("endpoint %s: %s; waiting, to delete it", self.name, status)
                shown = status
            time.sleep(_PAUSE)
        return status

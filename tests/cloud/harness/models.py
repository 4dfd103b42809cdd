"""Models and endpoint configurations: what is kept until an endpoint or a transform job runs it."""

from typing import Any

from harness import s3
from harness.base import REGION, Platform
from harness.errors import Refused
from harness.store import Resource


class Models:
    """The operations on models and endpoint configurations."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_model(self, given: dict[str, Any]) -> dict[str, Any]:
        container = container_of(given)
        address = container.get("ModelDataUrl")
        if address and not s3.exists(self._platform.client("s3"), address):
            role = given.get("ExecutionRoleArn", "")
            raise Refused(
                "ValidationException",
                f'Could not access model data at {address}. Please ensure that the role "{role}" exists and '
                'that its trust relationship policy allows the action "sts:AssumeRole" for the service '
                'principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" '
                f"permissions and that the object is located in {REGION}.",
            )
        return {"ModelArn": self._platform.store.create("Model", given).arn}

    def create_endpoint_config(self, given: dict[str, Any]) -> dict[str, Any]:
        for variant in given["ProductionVariants"]:
            self._platform.store.get("Model", variant["ModelName"])
            serverless = variant.get("ServerlessConfig")
            if serverless and serverless["MemorySizeInMB"] % 1024:
                raise Refused("ValidationException", "MemorySizeInMB must be a multiple of 1024")
            if (serverless is None) == ("InstanceType" not in variant):
                raise Refused("ValidationException", "Specify one of InstanceType and ServerlessConfig")
            if serverless and ("AsyncInferenceConfig" in given or "DataCaptureConfig" in given):
                raise Refused(
                    "ValidationException", "Serverless variants take no AsyncInferenceConfig or capture"
                )
        return {"EndpointConfigArn": self._platform.store.create("EndpointConfig", given).arn}

    def delete_model(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._delete("Model", given)

    def delete_endpoint_config(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._delete("EndpointConfig", given)

    def _delete(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        self._platform.store.delete(self._platform.store.get(kind, given[f"{kind}Name"]))
        return {}


def container_of(model: dict[str, Any]) -> dict[str, Any]:
    """Return the one container of a model's request.

    Raises:
        Refused: it has none, or several.
    """
    containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])
    if len(containers) != 1:
        raise Refused("ValidationException", "the harness runs models of one container")
    found: dict[str, Any] = containers[0]
    return found


def variant_summary(variant: dict[str, Any], container: dict[str, Any], at: Any) -> dict[str, Any]:
    """Return what `DescribeEndpoint` says of a variant that is in service."""
    summary: dict[str, Any] = {"VariantName": variant["VariantName"]}
    if container.get("Image"):
        image = container["Image"]
        summary["DeployedImages"] = [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": at}]
    weight = float(variant.get("InitialVariantWeight", 1.0))
    summary |= {"CurrentWeight": weight, "DesiredWeight": weight}
    if "ServerlessConfig" in variant:
        summary["CurrentServerlessConfig"] = variant["ServerlessConfig"]
        summary |= {"CurrentInstanceCount": 0, "DesiredInstanceCount": 0}
    else:
        count = variant.get("InitialInstanceCount", 1)
        summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    return summary


def model_of_config(platform: Platform, config: Resource) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first variant of a configuration, and the container that it runs.

    Raises:
        Refused: its model is gone.
    """
    variant: dict[str, Any] = config.request["ProductionVariants"][0]
    return variant, container_of(platform.store.get("Model", variant["ModelName"]).request)

"""From the text of a policy to a policy, or to everything that is wrong with it, each at file:line:column."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from mlflow_rank.evidence.strict_yaml import DocumentError, YamlDocument
from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.model import API_VERSION, PromotionPolicy, WatchPolicy

Policy = PromotionPolicy | WatchPolicy | Exemption
ANY_POLICY: TypeAdapter[Policy] = TypeAdapter(Annotated[Policy, Field(discriminator="kind")])
SCHEMA_ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def load_policy(text: str, *, named: str) -> Policy:
    """Return the policy that a YAML text holds, or the exemption from all policies.

    Args:
        text: the whole document.
        named: what it is called in messages: its path.

    Raises:
        DocumentError: with every problem, one per line, as `file:line:column: field: what is wrong`.
    """
    document = YamlDocument.of(text, named=named)
    value = document.value
    if not isinstance(value, dict):
        raise DocumentError(named, [document.problem((), "is no mapping; a policy begins with apiVersion and kind")])
    version = value.get("apiVersion")
    if version != API_VERSION:
        said = "is missing" if version is None else f"is {version!r}"
        raise DocumentError(named, [document.problem(("apiVersion",), f"{said}; this version reads {API_VERSION}")])
    return document.validate(ANY_POLICY)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy, by which editors complete and check it."""
    title = {"$schema": SCHEMA_ADDRESS, "title": "mlflow_rank policy"}
    return title | ANY_POLICY.json_schema()

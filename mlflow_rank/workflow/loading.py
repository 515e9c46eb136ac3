"""Loading a model that was approved, from an address and a file that says whose keys are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow_rank.registry.clients.verified_load import load_verified
from mlflow_rank.workflow.policies import read_trust_file


def load_model(model_uri: str, *, trust: str | Path = "trust.yaml", tracking_uri: str | None = None) -> Any:
    """Return a registered model once its files and the decision behind it are verified; see `mlflow_rank.load_model`.

    Raises:
        UsageError: the address names nothing, or there is no such trust file.
        EvidenceError: something does not hold.
        MeasurementError: the registry cannot be reached.
    """
    return load_verified(model_uri, read_trust_file(Path(trust)), tracking_uri=tracking_uri)

"""Governance of self-supervised speech encoders: rank, pilot, gate and audit trail for MLflow.

Importing this package loads neither torch, transformers nor mlflow: each is imported where it is used.
"""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from typing import Any

__all__ = ["RankLightningCallback", "RankMonitor", "RankTrainerCallback", "__version__", "load_model"]
__version__ = "0.1.0"

_PLACES = {
    "RankLightningCallback": "mlflow_rank.workflow.lightning_callback",
    "RankMonitor": "mlflow_rank.workflow.monitoring",
    "RankTrainerCallback": "mlflow_rank.workflow.trainer_callback",
}  # by name, as in `load_model`


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_model(model_uri: str, *, trust: str | PathLike[str] = "trust.yaml", tracking_uri: str | None = None) -> Any:
    """Return a registered model, as MLflow's pyfunc loads it, once its bytes and its decision have been verified.

    The files are fetched and hashed; the decision that placed the version must be an approval of just these files, this
    model, version and target, signed by a key with the role `gate`. Nothing is loaded where any of this does not hold,
    and nothing is ever unpickled.

        model = mlflow_rank.load_model("models:/encoder@champion", trust="trust.yaml")

    Args:
        model_uri: `models:/NAME@ALIAS`, `models:/NAME/STAGE` or `models:/NAME/VERSION`.
        trust: the file that says whose keys are believed.
        tracking_uri: of the server (`http://…`) or of the registry's database; None for MLflow's own choice.

    Raises:
        UsageError: the address names nothing, or there is no such trust file.
        EvidenceError: something does not hold; it says what was found and what was expected.
        MeasurementError: the registry cannot be reached.
    """
    # by name: what everything else imports must not import everything else
    return import_module("mlflow_rank.workflow.loading").load_model(model_uri, trust=trust, tracking_uri=tracking_uri)

"""Numbers of versions, which callers send as text: `01` and `１` are version 1, and evidence is kept for `1`."""

from __future__ import annotations

LARGEST = 2**31 - 1  # that MLflow's column holds on every database


def number_of(version: object) -> str:
    """Return a number as the registry writes it; what is none as it is, so that MLflow refuses it in its own words.

    >>> number_of(" 01"), number_of("１"), number_of("latest")
    ('1', '1', 'latest')
    """
    try:
        return str(int(str(version)))
    except ValueError:
        return str(version)


def row_number(model: str, version: str) -> int:
    """Return the number by which a version is looked up.

    Raises:
        MlflowException: it is none (400), or larger than any version's (404).
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
    from mlflow.utils.validation import _validate_model_version

    number = int(_validate_model_version(version))
    if not 0 <= number <= LARGEST:
        raise MlflowException(f"Model Version (name={model}, version={version}) not found", RESOURCE_DOES_NOT_EXIST)
    return number

"""The configuration of what feeds a transformers encoder, however a caller has it at hand."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from mlflow_rank.encoders.hub import Location, read_preprocessor
from mlflow_rank.errors import UsageError


def given_preprocessor(given: object) -> Mapping[str, Any] | None:
    """Return the configuration of a feature extractor, of a processor that holds one, or of a directory.

    Raises:
        UsageError: the directory holds none, or it is none of these.
    """
    if given is None or isinstance(given, Mapping):
        return given
    if isinstance(given, (str, PathLike)):
        directory = Path(fspath(given))
        found = read_preprocessor(Location(str(given), str(directory), local=True)) if directory.is_dir() else {}
        if not found:
            raise UsageError("there is no preprocessor configuration", got=str(given), expected="a directory with one")
        return found
    extractor = getattr(given, "feature_extractor", given)
    if not hasattr(extractor, "to_dict") or not hasattr(extractor, "sampling_rate"):
        raise UsageError(
            "this is no preprocessor",
            got=type(given).__name__,
            expected="a feature extractor of transformers, its configuration, or its directory",
        )
    return dict(extractor.to_dict())

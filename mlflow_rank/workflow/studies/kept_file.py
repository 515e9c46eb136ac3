"""A result on disk: all of it or nothing, whenever writing is interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from mlflow_rank.errors import MeasurementError


def keep(said: Mapping[str, object], file: Path) -> None:
    """Write a document as JSON, making its directory where there is none.

    Raises:
        MeasurementError: it cannot be written.
    """
    partial = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(said, allow_nan=False), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise MeasurementError(
            "the result cannot be kept",
            got=f"{file.parent}: {error.strerror or error}",
            expected="a directory that can be written to",
            remedy="choose another with --keep",
        ) from error

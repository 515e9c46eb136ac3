"""What one row of the measured matrix is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mlflow_rank.errors import UsageError

LEVELS: Mapping[str, str] = MappingProxyType(
    {
        "frame": "one row per encoder frame",
        "utterance": "one row per utterance: the mean of its frames",
        "utterance_sum": "one row per utterance: the sum of its frames",
    }
)


def check_level(level: str) -> str:
    """Return `level` if it is one of `LEVELS`.

    Raises:
        UsageError: the level is unknown.

    >>> check_level("frame")
    'frame'
    """
    if level not in LEVELS:
        raise UsageError("no such level", got=repr(level), expected=", ".join(LEVELS))
    return level

"""The fields that every statement of ours begins with: when it was made, and with what."""

from __future__ import annotations

from datetime import UTC, datetime

import mlflow_rank


def made(now: datetime) -> dict[str, object]:
    """Return when a statement is made, and with what."""
    return {"made_at": moment_text(now), "made_with": {"name": "mlflow_rank", "version": mlflow_rank.__version__}}


def moment_text(time: datetime) -> str:
    """Return a time as statements write it, in UTC and to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Exemptions for tests, as a person would write them, and loaded."""

from __future__ import annotations

from typing import Any

import evidence

REASON = "They hear nothing."
_NO_PART = {"match": None, "evidence": None, "rules": None}


def exemption_text(*models: str, **parts: Any) -> str:
    """The exemption as a person would write it; a part that is given as None is left out."""
    return evidence.policy_text(**_parts(models, **parts))


def exemption(*models: str, **parts: Any) -> Any:
    """The exemption, loaded."""
    return evidence.policy(**_parts(models, **parts))


def _parts(models: tuple[str, ...], *, name: str = "not-speech", **parts: Any) -> dict[str, Any]:
    given = {"kind": "Exemption", "metadata": {"name": name}, "models": list(models), "reason": REASON}
    return given | _NO_PART | parts

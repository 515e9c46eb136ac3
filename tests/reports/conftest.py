"""A measurement with one unknown layer and one that could not be corrected, at each level."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]
DIM = 100
CAUSE = "60 rows for 100 dimensions: about 4 more minutes of audio are needed"


def _row(level: str, layer: int, centred: bool, scale: float) -> Document:
    value = scale * (40.0 + 5 * layer) * (1.0 if centred else 0.5)
    row: Document = {"layer": layer, "name": f"hidden_states.{layer}", "level": level, "centred": centred}
    row |= {"metric": "effective_rank", "value": value - 2, "corrected": value, "low": value - 3, "high": value + 3}
    row |= {"n": 9000 if level == "frame" else 450, "dim": DIM, "status": "ok", "cause": None}
    if (level, layer) == ("utterance", 1):
        row |= {"corrected": None, "status": "uncorrected", "cause": "N/D below 4"}
    if (level, layer) == ("utterance", 2):
        row |= dict.fromkeys(("value", "corrected", "low", "high")) | {"status": "unknown", "cause": CAUSE, "n": 60}
    return row


@pytest.fixture
def make_document() -> Callable[..., Document]:
    def make(*, spec: str = "lab/hubert-small", scale: float = 1.0) -> Document:
        return {
            "kind": "RankMeasurement",
            "model": {"spec": spec, "family": "hubert", "parameters": 1_735_199, "dtype": "float32"},
            "audio": {
                "source": "/data/dev",
                "minutes": 12.0,
                "utterances": 450,
                "speakers": 1,
                "left_out": {"too_long": 3},
            },
            "protocol": {"preset": "robust"},
            "skipped": [
                {"key": "a", "cause": "silent"},
                {"key": "b", "cause": "too_short"},
                {"key": "c", "cause": "silent"},
            ],
            "ranks": [
                _row(level, layer, centred, scale)
                for level in ("frame", "utterance")
                for centred in (True, False)
                for layer in range(4)
            ],
        }

    return make


@pytest.fixture(scope="session")
def make_pilot() -> Callable[..., Document]:
    """Make a pilot document: see tests/modules/pilots.py for what it can be asked."""
    spec = importlib.util.spec_from_file_location("pilots", Path(__file__).parents[1] / "modules" / "pilots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Callable[..., Document] = module.pilot
    return make

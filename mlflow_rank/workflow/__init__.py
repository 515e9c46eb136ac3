"""The use cases: each connects the folders of the package in order, and decides nothing itself.

They are loaded when they are first used: deciding on evidence needs none of what listening needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow_rank.workflow.assessing import Assessment, assess
    from mlflow_rank.workflow.measuring import Measurement, RankRequest, measure
    from mlflow_rank.workflow.piloting import PilotRequest, pilot
    from mlflow_rank.workflow.recording import (
        Recorded,
        as_json,
        both,
        draw_figures,
        record,
        record_assessment,
        record_pilots,
        write_assessment,
        write_pilot,
        write_results,
    )
    from mlflow_rank.workflow.setting import DEFAULT_OUTPUT, Setting

__all__ = [
    "DEFAULT_OUTPUT",
    "Assessment",
    "Measurement",
    "PilotRequest",
    "RankRequest",
    "Recorded",
    "Setting",
    "as_json",
    "assess",
    "both",
    "draw_figures",
    "measure",
    "pilot",
    "record",
    "record_assessment",
    "record_pilots",
    "write_assessment",
    "write_pilot",
    "write_results",
]

_PLACES = {
    "assessing": ("Assessment", "assess"),
    "measuring": ("Measurement", "RankRequest", "measure"),
    "piloting": ("PilotRequest", "pilot"),
    "recording": (
        "Recorded", "as_json", "both", "draw_figures", "record", "record_assessment", "record_pilots",
        "write_assessment", "write_pilot", "write_results",
    ),
    "setting": ("DEFAULT_OUTPUT", "Setting"),
}  # fmt: skip


def __getattr__(name: str) -> object:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

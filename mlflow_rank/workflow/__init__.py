"""The use cases: each connects the folders of the package in order, and decides nothing itself."""

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

"""The use cases: each connects the folders of the package in order, and decides nothing itself."""

from mlflow_rank.workflow.measuring import Measurement, RankRequest, measure
from mlflow_rank.workflow.recording import as_json, draw_figures, record, write_results
from mlflow_rank.workflow.setting import DEFAULT_OUTPUT, Setting

__all__ = [
    "DEFAULT_OUTPUT",
    "Measurement",
    "RankRequest",
    "Setting",
    "as_json",
    "draw_figures",
    "measure",
    "record",
    "write_results",
]

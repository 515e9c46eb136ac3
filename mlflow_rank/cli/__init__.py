"""The command line: parse, call the workflow, print, exit."""

from mlflow_rank.cli.main import main

__all__ = ["main"]

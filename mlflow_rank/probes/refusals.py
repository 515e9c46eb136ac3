"""When a task gives no number at all."""

from __future__ import annotations

from mlflow_rank.errors import MeasurementError


class RefusedError(MeasurementError):
    """Labels from which this task cannot be scored: its rows are `unknown`, with `what` as cause and the `remedy`.

    >>> str(RefusedError("every item carries the label 'yes'", remedy="label a second class")).splitlines()[0]
    "every item carries the label 'yes'"
    """

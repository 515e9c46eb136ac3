"""A call that the gate refused, as MLflow's clients and pages understand it: 403, verdict first, one short sentence."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.exceptions import MlflowException  # noqa: TID253 -- only what stands at MLflow's doors loads this
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED  # noqa: TID253

from mlflow_rank.policy.decision import Decision

_LONGEST = 600  # characters: what a dialog shows without scrolling


class Refused(MlflowException):  # type: ignore[misc]
    """A call that the gate refused; MLflow's server answers it with 403, and no client tries it again."""


def refused(sentence: str, decision: Decision | None = None) -> Refused:
    """Return what is raised: `Refused: …` on one line, ending in the decision's id; the decision also as a field.

    Args:
        sentence: why, items separated by `; `, without a full stop.
        decision: that says no, where one was made.
    """
    said = " ".join(sentence.encode("utf-8", "backslashreplace").decode().split()).rstrip(".")
    said = f"{said[: _LONGEST - 1]}…" if len(said) > _LONGEST else said
    if decision is None:
        return Refused(f"Refused: {said}.", PERMISSION_DENIED)
    return Refused(
        f"Refused: {said}; decision {decision.id}", PERMISSION_DENIED, rank_decision=dict(_summary(decision))
    )


def _summary(decision: Decision) -> Mapping[str, object]:
    request = decision.case.request
    return {
        "id": decision.id,
        "verdict": decision.verdict,
        "model": request.model,
        "version": request.version,
        "target": request.target,
        "sentence": decision.sentence,
        "findings": [
            {"rule": each.rule, "result": each.result, "cause": each.cause.value if each.cause else None}
            for _, each in decision.findings
            if each.severity == "block" and each.result in ("fail", "unknown")
        ],
    }

"""From a rule to its finding: every reading that it asks for, and the one of them that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from mlflow_rank.policy.evidence_checks import (
    check_age,
    check_corpus,
    check_dtype,
    check_measurement_size,
    check_model_digest,
)
from mlflow_rank.policy.outcomes import Cause, Finding
from mlflow_rank.policy.pilot_checks import (
    check_above,
    check_drop,
    check_not_worse,
    check_pilot_size,
    check_score,
    check_worst_group,
)
from mlflow_rank.policy.rank_checks import check_alarms, check_centring, check_envelope, check_rank_limit
from mlflow_rank.policy.reading import Reading, View

CHECKS: Mapping[str, Callable[[Any, View], Iterator[Reading]]] = MappingProxyType(
    {
        "rank_at_least": check_rank_limit,
        "rank_at_most": check_rank_limit,
        "rank_within_envelope": check_envelope,
        "centring_disagreement": check_centring,
        "no_open_alarm": check_alarms,
        "pilot_at_least": check_score,
        "pilot_at_most": check_score,
        "pilot_not_worse": check_not_worse,
        "pilot_above_control": check_above,
        "pilot_above_log_mel": check_above,
        "domain_drop_at_most": check_drop,
        "worst_group_at_least": check_worst_group,
        "pilot_size_at_least": check_pilot_size,
        "measurement_size_at_least": check_measurement_size,
        "evidence_age_at_most": check_age,
        "corpus_allowed": check_corpus,
        "dtype_float32": check_dtype,
        "model_digest_equals": check_model_digest,
    }
)
"""One check for each kind of rule; a test holds the two lists together."""


LAYERS_IN_WORDS = {"pilot_best": "the pilot's layer", "weighted_sum": "the weighted sum of layers"}


def check(rule: Any, view: View) -> Finding:
    """Return the finding of a rule; a fault while checking is an `unknown` like any other.

    With several layers, or several statements, the worst reading decides: a failure before an unknown, an unknown
    before a pass, and among passes the one with the least room. Where one statement leaves a question open, it may be
    answered by another.
    """
    try:
        readings = _answered(list(CHECKS[rule.kind](rule, view)))
    except Exception as error:  # a gate that crashes must not open; what went wrong is in the finding
        readings = [Reading.unknown(Cause.EVALUATOR_ERROR, f"{type(error).__name__}: {error}")]
    if not readings:
        readings = [Reading.unknown(Cause.NOT_IN_EVIDENCE, "there was nothing to read")]
    return _finding(rule, readings)


def _answered(readings: list[Reading]) -> list[Reading]:
    """Leave out what some statements do not say, where another says all of it; what fails, fails whoever says so."""
    silent = {reading.evidence for reading in readings if reading.passed is None}
    if all(reading.evidence in silent for reading in readings):
        return readings
    return [reading for reading in readings if reading.passed is not None]


def _finding(rule: Any, readings: list[Reading]) -> Finding:
    worst = readings[0] if len(readings) == 1 else min(readings, key=_badness)
    counted = [reading.layers for reading in readings if reading.layers is not None]
    layers = (min(passed for passed, _ in counted), max(asked for _, asked in counted)) if counted else None
    if worst.refusal is not None:
        result, cause = "unknown", worst.refusal.cause
    else:
        result, cause = "pass" if worst.passed else "fail", None
    return Finding(
        rule=rule.id,
        kind=rule.kind,
        severity=rule.severity,
        result=result,  # type: ignore[arg-type]
        sentence=_sentence(worst, layers),
        cause=cause,
        observed=worst.observed,
        bound=worst.bound,
        margin=worst.margin,
        layer=worst.layer,
        layers=layers,
        evidence=tuple(sorted({digest for reading in readings for digest in reading.evidence})),
        proves=rule.proves,
    )


def _badness(reading: Reading) -> tuple[int, float, str, str, tuple[str, ...]]:
    """Sort readings from the worst; ties by what they say, so that no order of files shows."""
    state = {False: 0, None: 1, True: 2}[reading.passed]
    margin = 0.0 if reading.margin is None else reading.margin
    cause = "" if reading.refusal is None else f"{reading.refusal.cause} {reading.refusal.detail}"
    position = f"{reading.layer:06d}" if isinstance(reading.layer, int) else str(reading.layer)
    return state, margin, cause, position, reading.evidence


def _sentence(worst: Reading, layers: tuple[int, int] | None) -> str:
    if worst.refusal is not None:
        said = worst.refusal.detail
    else:
        said = worst.said
        if worst.margin is not None and worst.bound is not None and worst.observed is not None:
            room = f"{worst.margin:.3g} to spare" if worst.passed else f"short by {-worst.margin:.3g}"
            said += f"; asked: {worst.bound:.6g}, {room}" if isinstance(worst.bound, float) else ""
    if worst.layer is not None:
        name = f"layer {worst.layer}" if isinstance(worst.layer, int) else LAYERS_IN_WORDS[worst.layer]
        said = f"{name}: {said}"
    if layers is not None and layers[1] > 1:
        said += f" ({layers[0]} of {layers[1]} layers pass)"
    return said[:1].upper() + said[1:] if said[:5] == "layer" else said

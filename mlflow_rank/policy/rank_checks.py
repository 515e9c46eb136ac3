"""Rules about ranks, checked against the rows of measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlflow_rank.evidence.contents import Alarms, Measurement, RankRow
from mlflow_rank.policy.admission import Refusal
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.reading import Reading, View, numbered_layers, without_champion
from mlflow_rank.policy.rules import (
    CentringDisagreement,
    NoOpenAlarm,
    RankAtLeast,
    RankAtMost,
    RankWithinEnvelope,
)
from mlflow_rank.policy.vocabulary import RANKS, Bound

BOUND_IN_WORDS = {"point": "", "corrected": "corrected ", "ci_lower": "lower bound of ", "ci_upper": "upper bound of "}
WIDEST = 10.0  # half of a 95 % interval of a log ratio: a factor of 22,000 either way
_OfLayers = RankAtLeast | RankAtMost | RankWithinEnvelope | CentringDisagreement


def check_rank_limit(rule: RankAtLeast | RankAtMost, view: View) -> Iterator[Reading]:
    """Hold one number of every layer against a floor or a ceiling."""
    floor = isinstance(rule, RankAtLeast)
    measurements = view.measurements()
    if not measurements:
        yield view.why_no_measurement()
    for statement, measurement in measurements:
        for layer in _layers(rule, measurement, view):
            if isinstance(layer, Reading):
                yield layer.of(statement)
                continue
            row = _row(measurement, rule, layer, rule.centred)
            number = row if isinstance(row, Refusal) else _number(row, rule.bound)
            if isinstance(row, Refusal) or isinstance(number, Refusal):
                refusal = row if isinstance(row, Refusal) else number
                yield Reading(None, refusal=refusal, layer=layer).of(statement)  # type: ignore[arg-type]
                continue
            scale = row.dim if rule.unit == "share_of_dim" else 1
            observed = Observation(number / scale, *_scaled(row, scale), row.n)
            unit = " of D" if rule.unit == "share_of_dim" else ""
            said = f"{BOUND_IN_WORDS[rule.bound]}{_named(rule, rule.centred)} is {number / scale:.4g}{unit}"
            yield Reading.held(observed, rule.value, at_least=floor, said=said, layer=layer).of(statement)


def check_envelope(rule: RankWithinEnvelope, view: View) -> Iterator[Reading]:
    """Divide one number of every layer by the champion's, where both were measured under one convention."""
    measurements = view.measurements()
    if not measurements:
        yield view.why_no_measurement()
        return
    alone = without_champion(view.case, rule.no_champion)
    if alone is not None:
        yield alone
        return
    others = view.champions("measurement").statements
    if not others:
        why = view.champions("measurement").why_none("measurement")
        yield Reading.unknown(Cause.CHAMPION_UNKNOWN, f"the champion's measurement: {why.detail}")
    for statement, measurement in measurements:
        for other in others:
            theirs = other.content
            if isinstance(theirs, Measurement):
                for reading in _compared(rule, measurement, theirs, view):
                    yield reading.of(statement, other)


def check_centring(rule: CentringDisagreement, view: View) -> Iterator[Reading]:
    """Divide the larger of centred and uncentred rank of every layer by the smaller."""
    measurements = view.measurements()
    if not measurements:
        yield view.why_no_measurement()
    for statement, measurement in measurements:
        for layer in _layers(rule, measurement, view):
            if isinstance(layer, Reading):
                yield layer.of(statement)
                continue
            numbers: list[float] = []
            refusal: Refusal | None = None
            for centred in (True, False):
                row = _row(measurement, rule, layer, centred)
                number = row if isinstance(row, Refusal) else _number(row, rule.bound)
                if isinstance(number, Refusal):
                    refusal = refusal or number
                else:
                    numbers.append(number)
            if refusal is not None or min(numbers) <= 0.0:
                refusal = refusal or Refusal(Cause.NOT_MEASURED, "a rank is not above 0")
                yield Reading(None, refusal=refusal, layer=layer).of(statement)
                continue
            factor = max(numbers) / min(numbers)
            both = f"{numbers[0]:.4g} centred and {numbers[1]:.4g} not"
            said = f"{rule.metric} ({rule.level}) is {both}: a factor of {factor:.3g}"
            yield Reading.held(Observation(factor), rule.at_most, at_least=False, said=said, layer=layer).of(statement)


def check_alarms(rule: NoOpenAlarm, view: View) -> Iterator[Reading]:
    """Look for alarms that no monitor has closed."""
    admitted = view.admitted("alarms")
    if not admitted.statements:
        why = admitted.why_none("statement of alarms")
        yield Reading.unknown(why.cause, why.detail)
    for statement in admitted.statements:
        if isinstance(statement.content, Alarms):
            opened = [alarm for alarm in statement.content.alarms if alarm.state == "open"]
            names = ", ".join(sorted({alarm.alarm for alarm in opened}))
            said = f"{len(opened)} alarms are open" + (f": {names}" if names else "")
            observed = Observation(float(len(opened)), n=len(statement.content.alarms))
            yield Reading.held(observed, 0.0, at_least=False, said=said).of(statement)


def _compared(rule: RankWithinEnvelope, ours: Measurement, theirs: Measurement, view: View) -> Iterator[Reading]:
    mine, other = ours.convention, theirs.convention
    differing = sorted(name for name in {*mine, *other} if mine.get(name) != other.get(name))
    if differing:
        detail = f"candidate and champion were measured differently in {', '.join(differing)}"
        yield Reading.unknown(Cause.OTHER_CONVENTION, detail)
        return
    for layer in _layers(rule, ours, view):
        if isinstance(layer, Reading):
            yield layer
            continue
        rows = [_row(each, rule, layer, rule.centred) for each in (ours, theirs)]
        plain: Bound = "point" if rule.bound in ("ci_lower", "ci_upper") else rule.bound
        refused = [row for row in rows if isinstance(row, Refusal)]
        numbers = [_number(row, plain) for row in rows if not isinstance(row, Refusal)]
        refused += [number for number in numbers if isinstance(number, Refusal)]
        known = [number for number in numbers if not isinstance(number, Refusal) and number > 0.0]
        if refused or len(known) < 2:
            refusal = refused[0] if refused else Refusal(Cause.NOT_MEASURED, "a number is not above 0")
            yield Reading(None, refusal=refusal, layer=layer)
            continue
        ratio = known[0] / known[1]
        spread = _relative_error([row for row in rows if not isinstance(row, Refusal)])
        if rule.bound in ("ci_lower", "ci_upper") and spread is None:
            yield Reading.unknown(
                Cause.NO_INTERVAL, "candidate or champion has no interval that says anything", layer=layer
            )
            continue
        low, high = (None, None) if spread is None else (ratio * math.exp(-spread), ratio * math.exp(spread))
        held = {"ci_lower": low, "ci_upper": high}.get(rule.bound)
        observed = Observation(ratio if held is None else held, ratio, low, high)
        said = f"{BOUND_IN_WORDS[rule.bound]}{_named(rule, rule.centred)} is {observed.value:.3g} times the champion's"
        sides = [(rule.at_least, True), (rule.at_most, False)]
        readings = [
            Reading.held(observed, limit, at_least=floor, said=said, layer=layer)
            for limit, floor in sides
            if limit is not None
        ]
        yield min(readings, key=lambda reading: reading.margin or 0.0)


def _relative_error(rows: list[RankRow]) -> float | None:
    """Return half the width of the 95 % interval of the log ratio, by the delta method, of independent estimates.

    Both come from the same audio, so their errors go the same way and the ratio is known better than this says. None
    where an interval is missing, or so wide that it says nothing.
    """
    errors = []
    for row in rows:
        if row.low is None or row.high is None or not row.value:
            return None
        errors.append((row.high - row.low) / 2 / row.value)
    error = math.hypot(*errors)
    return error if error < WIDEST else None


def _layers(rule: _OfLayers, measurement: Measurement, view: View) -> Iterator[int | Reading]:
    """Yield the layers that the rule asks for, or why they are not known."""
    if rule.layers == "pilot_best":
        yield from _chosen(str(rule.task), view)
        return
    model = measurement.document.model
    found = numbered_layers(rule.layers, measurement.layers, every=model.has_every_layer, last=model.has_last_layer)
    if isinstance(found, Refusal):
        yield Reading(None, refusal=found)
        return
    yield from found


def _chosen(task: str, view: View) -> Iterator[int | Reading]:
    pilots = view.pilots(task)
    if not pilots:
        yield view.why_no_pilot(task)
    chosen = {
        None if pilot.tasks[task].layer_choice is None else pilot.tasks[task].layer_choice.pilot_best  # type: ignore[union-attr]
        for _, pilot in pilots
    }
    layers = sorted(layer for layer in chosen if layer is not None)
    yield from layers
    if pilots and not layers:
        yield Reading.unknown(Cause.NO_LAYER_CHOSEN, f"the pilot of {task} chose no layer")


def _row(measurement: Measurement, rule: _OfLayers, layer: int, centred: bool) -> RankRow | Refusal:
    row = measurement.rows.get((rule.metric, rule.level, centred), {}).get(layer)
    if row is None:
        return Refusal(Cause.NOT_IN_EVIDENCE, f"{_named(rule, centred)} is not in the evidence")
    if row.status == "unknown":
        return Refusal(Cause.NOT_MEASURED, f"{_named(rule, centred)} is unknown: {row.cause}")
    return row


def _number(row: RankRow, bound: Bound) -> float | Refusal:
    number = {"point": row.value, "corrected": row.corrected, "ci_lower": row.low, "ci_upper": row.high}[bound]
    if number is not None:
        return number
    if bound == "corrected":
        return Refusal(Cause.NOT_CORRECTED, f"{row.metric} is not corrected: {row.cause}")
    if bound == "point":
        return Refusal(Cause.NOT_MEASURED, f"{row.metric} has no value: {row.cause}")
    return Refusal(Cause.NO_INTERVAL, f"{row.metric} has no interval: {row.cause}")


def _scaled(row: RankRow, scale: int) -> tuple[float | None, float | None, float | None]:
    numbers = (row.value, row.low, row.high)
    value, low, high = (None if number is None else number / scale for number in numbers)
    return value, low, high


def _named(rule: _OfLayers, centred: bool) -> str:
    how = "centred" if centred else "uncentred"
    return f"{rule.metric} ({rule.level}, {how})" if rule.metric in RANKS else f"{rule.metric} ({rule.level})"

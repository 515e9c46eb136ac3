"""Rules about ranks, checked against the rows of measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from mlflow_rank.evidence.contents import Alarms
from mlflow_rank.evidence.measured import Column, Measurement, RankRow
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import Refusal
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.rank_rules import (
    CentringDisagreement,
    NoOpenAlarm,
    RankAtLeast,
    RankAtMost,
    RankWithinEnvelope,
)
from mlflow_rank.policy.reading import Limits, Reading, View, numbered_layers, without_champion, worst_layer
from mlflow_rank.policy.vocabulary import RANKS, Bound

BOUND_IN_WORDS = {"point": "", "corrected": "corrected ", "ci_lower": "lower bound of ", "ci_upper": "upper bound of "}
WIDEST = 10.0  # half of a 95 % interval of a log ratio: a factor of 22,000 either way
NUMBERS: Mapping[Bound, Callable[[Column], Mapping[int, float]]] = {
    "point": attrgetter("value"),
    "corrected": attrgetter("corrected"),
    "ci_lower": attrgetter("low"),
    "ci_upper": attrgetter("high"),
}
Numbers = Mapping[int, float]
_OfLayers = RankAtLeast | RankAtMost | RankWithinEnvelope | CentringDisagreement


def check_rank_limit(rule: RankAtLeast | RankAtMost, view: View) -> Iterator[Reading]:
    """Hold one number of every layer against a floor or a ceiling."""
    if not view.measurements():
        yield view.why_no_measurement()
    shared, named = rule.unit == "share_of_dim", f"{BOUND_IN_WORDS[rule.bound]}{_named(rule, rule.centred)}"
    limits = Limits(at_least=rule.value) if isinstance(rule, RankAtLeast) else Limits(at_most=rule.value)
    for statement, layers, column in _each_measurement(rule, rule.centred, view):
        known = NUMBERS[rule.bound](column)
        if shared:
            known = {layer: number / column.rows[layer].dim for layer, number in known.items()}

        def words(layer: int, number: float, column: Column = column) -> tuple[str, Observation]:
            row = column.rows[layer]
            observed = Observation(number, *_scaled(row, row.dim if shared else 1), row.n)
            return f"{named} is {number:.4g}{' of D' if shared else ''}", observed

        def why(layer: int, column: Column = column) -> Refusal:
            return _why(column, layer, rule, rule.centred)

        if isinstance(layers, Reading):
            yield layers
        else:
            yield worst_layer(layers, known, limits, why=why, words=words, statements=[statement])


def check_envelope(rule: RankWithinEnvelope, view: View) -> Iterator[Reading]:
    """Divide one number of every layer by the champion's, where both were measured under one convention."""
    if not view.measurements():
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
    for statement, layers, column in _each_measurement(rule, rule.centred, view):
        for other in others:
            yield layers if isinstance(layers, Reading) else _compared(rule, statement, layers, column, other)


def check_centring(rule: CentringDisagreement, view: View) -> Iterator[Reading]:
    """Divide the larger of centred and uncentred rank of every layer by the smaller."""
    if not view.measurements():
        yield view.why_no_measurement()
    for statement, measurement in view.measurements():
        layers = _layers(rule, measurement, view)
        column, uncentred = (measurement.column(rule.metric, rule.level, centred) for centred in (True, False))
        one, other = NUMBERS[rule.bound](column), NUMBERS[rule.bound](uncentred)
        both = {layer: (one[layer], other[layer]) for layer in one if layer in other}
        known = {layer: max(pair) / min(pair) for layer, pair in both.items() if min(pair) > 0.0}

        def why(layer: int, column: Column = column, one: Numbers = one, uncentred: Column = uncentred) -> Refusal:
            return _why(uncentred, layer, rule, False) if layer in one else _why(column, layer, rule, True)

        def words(layer: int, factor: float, both: Mapping[int, tuple[float, float]] = both) -> tuple[str, Observation]:
            centred, uncentred = both[layer]
            numbers = f"{centred:.4g} centred and {uncentred:.4g} not"
            return f"{rule.metric} ({rule.level}) is {numbers}: a factor of {factor:.3g}", Observation(factor)

        if isinstance(layers, Reading):
            yield layers.of(statement)
        else:
            limits = Limits(at_most=rule.at_most)
            yield worst_layer(layers, known, limits, why=why, words=words, statements=[statement])


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


def _compared(
    rule: RankWithinEnvelope, statement: Presented, layers: Sequence[int], column: Column, other: Presented
) -> Reading:
    ours, theirs = statement.content, other.content
    if not isinstance(ours, Measurement) or not isinstance(theirs, Measurement):
        raise TypeError("measurements are compared")
    mine, convention = ours.convention, theirs.convention
    differing = sorted(name for name in {*mine, *convention} if mine.get(name) != convention.get(name))
    if differing:
        detail = f"candidate and champion were measured differently in {', '.join(differing)}"
        return Reading.unknown(Cause.OTHER_CONVENTION, detail).of(statement, other)
    champions = theirs.column(rule.metric, rule.level, rule.centred)
    shared = column.rows.keys() & champions.rows.keys()
    ratios = {layer: _ratio(rule, layer, column, champions) for layer in shared}
    known = {layer: ratio for layer, ratio in ratios.items() if isinstance(ratio, _Ratio)}

    def why(layer: int) -> Refusal:
        refusal = ratios.get(layer)
        if isinstance(refusal, Refusal):
            return refusal
        return _why(champions if layer in column.rows else column, layer, rule, rule.centred)

    def words(layer: int, held: float) -> tuple[str, Observation]:
        ratio = known[layer]
        said = f"{BOUND_IN_WORDS[rule.bound]}{_named(rule, rule.centred)} is {held:.3g} times the champion's"
        return said, Observation(held, ratio.value, ratio.low, ratio.high)

    return worst_layer(
        layers,
        {layer: ratio.held for layer, ratio in known.items()},
        Limits(
            -math.inf if rule.at_least is None else rule.at_least, math.inf if rule.at_most is None else rule.at_most
        ),
        why=why,
        words=words,
        statements=[statement, other],
    )


@dataclass(frozen=True, slots=True)
class _Ratio:
    held: float
    value: float
    low: float | None
    high: float | None


def _ratio(rule: RankWithinEnvelope, layer: int, ours: Column, theirs: Column) -> _Ratio | Refusal:
    plain: Bound = "point" if rule.bound in ("ci_lower", "ci_upper") else rule.bound
    numbers = []
    for column in (ours, theirs):
        number = NUMBERS[plain](column).get(layer)
        if number is None:
            return _why(column, layer, rule, rule.centred, plain)
        if number <= 0.0:
            return Refusal(Cause.NOT_MEASURED, "a number is not above 0")
        numbers.append(number)
    value, spread = numbers[0] / numbers[1], _relative_error([ours.rows[layer], theirs.rows[layer]])
    if rule.bound in ("ci_lower", "ci_upper") and spread is None:
        return Refusal(Cause.NO_INTERVAL, "candidate or champion has no interval that says anything")
    low, high = (None, None) if spread is None else (value * math.exp(-spread), value * math.exp(spread))
    held = {"ci_lower": low, "ci_upper": high}.get(rule.bound)
    return _Ratio(value if held is None else held, value, low, high)


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


def _each_measurement(
    rule: _OfLayers, centred: bool, view: View
) -> Iterator[tuple[Presented, list[int] | Reading, Column]]:
    """Yield every measurement that counts, with the layers that the rule asks for and the column that it reads.

    In place of the layers comes a reading that says why they are not known.
    """
    for statement, measurement in view.measurements():
        layers = _layers(rule, measurement, view)
        column = measurement.column(rule.metric, rule.level, centred)
        yield statement, layers.of(statement) if isinstance(layers, Reading) else layers, column


def _layers(rule: _OfLayers, measurement: Measurement, view: View) -> list[int] | Reading:
    """Return the layers that the rule asks for, or why they are not known."""
    if rule.layers == "pilot_best":
        return _chosen(str(rule.task), view)
    model = measurement.document.model
    found = numbered_layers(rule.layers, measurement.layers, every=model.has_every_layer, last=model.has_last_layer)
    return Reading(None, refusal=found) if isinstance(found, Refusal) else found


def _chosen(task: str, view: View) -> list[int] | Reading:
    pilots = view.pilots(task)
    if not pilots:
        return view.why_no_pilot(task)
    choices = [pilot.tasks[task].layer_choice for _, pilot in pilots]
    layers = sorted({choice.pilot_best for choice in choices if choice is not None})
    return layers or Reading.unknown(Cause.NO_LAYER_CHOSEN, f"the pilot of {task} chose no layer")


def _why(column: Column, layer: int, rule: _OfLayers, centred: bool, bound: Bound | None = None) -> Refusal:
    """Return why the number of a layer is not known."""
    row, bound = column.rows.get(layer), bound or rule.bound
    if row is None:
        return Refusal(Cause.NOT_IN_EVIDENCE, f"{_named(rule, centred)} is not in the evidence")
    if row.status == "unknown":
        return Refusal(Cause.NOT_MEASURED, f"{_named(rule, centred)} is unknown: {row.cause}")
    if bound == "corrected":
        return Refusal(Cause.NOT_CORRECTED, f"{row.metric} is not corrected: {row.cause}")
    if bound == "point":
        return Refusal(Cause.NOT_MEASURED, f"{row.metric} has no value: {row.cause}")
    return Refusal(Cause.NO_INTERVAL, f"{row.metric} has no interval: {row.cause}")


def _scaled(row: RankRow, scale: int) -> tuple[float | None, float | None, float | None]:
    numbers = (row.value if row.corrected is None else row.corrected, row.low, row.high)  # what the interval is around
    value, low, high = (None if number is None else number / scale for number in numbers)
    return value, low, high


def _named(rule: _OfLayers, centred: bool) -> str:
    how = "centred" if centred else "uncentred"
    return f"{rule.metric} ({rule.level}, {how})" if rule.metric in RANKS else f"{rule.metric} ({rule.level})"

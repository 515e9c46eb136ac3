"""Rules about pilots, checked against the rows of `PilotResult` documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlflow_rank.evidence.contents import LayerKey, Pilot, PilotRow
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import Refusal
from mlflow_rank.policy.case import Champion
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.reading import Reading, View, numbered_layers, without_champion
from mlflow_rank.policy.rules import (
    DomainDropAtMost,
    PilotAboveControl,
    PilotAboveLogMel,
    PilotAtLeast,
    PilotAtMost,
    PilotNotWorse,
    PilotSizeAtLeast,
    WorstGroupAtLeast,
)
from mlflow_rank.policy.vocabulary import ERROR_RATES, Bound

_OfLayers = (
    PilotAtLeast | PilotAtMost | PilotNotWorse | PilotAboveControl | PilotAboveLogMel | DomainDropAtMost
    | WorstGroupAtLeast
)  # fmt: skip
_END = {"point": "", "ci_lower": "lower bound of ", "ci_upper": "upper bound of "}
Read = Callable[[PilotRow], Reading]


def check_score(rule: PilotAtLeast | PilotAtMost, view: View) -> Iterator[Reading]:
    """Hold a score against a floor, or an error rate against a ceiling, neither of which guessing may reach."""
    floor = isinstance(rule, PilotAtLeast)

    def read(row: PilotRow) -> Reading:
        if row.chance is None or (rule.value <= row.chance if floor else rule.value >= row.chance):
            chance = "not known" if row.chance is None else f"{row.chance:.4g}"
            return Reading.unknown(
                Cause.BOUND_AT_CHANCE, f"chance is {chance}, so a bound of {rule.value:g} proves nothing"
            )
        number = _end(rule.bound, row.score, row.low, row.high)
        if isinstance(number, Refusal):
            return Reading(None, refusal=number)
        observed = Observation(number, row.score, row.low, row.high, row.n)
        said = f"{_END[rule.bound]}{_named(rule)} is {number:.4g}"
        return Reading.held(observed, rule.value, at_least=floor, said=said)

    yield from _each_row(rule, view, read)


def check_worst_group(rule: WorstGroupAtLeast, view: View) -> Iterator[Reading]:
    """Hold the score of the worst test group against a floor."""

    def read(row: PilotRow) -> Reading:
        if row.chance is None or rule.value <= row.chance:
            return Reading.unknown(
                Cause.BOUND_AT_CHANCE, f"a bound of {rule.value:g} proves nothing: guessing reaches it"
            )
        if row.worst_group is None:
            return Reading.unknown(Cause.NOT_MEASURED, "no group was scored by itself")
        said = f"{_named(rule)} of the worst group ({row.worst_group_name}) is {row.worst_group:.4g}"
        observed = Observation(row.worst_group, row.score, n=row.groups)
        return Reading.held(observed, rule.value, at_least=True, said=said)

    yield from _each_row(rule, view, read)


def check_not_worse(rule: PilotNotWorse, view: View) -> Iterator[Reading]:
    """Hold the paired difference to the champion against a margin; the pilot must have heard that very champion."""
    pilots = view.pilots(rule.task)
    if not pilots:
        yield view.why_no_pilot(rule.task)
        return
    alone = without_champion(view.case, rule.no_champion)
    if alone is not None:
        yield alone
        return
    champion = view.case.champion
    digest = champion.digest if isinstance(champion, Champion) else ""
    against = [(each, pilot) for each, pilot in pilots if pilot.against and pilot.against.files == digest]
    if not against:
        named = ", ".join(sorted({pilot.against.spec if pilot.against else "no champion" for _, pilot in pilots}))
        yield Reading.unknown(Cause.OTHER_CHAMPION, f"the pilots compare with {named}, not with the champion of now")

    def read(row: PilotRow) -> Reading:
        return _gained(
            rule, (row.delta, row.delta_low, row.delta_high), row.delta_paired, row, -rule.margin, "champion"
        )

    yield from _each_row(rule, view, read, against)


def check_above(rule: PilotAboveControl | PilotAboveLogMel, view: View) -> Iterator[Reading]:
    """Hold the paired difference to a baseline against the gain that is asked."""
    control = isinstance(rule, PilotAboveControl)

    def read(row: PilotRow) -> Reading:
        if control:
            numbers, paired = (row.delta_random, row.delta_random_low, row.delta_random_high), row.delta_random_paired
        else:
            numbers, paired = (row.delta_logmel, row.delta_logmel_low, row.delta_logmel_high), row.delta_logmel_paired
        return _gained(rule, numbers, paired, row, rule.by, "random weights" if control else "log-mel features")

    yield from _each_row(rule, view, read)


def check_drop(rule: DomainDropAtMost, view: View) -> Iterator[Reading]:
    """Hold what is lost from in domain to out of domain against a ceiling."""

    def read(row: PilotRow) -> Reading:
        numbers = _mirrored((row.score, row.low, row.high)) if rule.is_error_rate else (row.score, row.low, row.high)
        number = _end(rule.bound, *numbers)
        if isinstance(number, Refusal):
            return Reading(None, refusal=number)
        said = f"{_END[rule.bound]}the loss in {rule.metric} from in domain to out of domain is {number:.4g}"
        return Reading.held(Observation(number, *numbers, row.n), rule.value, at_least=False, said=said)

    yield from _each_row(rule, view, read, domain="drop")


def check_pilot_size(rule: PilotSizeAtLeast, view: View) -> Iterator[Reading]:
    """Count what was tested: the fewest over all rows of the task and domain."""
    pilots = view.pilots(rule.task)
    if not pilots:
        yield view.why_no_pilot(rule.task)
    for statement, pilot in pilots:
        rows = [
            row
            for (task, domain, *_), layers in pilot.rows.items()
            if (task, domain) == (rule.task, rule.domain)
            for row in layers.values()
            if row.status == "ok"
        ]
        if not rows:
            detail = f"{rule.task} has no score {rule.domain.replace('_', ' ')}"
            yield Reading.unknown(Cause.NOT_IN_EVIDENCE, detail).of(statement)
            continue
        counted = (
            ("items", rule.items, [row.n for row in rows]),
            ("groups", rule.groups, [row.groups for row in rows]),
        )
        for name, least, numbers in counted:
            if least is None:
                continue
            known = [number for number in numbers if number is not None]
            if len(known) < len(numbers):
                yield Reading.unknown(Cause.NOT_MEASURED, f"a score does not say of how many {name} it is").of(
                    statement
                )
                continue
            fewest = min(known)
            said = f"{fewest:,} {name} were tested {rule.domain.replace('_', ' ')}"
            yield Reading.held(Observation(float(fewest)), float(least), at_least=True, said=said).of(statement)


def _gained(
    rule: PilotNotWorse | PilotAboveControl | PilotAboveLogMel,
    numbers: tuple[float | None, float | None, float | None],
    paired: bool | None,
    row: PilotRow,
    least: float,
    over: str,
) -> Reading:
    """Hold what was gained over somebody, whichever way the metric runs, against the least that is asked."""
    if numbers[0] is None:
        return Reading.unknown(Cause.NO_BASELINE, f"no difference to {over} was measured")
    if not paired:
        return Reading.unknown(Cause.NOT_PAIRED, f"the difference to {over} is not paired on the same test items")
    gained = _mirrored(numbers) if rule.metric in ERROR_RATES else numbers
    end: Bound = "point" if rule.bound == "point" else "ci_lower"
    number = _end(end, *gained)
    if isinstance(number, Refusal):
        return Reading(None, refusal=number)
    said = f"{_END[end]}the gain in {_named(rule)} over {over} is {number:+.4g}"
    return Reading.held(Observation(number, *gained, row.n), least, at_least=True, said=said)


def _each_row(
    rule: _OfLayers,
    view: View,
    read: Read,
    pilots: list[tuple[Presented, Pilot]] | None = None,
    *,
    domain: str | None = None,
) -> Iterator[Reading]:
    """Read the row of every layer that the rule asks for, in every pilot that counts."""
    if pilots is None:
        pilots = view.pilots(rule.task)
        if not pilots:
            yield view.why_no_pilot(rule.task)
    for statement, pilot in pilots:
        rows = pilot.rows.get((rule.task, domain or rule.domain, rule.metric, rule.head, rule.shots), {})
        layers = _layers(rule, pilot)
        if isinstance(layers, Refusal):
            yield Reading(None, refusal=layers).of(statement)
            continue
        for layer in layers:
            row = rows.get(layer)
            if row is None:
                reading = Reading.unknown(Cause.NOT_IN_EVIDENCE, f"{_named(rule)} is not in the evidence")
            elif row.status == "unknown" or row.score is None:
                reading = Reading.unknown(Cause.NOT_MEASURED, f"{_named(rule)} is unknown: {row.cause}")
            else:
                reading = read(row)
            yield _at(reading, layer).of(statement)


def _layers(rule: _OfLayers, pilot: Pilot) -> list[LayerKey] | Refusal:
    if rule.layers in ("pilot_best", "weighted_sum"):
        name: LayerKey = "pilot_best" if rule.layers == "pilot_best" else "weighted_sum"
        return [name]
    there = pilot.layers.get(rule.task, frozenset())
    model = pilot.document.model
    found = numbered_layers(rule.layers, there, every=model.has_every_layer, last=model.has_last_layer)
    return found if isinstance(found, Refusal) else list(found)


def _at(reading: Reading, layer: LayerKey) -> Reading:
    return Reading(
        reading.passed, reading.said, reading.observed, reading.margin, layer, reading.refusal, bound=reading.bound
    )


def _end(bound: Bound, value: float | None, low: float | None, high: float | None) -> float | Refusal:
    number = {"point": value, "ci_lower": low, "ci_upper": high}[bound]
    if number is None:
        return Refusal(Cause.NO_INTERVAL, "there is no interval: too few groups were tested")
    return number


def _mirrored(
    numbers: tuple[float | None, float | None, float | None],
) -> tuple[float | None, float | None, float | None]:
    value, low, high = (None if number is None else -number for number in numbers)
    return value, high, low


def _named(rule: _OfLayers) -> str:
    labels = "all labels" if rule.shots == "all" else f"{rule.shots} labels per class"
    return f"{rule.task} {rule.metric} {rule.domain.replace('_', ' ')} ({rule.head}, {labels})"

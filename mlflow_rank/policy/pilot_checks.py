"""Rules about pilots, checked against the rows of `PilotResult` documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mlflow_rank.evidence.fields import LayerKey
from mlflow_rank.evidence.piloted import Pilot, PilotRow
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import Refusal
from mlflow_rank.policy.case import Champion
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.pilot_rules import (
    DomainDropAtMost,
    PilotAboveControl,
    PilotAboveLogMel,
    PilotAtLeast,
    PilotAtMost,
    PilotNotWorse,
    PilotSizeAtLeast,
    WorstGroupAtLeast,
)
from mlflow_rank.policy.reading import Limits, Reading, View, numbered_layers, without_champion, worst_layer
from mlflow_rank.policy.vocabulary import ERROR_RATES, Bound

_OfLayers = (
    PilotAtLeast | PilotAtMost | PilotNotWorse | PilotAboveControl | PilotAboveLogMel | DomainDropAtMost
    | WorstGroupAtLeast
)  # fmt: skip
_END = {"point": "", "ci_lower": "lower bound of ", "ci_upper": "upper bound of "}
Numbers = tuple[float | None, float | None, float | None]  # an estimate and its interval
Seen = tuple[str, Observation]  # in words, and as an observation
Pilots = list[tuple[Presented, Pilot]]


def check_score(rule: PilotAtLeast | PilotAtMost, view: View) -> Iterator[Reading]:
    """Hold a score against a floor, or an error rate against a ceiling, neither of which guessing may reach."""
    floor, limit = isinstance(rule, PilotAtLeast), rule.value
    limits = Limits(at_least=limit) if floor else Limits(at_most=limit)

    def number(row: PilotRow) -> float | Refusal:
        if row.chance is None or (limit <= row.chance if floor else limit >= row.chance):
            return _at_chance(row, limit)
        return _end(rule.bound, row.score, row.low, row.high)

    def words(row: PilotRow, value: float) -> Seen:
        observed = Observation(value, row.score, row.low, row.high, row.n)
        return f"{_END[rule.bound]}{_named(rule)} is {value:.4g}", observed

    yield from _each_layer(rule, view, number, limits, words)


def check_worst_group(rule: WorstGroupAtLeast, view: View) -> Iterator[Reading]:
    """Hold the score of the worst test group against a floor."""

    def number(row: PilotRow) -> float | Refusal:
        if row.chance is None or rule.value <= row.chance:
            return _at_chance(row, rule.value)
        return (
            Refusal(Cause.NOT_MEASURED, "no group was scored by itself") if row.worst_group is None else row.worst_group
        )

    def words(row: PilotRow, value: float) -> Seen:
        said = f"{_named(rule)} of the worst group ({row.worst_group_name}) is {value:.4g}"
        return said, Observation(value, row.score, n=row.groups)

    yield from _each_layer(rule, view, number, Limits(at_least=rule.value), words)


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
    yield from _gained(rule, view, "delta", -rule.margin, "the champion", against, paired=True)


def check_above(rule: PilotAboveControl | PilotAboveLogMel, view: View) -> Iterator[Reading]:
    """Hold the paired difference to a baseline against the gain that is asked."""
    if isinstance(rule, PilotAboveControl):
        yield from _gained(rule, view, "delta_random", rule.by, "random weights")
    else:
        yield from _gained(rule, view, "delta_logmel", rule.by, "log-mel features")


def check_drop(rule: DomainDropAtMost, view: View) -> Iterator[Reading]:
    """Hold what is lost from in domain to out of domain against a ceiling."""

    def lost(row: PilotRow) -> Numbers:
        return _mirrored((row.score, row.low, row.high)) if rule.is_error_rate else (row.score, row.low, row.high)

    def words(row: PilotRow, value: float) -> Seen:
        said = f"{_END[rule.bound]}the loss in {rule.metric} from in domain to out of domain is {value:.4g}"
        return said, Observation(value, *lost(row), row.n)

    def number(row: PilotRow) -> float | Refusal:
        return _end(rule.bound, *lost(row))

    yield from _each_layer(rule, view, number, Limits(at_most=rule.value), words, domain="drop")


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
    view: View,
    prefix: str,
    least: float,
    over: str,
    pilots: Pilots | None = None,
    *,
    paired: bool = False,
) -> Iterator[Reading]:
    """Hold what was gained over somebody, whichever way the metric runs, against the least that is asked.

    A baseline may have another frame rate, so that its difference is unpaired: its interval is then the wider for it.
    """
    names = (prefix, f"{prefix}_low", f"{prefix}_high")
    end: Bound = "point" if rule.bound == "point" else "ci_lower"

    def gained(row: PilotRow) -> Numbers:
        value, low, high = (getattr(row, name) for name in names)
        return _mirrored((value, low, high)) if rule.metric in ERROR_RATES else (value, low, high)

    def number(row: PilotRow) -> float | Refusal:
        numbers = gained(row)
        if numbers[0] is None:
            return Refusal(Cause.NO_BASELINE, f"no difference to {over} was measured")
        if paired and not getattr(row, f"{prefix}_paired"):
            return Refusal(Cause.NOT_PAIRED, f"the difference to {over} is not paired on the same test items")
        return _end(end, *numbers)

    def words(row: PilotRow, value: float) -> Seen:
        how = "" if getattr(row, f"{prefix}_paired") else ", unpaired,"
        said = f"{_END[end]}the gain in {_named(rule)} over {over}{how} is {value:+.4g}"
        return said, Observation(value, *gained(row), row.n)

    yield from _each_layer(rule, view, number, Limits(at_least=least), words, pilots)


def _each_layer(
    rule: _OfLayers,
    view: View,
    number: Callable[[PilotRow], float | Refusal],
    limits: Limits,
    words: Callable[[PilotRow, float], Seen],
    pilots: Pilots | None = None,
    *,
    domain: str | None = None,
) -> Iterator[Reading]:
    """Read the rows of the layers that the rule asks for, in every pilot that counts."""
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
        read = {layer: _read(rows.get(layer), rule, number) for layer in layers}

        def why(layer: LayerKey, read: Mapping[LayerKey, float | Refusal] = read) -> Refusal:
            refusal = read[layer]
            return refusal if isinstance(refusal, Refusal) else Refusal(Cause.NOT_IN_EVIDENCE, "it is not known")

        def seen(layer: LayerKey, value: float, rows: Mapping[LayerKey, PilotRow] = rows) -> Seen:
            return words(rows[layer], value)

        known = {layer: each for layer, each in read.items() if not isinstance(each, Refusal)}
        yield worst_layer(layers, known, limits, why=why, words=seen, statements=[statement])


def _read(row: PilotRow | None, rule: _OfLayers, number: Callable[[PilotRow], float | Refusal]) -> float | Refusal:
    if row is None:
        return Refusal(Cause.NOT_IN_EVIDENCE, f"{_named(rule)} is not in the evidence")
    if row.is_scored:
        return number(row)
    if row.status == "unknown" or row.score is None:
        return Refusal(Cause.NOT_MEASURED, f"{_named(rule)} is unknown: {row.cause}")
    return Refusal(Cause.NOT_MEASURED, f"{_named(rule)} has numbers that no pilot gives")


def _layers(rule: _OfLayers, pilot: Pilot) -> list[LayerKey] | Refusal:
    if rule.layers in ("pilot_best", "weighted_sum"):
        name: LayerKey = "pilot_best" if rule.layers == "pilot_best" else "weighted_sum"
        return [name]
    there = pilot.layers.get(rule.task, frozenset())
    model = pilot.document.model
    found = numbered_layers(rule.layers, there, every=model.has_every_layer, last=model.has_last_layer)
    return found if isinstance(found, Refusal) else list(found)


def _at_chance(row: PilotRow, limit: float) -> Refusal:
    chance = "not known" if row.chance is None else f"{row.chance:.4g}"
    return Refusal(Cause.BOUND_AT_CHANCE, f"chance is {chance}, so a bound of {limit:g} proves nothing")


def _end(bound: Bound, value: float | None, low: float | None, high: float | None) -> float | Refusal:
    number = value if bound == "point" else low if bound == "ci_lower" else high
    if number is None:
        return Refusal(Cause.NO_INTERVAL, "there is no interval: too few groups were tested")
    return number


def _mirrored(numbers: Numbers) -> Numbers:
    value, low, high = (None if number is None else -number for number in numbers)
    return value, high, low


def _named(rule: _OfLayers) -> str:
    labels = "all labels" if rule.shots == "all" else f"{rule.shots} labels per class"
    return f"{rule.task} {rule.metric} {rule.domain.replace('_', ' ')} ({rule.head}, {labels})"

"""Rules from a calibration, each with a comment that says where its number comes from, or that no data give it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlflow_rank.policy.pilot_rules import MOST_MARGIN
from mlflow_rank.policy.vocabulary import ERROR_RATES, RANKS
from mlflow_rank.registry.runs.metric_names import LOGGED, LoggedMetric
from mlflow_rank.studies.calibration.cases import BEST
from mlflow_rank.studies.calibration.error_rates import Errors
from mlflow_rank.studies.calibration.retraining_envelope import RankEnvelope, ScoreEnvelope
from mlflow_rank.studies.calibration.study import Calibration, Floor
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Outcome, Trajectories

LEAST_RATIO = 0.5  # an envelope that lets a rank halve vetoes little that a floor under collapse does not
RANK_NAMES: Mapping[str, LoggedMetric] = {each.what: each for each in LOGGED if each.metric in RANKS}
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProposedRule:
    """A rule as fields of a policy, and what is said above it."""

    fields: Fields
    comment: str


def proposed_rules(found: Calibration, table: Trajectories, rank_bound: str) -> tuple[ProposedRule, ...]:
    """Return the rules that a calibration proposes, ranks first, each under a name of its own.

    Args:
        found: floors and envelopes.
        table: what they were calibrated on.
        rank_bound: which number of a rank the table holds: `corrected` or `point`.
    """
    rules = [*_of_precision(table), *_rank_floors(found, table, rank_bound), *_rank_envelopes(found, rank_bound)]
    rules += [*_pilot_floors(found, table), *_pilot_margins(found, table), *_controls(found, table)]
    seen: set[str] = set()
    apart = []
    for rule in rules:
        name = str(rule.fields["id"])
        numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(rules) + 1))
        own = next(each for each in numbered if each not in seen)
        seen.add(own)
        apart.append(replace(rule, fields={**rule.fields, "id": own}))
    return tuple(apart)


def envelope_ratio(envelope: object) -> float | None:
    """Return the least ratio to the champion's rank that a rule may ask for; None where the envelope is too wide."""
    if not isinstance(envelope, RankEnvelope):
        return None
    ratio = math.floor(1000 * envelope.least_ratio) / 1000
    return ratio if ratio >= LEAST_RATIO else None


def envelope_margin(envelope: object) -> float | None:
    """Return the margin below the champion's score that a rule has to allow; None where it is above the most."""
    if not isinstance(envelope, ScoreEnvelope):
        return None
    margin = math.ceil(1000 * envelope.margin) / 1000
    return margin if margin <= MOST_MARGIN else None


def worth_of(floor: Floor) -> str:
    """Return where a floor's number comes from: how many, at which rate, guaranteed or not, and its errors."""
    threshold, asked = floor.threshold, f"{100 * floor.threshold.asked:g} %"
    bad, good = (sum(case.good is wanted for case in floor.cases) for wanted in (False, True))
    if threshold.guaranteed:
        held = f"guaranteed: the chance that a new bad training like these passes is at most {asked}"
    else:
        held = f"NOT guaranteed at {asked}: so few promise {100 * threshold.allowed:.0f} %, and the limit lies half-way"
        held += " to the next good version"
    return (
        f"From {bad} bad versions of {threshold.runs} trainings and {good} good ones; {held}. {said_of(floor.errors)}"
    )


def said_of(errors: Errors) -> str:
    """Return held-out errors in a sentence."""
    return (
        f"Held out by training: bad promoted {errors.promoted}, good refused {errors.refused} "
        f"(by training {errors.promoted_runs} and {errors.refused_runs})."
    )


def _of_precision(table: Trajectories) -> Iterator[ProposedRule]:
    if table.conventions.settings.get("rank.dtype") == "float32":
        fields = {"id": "measured-in-float32", "kind": "dtype_float32", "of": "measurement"}
        yield ProposedRule(fields, "All that follows was measured in float32.")


def _rank_floors(found: Calibration, table: Trajectories, bound: str) -> Iterator[ProposedRule]:
    if table.conventions.settings.get("rank.preset", "robust") == "robust":
        said = "Starting point, from no data: a layer below a twentieth of its dimensions has collapsed."
        more: Fields = {"layers": "all", "bound": "ci_lower", "value": 0.05, "unit": "share_of_dim"}
        yield ProposedRule(_of_rank("no-collapsed-layer", "rank_at_least", "rank_frame", more), said)
    for floor in found.proposed:
        if floor.quantity.of == "rank":
            more = {"layers": "all", "bound": bound, "value": floor.limit}
            fields = _of_rank(f"{_words(floor.quantity.name)}-wide-enough", "rank_at_least", floor.quantity.name, more)
            yield ProposedRule(fields, f"A veto beside the pilots. {worth_of(floor)}")


def rank_says(found: Calibration, name: str) -> str:
    """Return what a rank says of past versions: `separates`, `reversed`, or `nothing`, also where nothing is known."""
    floors = [floor for floor in found.floors if isinstance(floor, Floor) and floor.quantity.name == name]
    return floors[0].separation.says if floors else "nothing"


def _rank_envelopes(found: Calibration, bound: str) -> Iterator[ProposedRule]:
    """Yield a veto of ranks that separate, a warning of those that say nothing; nothing where bad ones are wider."""
    for name, envelope in (found.envelope.ranks if found.envelope else {}).items():
        ratio, says = envelope_ratio(envelope), rank_says(found, name)
        if ratio is None or not isinstance(envelope, RankEnvelope) or says == "reversed":
            continue
        runs = min(spread.runs for spread in envelope.layers.values())
        said = (
            f"From {runs} trainings of one recipe: in 95 % of pairs the second keeps this share of the first one's "
            f"rank in all {len(envelope.layers)} layers (t with {runs - 1} df, Bonferroni over layers)."
        )
        more: Fields = {"layers": "all", "bound": bound, "at_least": ratio, "no_champion": "pass"}
        if says == "nothing":
            more = {"severity": "warn", **more}
            said += " It warns only: past versions do not show that this rank tells good from bad."
        fields = _of_rank(f"{_words(name)}-like-the-champions", "rank_within_envelope", name, more)
        yield ProposedRule(fields, said)


def _of_rank(rule: str, kind: str, name: str, more: Fields) -> Fields:
    of = RANK_NAMES[name]
    return {"id": rule, "kind": kind, "metric": of.metric, "level": of.level, "centred": of.centred, **more}


def _pilot_floors(found: Calibration, table: Trajectories) -> Iterator[ProposedRule]:
    for floor in found.proposed:
        if floor.quantity.of != "pilot":
            continue
        outcome, best = table.outcome(floor.quantity.name), floor.quantity.layer == BEST
        kind = "pilot_at_most" if outcome.lower_is_better else "pilot_at_least"
        fields: dict[str, Any] = {"id": f"{_task_words(outcome)}-good-enough", "kind": kind}
        fields |= _of_pilot(outcome, table.conventions)
        fields |= {"layers": "pilot_best" if best else [floor.quantity.layer], "bound": "point", "value": floor.limit}
        said = worth_of(floor)
        if best:
            said += " Past scores are those of the best layer, which pilot_best may miss: a little more may be refused."
        yield ProposedRule(fields, said)


def _pilot_margins(found: Calibration, table: Trajectories) -> Iterator[ProposedRule]:
    for name, envelope in (found.envelope.scores if found.envelope else {}).items():
        margin = envelope_margin(envelope)
        if margin is None or not isinstance(envelope, ScoreEnvelope):
            continue
        outcome, spread = table.outcome(name), envelope.spread
        said = (
            f"From {spread.runs} trainings of one recipe: in 95 % of pairs the second scores worse by at most this "
            f"(standard deviation {spread.sd:.4f}, t with {spread.df} df)."
        )
        fields: dict[str, Any] = {"id": f"{_task_words(outcome)}-not-worse", "kind": "pilot_not_worse"}
        fields |= _of_pilot(outcome, table.conventions)
        fields |= {"layers": "pilot_best", "bound": "point", "margin": margin, "no_champion": "pass"}
        yield ProposedRule(fields, said)


def _controls(found: Calibration, table: Trajectories) -> Iterator[ProposedRule]:
    """Yield a rule for each proving task, which only warns: it takes a control that not every pilot has."""
    floors = [floor for floor in found.proposed if floor.quantity.of == "pilot"]
    proving = {outcome.task: outcome for outcome in (table.outcome(floor.quantity.name) for floor in floors)}
    for outcome in proving.values():
        fields: dict[str, Any] = {"id": f"{_words(outcome.task)}-beats-random-weights", "kind": "pilot_above_control"}
        fields |= {"severity": "warn", **_of_pilot(outcome, table.conventions), "layers": "pilot_best"}
        fields |= {"bound": "ci_upper" if outcome.metric in ERROR_RATES else "ci_lower", "by": 0.1}
        said = (
            "Starting point, from no data: a pilot that random weights pass proves nothing. Make it block once pilots "
            "are taken with --control."
        )
        yield ProposedRule(fields, said)


def _of_pilot(outcome: Outcome, conventions: Conventions) -> dict[str, Any]:
    """Return which score of a pilot a rule reads: that of the table."""
    head, shots = (conventions.settings.get(f"{outcome.settings}{name}") for name in ("head", "shots"))
    if outcome.metric == "eer_cosine":  # no head is trained for it: conventions are about the primary metric
        head, shots = "cosine", "all"
    return {
        "task": outcome.task,
        "domain": outcome.domain,
        "metric": outcome.metric,
        "head": head or "ridge",
        "shots": shots if isinstance(shots, int) else "all",
    }


def _task_words(outcome: Outcome) -> str:
    return _words(outcome.name.removeprefix("pilot_"))


def _words(name: str) -> str:
    """Return a name in the letters of a rule's id.

    >>> _words("label:Alarm kind"), _words("rank_frame")
    ('label-alarm-kind', 'rank-frame')
    """
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return words if words[:1].isalpha() else f"of-{words}".strip("-")

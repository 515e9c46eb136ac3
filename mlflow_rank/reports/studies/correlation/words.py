"""What a study of correlation found, in sentences: does rank follow the pilot, and does it pick the layer?

The two claims are those of arXiv 2409.10787: rank tracks downstream scores within a layer; it does not pick the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from mlflow_rank.reports.drawing import listed
from mlflow_rank.reports.studies.correlation.names import (
    lost_points,
    rank_name,
    score_name,
    scores_listed,
    sentence,
    signed,
    with_interval,
)
from mlflow_rank.reports.studies.correlation.results import (
    LEVEL,
    Correlated,
    Document,
    Family,
    Known,
    Result,
    Unknown,
)
from mlflow_rank.reports.studies.correlation.standing import (
    Choice,
    Standing,
    Tracking,
    causes_of,
    choice_of,
    median_of,
    standing_of,
    worst_factor,
)
from mlflow_rank.reports.untrusted_text import plain

CORRECTIONS = {"holm": "Holm", "bh": "Benjamini-Hochberg"}
Kind = TypeVar("Kind", Tracking, Choice)
TRACKING: Mapping[Tracking, str] = {
    Tracking.TRACKED: "yes",
    Tracking.PARTLY: "in some layers only",
    Tracking.MIXED: "in some layers, and against it in others",
    Tracking.AGAINST: "no, it went against it",
    Tracking.NOT_SHOWN: "not shown",
    Tracking.TOO_FEW: "too few data to show it",
    Tracking.NO_NUMBER: "not enough",
}
CHOOSING: Mapping[Choice, str] = {
    Choice.PICKED: "yes",
    Choice.BETTER_THAN_RANDOM: "better than a random layer",
    Choice.WORSE: "no, worse than a layer chosen without rank",
    Choice.NOT_SHOWN: "not shown to be better than a random layer",
    Choice.OPEN: "not enough",
}
_CHOICES = {"fixed": "the layer best in the other runs", "last": "the last one", "random": "a random one"}
_LAYERS_NAMED = 6


def verdicts(study: Correlated) -> tuple[str, ...]:
    """Return the answers: first over all pilot scores, then one by one, then what else could explain them."""
    return (*_summaries(study), *_each(study), *_alternatives(study), *_between_runs(study))


def _summaries(study: Correlated) -> Iterator[str]:
    for rank in study.headline:
        found = {each["name"]: tracking_of(study, rank, each).tracking for each in study.outcomes}
        asked = f"Does {rank_name(rank)} track the pilot within a layer, beyond the trend?"
        yield f"{asked} {_grouped(study, TRACKING, found)}"
    for rank in study.headline:
        chosen = {each["name"]: chosen_by(study, rank, each) for each in study.outcomes}
        yield f"Does {rank_name(rank)} pick the layer? {_grouped(study, CHOOSING, chosen)}"


def _grouped(study: Correlated, words: Mapping[Kind, str], found: Mapping[str, Kind]) -> str:
    """Return the pilot scores by what is said of them, as one sentence."""
    said = [(found[outcome["name"]], outcome) for outcome in study.outcomes]
    parts = [
        f"{word}: {scores_listed([outcome for each, outcome in said if each is kind], study.outcomes)}"
        for kind, word in words.items()
        if any(each is kind for each, _ in said)
    ]
    return f"{sentence('; '.join(parts))}."


def tracking_of(study: Correlated, rank: str, outcome: Document) -> Standing:
    """Return what the partial Spearman correlations within layers amount to."""
    return standing_of(study.within(rank, outcome["name"]), study.family("within_layer", "partial"))


def chosen_by(study: Correlated, rank: str, outcome: Document) -> Choice:
    """Return how good the layer of highest rank is for a pilot score."""
    if isinstance(study.lost(rank, outcome["name"]).get("rank", Unknown("")), Unknown):
        return Choice.OPEN
    return choice_of(study.more_lost(rank, outcome["name"]))


def _each(study: Correlated) -> Iterator[str]:
    family = study.family("within_layer", "partial")
    for outcome in study.outcomes:
        told = [
            tracking_sentence(rank_name(rank), tracking_of(study, rank, outcome), family) + _raw(study, rank, outcome)
            for rank in study.headline
        ]
        yield f"{sentence(score_name(outcome))}, within layers: {_told(told)}"
        yield f"{sentence(score_name(outcome))}, choice of layer: {_told([*_choosing(study, outcome)])}"


def _told(told: Sequence[str]) -> str:
    """Return what is said of each rank as a sentence of its own; the first goes on from a colon."""
    return ". ".join([*told[:1], *map(sentence, told[1:])]) + "."


def _raw(study: Correlated, rank: str, outcome: Document) -> str:
    raw = median_of(study.within(rank, outcome["name"], "raw"))
    there = raw is not None and tracking_of(study, rank, outcome).numbers
    return f" ({signed(raw)} with the trend left in)" if there and raw is not None else ""


def tracking_sentence(rank: str, standing: Standing, family: Family | None) -> str:
    """Return what a rank's correlations with one pilot score amount to, with the numbers."""
    if standing.tracking is Tracking.NO_NUMBER:
        cause = plain(standing.cause)
        if cause.startswith("not enough"):
            return f"not enough to say whether {rank} tracked it ({short_cause(cause)})"
        return f"no number for {rank} ({cause})"
    said = {
        Tracking.TRACKED: f"{rank} tracked it",
        Tracking.PARTLY: f"{rank} tracked it {_in_layers(standing.above)} only",
        Tracking.AGAINST: f"{rank} went against it {_in_layers(standing.below)}",
        Tracking.MIXED: f"{rank} tracked it {_in_layers(standing.above)}, and went against it "
        f"{_in_layers(standing.below)}",
        Tracking.NOT_SHOWN: f"{rank} was not shown to track it",
        Tracking.TOO_FEW: f"too few data to show whether {rank} tracked it"
        + _bracketed(_out_of_reach(standing, family)),
    }[standing.tracking]
    return f"{said}, partial Spearman {_numbers(standing, family)}"


def short_cause(cause: str) -> str:
    """Return what there is too little of, where `not enough` was said already."""
    return plain(cause).removeprefix("not enough: ")


def _in_layers(layers: tuple[int, ...]) -> str:
    if len(layers) > _LAYERS_NAMED:
        return f"in {len(layers)} layers"
    return f"in layer{'s' if len(layers) > 1 else ''} {listed(list(layers))}"


def _numbers(standing: Standing, family: Family | None) -> str:
    if standing.middle is None:
        return ""
    layer, found = standing.middle
    low, high = standing.range
    count = len(standing.numbers)
    said = f"{with_interval(found)}"
    if not found.interval:
        said += f" (no interval: {short_cause(found.no_interval)})"
    said += f" in layer {layer}"
    if count > 1:
        said += f", the middle one of {count}, {signed(low)} to {signed(high)} over all"
    signs = [f"{len(standing.above)} above 0"] + ([f"{len(standing.below)} below"] if standing.below else [])
    return f"{said}, {' and '.join(signs)}{after_correction(family)}"


def after_correction(family: Family | None, *, counting: bool = False) -> str:
    """Return which correction was made, and over how many tests where that is asked."""
    if family is None:
        return ""
    over = f" over {family.tests:,} tests" if counting else ""
    return f" after {CORRECTIONS.get(family.correction, family.correction)}{over}"


def _out_of_reach(standing: Standing, family: Family | None) -> str:
    smallest = [each.smallest_p for each in standing.numbers.values() if each.smallest_p is not None]
    if not smallest:
        return ""
    return f"p cannot be below {min(smallest):.2g}, {LEVEL / worst_factor(family):.2g} is needed"


def _bracketed(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _choosing(study: Correlated, outcome: Document) -> Iterator[str]:
    """Say what the layer of highest rank cost, first by the first rank beside the other choices, then by others."""
    for at, rank in enumerate(study.headline):
        taken = study.lost(rank, outcome["name"]).get("rank", Unknown("nothing was looked at"))
        if isinstance(taken, Unknown):
            yield f"not enough to say whether {rank_name(rank)} picks it ({short_cause(taken.cause)})"
            continue
        more = study.more_lost(rank, outcome["name"])
        better, worse = _clearly(more)
        said = {
            Choice.PICKED: f"{rank_name(rank)} picked it, better than {better}",
            Choice.BETTER_THAN_RANDOM: f"{rank_name(rank)} picked better than {better}",
            Choice.NOT_SHOWN: f"{rank_name(rank)} was not shown to pick better than a random one",
            Choice.WORSE: f"{rank_name(rank)} did not pick it, worse than {worse}",
            Choice.OPEN: f"not enough to say whether {rank_name(rank)} picks it ({short_cause(causes_of(more))})",
        }[chosen_by(study, rank, outcome)]
        others = ", ".join(_others(study, rank, outcome)) if at == 0 else ""
        yield f"{said}: its highest layer lost {lost_points(taken)} points to the pilot's best" + (
            f". Beside it: {others}" if others else ""
        )


def _clearly(more_lost: Mapping[str, Result]) -> tuple[str, str]:
    """Return the choices than which the layer of highest rank is better, and worse, beyond the interval."""
    bounds = {name: each.interval for name, each in more_lost.items() if isinstance(each, Known)}
    better = [words for name, words in _CHOICES.items() if (found := bounds.get(name)) and found[1] < 0]
    worse = [words for name, words in _CHOICES.items() if (found := bounds.get(name)) and found[0] > 0]
    return " and ".join(better), " and ".join(worse)


def _others(study: Correlated, rank: str, outcome: Document) -> Iterator[str]:
    lost = study.lost(rank, outcome["name"])
    for name, words in _CHOICES.items():
        each = lost.get(name)
        if isinstance(each, Known):
            yield f"{words} {lost_points(each)}"


def _alternatives(study: Correlated) -> Iterator[str]:
    """Say whether the step, the loss or nothing goes with the pilot as closely as rank where the trend is left in."""
    if not study.headline:
        return
    rank = study.headline[0]
    ours = {outcome["name"]: median_of(study.within(rank, outcome["name"], "raw")) for outcome in study.outcomes}
    for name, words in (("step", "The training step"), ("loss", "The training loss")):
        theirs = {outcome["name"]: median_of(study.baseline(name, outcome["name"])) for outcome in study.outcomes}
        parts = [
            f"{word} {rank_name(rank)} for {scores_listed(chosen, study.outcomes)} ({_medians(chosen, theirs, ours)})"
            for closer, word in ((True, "at least as closely as"), (False, "less closely than"))
            if (chosen := [each for each in study.outcomes if _closer(theirs, ours, each["name"]) is closer])
        ]
        if parts:
            yield f"{words} alone, with the trend left in, goes with the pilot {'; '.join(parts)}."
    ranges = [each for each in (study.chance(outcome["name"], "walk") for outcome in study.outcomes) if each]
    if ranges:
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        yield (
            f"A random walk, which knows nothing, reaches {signed(low)} to {signed(high)} with the trend left in "
            "(95 % of draws)."
        )


def _closer(theirs: Mapping[str, float | None], ours: Mapping[str, float | None], name: str) -> bool | None:
    one, other = theirs[name], ours[name]
    return None if one is None or other is None else round(abs(one), 2) >= round(abs(other), 2)


def _medians(chosen: list[Document], theirs: Mapping[str, float | None], ours: Mapping[str, float | None]) -> str:
    """Return the medians over layers of both, or their range over pilot scores."""

    def span(found: Mapping[str, float | None]) -> str:
        values = [value for each in chosen if (value := found[each["name"]]) is not None]
        low, high = signed(min(values)), signed(max(values))
        return low if low == high else f"{low} to {high}"

    return f"{span(theirs)} beside {span(ours)}"


def _between_runs(study: Correlated) -> Iterator[str]:
    family = study.family("between_runs", "matched_step")
    for rank in study.headline:
        standings = {
            outcome["name"]: standing_of(study.between(rank, outcome["name"]), family) for outcome in study.outcomes
        }
        told = _grouped(study, TRACKING, {name: each.tracking for name, each in standings.items()}).removesuffix(".")
        reasons = [
            _out_of_reach(each, family) if each.tracking is Tracking.TOO_FEW else short_cause(each.cause)
            for each in standings.values()
            if each.tracking in (Tracking.TOO_FEW, Tracking.NO_NUMBER)
        ]
        why = "; ".join(dict.fromkeys(filter(None, reasons)))
        asked = f"Between runs at the same step, does {rank_name(rank)} go with the pilot?"
        yield f"{asked} {told}{_bracketed(why)}."

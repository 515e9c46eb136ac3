"""A policy in plain sentences: for whom it is, what each rule asks, how the answers combine, and who must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.formula import AllOf, AnyOf
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy
from mlflow_rank.policy.vocabulary import ERROR_RATES

BOUNDS = {
    "point": "the estimate",
    "corrected": "the estimate corrected for bias",
    "ci_lower": "the lower end of the 95 % interval",
    "ci_upper": "the upper end of the 95 % interval",
}
_EVIDENCE = {"measurement": "the measurement", "pilot": "the pilot", "alarms": "what the monitor said last"}
_SIZES = {"rows_per_dim": "rows per dimension"}
_UNITS = {"h": "hour", "d": "day", "w": "week"}
_MODES = {
    "audit": "Decisions under it are recorded and stop nothing; unsigned evidence counts.",
    "warn": "Decisions under it are shown and stop nothing; unsigned evidence counts.",
    "enforce": "What it denies does not happen; unsigned evidence does not count.",
}

_ACTS = {
    "requester": "asks for the promotion",
    "evidence_signer": "signed the evidence",
    "policy_author": "wrote this policy",
}


def explain(policy: Policy) -> str:
    """Return the policy in plain sentences, one thought on a line."""
    return "\n".join(_lines(policy)) + "\n"


def sentence_of(rule: Any) -> str:
    """Return what a rule asks, as one sentence.

    >>> from mlflow_rank.policy.rank_rules import NoOpenAlarm
    >>> sentence_of(NoOpenAlarm(id="calm", kind="no_open_alarm"))
    'No alarm of the training run is open.'
    """
    said = SENTENCES[rule.kind](rule)
    return said[:1].upper() + said[1:] + "."


def _lines(policy: Policy) -> Iterator[str]:
    metadata = policy.metadata
    yield f"{metadata.name}, revision {metadata.revision}, owned by {_listed(metadata.owners)}."
    if metadata.author is not None:
        yield f"This revision was written by {metadata.author}."
    if metadata.description:
        yield metadata.description.strip()
    if isinstance(policy, Exemption):
        yield from _exempt(policy)
    else:
        yield from _asks(policy)


def _exempt(exemption: Exemption) -> Iterator[str]:
    yield (
        f"Models named {_listed(exemption.models, 'or')} need no approval: the gate leaves them alone, except those "
        "that a PromotionPolicy names."
    )
    yield f"Why: {exemption.reason.strip()}"
    yield "It has no rules and plays no part in a decision."


def _asks(policy: PromotionPolicy | WatchPolicy) -> Iterator[str]:
    targets = "any target" if policy.match.targets == "any" else _listed(policy.match.targets, "or")
    yield f"It is asked when models named {_listed(policy.match.models, 'or')} go to {targets}."
    if isinstance(policy, PromotionPolicy):
        yield _MODES[policy.mode]
        yield from _ungated(policy)
    else:
        yield "It warns or stays silent, and cannot approve anything; so unsigned evidence counts."
    terms = policy.evidence
    yield (
        f"Evidence counts for {_duration(terms.max_age)}, if somebody with the role {_listed(terms.signed_by, 'or')} "
        f"signed it and ranks were measured with preset {terms.preset}."
    )
    yield ""
    yield "Rules:"
    for rule in policy.rules:
        mark = "" if rule.severity == "block" else " (warns only)"
        yield f"- {rule.id}{mark}: {sentence_of(rule)}"
        if rule.why:
            yield f"    Why: {rule.why}"
    yield ""
    if not isinstance(policy, PromotionPolicy):
        yield "It warns when any of them does not pass, or has no answer."
        return
    yield f"It approves when {_formula(policy.formula)}."
    yield "A rule without an answer (no evidence, too little audio, a bad signature, ...) does not pass."
    yield from _people(policy)


def _ungated(policy: PromotionPolicy) -> Iterator[str]:
    globs = policy.match.ungated_aliases
    if globs:
        aliases = f"alias {globs[0]}" if len(globs) == 1 else f"aliases {_listed(globs)}"
        yield f"The gate leaves their {aliases} alone, if every policy that names the model says so."
    if policy.match.targets != "any":
        yield f"The gate refuses {'other ' if globs else ''}aliases and stages that no policy is asked about."


def _people(policy: PromotionPolicy) -> Iterator[str]:
    approvals = policy.approvals
    if approvals.count:
        people = f"{approvals.count} {'person' if approvals.count == 1 else 'people'}"
        yield (
            f"Besides, {people} with the role {_listed(approvals.signed_by, 'or')} must approve, each with a key of "
            f"their own, {_excluded(policy)}. An approval holds for {_duration(approvals.max_age)}, and only for the "
            "same files, policy and evidence."
        )
        if approvals.witnessed:
            yield (
                "A user without a key can approve as well, where the gate vouches for them: whoever may write to the "
                "model in MLflow."
            )
    else:
        yield "Nobody has to approve by hand."
    if policy.waivers is None:
        yield "No rule can be waived."
    else:
        rules, by = _listed(policy.waivers.rules), _listed(policy.waivers.signed_by, "or")
        longest = _duration(policy.waivers.max_duration)
        yield f"{rules} can be waived by {by}, with a reason and a ticket, for {longest} at most."
    yield from _afterwards(policy)
    how = "moves by itself when the last piece arrives" if policy.promote == "automatic" else "is moved by hand"
    yield f"The target {how}."


def _excluded(policy: PromotionPolicy) -> str:
    """Return whose approval does not count, in words that follow on the people who must approve."""
    acts = [words for who, words in _ACTS.items() if who in policy.approvals.not_by]
    return f"none of whom {_listed(acts, 'or')}" if acts else "whoever they are: who asks may approve too"


def _afterwards(policy: PromotionPolicy) -> Iterator[str]:
    """Yield what can happen besides a promotion: emergencies, the way back, and evidence that comes later."""
    glass = policy.break_glass
    if glass is None:
        yield "No emergency goes past it: it names nobody who might declare one."
    else:
        yield (
            f"In an emergency, somebody with the role {_listed(glass.signed_by, 'or')} can put a version there without "
            f"approval, for {_duration(glass.max_duration)} at most; somebody with the role "
            f"{_listed(glass.reviewed_by, 'or')} must review that within {_duration(glass.review_within)}."
        )
    yield (
        f"Somebody with the role {_listed(policy.rollback.signed_by, 'or')} can go back to a version that was approved "
        "for the target before."
    )
    then = (
        ", and the target goes back to the approved version before it"
        if policy.on_contrary_evidence == "demote"
        else ""
    )
    yield f"When later evidence or a rejection speaks against what stands at the target, that is shown{then}."


def _formula(formula: str | AllOf | AnyOf) -> str:
    if isinstance(formula, str):
        return f"{formula} passes"
    every = isinstance(formula, AllOf)
    parts = formula.all if isinstance(formula, AllOf) else formula.any
    names = [part for part in parts if isinstance(part, str)]
    nested = [f"({_formula(part)})" for part in parts if not isinstance(part, str)]
    if not nested and len(names) > 1:
        return f"all of {_listed(names)} pass" if every else f"one of {_listed(names)} passes"
    return (" and " if every else " or ").join([*(f"{name} passes" for name in names), *nested])


def _layers(rule: Any) -> str:
    layers = rule.layers
    if layers == "all":
        return "every layer"
    if layers == "last":
        return "the last layer"
    if layers == "weighted_sum":
        return "the weighted sum of all layers"
    if layers == "pilot_best":
        return "the layer that the pilot chose inside its training labels"
    return f"layer {layers[0]}" if len(layers) == 1 else f"each of the layers {_listed([str(each) for each in layers])}"


def _metric(rule: Any) -> str:
    return {"per": "phone error rate"}.get(rule.metric, str(rule.metric).replace("_", " "))


def _rank(rule: Any) -> str:
    how = "" if not hasattr(rule, "centred") else ", mean taken off" if rule.centred else ", mean left in"
    return f"{_metric(rule)} ({rule.level.replace('_', ' ')} level{how}) of {_layers(rule)}"


def _score(rule: Any) -> str:
    domain = rule.domain.replace("_", " ")
    return f"{_metric(rule)} on the task {rule.task} ({domain}, {rule.head} head, {_labels(rule)}) of {_layers(rule)}"


def _labels(rule: Any) -> str:
    return "all labels" if rule.shots == "all" else f"{rule.shots} labels per class"


def _limit(rule: Any) -> str:
    side = "at least" if rule.kind == "rank_at_least" else "at most"
    unit = " of its dimensions" if rule.unit == "share_of_dim" else ""
    return f"{_rank(rule)} is {side} {rule.value:g}{unit}, by {BOUNDS[rule.bound]}"


def _envelope(rule: Any) -> str:
    sides = []
    if rule.at_least is not None:
        sides.append(f"at least {rule.at_least:g}")
    if rule.at_most is not None:
        sides.append(f"at most {rule.at_most:g}")
    return (
        f"{_rank(rule)} is {' and '.join(sides)} times the champion's, by {BOUNDS[rule.bound]}, measured on the same "
        f"audio in the same way; at a first promotion it {'passes' if rule.no_champion == 'pass' else 'fails'}"
    )


def _gain(rule: Any, over: str, least: float) -> str:
    better = "lower" if rule.metric in ERROR_RATES else "higher"
    end = BOUNDS[rule.bound]
    return f"{_score(rule)} is {better} than that of {over} by at least {least:g}, by {end} of the difference"


def _not_worse(rule: Any) -> str:
    first = "passes" if rule.no_champion == "pass" else "fails"
    return (
        f"{_score(rule)} is worse than the champion's by no more than {rule.margin:g}, by {BOUNDS[rule.bound]} of the "
        f"paired difference; at a first promotion it {first}"
    )


def _sizes(rule: Any, *names: str) -> str:
    asked = ((name, getattr(rule, name)) for name in names)
    return _listed([f"{_counted(number)} {_SIZES.get(name, name)}" for name, number in asked if number is not None])


def _counted(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _corpus(rule: Any) -> str:
    what = "ranks were measured"
    if rule.of == "pilot":
        what = f"{rule.task} was piloted {rule.domain.replace('_', ' ')}"
    known = "the corpus" if len(rule.digests) == 1 else f"one of the {len(rule.digests)} corpora"
    return f"{what} on {known} known by digest"


SENTENCES: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "rank_at_least": _limit,
        "rank_at_most": _limit,
        "rank_within_envelope": _envelope,
        "centring_disagreement": lambda rule: (
            f"{_rank(rule)} differs by a factor of at most {rule.at_most:g} between mean taken off and mean left in, "
            f"by {BOUNDS[rule.bound]}"
        ),
        "no_open_alarm": lambda _: "no alarm of the training run is open",
        "pilot_at_least": lambda rule: f"{_score(rule)} is at least {rule.value:g}, by {BOUNDS[rule.bound]}",
        "pilot_at_most": lambda rule: f"{_score(rule)} is at most {rule.value:g}, by {BOUNDS[rule.bound]}",
        "pilot_not_worse": _not_worse,
        "pilot_above_control": lambda rule: _gain(rule, "the same architecture with random weights", rule.by),
        "pilot_above_log_mel": lambda rule: _gain(rule, "log-mel features", rule.by),
        "domain_drop_at_most": lambda rule: (
            f"{_metric(rule)} on the task {rule.task} ({rule.head} head, {_labels(rule)}) of {_layers(rule)} loses at "
            f"most {rule.value:g} from in domain to out of domain, by {BOUNDS[rule.bound]}"
        ),
        "worst_group_at_least": lambda rule: f"{_score(rule)} is at least {rule.value:g} for the worst test group too",
        "pilot_size_at_least": lambda rule: (
            f"at least {_sizes(rule, 'items', 'groups')} were tested on {rule.task}, {rule.domain.replace('_', ' ')}"
        ),
        "measurement_size_at_least": lambda rule: (
            f"ranks were measured on at least {_sizes(rule, 'utterances', 'speakers', 'minutes', 'rows_per_dim')}"
            + (f" ({rule.level} level)" if rule.level else "")
        ),
        "evidence_age_at_most": lambda rule: f"{_EVIDENCE[rule.of]} is at most {_duration(rule.age)} old",
        "corpus_allowed": _corpus,
        "dtype_float32": lambda rule: f"the encoder ran in float32 for the {rule.of}",
        "model_digest_equals": lambda rule: (
            f"the model's files are exactly those with the digest {rule.digest[:19]}..."
        ),
    }
)
"""One sentence for each kind of rule; a test holds the two lists together."""


def _duration(text: str) -> str:
    number, unit = int(text[:-1]), _UNITS[text[-1]]
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _listed(names: Any, joint: str = "and") -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"

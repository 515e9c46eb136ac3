"""The rules and roles of policies, briefly: the words of `policy explain`, with what goes without saying taken out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mlflow_rank.policy.explain import BOUNDS, sentence_of
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy
from mlflow_rank.reports.untrusted_text import plain

LEGEND = (
    "Unless said: in domain, the layer that the pilot chose, ridge head, all labels; a first promotion passes. (low), "
    "(high): by that end of the 95 % interval; (corrected): for bias."
)
_SHORTER = (
    (" of the layer that the pilot chose inside its training labels", ""),
    (" (in domain, ridge head, all labels)", ""),
    (", ridge head, all labels)", ")"),
    (" (ridge head, all labels)", ""),
    (", in domain.", "."),
    (" on the task ", " of "),
    (" of the difference", ""),
    (" of the paired difference", ""),
    (f", by {BOUNDS['ci_lower']}", " (low)"),
    (f", by {BOUNDS['ci_upper']}", " (high)"),
    (f", by {BOUNDS['corrected']}", " (corrected)"),
    (f", by {BOUNDS['point']}", ""),
    (", measured on the same audio in the same way", ""),
    ("the same architecture with random weights", "random weights"),
    (" is higher than that of ", " beats "),
    ("; at a first promotion it passes", ""),
    ("(frame level, mean taken off)", "(frames, centred)"),
    ("(frame level, mean left in)", "(frames, uncentred)"),
)
_MODES = {"audit": "recorded only", "warn": "shown, stops nothing", "enforce": "what is denied does not happen"}
_ACTS = {"requester": "who asks", "evidence_signer": "who signed the evidence", "policy_author": "who wrote the policy"}
Asking = PromotionPolicy | WatchPolicy


def rule_lines(policies: Sequence[Asking], *, lines: int, words: int) -> tuple[list[str], list[str]]:
    """Return what must hold, in about so many lines and words, and the ids of rules that had no room.

    Each policy has the same share, and what it leaves the others have; rules that block come before those that warn.
    """
    said = [LEGEND] if any(isinstance(each, PromotionPolicy) for each in policies) else []
    lines, words = lines - len(said), words - _words(said)
    left_out: list[str] = []
    for place, policy in enumerate(policies):
        share = (lines // (len(policies) - place), words // (len(policies) - place))
        told, rest = _told(policy, *share)
        said += told
        lines, words = lines - len(told), words - _words(told)
        left_out += rest
    return said, left_out


def _told(policy: Asking, lines: int, words: int) -> tuple[list[str], list[str]]:
    told = [_head(policy)]
    rules = [(each.id, briefly(each)) for each in sorted(policy.rules, key=lambda each: each.severity != "block")]
    while rules and len(told) + 1 < lines and _words([*told, rules[0][1]]) <= words:
        told.append(rules.pop(0)[1])
    rest = [name for name, _ in rules]
    if rest:
        more = f"And {len(rest)} more" if len(told) > 1 else f"{len(rest)} rules"
        told.append(f"{more}, for which there is no room here (`policy explain`): {', '.join(rest)}.")
    return told, rest


def _words(lines: Sequence[str]) -> int:
    return sum(len(line.split()) for line in lines)


def briefly(rule: Any) -> str:
    """Return what a rule asks, as one short sentence after its id."""
    sentence = sentence_of(rule)
    for long, short in _SHORTER:
        sentence = sentence.replace(long, short)
    return f"{rule.id}{'' if rule.severity == 'block' else ' (warns)'}: {sentence}"


def people(policy: Asking) -> Iterator[str]:
    """Yield who signs, approves and undoes."""
    line = f"{policy.metadata.name}: {_listed(policy.evidence.signed_by)} signs evidence"
    if isinstance(policy, WatchPolicy):
        yield f"{line}; nobody approves, as it only warns."
        return
    approvals, waivers, glass = policy.approvals, policy.waivers, policy.break_glass
    excluded = [words for who, words in _ACTS.items() if who in approvals.not_by]
    if approvals.count:
        line += f"; {approvals.count} × {_listed(approvals.signed_by)} approve"
        line += f", not {_listed(excluded)}" if excluded else ", whoever they are"
        line += f", for {approvals.max_age}"
    else:
        line += "; nobody has to approve"
    if waivers is not None:
        line += f"; {_listed(waivers.signed_by)} may waive {_listed(waivers.rules)} for {waivers.max_duration}"
    if glass is not None:
        line += f"; in an emergency {_listed(glass.signed_by)}, for {glass.max_duration}"
    yield f"{line}; {_listed(policy.rollback.signed_by)} may go back to an approved version."


def _head(policy: Asking) -> str:
    name = f"{policy.metadata.name} r{policy.metadata.revision}, {policy.digest[:19]}"
    targets = "any target" if policy.match.targets == "any" else _listed(_coded(policy.match.targets))
    mode = "warns only" if isinstance(policy, WatchPolicy) else f"{policy.mode}: {_MODES[policy.mode]}"
    return f"{name} ({mode}), for {_listed(_coded(policy.match.models))} to {targets}:"


def _coded(names: Sequence[str]) -> list[str]:
    return [f"`{plain(name).replace('`', '?')}`" for name in names]


def _listed(names: Sequence[str]) -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

"""What a failure of each kind of rule means and what can be done, in words for people who did not write the policy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mlflow_rank.policy.outcomes import Finding

_TRAINING = "look at the training run before this checkpoint, or promote an earlier one"
WHEN_IT_FAILS: Mapping[str, str] = MappingProxyType(
    {
        "rank_at_least": f"a number this low is what a collapse looks like: {_TRAINING}",
        "rank_at_most": f"a number this high is what a collapse looks like: {_TRAINING}",
        "rank_within_envelope": "find out what differs from the champion's training: data, length, objective",
        "centring_disagreement": f"rows lie along one shared vector: {_TRAINING}",
        "no_open_alarm": "look into the alarm; whoever runs the monitor closes it, in a new statement of alarms",
        "pilot_at_least": "the encoder is not good enough at this task: promote another version, or train on",
        "pilot_at_most": "the encoder makes too many errors at this task: promote another version, or train on",
        "pilot_not_worse": "the champion is better at this task: keep it, or train on",
        "pilot_above_control": "training has added too little to the architecture for this task: train on",
        "pilot_above_log_mel": "log-mel features do about as well at this task: the encoder adds too little",
        "domain_drop_at_most": "the encoder loses too much on other audio: train or adapt it on such audio",
        "worst_group_at_least": "listen to the worst group; train on more audio like it",
        "pilot_size_at_least": "pilot on more test items, of more groups",
        "measurement_size_at_least": "measure on more audio",
        "evidence_age_at_most": "assess again",
        "corpus_allowed": "assess on an allowed corpus, or have the policy's owners allow this one",
        "dtype_float32": "assess again in float32",
        "model_digest_equals": "the policy is about other files: give the model that it names",
    }
)
"""By kind of rule; a test holds the kinds to the policy's."""

WITHIN_THE_INTERVAL = "the estimate itself would pass, but is not known well enough: more test items, of more groups"
"""Where an end of the interval fails and the estimate would not."""

NO_CHAMPION = "this rule lets nothing be promoted first: have the policy's owners say how the first champion is chosen"
"""Where a comparison fails because there is nobody to compare with."""


def remedy_of(rule: Any, finding: Finding) -> str:
    """Return what to do about a finding of a rule that does not pass; "" where it is waived or passes."""
    if finding.cause is not None and finding.result == "unknown":
        return finding.cause.remedy
    if finding.result != "fail":
        return ""
    if finding.observed is None:
        return NO_CHAMPION
    return WITHIN_THE_INTERVAL if _estimate_would_pass(rule, finding) else WHEN_IT_FAILS[finding.kind]


def _estimate_would_pass(rule: Any, finding: Finding) -> bool:
    """Say whether only the end of the interval fails."""
    seen, margin = finding.observed, finding.margin
    if getattr(rule, "bound", "point") not in ("ci_lower", "ci_upper") or seen is None or margin is None:
        return False
    if seen.estimate is None or isinstance(seen.value, str) or finding.kind.startswith("rank"):
        return False
    return abs(seen.estimate - float(seen.value)) >= -margin

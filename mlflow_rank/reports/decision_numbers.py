"""What a rule saw, its bound and margin, in digits that suit its kind and are the same wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow_rank.policy.outcomes import Finding, Observation
from mlflow_rank.policy.vocabulary import RANKS
from mlflow_rank.reports.pilot_words import SHORT

DIGEST_CHARACTERS = 12  # of the 64 hex digits: enough to tell digests apart by eye
_MOST_DECIMALS = 6
_HOURS_SHOWN_AS_DAYS = 48.0
_CEILINGS = frozenset(
    {"rank_at_most", "centring_disagreement", "pilot_at_most", "domain_drop_at_most", "evidence_age_at_most"}
)
_GAINS = frozenset({"pilot_not_worse", "pilot_above_control", "pilot_above_log_mel"})
_SHARES = _GAINS | {"pilot_at_least", "pilot_at_most", "worst_group_at_least", "domain_drop_at_most"}
_SIZES = frozenset({"pilot_size_at_least", "measurement_size_at_least"})
Write = Callable[[float, int], str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A finding's numbers as text; "" for what is not known or makes no sense for the kind."""

    observed: str = ""
    n: str = ""
    asked: str = ""
    margin: str = ""
    layer: str = ""


def numbers(finding: Finding, rule: Any, *, at_least: str = ">=", at_most: str = "<=") -> Numbers:
    """Return a finding's numbers as text.

    Scores are shares, written `.874`; gains and margins have a sign. `asked` names the end of the interval that is held
    against the bound. A margin that is not 0 is never rounded to 0.

    Args:
        finding: what came of the rule.
        rule: the rule itself, which knows the unit.
        at_least: the sign of a floor.
        at_most: the sign of a ceiling.
    """
    layer = "" if finding.layer is None else SHORT.get(str(finding.layer), str(finding.layer))
    seen = finding.observed
    if seen is None:
        return Numbers(layer=layer)
    if isinstance(seen.value, str) or not isinstance(finding.bound, float):
        return Numbers(_short(str(seen.value)), "", _of_words(finding, rule), "", layer)
    if rule.kind == "no_open_alarm":
        of = f" of {seen.n}" if seen.n else ""
        return Numbers(f"{seen.value:.0f} open{of}", "", "none open", "", layer)
    write = _writer(rule, finding)
    digits = _digits(write, finding.margin)
    floor = not (
        finding.kind in _CEILINGS or (finding.kind == "rank_within_envelope" and finding.bound != rule.at_least)
    )
    asked = f"{_end(rule)}{at_least if floor else at_most} {write(finding.bound, digits)}"
    margin = "" if finding.margin is None else _signed(write, finding.margin, digits)
    n = f"{seen.n:,}" if seen.n is not None and rule.kind != "worst_group_at_least" else ""
    return Numbers(_observed(seen, rule, finding, write, digits), n, asked, margin, layer)


def short_digest(digest: str) -> str:
    """Return the first hex digits of a digest.

    >>> short_digest("sha256:" + "0123456789abcdef" * 4)
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:DIGEST_CHARACTERS]


def share(value: float, digits: int) -> str:
    """Return a share as statisticians write it, without the zero before the point.

    >>> share(0.8741, 3), share(-0.02, 3), share(1.0, 3), share(-0.0001, 3)
    ('.874', '-.020', '1.000', '.000')
    """
    written = f"{round(value, digits) + 0.0:.{digits}f}"
    return written.replace("0.", ".", 1) if written.removeprefix("-").startswith("0.") else written


def _writer(rule: Any, finding: Finding) -> Write:
    if rule.kind in _SHARES or getattr(rule, "unit", "") == "share_of_dim":
        return share
    if rule.kind == "evidence_age_at_most":
        in_days = (finding.bound or 0.0) >= _HOURS_SHOWN_AS_DAYS if isinstance(finding.bound, float) else False
        return lambda hours, digits: _trimmed(hours / 24 if in_days else hours, digits) + (" d" if in_days else " h")
    if rule.kind in _SIZES:
        return _trimmed
    if rule.kind in ("rank_within_envelope", "centring_disagreement"):
        return _decimals(1)
    return _decimals(2) if rule.metric in RANKS else _significant


def _observed(seen: Observation, rule: Any, finding: Finding, write: Write, digits: int) -> str:
    """Return the estimate with its interval; a corrected number stands for itself, as the interval is around it."""
    held = float(seen.value)
    value = (
        held if seen.estimate is None or getattr(rule, "bound", "point") in ("point", "corrected") else seen.estimate
    )
    if rule.kind == "worst_group_at_least":
        return f"{write(held, digits)}{'' if seen.n is None else f', worst of {seen.n:,}'}"
    if rule.kind in _SIZES:
        return f"{write(held, digits)} {_noun(rule, finding)}".rstrip()
    written = _signed(write, value, digits) if rule.kind in _GAINS else write(value, digits)
    if seen.low is None or seen.high is None:
        return written
    return f"{written} [{write(seen.low, digits)}, {write(seen.high, digits)}]"


def _end(rule: Any) -> str:
    """Return which end of the interval is held against the bound; of a gain it is always the low one."""
    bound = getattr(rule, "bound", "point")
    if bound in ("point", "corrected"):
        return ""
    return "low " if bound == "ci_lower" or rule.kind in _GAINS else "high "


def _of_words(finding: Finding, rule: Any) -> str:
    if rule.kind == "corpus_allowed":
        return "the allowed one" if len(rule.digests) == 1 else f"one of {len(rule.digests)}"
    return _short(str(finding.bound or ""))


def _noun(rule: Any, finding: Finding) -> str:
    """Return what was counted, where the bound says which of the rule's sizes it is."""
    nouns = {name: getattr(rule, name, None) for name in ("items", "groups", "utterances", "speakers", "minutes")}
    nouns["rows per D"] = getattr(rule, "rows_per_dim", None)
    fitting = [name for name, least in nouns.items() if least == finding.bound]
    return fitting[0] if len(fitting) == 1 else ""


def _digits(write: Write, margin: float | None) -> int:
    """Return the decimals at which a margin that is not 0 does not read as 0: three, or more where it is tiny."""
    for digits in range(3, _MOST_DECIMALS):
        if not margin or any(sign in "123456789" for sign in write(abs(margin), digits)):
            return digits
    return _MOST_DECIMALS


def _signed(write: Write, value: float, digits: int) -> str:
    written = write(value, digits)
    return written if written.startswith("-") else f"+{written}"


def _decimals(fewer: int) -> Write:
    """Return a writer of fixed decimals, `fewer` than a share would have."""
    return lambda value, digits: f"{round(value, digits - fewer) + 0.0:,.{digits - fewer}f}"


def _trimmed(value: float, digits: int) -> str:
    """Return a number without decimals that say nothing: counts stay whole."""
    written = f"{round(value, digits - 2) + 0.0:,.{digits - 2}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _significant(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.{digits}g}".removesuffix(".")


def _short(text: str) -> str:
    return short_digest(text) if text.startswith("sha256:") else text

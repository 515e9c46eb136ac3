"""Which of the evidence counts under a policy: readable, of the right bytes, signed by the right role, and fresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlflow_rank.evidence.contents import Alarms
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.evidence.trust import Signer
from mlflow_rank.policy.model import EvidenceTerms
from mlflow_rank.policy.outcomes import Cause
from mlflow_rank.policy.vocabulary import HOURS

CLOCK_SKEW = timedelta(minutes=5)  # between two machines that keep time; Kerberos allows as much (RFC 4120)
MOST_NAMED = 3  # subjects of a statement that is about other files; it may have thousands
READS = {"measurement": Measurement, "pilot": Pilot, "alarms": Alarms}
# What is said where nothing counts and several reasons are at hand: the one nearest to a remedy.
_NEAREST = (
    Cause.STALE, Cause.FROM_THE_FUTURE, Cause.WRONG_PRESET, Cause.WRONG_ROLE, Cause.UNSIGNED, Cause.KEY_REVOKED,
    Cause.KEY_EXPIRED, Cause.KEY_NOT_VALID_YET, Cause.UNKNOWN_KEY, Cause.BAD_SIGNATURE, Cause.UNREADABLE,
    Cause.WRONG_SUBJECT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a statement does not count, or why a rule has no answer: a cause, and the detail in words."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The statements of one kind that count, in order of digest; where none does, the reason nearest to a remedy."""

    statements: tuple[Presented, ...]
    refused: tuple[tuple[str, Refusal], ...] = ()

    def why_none(self, kind: str) -> Refusal:
        """Return the reason that there is nothing to read."""
        if not self.refused:
            return Refusal(Cause.MISSING_EVIDENCE, f"no {kind} was presented for this model")
        return min((refusal for _, refusal in self.refused), key=lambda each: (_NEAREST.index(each.cause), each.detail))


def hours(duration: str) -> timedelta:
    """Return a duration of a policy.

    >>> hours("2d")
    datetime.timedelta(days=2)
    """
    return timedelta(hours=int(duration[:-1]) * HOURS[duration[-1]])


def admit(
    presented: Sequence[Presented],
    kind: str,
    *,
    subject: str,
    terms: EvidenceTerms,
    unsigned_counts: bool,
    now: datetime,
) -> Admitted:
    """Return which statements of a kind count as evidence about `subject`.

    What cannot be read might be of any kind: it is among the refused of each.
    """
    counted, refused = {}, {}
    for each in presented:
        if each.kind not in (kind, UNREADABLE):
            continue
        refusal = refusal_of(each, subject=subject, terms=terms, unsigned_counts=unsigned_counts, now=now)
        if refusal is None:
            counted[each.digest] = each
        else:
            refused[each.digest] = refusal
    statements = tuple(counted[digest] for digest in sorted(counted))
    if kind == "alarms":
        statements = _latest_of_each_monitor(statements)
    return Admitted(statements, tuple(sorted(refused.items(), key=lambda item: item[0])))


def refusal_of(
    each: Presented, *, subject: str, terms: EvidenceTerms, unsigned_counts: bool, now: datetime
) -> Refusal | None:
    """Return why a statement does not count, None where it does."""
    for cause, detail in each.problems:
        if cause == UNREADABLE:
            return Refusal(Cause.UNREADABLE, detail)
    if subject not in each.subjects:
        named = ", ".join(f"{digest[:19]}…" for digest in sorted(each.subjects)[:MOST_NAMED])
        more = f" and {len(each.subjects) - MOST_NAMED} more" if len(each.subjects) > MOST_NAMED else ""
        return Refusal(Cause.WRONG_SUBJECT, f"it is about {named}{more}, not about {subject[:19]}…")
    refusal = signature_refusal(each, roles=terms.signed_by, unsigned_counts=unsigned_counts)
    if refusal is not None:
        return refusal
    if each.made_at is None or each.made_at - now > CLOCK_SKEW:
        return Refusal(Cause.FROM_THE_FUTURE, f"it says that it was made at {each.made_at}, which is yet to come")
    if now - each.made_at > hours(terms.max_age):
        return Refusal(Cause.STALE, f"it is {in_days(now - each.made_at)} old; {terms.max_age} is allowed")
    if isinstance(each.content, Measurement) and each.content.preset != terms.preset:
        return Refusal(Cause.WRONG_PRESET, f"it was measured with preset {each.content.preset}, not {terms.preset}")
    return None


def signature_refusal(each: Presented, *, roles: Sequence[str], unsigned_counts: bool) -> Refusal | None:
    """Return what is wrong with the signatures, None where one of a right role holds."""
    if any(signer.roles & set(roles) for signer in each.signers):
        return None
    if each.unsigned:
        return None if unsigned_counts else Refusal(Cause.UNSIGNED, "it carries no signature")
    if each.signers:
        held = "; ".join(f"{one.name}: {', '.join(sorted(one.roles))}" for one in each.signers)
        return Refusal(Cause.WRONG_ROLE, f"signed by {held}; one of {', '.join(roles)} is needed")
    cause, detail = each.problems[0] if each.problems else ("unknown_key", "no signature holds")
    return Refusal(Cause(cause), detail)


def why_ended(signer: Signer, now: datetime) -> str | None:
    """Return that the key of a signer is in force no longer; None where it is.

    Evidence is a fact of the past, and a key that ended later still vouches for it. Approvals and waivers are a consent
    of the present: it ends with the key.
    """
    if signer.ended_at is None or now < signer.ended_at:
        return None
    return f"the key of {signer.name} was revoked or ran out at {signer.ended_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def in_days(age: timedelta) -> str:
    """Return an age in words.

    >>> in_days(timedelta(days=40)), in_days(timedelta(hours=5))
    ('40 days', '5 hours')
    """
    whole = int(age.total_seconds() // 3600)
    return f"{whole // 24} days" if whole >= 48 else f"{whole} hours"


def _latest_of_each_monitor(statements: Sequence[Presented]) -> tuple[Presented, ...]:
    """Return the last word of each monitor, all of it where it spoke twice at once: an alarm may have been closed."""
    latest: dict[str, datetime] = {}
    said = [(each, each.content.monitor, each.made_at) for each in statements if isinstance(each.content, Alarms)]
    for _, monitor, made_at in said:
        if made_at is not None:
            latest[monitor] = max(made_at, latest.get(monitor, made_at))
    return tuple(each for each, monitor, made_at in said if made_at == latest[monitor])

"""What other policies would have decided on stored evidence: each recorded decision, decided again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.instant import Instant
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.case import Candidate, Case, Champion, NoChampion, Request, UnknownChampion
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import Standing, standing

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as it was recorded, with its case put together again; `missing` evidence was not at hand."""

    id: str
    verdict: str
    at: datetime
    case: Case
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded decision, the one that other policies give, and whether they would be asked at all."""

    recorded: Recorded
    decision: Decision
    standing: Standing

    @property
    def would_be(self) -> str:
        """The verdict, or `ungated` or `exempt` where nobody would be asked."""
        return self.standing.kind if self.standing.left_alone else self.decision.verdict

    @property
    def because(self) -> str:
        """Why, in one sentence."""
        return self.standing.reason if self.standing.left_alone else self.decision.sentence

    @property
    def flips(self) -> bool:
        """Whether the verdict changes, or nobody gives one any more."""
        return self.recorded.verdict != self.would_be

    def under(self, policies: Sequence[Policy]) -> Replayed:
        """Return the same decision beside the standing that these policies give, exemptions among them."""
        return replace(self, standing=_standing(policies, self.recorded))


def recorded(document: Document, pool: Mapping[str, Presented]) -> Recorded:
    """Put the case of a recorded decision together again.

    Args:
        document: the decision, as `Decision.document` gives it.
        pool: statements by digest: evidence, approvals and waivers that are still at hand.

    Raises:
        EvidenceError: the document is no decision.
    """
    try:
        request, champion = _mapping(document["request"]), _mapping(document["champion"])
        candidate = Candidate(str(request["digest"]), request["digest_checked"] is True)
        asked = Request(
            str(request["model"]),
            _optional(request["version"]),
            str(request["target"]),
            candidate,
            _optional(request["requester"]),
        )
        named = {name: _digests(document[name]) for name in ("evidence", "approvals", "waivers")}
        theirs = [str(digest) for digest in _list(champion.get("evidence", []))]
        wanted = [*named["evidence"], *named["approvals"], *named["waivers"], *theirs]
        held: Champion | NoChampion | UnknownChampion = UnknownChampion()
        if "digest" in champion:
            evidence = tuple(pool[digest] for digest in theirs if digest in pool)
            held = Champion(str(champion["digest"]), _optional(champion["version"]), evidence)
        elif champion["none"] == "first promotion":
            held = NoChampion()
        found = {name: tuple(pool[each] for each in digests if each in pool) for name, digests in named.items()}
        case = Case(asked, found["evidence"], held, found["approvals"], found["waivers"])
        at = Instant.of(str(document["decided_at"])).moment
        missing = tuple(sorted({digest for digest in wanted if digest not in pool}))
        return Recorded(str(document["id"]), str(document["verdict"]), at, case, missing)
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(
            "this is no recorded decision",
            got=f"{type(error).__name__}: {error}",
            expected="what `mlflow-rank decide --json` or --output wrote",
        ) from error


def replay(policies: Sequence[Policy], decisions: Sequence[Recorded]) -> list[Replayed]:
    """Decide every recorded case again, each at the time at which it was decided, in order of time."""
    promotions = [each for each in policies if isinstance(each, PromotionPolicy)]
    ordered = sorted(decisions, key=lambda each: (each.at, each.id))
    return [Replayed(each, decide(promotions, each.case, each.at), _standing(policies, each)) for each in ordered]


def _standing(policies: Sequence[Policy], of: Recorded) -> Standing:
    return standing(policies, of.case.request.model, of.case.request.target)


def _mapping(value: object) -> Document:
    if not isinstance(value, Mapping):
        raise TypeError("a part is no object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a part is no list")
    return value


def _digests(value: object) -> list[str]:
    return [str(_mapping(each)["digest"]) for each in _list(value)]


def _optional(value: object) -> str | None:
    return None if value is None else str(value)

"""What a decision is about: the promotion that is asked for, who is champion now, and everything that was presented."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.evidence.presented import Presented, each_once
from mlflow_rank.policy.targets import canonical_target


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that is to be promoted: `digest` of its files' manifest.

    `checked` says whether somebody hashed the files now; else the digest is what the evidence says of itself.
    """

    digest: str
    checked: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A promotion: of which registered model and version, to which target (`canonical_target`), asked for by whom.

    Raises:
        UsageError: the target is written otherwise, so that policies would not know it, or the name cannot be written.
    """

    model: str
    version: str | None
    target: str
    candidate: Candidate
    requester: str | None = None

    def __post_init__(self) -> None:
        try:
            canonical, _ = canonical_target(self.target), f"{self.model}{self.requester}".encode()
        except ValueError as error:
            raise UsageError("this promotion cannot be asked for", got=str(error)) from error
        if canonical != self.target:
            raise UsageError("a target has one spelling", got=self.target, expected=canonical)


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that the target points at now: the digest of its files, and its own evidence."""

    digest: str
    version: str | None = None
    evidence: tuple[Presented, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "evidence", each_once(self.evidence))


@dataclass(frozen=True, slots=True)
class NoChampion:
    """Nothing is promoted to the target yet, and somebody has looked: this is a first promotion."""


@dataclass(frozen=True, slots=True)
class UnknownChampion:
    """Nobody has looked whether something is promoted to the target: rules that compare with it have no answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """A request with everything that was presented for it, in order of digest.

    A statement that was given twice counts once, with the signatures of both.
    """

    request: Request
    evidence: tuple[Presented, ...] = ()
    champion: Champion | NoChampion | UnknownChampion = UnknownChampion()
    approvals: tuple[Presented, ...] = ()
    waivers: tuple[Presented, ...] = ()

    def __post_init__(self) -> None:
        for name in ("evidence", "approvals", "waivers"):
            object.__setattr__(self, name, each_once(getattr(self, name)))

    @property
    def evidence_digest(self) -> str:
        """`sha256:…` over the digests of the evidence for this candidate: what an approval is bound to."""
        of_candidate = {each.digest for each in self.evidence if self.request.candidate.digest in each.subjects}
        return digest_of(sorted(of_candidate))

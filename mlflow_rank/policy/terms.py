"""The parts of a policy that are no rules: whose it is, which evidence counts, and who may say, waive or undo what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from mlflow_rank.policy.closed import Closed, Misfit
from mlflow_rank.policy.vocabulary import HOURS, Duration, Excluded, Identifier, Preset, Role

Roles = Annotated[tuple[Role, ...], Field(min_length=1)]
LONGEST_EMERGENCY = "7d"  # by then there is time to assess, or to roll back; what lasts longer is a rule put aside
NOT_BY: tuple[Excluded, ...] = ("requester", "evidence_signer")  # what a policy of before `not_by` meant
REVIEWERS: tuple[Role, ...] = ("owner", "reviewer")  # of a break-glass, where no policy says otherwise


class Metadata(Closed):
    """Which policy this is, and whose."""

    name: Identifier
    revision: Annotated[int, Field(ge=1)]
    """Goes up with every change."""
    owners: Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...], Field(min_length=1)]
    """People or teams who answer for this policy."""
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Who wrote this revision, by the name that the trust file or the server knows; see approvals.not_by."""
    description: Annotated[str, StringConstraints(max_length=2000)] = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values, in an order of its own; an author who is not named changes no digest."""
        document = self.model_dump(mode="json") | {"owners": sorted(self.owners)}
        if self.author is None:
            del document["author"]
        return document

    def misfits(self) -> Iterator[Misfit]:
        """Yield what makes no sense."""
        if self.author is not None and not (self.author.isprintable() and self.author.strip()):
            yield ("metadata", "author"), "must be printable: invisible letters would make another person of the author"


class EvidenceTerms(Closed):
    """What makes evidence count."""

    max_age: Duration
    signed_by: Roles = ("measurer",)
    """Roles in the trust file, one of which must have signed. Unsigned evidence counts in modes audit and warn only."""
    preset: Preset = "robust"
    """The preset that ranks were measured with: numbers of different presets are not comparable."""


class Approvals(Closed):
    """People who must say yes: each another person with another key, none of those whom `not_by` names."""

    count: Annotated[int, Field(ge=0, le=16)]
    signed_by: Roles = ("reviewer",)
    max_age: Duration = "14d"
    not_by: tuple[Excluded, ...] = NOT_BY
    """Whose approval does not count: requester, evidence_signer, policy_author (metadata.author). Left out: the first
    two."""
    witnessed: bool = False
    """true: an approval without a key counts as well, where the gate vouches that this user gave it. Then everybody who
    may write to the model in MLflow can approve, whatever signed_by says."""

    def misfits(self, author: str | None) -> Iterator[Misfit]:
        """Yield what makes no sense, of a policy that this author wrote."""
        if len(set(self.not_by)) < len(self.not_by):
            yield ("approvals", "not_by"), "names one twice"
        if "policy_author" in self.not_by and author is None:
            yield ("approvals", "not_by"), "names policy_author, but metadata.author does not say who that is"


class Waivers(Closed):
    """Which rules may be waived, by whom, and for how long at most. A pilot rule never may."""

    rules: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    signed_by: Roles = ("owner",)
    max_duration: Duration = "30d"


class BreakGlass(Closed):
    """How a version may go to a target without approval in an emergency: loudly, for a short while, and reviewed."""

    signed_by: Roles = ("emergency",)
    """Roles in the trust file, one of which must have signed the break-glass statement."""
    max_duration: Duration = "24h"
    """How long it may hold, 7d at most; then consumers refuse the version."""
    review_within: Duration = "3d"
    """By when somebody must have reviewed it; until then every status and report shows it."""
    reviewed_by: Roles = REVIEWERS
    """Roles in the trust file, one of which must have signed the review."""

    def misfits(self) -> Iterator[Misfit]:
        """Yield what makes no sense."""
        if in_hours(self.max_duration) > in_hours(LONGEST_EMERGENCY):
            at = ("break_glass", "max_duration")
            yield at, f"emergencies are short: {LONGEST_EMERGENCY} at most, not {self.max_duration}"


class Rollback(Closed):
    """Who may go back to a version that was approved for the same target before."""

    signed_by: Roles = ("owner", "reviewer")
    """Roles in the trust file, one of which must have signed the rollback."""


def in_hours(duration: str) -> int:
    """Return a duration in hours.

    >>> in_hours("2d"), in_hours("1w")
    (48, 168)
    """
    return int(duration[:-1]) * HOURS[duration[-1]]

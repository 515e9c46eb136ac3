"""What a promotion is about, read from the registry and the ledger: everything that a verdict depends on.

It is read twice: before the files are hashed, which takes time, and again under the lock; a verdict only counts where
both readings are the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.lookups import evidence_digests
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.audit.placements import Placement
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.evidence.presented import KINDS_OF_ACTS, KINDS_OF_EVIDENCE, Presented, present
from mlflow_rank.policy.case import Candidate, Case, Champion, NoChampion, Request, UnknownChampion
from mlflow_rank.registry.files.version_bytes import Source, files_digest, state_of
from mlflow_rank.registry.gate.basis import BREAK_GLASS
from mlflow_rank.registry.gate.moves import targets_of
from mlflow_rank.registry.gate.open_requests import OpenRequest, requests_of
from mlflow_rank.registry.gate.version_numbers import row_number

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from mlflow_rank.evidence.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the target now: the version, and the digest of its files, or where they are if the ledger has none."""

    version: str
    files: str | None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Hashed:
    """The digest of the candidate's files, and that of the champion's, where there is one that is known."""

    candidate: str
    champion: str | None

    def still_of(self, asked: Question, again: Question) -> Hashed | None:
        """Return the digests for a question that was read again; None where files must be hashed anew for it.

        Files whose state cannot be read, before or again, may have changed.
        """
        if again.state is None or (again.source, again.state) != (asked.source, asked.state):
            return None
        if again.holder == asked.holder:
            return self
        if again.holder is None or again.holder.files is not None:
            return Hashed(self.candidate, None if again.holder is None else again.holder.files)
        return None


@dataclass(frozen=True, slots=True)
class Question:
    """Which version is to go where, what its files are, what was submitted for it, and who holds the target now.

    `evidence` and `champions` are the digests of statements, `state` is that of the files, wherever they lie: two
    questions that are equal have the same answer. `flagged` are other versions that something speaks against at this
    target, each with what was submitted for it: who registers the same files anew does not get rid of that.
    """

    workspace: str
    model: str
    version: str
    target: str
    source: Source
    state: str | None
    evidence: tuple[str, ...]
    holder: Holder | None
    champions: tuple[str, ...]
    request: OpenRequest | None = None
    flagged: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def read(cls, session: Session, workspace: str, model: str, version: str, target: str) -> Question:
        """Read it; a version that does not exist is MLflow's error, not ours.

        Raises:
            MlflowException: there is no such version.
        """
        source = source_of(session, workspace, model, version)
        holder = _holder(session, workspace, model, target)
        return cls(
            workspace,
            model,
            version,
            target,
            source,
            state_of(source),
            _kept(session, workspace, model, version),
            holder,
            () if holder is None else _kept(session, workspace, model, holder.version),
            next(iter(requests_of(session, workspace, model, version, target)), None),
            _flagged(session, workspace, model, version, target),
        )

    def hashed(self, client: MlflowClient) -> Hashed:
        """Hash the files now, which may take long; so no connection to the database is held meanwhile.

        A champion from before the gate is hashed as well; one whose files are gone is not known.

        Raises:
            EvidenceError: the candidate's files are none, are not the version's own, or cannot be hashed.
        """
        from mlflow.exceptions import MlflowException

        candidate, champion = files_digest(self.source, client), None
        if self.holder is not None:
            champion = self.holder.files
            if self.holder.source is not None:
                with suppress(MlflowRankError, MlflowException):
                    champion = files_digest(self.holder.source, client)
        return Hashed(candidate, champion)

    def case(self, session: Session, trust: TrustStore, files: Hashed, actor: str | None) -> Case:
        """Return the case, of files that were hashed just now.

        Who has opened a request is the requester; without one, the authenticated `actor` who asks now.
        """
        requester = actor if self.request is None or self.request.requester is None else self.request.requester
        found = presented_of(session, self.workspace, self.model, self.version, trust)
        for version, _ in self.flagged:
            others = presented_of(session, self.workspace, self.model, version, trust)
            found += [each for each in others if files.candidate in each.subjects]
        champion: Champion | NoChampion | UnknownChampion = NoChampion()
        if self.holder is not None:
            champion = self._champion(session, self.holder, trust, files.champion)
        return Case(
            Request(self.model, self.version, self.target, Candidate(files.candidate, checked=True), requester),
            tuple(each for each in found if each.kind in KINDS_OF_EVIDENCE),
            champion,
            tuple(each for each in found if each.kind == "approval"),
            tuple(each for each in found if each.kind == "waiver"),
        )

    def _champion(
        self, session: Session, holder: Holder, trust: TrustStore, digest: str | None
    ) -> Champion | UnknownChampion:
        if digest is None:
            return UnknownChampion()
        theirs = presented_of(session, self.workspace, self.model, holder.version, trust)
        return Champion(digest, holder.version, tuple(each for each in theirs if each.kind in KINDS_OF_EVIDENCE))


def source_of(session: Session, workspace: str, model: str, version: str) -> Source:
    """Return where a version's files are.

    Raises:
        MlflowException: there is no such version.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    about = {"of_workspace": workspace, "of_name": model, "of_version": row_number(model, version)}
    row = session.execute(_asked_for_source(), about).one_or_none()
    if row is None:
        raise MlflowException(f"Model Version (name={model}, version={version}) not found", RESOURCE_DOES_NOT_EXIST)
    source, location, run_id = row
    return Source(source or "", location or source or "", run_id or None)


@cache
def _asked_for_source() -> Select[Any]:
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from sqlalchemy import bindparam, select

    return select(SqlModelVersion.source, SqlModelVersion.storage_location, SqlModelVersion.run_id).where(
        SqlModelVersion.workspace == bindparam("of_workspace"),
        SqlModelVersion.name == bindparam("of_name"),
        SqlModelVersion.version == bindparam("of_version"),
        SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL,
    )


def _holder(session: Session, workspace: str, model: str, target: str) -> Holder | None:
    """Return who holds a target by the ledger; by the registry only where the ledger has never heard of it.

    An alias that somebody deleted or moved behind the gate's back leads to no first promotion and no weak champion. Nor
    does an emergency: what counts is who was there before it.
    """
    kept = ledger.placement(session.connection(), workspace, model, target)
    while kept is not None and (kept.decision or "").startswith(BREAK_GLASS):
        broke = ledger.find(session.connection(), "break_glass", str(kept.decision))
        if broke is None or broke.is_erased:
            break  # nobody knows any more
        said = broke.content.get("instead_of")
        if not isinstance(said, dict):
            return None  # nobody was
        before = Placement(**said)
        if before.number >= kept.number:
            break  # two emergencies of one id, which somebody has searched for: no way leads back
        kept = before
    if kept is not None and kept.files is not None:
        return Holder(kept.version, kept.files)
    if kept is not None:
        return _unhashed(session, workspace, model, kept.version)
    there = targets_of(session, workspace, [model], stages=target.startswith("stage:"))
    exact = there.get((model, target))
    if exact is None:
        exact = next((version for (_, each), version in there.items() if each.casefold() == target.casefold()), None)
    return None if exact is None else _unhashed(session, workspace, model, exact)


def _unhashed(session: Session, workspace: str, model: str, version: str) -> Holder:
    from mlflow.exceptions import MlflowException

    source = None
    with suppress(MlflowException):
        source = source_of(session, workspace, model, version)
    return Holder(version, None, source)


def _flagged(
    session: Session, workspace: str, model: str, version: str, target: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    flags = open_matters(session.connection(), workspace=workspace, model=model, target=target, kind="flag")
    others = sorted({each.version for each in flags} - {version})
    return tuple((each, _kept(session, workspace, model, each)) for each in others)


def _kept(session: Session, workspace: str, model: str, version: str) -> tuple[str, ...]:
    return evidence_digests(session.connection(), workspace, model, version)


def presented_of(session: Session, workspace: str, model: str, version: str, trust: TrustStore) -> list[Presented]:
    """Return what was taken about a version, with its signatures judged as of when it came.

    Acts are left out: they are done, and decide nothing.
    """
    return [
        present(each.envelope, trust=trust, named=each.kind, received_at=datetime.fromisoformat(each.received_at))
        for each in ledger.evidence_of(session.connection(), workspace, model, version)
        if each.kind not in KINDS_OF_ACTS
    ]

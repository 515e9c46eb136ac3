"""What a person asks of a gate, carried to it: signed, handed in by MLflow's tag call, and looked at afterwards."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.acts import Aim
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import Statement
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable
from mlflow_rank.registry.clients.outlook_client import Outlooks, outlooks_of, user_of
from mlflow_rank.registry.clients.outlook_document import OfVersion, Outlook, Placement
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.addresses import Named
from mlflow_rank.workflow.deciding import asked_target
from mlflow_rank.workflow.evidencing import sealed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

_SAFE = "nothing was changed"
_DENIED = "PERMISSION_DENIED"
_REPLACED = ("Staging", "Production")  # stages whose former holder makes room, as an alias has one version only


@dataclass(frozen=True, slots=True)
class GatedRegistry:
    """A registry behind the gate: MLflow's client of it, and what its gate says."""

    client: MlflowClient
    outlooks: Outlooks

    @classmethod
    def reached(cls, tracking_uri: str | None) -> Self:
        """Return the registry of a server, None for the one that MLflow is set to.

        Raises:
            UsageError: there is no gate before it.
            MeasurementError: it does not answer.
        """
        client = connected_client(tracking_uri, what_is_safe=_SAFE)
        return cls(client, outlooks_of(client))

    @property
    def user(self) -> str | None:
        """As whom it is asked; None where nobody is named."""
        return user_of(self.client)

    def aimed(self, named: Named, target: str) -> Aimed:
        """Look at a version and a target.

        Raises:
            UsageError: there is no such version or target.
            EvidenceError: the gate cannot be asked.
        """
        canonical = asked_target(target)
        with quiet_mlflow():
            return Aimed(self, named, canonical, self.outlooks.of(named.model, named.version, canonical))

    def outlook(self, model: str) -> Outlook:
        """Look at a model; raises as `aimed`."""
        with quiet_mlflow():
            return self.outlooks.of(model)

    def every_outlook(self) -> list[Outlook]:
        """Look at all models of which something is placed or open; raises as `aimed`."""
        with quiet_mlflow():
            return self.outlooks.every()

    def hand_in(self, named: Named, envelope: bytes) -> str | None:
        """Hand an envelope in at a version; return why it was refused, None where it was taken.

        Raises:
            MeasurementError: the server does not answer, or fails.
        """
        from mlflow.exceptions import MlflowException

        try:
            with quiet_mlflow():
                for key, value in parcels(envelope):
                    self.client.set_model_version_tag(named.model, named.version, key, value)
        except MlflowException as error:
            return self._refusal(error)
        return None

    def move(self, named: Named, target: str) -> str | None:
        """Point a target at a version by MLflow's own call; return why it was refused, None where it was done.

        Raises:
            MeasurementError: the server does not answer, or fails.
        """
        from mlflow.exceptions import MlflowException

        sort, _, name = target.partition(":")
        try:
            with quiet_mlflow(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MLflow's advice to leave stages, which registries still have
                if sort == "alias":
                    self.client.set_registered_model_alias(named.model, name, named.version)
                else:
                    self.client.transition_model_version_stage(
                        named.model, named.version, name, archive_existing_versions=name in _REPLACED
                    )
        except MlflowException as error:
            return self._refusal(error)
        return None

    def _refusal(self, error: MlflowException) -> str:
        if error.error_code != _DENIED:
            raise unreachable(str(self.client._registry_uri), error, what_is_safe=_SAFE) from error
        return str(error.message).removeprefix(f"{_DENIED}: ")


@dataclass(frozen=True, slots=True)
class Aimed:
    """A version and a target of a gated registry, and how they stood when they were looked at."""

    registry: GatedRegistry
    named: Named
    target: str
    outlook: Outlook

    @property
    def version(self) -> OfVersion:
        """What the gate says of the version.

        Raises:
            EvidenceError: it says nothing.
        """
        if self.outlook.version is None:
            raise EvidenceError("the gate says nothing of this version", got=str(self.named), expected="what lacks")
        return self.outlook.version

    @property
    def aim(self) -> Aim:
        """What an act about it names.

        Raises:
            EvidenceError: the gate cannot say which files the version has, so nothing about them can be signed.
        """
        files = self.version.files
        if files is None:
            raise EvidenceError(
                "the gate does not say which files this version has", got=str(self.named), expected="their digest"
            )
        # as the registry spells them: some databases find `encoder` by the name of `Encoder`
        return Aim(self.outlook.workspace, self.outlook.model, self.version.number, files, self.target)

    @property
    def is_there(self) -> bool:
        """Whether the target points at the version, on a decision of the policies, where policies are asked."""
        placed = self.outlook.at(self.target)
        if placed is None or placed.version != self.version.number:
            return False
        return self.outlook.answer == "free" or (placed.decision is not None and not placed.by_break_glass)

    def again(self) -> Aimed:
        """Look again."""
        return self.registry.aimed(self.named, self.target)

    def act(self, kind: str, statement: Statement, key: PrivateKey | None) -> Outcome:
        """Hand a statement in, signed where there is a key, and look what became of it.

        Raises:
            MeasurementError: the server does not answer, or fails.
        """
        digest = digest_of_bytes(statement.to_bytes())
        refused = self.registry.hand_in(self.named, sealed(statement, key))
        return Outcome(kind, digest, refused, self, self if refused else self.again())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act: the digest of its statement, why the gate refused it, and how things stood and stand."""

    kind: str
    digest: str
    refused: str | None
    before: Aimed
    after: Aimed

    @property
    def moved(self) -> Placement | None:
        """Where the target points now, if it was moved in the meantime."""
        now = self.after.outlook.at(self.after.target)
        then = self.before.outlook.at(self.before.target)
        return None if now is None or (then is not None and _place(then) == _place(now)) else now

    @property
    def does_not_count(self) -> str | None:
        """Why a statement that was taken changes nothing for the policies; None where it counts, or no policy says."""
        for ruling in self.after.outlook.rulings:
            approvals = ruling.get("approvals")
            aside = approvals.get("set_aside") if isinstance(approvals, dict) else None
            for each in (*(aside or ()), *(ruling.get("waivers_set_aside") or ())):
                if self.digest in (each.get("approval"), each.get("waiver")):
                    return str(each.get("why"))
        return None

    def seen_from(self, before: Aimed) -> Outcome:
        """Return it as seen from an earlier moment: what moved since then."""
        return replace(self, before=before)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        outlook = self.after.outlook
        moved, version = self.moved, outlook.version
        return {
            "kind": self.kind,
            "statement": self.digest,
            "refused": self.refused,
            "does_not_count": self.does_not_count,
            "model": outlook.model,
            "version": self.after.named.version,
            "target": self.after.target,
            "moved": None if moved is None else moved.model_dump(mode="json"),
            "missing": [each.model_dump(mode="json") for each in (version.missing if version else ())],
        }


def _place(placed: Placement) -> tuple[str, str | None, str | None]:
    return placed.version, placed.decision, placed.at

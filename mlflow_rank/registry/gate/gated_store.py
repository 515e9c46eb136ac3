"""MLflow's own registry store with the gate at its doors.

Each method does what MLflow's does; the table in `doors.py` says what the gate does around it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from mlflow import MlflowClient  # noqa: TID253 -- MLflow loads this file, nobody else does
from mlflow.entities.model_registry import ModelVersionTag  # noqa: TID253
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage  # noqa: TID253
from mlflow.exceptions import MlflowException  # noqa: TID253
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY  # noqa: TID253
from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag  # noqa: TID253
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore  # noqa: TID253
from mlflow.store.model_registry.sqlalchemy_workspace_store import (  # noqa: TID253
    WorkspaceAwareSqlAlchemyStore,
)

from mlflow_rank.audit.migrating import prepare
from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.presented import KINDS_OF_ACTS
from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.scope import Standing, standing
from mlflow_rank.registry.files.version_bytes import Source, refuse_foreign
from mlflow_rank.registry.gate.acceptance import Acceptance
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.description import without_gate
from mlflow_rank.registry.gate.doors import undecided_methods
from mlflow_rank.registry.gate.gate import Gate
from mlflow_rank.registry.gate.hands import Hands
from mlflow_rank.registry.gate.joined_sessions import JoinedSessions
from mlflow_rank.registry.gate.notices import Notice
from mlflow_rank.registry.gate.rules_in_force import ReadRules
from mlflow_rank.registry.gate.tag_parcel import PREFIX, Part, joined, unpacked
from mlflow_rank.registry.gate.unreviewed import refuse_unreviewed
from mlflow_rank.registry.gate.version_numbers import number_of
from mlflow_rank.registry.outside.mlflow_webhooks import alias_moved

_SUBMITTED = tuple(PREFIX + kind for kind in ("evidence", "approval", "waiver", *KINDS_OF_ACTS))


class _Gated:
    """What both stores of MLflow, with and without workspaces, gain; the methods stand in the order of the table."""

    base: ClassVar[type[SqlAlchemyStore]]
    ManagedSessionMaker: Any
    engine: Any
    _get_active_workspace: Callable[[], str]

    def __init__(
        self,
        db_uri: str,
        *,
        rules: ReadRules,
        table: Callable[[Decision], str],
        notices: Callable[[Sequence[Notice]], str],
    ) -> None:
        super().__init__(db_uri)  # type: ignore[call-arg]
        undecided = undecided_methods(self.base)
        if undecided:
            raise MlflowException(
                f"The gate does not know these methods of this MLflow's registry: {', '.join(undecided)}. "
                "Install a version of mlflow_rank that does; until then the registry stays shut."
            )
        prepare(self.engine)
        self.ManagedSessionMaker = JoinedSessions(self.ManagedSessionMaker)
        self.gate = Gate(self.ManagedSessionMaker, rules, table, notices, MlflowClient)

    # decided

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """As MLflow's; where policies govern the alias, only if they approve."""

        def carry_out() -> None:
            super(_Gated, self).set_registered_model_alias(name, alias, version)  # type: ignore[misc]

        call = self._call("set_registered_model_alias", name, version, stages=False, alias=alias)
        self.gate.place(call, name, number_of(version), f"alias:{alias}", carry_out)

    def transition_model_version_stage(
        self, name: str, version: str | int, stage: str, archive_existing_versions: bool
    ) -> Any:
        """As MLflow's; where policies govern the stage, only if they approve."""

        def carry_out() -> Any:
            return super(_Gated, self).transition_model_version_stage(  # type: ignore[misc]
                name, version, stage, archive_existing_versions
            )

        call = self._call(
            "transition_model_version_stage", name, version,
            stage=stage, archive_existing_versions=bool(archive_existing_versions),
        )  # fmt: skip
        return self.gate.place(call, name, number_of(version), f"stage:{get_canonical_stage(stage)}", carry_out)

    # watched

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """As MLflow's; refused where the alias is protected and points at a version."""
        call = self._call("delete_registered_model_alias", name, stages=False, alias=alias)
        self.gate.watch(call, lambda: super(_Gated, self).delete_registered_model_alias(name, alias))  # type: ignore[misc]

    def delete_model_version(self, name: str, version: str | int) -> None:
        """As MLflow's; refused for a version that a protected target points at, or that waits for a review."""
        call = self._call("delete_model_version", name, version)
        self._watch_reviewed(call, lambda: super(_Gated, self).delete_model_version(name, version))  # type: ignore[misc]

    def delete_registered_model(self, name: str) -> None:
        """As MLflow's; refused where a protected target of it points at a version, or one waits for a review."""
        call = self._call("delete_registered_model", name)
        self._watch_reviewed(call, lambda: super(_Gated, self).delete_registered_model(name))  # type: ignore[misc]

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """As MLflow's; refused where a target is protected under the old name or the new, or one waits for a review."""
        call = self._call("rename_registered_model", name, also=(new_name,), new_name=new_name)
        rename = super().rename_registered_model  # type: ignore[misc]
        return self._watch_reviewed(call, lambda: rename(name, new_name))

    # vetted

    def create_registered_model(
        self, name: str, tags: Any = None, description: str | None = None, deployment_job_id: Any = None
    ) -> Any:
        """As MLflow's; refused with tags of the gate's."""
        self._refuse_reserved("create_registered_model", name, None, [tag.key for tag in tags or []])
        return super().create_registered_model(name, tags, description, deployment_job_id)  # type: ignore[misc]

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> Any:
        """As MLflow's; refused with tags of the gate's, or with files that are not those of the run or model.

        A copy of a version brings its tags and its description: what is the gate's in them stays behind, and
        evidence is submitted anew. A reference to a run becomes the address that it stands for, which can be sealed.
        """
        kept = self._without_copied(source, tags)
        description = description and without_gate(description)
        self._refuse_reserved("create_model_version", name, None, [tag.key for tag in kept])
        stands = self._standing_of(name)
        if name and not stands.left_alone:
            source = source and _underlying(source)
            if stands.kind != "governed" or any(policy.mode == "enforce" for policy in stands.policies):
                self._refuse_foreign(name, source, run_id, model_id)
        call = self._call("create_model_version", name, source=source, run_id=run_id)

        def carry_out() -> Any:
            return super(_Gated, self).create_model_version(  # type: ignore[misc]
                name, source, run_id, kept, run_link, description, local_model_path, model_id
            )

        return self.gate.note(call, carry_out)

    def set_model_version_tag(self, name: str, version: str | int, tag: Any) -> None:
        """As MLflow's; tags under the reserved prefix are evidence that is handed in, or are refused."""
        key = str(tag.key)
        if not is_reserved(key):
            super().set_model_version_tag(name, version, tag)  # type: ignore[misc]
            return
        call = self._call("set_model_version_tag", name, version, stages=False, key=key)
        part = Part.of(key)
        try:
            if part is not None:
                envelope = self._joined(name, version, part, tag)
                if envelope is None:
                    return
            elif key.startswith(_SUBMITTED):
                envelope = unpacked(str(tag.value))
            else:
                self.gate.refuse(call, f"tags that begin with {PREFIX} are the gate's")
        except EvidenceError as error:
            self.gate.refuse(call, f"{error.what}: {error.got}")
        Acceptance(self.gate, self.hands).take(call, name, number_of(version), envelope)

    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """As MLflow's; refused for tags of the gate's, but for parts of evidence that was never completed."""
        if Part.of(key) is None:
            self._refuse_reserved("delete_model_version_tag", name, version, [key])
        super().delete_model_version_tag(name, version, key)  # type: ignore[misc]

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """As MLflow's; refused for tags of the gate's."""
        self._refuse_reserved("set_registered_model_tag", name, None, [tag.key])
        set_tag = super().set_registered_model_tag  # type: ignore[misc]
        if tag.key != IS_PROMPT_TAG_KEY:
            set_tag(name, tag)
            return
        call = self._call("set_registered_model_tag", name, key=tag.key, value=tag.value)
        self.gate.note(call, lambda: set_tag(name, tag))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """As MLflow's; refused for tags of the gate's."""
        self._refuse_reserved("delete_registered_model_tag", name, None, [key])
        delete_tag = super().delete_registered_model_tag  # type: ignore[misc]
        if key != IS_PROMPT_TAG_KEY:
            delete_tag(name, key)
            return
        self.gate.note(self._call("delete_registered_model_tag", name, key=key), lambda: delete_tag(name, key))

    @property
    def hands(self) -> Hands:
        """MLflow's own methods, for what the gate does by itself."""
        base: Any = super()

        def place(name: str, version: str, target: str) -> None:
            sort, _, where = target.partition(":")
            if sort == "alias":
                base.set_registered_model_alias(name, where, version)
            else:
                base.transition_model_version_stage(name, version, where, True)

        def moved(name: str, version: str, target: str) -> None:
            sort, _, alias = target.partition(":")
            if sort == "alias":
                alias_moved(self, name, alias, version)

        return Hands(
            place,
            lambda name, version, key, value: base.set_model_version_tag(name, version, ModelVersionTag(key, value)),
            base.delete_model_version_tag,
            moved,
        )

    def _watch_reviewed(self, call: Call, carry_out: Callable[[], Any]) -> Any:
        """Carry out what takes a version away, unless its break-glass has to be reviewed first."""

        def unless_unreviewed() -> Any:
            with self.ManagedSessionMaker() as session:  # that of the gate
                refuse_unreviewed(session, call)
            return carry_out()

        return self.gate.watch(call, unless_unreviewed)

    def _call(
        self,
        door: str,
        name: str,
        version: str | int | None = None,
        *,
        also: Iterable[str] = (),
        stages: bool = True,
        **arguments: object,
    ) -> Call:
        number = None if version is None else number_of(version)
        said = {"name": name, "version": number, **arguments}
        return Call.here(door, self._get_active_workspace(), (name, *also), said, version=number, stages=stages)

    def _refuse_reserved(self, door: str, name: str, version: str | int | None, keys: Iterable[str]) -> None:
        reserved = sorted(key for key in map(str, keys) if is_reserved(key))
        if reserved:
            call = self._call(door, name, version, keys=reserved)
            self.gate.refuse(call, f"tags that begin with {PREFIX} are the gate's: {', '.join(reserved)}")

    def _standing_of(self, name: str) -> Standing:
        return standing([policy for _, policy in self.gate.rules().policies], name or "", "alias:champion")

    def _refuse_foreign(self, name: str, source: str, run_id: str | None, model_id: str | None) -> None:
        if not name or not source or _is_prompt_source(source):
            return  # without a name or a source MLflow refuses by itself
        try:
            of = f"models:/{model_id}" if model_id else source
            refuse_foreign(Source(of, _location(source), run_id), self.gate.client())
        except EvidenceError as error:
            call = self._call("create_model_version", name, source=source, run_id=run_id)
            self.gate.refuse(call, f"{error.what}: {error.got}; {error.expected} is expected")

    def _without_copied(self, source: str, tags: Any) -> list[Any]:
        """Return tags without those of the gate that a copied version has just so."""
        given = list(tags or [])
        if not any(is_reserved(str(tag.key)) for tag in given) or not source.startswith("models:/"):
            return given
        from mlflow.store.artifact.utils.models import _parse_model_uri

        parsed = _parse_model_uri(source)
        theirs: Mapping[str, str] = {}
        if parsed.name is not None and parsed.version is not None:
            theirs = self.get_model_version(parsed.name, parsed.version).tags  # type: ignore[attr-defined]
        return [tag for tag in given if not (is_reserved(str(tag.key)) and theirs.get(tag.key) == tag.value)]

    def _joined(self, name: str, version: str | int, part: Part, tag: Any) -> bytes | None:
        """Keep a part of evidence, and return the whole where this was the last that was missing."""
        super().set_model_version_tag(name, version, tag)  # type: ignore[misc]
        prefix = part.key[: -len("001of001")]
        workspace, number = self._get_active_workspace(), int(version)
        with self.ManagedSessionMaker(read_only=True) as session:
            rows = (
                session.query(SqlModelVersionTag.key, SqlModelVersionTag.value)
                .filter(
                    SqlModelVersionTag.workspace == workspace,
                    SqlModelVersionTag.name == name,
                    SqlModelVersionTag.version == number,
                    SqlModelVersionTag.key.startswith(prefix, autoescape=True),
                )
                .all()
            )
        found = {each.number: value for key, value in rows if (each := Part.of(key)) and each.count == part.count}
        if len(found) < part.count:
            return None
        for key, _ in rows:
            super().delete_model_version_tag(name, version, key)  # type: ignore[misc]
        return joined(part, found)


class GatedStore(_Gated, SqlAlchemyStore):  # type: ignore[misc]
    """MLflow's registry store behind the gate."""

    base = SqlAlchemyStore


class GatedWorkspaceStore(_Gated, WorkspaceAwareSqlAlchemyStore):  # type: ignore[misc]
    """MLflow's registry store with workspaces behind the gate."""

    base = WorkspaceAwareSqlAlchemyStore


def is_reserved(key: str) -> bool:
    """Say whether a tag's key begins with the gate's prefix, however it is spelled.

    >>> is_reserved("Rank.evidence"), is_reserved("ranking")
    (True, False)
    """
    return unicodedata.normalize("NFKC", key).strip().casefold().startswith(PREFIX)


def _is_prompt_source(source: str) -> bool:
    from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS

    return source in _PROMPT_SOURCE_PLACEHOLDERS


def _underlying(source: str) -> str:
    """Return the address of files that `runs:/RUN/PATH` refers to; any other source as it is."""
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    return str(RunsArtifactRepository.get_underlying_uri(source)) if source.startswith("runs:/") else source


def _location(source: str) -> str:
    """Return where the files of a source lie, as MLflow's store will write it down."""
    from mlflow.store.artifact.utils.models import _parse_model_uri

    if not source.startswith("models:/"):
        return source
    parsed = _parse_model_uri(source)
    client = MlflowClient()
    if parsed.model_id is not None:
        return str(client.get_logged_model(parsed.model_id).artifact_location)
    return str(client.get_model_version_download_uri(parsed.name, parsed.version))

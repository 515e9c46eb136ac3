"""Loading a registered model only after its bytes and the decision behind it have been verified, and without pickles.

The files are fetched once, into a directory that nobody else writes to; what was hashed there is what is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import EvidenceError, MlflowRankError, UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.targets import canonical_target
from mlflow_rank.registry.clients.claimed_approval import Claim, Emergency, check_basis
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, speaking_to
from mlflow_rank.registry.clients.decision_records import Records, records_at
from mlflow_rank.registry.clients.served_form import check_form
from mlflow_rank.registry.gate.records import GATED, Placed

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ADDRESS = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<word>[^/@]+))")
_STAGES = ("Staging", "Production", "Archived")
_NO_PICKLES = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"


class BreakGlassWarning(UserWarning):
    """A model was loaded that nobody approved: it was placed in an emergency, which somebody has to review."""


@dataclass(frozen=True, slots=True)
class Address:
    """`models:/NAME@ALIAS`, `models:/NAME/STAGE` or `models:/NAME/VERSION`: a target or a version, never both."""

    name: str
    target: str | None
    version: str | None

    @classmethod
    def of(cls, text: str) -> Address:
        """Read an address.

        Raises:
            UsageError: it names no registered version.
        """
        found = _ADDRESS.fullmatch(text)
        try:
            if found and found["alias"]:
                return cls(found["name"], canonical_target(f"alias:{found['alias']}"), None)
            if found and found["word"].isdecimal():
                return cls(found["name"], None, str(int(found["word"])))
            if found and found["word"].capitalize() in _STAGES:
                return cls(found["name"], canonical_target(f"stage:{found['word']}"), None)
        except ValueError as error:
            raise UsageError("this names no alias that a policy protects", got=text, expected=str(error)) from error
        raise UsageError(
            "this names no registered version",
            got=text,
            expected="models:/NAME@ALIAS, models:/NAME/STAGE or models:/NAME/VERSION",
        )


def load_verified(address: str, trust: TrustStore, *, tracking_uri: str | None = None) -> Any:
    """Return the model as MLflow's pyfunc loads it, or nothing at all.

    Args:
        address: see `Address`.
        trust: whose keys are believed; the decision must be signed by one with the role `gate`.
        tracking_uri: of the server, or of the database, with or without `rank+`; None for MLflow's own choice.

    Raises:
        UsageError: the address names nothing.
        EvidenceError: something does not hold: the placement, the decision, its signature, the files, or their form.
        MeasurementError: the registry cannot be reached.

    Warns:
        BreakGlassWarning: nobody approved it; it was placed in an emergency that is not over yet.
    """
    named = Address.of(address)
    client, registry = _client(tracking_uri)
    records = records_at(registry)
    version = named.version or _version_at(client, named, address)
    placed = placement_of(records, named, version)
    envelope = _envelope(records, placed, address)
    directory = Path(tempfile.mkdtemp(prefix="mlflow_rank-"))
    try:
        files = _fetch(client, named.name, version, directory)
        claim = Claim(named.name, version, placed.target, file_manifest(files).digest)
        emergency = check_basis(envelope, trust, claim, datetime.now(UTC))
        check_form(files)
        model = _loaded(files)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    if emergency is not None:
        warnings.warn(_loudly(address, version, emergency), BreakGlassWarning, stacklevel=2)
    weakref.finalize(model, shutil.rmtree, directory, ignore_errors=True)  # it may read its files as long as it lives
    return model


def _loudly(address: str, version: str, emergency: Emergency) -> str:
    return (
        f"BREAK-GLASS: {address} is version {version}, which NO POLICY APPROVED; {emergency.by} placed it "
        f"({emergency.ticket}: {emergency.reason}), and it may be loaded until {moment(emergency.expires_at)}"
    )


def placement_of(records: Records, named: Address, version: str) -> Placed:
    """Return where the ledger has a version placed, with a decision.

    Raises:
        EvidenceError: the ledger knows nothing of it, has another version there, or there was no decision.
    """
    found = records.placements(named.name)
    if named.target is None:
        at = [each for each in found if each.version == version and each.decision is not None]
        if not at:
            raise EvidenceError(
                "no decision placed this version anywhere",
                got=f"version {version} of {named.name}",
                expected=_listed(found),
                remedy="load an alias that a policy protects, such as models:/NAME@champion",
            )
        return at[0]
    here = next((each for each in found if each.target == named.target), None)
    if here is None or here.version != version:
        raise EvidenceError(
            f"the registry and the ledger disagree about {named.target} of {named.name}",
            got=f"version {version} in the registry",
            expected="nothing there, says the ledger" if here is None else f"version {here.version}, says the ledger",
            remedy="somebody went past the gate: see `mlflow-rank audit reconcile`",
        )
    if here.decision is None:
        raise EvidenceError(
            f"no decision stands behind {named.target} of {named.name}",
            got=f"version {version}, which was placed without one",
            expected="a version that policies approved",
            remedy="write a policy that names this target, and promote the version again",
        )
    return here


def _client(tracking_uri: str | None) -> tuple[MlflowClient, str]:
    """Return a client that reads the plain registry (reading needs no gate), and the registry's URI."""
    import mlflow
    from mlflow import MlflowClient

    tracking = (tracking_uri or mlflow.get_tracking_uri()).removeprefix(GATED)
    registry = str(tracking_uri or mlflow.get_registry_uri()).removeprefix(GATED)
    connected_client(tracking, what_is_safe="nothing was loaded")
    return MlflowClient(tracking_uri=tracking, registry_uri=registry), registry


def _version_at(client: MlflowClient, named: Address, address: str) -> str:
    from mlflow.exceptions import MlflowException

    sort, _, name = str(named.target).partition(":")
    try:
        if sort == "alias":
            return str(client.get_model_version_by_alias(named.name, name).version)
        quoted = named.name.replace("'", "\\'")
        found = client.search_model_versions(f"name = '{quoted}'")
    except MlflowException as error:
        got = str(error.message).partition("\n")[0][:300]
        raise UsageError("the registry has nothing at this address", got=got, expected=address) from error
    numbers = [int(each.version) for each in found if each.current_stage == name]
    if not numbers:
        raise UsageError("no version is in this stage", got=address, expected=f"a version in {name}")
    return str(max(numbers))


def _envelope(records: Records, placed: Placed, address: str) -> bytes:
    envelope = records.envelope(str(placed.decision))
    if envelope is None:
        raise EvidenceError(
            "the decision behind this version is not in the record",
            got=f"{address}, decision {placed.decision}",
            expected="its signed envelope",
            remedy="look for it with `mlflow-rank audit history`; a body that was erased cannot be verified",
        )
    return envelope


def _fetch(client: MlflowClient, name: str, version: str, into: Path) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        address = client.get_model_version_download_uri(name, version)
        with speaking_to(client.tracking_uri), quiet_mlflow():
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        raise EvidenceError(
            f"the files of version {version} of {name} cannot be fetched",
            got=str(error).partition("\n")[0][:300],
            expected="a directory with the model's files",
        ) from error


def _loaded(files: Path) -> Any:
    import mlflow

    with _without_pickles():
        try:
            return mlflow.pyfunc.load_model(str(files))
        except MlflowRankError:
            raise
        except Exception as error:
            raise EvidenceError(
                "the files are those that were approved, but they cannot be loaded here",
                got=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}",
                expected="the packages that the model names, and no pickles",
                remedy=f"compare {files.name}/requirements.txt with what is installed",
            ) from error


@contextmanager
def _without_pickles() -> Iterator[None]:
    before = os.environ.get(_NO_PICKLES)
    os.environ[_NO_PICKLES] = "false"
    try:
        yield
    finally:
        os.environ.pop(_NO_PICKLES)
        if before is not None:
            os.environ[_NO_PICKLES] = before


def _listed(found: list[Placed]) -> str:
    named = [f"version {each.version} at {each.target}" for each in found if each.decision is not None]
    return f"one of: {', '.join(named)}" if named else "a version that policies approved; the ledger has none"

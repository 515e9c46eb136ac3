"""The gate as MLflow builds it: the store of a `rank+…` address, with the rules that the environment names."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import MlflowRankError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.evidence.keys import PrivateKey, read_private_key
from mlflow_rank.evidence.trust import read_trust
from mlflow_rank.reports.decision_markdown import decision_in_description
from mlflow_rank.reports.notice_markdown import notices_in_description
from mlflow_rank.workflow.policies import NOBODY, TRUST_FILE, policy_files, read_document, read_policies

if TYPE_CHECKING:
    from mlflow_rank.policy.load import Policy
    from mlflow_rank.registry.gate.rules_in_force import RulesInForce

PREFIX = "rank+"
Seen = tuple[tuple[str, bytes | str | None], ...]  # a path, and its bytes or why they cannot be read
POLICIES, TRUST, GATE_KEY = "MLFLOW_RANK_POLICIES", "MLFLOW_RANK_TRUST", "MLFLOW_RANK_GATE_KEY"
PASSPHRASE = "MLFLOW_RANK_GATE_KEY_PASSPHRASE"  # the name of the variable  # noqa: S105


def build_store(store_uri: str, tracking_uri: str | None = None) -> Any:
    """Return MLflow's registry store of a database, behind the gate.

    Args:
        store_uri: `rank+` and the address of the database.
        tracking_uri: where runs are; MLflow's own choice where it is None.
    """
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES

    from mlflow_rank.registry.gate.gated_store import GatedStore, GatedWorkspaceStore

    store = GatedWorkspaceStore if MLFLOW_ENABLE_WORKSPACES.get() else GatedStore
    uri, rules = store_uri.removeprefix(PREFIX), RuleBook.of_environment()
    return store(uri, rules=rules, table=decision_in_description, notices=notices_in_description)


class RuleBook:
    """Reads policies, trust and the gate's key anew whenever their bytes have changed.

    Args:
        policies: a directory, or a file; where there is none, no policy covers anything, and the gate is shut.
        trust: whose keys are believed; nobody's where it is None.
        key: signs the gate's decisions; unsigned where it is None.
    """

    def __init__(self, policies: Path | None, trust: Path | None, key: Path | None) -> None:
        self.policies, self.trust, self.key = policies, trust, key
        self._last: tuple[Seen, RulesInForce] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_environment(cls) -> RuleBook:
        """Return the rule book that the environment names; `policies` and `trust.yaml` where they lie here."""
        policies = os.environ.get(POLICIES)
        trust = os.environ.get(TRUST) or (TRUST_FILE if Path(TRUST_FILE).is_file() else None)
        key = os.environ.get(GATE_KEY)
        return cls(
            Path(policies).absolute()
            if policies
            else (Path("policies").absolute() if Path("policies").is_dir() else None),
            Path(trust).absolute() if trust else None,
            Path(key).absolute() if key else None,
        )

    def __call__(self) -> RulesInForce:
        """Return what is in force at this moment."""
        seen = self._bytes()
        with self._lock:
            if self._last is None or self._last[0] != seen:
                self._last = seen, self._read(seen)
            return self._last[1]

    def _bytes(self) -> Seen:
        """Return every byte that the rules are made of, or why it cannot be read."""
        found: list[tuple[str, bytes | str | None]] = []
        for path in self._paths():
            try:
                found.append((str(path), path.read_bytes()))
            except OSError as error:
                found.append((str(path), error.strerror))
        return tuple(found)

    def _paths(self) -> list[Path]:
        paths = [path for path in (self.trust, self.key) if path is not None]
        if self.policies is not None:
            try:
                paths += policy_files(self.policies)
            except MlflowRankError:
                paths.append(self.policies)
        return paths

    def _read(self, seen: Seen) -> RulesInForce:
        from mlflow_rank.registry.gate.rules_in_force import RulesInForce

        problems: list[str] = []
        policies: tuple[tuple[str, Policy], ...] = ()
        trust, key = NOBODY, None
        try:
            if self.policies is not None:
                policies = tuple((each.path.name, each.policy) for each in read_policies([self.policies]))
            if self.trust is not None:
                trust = read_trust(read_document(self.trust), named=str(self.trust))
            if self.key is not None:
                key = _read_key(self.key)
        except MlflowRankError as error:
            problems = [" ".join(str(error).split())]
        public = [each for each in seen if each[0] != str(self.key)]  # no digest of a secret goes into a ledger
        named = None if key is None else key.public.key_id
        return RulesInForce(digest_of(repr((public, named))), policies, trust, key, tuple(problems))


def _read_key(path: Path) -> PrivateKey:
    return read_private_key(path, lambda: (os.environ.get(PASSPHRASE) or "").encode() or None)

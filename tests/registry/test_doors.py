"""The table of doors: whole, and what it says is what the store does."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

from mlflow_rank.registry.gate.doors import DOORS, GUARDED, RULES, undecided_methods
from mlflow_rank.registry.gate.gated_store import GatedStore, GatedWorkspaceStore, is_reserved
from mlflow_rank.workflow.gating import RuleBook


@pytest.mark.parametrize("store", [AbstractStore, SqlAlchemyStore, WorkspaceAwareSqlAlchemyStore])
def test_every_public_method_of_mlflows_store_is_in_the_table(store: type) -> None:
    assert undecided_methods(store) == []


def test_the_table_names_no_method_that_mlflow_does_not_have() -> None:
    assert [name for name in DOORS if not hasattr(SqlAlchemyStore, name)] == []


@pytest.mark.parametrize("store", [GatedStore, GatedWorkspaceStore])
@pytest.mark.parametrize("method", sorted(DOORS))
def test_what_the_table_calls_guarded_is_ours_and_all_else_is_mlflows(store: type, method: str) -> None:
    ours = getattr(store, method) is not getattr(SqlAlchemyStore, method)

    assert ours == (method in GUARDED)


def test_a_method_that_mlflow_gains_is_found_and_keeps_the_store_shut(tmp_path: Path) -> None:
    class Newer(SqlAlchemyStore):  # type: ignore[misc]
        def swap_registered_model_aliases(self) -> None:
            """A door that nobody has thought of."""

    class Gated(GatedStore):
        base = Newer

    assert undecided_methods(Newer) == ["swap_registered_model_aliases"]
    with pytest.raises(MlflowException, match="swap_registered_model_aliases"):
        Gated(f"sqlite:///{tmp_path / 'mlflow.db'}", rules=RuleBook(None, None, None), table=str, notices=str)


def test_every_row_says_why_and_by_a_rule_that_is_explained() -> None:
    assert {door.rule for door in DOORS.values()} == set(RULES)
    assert [door.method for door in DOORS.values() if door.rule != "read" and not door.why] == []


@pytest.mark.parametrize(
    "key", ["rank.evidence", "RANK.x", " rank.x", "\N{FULLWIDTH LATIN SMALL LETTER R}ank.x", "rank\N{ONE DOT LEADER}x"]
)
def test_a_key_that_looks_like_the_gates_is_the_gates(key: str) -> None:
    assert is_reserved(key)


@pytest.mark.parametrize("key", ["rank", "ranking.x", "mlflow_rank.x", "my.rank.x"])
def test_other_keys_are_anybodys(key: str) -> None:
    assert not is_reserved(key)

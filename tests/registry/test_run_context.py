"""What a run says of this package by itself: quickly, whatever lies where the policies should be."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mlflow_rank
from mlflow_rank.registry.runs.run_context import POLICIES, UNREADABLE, VERSION, RankRunContext, policies_digest
from mlflow_rank.workflow.policies import policy_files

SHIPPED = Path(__file__).parents[2] / "policies"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Two policies, one of them deeper, beside what is none."""
    place = tmp_path / "policies"
    (place / "deeper").mkdir(parents=True)
    (place / "a.yaml").write_text("a: 1\n")
    (place / "deeper" / "b.YML").write_text("b: 1\n")
    (place / "trust.yaml").write_text("keys: []\n")
    (place / "notes.txt").write_text("nothing\n")
    return place


def test_a_run_says_the_version_and_nothing_of_policies_where_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RANK_POLICIES", raising=False)

    assert RankRunContext().in_context()
    assert RankRunContext().tags() == {VERSION: mlflow_rank.__version__}


def test_a_run_that_mlflow_starts_carries_the_tags(
    tmp_path: Path, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking.context.registry import resolve_tags

    monkeypatch.setenv("MLFLOW_RANK_POLICIES", str(policies))

    tags = resolve_tags()

    assert tags[VERSION] == mlflow_rank.__version__
    assert tags[POLICIES] == policies_digest(policies)
    assert len(tags[POLICIES]) <= 20
    assert resolve_tags({VERSION: "mine"})[VERSION] == "mine"  # who says it himself is believed


@pytest.mark.parametrize("change", ["a.yaml", "deeper/b.YML"])
def test_another_byte_in_a_policy_is_another_digest(policies: Path, change: str) -> None:
    before = policies_digest(policies)
    (policies / change).write_text("other\n")

    assert policies_digest(policies) not in (before, UNREADABLE)


def test_what_is_no_policy_and_where_they_lie_make_no_difference(policies: Path, tmp_path: Path) -> None:
    before = policies_digest(policies)
    (policies / "trust.yaml").write_text("keys: [another]\n")
    (policies / "notes.txt").unlink()
    policies.rename(tmp_path / "moved")

    assert policies_digest(tmp_path / "moved") == before


def test_a_renamed_an_added_and_a_lost_policy_are_seen(policies: Path) -> None:
    digests = [policies_digest(policies)]
    (policies / "a.yaml").rename(policies / "c.yaml")
    digests.append(policies_digest(policies))
    (policies / "d.yml").write_text("a: 1\n")
    digests.append(policies_digest(policies))
    (policies / "deeper" / "b.YML").unlink()
    digests.append(policies_digest(policies))

    assert len({*digests, UNREADABLE}) == 5


def test_the_same_files_are_looked_at_as_the_gate_reads(policies: Path) -> None:
    """Each file that the gate takes for a policy changes the digest, and no other file does."""
    taken = set(policy_files(policies))

    for file in [path for path in sorted(policies.rglob("*")) if path.is_file()]:
        before = policies_digest(policies)
        file.write_text(file.read_text() + "# more\n")
        assert (policies_digest(policies) != before) is (file in taken)


@pytest.mark.parametrize("what", ["absent", "empty", "pipe", "too large", "too many", "no path", "no text"])
def test_whatever_lies_there_the_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    place = tmp_path / "place"
    if what == "absent":
        pass
    elif what == "no path":
        place = Path("a" * 5000)
    else:
        place.mkdir()
    if what == "pipe":
        os.mkfifo(place / "a.yaml")
    elif what == "too large":
        with (place / "a.yaml").open("wb") as file:
            file.truncate(2**33)
    elif what == "too many":
        for number in range(201):
            (place / f"{number}.yaml").touch()
    elif what == "no text":
        (place / os.fsdecode(b"\xff.yaml")).write_bytes(b"\xff")
    monkeypatch.setenv("MLFLOW_RANK_POLICIES", str(place))

    digest = RankRunContext().tags()[POLICIES]

    assert (digest == UNREADABLE) is (what != "no text")


def test_it_costs_a_run_less_than_5_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RANK_POLICIES", str(SHIPPED))
    took = []
    for _ in range(20):
        begun = time.thread_time()
        RankRunContext().tags()
        took.append(time.thread_time() - begun)

    assert min(took) < 0.005  # s of this thread: others may be busy


def test_mlflow_loads_nothing_more_for_it() -> None:
    code = """
import json, sys
import mlflow.tracking.context.abstract_context
from mlflow.utils.plugins import get_entry_points
(entry,) = [each for each in get_entry_points("mlflow.run_context_provider") if each.name == "mlflow_rank"]
before = set(sys.modules)
entry.load()().tags()
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)

    loaded = set(json.loads(ended.stdout))
    assert loaded <= {"mlflow_rank", "mlflow_rank.registry", "mlflow_rank.registry.runs.run_context"}


def test_it_has_what_mlflow_asks_of_a_context() -> None:
    from mlflow.tracking.context.abstract_context import RunContextProvider

    asked = {name for name, _ in inspect.getmembers(RunContextProvider, inspect.isfunction) if not name.startswith("_")}

    assert asked == {"in_context", "tags"}
    assert all(callable(getattr(RankRunContext, name)) for name in asked)

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.evidence_files import SUFFIX
from mlflow_rank.workflow.evidencing import write_evidence

NAME = f"alarms{SUFFIX}"


def test_a_disk_that_is_full_leaves_the_statement_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evidence({NAME: b"no alarm"}, tmp_path)
    write_bytes = Path.write_bytes

    def torn(path: Path, content: Any) -> int:
        write_bytes(path, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(UsageError, match="cannot be written"):
        write_evidence({NAME: b"an alarm"}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {NAME: b"no alarm"}


def test_a_statement_that_is_written_again_replaces_the_one_before(tmp_path: Path) -> None:
    write_evidence({NAME: b"no alarm"}, tmp_path)
    assert write_evidence({NAME: b"an alarm"}, tmp_path) == [tmp_path / NAME]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {NAME: b"an alarm"}

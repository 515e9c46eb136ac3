"""Whom to believe, written down: one more key in a trust file, which stays readable and correct."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.keys import PublicKey
from mlflow_rank.evidence.trust import read_trust
from mlflow_rank.workflow.policies import read_document

_BEGIN = "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n"


def believe(path: Path, key: PublicKey, *, name: str, is_person: bool, roles: Sequence[str]) -> None:
    """Add a key at the end of a trust file, or begin one with it.

    Raises:
        UsageError: the file cannot be read or written, or with the key it would be no trust file; it is then as before.
    """
    before = read_document(path) if path.exists() else _BEGIN
    if path.exists():
        read_trust(before, named=str(path))  # what is wrong already is not the new key's fault
    entry = (
        f"  - key: {key.text}\n    {'person' if is_person else 'service'}: {json.dumps(name, ensure_ascii=False)}\n"
        f"    roles: [{', '.join(roles)}]\n"
    )
    text = f"{before.rstrip()}\n{entry}"
    read_trust(text, named=f"{path} with this key")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("this trust file cannot be written", got=f"{path}: {error.strerror}") from error

"""Addresses in code: what names the latest version or a number is found, with its line, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.workflow.plain_addresses import plain_addresses


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('load("models:/encoder/latest")', ["models:/encoder/latest"]),
        ("uri: models:/my encoders/7", []),  # a space ends an address
        ("uri: models:/my-encoders/7  # and models:/b/LATEST", ["models:/my-encoders/7", "models:/b/LATEST"]),
        ('f"models:/{name}/latest"', ["models:/{name}/latest"]),
        ("models:/encoder@champion", []),
        ("models:/encoder/Production", []),
        ("models:/m-0123456789", []),
        ("models:/encoder/latest-good", []),
        ("models:/encoder/7.", []),
        ("models:/encoder/7/conf", ["models:/encoder/7"]),
    ],
)
def test_a_line_is_read(tmp_path: Path, line: str, found: list[str]) -> None:
    (tmp_path / "serve.py").write_text(f"\n{line}\n")

    addresses = list(plain_addresses([tmp_path]))

    assert [each.address for each in addresses] == found
    assert {each.line for each in addresses} <= {2}


def test_code_is_looked_through_and_what_others_wrote_is_not(tmp_path: Path) -> None:
    for name in ("a.py", "b/serve.SH", "b/x.ipynb", ".git/c.py", "node_modules/d/e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("models:/encoder/latest\n")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe models:/encoder/3\n")
    os.mkfifo(tmp_path / "never.py")
    (tmp_path / "away.py").symlink_to(tmp_path / "nowhere.py")

    found = [f"{Path(each.file).relative_to(tmp_path)}:{each.latest}" for each in plain_addresses([tmp_path, tmp_path])]

    assert found == ["a.py:True", "bytes.py:False", "b/serve.SH:True", "b/x.ipynb:True"]


def test_what_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to scan"):
        list(plain_addresses([tmp_path / "nowhere"]))

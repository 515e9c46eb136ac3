"""A policy is checked and decided on any machine: nothing heavy is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchaudio",
    "transformers",
    "mlflow",
    "numpy",
    "scipy",
    "sklearn",
    "pyarrow",
    "pandas",
    "matplotlib",
)


@pytest.mark.parametrize("module", ["mlflow_rank.policy", "mlflow_rank.policy.explain", "mlflow_rank.policy.replay"])
def test_no_heavy_package_is_loaded(module):
    code = f"import {module}, sys, json; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)

    assert json.loads(ended.stdout) == []


def test_neither_clock_nor_file_nor_network_is_used():
    import ast
    from pathlib import Path

    import mlflow_rank.policy

    banned = {"open", "input", "print", "now", "utcnow", "today", "time", "read_text", "read_bytes", "write_text"}
    modules = {"os", "pathlib", "time", "random", "socket", "urllib", "subprocess", "requests", "secrets", "uuid"}
    for path in Path(mlflow_rank.policy.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", None))
                assert called not in banned, f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                assert not {name.partition(".")[0] for name in names} & modules, f"{path.name}:{node.lineno}"

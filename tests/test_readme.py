"""The README's commands, run word for word where its files are, and its tables held against the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import loaded_once
import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_HERE = ("make ", ".venv/bin/mlflow ui")  # `make run`'s own command is run in test_project; `mlflow ui` never ends


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.strip().splitlines() if not line.startswith(NOT_HERE)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the README assumes it: a checkpoint, recordings, a manifest, and the project file."""
    from mlflow_rank.speech.torchaudio_backend import import_torchaudio

    import_torchaudio()
    from transformers import HubertConfig, HubertModel

    place = tmp_path_factory.mktemp("readme")
    for name in ("MLproject", "conda.yaml", "policies"):
        (place / name).symlink_to(ROOT / name)
    HubertModel(
        HubertConfig(
            hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
            num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(place / "my_checkpoint")  # fmt: skip
    (place / "recordings").mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for index in range(24):
        samples = rng.normal(size=8000) * 0.1 * np.sin(np.arange(8000) / rng.uniform(2, 40))
        soundfile.write(place / "recordings" / f"{index:02d}.wav", samples, 16_000)
        row = {
            "path": f"recordings/{index:02d}.wav",
            "speaker": f"s{index % 8}",
            "keyword": "yes" if index < 12 else "no",
        }
        lines.append(json.dumps(row) + "\n")
    (place / "dev.jsonl").write_text("".join(lines))
    return place


def run(command: list[str], sandbox: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(
            map(str, (loaded_once.commands(sandbox / "bin"), Path(sys.executable).parent, os.environ["PATH"]))
        ),
        "MLFLOW_RANK_CACHE": str(sandbox / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(command, cwd=sandbox, env=environment, capture_output=True, text=True, timeout=600)


def test_every_command_and_the_code_run_as_written(sandbox):
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        done = run(["bash", "-c", command], sandbox)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (sandbox / "ranks.json").is_file()
    monitored, loaded = blocks("python")
    done = run([str(sandbox / "bin" / "python"), "-c", loaded + "\nprint(sorted(vectors.columns))"], sandbox)
    assert done.returncode == 0, done.stderr
    assert "layer_00" in done.stdout
    done = run([str(sandbox / "bin" / "python"), "-c", monitored], sandbox)
    assert done.returncode == 0, done.stderr
    assert "MONITOR" not in done.stderr
    points = (sandbox / "mlflow_rank_monitor" / "points.jsonl").read_text().splitlines()
    assert json.loads(points[0])["step"] == 0


@pytest.mark.parametrize("verb", ["measure", "pilot", "assess", "decide"])
def test_every_option_is_in_the_table_with_its_default(verb):
    from mlflow_rank.cli import main

    start, end = ("### Options of `decide`", "## Reading") if verb == "decide" else ("## Every option", "## What it")
    table = README[README.index(start) : README.index(end)]
    for parameter in main.commands[verb].params:
        name = next(option for option in parameter.opts if option.startswith("--"))
        row = next((line for line in table.splitlines() if f"`{name}`" in line), None)
        assert row, f"{name} is not in the README's table of options"
        default = None if name == "--control" else parameter.default
        if isinstance(default, str | int | float) and not isinstance(default, bool):
            assert f"`{default}`" in row, f"{name}: the README does not give its default {default}"


def test_every_folder_of_the_package_is_in_the_readme():
    folders = {path.parent.name for path in (ROOT / "mlflow_rank").glob("*/__init__.py")} - {"cli"}
    assert {name for name in folders if f"`{name}/`" not in README} == set()


def test_the_policy_and_the_trust_file_are_read():
    from mlflow_rank.evidence.trust import read_trust
    from mlflow_rank.policy import load_policy

    trust, policy = blocks("yaml")

    assert read_trust(trust, named="trust.yaml").keys[0].signer.name == "ci"
    assert load_policy(policy, named="wake-word.yaml").matches("hubert-base", "stage:Production")


def test_every_kind_of_rule_is_in_the_table():
    from mlflow_rank.policy.checking import CHECKS

    table = README[README.index("| rule | asks |") : README.index("Every rule names its layers")]
    assert set(re.findall(r"`([a-z0-9_]+)`", table)) == set(CHECKS)

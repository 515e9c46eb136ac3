"""The recipe of the starter encoder, run for a few steps on a little of the corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("starter")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("recipe") / "encoder"
    command = [sys.executable, "-m", "recipes.starter_encoder", "--output", str(output), "--minutes", "1"]
    subprocess.run(
        [*command, "--steps", "100", "--steps-second", "2", "--threads", "1"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        timeout=300,
    )
    return output


def test_checkpoints_are_log_spaced_from_step_zero_and_end_with_the_encoder(trained):
    assert sorted(path.name for path in trained.iterdir() if path.is_dir()) == [
        "final",
        "step_000000",
        "step_000100",
        "step_000102",
    ]


def test_a_hundred_steps_already_predict_better_than_guessing_by_frequency(trained):
    notes = [json.loads(line) for line in (trained / "training.jsonl").read_text().splitlines()]
    entropy = next(note["unigram_entropy"] for note in notes if note.get("iteration") == 1)
    after = next(note["loss"] for note in notes if note.get("step") == 100)
    start = 2 * entropy  # masked plus unmasked frames, each no better than by frequency
    assert after < 1.1 * start  # the mean over the first hundred steps, which begin above it


def test_every_checkpoint_loads_fits_the_limit_and_differs(trained):
    from mlflow_rank.encoders.load import load_encoder

    digests = set()
    for name in ("step_000000", "step_000100", "final"):
        encoder = load_encoder(str(trained / name))
        assert [layer.index for layer in encoder.layers] == [0, 1, 2, 3, 4, 5]
        assert (trained / name / "model.safetensors").stat().st_size <= 4_000_000
        digests.add(encoder.digest)
    assert len(digests) == 3

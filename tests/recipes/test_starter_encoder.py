"""The recipe of the starter encoder, run for a few steps on a little of the corpus."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from recipes.starter_encoder import __main__ as recipe
from recipes.starter_encoder.schedule import Schedule


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves, with a quarter of the crops in each step."""
    output = tmp_path_factory.mktemp("recipe") / "encoder"
    words = ["--output", str(output), "--minutes", "1", "--steps", "50", "--steps-second", "2", "--threads", "1"]
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "Schedule", partial(Schedule, batch=2))
        ended = CliRunner().invoke(recipe.main, words, catch_exceptions=False)
    torch.set_num_threads(threads)
    assert ended.exit_code == 0, ended.output
    return output


def test_checkpoints_are_log_spaced_from_step_zero_and_end_with_the_encoder(trained):
    assert sorted(path.name for path in trained.iterdir() if path.is_dir()) == [
        "final",
        "step_000000",
        "step_000025",
        "step_000050",
        "step_000052",
    ]


def test_the_loss_falls(trained):
    notes = [json.loads(line) for line in (trained / "training.jsonl").read_text().splitlines()]
    losses = {note["step"]: note["loss"] for note in notes if "step" in note}
    assert losses[50] < losses[25]


def test_every_checkpoint_loads_fits_the_limit_and_differs(trained):
    from mlflow_rank.encoders.load import load_encoder

    digests = set()
    for name in ("step_000000", "step_000050", "final"):
        encoder = load_encoder(str(trained / name))
        assert [layer.index for layer in encoder.layers] == [0, 1, 2, 3, 4, 5]
        assert (trained / name / "model.safetensors").stat().st_size <= 4_000_000
        digests.add(encoder.digest)
    assert len(digests) == 3

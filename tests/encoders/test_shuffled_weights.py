from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.shuffled_weights import shuffle
from mlflow_rank.encoders.weights import state_tensors
from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.resolve import ResolvedModel
from mlflow_rank.workflow.model_files import directory_of


def layers() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 6, 3)), nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4)
    )


def test_every_tensor_keeps_its_values_and_few_their_places():
    module = layers()
    before = {name: tensor.clone() for name, tensor in state_tensors(module).items()}
    shuffle(module, seed=0)
    after = state_tensors(module)
    assert all(torch.equal(after[name].flatten().sort()[0], before[name].flatten().sort()[0]) for name in before)
    assert not torch.equal(after["2.weight"], before["2.weight"])
    assert not torch.equal(after["0.parametrizations.weight.original1"], before["0.parametrizations.weight.original1"])


def test_the_seed_decides_and_the_callers_random_numbers_are_left_alone():
    first, second, other = layers(), layers(), layers()
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    for module, seed in ((first, 1), (second, 1), (other, 2)):
        shuffle(module, seed)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first[2].weight, second[2].weight)
    assert not torch.equal(first[2].weight, other[2].weight)


def test_a_shuffled_encoder_answers_otherwise_under_another_digest(tiny_hubert: Path):
    sound = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    stored, shuffled, again, other = (
        load_encoder(f"{prefix}{tiny_hubert}", device="cpu", seed=seed)
        for prefix, seed in (("", 0), ("shuffled:", 0), ("shuffled:", 0), ("shuffled:", 1))
    )
    assert len({stored.digest, shuffled.digest, other.digest}) == 3
    assert shuffled.digest == again.digest
    with torch.inference_mode():
        assert not torch.allclose(stored.encode(sound)[-1], shuffled.encode(sound)[-1], atol=1e-3)
    assert (shuffled.describe()["weights"], other.describe()["seed"]) == ("shuffled", 1)


def test_an_exported_encoder_is_checked_before_it_is_shuffled(tiny_hubert: Path, tmp_path: Path):
    export_encoder(load_encoder(str(tiny_hubert), device="cpu"), tmp_path / "exported")
    inner = load_encoder(f"shuffled:{tmp_path / 'exported'}", device="cpu")
    assert inner.digest == load_encoder(f"shuffled:{tiny_hubert}", device="cpu").digest
    shutil.copytree(tmp_path / "exported", tmp_path / "changed")
    record = tmp_path / "changed" / "encoder.json"
    record.write_text(record.read_text().replace("sha256:", "sha256:0", 1))
    with pytest.raises(UsageError):
        load_encoder(f"shuffled:{tmp_path / 'changed'}", device="cpu")


def test_evidence_about_a_shuffled_encoder_is_never_about_the_files_it_was_shuffled_from(tiny_hubert: Path):
    assert directory_of(ResolvedModel("", str(tiny_hubert))) == tiny_hubert
    assert directory_of(ResolvedModel("", f"shuffled:{tiny_hubert}")) is None


def test_what_has_no_weights_cannot_be_shuffled():
    with pytest.raises(UsageError, match="no weights to shuffle"):
        load_encoder("shuffled:log-mel")
    with pytest.raises(UsageError, match="names no encoder"):
        load_encoder("random:shuffled:starter")

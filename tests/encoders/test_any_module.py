from __future__ import annotations

import pytest
import torch

from mlflow_rank.encoders.any_module import match_modules
from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError

SOURCE = """
import torch


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = torch.nn.Linear(width, width)

    def forward(self, x):
        x += self.linear(x)  # in place, over what an earlier block returned
        return (x, None)


class Encoder(torch.nn.Module):
    sampling_rate = 8000

    def __init__(self, transposed=False):
        super().__init__()
        self.convolution = torch.nn.Conv1d(1, 6, 10, 5)
        self.flip = torch.nn.Identity()
        self.blocks = torch.nn.ModuleList([Block(6) for _ in range(11)])
        self.wide = torch.nn.Linear(6, 9)
        self.pooled = torch.nn.Identity()

    def forward(self, waveforms):
        x = self.flip(self.convolution(waveforms[:, None]).transpose(1, 2).relu())
        for block in self.blocks:
            x, _ = block(x)
        return self.pooled(self.wide(x).mean(dim=1))


class Strict(Encoder):
    maximum_samples = 4000

    def forward(self, waveforms):
        if waveforms.shape[1] > 4000:
            raise ValueError("too long")
        return super().forward(waveforms)


class Wrong(Encoder):
    sampling_rate = 0.5


class Shared(Encoder):
    def forward(self, waveforms):
        return self.flip(super().forward(waveforms))


class Fails(Encoder):
    def forward(self, waveforms):
        raise KeyError("lost")


def fails():
    raise ValueError("no weights today")


build = Encoder
NOT_CALLABLE = 3


def number():
    return 3
"""


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch, request):
    """A module of the user's own in the current directory; returns its name, new for each test."""
    import sys

    name = f"models_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def by_hand(model, waveforms):
    """What each block and the last linear layer put out, by plain arithmetic without hooks."""
    outputs = []
    with torch.no_grad():
        x = model.convolution(waveforms[:, None]).transpose(1, 2).relu()
        for block in model.blocks:
            x = x + block.linear(x)
            outputs.append(x)
        return [*outputs, model.wide(x)]


def test_tapped_modules_give_their_own_outputs_even_where_later_code_changes_them_in_place(models, waveforms):
    encoder = load_encoder(f"module:{models}:build", layers="blocks.*,wide", device="cpu")
    expected = by_hand(encoder.anatomy.module, waveforms)
    for ours, theirs in zip(encoder.encode(waveforms), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_layers_keep_the_modules_order_and_their_own_widths(models):
    encoder = load_encoder(f"module:{models}:build", layers="wide,blocks.*", device="cpu")
    assert [layer.name for layer in encoder.layers] == ["wide", *(f"blocks.{number}" for number in range(11))]
    assert [layer.index for layer in encoder.layers] == list(range(1, 13))
    assert [layer.dim for layer in encoder.layers] == [9] + [6] * 11


def test_rate_and_limits_come_from_the_module(models, waveforms):
    encoder = load_encoder(f"module:{models}:Strict", layers="blocks.0", device="cpu")
    assert (encoder.sampling_rate, encoder.minimum_samples, encoder.maximum_samples) == (8000, 10, 4000)
    assert encoder.encode(waveforms[:, :10])[0].shape == (2, 1, 6)


def test_random_weights_follow_the_seed(models):
    def digest(spec, seed=0):
        return load_encoder(f"{spec}module:{models}:build", layers="wide", device="cpu", seed=seed).digest

    assert digest("random:") == digest("random:")
    assert len({digest("random:"), digest("random:", 1), digest("")}) == 3


def test_an_export_loads_again_with_its_layers(models, tmp_path, waveforms):
    encoder = load_encoder(f"random:module:{models}:build", layers="blocks.?,wide", device="cpu", seed=4)
    export_encoder(encoder, tmp_path / "exported")
    again = load_encoder(str(tmp_path / "exported"), device="cpu")
    assert (again.digest, again.layers) == (encoder.digest, encoder.layers)
    assert again.describe()["exported_from"]["seed"] == 4
    assert all(torch.equal(a, b) for a, b in zip(again.encode(waveforms), encoder.encode(waveforms), strict=True))


def test_the_same_factory_gives_the_same_encoder_twice(models):
    digests = {load_encoder(f"module:{models}:build", layers="wide", device="cpu").digest for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("factory", "layers", "said"),
    [
        ("build", None, r"choose among: blocks\.\*"),
        ("build", "all", r"choose among: blocks\.\*"),
        ("build", "block.*", r"no module of the encoder has this name(.|\n)*blocks\.0"),
        ("build", "convolution", r"changes with the length(.|\n)*\(batch, dim, frames\)"),
        ("build", "pooled", r"not \(batch, frames, dim\)"),
        ("Shared", "flip", "2 times in one forward pass"),
        ("build", "blocks", "0 times in one forward pass"),
        ("Fails", "wide", "fails on one second of noise(.|\n)*lost"),
        ("Wrong", "wide", "sampling_rate is no positive whole number"),
        ("fails", "wide", "no weights today"),
        ("number", "wide", "no torch module"),
        ("NOT_CALLABLE", "wide", "no factory"),
        ("absent", "wide", "cannot be imported"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(models, factory, layers, said):
    with pytest.raises(UsageError, match=said):
        load_encoder(f"module:{models}:{factory}", layers=layers, device="cpu")


def test_an_absent_module_is_refused():
    with pytest.raises(UsageError, match="cannot be imported"):
        load_encoder("module:no_such_package.models:build", layers="x", device="cpu")


def test_the_import_path_is_left_as_it_was(models):
    import sys

    before = list(sys.path)
    load_encoder(f"module:{models}:build", layers="wide", device="cpu")
    assert sys.path == before


def test_a_star_stands_for_one_part_of_a_name():
    module = torch.nn.ModuleDict({"a": torch.nn.Sequential(torch.nn.Sequential(torch.nn.ReLU()))})
    assert match_modules("*", module) == ("a",)
    assert match_modules("a.*", module) == ("a.0",)
    assert match_modules("a.*.*,*", module) == ("a.0.0", "a")

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlflow_rank.encoders.random_weights import redraw
from mlflow_rank.encoders.weights import state_tensors
from mlflow_rank.errors import UsageError


def trained(module: nn.Module) -> nn.Module:
    """Set every weight and buffer to something that no initialisation gives."""
    for tensor in state_tensors(module).values():
        if tensor.is_floating_point():
            tensor.fill_(7.0)
    return module


def everything() -> nn.Module:
    return nn.ModuleList(
        [
            nn.Conv1d(2, 3, 3),
            nn.BatchNorm1d(3),
            nn.LayerNorm(3),
            nn.GRU(3, 4),
            nn.Embedding(5, 3),
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
            nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3), dim=2),
        ]
    )


def test_no_trained_weight_is_left_and_the_seed_decides():
    drawn = [trained(everything()) for _ in range(3)]
    for module, seed in zip(drawn, (0, 0, 1), strict=True):
        redraw(module, seed)
    first, second, other = map(state_tensors, drawn)
    assert not any((tensor == 7).any() for tensor in first.values())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    assert not torch.equal(first["6.parametrizations.weight.original1"], other["6.parametrizations.weight.original1"])


def test_a_redrawn_weight_normed_convolution_has_the_spread_of_a_fresh_one():
    normed = trained(nn.utils.parametrizations.weight_norm(nn.Conv1d(64, 64, 8), dim=2))
    redraw(normed, 0)
    fresh = nn.Conv1d(64, 64, 8).weight.detach().std()
    assert float(normed.weight.detach().std() / fresh) == pytest.approx(1, abs=0.05)
    assert nn.utils.parametrize.is_parametrized(normed, "weight")
    assert normed.bias.abs().max() < 1


def test_the_callers_random_numbers_are_left_alone():
    module = nn.Linear(3, 3)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    redraw(module, 0)
    assert torch.equal(torch.rand(2), expected)


class OwnParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(2))


def test_a_weight_that_nothing_redraws_is_refused_by_name():
    with pytest.raises(UsageError, match="OwnParameter, which owns scale"):
        redraw(nn.Sequential(OwnParameter()), 0)


def test_the_old_weight_norm_is_refused_since_its_reset_has_no_effect():
    with pytest.warns(FutureWarning, match="weight_norm"):
        module = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(UsageError, match="weight_g"):
        redraw(module, 0)


def test_a_parametrisation_that_cannot_be_turned_round_is_refused():
    class Squared(nn.Module):
        def forward(self, weight):
            return weight**2

    module = nn.Linear(2, 2)
    nn.utils.parametrize.register_parametrization(module, "weight", Squared())
    with pytest.raises(UsageError, match="Squared"):
        redraw(module, 0)

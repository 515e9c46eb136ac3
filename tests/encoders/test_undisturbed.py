"""Training with and without a listener is bit by bit the same, whatever the listener's forward pass would do."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mlflow_rank.encoders.undisturbed import undisturbed


def sow(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- SpecAugment draws from it
    torch.manual_seed(seed)


def hubert(tiny: dict[str, Any]) -> torch.nn.Module:
    from transformers import HubertConfig, HubertModel

    dropouts = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.3)
    masks = {"mask_time_prob": 0.5, "mask_time_length": 2, "mask_feature_prob": 0.3, "mask_feature_length": 2}
    sow(3)
    model = HubertModel(HubertConfig(**tiny, **dropouts, **masks, apply_spec_augment=True))
    return torch.nn.ModuleDict({"encoder": model, "norm": torch.nn.BatchNorm1d(16)})


def hear(model: Any, waveforms: torch.Tensor) -> torch.Tensor:
    frames = model["encoder"](waveforms).last_hidden_state
    return model["norm"](frames.transpose(1, 2))


def trained(tiny: dict[str, Any], listen: Callable[[torch.nn.Module, int], None]) -> dict[str, torch.Tensor]:
    """Train four steps, calling `listen` before, within and after each; return all that training left."""
    model = hubert(tiny).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sow(5)
    noise = torch.randn(8, 400)
    order = torch.utils.data.RandomSampler(range(8), replacement=True)
    batches = torch.utils.data.DataLoader(noise, batch_size=2, sampler=order)
    losses = []
    for step, batch in enumerate(batches):
        listen(model, step)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=step % 2 == 1):
            loss = hear(model, batch).square().mean() + 0.1 * torch.rand(()) * np.random.rand() * random.random()  # noqa: NPY002
            listen(model, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        listen(model, step)
        optimiser.step()
        losses.append(loss.detach())
    momentum = {f"momentum {n}": each["momentum_buffer"] for n, each in enumerate(optimiser.state.values())}
    return {**model.state_dict(), **momentum, "losses": torch.stack(losses), "next": torch.rand(3)}


def nobody(model: torch.nn.Module, step: int) -> None:
    """Listen to nothing."""


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def test_training_is_bitwise_the_same_with_a_listener(tiny: dict[str, Any]) -> None:
    heard = []

    def listen(model: torch.nn.Module, step: int) -> None:
        with undisturbed(model):
            heard.append(hear(model, torch.ones(1, 600)))

    assert differing(trained(tiny, nobody), trained(tiny, listen)) == []
    assert len(heard) == 12
    assert not any(each.requires_grad or each.is_inference() for each in heard)


def test_training_is_bitwise_the_same_with_a_listener_that_fails(tiny: dict[str, Any]) -> None:
    def fail(model: torch.nn.Module) -> None:
        hear(model, torch.ones(1, 600))
        raise ValueError(random.random(), np.random.rand(), torch.rand(()))  # noqa: NPY002

    def listen(model: torch.nn.Module, step: int) -> None:
        with pytest.raises(ValueError, match=r"0\.\d+"), undisturbed(model):
            fail(model)

    assert differing(trained(tiny, nobody), trained(tiny, listen)) == []


def test_a_plain_forward_pass_would_change_training(tiny: dict[str, Any]) -> None:
    def listen(model: torch.nn.Module, step: int) -> None:
        with torch.no_grad():
            hear(model, torch.ones(1, 600))

    assert {"losses", "norm.running_mean", "next"} <= set(differing(trained(tiny, nobody), trained(tiny, listen)))


class Meddler(torch.nn.Module):
    """A module that changes all it can in its forward pass, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.frozen = torch.nn.Dropout(0.5).eval()
        self.register_buffer("heard", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))
        self.register_buffer("unknown", torch.full((1,), torch.nan))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.heard += 1
        self.replaced = self.replaced + 1
        self.frozen.register_buffer("made", torch.ones(1))
        self.train()
        self.linear.weight.grad = torch.ones(3, 3)
        self.linear.bias.requires_grad_(requires_grad=False)
        return self.linear(rows)


def test_what_a_module_changes_in_its_forward_pass_is_as_before() -> None:
    model = Meddler()
    model.linear(torch.ones(1, 3)).sum().backward()
    before, gradient, replaced = copy.deepcopy(model), model.linear.weight.grad, model.replaced
    with undisturbed(model):
        assert not any(part.training for part in model.modules())
        model(torch.ones(1, 3))
        assert model.heard == 1
    assert [part.training for part in model.modules()] == [part.training for part in before.modules()] == [1, 1, 0]
    assert dict(model.named_buffers()).keys() == {"heard", "replaced", "unknown"}
    assert (model.heard, model.replaced) == (0, 0)
    assert model.replaced is replaced
    assert model.linear.weight.grad is gradient
    assert torch.equal(gradient, torch.ones(3, 3))
    assert model.linear.bias.requires_grad


def test_inside_there_is_no_gradient_no_autocast_no_chance_and_full_precision() -> None:
    model, draws = torch.nn.Linear(4, 4), []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            with undisturbed(model):
                frames = model(torch.ones(1, 4))
                draws.append((random.random(), np.random.rand(), torch.rand(()).item()))  # noqa: NPY002
                assert torch.backends.cudnn.deterministic
                assert not torch.backends.cudnn.benchmark
        assert model(torch.ones(1, 4)).dtype == torch.bfloat16
    assert frames.dtype == torch.float32
    assert draws[0] == draws[1]


def test_a_cached_tensor_still_serves_training() -> None:
    class Caching(torch.nn.Linear):
        cached: torch.Tensor | None = None

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            self.cached = torch.arange(4.0) if self.cached is None else self.cached
            return super().forward(rows * self.cached)

    model = Caching(4, 4)
    with torch.inference_mode(), undisturbed(model):
        model(torch.ones(1, 4))
    model(torch.ones(1, 4)).sum().backward()
    assert model.weight.grad is not None


def settings() -> tuple[object, ...]:
    chosen = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    precisions: tuple[object, ...] = (torch.get_float32_matmul_precision(), cudnn.allow_tf32)
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        precisions += (torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision)
    return *chosen, cudnn.benchmark, cudnn.deterministic, *precisions, torch.is_grad_enabled()


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_flags_are_as_before(precision: str) -> None:
    def choose(*, warn_only: bool, benchmark: bool, precision: str) -> None:
        torch.use_deterministic_algorithms(warn_only, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(precision)

    choose(warn_only=True, benchmark=True, precision=precision)
    try:
        before = settings()
        with undisturbed(torch.nn.Linear(1, 1)):
            torch.use_deterministic_algorithms(mode=False)
        assert settings() == before
    finally:
        choose(warn_only=False, benchmark=False, precision="highest")


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout = torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.linear(rows))


def test_a_compiled_model_is_heard_uncompiled_and_stays_compiled() -> None:
    calls = []

    def backend(graph: torch.fx.GraphModule, _example: object) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            calls.append("compiled")
            return graph(*arguments)

        return run

    model = Small()
    model.compile(backend=backend)
    model(torch.ones(1, 2))
    with undisturbed(model):
        seen = []
        handle = model.linear.register_forward_hook(lambda *_: seen.append(1))
        model(torch.ones(1, 2))
        handle.remove()
    assert (calls, seen) == (["compiled"], [1])
    model(torch.ones(1, 2))
    assert calls == ["compiled", "compiled"]

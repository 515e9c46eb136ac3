"""Hearing through a model that is being trained, and leaving it, and all that draws random numbers, as it was."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Undo = Callable[[], object]


@contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Run the body in eval mode, without gradients or autocast, uncompiled, and put everything back behind it.

    Put back, also after an exception: the `training` flag of every submodule, buffers, `requires_grad` and `.grad` of
    parameters, the random generators of Python, numpy and torch (on every device in use), and torch's flags of
    precision and determinism. So training goes on bit by bit as it would have without the body. Inside, every generator
    starts from 0, so the same weights give the same frames whenever they are heard. Weights keep their number format
    and their place.

    `no_grad`, not inference mode: what a module caches inside must still serve training afterwards.
    """
    import torch

    with ExitStack() as stack:
        for keep in (_modes, _buffers, _gradients):
            stack.callback(keep(model))
        stack.callback(_generators())
        stack.callback(_flags())
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.no_grad())
        for kind in {"cpu", *(each.device.type for each in model.parameters())} - {"meta"}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        # Compiled code would pass over the taps, or be compiled anew for eval mode, and so for training again. Who has
        # compiled nothing is spared the import of the compiler, which takes seconds.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        _begin_from_zero()
        for part in model.modules():  # not model.eval(): a class may have its own idea of what that switches
            part.training = False
        yield


def _modes(model: torch.nn.Module) -> Undo:
    before = [(part, part.training) for part in model.modules()]

    def undo() -> None:
        for part, training in before:
            part.training = training

    return undo


def _buffers(model: torch.nn.Module) -> Undo:
    before = [(part, dict(part._buffers)) for part in model.modules() if part._buffers]
    bare = [part for part in model.modules() if not part._buffers]
    values = [(each, each.detach().clone()) for each in model.buffers()]

    def undo() -> None:
        import torch

        for part, buffers in before:
            part._buffers.clear()
            part._buffers.update(buffers)
        for part in bare:
            part._buffers.clear()
        for buffer, value in values:
            if not torch.equal(buffer, value):
                buffer.data.copy_(value)  # by `data`: a backward pass may still hold the buffer

    return undo


def _gradients(model: torch.nn.Module) -> Undo:
    before = [(each, each.requires_grad, each.grad) for each in model.parameters()]

    def undo() -> None:
        for parameter, wanted, gradient in before:
            if parameter.requires_grad is not wanted:
                parameter.requires_grad_(wanted)
            if parameter.grad is not gradient:
                parameter.grad = gradient

    return undo


def _generators() -> Undo:
    import torch

    python, numpys, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the caller's
    devices = [(each, each.get_state()) for each in _device_generators()]

    def undo() -> None:
        random.setstate(python)
        np.random.set_state(numpys)  # noqa: NPY002
        torch.set_rng_state(cpu)
        for generator, state in devices:
            generator.set_state(state)

    return undo


def _begin_from_zero() -> None:
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    # Not torch.manual_seed: where CUDA is not in use yet, it would still seed it for the time when it is.
    for generator in (torch.default_generator, *_device_generators()):
        generator.manual_seed(0)


def _device_generators() -> list[torch.Generator]:
    """Return the default generator of every accelerator in use."""
    import torch

    found: list[torch.Generator] = []
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found += torch.cuda.default_generators
    if torch.backends.mps.is_available():
        found.append(torch.mps._get_default_mps_generator())
    return found


def _flags() -> Undo:
    """Ask for full float32 and for the same algorithms every time; cuDNN's default is TF32, a mantissa of 10 bits."""
    import torch

    chosen = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn: Any = torch.backends.cudnn
    wanted: list[tuple[Any, str, object]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later; the two ways must not be mixed
        backends = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
        onednn = (torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)  # type: ignore[attr-defined]
        wanted += [(each, "fp32_precision", "ieee") for each in (*backends, *onednn)]
    else:
        wanted += [(torch.backends.cuda.matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    before = [(holder, name, getattr(holder, name)) for holder, name, _ in wanted]
    for holder, name, value in wanted:
        setattr(holder, name, value)

    def undo() -> None:
        for holder, name, value in before:
            setattr(holder, name, value)
        if chosen != (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ):
            torch.use_deterministic_algorithms(chosen[0], warn_only=chosen[1])

    return undo

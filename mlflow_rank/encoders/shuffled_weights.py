"""The shuffled copy: the same architecture and the same weights, in an order that means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def shuffle(module: torch.nn.Module, seed: int) -> None:
    """Permute the entries within every parameter of a module, each by itself, in place.

    Each tensor keeps its values, and so their mean, spread and tails; what training put where is gone. What tells the
    copy from the trained encoder is therefore not the scale of its weights, as it may be with random ones. Buffers
    (running statistics) stay as they are. The permutation of a tensor depends on the seed and on the order of the
    parameters; the caller's random numbers are left alone.

    >>> import torch
    >>> layer = torch.nn.Linear(50, 20)
    >>> before = layer.weight.detach().clone()
    >>> shuffle(layer, seed=0)
    >>> bool((layer.weight == before).all()), torch.equal(layer.weight.flatten().sort()[0], before.flatten().sort()[0])
    (False, True)
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))

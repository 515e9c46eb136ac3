"""The shortest waveform that gives a frame: from convolutions where they are known, by trial where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mlflow_rank.encoders.foreign_errors import first_line
from mlflow_rank.errors import MlflowRankError, UsageError

if TYPE_CHECKING:
    import torch

Forward = Callable[["torch.Tensor"], Sequence["torch.Tensor"]]


def samples_for_one_frame(convolutions: Iterable[tuple[int, int]], frames: int = 1) -> int:
    """Return the samples that a stack of unpadded convolutions needs to give `frames` frames.

    Args:
        convolutions: (kernel, stride) of each, from the waveform upwards.
        frames: how many frames must come out.

    >>> samples_for_one_frame([(10, 5)] + [(3, 2)] * 4 + [(2, 2)] * 2)  # wav2vec 2.0 and HuBERT: 25 ms at 16 kHz
    400
    """
    samples = frames
    for kernel, stride in reversed(list(convolutions)):
        samples = (samples - 1) * stride + kernel
    return samples


def probe(forward: Forward, sampling_rate: int, longest: int | None = None) -> tuple[tuple[int, ...], int]:
    """Find out by trial how wide each layer is and how short a waveform may be.

    Two waveforms of 1 s, then two of 2 s, go through the model: the batch must stay first, the frames must grow with
    the audio and the width must not. Then halving finds the shortest waveform that gives a frame in every layer.

    Args:
        forward: the encoder's forward pass, in eval mode, on the CPU.
        sampling_rate: in Hz.
        longest: the longest waveform that it accepts, in samples; the trial keeps within it.

    Returns:
        The width of each layer, and the minimum length in samples.

    Raises:
        UsageError: the model fails on one second of noise, or its outputs are not (batch, frames, dim).
    """
    second = sampling_rate if longest is None else min(sampling_rate, longest // 2)
    try:
        short, long = _hear(forward, second), _hear(forward, 2 * second)
    except MlflowRankError:
        raise
    except Exception as error:  # the model's code may raise anything
        raise UsageError(
            "the model fails on one second of noise",
            got=f"{type(error).__name__}: {first_line(error)}",
            expected="a forward pass that takes float32 waveforms of shape (batch, samples)",
        ) from error
    for layer, (at_one, at_two) in enumerate(zip(short, long, strict=True)):
        shapes = f"{tuple(at_one.shape)} for 2 waveforms of {second} samples, {tuple(at_two.shape)} for twice as long"
        if at_one.ndim != 3 or at_one.shape[0] != 2:
            raise UsageError("a layer's output is not (batch, frames, dim)", got=f"output {layer}: {shapes}")
        if at_one.shape[2] != at_two.shape[2]:
            raise UsageError(
                "the last dimension of a layer's output changes with the length of the audio",
                got=f"output {layer}: {shapes}",
                expected="(batch, frames, dim)",
                remedy="if it is (batch, dim, frames), tap a module after the transposition, or wrap the model",
            )
        if at_one.shape[1] >= at_two.shape[1]:
            raise UsageError(
                "the number of frames does not grow with the audio, so padding would be measured with it",
                got=f"output {layer}: {shapes}",
                expected="frames in proportion to the samples",
                remedy="tap modules that run on frames, or wrap the model so that it hears the exact length",
            )
    low, high = 0, second  # invariant: `low` gives no frame, `high` does
    while high - low > 1:
        middle = (low + high) // 2
        if _gives_frames(forward, middle):
            high = middle
        else:
            low = middle
    return tuple(int(frames.shape[2]) for frames in short), high


def _gives_frames(forward: Forward, samples: int) -> bool:
    try:
        return all(frames.shape[1] > 0 for frames in _hear(forward, samples))
    except Exception:  # too short for a convolution, an empty reshape, …: each library says it in its own way
        return False


def _hear(forward: Forward, samples: int) -> Sequence[torch.Tensor]:
    import torch

    generator = torch.Generator().manual_seed(0)  # any sound will do; a fixed one makes a failure repeatable
    with torch.no_grad():  # not inference mode: what the module caches may have to serve its training afterwards
        return forward(torch.randn(2, samples, generator=generator) * 0.1)

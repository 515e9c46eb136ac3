"""Encoders for `module:listeners:…`: tiny, and as slow, as mortal or as faulty as a test asks them to be.

What they hear one by one goes to the file named by LISTENER_LOG; loading an encoder tries it with pairs, not counted.
When that file has LISTENER_INTERRUPT lines, Ctrl-C comes.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

FATAL_SAMPLES = 3999  # an utterance of exactly this length is what `mortal` and `faulty` cannot stand


class Listener(torch.nn.Module):
    """Two blocks of 8 dimensions; a frame per 10 samples."""

    sampling_rate = 16_000

    def __init__(self) -> None:
        super().__init__()
        self.front = torch.nn.Conv1d(1, 8, kernel_size=20, stride=10)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(2))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return frames (batch, frames, 8)."""
        if len(waveforms) == 1:
            self.hears(waveforms.shape[1])
        frames = self.front(10 * waveforms[:, None]).transpose(1, 2)
        for block in self.blocks:
            frames = torch.tanh(block(frames))
        return frames

    def hears(self, samples: int) -> None:
        """Write down what comes in."""
        if "LISTENER_LOG" in os.environ:
            log = Path(os.environ["LISTENER_LOG"])
            with log.open("a") as lines:
                lines.write(f"{samples}\n")
            if len(log.read_text().splitlines()) == int(os.environ.get("LISTENER_INTERRUPT", "-1")):
                os.kill(os.getpid(), signal.SIGINT)
        time.sleep(float(os.environ.get("LISTENER_SECONDS", "0")))


class Mortal(Listener):
    """Dies of one utterance, like a process that runs out of memory, unless LISTENER_MERCY is set."""

    def hears(self, samples: int) -> None:
        """Die, or hear."""
        if samples == FATAL_SAMPLES and "LISTENER_MERCY" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        super().hears(samples)


class Faulty(Listener):
    """Returns NaN from its second block for one utterance."""

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return frames (batch, frames, 8)."""
        if waveforms.shape == (1, FATAL_SAMPLES):
            self.blocks[1].bias.data.fill_(torch.nan)
        return super().forward(waveforms)


def plain() -> Listener:
    """Make a listener; its weights are the same each time, as loading seeds them."""
    return Listener()


def mortal() -> Mortal:
    """Make a listener that dies."""
    return Mortal()


def faulty() -> Faulty:
    """Make a listener that returns NaN."""
    return Faulty()

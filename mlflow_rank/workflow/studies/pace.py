"""How fast an encoder hears, measured on the spot."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import subjects

SECONDS = 10.0  # of noise: a pass costs the same whatever is said
PASSES = 2  # after one that warms up; the faster counts, as whatever else runs can only slow one down


def measured_pace(setting: Setting, progress: Progress) -> float:
    """Return the seconds of audio that the encoder hears in a second of one core (or of the GPU), all layers.

    Raises:
        UsageError: no such model, or one that cannot be loaded.
    """
    import torch

    with subjects(setting, progress) as loaded:
        encoder = loaded.candidate.encoder
        samples = max(int(SECONDS * encoder.sampling_rate), encoder.minimum_samples)
        samples = min(samples, encoder.maximum_samples or samples)
        noise = torch.randn((1, samples), generator=torch.Generator().manual_seed(setting.seed)) / 10
        progress.say(f"measuring the pace of {setting.model} on {samples / encoder.sampling_rate:.0f} s of noise")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            encoder.encode(noise)
            fastest = min(_seconds_of(lambda: encoder.encode(noise)[-1].sum().item()) for _ in range(PASSES))
        finally:
            torch.set_num_threads(threads)
    return samples / encoder.sampling_rate / fastest


def _seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun

"""Sound that tests can afford: fractions of a second, seeded, written where pytest says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Write = Callable[..., Path]


def noise(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    shape = (round(seconds * rate), channels)
    return 0.2 * np.random.default_rng(seed).uniform(-1, 1, shape)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below tmp_path: noise unless samples are given."""

    def write_audio(name: str, samples: NDArray[np.float64] | None = None, rate: int = 16_000, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(rate=rate) if samples is None else samples, rate, **options)
        return path

    return write_audio

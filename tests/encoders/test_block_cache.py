"""Where finished blocks lie while a measurement runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.speech.sampling import Sampling, draw
from mlflow_rank.speech.sources import open_corpus

HOLD = """
import sys
from pathlib import Path
from mlflow_rank.encoders import block_cache
directory = Path(sys.argv[1])
directory.parent.mkdir(parents=True, exist_ok=True)
print(block_cache._claim(directory), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def make_cache(tmp_path: Path):
    for index in range(4):
        samples = np.random.default_rng(index).normal(size=4000) * 0.1
        soundfile.write(tmp_path / f"{index}.wav", samples, 16_000)
    encoder = SimpleNamespace(
        digest="sha256:0", family="stub", layers=(Layer(0, "input", 4),), describe=lambda: {"dtype": "float32"}
    )

    def make() -> BlockCache:
        blocks = draw(open_corpus(tmp_path).utterances, Sampling(blocks=2)).blocks
        return BlockCache(tmp_path / "cache", encoder, Protocol(("frame",)), blocks)

    return make


def test_the_same_measurement_has_the_same_place(make_cache):
    assert make_cache().directory == make_cache().directory


def test_a_file_written_anew_makes_it_another_measurement(make_cache, tmp_path):
    before = make_cache().directory
    os.utime(tmp_path / "0.wav", ns=(1, 1))
    assert make_cache().directory != before


def test_a_second_process_at_the_same_measurement_gets_a_place_of_its_own(make_cache):
    cache = make_cache()
    shared = cache.directory
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(shared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        cache.prepare(2, resume=False)
        assert cache.directory != shared
        assert other.stdin is not None
        other.stdin.close()
    again = make_cache()
    again.prepare(2, resume=False)
    assert again.directory == shared
    again.remove()
    assert not list(shared.parent.glob(f"{shared.name}.lock"))

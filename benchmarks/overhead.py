"""What statistics add to the forward pass that they ride on, end to end.

Beside the encoder's own time a pass costs (a) something for every utterance, (b) something for every block: moments
taken and written to its file, and (c) something for every layer: its blocks read back and the estimates made. A forward
pass of 60 minutes through HuBERT-base takes a quarter of an hour on one core, so the three are measured apart, each
against the forward pass of one utterance in the same round, and the share of a whole run is their sum over its
utterances, blocks and layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.interleaved import Times, interleaved, whole
from benchmarks.material import BASE, SMALL, encoder_call, sound
from benchmarks.table import Limit, Row
from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.extraction import Extraction, Protocol
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.spectra import PRESETS, estimate
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch

SECONDS = 10.0  # of an utterance
BLOCKS = 10
IN_FULL = "as above, with as many utterances as frames: 60 min of 10-s utterances are too few for their own rank"
LEVELS = PRESETS["robust"].levels
EVERY, FIFTH = Protocol(LEVELS), Protocol(LEVELS, frame_stride=5)


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the shares of runs of 60 and of 10 minutes."""
    encoder = encoder_call(folder, SMALL if quick else BASE).load()
    heard = sound(folder, utterances=BLOCKS, seconds=SECONDS).utterances
    files = _one_block_of_each(encoder, heard, folder)
    times = interleaved(_actions(encoder, heard, files, folder), rounds=2 if quick else 8)
    costs = _Costs(times, len(encoder.layers))
    size = f"{len(encoder.layers)} layers, frames and utterance means, {SECONDS:g}-s utterances; computed from parts"
    cases: list[tuple[str, int, str, int, str, float | None, str]] = [
        ("10 blocks", 60, "every", BLOCKS, "estimates", 8, size),
        ("10 blocks", 10, "every", BLOCKS, "estimates", None, "as above"),
        ("10 blocks, --intervals false", 60, "every", BLOCKS, "values", 5, "as above"),
        ("one block, no intervals", 60, "every", 1, "values of one block", 5, "as above"),
        ("10 blocks, frame stride 5", 60, "every fifth", BLOCKS, "estimates", 2, "as above"),
        ("one block, no intervals, frame stride 5", 60, "every fifth", 1, "values of one block", 2, "as above"),
        ("10 blocks, both levels estimated in full", 60, "every", BLOCKS, "estimates of both levels", None, IN_FULL),
    ]
    rows = []
    for what, minutes, strided, blocks, estimates, limit, how in cases:
        parts = costs.parts(strided, round(minutes * 60 / SECONDS), blocks, estimates)
        share = tuple(map(sum, zip(*parts, strict=True)))
        asked = None if limit is None else Limit("≤", limit)
        split = "{:.1f} % utterances, {:.1f} % block files, {:.1f} % estimates".format(*map(median, parts))
        rows.append(Row(f"statistics: {what}, {minutes} min", share, "%", asked, f"{split}; {how}"))
    within = times.ratios_aside("every", "forward")
    how = "the same utterance, so what statistics do to caches and memory would show here"
    return [*rows, Row("the encoder's own time within a pass against a plain forward pass", within, "×", None, how)]


@dataclass(frozen=True, slots=True)
class _Costs:
    """The parts, in multiples of the forward pass of one utterance, one number per round."""

    times: Times
    layers: int

    def parts(self, strided: str, utterances: int, blocks: int, estimates: str) -> tuple[tuple[float, ...], ...]:
        """Return what utterances, block files and estimates take of a run, in percent of its forward pass."""
        of = self.times.ratios
        each = [100 * ratio for ratio in of(strided, "forward")]
        # The block was begun, heard one utterance and ended; what its hearing costs is counted with the others'.
        ends = [
            100 * (block - heard) * blocks / utterances
            for block, heard in zip(of("block", "forward"), of("every", "forward"), strict=True)
        ]
        read = [100 * ratio * self.layers / utterances for ratio in of(estimates, "forward")]
        return tuple(each), tuple(ends), tuple(read)


class Stopwatch:
    """An encoder that notes how long it took, so that a pass is timed without it."""

    def __init__(self, encoder: TorchEncoder) -> None:
        self._encoder = encoder
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        """Encode as the encoder does."""
        start = time.perf_counter()
        frames = self._encoder.encode(waveforms)
        self.seconds = time.perf_counter() - start
        return frames


def _actions(
    plain: TorchEncoder, heard: tuple[Utterance, ...], files: list[BlockFile], folder: Path
) -> dict[str, Callable[[], float]]:
    import torch

    encoder = Stopwatch(plain)
    waveforms = {each.key: torch.from_numpy(decode(each, rate=plain.sampling_rate).samples)[None] for each in heard}
    turn = {name: cycle(heard) for name in ("forward", "every", "every fifth", "block")}
    going = {"every": Extraction(encoder, EVERY), "every fifth": Extraction(encoder, FIFTH)}
    for extraction in going.values():  # a pass is seldom at its beginning, when rows are only gathered
        extraction.hear(heard[: extraction.protocol.frame_stride], after=_nothing)

    def hear(name: str) -> float:
        going[name].hear([next(turn[name])], after=_nothing)
        return encoder.seconds

    def block() -> float:
        _hear_block(encoder, [next(turn["block"])], BlockFile(folder / "timed_block.npz"))
        return encoder.seconds

    def estimates(files: list[BlockFile], *, intervals: bool, levels: Mapping[str, str]) -> Callable[[], float]:
        def read_and_estimate() -> None:
            for level, stored in levels.items():
                estimate([file.read_packed((0, stored)) for file in files], level=level, intervals=intervals)

        return whole(read_and_estimate)

    as_stored = {level: level for level in LEVELS}
    return {
        "forward": whole(lambda: plain.encode(waveforms[next(turn["forward"]).key])),
        "every": lambda: hear("every"),
        "every fifth": lambda: hear("every fifth"),
        "block": block,
        "estimates": estimates(files, intervals=True, levels=as_stored),
        "values": estimates(files, intervals=False, levels=as_stored),
        "values of one block": estimates([_merged(files, folder)], intervals=False, levels=as_stored),
        "estimates of both levels": estimates(files, intervals=True, levels=dict.fromkeys(LEVELS, "frame")),
    }


def _one_block_of_each(encoder: TorchEncoder, heard: tuple[Utterance, ...], folder: Path) -> list[BlockFile]:
    """Hear each utterance as a block of its own: ten blocks, 6.5 frames per dimension, so that nothing is left out."""
    files = [BlockFile(folder / f"overhead_{number}.npz") for number in range(len(heard))]
    for file, utterance in zip(files, heard, strict=True):
        _hear_block(encoder, [utterance], file)
    return files


def _hear_block(encoder: Encoder, utterances: list[Utterance], file: BlockFile) -> None:
    extraction = Extraction(encoder, EVERY)
    extraction.hear(utterances, after=_nothing)
    file.write(extraction.so_far())


def _merged(files: list[BlockFile], folder: Path) -> BlockFile:
    """Return the file of all blocks as one."""
    together = files[0].read()
    for file in files[1:]:
        together = together.merge(file.read())
    one = BlockFile(folder / "overhead_merged.npz")
    one.write(together)
    return one


def _nothing(_: Utterance) -> None:
    """Tell nobody."""

"""Peak memory of a whole measurement above the loaded model, each in a process of its own.

`python -m benchmarks.memory REQUEST` is that process: it loads the encoder, notes the memory it lives in, measures, and
prints both figures as JSON. Linux only: the figures are the kernel's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.material import BASE, SMALL, encoder_call, sound
from benchmarks.table import Limit, Row

MEGABYTE = 1e6
SAME = 1.05  # the allocator's own scatter between two equal runs stays below 5 %


@dataclass(frozen=True, slots=True)
class Request:
    """An encoder's directory, a directory of sound, how many hours of it to hear, and where block files may lie."""

    model: str
    audio: str
    hours: float
    cache: str


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return how peak memory grows with audio, and its size for HuBERT-base; nothing where /proc is not Linux's."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    small, base = encoder_call(folder, SMALL).spec, encoder_call(folder, SMALL if quick else BASE).spec
    minutes = (1, 3) if quick else (10, 60)
    recording = sound(folder, utterances=minutes[1] * 6, seconds=10).source
    few, many = (_peak(Request(small, recording, each / 60, str(folder / "cache"))) for each in minutes)
    rows = [
        Row(
            f"peak memory above the model: {minutes[1]} min against {minutes[0]} min",
            (many / few,),
            "×",
            Limit("≤", SAME),
            f"{few:.0f} MB and {many:.0f} MB: an encoder of the starter's size, 10-s utterances, ten blocks, "
            "a fresh process each, from listing the audio to the document",
        )
    ]
    for seconds, utterances, limit in ((15, 10, Limit("≤", 400)), (30, 4, None)):
        recording = sound(folder, utterances=utterances, seconds=seconds).source
        peak = _peak(Request(base, recording, 1.0, str(folder / "cache")))
        rows.append(
            Row(
                f"peak memory above the model: HuBERT-base, {seconds}-s utterances",
                (peak,),
                "MB",
                limit,
                f"{utterances} utterances, 13 layers, frames and utterance means, as many blocks, their estimates"
                + ("" if limit else "; the longest utterances that are heard by default"),
            )
        )
    return rows


def _peak(request: Request) -> float:
    """Return the peak above the loaded model in MB, of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(asdict(request))]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    figures = json.loads(printed)
    return (float(figures["peak"]) - float(figures["loaded"])) / MEGABYTE


def measure_here(request: Request) -> dict[str, float]:
    """Measure, and return in bytes what memory held when the encoder was `loaded` and at the `peak` after that."""
    from mlflow_rank.encoders.block_cache import BlockCache
    from mlflow_rank.encoders.extraction import Protocol
    from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
    from mlflow_rank.evidence.rank_measurement import Heard, rank_measurement
    from mlflow_rank.spectra import PRESETS
    from mlflow_rank.speech.sampling import Sampling, draw
    from mlflow_rank.speech.sources import open_corpus

    call = EncoderCall(request.model, device="cpu")
    encoder = call.load()
    loaded = _status("VmRSS")
    _forget_peak()
    protocol = Protocol(PRESETS["robust"].levels)
    corpus = open_corpus(request.audio)
    sample = draw(corpus.utterances, Sampling(hours=request.hours))
    cache = BlockCache(Path(request.cache), encoder, protocol, sample.blocks)
    cache.prepare(len(sample.blocks), resume=False)
    listening = Listening(call, encoder, protocol, sample.blocks, cache)
    hear([listening])
    rank_measurement(encoder, corpus, sample, protocol, Heard.of(listening.files), preset="robust")
    cache.remove()
    return {"loaded": loaded, "peak": _status("VmHWM")}


def _forget_peak() -> None:
    """Let the kernel's record of the peak start anew."""
    Path("/proc/self/clear_refs").write_text("5")  # 5 resets VmHWM: proc_pid_clear_refs(5)


def _status(name: str) -> float:
    """Return a size from the kernel's account of this process, in bytes.

    Not getrusage: its peak begins with that of the process which started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(measure_here(Request(**json.loads(sys.argv[1])))))

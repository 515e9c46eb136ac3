from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlflow_rank.encoders.block_moments import BlockFile, BlockMoments
from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import FewRows, Moments
from mlflow_rank.speech.utterance import SkipCause, Skipped

DIM = 4


def block(*names: str, seed: int = 0) -> BlockMoments:
    rng = np.random.default_rng(seed)
    return BlockMoments(
        states={
            (layer, level): state(rng.normal(size=(rows, DIM)))
            for layer in range(12)
            for level, state, rows in (("frame", Moments.of, 10), ("utterance_sum", FewRows, 2))
        },
        content_digests={name: f"sha256:{name}" for name in names},
        seconds=dict.fromkeys(names, 0.1),  # a tenth has no exact float: it must come back as it was
        speakers={name: None if index % 2 else "ann" for index, name in enumerate(names)},
        skipped=(Skipped(f"{names[0]}-bad", SkipCause.SILENT, "peak 1e-9; Überrest"),),
    )


def test_a_block_comes_back_from_its_file_bit_by_bit(tmp_path: Path) -> None:
    written, file = block("a/é.wav#0.5-1.0", "b.wav"), BlockFile(tmp_path / "block_0000.npz")

    file.write(written)
    read = file.read()

    assert (read.content_digests, read.seconds, read.speakers, read.skipped) == (
        written.content_digests,
        written.seconds,
        written.speakers,
        written.skipped,
    )
    assert read.keys == {"a/é.wav#0.5-1.0", "b.wav", "a/é.wav#0.5-1.0-bad"}
    assert set(read.states) == set(written.states)
    for place, state in written.states.items():
        assert type(read.states[place]) is type(state)
        assert read.moments(place).count == written.moments(place).count
        np.testing.assert_array_equal(read.moments(place).mean, written.moments(place).mean)
        np.testing.assert_array_equal(read.moments(place).scatter, written.moments(place).scatter)


def test_one_layer_and_level_can_be_read_without_the_others(tmp_path: Path) -> None:
    written, file = block("a.wav"), BlockFile(tmp_path / "block_0000.npz")
    file.write(written)

    for place in ((11, "frame"), (11, "utterance_sum")):
        packed, expected = file.read_packed(place), written.moments(place)

        assert packed.count == expected.count
        np.testing.assert_array_equal(packed.mean, expected.mean)
        np.testing.assert_array_equal(packed.unpack().scatter, expected.scatter)
    assert file.read_listing().keys == written.keys


def test_merged_blocks_hold_the_rows_of_both() -> None:
    one, other = block("a.wav"), block("b.wav", "c.wav", seed=1)

    merged = one.merge(other)

    assert merged.keys == one.keys | other.keys
    assert len(merged.skipped) == 2
    assert merged.moments((0, "frame")).count == 20


def test_nothing_but_the_finished_file_is_left_behind(tmp_path: Path) -> None:
    BlockFile(tmp_path / "block_0000.npz").write(block("a.wav"))

    assert [path.name for path in tmp_path.iterdir()] == ["block_0000.npz"]


def test_a_block_that_cannot_be_written_leaves_the_one_before_it_untouched(tmp_path: Path) -> None:
    file = BlockFile(tmp_path / "block_0000.npz")
    file.write(block("before.wav"))

    # A process that may write no file beyond 2 kB: the kernel refuses in the middle of the block, as a full disk does.
    ended = limited_to(2048, "write_block(sys.argv[1])", file.path)

    assert ended.returncode == 0, ended.stderr
    assert "no disk space for the cache of finished blocks" in ended.stdout
    assert f"got:      {tmp_path}: File too large" in ended.stdout
    assert "--resume goes on from there" in ended.stdout
    assert "before.wav" in file.read().keys
    assert [path.name for path in tmp_path.iterdir()] == ["block_0000.npz"]


def limited_to(size: int, command: str, path: Path) -> subprocess.CompletedProcess[str]:
    code = f"""
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("this", {str(Path(__file__))!r})
this = importlib.util.module_from_spec(spec)
spec.loader.exec_module(this)
write_block = this.write_block
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
{command}
"""
    return subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=300, check=False
    )


def write_block(path: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        BlockFile(Path(path)).write(block("after.wav"))
    sys.stdout.write(str(caught.value))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_device_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def full(path: Path, *arguments: str) -> object:
        return real(Path("/dev/full") if path.suffix == ".part" else path, *arguments)

    monkeypatch.setattr(Path, "open", full)

    with pytest.raises(MeasurementError, match="No space left on device"):
        BlockFile(tmp_path / "block_0000.npz").write(block("a.wav"))

    assert not list(tmp_path.iterdir())

"""Where finished blocks are kept until their measurement is done, so that an interrupted one can go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from mlflow_rank.encoders.block_moments import BlockFile, cannot_write
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.keeping import Keeping
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.utterance import Utterance

FORMAT = 3  # raise it when what a block file holds changes meaning


class BlockCache:
    """Where the finished blocks of one measurement lie.

    A different measurement has a different place, and so has the same one while another process is at it.
    """

    def __init__(
        self,
        root: Path,
        encoder: Encoder,
        protocol: Protocol,
        blocks: Sequence[Block],
        keepings: Sequence[Keeping] = (),
    ) -> None:
        identity = {
            "format": FORMAT,
            "encoder": [encoder.family, encoder.digest],
            "layers": [layer.name for layer in encoder.layers],
            "dtype": encoder.describe().get("dtype"),
            "protocol": asdict(protocol),
            "keepings": [keeping.identity() for keeping in keepings],
            "blocks": [[_identity(utterance) for utterance in block.utterances] for block in blocks],
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.directory = root / "blocks" / digest[:24]
        dims = [layer.dim for layer in encoder.layers]
        self._bytes_each = sum(8 * dim * (dim + 1) // 2 for dim in dims) * len(protocol.levels)

    def file(self, index: int) -> BlockFile:
        """Return the file of a finished block."""
        return BlockFile(self.directory / f"block_{index:04d}.npz")

    def partial(self, index: int) -> BlockFile:
        """Return the file of a block that was interrupted."""
        return BlockFile(self.directory / f"block_{index:04d}.partial.npz")

    def prepare(self, blocks: int, *, resume: bool) -> None:
        """Make the directory, empty unless an earlier run is to go on.

        Raises:
            MeasurementError: there is no space for all blocks.
        """
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            if not _claim(self.directory):
                self.directory = self.directory.with_name(f"{self.directory.name}-{os.getpid()}")
            if not resume:
                shutil.rmtree(self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.directory).free
        except OSError as error:
            raise cannot_write(self.directory, error) from error
        needed = self._bytes_each * blocks
        if free < needed:
            raise cannot_write(
                self.directory, OSError(f"{free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed for {blocks} blocks")
            )

    def remove(self) -> None:
        """Forget the blocks: their measurement is done."""
        shutil.rmtree(self.directory, ignore_errors=True)
        _release(self.directory)


def _identity(utterance: Utterance) -> list[object]:
    """Return what an utterance is known by here: a file that was written anew is another one."""
    try:
        status = utterance.source.path.stat()
        written = [status.st_size, status.st_mtime_ns]
    except OSError:
        written = []
    return [utterance.key, str(utterance.source), utterance.start, utterance.end, written]


_claimed: dict[Path, FileLock] = {}  # by this process; the system lets go of them when it ends, however it ends


def _claim(directory: Path) -> bool:
    """Return whether the directory is this process's alone."""
    if directory not in _claimed:
        lock = FileLock(directory.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        _claimed[directory] = lock
    return True


def _release(directory: Path) -> None:
    lock = _claimed.pop(directory, None)
    if lock is not None:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()

"""Evidence about checkpoints that a training writes, made beside it: hashing files must keep no training waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.monitoring.checkpoint_log import Heard, add_heard, read_heard
from mlflow_rank.workflow.watch_evidence import WatchEvidence

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.verdict import Verdict


class LiveEvidence:
    """A keeper that states of every checkpoint which alarms hold for it, and again where a later alarm began before it.

    One thread hashes and writes, in the order in which things happened. A checkpoint that goes while it is hashed
    leaves no statement, which is said.
    """

    def __init__(
        self,
        directory: Path,
        monitor: str,
        key: PrivateKey | None,
        steps: Iterable[int] = (),
        *,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201
    ) -> None:
        self._directory, self._say = directory, say
        self._evidence = WatchEvidence(directory, lambda: monitor, key)
        self._evidence.known += read_heard(directory, steps)
        self._last: Verdict | None = None
        self._thread = ThreadPoolExecutor(1, "mlflow_rank-evidence")

    def leave(self, checkpoint: Path, step: int) -> None:
        """State what is known of alarms about a checkpoint that is a directory; a single file is no model of ours."""
        if checkpoint.is_dir():
            self._in_turn(lambda: self._heard(checkpoint, step))

    def resume(self, verdicts: Sequence[Verdict]) -> None:
        """Take what was known of a run that goes on."""
        self._last = verdicts[-1] if verdicts else None

    def keep(self, verdict: Verdict) -> None:
        """Take a verdict: what it says of earlier checkpoints is stated again."""
        self._last = verdict
        if verdict.raised:
            self._in_turn(lambda: self._evidence.say(verdict))

    def close(self, verdicts: Sequence[Verdict]) -> None:
        """Wait for what is being hashed."""
        self._thread.shutdown(wait=True)

    def _heard(self, checkpoint: Path, step: int) -> None:
        heard = Heard(checkpoint.name, str(checkpoint), step, file_manifest(checkpoint).digest)
        add_heard(self._directory, heard)
        self._evidence.heard(heard)
        if self._last is not None:
            self._evidence.say_of(heard, self._last)

    def _in_turn(self, act: Callable[[], None]) -> None:
        self._thread.submit(act).add_done_callback(self._done)

    def _done(self, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._say(f"mlflow-rank: no evidence about a checkpoint was left: {error}")

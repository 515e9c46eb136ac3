"""Evidence about checkpoints that a training writes, made beside it: hashing files must keep no training waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.monitoring.checkpoint_log import Heard, add_heard, read_heard
from mlflow_rank.workflow.watch_evidence import WatchEvidence

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.verdict import Verdict

LONGEST_WAIT = 60.0  # s


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
        begun_at: int,
        *,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201
    ) -> None:
        self._directory, self._say = directory, say
        self._evidence = WatchEvidence(directory, lambda: monitor, key)
        self._evidence.known += read_heard(directory, range(begun_at + 1))
        self._last: Verdict | None = None
        self._thread = ThreadPoolExecutor(1, "mlflow_rank-evidence")
        self._waiting: list[Future[None]] = []
        self._said_file = False

    def leave(self, checkpoint: Path, step: int) -> None:
        """State what is known of alarms about a checkpoint that is a directory; a single file is no model of ours."""
        if checkpoint.is_dir():
            self._in_turn(partial(self._heard, checkpoint, step, self._last))
        elif not self._said_file:
            self._said_file = True
            self._say(f"mlflow-rank: no evidence about {checkpoint.name}: it is no directory that measure could load")

    def resume(self, verdicts: Sequence[Verdict]) -> None:
        """Take what was known of a run that goes on, and state it again: the end may have come in between."""
        self._last = last = verdicts[-1]
        for heard in self._evidence.known:
            self._in_turn(partial(self._evidence.say_of, heard, last))

    def keep(self, verdict: Verdict) -> None:
        """Take a verdict: what it says of earlier checkpoints is stated again."""
        self._last = verdict
        if verdict.raised or verdict.closed:
            self._in_turn(lambda: self._evidence.say(verdict))

    def close(self, verdicts: Sequence[Verdict]) -> None:
        """Wait for what is being hashed, for at most a minute."""
        left = wait(self._waiting, timeout=LONGEST_WAIT).not_done
        self._thread.shutdown(wait=False, cancel_futures=True)
        if left:
            self._say(f"mlflow-rank: {len(left)} statements about checkpoints were not made: hashing took too long")

    def _heard(self, checkpoint: Path, step: int, last: Verdict | None) -> None:
        heard = Heard(checkpoint.name, str(checkpoint), step, file_manifest(checkpoint).digest)
        add_heard(self._directory, heard)
        self._evidence.heard(heard)
        if last is not None:
            self._evidence.say_of(heard, last)

    def _in_turn(self, act: Callable[[], None]) -> None:
        done = self._thread.submit(act)
        self._waiting = [each for each in self._waiting if not each.done()] + [done]
        done.add_done_callback(self._done)

    def _done(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._say(f"mlflow-rank: no evidence about a checkpoint was left: {error}")

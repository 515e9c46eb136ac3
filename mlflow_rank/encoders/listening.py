"""Blocks heard by one process or by several, each finished block a file: nothing is lost, and any run can go on."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from threading import Thread

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.extraction import Extraction, Protocol
from mlflow_rank.encoders.freed_memory import give_back_memory
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.interruption import interrupts_only_us
from mlflow_rank.encoders.keeping import Keeping
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.threads import suitable_threads, threads_for
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import MeasurementError
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.utterance import Utterance


@dataclass(frozen=True, slots=True)
class EncoderCall:
    """What `load_encoder` is called with, so that each worker process can load its own."""

    spec: str
    layers: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False
    seed: int = 0

    def load(self) -> TorchEncoder:
        """Return the encoder."""
        return load_encoder(**asdict(self))


@dataclass(frozen=True, slots=True)
class Listening:
    """What one encoder is to hear: blocks of utterances, and what each leaves in its file.

    `call` is how a worker process loads the encoder, `encoder` the same, loaded; `cache` is where files are and go
    (call its `prepare` first); `keepings` say what is kept beside the moments that the protocol asks for.
    """

    call: EncoderCall
    encoder: Encoder
    protocol: Protocol
    blocks: Sequence[Block]
    cache: BlockCache
    keepings: tuple[Keeping, ...] = ()

    @property
    def files(self) -> list[BlockFile]:
        """The file of every block, in order."""
        return [self.cache.file(block.index) for block in self.blocks]

    @property
    def waiting(self) -> list[Block]:
        """The blocks that have no file yet."""
        return [block for block in self.blocks if not self.cache.file(block.index).path.exists()]

    def part(self, block: Block) -> _Part:
        """Return one block as a worker gets it."""
        return _Part(self.call, self.protocol, block, self.cache, self.keepings)


def hear(listenings: Sequence[Listening], *, workers: int = 1, after: Callable[[str], None] = lambda _: None) -> None:
    """Hear every block that has no file yet, with one set of processes for all encoders.

    Args:
        listenings: of one encoder or of several.
        workers: processes; each has its share of the processor's cores. The result agrees to 1e-9 whatever it is.
        after: called with the key of each utterance that is done.

    Raises:
        MeasurementError: the encoder returns NaN; the disk is full; a worker died.
        KeyboardInterrupt: what was heard so far is on disk.
    """
    for listening in listenings:
        heard = {block.index for block in listening.blocks} - {block.index for block in listening.waiting}
        for block in listening.blocks:
            if block.index in heard:
                for utterance in block.utterances:
                    after(utterance.key)
    # A champion that is the candidate has the same files: heard once for both.
    waiting = {
        cached.path: (listening, block)
        for listening in listenings
        for block in listening.waiting
        if (cached := listening.cache.file(block.index))
    }
    parts = list(waiting.values())
    if workers > 1 and len(parts) > 1:
        tasks = [listening.part(block) for listening, block in parts]
        _hear_in_processes(tasks, min(workers, len(parts)), after)
        return
    for listening, block in parts:
        with suitable_threads(listening.encoder):
            _hear(listening.encoder, listening.part(block), lambda utterance: after(utterance.key))


@dataclass(frozen=True, slots=True)
class _Part:
    """One block of one listening, picklable."""

    call: EncoderCall
    protocol: Protocol
    block: Block
    cache: BlockCache
    keepings: tuple[Keeping, ...]


def _hear(encoder: Encoder, part: _Part, after: Callable[[Utterance], None]) -> None:
    """Hear one block, going on from where an interrupted run left it."""
    partial = part.cache.partial(part.block.index)
    before = partial.read() if partial.path.exists() else None
    done = before.keys if before else frozenset()
    for utterance in part.block.utterances:
        if utterance.key in done:
            after(utterance)
    give_back_memory()  # the moments of the block before
    extraction = Extraction(encoder, part.protocol, part.keepings)
    try:
        extraction.hear([each for each in part.block.utterances if each.key not in done], after=after)
    except KeyboardInterrupt:
        so_far = extraction.so_far()
        partial.write(before.merge(so_far) if before else so_far)
        raise
    heard = extraction.so_far()
    part.cache.file(part.block.index).write(before.merge(heard) if before else heard)
    partial.path.unlink(missing_ok=True)


def _hear_in_processes(parts: Sequence[_Part], workers: int, after: Callable[[str], None]) -> None:
    context = multiprocessing.get_context("spawn")  # a fork after torch has started its threads can hang
    heard: SimpleQueue[str | None] = context.SimpleQueue()
    stop = context.Event()
    listener = Thread(target=_listen, args=(heard, after), daemon=True)
    listener.start()
    threads = max(1, (os.cpu_count() or 1) // workers)
    try:
        with ProcessPoolExecutor(workers, context, _start_worker, (threads, heard, stop)) as pool:
            try:
                with interrupts_only_us():
                    tasks = [pool.submit(_hear_in_worker, part) for part in parts]
                for task in as_completed(tasks):
                    task.result()
            except BaseException:
                stop.set()  # the others end after their utterance, and keep what they have heard
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        # The queue of progress is left alone: who died may have held its lock.
        raise MeasurementError(
            "a worker process died",
            got=str(error),
            expected="workers that end by themselves",
            remedy="too little memory is the usual cause: use fewer --workers and --resume (finished blocks are kept)",
        ) from error
    except BaseException:
        _end(listener, heard)
        raise
    _end(listener, heard)


def _listen(heard: SimpleQueue[str | None], after: Callable[[str], None]) -> None:
    for key in iter(heard.get, None):
        after(key)


def _end(listener: Thread, heard: SimpleQueue[str | None]) -> None:
    heard.put(None)
    listener.join(timeout=5)  # s; only progress is lost if it does not come to an end


@dataclass(slots=True)
class _Worker:
    """What one worker process has: the encoder it loaded last, and how it talks with the parent."""

    threads: int
    heard: SimpleQueue[str | None]
    stop: Event
    call: EncoderCall | None = None
    encoder: TorchEncoder | None = None

    def load(self, call: EncoderCall) -> TorchEncoder:
        import torch
        from threadpoolctl import threadpool_limits

        if self.encoder is None or self.call != call:
            self.encoder = None  # one at a time in memory: the parts come encoder by encoder
            most = min(self.threads, _allowed_threads())
            torch.set_num_threads(most)
            self.call, self.encoder = call, call.load()
            torch.set_num_threads(threads_for(self.encoder, most))
            threadpool_limits(threads_for(self.encoder, most))
        return self.encoder

    def after(self, utterance: Utterance) -> None:
        self.heard.put(utterance.key)
        self.check()

    def check(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt


_workers: list[_Worker] = []  # of this process: one in a worker, none elsewhere


@functools.cache
def _allowed_threads() -> int:
    """Return how many threads torch starts with, which OMP_NUM_THREADS may have limited."""
    import torch

    return torch.get_num_threads()


def _start_worker(threads: int, heard: SimpleQueue[str | None], stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent tells us by `stop`
    _workers.append(_Worker(threads, heard, stop))


def _hear_in_worker(part: _Part) -> None:
    (worker,) = _workers
    worker.check()  # a block may already have been handed out when the others were called off
    # Loaded here, not when the process starts: an error of a task reaches the parent whole, one at the start does not.
    _hear(worker.load(part.call), part, worker.after)

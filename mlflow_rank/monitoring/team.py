"""The processes of one training: who hears what, and how they agree."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError, MlflowRankError, UsageError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """This process, `rank` of `size`, in torch.distributed's default group; alone it talks to nobody.

    Every method but `share` is collective: all processes call it at the same place, or those that do wait. `device` is
    the kind of device on which tensors must lie to be sent: "cuda" with NCCL, else "cpu". `place` says where the model
    lies now, so that each process sends from its own GPU: who never calls `torch.cuda.set_device` has the first GPU as
    the current one in every process, and NCCL waits for ever where two use the same.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    place: Callable[[], torch.device] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def alone(cls) -> Team:
        """Return the team of one."""
        return cls()

    @classmethod
    def here(cls, place: Callable[[], torch.device] | None = None) -> Team:
        """Return the processes that torch.distributed has been told of, or the team of one.

        `place` says where the model of this process lies, whenever it is asked; without it tensors are sent from the
        current device.
        """
        if "torch.distributed" not in sys.modules:
            return cls()
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
            return cls()
        return cls(dist.get_rank(), dist.get_world_size(), "cuda" if dist.get_backend() == "nccl" else "cpu", place)

    @property
    def first(self) -> bool:
        """Whether this is the process that keeps and says things."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's part of `items`; all parts together are all items, each once.

        >>> Team(rank=1, size=2).share("abcde")
        'bd'
        """
        return items[self.rank :: self.size]

    def from_first(self, *numbers: int) -> tuple[int, ...]:
        """Return the whole numbers that the first process gave."""
        if self.size == 1:
            return numbers
        import torch
        import torch.distributed as dist

        sent = torch.tensor(numbers, dtype=torch.int64, device=self._sender())
        dist.broadcast(sent, src=0)
        return tuple(sent.tolist())

    def summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over all processes of their `values`, float64 of one shape; the same bits for each."""
        if self.size == 1:
            return values
        import torch
        import torch.distributed as dist

        sent = torch.tensor(values, dtype=torch.float64, device=self._sender())
        dist.all_reduce(sent)
        total: NDArray[np.float64] = sent.cpu().numpy()
        return total

    def gathered(self, value: T) -> list[T]:
        """Return what every process gave, in order of rank; it must pickle."""
        if self.size == 1:
            return [value]
        import torch
        import torch.distributed as dist

        everything: list[Any] = [None] * self.size
        sender = self._sender()
        # torch puts objects on the current device, and cannot be told otherwise.
        with nullcontext() if sender.index is None else torch.cuda.device(sender):
            dist.all_gather_object(everything, value)
        return everything

    def agrees(self, document: Mapping[str, object]) -> None:
        """Let all processes know whether each has the same `document`, which is JSON-ready.

        Only a digest is sent, of one size whatever is in it, so that also those get an answer who differ.

        Raises:
            UsageError: the same for each: who differs from the first process, and in what.
        """
        if self.size == 1:
            return
        digest = hashlib.sha256(_spelt(document).encode()).digest()
        own = tuple(np.frombuffer(digest, dtype="<i8").tolist())
        others = np.zeros(self.size)
        others[self.rank] = own != self.from_first(*own)
        differing = np.flatnonzero(self.summed(others)).tolist()
        if not differing:
            return
        said = self.gathered({name: _spelt(value) for name, value in document.items()})
        first, other = said[0], said[differing[0]]
        parts = sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))
        raise UsageError(
            f"the {self.size} processes would not measure the same, so no point can be taken",
            got=f"rank {differing[0]} differs from rank 0 in {', '.join(parts)}"
            + (f"; {len(differing)} ranks differ" if len(differing) > 1 else ""),
            expected="the same probe set, layers and way of hearing in every process",
            remedy="give every process the same probe audio (not its own share of it), seed and layers",
        )

    def all_well(self, trouble: Exception | None) -> None:
        """Let all processes know who is in trouble, so that nobody waits for one that will not come.

        Raises:
            Exception: alone, the trouble itself.
            MeasurementError: of several, the same for each: which processes failed, and why the first of them did.
        """
        if self.size == 1:
            if trouble is not None:
                raise trouble
            return
        # A number first, as the usual answer is that all is well and objects take two rounds.
        if self.summed(np.array([float(trouble is not None)])).item() == 0.0:
            return
        said = self.gathered(None if trouble is None else _in_words(trouble))
        failed = [(rank, words) for rank, words in enumerate(said) if words is not None]
        raise MeasurementError(
            f"the point was given up by all {self.size} processes, as {len(failed)} failed",
            got=f"rank {failed[0][0]}: {failed[0][1]}",
            expected="every process to hear its share of the probe set",
        ) from trouble

    def _sender(self) -> torch.device:
        """Return where tensors must lie to be sent: the model's own device, if it is of the kind."""
        import torch

        place = None if self.place is None else self.place()
        return torch.device(self.device) if place is None or place.type != self.device else place


def _spelt(document: object) -> str:
    """Return a JSON value so that equal ones have one spelling."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), default=dict)


def _in_words(trouble: Exception) -> str:
    return (
        " ".join(str(trouble).split())
        if isinstance(trouble, MlflowRankError)
        else f"{type(trouble).__name__}: {trouble}"
    )

"""The processes of one training: who hears what, and how they agree."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError, MlflowRankError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """This process, `rank` of `size`, in torch.distributed's default group; alone it talks to nobody.

    Every method but `share` is collective: all processes call it at the same place, or those that do wait. `device` is
    where tensors must lie to be sent: "cuda" with NCCL, else "cpu".
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @classmethod
    def alone(cls) -> Team:
        """Return the team of one."""
        return cls()

    @classmethod
    def here(cls) -> Team:
        """Return the processes that torch.distributed has been told of, or the team of one."""
        if "torch.distributed" not in sys.modules:
            return cls()
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
            return cls()
        return cls(dist.get_rank(), dist.get_world_size(), "cuda" if dist.get_backend() == "nccl" else "cpu")

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

        sent = torch.tensor(numbers, dtype=torch.int64, device=self.device)
        dist.broadcast(sent, src=0)
        return tuple(sent.tolist())

    def summed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over all processes of their `values`, float64 of one shape; the same bits for each."""
        if self.size == 1:
            return values
        import torch
        import torch.distributed as dist

        sent = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sent)
        total: NDArray[np.float64] = sent.cpu().numpy()
        return total

    def gathered(self, value: T) -> list[T]:
        """Return what every process gave, in order of rank; it must pickle."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        everything: list[Any] = [None] * self.size
        dist.all_gather_object(everything, value)
        return everything

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


def _in_words(trouble: Exception) -> str:
    return (
        " ".join(str(trouble).split())
        if isinstance(trouble, MlflowRankError)
        else f"{type(trouble).__name__}: {trouble}"
    )

"""Whether this process holds a whole model, or a part of one that only all processes together can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_rank.errors import MeasurementError

if TYPE_CHECKING:
    import torch


def refuse_sharded(module: torch.nn.Module) -> None:
    """Raise where this process does not hold all weights of a module.

    Raises:
        MeasurementError: parameters are DTensors (FSDP2, tensor parallelism), empty (ZeRO-3), on "meta", or FSDP1's.
    """
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in module.modules()):
        raise _sharded("FullyShardedDataParallel")
    for name, each in module.named_parameters():
        if type(each.data).__name__ == "DTensor":
            raise _sharded(f"{name} is a DTensor")
        if each.is_meta:
            raise _sharded(f"{name} is on the meta device")
        if getattr(each, "_fsdp_flattened", False):  # FSDP1 marks so what it keeps a part of, once it is unwrapped
            raise _sharded(f"{name} is a part of FullyShardedDataParallel")
        if each.numel() == 0:
            raise _sharded(f"{name} is empty in this process")


def _sharded(got: str) -> MeasurementError:
    return MeasurementError(
        "the model's parameters are sharded, and the monitor hears whole encoders only",
        got=got,
        expected="every process with all parameters (data-parallel training, ZeRO-1 or ZeRO-2)",
        remedy="save full checkpoints now and then, and let `mlflow-rank watch DIR` hear them",
    )

"""On which device and in which number format the forward pass runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Precision:
    """A torch device and "float32" or "bfloat16" (weights stay float32; the forward pass runs under autocast)."""

    device: torch.device
    dtype: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run the forward pass inside: no gradients, and no silent loss of digits on a GPU."""
        import torch

        with torch.inference_mode():
            if self.dtype == "bfloat16":
                with torch.autocast(self.device.type, dtype=torch.bfloat16):
                    yield
            elif self.device.type == "cuda":
                with _no_tf32():
                    yield
            else:
                yield


def choose_precision(device: str, dtype: str) -> Precision:
    """Return the precision that a call asks for.

    Args:
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        dtype: "float32" or "bfloat16".

    Raises:
        UsageError: another word, or CUDA where there is none.

    >>> choose_precision("cpu", "float32").device
    device(type='cpu')
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise UsageError("no such device", got=repr(device), expected="auto, cpu or cuda")
    if dtype not in ("float32", "bfloat16"):
        raise UsageError("no such number format for the forward pass", got=repr(dtype), expected="float32 or bfloat16")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UsageError(
            "there is no CUDA device here",
            got="--device cuda",
            expected="a GPU and a torch built for it",
            remedy="use --device cpu, or install torch with CUDA (torch.cuda.is_available() must be True)",
        )
    return Precision(torch.device("cuda" if device != "cpu" and available else "cpu"), dtype)


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Keep convolutions and products in full float32: cuDNN's default is TF32, with a mantissa of 10 bits."""
    import torch

    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products

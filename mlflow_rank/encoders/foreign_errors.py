"""What other libraries' errors say, in our words."""

from __future__ import annotations

from mlflow_rank.errors import UsageError


def pickle_refused(where: object, error: Exception) -> UsageError:
    """Say that a pickle asked for more than tensors, which would have run code on loading."""
    cause = str(error).split("WeightsUnpickler error:")[-1].strip().splitlines()
    return UsageError(
        "these weights were refused: reading them would execute code",
        got=f"{where}: {cause[0] if cause else 'a pickle of arbitrary objects'}",
        expected="safetensors, or a pickle of plain tensors",
        remedy="ask its author for safetensors; do not load it with weights_only=False",
    )


def first_line(error: BaseException) -> str:
    """Return the first line that a library's error says, or its type where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

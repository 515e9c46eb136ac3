"""What a Hugging Face Trainer leaves beside a checkpoint: the loss that it logged last."""

from __future__ import annotations

import json
from pathlib import Path

STATE = "trainer_state.json"


def logged_loss(checkpoint: Path, step: int) -> float | None:
    """Return the training loss logged last, at or before a step; None where nothing is known of it.

    It may be NaN or infinite: that is worth knowing.
    """
    try:
        history = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["log_history"]
        logged = [(int(each["step"]), float(each["loss"])) for each in history if "loss" in each]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return next((loss for at, loss in reversed(logged) if at <= step), None)

"""The hook into Hugging Face's Trainer. Imported where it is asked for: transformers takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from mlflow_rank.errors import MissingDependencyError
from mlflow_rank.monitoring.hooks import Monitoring, Trainings
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

import_torchaudio()  # transformers imports it by itself, and fails beside a CPU-only torch without this

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    raise MissingDependencyError("transformers", needed_for="monitoring its Trainer", install="transformers") from error


class TrainerHook(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Monitors whatever `Trainer.train` trains; evaluating and predicting leave it alone.

    Steps are the optimiser's (`global_step`), whatever the gradient accumulation. The loss is the one that the Trainer
    logged last; by default it leaves NaN and infinity out (`logging_nan_inf_filter`). The Trainer tells nobody when an
    exception ends it: such a monitor is closed as the next monitored training of this process begins, or with it.

    Args:
        open_monitor: makes the monitor of one training, given the model that is trained.
    """

    _begun: ClassVar[list[tuple[Any, Trainings]]] = []
    """Trainings of this process that have not said their end, each with the state that its Trainer made for it."""

    def __init__(self, open_monitor: Callable[[Any], Monitoring]) -> None:
        self._trainings = Trainings(open_monitor)
        self._loss: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any = None, **_kwargs: Any) -> None:
        """Open a monitor at step 0, or at the step of the checkpoint that the training resumes from."""
        self._loss = None
        broken_off = [trainings for other, trainings in self._begun if other is not state]
        for trainings in broken_off:
            trainings.end()
        self._begun[:] = [(other, trainings) for other, trainings in self._begun if other is state]
        self._begun.append((state, self._trainings))
        self._trainings.begin(model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> Any:
        """Tell the monitor of the step, and the Trainer to stop where the monitor asks for it."""
        loss, self._loss = self._loss, None
        self._trainings.step(state.global_step, loss)
        if self._trainings.should_stop:
            control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: Any, control: Any, *, logs: Mapping[str, Any] | None = None, **_kwargs: Any
    ) -> None:
        """Keep the training loss until the next step."""
        loss = (logs or {}).get("loss")
        if loss is not None:
            self._loss = float(loss)

    def on_save(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        """Tell the monitor where the checkpoint lies."""
        directory = _checkpoint_directory(Path(args.output_dir), state)
        if directory is not None:
            self._trainings.checkpoint(directory, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        """Close the monitor. No point is taken here: the weights may be those of the best checkpoint by now."""
        self._trainings.end()
        self._begun[:] = [(other, trainings) for other, trainings in self._begun if trainings is not self._trainings]


def _checkpoint_directory(output: Path, state: Any) -> Path | None:
    """Return where the Trainer has just written, None where that cannot be told.

    Each trial of a hyperparameter search has a directory of its own, whose name the Trainer keeps to itself; the one
    that was written last is meant.
    """
    name = f"checkpoint-{state.global_step}"
    if not state.is_hyper_param_search:
        return output / name
    written = []
    for each in output.glob(f"*/{name}"):
        with suppress(OSError):  # another trial takes its own away
            written.append((each.stat().st_mtime_ns, each))
    return max(written, default=(0, None))[1]

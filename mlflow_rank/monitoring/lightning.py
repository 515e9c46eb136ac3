"""The hook into Lightning's Trainer. Imported where it is asked for: Lightning takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mlflow_rank.errors import MissingDependencyError
from mlflow_rank.monitoring.hooks import Monitoring, Trainings

_HOMES = ("lightning.pytorch", "pytorch_lightning")
"""The two names of the one package. Trainers of either take the callbacks of the other; importing both is slow."""


def _callback_class() -> Any:
    """Return the class of callbacks, of whichever package the training script has imported, else of one that is there.

    Raises:
        MissingDependencyError: neither is installed.
    """
    for home in sorted(_HOMES, key=lambda home: home not in sys.modules):
        try:
            return import_module(home).Callback
        except ModuleNotFoundError as error:
            if error.name not in (home, home.partition(".")[0]):
                raise
    raise MissingDependencyError("lightning", needed_for="monitoring its Trainer", install="lightning")


class LightningHook(_callback_class()):  # type: ignore[misc]  # which of two packages is known only when it runs
    """Monitors whatever `Trainer.fit` trains; validating, testing and predicting leave it alone.

    Steps are the optimisers' (`global_step`), whatever the gradient accumulation; where several optimisers take turns
    they count together, as Lightning has it. The loss is what `training_step` returned, summed over the batches of a
    step (Lightning divides it by their number). Checkpoints are those of checkpoint callbacks, told at the next event;
    those written because of an exception, or by a call of `save_checkpoint`, are not.

    Args:
        open_monitor: makes the monitor of one training, given the LightningModule.
    """

    def __init__(self, open_monitor: Callable[[Any], Monitoring]) -> None:
        super().__init__()
        self._trainings = Trainings(open_monitor)
        self._step = 0
        self._loss: Any = None
        self._saved_step: int | None = None
        self._told: dict[str, object] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open a monitor at step 0, or where the training resumes: only now is `global_step` read from a checkpoint."""
        self._step, self._loss, self._saved_step = trainer.global_step, None, None
        self._told = dict(_written(trainer))
        self._trainings.begin(pl_module, self._step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell the monitor of the step that this batch ended, if any, and the Trainer to stop where asked to."""
        self._tell_of_checkpoints(trainer)
        loss = _loss_in(outputs)
        if loss is not None:
            self._loss = loss if self._loss is None else _sum(self._loss, loss)
        if trainer.global_step == self._step:
            return  # gradients are still being accumulated
        self._step = trainer.global_step
        loss, self._loss = self._loss, None
        self._trainings.step(self._step, loss)
        if self._trainings.should_stop:
            trainer.should_stop = True

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Mapping[str, Any]) -> None:
        """Remember that a checkpoint is about to be written; where it lies is known only after it."""
        self._saved_step = int(checkpoint.get("global_step", trainer.global_step))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Tell the monitor of what was written at the end of the epoch before."""
        self._tell_of_checkpoints(trainer)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Close the monitor."""
        self.on_fit_end(trainer, pl_module)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Close the monitor, once the last checkpoint is written."""
        self._tell_of_checkpoints(trainer)
        self._trainings.end()

    def _tell_of_checkpoints(self, trainer: Any) -> None:
        if self._saved_step is None:
            return
        step, self._saved_step = self._saved_step, None
        for path, stamp in _written(trainer):
            if self._told.get(path) != stamp:
                self._told[path] = stamp
                self._trainings.checkpoint(path, step)


def mlflow_run_of(pl_module: Any) -> tuple[str, str] | None:
    """Return the tracking URI and the id of the run that the training's `MLFlowLogger` writes to, None without one.

    That run is never MLflow's active one. Of several processes only the first has one.
    """
    for logger in pl_module.trainer.loggers:
        if "MLFlowLogger" in (each.__name__ for each in type(logger).__mro__) and logger.run_id:
            return str(logger.experiment.tracking_uri), str(logger.run_id)
    return None


def _sum(loss: Any, more: Any) -> Any:
    """Return the sum of two losses; the second alone where they do not add, as tensors of other shapes."""
    try:
        return loss + more
    except (TypeError, RuntimeError):
        return more


def _loss_in(outputs: Any) -> Any:
    """Return the loss in what `training_step` returned, None where there is none.

    A number where it lies in memory; a tensor where reading it would wait for another device.
    """
    loss: Any = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if not hasattr(loss, "detach"):
        return loss
    loss = loss.detach()
    return loss.item() if loss.device.type == "cpu" and loss.numel() == 1 else loss


def _written(trainer: Any) -> Iterator[tuple[str, object]]:
    """Yield the paths that checkpoint callbacks name, each with what changes when it is written again."""
    named = set()
    for callback in trainer.checkpoint_callbacks:
        named |= {getattr(callback, name, "") for name in ("best_model_path", "last_model_path")}
        named |= set(getattr(callback, "best_k_models", ()))
    for path in sorted(filter(None, map(str, named))):
        try:
            about = Path(path).stat()
        except OSError:  # a remote place: it is told once
            yield path, "remote"
        else:
            yield path, (about.st_mtime_ns, about.st_size, about.st_ino)

"""Lightning trainings of a tiny HuBERT. Import it where it is used: Lightning takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from training_loops import BATCH, SEED, Pretraining, crops

from mlflow_rank.monitoring.lightning import LightningHook, mlflow_run_of

__all__ = [
    "LightningHook",
    "MLFlowLogger",
    "ModelCheckpoint",
    "Taught",
    "TwoOptimisers",
    "Validated",
    "data",
    "mlflow_run_of",
    "trainer",
]


class Taught(pl.LightningModule):
    """A tiny HuBERT as a Lightning module."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.model = Pretraining(directory)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        return self.model(**batch)["loss"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Validated(Taught):
    """The same, looked at between epochs."""

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        self.log("validation", self.model(**batch)["loss"])


class TwoOptimisers(Taught):
    """Takes two optimiser steps for each batch, by itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.automatic_optimization = False

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        for optimiser in self.optimizers():
            optimiser.zero_grad()
            self.manual_backward(self.model(**batch)["loss"])
            optimiser.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=1e-2) for part in (self.model.hubert, self.model.head)]


def data() -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(crops(), batch_size=BATCH)


def trainer(output: Path, callbacks: Sequence[Any], **settings: Any) -> pl.Trainer:
    """A real Trainer, silent, of six steps on the CPU unless `settings` say otherwise."""
    usual: dict[str, Any] = {
        "max_steps": 6,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": any(isinstance(each, ModelCheckpoint) for each in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": output,
    }
    pl.seed_everything(SEED, verbose=False)
    return pl.Trainer(callbacks=list(callbacks), **(usual | settings))

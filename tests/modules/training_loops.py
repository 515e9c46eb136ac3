"""Trainings of a few seconds at most: a tiny HuBERT in Hugging Face's Trainer, in Lightning's, and in a loop by hand.

Each starts from the same weights and the same seed, so that two runs of a loop end in the same bytes. Dropout, layer
drop and SpecAugment are on: whoever draws from a generator of torch's or numpy's changes what training does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mlflow_rank.encoders.random_weights import seeded
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

if TYPE_CHECKING:
    from transformers import Trainer

SAMPLES = 2400  # 0.15 s: 29 frames of the tiny HuBERT
BATCH = 2
SEED = 5


class Pretraining(torch.nn.Module):
    """A tiny HuBERT that learns to say which of eight clusters each frame belongs to."""

    def __init__(self, directory: Path) -> None:
        import_torchaudio()  # before transformers, which imports it by itself
        from transformers import HubertModel

        super().__init__()
        with seeded(SEED):
            self.hubert = HubertModel.from_pretrained(directory).train()
            self.head = torch.nn.Linear(self.hubert.config.hidden_size, 8)

    def forward(self, input_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.head(self.hubert(input_values).last_hidden_state)
        targets = labels[:, None].expand(logits.shape[:2])
        return {"loss": torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), "logits": logits}


def crops(count: int = 16) -> list[dict[str, torch.Tensor]]:
    """Seeded noise, each with a cluster."""
    noise = np.random.default_rng(SEED).normal(size=(count, SAMPLES)).astype(np.float32)
    return [{"input_values": torch.from_numpy(each), "labels": torch.tensor(n % 8)} for n, each in enumerate(noise)]


def sow(seed: int) -> None:
    """Seed every generator that training draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- transformers' SpecAugment draws from it
    torch.manual_seed(seed)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def differing(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the tensors that differ in any bit."""
    assert one.keys() == other.keys()
    return [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]


def huggingface_trainer(
    model: torch.nn.Module, output: Path, callbacks: Sequence[Any] = (), **arguments: Any
) -> Trainer:
    """A real Trainer, silent, of six steps on the CPU unless `arguments` say otherwise."""
    from transformers import Trainer, TrainingArguments

    usual = {
        "max_steps": 6,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "seed": SEED,
        "disable_tqdm": True,
        "log_level": "error",
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }
    given = TrainingArguments(output_dir=str(output), **(usual | arguments))
    sow(SEED)
    data = crops()
    return Trainer(model, given, train_dataset=data, eval_dataset=data[:4], callbacks=list(callbacks))


def batches(steps: int, *, size: int = BATCH, start: int = 0) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of steps `start + 1` to `steps`, in the order of the crops, round and round."""
    data = crops()
    for step in range(start, steps):
        chosen = [data[(step * size + place) % len(data)] for place in range(size)]
        yield {name: torch.stack([each[name] for each in chosen]) for name in chosen[0]}


def train_by_hand(
    model: torch.nn.Module, monitor: Any, *, steps: int = 6, start: int = 0, seed: int = SEED
) -> list[float]:
    """A loop as people write it: says each step to the monitor, stops where it asks for it; returns the losses."""
    sow(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    losses = []
    if monitor is not None:
        monitor.step(start)
    for step, batch in enumerate(batches(steps, start=start), start=start + 1):
        loss = model(**batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if monitor is not None:
            monitor.step(step, loss.item())
            if monitor.should_stop:
                break
    return losses


@dataclass
class Recorder:
    """A monitor that only writes down what it is told; fails or asks to stop where it is told to."""

    model: Any = None
    stop_at: int | None = None
    fail_at: int | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)
    should_stop: bool = False
    closed: int = 0

    def step(self, n: int, loss: Any = None) -> None:
        self.told.append(("step", n, None if loss is None else float(loss)))
        self.should_stop = self.stop_at is not None and n >= self.stop_at
        if n == self.fail_at:
            raise RuntimeError("the probe set has gone")

    def checkpoint(self, path: Any, step: int) -> None:
        self.told.append(("checkpoint", Path(path), step))

    def close(self) -> None:
        self.closed += 1

    @property
    def steps(self) -> list[int]:
        return [each[1] for each in self.told if each[0] == "step"]

    @property
    def losses(self) -> dict[int, float]:
        return {each[1]: each[2] for each in self.told if each[0] == "step" and each[2] is not None}

    @property
    def checkpoints(self) -> list[tuple[Path, int]]:
        return [each[1:] for each in self.told if each[0] == "checkpoint"]


def recording(**settings: Any) -> tuple[list[Recorder], Callable[[Any], Recorder]]:
    """What opens recorders, and the list of all that it has opened."""
    opened: list[Recorder] = []

    def open_monitor(model: Any) -> Recorder:
        opened.append(Recorder(model, **settings))
        return opened[-1]

    return opened, open_monitor


def settings(directory: Path, **more: Any) -> dict[str, Any]:
    """What real monitors are given to keep points in `directory` alone: at steps 0, 1, 2, 4, 6, … of four crops."""
    heard = [crop["input_values"].numpy() / 4 for crop in crops(4)]
    usual = {"probe_audio": heard, "directory": directory, "every": 2, "max_overhead": None, "use_mlflow": False}
    return usual | more


def watching(directory: Path, **more: Any) -> Callable[[Any], Any]:
    """What opens such monitors."""
    from mlflow_rank import RankMonitor

    return lambda model: RankMonitor(model, **settings(directory, **more))


def readings(directory: Path) -> dict[int, Any]:
    """What was read at each step, as it was kept in `directory`."""
    from mlflow_rank.monitoring.journal import read_points

    return {point.step: point.readings for point in read_points(directory)}

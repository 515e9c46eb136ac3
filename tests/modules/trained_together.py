"""Trainings by two processes, which talk over gloo: what each does, and what it leaves behind for tests to look at."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from training_loops import Pretraining, batches, huggingface_trainer, recording, sow, watching, weights

from mlflow_rank.monitoring.hooks import Trainings

STEPS = 6


def train(rank: int, place: Path, hubert: Path) -> None:
    """Be process `rank` of two, through every training there is; `place` gets a directory for each."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/rendezvous", rank=rank, world_size=2)
    with (place / f"said_{rank}").open("w", buffering=1) as said, redirect_stderr(said):
        by_hand(rank, place / "monitored", hubert, monitored=True)
        by_hand(rank, place / "plain", hubert, monitored=False)
        by_hand(rank, place / "stopped", hubert, monitored=True, broken_at=3)
        half_opened(rank, place / "half_opened")
        with_a_trainer(rank, place / "trainer", hubert)
    torch.distributed.destroy_process_group()


def by_hand(rank: int, place: Path, hubert: Path, *, monitored: bool, broken_at: int | None = None) -> None:
    """DistributedDataParallel in a loop by hand; the first process keeps the weights of each step."""
    place.mkdir(exist_ok=True)
    model = Pretraining(hubert)
    wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    monitor = watching(place / "monitor", stop_on=["divergence"])(wrapped) if monitored else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    sow(rank)  # dropout differs between the processes, as it does in people's trainings
    wrapped.train()

    def tell(step: int) -> None:
        if rank == 0:
            torch.save(weights(model), place / f"weights_{step}.pt")
        if monitor is not None:
            monitor.step(step)

    done = 0
    tell(0)
    for batch in batches(STEPS):
        loss = wrapped(**{name: tensor[rank::2] for name, tensor in batch.items()})["loss"]
        if done + 1 == broken_at and rank == 1:
            loss = loss * float("nan")  # reaches the other process with the gradients
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        done += 1
        tell(done)
        if monitor is not None and monitor.should_stop:
            break
    if monitor is not None:
        monitor.close()
    (place / f"done_{rank}.json").write_text(json.dumps(done))


def half_opened(rank: int, place: Path) -> None:
    """A hook whose monitor cannot be opened by the second process."""
    place.mkdir(exist_ok=True)
    opened, open_recorder = recording()

    def open_monitor(model: object) -> Any:
        if rank == 1:
            raise OSError("no such manifest: dev.jsonl")
        return open_recorder(model)

    trainings = Trainings(open_monitor)
    trainings.begin(torch.nn.Identity(), 0)
    trainings.step(1)
    trainings.end()
    told = [[monitor.steps, monitor.closed] for monitor in opened]
    (place / f"done_{rank}.json").write_text(json.dumps(told))


def with_a_trainer(rank: int, place: Path, hubert: Path) -> None:
    """Hugging Face's Trainer, whose monitor asks it to stop."""
    from mlflow_rank.monitoring.huggingface import TrainerHook

    place.mkdir(exist_ok=True)

    class Breaks(TrainerHook):
        def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **more: Any) -> Any:
            if state.global_step == 4:
                torch.nn.init.constant_(model.hubert.encoder.layers[1].feed_forward.output_dense.bias, float("nan"))
            return super().on_step_end(args, state, control, model=model, **more)

    hook = Breaks(watching(place / "monitor", stop_on=["divergence"]))
    together = {"ddp_backend": "gloo", "ddp_find_unused_parameters": True}
    trainer = huggingface_trainer(Pretraining(hubert), place, [hook], **together)
    trainer.train()
    wrapped = isinstance(trainer.model_wrapped, torch.nn.parallel.DistributedDataParallel)
    (place / f"done_{rank}.json").write_text(json.dumps([wrapped, trainer.state.global_step]))


if __name__ == "__main__":
    train(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

"""Pre-train the starter encoder: `python -m recipes.starter_encoder --output build/starter_encoder`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from transformers import HubertModel
from transformers.utils import logging as transformers_logging

from mlflow_rank.speech.starter.corpus import starter_corpus
from recipes.starter_encoder.audio import read_stream
from recipes.starter_encoder.model import MaskedPredictor, architecture, save_encoder
from recipes.starter_encoder.schedule import Schedule
from recipes.starter_encoder.targets import cluster, layer_frames, mfcc
from recipes.starter_encoder.training import train

MFCC_CLUSTERS, LAYER_CLUSTERS = 100, 200  # HuBERT's first iteration has 100; 500 later, too many for this corpus
MIDDLE_LAYER = 2  # of 0 … 5
REPORT_EVERY = 25  # steps; also the first of the log-spaced checkpoints


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/starter_encoder"), show_default=True)
@click.option("--steps", default=7_000, show_default=True, help="Steps of the first iteration (MFCC clusters).")
@click.option("--steps-second", default=3_000, show_default=True, help="Steps of the second (its own middle layer).")
@click.option("--minutes", type=float, help="Only the first minutes of the corpus, to try the recipe.  [default: all]")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=2, show_default=True, help="CPU threads; the weights depend on it in the last bits.")
@click.option("--bfloat16/--float32", default=False, show_default=True, help="Faster where the CPU has it.")
def main(
    output: Path, steps: int, steps_second: int, minutes: float | None, seed: int, threads: int, bfloat16: bool
) -> None:
    """Pre-train the starter encoder on the starter corpus and save log-spaced checkpoints from step 0."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    transformers_logging.disable_progress_bar()
    stream = read_stream(starter_corpus(say=click.echo), minutes=minutes)
    click.echo(f"{len(stream) / 16_000 / 60:.0f} min of unlabelled speech")

    encoder = HubertModel(architecture())
    journal = Journal(output, encoder, total=steps + steps_second)
    journal.checkpoint(0)
    targets = cluster(mfcc(stream), MFCC_CLUSTERS, seed=seed)
    journal.note(iteration=1, clusters=MFCC_CLUSTERS, unigram_entropy=_entropy(targets))
    model = MaskedPredictor(encoder, MFCC_CLUSTERS)
    schedule = Schedule(steps=steps, learning_rate=1e-3)
    train(model, stream, targets, schedule, seed=seed, after_step=journal.after_step, bfloat16=bfloat16)

    journal.begin_second(steps)
    targets = cluster(layer_frames(encoder, stream, MIDDLE_LAYER), LAYER_CLUSTERS, seed=seed)
    journal.note(iteration=2, clusters=LAYER_CLUSTERS, layer=MIDDLE_LAYER, unigram_entropy=_entropy(targets))
    model = MaskedPredictor(encoder, LAYER_CLUSTERS)
    schedule = Schedule(steps=steps_second, learning_rate=5e-4)
    train(model, stream, targets, schedule, seed=seed + 1, after_step=journal.after_step, bfloat16=bfloat16)
    journal.checkpoint(steps + steps_second)
    save_encoder(encoder, output / "final")
    click.echo(f"done: {output / 'final'}")


class Journal:
    """Saves checkpoints at steps 0, 25, 50, 100, … and at each iteration's end, and writes the training curve."""

    def __init__(self, output: Path, encoder: HubertModel, *, total: int) -> None:
        self.output, self.encoder, self.total = output, encoder, total
        self.offset, self.started = 0, time.monotonic()
        self.recent: list[tuple[float, float]] = []
        output.mkdir(parents=True, exist_ok=True)
        (output / "training.jsonl").write_text("")

    def begin_second(self, offset: int) -> None:
        """Count steps on from the first iteration's end."""
        self.checkpoint(offset)
        self.offset = offset

    def after_step(self, step: int, loss: float, accuracy: float) -> None:
        """Report now and then, and save at the log-spaced steps."""
        step += self.offset
        self.recent.append((loss, accuracy))
        if step % REPORT_EVERY == 0:
            mean_loss, mean_accuracy = np.mean(self.recent, axis=0)
            self.recent.clear()
            minutes = (time.monotonic() - self.started) / 60
            self.note(step=step, loss=round(float(mean_loss), 4), masked_accuracy=round(float(mean_accuracy), 4))
            left = minutes * (self.total / step - 1)
            click.echo(
                f"step {step}/{self.total}  loss {mean_loss:.3f}  masked {mean_accuracy:.3f}  {left:.0f} min left"
            )
        if step % REPORT_EVERY == 0 and (step // REPORT_EVERY).bit_count() == 1:  # 25, 50, 100, 200, …
            self.checkpoint(step)

    def checkpoint(self, step: int) -> None:
        """Save the encoder as it is after `step` steps."""
        save_encoder(self.encoder, self.output / f"step_{step:06d}")

    def note(self, **values: object) -> None:
        """Append one line to `training.jsonl`."""
        with (self.output / "training.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")


def _entropy(targets: np.ndarray) -> float:
    """Return the entropy of the cluster frequencies in nats: the loss of always guessing by frequency."""
    shares = np.bincount(targets) / len(targets)
    shares = shares[shares > 0]
    return round(float(-(shares * np.log(shares)).sum()), 4)


if __name__ == "__main__":
    main()

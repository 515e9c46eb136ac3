"""Ranks and pilots of every checkpoint of several runs, as one table: `python -m recipes.trajectories.assessing`."""

from __future__ import annotations

from pathlib import Path

import click
import torch

from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.speech.starter.corpus import StarterCorpus, starter_corpus
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow import PilotRequest, RankRequest, Setting
from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan
from mlflow_rank.workflow.studies.gathering.gathered import Sources, gathered, write_table
from mlflow_rank.workflow.studies.gathering.observing import merged
from mlflow_rank.workflow.studies.gathering.window import Window
from recipes.trajectories.labels import fewer

RUNS = Path("build/trajectories")
TASKS = {"phone": "phones", "keyword": "keywords", "speaker": "speakers"}
HOURS = 0.2  # of unlabelled audio: some 36,000 frames, and 226 utterances: 220 and 1.4 for each dimension


@click.command("assessing")
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1)
@click.option("--tasks", default=",".join(TASKS), show_default=True, help="Which pilots.")
@click.option("--hours", default=HOURS, show_default=True, help="Of unlabelled audio that ranks are measured on.")
@click.option("--from-step", default=0, show_default=True, help="Assess no earlier one, but for the random weights.")
@click.option("--to-step", type=int, default=None, help="Assess no later one.")
@click.option("--at-most", type=int, default=None, help="Checkpoints of each run, evenly by the logarithm of the step.")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=RUNS / "assessed", show_default=True,
    help="Where each result is kept at once.",
)  # fmt: skip
@click.option(
    "--table", type=click.Path(path_type=Path), default=RUNS / "table.json", show_default=True, help="Where to write."
)
def main(
    runs: tuple[Path, ...],
    tasks: str,
    hours: float,
    from_step: int,
    to_step: int | None,
    at_most: int | None,
    keep: Path,
    table: Path,
) -> None:
    """Measure and pilot the checkpoints of RUNS (directories of checkpoints, one a run) on fewer labels.

    What was assessed is kept: the same command goes on where it was stopped, and several may work on different runs.
    """
    torch.set_num_threads(1)
    with TerminalProgress() as progress:
        corpus = starter_corpus(say=progress.say)
        plan = AssessmentPlan(
            setting=Setting(max_skipped=0.0, output=keep),
            rank=RankRequest(sampling=Sampling(hours=hours)),
            pilots=tuple(pilot_of(task, corpus, keep / "labels") for task in tasks.split(",")),
            keep=keep,
            loaded_as="{path}",
        )
        sources = Sources(checkpoints=runs or (RUNS,), at_most=at_most)
        # the end of the run first: what a study is about, should somebody be in a hurry
        windows = {"trained": Window(max(from_step, 1), to_step), "random weights": Window(0, 0)}
        found = merged({name: gathered(sources, plan, progress, window=window) for name, window in windows.items()})
    write_table(found, table)
    say_what_there_is(found)


def pilot_of(task: str, corpus: StarterCorpus, into: Path) -> PilotRequest:
    """Return a pilot of a task in and out of domain, with all the labels that are left."""
    inside, outside = (fewer(corpus, f"{domain}/{TASKS[task]}", into) for domain in ("in_domain", "out_of_domain"))
    return PilotRequest(task, str(inside), str(outside), shots=("all",), draws=1, heads=("ridge",), log_mel=False)


def say_what_there_is(found: Trajectories) -> None:
    """Print the size of the table."""
    for run in found.runs:
        print(f"{run}: steps {', '.join(map(str, found.steps(run)))}")


if __name__ == "__main__":
    main()

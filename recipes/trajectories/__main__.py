"""Train the starter recipe's encoder from several seeds: `python -m recipes.trajectories`, then `mlflow-rank study`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click

from recipes.pretraining.run_directory import STATE

RUNS = Path("build/trajectories")
STUDIED = "phone,keyword,speaker"


@click.command("trajectories")
@click.option("--seeds", default=4, show_default=True, help="Runs, of seeds 0, 1, ….")
@click.option("--minutes", default=16.0, show_default=True, help="Length of each: 100 steps a minute, on any machine.")
@click.option("--per-doubling", default=4, show_default=True, help="Checkpoints in each doubling of the steps.")
@click.option("--small", is_flag=True, help="Three runs of 100 steps: minutes rather than most of an hour.")
@click.option("--workers", default=2, show_default=True, help="Runs at a time, one thread each.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="One directory a run in here."
)
def main(seeds: int, minutes: float, per_doubling: int, small: bool, workers: int, output: Path) -> None:
    """Pre-train from several seeds and save log-spaced checkpoints, for studies of rank beside the pilot.

    Runs that are there are not trained again, and interrupted ones go on.

    \b
    Examples:
      python -m recipes.trajectories
      python -m recipes.trajectories --small --output build/small
    """
    if small:
        seeds, minutes = 3, 1.0
    length = ("--minutes", f"{minutes:g}", "--fault-at", "1", "--per-doubling", f"{per_doubling}")
    with ThreadPoolExecutor(workers) as pool:
        ended = list(pool.map(partial(train, length=length, output=output), range(seeds)))
    failed = [str(seed) for seed, code in enumerate(ended) if code != 0]
    if failed:
        raise SystemExit(f"training failed for seed {', '.join(failed)}; what it said is above")
    # the schedule's rate has its peak there: what comes before is warming up
    warmed = min(300, round(minutes * 100) // 5)
    print(f"now: mlflow-rank study correlate --checkpoints {output} --task {STUDIED} --from-step {warmed}")


def train(seed: int, *, length: Sequence[str], output: Path) -> int:
    """Train the run of a seed, or what is left of it, in a process of its own, and return its exit code."""
    directory = output / f"seed_{seed}"
    begun = (directory / STATE).is_file()
    place = ("--resume" if begun else "--output", str(directory))
    asked = ("--seed", f"{seed}", "--no-mlflow", "--every", "50")
    told = subprocess.Popen(  # noqa: S603 -- our own module, by this very Python
        [sys.executable, "-m", "recipes.pretraining", *length, *asked, *place],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in _lines(told):
        print(f"seed {seed}: {line}", flush=True)
    return told.wait()


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stderr is not None:
        yield from (line.rstrip() for line in process.stderr)


if __name__ == "__main__":
    main()

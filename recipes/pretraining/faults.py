"""What the monitor sees of each fault, and what the pilot: `python -m recipes.pretraining.faults`.

One command, fixed seeds, the judge's own limits. Per objective and seed a healthy run is trained once; from one step of
it every fault goes on, and so does health. Each is monitored while it trains, and piloted at checkpoints from the onset
on. Everything is kept as it comes: the same command goes on where it was interrupted, and once all is trained it only
judges the kept points again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path

import click

from mlflow_rank.errors import MeasurementError
from mlflow_rank.reports.drawing import save_figure
from recipes.pretraining.fault_cases import Case, cases
from recipes.pretraining.fault_figure import draw_cases
from recipes.pretraining.fault_findings import finding_of
from recipes.pretraining.fault_injection import NONE
from recipes.pretraining.fault_table import fault_rows, healthy_rows
from recipes.pretraining.piloting import read_pilots
from recipes.pretraining.plan import Plan
from recipes.pretraining.run_directory import STATE, RunDirectory

ROOT = Path(__file__).parents[2]


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/faults"), show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Runs of everything, with seeds 0, 1, ….")
@click.option("--before", default=800, show_default=True, help="Healthy steps.")
@click.option("--after", default=400, show_default=True, help="Steps with the fault.")
@click.option("--every", default=10, show_default=True, help="Steps between points of the monitor.")
@click.option("--processes", default=2, show_default=True, help="Trainings at once, of one thread each.")
@click.option("--audio-minutes", type=float, help="Hear only so much of the corpus, to try the study.  [default: all]")
def main(
    output: Path, seeds: int, before: int, after: int, every: int, processes: int, audio_minutes: float | None
) -> None:
    """Train, break, monitor and pilot; print the README's tables and draw the figure."""
    output = output.resolve()
    all_cases = list(cases(output, seeds=seeds, before=before, after=after, audio_minutes=audio_minutes))
    carry_out_all(all_cases, every=every, processes=processes)
    findings = [finding_of(case) for case in all_cases]
    (output / "findings.json").write_text(json.dumps([asdict(each) for each in findings], indent=1), encoding="utf-8")
    save_figure(draw_cases(all_cases, findings), output / "faults")
    click.echo("\n".join([*fault_rows(findings), "", *healthy_rows(findings)]))


def carry_out_all(all_cases: Sequence[Case], *, every: int, processes: int) -> None:
    """Train and pilot every case, some at once: beginnings first, what goes on from each as soon as it is there.

    Raises:
        MeasurementError: a process failed; it says where its log lies.
    """
    follow: dict[Path, list[Case]] = {}
    for case in all_cases:
        follow.setdefault(case.beginning, []).append(case)
    with ThreadPoolExecutor(processes) as pool:
        begun: dict[Future[None], list[Case]] = {
            pool.submit(begin, same[0], every=every): same for same in follow.values()
        }
        running = set(begun)
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
                    running |= {pool.submit(go_on, case, every=every) for case in begun.pop(each, ())}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def begin(case: Case, *, every: int) -> None:
    """Train the healthy beginning of a case, and pilot its end."""
    healthy = Plan(**{**case.plan.document(), "fault": NONE})  # type: ignore[arg-type]
    _train(healthy, case.beginning, every=every, to=healthy.onset)
    _pilot(case.beginning, [healthy.onset])


def go_on(case: Case, *, every: int) -> None:
    """Train a case on from its beginning, and pilot its checkpoints."""
    if not (case.path / STATE).exists():
        RunDirectory(case.beginning).copy_to(case.path)
    _train(case.plan, case.path, every=every, to=case.plan.steps)
    _pilot(case.path, case.after)


def _train(plan: Plan, path: Path, *, every: int, to: int) -> None:
    there = (path / STATE).exists()
    if there and RunDirectory(path).state()["step"] >= to:
        return
    settings = {name: value for name, value in plan.document().items() if value is not None}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    place = [f"--resume={path}" if there else f"--output={path}", f"--every={every}", f"--stop-after={to}"]
    click.echo(f"{path.parent.name} {path.name}: training to step {to}", err=True)
    _run(["recipes.pretraining", *words, *place, "--no-mlflow"], path)


def _pilot(path: Path, steps: Sequence[int]) -> None:
    if not set(steps) <= read_pilots(path).keys():
        click.echo(f"{path.parent.name} {path.name}: piloting steps {', '.join(map(str, steps))}", err=True)
        _run(["recipes.pretraining.piloting", str(path), *map(str, steps)], path)


def _run(words: Sequence[str], path: Path) -> None:
    """Run a module of ours in a process with one thread; what it says goes to a log beside the run."""
    log = path.with_name(f"{path.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        ended = subprocess.run(  # noqa: S603  # modules of our own
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode != 0:
        raise MeasurementError(
            f"a part of the study failed: {words[0]}",
            got=f"exit code {ended.returncode}",
            remedy=f"see {log}; the same command goes on from there",
        )


if __name__ == "__main__":
    main()

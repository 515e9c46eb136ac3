"""What two processes of one training, joined by gloo, find together; each leaves it in a file for the tests."""

from __future__ import annotations

import dataclasses
import pickle
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import framed
import torch
import torch.distributed as dist

from mlflow_rank.encoders.live_encoder import LiveEncoder, live_encoder
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.monitoring import plug_in
from mlflow_rank.monitoring.cadence import Cadence
from mlflow_rank.monitoring.probing import convention_of, take_point
from mlflow_rank.monitoring.team import Team


def work(rank: int, size: int, folder: Path) -> None:
    """Be process `rank`, and write everything found."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", meeting, world_size=size, rank=rank, timeout=timedelta(seconds=60))
    try:
        found = _found(Team.here())
    finally:
        dist.destroy_process_group()
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))


def _found(team: Team) -> dict[str, Any]:
    # DistributedDataParallel gives every process the first's weights: these here are different until then.
    model = torch.nn.parallel.DistributedDataParallel(framed.Framed(seed=team.rank))
    encoder = live_encoder(model, layers="blocks.*")
    found: dict[str, Any] = {"team": team, "point": take_point(encoder, framed.probe_set(), step=3, team=team)}
    found["failure"] = _failing(encoder, team)
    found["failure after hearing"] = _failing_after_hearing(encoder, team)
    found["after the failure"] = take_point(encoder, framed.probe_set(), step=4, team=team)
    found["poisoned"] = take_point(encoder, framed.probe_set(poisoned=(1, 3)), step=5, team=team)
    found["one utterance"] = take_point(encoder, framed.probe_set(1), step=6, team=team)
    found["next steps"] = _next_steps(team)
    found["sharded"] = _sharded()
    found["same"] = _agreed(encoder, team, 4)
    found["different"] = _agreed(encoder, team, 4 + 2 * team.rank)
    return found


def _failing(encoder: LiveEncoder, team: Team) -> str:
    """Take a point while the second process runs out of memory."""

    def out_of_memory(_: torch.Tensor) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError("no more")

    if team.rank == 1:
        encoder = dataclasses.replace(encoder, forward=out_of_memory)
    try:
        take_point(encoder, framed.probe_set(), step=4, team=team)
    except MlflowRankError as error:
        return str(error)
    return "no failure"


def _failing_after_hearing(encoder: LiveEncoder, team: Team) -> str:
    """Take a point while the second process has no memory left to turn what was heard into readings."""
    failure = patch.object(plug_in, "of_rows", side_effect=MemoryError("none left"))
    with failure if team.rank == 1 else nullcontext():
        try:
            take_point(encoder, framed.probe_set(), step=4, team=team)
        except MlflowRankError as error:
            return str(error)
    return "no failure"


def _agreed(encoder: LiveEncoder, team: Team, utterances: int) -> str:
    try:
        team.agrees(convention_of(encoder, framed.probe_set(utterances)))
    except MlflowRankError as error:
        return f"{type(error).__name__}: {error}"
    return "agreed"


def _next_steps(team: Team) -> list[int]:
    """Return the steps of points where each process has a clock of its own, the second's far too fast."""
    now = [0.0]
    cadence = Cadence(every=10, max_overhead=0.1, clock=lambda: now[0])
    cadence.begin(0)
    taken = []
    for step in range(200):
        if cadence.due(step):
            (go,) = team.from_first(int(cadence.affords(step)))
            if go:
                with cadence.spending():
                    now[0] += 2.0 + 3 * team.rank
                taken.append(step)
            (cadence.next_step,) = team.from_first(cadence.plan(step))
        now[0] += 1.0 + 5 * team.rank
    return taken


def _sharded() -> str:
    from torch.distributed.fsdp import fully_shard

    model = framed.Framed()
    fully_shard(model)
    try:
        live_encoder(model, layers="blocks.*")
    except MlflowRankError as error:
        return str(error)
    return "no error"

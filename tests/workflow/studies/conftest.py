"""Training runs of an encoder that takes milliseconds, and how their checkpoints are assessed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from evidence import measurement
from listeners import plain as listener
from pilots import pilot
from safetensors.torch import save_file

from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.workflow import PilotRequest, RankRequest, Setting
from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan

FORM = CheckpointForm("module:listeners:plain@{path}")
"""How the checkpoints of `train` are loaded."""


@pytest.fixture
def form() -> CheckpointForm:
    return FORM


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Write checkpoints of training runs, and a log of the loss, below `runs` in this test's directory."""

    def write(*steps: int, run: str = "seed_0") -> Path:
        place = tmp_path / "runs" / run
        place.mkdir(parents=True, exist_ok=True)
        for step in steps:
            with torch.random.fork_rng():
                torch.manual_seed(step)
                save_file(listener().state_dict(), place / f"step_{step:06d}.safetensors")
        logged = (json.dumps({"step": step, "loss": 10.0 - step / 10}) + "\n" for step in steps)
        (place / "training.jsonl").write_text("".join(logged))
        return place

    return write


@pytest.fixture(scope="session")
def few_words(make_words: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of two words by four speakers, two of each."""
    place = tmp_path_factory.mktemp("few") / "words"
    return make_words(place, speakers=("ann", "bob", "cid", "dora"), words=("go", "stop"), each=2)


@pytest.fixture
def make_plan(make_setting: Callable[..., Setting], few_words: Path, tmp_path: Path) -> Callable[..., AssessmentPlan]:
    """Make a plan that hears 16 words, of which it takes ranks and a pilot."""

    def make(**more: object) -> AssessmentPlan:
        given = {
            "setting": make_setting(),
            "rank": RankRequest(str(few_words), sampling=Sampling(hours=None, blocks=2)),
            "pilots": (
                PilotRequest("keyword", str(few_words), shots=("all",), draws=2, heads=("ridge",), log_mel=False),
            ),
            "keep": tmp_path / "kept",
            "loaded_as": FORM.loaded_as,
        }
        return AssessmentPlan(**(given | more))  # type: ignore[arg-type]

    return make


class Store:
    """An MLflow store in a file, and documents put into runs as the recorders leave them, in a few milliseconds."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def hold(self, run_id: str, *, step: int | None = None, **model: object) -> None:
        """Put a measurement and a pilot of a model of these properties into a run."""
        folder = "mlflow_rank" if step is None else f"mlflow_rank/step_{step:010d}"
        piloted = pilot(layers=3)
        piloted["rows"] = [row for row in piloted["rows"] if (row["shots"], row["head"]) == ("all", "ridge")]
        for kind, document in (("measurement", measurement()), ("pilot", piloted)):
            document["model"] |= model
            self.client.log_dict(run_id, document, f"{folder}/{kind}.json")
            self.client.set_tag(run_id, f"mlflow_rank.{kind}" + ("" if step is None else f".step_{step}"), "sha256:0")
        for tag, name in (("model_digest", "digest"), ("files_digest", "files_digest")):
            if model.get(name):
                self.client.set_tag(run_id, f"mlflow_rank.{tag}", model[name])


@pytest.fixture(scope="session")
def store_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one store of these tests lies; each test has an experiment or a model of its own in it."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def store(store_place: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Work beside the store."""
    from mlflow_rank.registry.clients.connection import connected_client

    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(store_place)
    return Store(connected_client(f"sqlite:///{store_place / 'mlflow.db'}"))

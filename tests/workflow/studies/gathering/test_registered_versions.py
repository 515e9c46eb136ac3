"""Versions of a registered model are put together with what runs have heard of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.runs.run_documents import DocumentedRuns
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.gathering.gathered import Sources, gathered
from mlflow_rank.workflow.studies.gathering.registered_versions import RegisteredVersions, in_window, version_places
from mlflow_rank.workflow.studies.gathering.window import Window


class Registry:
    """A registry with a model of this test's own, whose versions were heard or not."""

    def __init__(self, store: Any, model: str, place: Path, tiny: Path) -> None:
        self.store, self.client, self.model, self.place, self.tiny = store, store.client, model, place, tiny
        self.experiment_id = self.client.create_experiment(model)
        self.client.create_registered_model(model)
        self.reader = RegisteredVersions(DocumentedRuns(self.client), Silence())

    def version(self, number: int, *, tags: dict[str, str] | None = None, run: dict[str, str] | None = None) -> Path:
        """Register a version, of a run with these tags where there is one; return its files."""
        files = write_checkpoint(self.tiny, self.place / str(number), seed=zlib.crc32(self.model.encode()) + number)
        run_id = None if run is None else self.client.create_run(self.experiment_id, tags=run).info.run_id
        self.client.create_model_version(self.model, str(files), run_id, tags=tags)
        return files

    def hear(self, *, run_id: str | None = None, digest: str = "a" * 64, files: str | None = None) -> None:
        """Hold a measurement and a pilot in a run, of its own where none is given."""
        run_id = run_id or self.client.create_run(self.experiment_id).info.run_id
        self.store.hold(run_id, digest=f"sha256:{digest}", files_digest=files, spec=f"models:/{self.model}/1")

    def run_of(self, number: int) -> str:
        return str(self.client.get_model_version(self.model, str(number)).run_id)

    def read(self) -> tuple[list[tuple[str, int, float | None]], list[str]]:
        known, lacking = self.reader.assessed(self.reader.placed([f"models:/{self.model}"]))
        return [(each.run, each.step, each.loss) for each in known], [each.version.address for each in lacking]


@pytest.fixture
def registry(store: Any, tiny_hubert: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Registry:
    (tmp_path / "versions").mkdir()
    return Registry(store, request.node.name.partition("[")[0], tmp_path / "versions", tiny_hubert)


def test_a_version_has_what_its_own_run_heard_and_is_of_the_runs_training(registry: Registry) -> None:
    parent = registry.client.create_run(registry.experiment_id, run_name="pretrain").info.run_id
    registry.version(1, tags={"training_step": "500"}, run={"training_run": "seed_3"})
    registry.version(2, tags={"training_step": "900"}, run={"mlflow.parentRunId": parent})
    registry.version(3, tags={"training_step": "70", "training_run": "seed_4"}, run={})
    for number in (1, 2, 3):
        registry.client.log_metric(registry.run_of(number), "loss", 2.0, step=50)
        registry.hear(run_id=registry.run_of(number), digest=str(number) * 64)

    assert registry.read() == ([("seed_3", 500, 2.0), ("pretrain", 900, 2.0), ("seed_4", 70, 2.0)], [])


def test_a_version_has_what_any_run_heard_of_its_files(registry: Registry) -> None:
    files = registry.version(1, tags={"training_step": "500"})
    registry.version(2, tags={"training_step": "600"})
    registry.hear(files=file_manifest(files).digest)

    known, lacking = registry.read()

    assert known == [(registry.model, 500, None)]
    assert lacking == [f"models:/{registry.model}/2"]


def test_a_version_has_what_any_run_heard_of_its_weights(registry: Registry) -> None:
    registry.version(1, tags={"training_step": "500", "mlflow_rank.model_digest": f"sha256:{'7' * 64}"})
    registry.hear(digest="7" * 64)

    assert registry.read() == ([(registry.model, 500, None)], [])


def test_what_a_run_says_of_other_weights_is_not_of_the_version(registry: Registry) -> None:
    tags = {"training_step": "500", "mlflow_rank.model_digest": f"sha256:{'8' * 64}"}
    registry.version(1, tags=tags, run={})
    registry.hear(run_id=registry.run_of(1), digest="9" * 64)

    assert registry.read() == ([], [f"models:/{registry.model}/1"])


def test_without_any_step_numbers_stand_for_steps_and_with_some_the_others_are_left_out(registry: Registry) -> None:
    registry.version(1)
    registry.version(2)
    model = f"models:/{registry.model}"
    assert version_places(registry.reader.placed([model])) == {
        f"{model}/1": (registry.model, 1), f"{model}/2": (registry.model, 2),
    }  # fmt: skip
    registry.client.set_model_version_tag(registry.model, "2", "training_step", "800")

    placed = registry.reader.placed([model])

    assert version_places(placed) == {f"{model}/2": (registry.model, 800)}
    assert registry.reader.left_out[0][0] == f"{model}/1"
    assert in_window(placed, Window(801)) == []


def test_versions_that_nobody_heard_are_named_or_assessed_where_labels_are(
    registry: Registry, make_plan: Callable[..., Any], make_setting: Callable[..., Any], tmp_path: Path
) -> None:
    for number, step in ((1, 100), (2, 200)):
        registry.version(number, tags={"training_step": str(step)})
    setting = make_setting(model="", layers=None, tracking_uri=registry.client.tracking_uri)
    plan = make_plan(setting=setting, loaded_as="{path}")
    sources = Sources(versions=(f"models:/{registry.model}",))
    with pytest.raises(UsageError, match="nothing was measured"):
        gathered(sources, plan, Silence(), window=Window())

    found = gathered(Sources(versions=sources.versions, assess_versions=True), plan, Silence(), window=Window())

    assert found.runs == (registry.model,)
    assert found.steps(registry.model) == (100, 200)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_what_names_no_model_is_refused(registry: Registry) -> None:
    for text in ("encoder", "models:/", "models:/encoder/3", "models:/encoder@champion"):
        with pytest.raises(UsageError, match="this names no registered model"):
            registry.reader.placed([text])


def test_a_model_without_versions_is_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match="there are no versions"):
        registry.reader.placed([f"models:/{registry.model}"])

"""From directories of checkpoints to a table: each checkpoint heard once, whatever comes between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow import assess
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.gathering import assessing_checkpoints
from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan
from mlflow_rank.workflow.studies.gathering.gathered import Sources, gathered, read_table
from mlflow_rank.workflow.studies.gathering.window import Window

Train = Callable[..., Path]
MakePlan = Callable[..., AssessmentPlan]
EACH = 16  # words, each both measured and piloted, and heard once for both


class Told(Silence):
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def gather(make_plan: MakePlan, form: CheckpointForm, tmp_path: Path) -> Callable[..., Trajectories]:
    """Gather what the runs of this test's directory hold."""
    plan = make_plan()

    def call(*places: Path, window: Window | None = None, told: Any = None, **more: Any) -> Trajectories:
        of_plan = {name: more.pop(name) for name in ("keep", "rank", "max_failed", "pilots") if name in more}
        save = more.pop("save_table", None)
        sources = Sources(checkpoints=places or (tmp_path / "runs",), form=form, **more)
        window = window or Window()
        whole = gathered(sources, replace(plan, **of_plan), told or Silence(), window=window, save_table=save)
        return window.of(whole)

    return call


def test_every_checkpoint_of_every_run_is_there_with_its_ranks_scores_and_loss(
    train: Train, gather: Callable[..., Trajectories]
) -> None:
    train(0, 10, 20)
    train(10, run="seed_1")

    table = gather()

    assert [(each.run, each.step, each.layer) for each in table.observations] == [
        (run, step, layer) for run, step in (("seed_0", 10), ("seed_0", 20), ("seed_1", 10)) for layer in (1, 2)
    ]
    assert [each.loss for each in table.observations[::2]] == [9.0, 8.0, 9.0]
    for each in table.observations:
        assert each.ranks["rank_frame"] > 1
        assert 0 <= each.scores["pilot_keyword"] <= 1
    assert table.conventions.settings["pilot.keyword.seed"] == 0
    first, other = (each for each in table.observations if (each.step, each.layer) == (10, 1))
    assert first.ranks == other.ranks  # the same weights in two runs


def test_after_ctrl_c_the_same_command_goes_on_and_hears_nothing_twice(
    train: Train, gather: Callable[..., Trajectories], heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(10, 20)
    told = Told()
    monkeypatch.setenv("LISTENER_INTERRUPT", str(EACH + 5))
    with pytest.raises(KeyboardInterrupt):
        gather(told=told)
    assert "goes on from there" in told.said[-1]
    monkeypatch.delenv("LISTENER_INTERRUPT")

    table = gather()

    assert heard.times == 2 * EACH + 1  # the word amid which it stopped
    assert table.steps("seed_0") == (10, 20)
    assert gather(told=told) == table
    assert heard.times == 2 * EACH + 1
    assert told.said[-1] == "2 of 2 checkpoints were assessed before"


def test_another_request_is_heard_anew_and_other_files_are_too(
    train: Train, gather: Callable[..., Trajectories], make_plan: MakePlan, heard: Any
) -> None:
    place = train(10)
    gather()
    rank = replace(make_plan().rank, sampling=replace(make_plan().rank.sampling, frame_stride=2))
    gather(rank=rank)
    assert heard.times == 2 * EACH
    (place / "step_000010.safetensors").write_bytes((train(30) / "step_000030.safetensors").read_bytes())

    gather()

    assert heard.times == 3 * EACH  # steps 10 and 30 are of the same bytes
    shutil.move(place, place.with_name("renamed"))
    gather()
    assert heard.times == 3 * EACH


def test_a_kept_result_that_was_damaged_is_made_again(
    train: Train, gather: Callable[..., Trajectories], heard: Any, tmp_path: Path
) -> None:
    train(10)
    whole = gather()
    [kept] = (tmp_path / "kept").iterdir()
    kept.write_text(kept.read_text()[:-50])

    assert gather() == whole
    assert heard.times == 2 * EACH
    assert json.loads(kept.read_text())["kind"] == "Assessment"


def test_a_broken_checkpoint_is_left_out_by_name_with_its_cause(
    train: Train, gather: Callable[..., Trajectories]
) -> None:
    place = train(10, 20, 30)
    (place / "step_000020.safetensors").write_bytes(b"nothing")
    told = Told()

    table = gather(told=told, max_failed=0.34)

    assert table.steps("seed_0") == (10, 30)
    [said] = [line for line in told.said if line.startswith("left out")]
    assert said.startswith("left out: seed_0, step 20: ")


def test_a_checkpoint_that_is_written_anew_while_it_is_heard_is_not_kept_under_its_old_bytes(
    train: Train, gather: Callable[..., Trajectories], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = train(10, 20)

    def slow(setting: Any, *given: Any) -> Any:
        done = assess(setting, *given)
        if "step_000020" in setting.model:
            shutil.copy(place / "step_000010.safetensors", place / "step_000020.safetensors")
        return done

    monkeypatch.setattr(assessing_checkpoints, "assess", slow)
    told = Told()

    assert gather(told=told, max_failed=0.5).steps("seed_0") == (10,)
    assert "left out: seed_0, step 20: it was written anew while it was assessed" in told.said
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_too_many_broken_checkpoints_are_an_error_that_says_why(
    train: Train, gather: Callable[..., Trajectories], heard: Any
) -> None:
    place = train(10, 20, 30)
    (place / "step_000010.safetensors").write_bytes(b"nothing")

    with pytest.raises(MeasurementError, match="too many checkpoints cannot be assessed") as failed:
        gather(max_failed=0.3)
    assert "seed_0, step 10" in str(failed.value)
    assert heard.times == 0  # it ends as soon as that is clear


def test_wrong_labels_are_refused_once_and_not_of_each_checkpoint(
    train: Train, gather: Callable[..., Trajectories], make_plan: MakePlan
) -> None:
    train(10)
    [pilot] = make_plan().pilots
    told = Told()

    with pytest.raises(UsageError):
        gather(told=told, pilots=(replace(pilot, labels="nowhere.jsonl"),))
    assert not [line for line in told.said if line.startswith("left out")]


def test_a_window_saves_hearing_unless_the_whole_table_is_wanted(
    train: Train, gather: Callable[..., Trajectories], heard: Any, tmp_path: Path
) -> None:
    train(0, 10, 20)
    table = gather(window=Window(15, chosen=True))
    assert (table.steps("seed_0"), heard.times) == ((20,), EACH)
    file = tmp_path / "table.json"

    again = gather(window=Window(15, chosen=True), save_table=file)

    assert again == table
    assert heard.times == 3 * EACH
    assert read_table(file).steps("seed_0") == (0, 10, 20)


def test_a_few_of_many_give_a_first_answer(train: Train, gather: Callable[..., Trajectories], heard: Any) -> None:
    train(1, 2, 4, 8, 16)

    assert gather(at_most=2).steps("seed_0") == (1, 16)
    assert heard.times == 2 * EACH


def test_tables_and_checkpoints_are_put_together_where_their_conventions_agree(
    train: Train, gather: Callable[..., Trajectories], make_plan: MakePlan, tmp_path: Path
) -> None:
    train(10, run="seed_0")
    gather(save_table=tmp_path / "first.json")
    other = train(10, run="seed_1")

    table = gather(other, tables=(tmp_path / "first.json",))

    assert table.runs == ("seed_0", "seed_1")
    rank = replace(make_plan().rank, sampling=replace(make_plan().rank.sampling, frame_stride=2))
    with pytest.raises(UsageError, match=r"rank\.frame_stride"):
        gather(other, tables=(tmp_path / "first.json",), rank=rank)


# refusals that hear nothing


def test_no_source_is_refused_with_what_there_is(make_plan: MakePlan) -> None:
    with pytest.raises(UsageError, match="nothing to study") as refused:
        gathered(Sources(), make_plan(), Silence(), window=Window())
    for option in ("--checkpoints", "--runs", "--versions", "--table"):
        assert option in str(refused.value)


def test_a_window_in_which_nothing_lies_is_refused(train: Train, gather: Callable[..., Trajectories]) -> None:
    train(10)

    with pytest.raises(UsageError, match="no checkpoint lies in the window"):
        gather(window=Window(500, chosen=True))


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        Window(10, 5)


@pytest.mark.parametrize("content", ["[1]", "{", '{"kind": "PilotResult"}'])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content)

    with pytest.raises(UsageError):
        read_table(tmp_path / "table.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_table(tmp_path / "gone.json")


@pytest.mark.parametrize(("columns", "what"), [(["rank_frame"], "nothing was piloted"), ([], "nothing was measured")])
def test_a_table_without_ranks_or_scores_is_refused(
    tmp_path: Path, make_plan: MakePlan, columns: list[str], what: str
) -> None:
    said = {
        "kind": "Trajectories",
        "conventions": {"rank.dtype": "float32"},
        "outcomes": [],
        "columns": ["run", "step", "loss", "layer", *columns],
        "rows": [["seed_0", 10, None, 0, *(5.0 for _ in columns)]],
    }
    (tmp_path / "table.json").write_text(json.dumps(said))

    with pytest.raises(UsageError, match=what):
        gathered(Sources(tables=(tmp_path / "table.json",)), make_plan(), Silence(), window=Window())

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.arrivals import Arrivals, PassedOver
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm

SETTLE, PATIENCE = 5.0, 60.0


@dataclass
class Place:
    """A directory that checkpoints are written into, and the time there, which only passes when it is told to."""

    directory: Path
    passed: float = 0.0
    arrivals: Arrivals = field(init=False)
    has_told: list[PassedOver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.begin()

    def begin(self, **settings: Any) -> Arrivals:
        self.arrivals = Arrivals(
            self.directory,
            clock=lambda: 1000.0 + self.passed,
            now=lambda: time.time() + self.passed,
            **{"settle": SETTLE, "patience": PATIENCE} | settings,
        )
        return self.arrivals

    def write(self, name: str, *, weights: bytes = b"weights", whole: bool = True) -> Path:
        """Write a checkpoint, or the part of it that is written first."""
        place = self.directory / name
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text("{}")
        if whole:
            (place / "model.safetensors").write_bytes(weights)
        return place

    def later(self, seconds: float = SETTLE) -> str | None:
        """Let time pass; return the name of what is ready then."""
        self.passed += seconds
        return self.ready()

    def ready(self) -> str | None:
        sight = self.arrivals.look()
        self.has_told += sight.passed_over
        return None if sight.ready is None else sight.ready.name

    def judge(self) -> int:
        """Judge what is ready; return its step."""
        found = self.arrivals.look().ready
        assert found is not None
        self.arrivals.done(found)
        return found.step

    def told(self) -> list[PassedOver]:
        return list(self.arrivals.look().passed_over)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "checkpoints")


def test_a_checkpoint_is_offered_once_its_files_have_lain_still(place: Place) -> None:
    place.write("checkpoint-500")

    assert place.ready() is None
    assert place.arrivals.look().waiting == ("checkpoint-500",)
    assert place.later(SETTLE - 1) is None
    assert place.later(1) == "checkpoint-500"
    assert place.judge() == 500
    assert place.ready() is None


def test_every_change_of_a_file_makes_it_wait_again(place: Place) -> None:
    checkpoint = place.write("checkpoint-500", whole=False)
    place.ready()

    for written in range(1, 4):
        place.passed += SETTLE
        (checkpoint / "model.safetensors").write_bytes(b"w" * written)
        assert place.ready() is None
    assert place.later() == "checkpoint-500"


def test_what_has_lain_there_for_long_is_offered_at_the_first_look(place: Place) -> None:
    place.write("checkpoint-500")

    assert place.later(SETTLE + 1) == "checkpoint-500"


def test_a_copy_that_keeps_old_times_is_watched_like_any_other(place: Place) -> None:
    checkpoint = place.write("checkpoint-500")
    for file in checkpoint.iterdir():
        os.utime(file, (1.0e9, 1.0e9))

    assert place.ready() is None
    assert place.later() == "checkpoint-500"


def test_checkpoints_are_offered_by_step_whatever_the_order_of_their_names_and_times(place: Place) -> None:
    for step in (1000, 200, 90):
        place.write(f"checkpoint-{step}")
    place.passed += 2 * SETTLE

    assert [place.judge() for _ in range(3)] == [90, 200, 1000]


def test_a_whole_one_waits_for_an_earlier_that_is_being_written_but_not_for_ever(place: Place) -> None:
    place.write("checkpoint-1000")
    place.passed += 2 * SETTLE
    place.ready()
    earlier = place.write("checkpoint-500", whole=False)

    waited = 0.0
    while place.ready() is None:
        waited += 2.0
        place.passed += 2.0
        (earlier / "model.safetensors").write_bytes(b"w" * int(waited))

    assert place.ready() == "checkpoint-1000"
    assert waited == pytest.approx(PATIENCE, abs=2.0)
    place.judge()
    assert [(each.name, each.cause) for each in place.told()] == [
        ("checkpoint-500", "step 1000 was judged before it could be heard")
    ]


def test_an_earlier_one_that_is_whole_in_time_comes_first(place: Place) -> None:
    place.write("checkpoint-1000")
    place.passed += 2 * SETTLE
    place.ready()
    place.write("checkpoint-500")

    assert place.ready() is None
    assert place.later() == "checkpoint-500"


def test_a_late_one_is_told_once_and_holds_nothing_back(place: Place) -> None:
    place.write("checkpoint-1000")
    place.passed += 2 * SETTLE
    place.judge()
    place.write("checkpoint-500")

    assert place.told() == [PassedOver("checkpoint-500", 500, "step 1000 was judged before it could be heard")]
    assert place.told() == []
    place.write("checkpoint-1500")
    place.ready()
    assert place.later() == "checkpoint-1500"


def test_what_cannot_be_loaded_is_tried_again_for_a_while_and_then_passed_over_with_its_cause(place: Place) -> None:
    place.write("checkpoint-500")
    place.write("checkpoint-1000")
    place.ready()
    place.passed += SETTLE
    tries = 0

    while place.ready() != "checkpoint-1000":
        found = place.arrivals.look().ready
        if found is not None:
            tries += 1
            place.arrivals.failed(found, "the header is too long")
        place.passed += 1.0
        assert place.passed < 2 * PATIENCE

    assert 3 < tries < 12
    assert place.passed == pytest.approx(PATIENCE, abs=2)
    assert place.has_told == [PassedOver("checkpoint-500", 500, "it cannot be loaded: the header is too long")]


def test_what_could_not_be_loaded_is_offered_again_when_its_files_change(place: Place) -> None:
    checkpoint = place.write("checkpoint-500", weights=b"half")
    place.passed += 2 * PATIENCE
    found = place.arrivals.look().ready
    assert found is not None
    place.arrivals.failed(found, "half of it")
    assert place.ready() is None  # it had lain there for long: no patience is left

    (checkpoint / "model.safetensors").write_bytes(b"all of it")
    assert place.ready() is None
    assert place.later() == "checkpoint-500"


def test_a_failure_that_came_too_late_for_the_files_as_they_are_now_does_not_count(place: Place) -> None:
    checkpoint = place.write("checkpoint-500", weights=b"half")
    place.passed += 2 * PATIENCE
    found = place.arrivals.look().ready
    assert found is not None
    (checkpoint / "model.safetensors").write_bytes(b"all of it")
    assert not place.arrivals.is_unchanged(found)
    place.arrivals.look()
    place.arrivals.failed(found, "half of it")

    assert place.later() == "checkpoint-500"


def test_one_that_vanishes_before_it_could_be_heard_is_told_once(place: Place) -> None:
    place.write("checkpoint-500")
    place.ready()
    shutil.rmtree(place.directory / "checkpoint-500")

    assert place.told() == [PassedOver("checkpoint-500", 500, "it was gone before it could be heard")]
    assert place.told() == []


def test_rotation_of_what_was_judged_is_no_news(place: Place) -> None:
    checkpoint = place.write("checkpoint-500")
    (checkpoint / "optimizer.pt").write_bytes(b"large")
    place.passed += 2 * SETTLE
    place.judge()

    (checkpoint / "optimizer.pt").unlink()
    assert place.told() == []
    shutil.rmtree(checkpoint)
    assert place.told() == []


def test_one_that_is_written_again_after_it_was_judged_is_told(place: Place) -> None:
    place.write("checkpoint-500")
    place.passed += 2 * SETTLE
    place.judge()
    place.told()

    place.write("checkpoint-500", weights=b"of another run")

    assert place.told() == [PassedOver("checkpoint-500", 500, "it was written again after it was judged")]
    assert place.later(10 * SETTLE) is None


@pytest.mark.parametrize("name", ["tmp-checkpoint-500", ".checkpoint-500.x7", "checkpoint-500.tmp", "step_500.part"])
def test_names_that_writers_give_while_they_write_are_not_looked_at(place: Place, name: str) -> None:
    place.write(name)

    assert place.later(10 * SETTLE) is None
    assert place.arrivals.look().waiting == ()


def test_what_holds_no_checkpoint_is_not_waited_for(place: Place) -> None:
    (place.directory / "runs_2026").mkdir()
    (place.directory / "runs_2026" / "events.out").write_bytes(b"grows")
    (place.directory / "config.json").write_text("{}")
    (place.directory / "model.safetensors").write_bytes(b"the last, beside the others")
    (place.directory / "checkpoint-7").mkdir()

    assert place.later(10 * SETTLE) is None
    assert place.arrivals.look().waiting == ()


def test_a_link_to_a_neighbour_is_no_checkpoint_and_one_to_elsewhere_is_one(place: Place, tmp_path: Path) -> None:
    place.write("checkpoint-500")
    elsewhere = Place(tmp_path / "elsewhere").write("step")
    (place.directory / "latest-9").symlink_to("checkpoint-500")
    (place.directory / "broken-3").symlink_to("nowhere")
    (place.directory / "checkpoint-1000").symlink_to(elsewhere)
    place.passed += 2 * SETTLE

    assert [place.judge(), place.judge()] == [500, 1000]
    assert place.ready() is None
    assert place.told() == []


def test_without_steps_in_names_the_order_of_modification_counts_and_one_written_again_is_new(place: Place) -> None:
    for age, name in enumerate(("warm", "mild", "cold"), start=1):
        for file in place.write(name).iterdir():
            os.utime(file, ns=(10**18 - age * 10**9, 10**18 - age * 10**9))
    place.passed += 2 * SETTLE

    names = []
    for step in (1, 2, 3):
        names.append(place.ready())
        assert place.judge() == step
    assert names == ["cold", "mild", "warm"]
    assert place.arrivals.in_order
    place.write("mild", weights=b"further trained")
    place.ready()
    assert place.later() == "mild"
    assert place.judge() == 4


def test_a_name_without_a_step_among_others_is_passed_over(place: Place) -> None:
    place.write("checkpoint-500")
    place.write("best")
    place.passed += 2 * SETTLE
    place.judge()

    assert place.told() == [PassedOver("best", None, "its name says no step, as others here do")]


def test_two_checkpoints_of_one_step_give_one_point(place: Place) -> None:
    place.write("checkpoint-500")
    place.write("epoch-1-step-500")
    place.passed += 2 * SETTLE
    place.judge()

    assert place.told() == [PassedOver("epoch-1-step-500", 500, "there is a point of step 500 already")]


def test_checkpoints_are_thinned_to_so_many_steps(place: Place) -> None:
    place.begin(every=1000)
    for step in (500, 1000, 1400, 1500, 3000):
        place.write(f"checkpoint-{step}")
    place.passed += 2 * SETTLE

    assert [place.judge() for _ in range(3)] == [500, 1500, 3000]
    shutil.rmtree(place.directory)
    assert place.told() == []  # also of those that nothing was wanted of


def test_what_was_judged_before_is_not_offered_again(place: Place) -> None:
    place.begin(judged={"checkpoint-500": 500}, last=500)
    place.write("checkpoint-500")
    place.write("checkpoint-1000")
    place.passed += 2 * SETTLE

    assert place.judge() == 1000
    assert place.told() == []


def test_files_of_weights_are_checkpoints_where_the_form_says_so(place: Place) -> None:
    place.begin(form=CheckpointForm("torchaudio:HUBERT_BASE@{path}"))
    place.write("checkpoint-9")
    (place.directory / "step_000500.pt").write_bytes(b"weights")
    (place.directory / "log_600.txt").write_text("no weights")
    place.passed += 2 * SETTLE

    found = place.arrivals.look().ready
    assert found is not None
    assert found.spec == f"torchaudio:HUBERT_BASE@{place.directory}/step_000500.pt"
    assert place.arrivals.is_unchanged(found)
    assert place.judge() == 500
    assert place.ready() is None


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500),
        ("step_000500", 500),
        ("epoch=3-step=500-loss=0.35", 500),
        ("model.500", 500),
        ("checkpoint_1_500.pt", 500),
        ("hubert2-500.safetensors", 500),
        ("best", None),
        ("loss=0.35", None),
    ],
)
def test_the_step_is_the_last_whole_number_of_a_name(name: str, step: int | None) -> None:
    assert CheckpointForm().step(name) == step


@pytest.mark.parametrize(
    ("pattern", "name", "step"),
    [
        (r"update_(\d+)", "update_500_of_900", 500),
        (r"epoch_(?P<epoch>\d+)_step_(?P<step>\d+)", "epoch_2_step_500", 500),
        (r"\d+", "500_of_900", 500),
        (r"update_(\d+)", "epoch_3", None),
        (r"(update)", "update_500", None),
    ],
)
def test_a_pattern_says_where_the_step_is(pattern: str, name: str, step: int | None) -> None:
    assert CheckpointForm(pattern=pattern).step(name) == step


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CheckpointForm("torchaudio:HUBERT_BASE"), "where the checkpoint comes in"),
        (lambda: CheckpointForm(pattern="("), "no regular expression"),
        (lambda: Arrivals(Path("nowhere")), "no directory of checkpoints"),
        (lambda: Arrivals(Path.cwd(), every=0), "every 0 steps"),
        (lambda: Arrivals(Path.cwd(), settle=float("nan")), "settled for nan s"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()

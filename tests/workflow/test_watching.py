from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from checkpoints import WEIGHTS, cut_off, write_checkpoint

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.presented import present
from mlflow_rank.evidence.statement import Subject
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.monitoring.checkpoint_log import Heard
from mlflow_rank.monitoring.journal import read_points
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.probing import take_point
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.workflow import Setting
from mlflow_rank.workflow.policies import NOBODY
from mlflow_rank.workflow.watch_evidence import WatchEvidence, alarms_at
from mlflow_rank.workflow.watch_loop import Probed, Until
from mlflow_rank.workflow.watching import Watched, WatchRequest, watch

SETTLE = 0.1  # s; files that are written here are written within a fraction of it, or slowly on purpose
ONCE = Until(once=True)


class Said:
    """Progress whose words are remembered."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def say_once(self, text: str) -> None:
        if text not in self.lines:
            self.say(text)

    def begin(self, title: str, total: float) -> None: ...

    def advance(self, amount: float) -> None: ...

    def about(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


@dataclass
class Bench:
    """A directory of checkpoints, and a watch of it."""

    place: Path
    tiny: Path
    audio: Path
    said: Said

    @property
    def checkpoints(self) -> Path:
        return self.place / "checkpoints"

    def write(self, name: str, **how: Any) -> Path:
        return write_checkpoint(self.tiny, self.checkpoints / name, **how)

    def request(self, until: Until = ONCE, **more: Any) -> WatchRequest:
        given: dict[str, Any] = {
            "source": str(self.checkpoints),
            "probed": Probed(str(self.audio), 4, 0.2, 0),
            "directory": self.place / "monitor",
            "settle": SETTLE,
        }
        return WatchRequest(until=until, **(given | more))

    def watch(self, until: Until = ONCE, *, layers: str | None = None, **more: Any) -> Watched:
        setting = Setting(model="", layers=layers, device="cpu", cache=self.place / "cache")
        return watch(self.request(until, **more), setting, self.said, destination=None)

    def steps(self) -> list[int]:
        return [point.step for point in read_points(self.place / "monitor")]


@pytest.fixture
def bench(tmp_path: Path, tiny_hubert: Path, recordings: Path) -> Bench:
    (tmp_path / "checkpoints").mkdir()
    return Bench(tmp_path, tiny_hubert, recordings, Said())


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_what_is_there_is_judged_by_step_and_kept(bench: Bench) -> None:
    for seed, name in enumerate(("step_1000", "step_000200", "step_30")):
        bench.write(name, seed=seed)

    watched = bench.watch()

    assert watched.ended == "once"
    assert bench.steps() == [30, 200, 1000]
    assert watched.document()["last_step"] == 1000
    assert watched.open_alarms == ()
    one, other = (point.reading(2, "frame") for point in read_points(bench.place / "monitor")[:2])
    assert one is not None
    assert other is not None
    assert one.rank is not None
    assert 1 < one.rank < 8
    assert one.rank != other.rank  # each was heard with its own weights


def test_a_watch_that_goes_on_hears_only_what_is_new(bench: Bench) -> None:
    for step in (1, 2):
        bench.write(f"checkpoint-{step}", seed=step)
    bench.watch()
    before = (bench.place / "monitor" / "points.jsonl").read_text()
    shutil.rmtree(bench.checkpoints / "checkpoint-1")
    bench.write("checkpoint-3", seed=3)
    bench.said.lines.clear()

    watched = bench.watch()

    assert bench.steps() == [1, 2, 3]
    assert (bench.place / "monitor" / "points.jsonl").read_text().startswith(before)
    assert [line.partition(":")[0] for line in bench.said.about("[checkpoint-")] == ["step 3"]
    assert len(watched.loop.verdicts) == 3


def test_what_is_judged_twice_from_the_start_is_judged_alike(bench: Bench) -> None:
    for step in (1, 2, 3):
        bench.write(f"checkpoint-{step}", seed=step)
    whole = bench.watch()
    again = bench.watch()
    apart = bench.watch(directory=bench.place / "elsewhere")

    assert again.loop.verdicts == whole.loop.verdicts
    assert [replace(each.point, at=0, seconds=0) for each in apart.loop.verdicts] == [
        replace(each.point, at=0, seconds=0) for each in whole.loop.verdicts
    ]


@pytest.mark.parametrize(
    ("more", "names"), [({"probed": Probed("", 4, 0.2, 1)}, "probe_set"), ({"layers": "1,2"}, "layers")]
)
def test_another_probe_set_or_convention_than_before_is_refused_by_name(
    bench: Bench, more: dict[str, Any], names: str
) -> None:
    bench.write("checkpoint-1")
    bench.watch()
    bench.write("checkpoint-2")
    if "probed" in more:
        more = {"probed": replace(more["probed"], audio=str(bench.audio))}

    with pytest.raises(UsageError, match=names):
        bench.watch(**more)
    assert bench.steps() == [1]


def test_one_that_is_written_slowly_is_heard_once_it_is_whole(bench: Bench) -> None:
    checkpoint = bench.write("checkpoint-5")
    expected = bench.watch(directory=bench.place / "whole").loop.verdicts[0].point.readings
    rest = cut_off(checkpoint)

    def write_on() -> None:
        with (checkpoint / WEIGHTS).open("ab", buffering=0) as file:
            for start in range(0, len(rest), len(rest) // 8):
                time.sleep(SETTLE / 2)
                file.write(rest[start : start + len(rest) // 8])

    writer = meanwhile(write_on)
    watched = bench.watch()
    writer.join()

    assert [each.point.step for each in watched.loop.verdicts] == [5]
    assert watched.loop.verdicts[0].point.readings == expected
    assert watched.loop.passed_over == []


def test_one_whose_writer_pauses_is_tried_again_and_heard(bench: Bench) -> None:
    checkpoint = bench.write("checkpoint-5")
    rest = cut_off(checkpoint)

    def write_on() -> None:
        while not bench.said.about("cannot be loaded as it is"):
            time.sleep(0.01)
        with (checkpoint / WEIGHTS).open("ab") as file:
            file.write(rest)

    writer = meanwhile(write_on)
    watched = bench.watch(settle=1.0)  # patience of 12 s, of which a moment is needed
    writer.join()

    assert [each.point.step for each in watched.loop.verdicts] == [5]
    assert watched.loop.passed_over == []


def test_a_broken_one_is_passed_over_with_its_cause_and_the_next_is_heard(bench: Bench) -> None:
    cut_off(bench.write("checkpoint-5"))
    (bench.write("checkpoint-6") / "config.json").write_text("{}")
    bench.write("checkpoint-7")

    watched = bench.watch()

    assert bench.steps() == [7]
    assert [(each.step, each.name) for each in watched.loop.passed_over] == [(5, "checkpoint-5"), (6, "checkpoint-6")]
    assert "cannot be loaded" in watched.loop.passed_over[0].cause
    assert len(bench.said.about("passed over: checkpoint-5")) == 1


def test_one_that_lies_there_broken_since_long_is_tried_once_and_nothing_else_is_said(bench: Bench) -> None:
    cut_off(bench.write("checkpoint-5"))
    time.sleep(13 * SETTLE)  # longer than its patience
    bench.write("checkpoint-6")

    bench.watch()

    assert bench.steps() == [6]
    assert not bench.said.about("trying again")
    assert len(bench.said.about("passed over: checkpoint-5")) == 1


def test_where_nothing_can_be_judged_the_error_says_what_was_there(bench: Bench) -> None:
    cut_off(bench.write("checkpoint-5"))

    watched = bench.watch()

    assert watched.loop.verdicts == []
    assert isinstance(watched.nothing_judged(), MeasurementError)
    assert "checkpoint-5: it cannot be loaded" in str(watched.nothing_judged())
    assert not (bench.place / "monitor" / "points.jsonl").exists()


def test_another_encoder_among_the_checkpoints_is_passed_over(bench: Bench) -> None:
    bench.write("checkpoint-1")
    shutil.copytree(Path(__file__).parents[2] / "mlflow_rank/encoders/starter", bench.checkpoints / "checkpoint-2")
    bench.write("checkpoint-3")

    watched = bench.watch()

    assert bench.steps() == [1, 3]
    assert "it is another encoder than those before" in watched.loop.passed_over[0].cause


def test_rotation_while_watching_loses_only_what_was_not_heard(bench: Bench) -> None:
    """A training writes three, keeping the newest two, while the watch hears each."""

    def train() -> None:
        for step in range(1, 6):
            bench.write(f"tmp-checkpoint-{step}", seed=step).rename(bench.checkpoints / f"checkpoint-{step}")
            if step > 2:
                shutil.rmtree(bench.checkpoints / f"checkpoint-{step - 2}")
            time.sleep(2 * SETTLE)

    training = meanwhile(train)
    watched = bench.watch(Until(step=5))
    training.join()

    heard = bench.steps()
    assert heard[-1] == 5
    assert heard == sorted(heard)
    gone = {each.step for each in watched.loop.passed_over}
    assert gone | set(heard) == {1, 2, 3, 4, 5}
    assert not gone & set(heard)


def test_nan_in_a_layer_opens_an_alarm_and_a_watch_that_stops_on_it_ends_at_once(bench: Bench) -> None:
    bench.write("checkpoint-1")
    bench.write("checkpoint-2", lost=True)
    bench.write("checkpoint-3")

    watched = bench.watch(Until(once=True, stop_on=("divergence",)))

    assert watched.ended == "alarm"
    assert bench.steps() == [1, 2]
    assert [(alarm.kind, alarm.layers) for alarm in watched.open_alarms] == [("divergence", (2,))]
    assert bench.said.about("ALARM divergence")
    assert "unknown in layers 2" in bench.said.about("step 2:")[0]
    assert bench.watch(Until(stop_on=("divergence",))).ended == "alarm"  # it is open still


def test_an_alarm_of_another_kind_does_not_end_the_watch(bench: Bench) -> None:
    bench.write("checkpoint-2", lost=True)
    bench.write("checkpoint-3", lost=True)

    watched = bench.watch(Until(once=True, stop_on=("disagreement",)))

    assert watched.ended == "once"
    assert len(watched.open_alarms) == 1


def test_the_loss_that_the_trainer_logged_is_judged_too(bench: Bench) -> None:
    bench.write("checkpoint-10", loss=2.5)
    bench.write("checkpoint-20", loss=math.nan)

    watched = bench.watch()

    first, second = (each.point for each in watched.loop.verdicts)
    assert first.loss == 2.5
    assert second.loss is not None
    assert math.isnan(second.loss)
    assert [alarm.kind for alarm in watched.open_alarms] == ["divergence"]


def test_a_watch_ends_when_nothing_has_come_for_so_long(bench: Bench) -> None:
    bench.write("checkpoint-1")

    began = time.monotonic()
    watched = bench.watch(Until(idle=0.5))

    assert watched.ended == "idle"
    assert bench.steps() == [1]
    assert time.monotonic() - began >= 0.5


def test_ctrl_c_keeps_all_and_the_same_watch_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("checkpoint-1")
    bench.write("checkpoint-2")

    def interrupted(encoder: object, probe: object, *, step: int, loss: float | None) -> Point:
        if step == 2:
            raise KeyboardInterrupt
        return take_point(encoder, probe, step=step, loss=loss)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("mlflow_rank.workflow.watch_loop.take_point", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.watch(Until())
    assert bench.steps() == [1]

    assert bench.watch().ended == "once"
    assert bench.steps() == [1, 2]


def test_files_of_weights_are_heard_through_the_module_that_makes_the_encoder(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import listeners
    import torch

    for step in (500, 1000):
        torch.manual_seed(step)
        torch.save(listeners.plain().state_dict(), bench.checkpoints / f"epoch_1_step_{step}.pt")
    torch.save({"not": "these"}, bench.checkpoints / "epoch_1_step_700.pt")

    watched = bench.watch(
        form=CheckpointForm("module:listeners:plain@{path}", pattern=r"step_(\d+)"), layers="blocks.*"
    )

    assert bench.steps() == [500, 1000]
    first, second = (each.point.readings for each in watched.loop.verdicts)
    assert first != second
    assert [each.step for each in watched.loop.passed_over] == [700]


def test_steps_are_places_in_order_where_names_have_none_and_stay_so(bench: Bench) -> None:
    bench.write("warm", seed=1)
    time.sleep(0.02)
    bench.write("cold", seed=2)
    bench.watch()
    (bench.checkpoints / "warm" / "config.json").touch()

    watched = bench.watch()

    assert bench.steps() == [1, 2, 3]
    assert watched.loop.source.in_order
    lines = (bench.place / "monitor" / "checkpoints.jsonl").read_text().splitlines()
    assert [json.loads(line)["known_as"].split()[0] for line in lines] == ["warm", "cold", "warm"]


def test_every_checkpoint_has_a_statement_about_its_files_with_the_alarms_that_hold_for_it(bench: Bench) -> None:
    first = bench.write("checkpoint-1")
    lost = bench.write("checkpoint-2", lost=True)

    watched = bench.watch()

    [(about_first, says_first), (about_lost, says_lost)] = map(_stated, watched.evidence)
    assert (about_first.name, about_first.digest) == (str(first), file_manifest(first).digest)
    assert (about_lost.name, about_lost.digest) == (str(lost), file_manifest(lost).digest)
    assert says_first["alarms"] == []
    assert [(alarm["state"], alarm["since_step"]) for alarm in says_lost["alarms"]] == [("open", 2)]
    assert says_first["monitor"] == says_lost["monitor"] == watched.loop.journal.monitor


def _stated(file: Path) -> tuple[Subject, dict[str, Any]]:
    presented = present(file.read_bytes(), trust=NOBODY)
    assert presented.statement is not None
    [subject] = presented.statement.subjects
    return subject, dict(presented.statement.predicate)


def test_an_alarm_that_began_before_an_earlier_checkpoint_is_stated_about_that_one_too(tmp_path: Path) -> None:
    delivered: list[int] = []
    evidence = WatchEvidence(tmp_path, lambda: "monitor-1", None, lambda heard, file: delivered.append(heard.step))
    for step in (10, 20, 30):
        evidence.heard(Heard(f"step_{step}", f"run/step_{step}", step, f"sha256:{step:064x}"))
        alarm = Alarm("divergence@20", "divergence", 20, 30, (1,), "Seen.", "Sure.", "Next.")
        raised = (alarm,) if step == 30 else ()
        evidence.say(Verdict(Point(step, ()), (), raised, raised))

    assert delivered == [10, 20, 20, 30]
    states = {step: _stated(file)[1]["alarms"] for step, file in zip((10, 20, 30), evidence.written, strict=True)}
    assert states[10] == []
    assert [alarm["state"] for step in (20, 30) for alarm in states[step]] == ["open", "open"]


def test_an_alarm_concerns_a_checkpoint_from_its_first_sign_to_its_end_as_it_stood_there() -> None:
    alarm = Alarm("divergence@20", "divergence", 20, 40, (1,), "Seen.", "Sure.", "Next.", closed_step=60)

    assert alarms_at(10, [alarm]) == ()
    assert [each.is_open for each in alarms_at(20, [alarm])] == [True]
    assert [each.is_open for each in alarms_at(50, [alarm])] == [True]
    assert [each.is_open for each in alarms_at(60, [alarm])] == [False]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"source": "nowhere"}, "no directory of checkpoints"),
        ({"probed": Probed("no/such/audio", 4, 0.2, 0)}, "no such audio source"),
        ({"baseline": (Path("nowhere"),)}, "no points of a monitor there"),
        ({"submit": True}, "only registered versions are handed in"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused_before_anything_is_heard(
    bench: Bench, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        bench.watch(Until(), **more)
    assert not (bench.place / "monitor").exists()


def test_a_past_run_that_heard_something_else_is_no_baseline(bench: Bench) -> None:
    bench.write("checkpoint-1")
    past = bench.place / "past"
    bench.watch(directory=past)

    assert bench.watch(baseline=(past,)).ended == "once"
    with pytest.raises(UsageError, match="differs in probe set"):
        bench.watch(directory=bench.place / "other", baseline=(past,), probed=Probed(str(bench.audio), 4, 0.2, 1))
    assert not (bench.place / "other" / "points.jsonl").exists()


def test_two_watches_of_one_place_do_not_write_into_one_another(bench: Bench) -> None:
    from mlflow_rank.monitoring.journal import Journal

    journal = Journal(bench.place / "monitor")
    try:
        with pytest.raises(UsageError, match="another process keeps its monitor there"):
            bench.watch()
    finally:
        journal.close()


def test_without_an_output_each_source_has_a_place_of_its_own() -> None:
    probed = Probed("starter", 4, 0.2, 0)
    places = {WatchRequest(source, probed).kept_at for source in ("a/run", "b/run", "models:/run", "models:/other")}

    assert len(places) == 4
    assert WatchRequest("a/run/", probed).kept_at == WatchRequest("a/run", probed).kept_at

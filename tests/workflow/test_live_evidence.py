"""Evidence of a live training: a statement about every checkpoint's files, true also where an alarm came late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from filed import key_of
from verdicts import alarm, verdict

from mlflow_rank.evidence.contents import Alarms, contents_of
from mlflow_rank.evidence.envelope import read_envelope
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.statement import read_statement
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.workflow.live_evidence import LiveEvidence

KEY = key_of("lab")


def checkpoint(place: Path, step: int) -> Path:
    directory = place / f"checkpoint-{step}"
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(bytes(step % 251 for _ in range(100)))
    return directory


class Live:
    """The evidence of one training, with what it said."""

    def __init__(self, place: Path, begun_at: int = 0) -> None:
        self.place, self.said = place, list[str]()
        (place / "monitor").mkdir(exist_ok=True)
        self.evidence = LiveEvidence(place / "monitor", "monitor-1", KEY, begun_at, say=self.said.append)

    def leave(self, step: int) -> Path:
        directory = checkpoint(self.place, step)
        self.evidence.leave(directory, step)
        return directory

    def end(self) -> dict[str, Mapping[str, str]]:
        """Return what is stated by the digest of files: the state of each alarm."""
        self.evidence.close([])
        stated = {}
        for file in sorted((self.place / "monitor" / "evidence").glob("*.dsse.json")):
            envelope = read_envelope(file.read_bytes(), named=file.name)
            assert envelope.verified_by(KEY.public)
            statement = read_statement(envelope.payload, named=file.name)
            content = contents_of(statement, named=file.name)
            assert isinstance(content, Alarms)
            assert content.monitor == "monitor-1"
            stated[statement.subjects[0].digest] = {each.id: each.state for each in content.alarms}
        return stated


def digest(directory: Path) -> str:
    return file_manifest(directory).digest


def raising(step: int, since: int) -> Verdict:
    begun = alarm(since=since)
    return verdict(step, alarms=[begun], raised=[begun])


def test_a_calm_training_states_calm_about_the_very_files(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.evidence.keep(verdict(100))
    directory = live.leave(120)
    assert live.end() == {digest(directory): {}}
    assert live.said == []


def test_an_alarm_is_stated_of_checkpoints_from_its_first_sign_on_also_of_earlier_written_ones(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.evidence.keep(verdict(100))
    before, within = live.leave(120), live.leave(160)
    live.evidence.keep(raising(180, since=140))
    after = live.leave(200)
    open_alarm = {"dimensional_collapse@140": "open"}
    assert live.end() == {digest(before): {}, digest(within): open_alarm, digest(after): open_alarm}


def test_an_alarm_that_is_over_is_closed_for_what_came_after_its_end_alone(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.evidence.keep(raising(180, since=140))
    within = live.leave(200)
    over = replace(alarm(since=140), closed_step=220)
    after = live.leave(230)
    live.evidence.keep(replace(verdict(240, alarms=[over]), closed=(over,)))
    assert live.end() == {
        digest(within): {"dimensional_collapse@140": "open"},
        digest(after): {"dimensional_collapse@140": "closed"},
    }


def test_a_training_that_goes_on_still_speaks_of_the_checkpoint_it_goes_on_from(tmp_path: Path) -> None:
    first = Live(tmp_path)
    first.evidence.keep(verdict(100))
    directory = first.leave(120)  # after the last point
    first.end()
    second = Live(tmp_path, begun_at=120)
    second.evidence.resume([verdict(100)])
    second.evidence.keep(raising(140, since=110))
    assert second.end() == {digest(directory): {"dimensional_collapse@110": "open"}}


def test_what_an_end_in_between_left_unsaid_is_said_when_the_training_goes_on(tmp_path: Path) -> None:
    first = Live(tmp_path)
    first.evidence.keep(verdict(100))
    directory = first.leave(120)
    first.end()
    second = Live(tmp_path, begun_at=140)  # killed after the point of 140 was kept, before anything was stated again
    second.evidence.resume([verdict(100), raising(140, since=110)])
    assert second.end() == {digest(directory): {"dimensional_collapse@110": "open"}}


def test_a_checkpoint_that_goes_while_it_is_hashed_is_said_and_the_next_is_stated(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.evidence.keep(verdict(100))
    broken = tmp_path / "checkpoint-7"
    broken.mkdir()  # of which nothing is left
    live.evidence.leave(broken, 7)
    directory = live.leave(120)
    assert live.end() == {digest(directory): {}}
    assert len(live.said) == 1
    assert "no evidence about a checkpoint" in live.said[0]


def test_a_checkpoint_in_one_file_is_said_once_to_leave_none(tmp_path: Path) -> None:
    live = Live(tmp_path)
    for step in (1, 2):
        file = tmp_path / f"step={step}.ckpt"
        file.touch()
        live.evidence.leave(file, step)
    assert live.end() == {}
    assert len(live.said) == 1


@pytest.mark.parametrize("closed", [False, True])
def test_a_monitor_that_is_over_states_nothing_and_stops_nothing(
    tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, closed: bool
) -> None:
    import torch
    from transformers import HubertModel

    import mlflow_rank

    model = HubertModel.from_pretrained(tiny_hubert)
    monitor = mlflow_rank.RankMonitor(
        model, [torch.rand(1600) - 0.5] * 2, directory=tmp_path / "monitor", use_mlflow=False, key=KEY
    )
    monitor.step(0)
    if closed:
        monitor.close()
    monitor.checkpoint(checkpoint(tmp_path, 5), 5)
    monitor.close()
    stated = list((tmp_path / "monitor").glob("evidence/*"))
    assert len(stated) == (0 if closed else 1)
    assert ("the monitor is over" in capsys.readouterr().err) is closed

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from checkpoints import cut_off, write_checkpoint
from filed import key_of
from gated import MODEL, Hall
from mlflow.exceptions import MlflowException

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.runs.evidence_files import evidence_in_run
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.trained_versions import TrainedVersion
from mlflow_rank.workflow import Setting
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.watch_loop import Probed, Until
from mlflow_rank.workflow.watched_versions import VersionArrivals
from mlflow_rank.workflow.watching import Watched, WatchRequest, watch


@dataclass
class Registry:
    """A gated registry whose model gets versions of a tiny encoder, and a watch of it."""

    hall: Hall
    place: Path
    tiny: Path
    audio: Path

    def version(self, *, step: int | None = None, broken: bool = False, **how: Any) -> str:
        files = self.place / f"files_{len(list(self.place.glob('files_*')))}"
        write_checkpoint(self.tiny, files, **how)
        if broken:
            cut_off(files)
        number = self.hall.version(files)
        if step is not None:
            self.hall.client.set_model_version_tag(MODEL, number, "training_step", str(step))
        return number

    def watch(self, *, charts: bool = False, signed: bool = False, **more: Any) -> Watched:
        request = WatchRequest(
            source=f"models:/{MODEL}",
            probed=Probed(str(self.audio), 4, 0.2, 0),
            until=Until(once=True),
            directory=self.place / "monitor",
            settle=0.05,
            **more,
        )
        setting = Setting(model="", device="cpu", cache=self.place / "cache")
        destination = Destination(experiment="watched") if charts else None
        key = key_of("lab") if signed else None
        return watch(request, setting, Silence(), destination=destination, key=key)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_hubert: Path, recordings: Path) -> Registry:
    hall = Hall.built(tmp_path, monkeypatch)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", hall.client._registry_uri)
    return Registry(hall, tmp_path, tiny_hubert, recordings)


def steps(watched: Watched) -> list[int]:
    return [verdict.point.step for verdict in watched.loop.verdicts]


def test_versions_are_judged_by_their_training_step_and_a_broken_one_is_passed_over(registry: Registry) -> None:
    registry.version(step=2000, seed=1)
    registry.version(step=500, seed=2)
    registry.version(step=700, broken=True)
    registry.version(seed=3)

    watched = registry.watch()

    assert steps(watched) == [500, 2000]
    causes = {each.name: each.cause for each in watched.loop.passed_over}
    assert "cannot be loaded" in causes[f"models:/{MODEL}/3"]
    assert "training_step" in causes[f"models:/{MODEL}/4"]
    assert steps(registry.watch()) == [500, 2000]  # none is heard again


def test_an_open_alarm_about_a_version_is_handed_in_at_the_gate_and_charted(registry: Registry) -> None:
    """Versions without a step are charted by their number; statements lie with the charts and with each version."""
    registry.version(seed=1)
    lost = registry.version(seed=2, lost=True)

    watched = registry.watch(charts=True, signed=True, submit=True)

    assert steps(watched) == [1, 2]
    assert watched.refused == []
    assert watched.run is not None
    client = registry.hall.client
    history = client.get_metric_history(watched.run.run_id, "monitor_rank_frame/layer_02")
    assert [each.step for each in history] == [1]  # NaN is no metric
    assert len(evidence_in_run(client, watched.run.run_id)) == 2
    version = client.get_model_version(MODEL, lost)
    [said] = evidence_in_run(client, version.run_id)
    assert said == watched.evidence[1].read_bytes()
    tags = {name: value for name, value in version.tags.items() if "alarms" in name}
    assert len(tags) == 1, version.tags
    assert "ok" in next(iter(tags.values()))


def test_what_the_gate_refuses_is_told(registry: Registry) -> None:
    registry.version(seed=1)

    watched = registry.watch(submit=True)  # unsigned

    assert len(watched.refused) == 1
    assert watched.document()["refused"] == list(watched.refused)


def test_a_model_that_is_not_registered_is_refused(registry: Registry) -> None:
    with pytest.raises(UsageError, match="there is no registered model 'nobody'"):
        watch(
            WatchRequest("models:/nobody", Probed(str(registry.audio), 4, 0.2, 0), directory=registry.place / "m"),
            Setting(model=""),
            Silence(),
            destination=None,
        )


class Listing:
    """What a registry lists, now."""

    def __init__(self) -> None:
        self.versions: list[TrainedVersion] = []
        self.silent = False

    def listed(self) -> list[TrainedVersion]:
        if self.silent:
            raise MeasurementError("no answer")
        return list(self.versions)

    def add(self, number: int, step: int | None = None, *, created: float = 0.0, ready: bool = True) -> None:
        self.versions.append(TrainedVersion("encoder", number, step, f"run-{number}", created, ready))


@pytest.fixture
def listing() -> Listing:
    return Listing()


@pytest.fixture
def look(listing: Listing) -> Callable[..., VersionArrivals]:
    def arrivals(**more: Any) -> VersionArrivals:
        return VersionArrivals(listing, clock=lambda: 1000.0, now=lambda: 1000.0, **more)  # type: ignore[arg-type]

    return arrivals


def test_a_version_that_is_not_ready_holds_the_later_ones_back_while_it_is_new(
    listing: Listing, look: Callable[..., VersionArrivals]
) -> None:
    arrivals = look()
    listing.add(1, 1, created=990.0, ready=False)
    listing.add(2, 2, created=990.0)

    assert arrivals.look().waiting == ("models:/encoder/1",)
    listing.versions[0] = replace(listing.versions[0], created=900.0)
    sight = arrivals.look()
    assert [each.cause for each in sight.passed_over] == ["it was never made ready"]
    assert sight.ready is not None
    assert sight.ready.step == 2


def test_a_new_version_is_waited_for_until_it_has_its_step(
    listing: Listing, look: Callable[..., VersionArrivals]
) -> None:
    arrivals = look(judged={"models:/encoder/1": 100}, last=100)
    listing.add(1, 100)
    listing.add(2, 200)
    listing.add(3, created=999.5)  # registered half a second ago: its tag comes in a moment
    listing.add(4, 400)

    sight = arrivals.look()
    assert sight.ready is not None
    assert (sight.ready.step, sight.waiting, sight.passed_over) == (200, ("models:/encoder/3",), ())
    arrivals.done(sight.ready)
    assert arrivals.look().ready is None  # it may come before the fourth
    listing.versions[2] = replace(listing.versions[2], step=300)
    sight = arrivals.look()
    assert sight.ready is not None
    assert sight.ready.step == 300

    listing.versions[2] = replace(listing.versions[2], step=None, created=900.0)
    assert "training_step" in arrivals.look().passed_over[0].cause


def test_numbers_stand_for_steps_only_once_no_version_may_get_one(
    listing: Listing, look: Callable[..., VersionArrivals]
) -> None:
    listing.add(1)
    listing.add(2, created=999.5)
    tagged, untagged = look(), look()

    for arrivals in (tagged, untagged):
        assert (arrivals.look().ready, arrivals.look().waiting) == (None, ("models:/encoder/1",))
    listing.versions[1] = replace(listing.versions[1], step=500)
    sight = tagged.look()
    assert sight.ready is not None
    assert (sight.ready.step, tagged.in_order) == (500, False)
    listing.versions[1] = replace(listing.versions[1], step=None, created=900.0)
    sight = untagged.look()
    assert sight.ready is not None
    assert (sight.ready.step, untagged.in_order) == (1, True)


def test_a_server_whose_clock_is_ahead_or_versions_that_never_end_are_not_waited_for_for_ever(listing: Listing) -> None:
    at = [0.0]
    arrivals = VersionArrivals(listing, clock=lambda: at[0], now=lambda: at[0])  # type: ignore[arg-type]
    listing.add(1, created=5000.0)

    assert arrivals.look().ready is None
    at[0] = 61.0
    listing.add(2, created=60.0)
    sight = arrivals.look()
    assert sight.ready is not None
    assert sight.ready.step == 1


def test_it_is_told_whether_a_version_that_cannot_be_loaded_is_tried_again(
    listing: Listing, look: Callable[..., VersionArrivals]
) -> None:
    arrivals = look()
    for number, created in ((1, 900.0), (2, 990.0)):
        listing.add(number, 100 * number, created=created)
        sight = arrivals.look()
        assert sight.ready is not None
        assert arrivals.failed(sight.ready, "broken") == (number == 2)
        arrivals.look()


def test_late_thinned_and_deleted_versions_give_no_point_and_are_told_once(
    listing: Listing, look: Callable[..., VersionArrivals]
) -> None:
    arrivals = look(judged={"models:/encoder/1": 1000}, last=1000, every=100)
    listing.add(1, 1000)
    listing.add(2, 500)
    listing.add(3, 1050)
    listing.add(4, 1200, created=999.0, ready=False)

    assert [(each.step, each.cause) for each in arrivals.look().passed_over] == [
        (500, "step 1000 was judged before it could be heard")
    ]
    assert arrivals.look().passed_over == ()
    del listing.versions[3]
    assert [each.cause for each in arrivals.look().passed_over] == ["it was deleted before it could be heard"]
    assert arrivals.run_of("models:/encoder/2") == "run-2"
    assert arrivals.run_of("models:/encoder/9") is None


def test_the_step_may_stand_in_the_run_that_made_a_version(registry: Registry) -> None:
    from mlflow_rank.registry.runs.trained_versions import TrainedVersions

    registry.version()
    registry.version()
    registry.version()
    client = registry.hall.client
    runs = [client.get_model_version(MODEL, number).run_id for number in ("1", "2", "3")]
    client.set_tag(runs[0], "training_step", "300")
    client.log_param(runs[1], "training_step", 400)

    assert [each.step for each in TrainedVersions.of(client, MODEL).listed()] == [300, 400, None]
    late = TrainedVersions.of(client, MODEL)
    assert late.listed()[2].step is None
    client.set_tag(runs[2], "training_step", "500")
    assert late.listed()[2].step == 500  # asked again while it is new
    client.delete_tag(runs[2], "training_step")
    old = TrainedVersions.of(client, MODEL, patience=0.0)
    assert old.listed()[2].step is None
    client.set_tag(runs[2], "training_step", "500")
    assert old.listed()[2].step is None  # an old one is not asked at every look
    client.delete_run(runs[2])
    with pytest.raises(MlflowException):
        client.get_model_version(MODEL, "9")
    assert len(TrainedVersions.of(client, MODEL).listed()) == 3


def test_the_log_of_what_was_heard_survives_a_line_that_was_cut_off(registry: Registry) -> None:
    registry.version(seed=1)
    registry.watch()
    log = registry.place / "monitor" / "checkpoints.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"known_as": "models:/enc')
    registry.version(seed=2)

    assert steps(registry.watch()) == [1, 2]
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2]
    log.write_text("{}\n" + whole)
    with pytest.raises(MeasurementError, match="this line names no checkpoint"):
        registry.watch()

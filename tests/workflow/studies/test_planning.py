"""Plans from documents of the past, and from guesses that are named so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import evidence
import pilots
import pytest
from scipy import special

from mlflow_rank.errors import UsageError
from mlflow_rank.reports.studies.planning.report import report
from mlflow_rank.studies.planning.plan import Plan
from mlflow_rank.workflow.studies.planning import PlanRequest, plan

T = float(special.stdtrit(11, 0.975))  # of the 12 speakers that a made pilot tests


def written(place: Path, document: dict[str, Any]) -> Path:
    place.write_text(json.dumps(document), encoding="utf-8")
    return place


def piloted(place: Path, *, champion: str | None = "models:/encoder@champion", **row: object) -> Path:
    document = pilots.pilot(champion=champion)
    for each in document["rows"]:
        if (each["layer"], each["domain"]) == ("pilot_best", "in_domain"):
            each.update(row)
    return written(place / "pilot.json", document)


def worded(planned: Plan) -> str:
    return " ".join(report(planned).verdicts)


def test_without_anything_known_every_guess_is_named() -> None:
    planned = plan(PlanRequest())

    guessed = {name for name, source in planned.sources.items() if source.startswith("a guess")}
    assert guessed >= {"accuracy", "discordant items", "intraclass correlation", "pace", "precision of a rank"}
    assert any("Guessed" in line and "accuracy" in line for line in report(planned).about)


def test_what_a_pilot_showed_is_read_from_it(tmp_path: Path) -> None:
    error = 1.5 * (0.7 * 0.3 / 480) ** 0.5
    half = T * 0.01
    pilot = piloted(tmp_path, score=0.7, se=error, delta=0.02, delta_low=0.02 - half, delta_high=0.02 + half)

    planned = plan(PlanRequest(pilot=pilot))

    assert planned.expected.accuracy == 0.7
    assert planned.expected.intraclass == pytest.approx((1.5**2 - 1) / (480 / 12 - 1))
    assert planned.expected.discordance == pytest.approx(max(480 * 0.01**2 / 1.5**2 + 0.02**2, 0.05))
    assert (planned.labelling.classes, planned.labelling.per_class, planned.labelling.per_speaker) == (12, 10, 40)
    assert "pilot.json" in planned.sources["accuracy"]


def test_random_weights_say_nothing_of_how_often_two_encoders_disagree(tmp_path: Path) -> None:
    planned = plan(PlanRequest(pilot=piloted(tmp_path, champion=None)))

    assert planned.sources["discordant items"].startswith("a guess")


def test_what_is_asked_goes_before_what_a_pilot_showed(tmp_path: Path) -> None:
    request = PlanRequest(
        pilot=piloted(tmp_path), accuracy=0.9, discordance=0.2, intraclass=0.01, classes=5, per_class=7, per_speaker=3
    )

    planned = plan(request)

    assert (planned.expected.accuracy, planned.expected.discordance, planned.expected.intraclass) == (0.9, 0.2, 0.01)
    assert (planned.train_labels, planned.labelling.per_speaker) == (35, 3)


def test_a_design_effect_is_an_intraclass_correlation_of_the_items_of_a_speaker() -> None:
    planned = plan(PlanRequest(effect=2.9, per_speaker=20))

    assert planned.expected.intraclass == pytest.approx(0.1)


def test_a_measurement_says_how_much_audio_its_least_certain_layer_needs(tmp_path: Path) -> None:
    def wide(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"low": 9.0 - 1.8, "high": 9.0 + 1.8} if (row["layer"], row["level"]) == (1, "frame") else row

    measurement = written(tmp_path / "ranks.json", evidence.measurement(minutes=3.5, change=wide))

    frames, utterances = plan(PlanRequest(measurement=measurement, rank_precision=0.05)).ranks

    assert frames.for_precision == pytest.approx(3.5 * (0.2 / 0.05) ** 2)
    assert utterances.for_precision == pytest.approx(3.5 * (0.1 / 0.05) ** 2)
    assert frames.dim == evidence.DIM


def test_an_assessment_serves_as_pilot_and_as_measurement(tmp_path: Path) -> None:
    both = written(
        tmp_path / "both.json",
        {"kind": "Assessment", "measurement": evidence.measurement(), "pilot": pilots.pilot()},
    )

    planned = plan(PlanRequest(pilot=both, measurement=both))

    assert planned.labelling.classes == len(pilots.WORDS)
    assert planned.ranks[0].dim == evidence.DIM


def test_labels_and_money_saved_are_said_against_full_labelling() -> None:
    request = PlanRequest(discordance=0.1, intraclass=0.03, full=10_000, price=0.1)

    planned = plan(request)

    assert planned.saved == 10_000 - planned.labels
    assert f"Labels saved: {planned.saved:,} of 10,000, worth {planned.saved * 0.1:,.2f}" in worded(planned)
    assert "Nothing is saved" in worded(plan(PlanRequest(full=100)))


def test_minutes_are_audio_over_pace_for_every_checkpoint() -> None:
    planned = plan(PlanRequest(pace=10.0, checkpoints=40, item_seconds=3.0))

    assert planned.rank_minutes == pytest.approx(planned.rank_audio / 10)
    assert planned.pilot_minutes == pytest.approx(2 * planned.labels * 3 / 60 / 10)
    costs = next(table for table in report(planned).tables if table.name == "costs")
    assert costs.rows[2][4] == pytest.approx(40 * (planned.rank_minutes + planned.pilot_minutes))


def test_a_margin_is_planned_beside_the_difference_one_sided() -> None:
    planned = plan(PlanRequest(margin=0.02, discordance=0.2))

    assert [each.question.kind for each in planned.needs] == ["difference", "margin"]
    assert planned.test_items == planned.needs[1].items > planned.needs[0].items
    assert "one-sided level 0.025" in worded(planned)


def test_encoders_tested_on_different_items_need_items_each() -> None:
    planned = plan(PlanRequest(paired=False))

    assert planned.test_items == 2 * planned.needs[0].items
    assert "for each of the two encoders" in worded(planned)


def test_speakers_that_are_too_few_are_said_to_be(tmp_path: Path) -> None:
    planned = plan(PlanRequest(speakers=6))

    assert "Not possible" in worded(planned)
    assert planned.document()["labels"] is None
    assert report(planned).figures == ()
    needed = planned.needs[0].infeasible
    assert needed is not None
    assert f"it takes {needed.needed:,} speakers or more" in worded(planned)


def test_the_pace_is_measured_on_the_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "modules")
    from mlflow_rank.workflow.setting import Setting

    setting = Setting(model="module:listeners:plain", layers="blocks.*", device="cpu")
    planned = plan(PlanRequest(model="module:listeners:plain"), setting=setting)

    assert planned.listening.pace > 1.0
    assert "measured" in planned.sources["pace"]


def test_a_plan_is_the_same_each_time() -> None:
    assert plan(PlanRequest()).document() == plan(PlanRequest()).document()


@pytest.mark.parametrize(
    "request_",
    [
        PlanRequest(task="singing"),
        PlanRequest(resolution=0.0),
        PlanRequest(resolution=0.2, discordance=0.1),
        PlanRequest(classes=1),
        PlanRequest(speakers=1),
        PlanRequest(price=-1.0),
        PlanRequest(pace=0.0),
        PlanRequest(checkpoints=0),
        PlanRequest(effect=0.5),
        PlanRequest(effect=50.0),
        PlanRequest(utterance_seconds=0.0),
        PlanRequest(pilot=Path("nowhere.json")),
    ],
    ids=range(12),
)
def test_numbers_that_make_no_sense_are_refused(request_: PlanRequest) -> None:
    with pytest.raises(UsageError):
        plan(request_)


def test_documents_that_say_nothing_of_it_are_refused(tmp_path: Path) -> None:
    pilot = piloted(tmp_path)
    ranks = written(tmp_path / "ranks.json", evidence.measurement(change=lambda row: row | {"low": None}))
    broken = tmp_path / "broken.json"
    broken.write_text('{"kind": "PilotResult"')

    for request in (
        PlanRequest(task="speaker", pilot=pilot),
        PlanRequest(pilot=ranks),
        PlanRequest(measurement=ranks),
        PlanRequest(pilot=broken),
        PlanRequest(pilot=piloted(tmp_path, status="unknown", score=None, cause="one speaker")),
    ):
        with pytest.raises(UsageError):
            plan(request)

"""Documents become a table: ranks under MLflow's names, one score of each task and domain, every layer a row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from evidence import measurement, with_rows
from pilots import pilot

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.pilot_metrics import pilot_metrics_of
from mlflow_rank.studies.trajectories import Observation, Trajectories, read_trajectories
from mlflow_rank.workflow.studies.gathering.observing import Assessed, merged, trajectories_of

Document = dict[str, Any]


def assessed(run: str = "seed_0", step: int = 100, loss: float | None = 2.5, **documents: Any) -> Assessed:
    whole = {"measurement": measurement(), "pilot": pilot(layers=3, tasks=("keyword", "phone"))} | documents
    return Assessed(run, step, loss, **whole)


def numbers(observation: Observation) -> Mapping[str, float]:
    return {**observation.ranks, **observation.scores}


def test_every_number_is_that_which_mlflow_shows_under_the_same_name() -> None:
    one = assessed()
    assert one.measurement is not None
    assert one.pilot is not None
    logged = metrics_of(one.measurement) | pilot_metrics_of(one.pilot)

    table = trajectories_of([one])

    assert [each.layer for each in table.observations] == [0, 1, 2]
    for each in table.observations:
        assert numbers(each) == {name: logged[f"{name}/layer_{each.layer:02d}"] for name in numbers(each)}
    assert {"rank_frame", "rankme_t", "rank_utterance"} <= set(table.predictors)
    assert (table.observations[0].run, table.observations[0].step, table.observations[0].loss) == ("seed_0", 100, 2.5)


def test_outcomes_say_what_they_are() -> None:
    table = trajectories_of([assessed(pilot=pilot(layers=3, tasks=("keyword", "phone"), outside=True))])

    found = {each.name: (each.task, each.domain, each.metric, each.lower_is_better) for each in table.outcomes}

    assert found == {
        "pilot_keyword": ("keyword", "in_domain", "balanced_accuracy", False),
        "pilot_keyword_ood": ("keyword", "out_of_domain", "balanced_accuracy", False),
        "pilot_phone": ("phone", "in_domain", "balanced_frame_accuracy", False),
        "pilot_phone_ood": ("phone", "out_of_domain", "balanced_frame_accuracy", False),
    }


def test_an_error_rate_is_less_when_it_is_better() -> None:
    spelled = pilot(layers=3, tasks=("phone",))
    spelled["tasks"][0]["metrics"] = ["per"]
    spelled["rows"] = [row for row in spelled["rows"] if row["metric"] == "per"]

    [inside, _] = trajectories_of([assessed(pilot=spelled)]).outcomes

    assert (inside.metric, inside.lower_is_better) == ("per", True)


def speakers(*, known: tuple[str, ...]) -> Document:
    """Return a pilot of speakers whose out-of-domain rows have numbers of the named metrics only."""
    document = pilot(layers=3, tasks=("speaker",), outside=True)
    inside = [row for row in document["rows"] if row["domain"] == "in_domain"]
    outside = [
        {**row, "domain": "out_of_domain", "metric": metric, "status": "ok" if metric in known else "unknown"}
        for row in inside
        for metric in ("balanced_accuracy", "eer_cosine")
        if row["metric"] == "balanced_accuracy"
    ]
    document["rows"] = inside + outside
    return document


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_score_has_one_metric_and_one_direction_in_all_checkpoints(order: tuple[int, ...]) -> None:
    pilots = [speakers(known=("eer_cosine",)), speakers(known=()), speakers(known=("eer_cosine",))]
    some = [assessed(step=100 * (at + 1), pilot=pilots[at]) for at in order]

    table = trajectories_of(some)

    outcome = table.outcome("pilot_speaker_ood")
    assert (outcome.metric, outcome.lower_is_better) == ("eer_cosine", True)
    assert [each.step for each in table.observations if "pilot_speaker_ood" in each.scores] == [100] * 3 + [300] * 3


def test_where_one_checkpoint_lacks_the_primary_metric_no_other_is_mixed_in() -> None:
    table = trajectories_of(
        [
            assessed(step=100, pilot=speakers(known=("balanced_accuracy", "eer_cosine"))),
            assessed(step=200, pilot=speakers(known=("eer_cosine",))),
        ]
    )

    outcome = table.outcome("pilot_speaker_ood")
    assert (outcome.metric, outcome.lower_is_better) == ("balanced_accuracy", False)
    assert [each.step for each in table.observations if "pilot_speaker_ood" in each.scores] == [100] * 3


def test_a_task_called_like_the_other_domain_of_another_is_refused() -> None:
    one = pilot(layers=3, tasks=("label:kind", "label:kind_ood"), outside=True)

    with pytest.raises(UsageError, match="two pilot scores are called pilot_label_kind_ood"):
        trajectories_of([assessed(pilot=one)])


def test_what_is_unknown_is_not_there() -> None:
    narrow = measurement(change=with_rows({"layer": 2}, {"status": "unknown", "value": None, "corrected": None}))

    table = trajectories_of([assessed(measurement=narrow, pilot=pilot(layers=3, unknown_layers=(0,)))])

    assert not table.observations[2].ranks
    assert not table.observations[0].scores
    assert table.observations[0].ranks
    assert table.observations[2].scores


def test_summaries_over_layers_are_no_rows() -> None:
    table = trajectories_of([assessed(pilot=pilot(layers=3))])

    assert table.layers == (0, 1, 2)


def test_a_checkpoint_may_lack_a_pilot_that_others_have() -> None:
    table = trajectories_of([assessed(), assessed(step=200, pilot=None)])

    assert [bool(each.scores) for each in table.observations] == [True] * 3 + [False] * 3


def test_a_table_of_documents_is_read_as_it_was_written() -> None:
    table = trajectories_of([assessed(), assessed(step=200, loss=None), assessed("seed_1")])

    assert read_trajectories(table.document()) == table


def test_checkpoints_of_different_conventions_are_refused_by_their_names() -> None:
    with pytest.raises(UsageError, match=r"rank\.dtype") as refused:
        trajectories_of([assessed(), assessed(step=200, measurement=measurement(dtype="bfloat16"))])
    assert "seed_0, step 100 and seed_0, step 200" in str(refused.value)


def test_two_checkpoints_of_one_step_are_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match="two checkpoints claim one step") as refused:
        trajectories_of([assessed(), assessed()])
    assert "training_run" in str(refused.value)


def test_ranks_and_a_pilot_of_different_weights_are_refused() -> None:
    with pytest.raises(UsageError, match="are of different weights"):
        trajectories_of([assessed(pilot=pilot(layers=3, digest="b" * 64))])


# tables together


def table(run: str, **how: Any) -> Trajectories:
    return trajectories_of([assessed(run, **how)])


def test_tables_of_one_convention_become_one() -> None:
    whole = merged({"a.json": table("seed_0"), "b.json": table("seed_1")})

    assert whole == trajectories_of([assessed("seed_0"), assessed("seed_1")])


def test_tables_of_different_conventions_are_refused_by_their_names() -> None:
    other = pilot(layers=3)
    other["tasks"][0]["pooling"] = "segments"

    with pytest.raises(UsageError, match=r"pilot\.keyword\.pooling") as refused:
        merged({"a.json": table("seed_0", pilot=pilot(layers=3)), "b.json": table("seed_1", pilot=other)})
    assert "a.json and b.json" in str(refused.value)


def test_a_checkpoint_in_two_tables_is_refused() -> None:
    with pytest.raises(UsageError, match="given twice"):
        merged({"a.json": table("seed_0"), "b.json": table("seed_0")})


def test_an_outcome_of_one_name_that_is_another_is_refused() -> None:
    one, other = table("seed_0"), copy.deepcopy(table("seed_1").document())
    other["outcomes"][0]["metric"] = "macro_f1"  # type: ignore[index]

    with pytest.raises(UsageError, match="pilot_keyword is not the same everywhere"):
        merged({"a.json": one, "b.json": read_trajectories(other)})

"""Two sides are compared where their numbers mean the same, and refused by name where they do not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import evidence
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.reports.studies.comparison_report import report
from mlflow_rank.studies.comparison import Comparison
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories
from mlflow_rank.workflow.studies.comparing import compare

Document = dict[str, Any]
NARROW = {"value": 5.0, "corrected": 5.0, "low": 4.0, "high": 6.0}
FRAMES = {"layer": 1, "level": "frame", "metric": "effective_rank", "centred": True}


def written(place: Path, document: Document) -> str:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(document), encoding="utf-8")
    return str(place)


def assessed(measurement: Document, pilot: Document) -> Document:
    return {"kind": "Assessment", "measurement": measurement, "pilot": pilot}


def worded(found: Comparison) -> str:
    return " ".join(report(found).verdicts)


@pytest.fixture
def ours(tmp_path: Path) -> str:
    return written(tmp_path / "ours.json", assessed(evidence.measurement(), evidence.pilot()))


def test_ranks_and_scores_stand_side_by_side_with_their_intervals(ours: str, tmp_path: Path) -> None:
    narrow = evidence.measurement(change=evidence.with_rows(FRAMES, NARROW))
    theirs = written(tmp_path / "theirs.json", assessed(narrow, evidence.pilot()))

    found = compare(ours, theirs)

    changed = next(each for each in found.pairs if (each.where, each.what) == ("layer 1", "rank_frame"))
    assert (changed.difference, changed.overlap) == (-4.0, False)
    assert sum(each.overlap is False for each in found.pairs) == 1
    assert {each.what for each in found.pairs} >= {"rank_utterance", "pilot_keyword", "pilot_keyword_ood"}
    assert found.pairs[0].document()["intervals_overlap"] is True


def test_a_rank_is_never_called_better(ours: str, tmp_path: Path) -> None:
    wide = {"value": 15.0, "corrected": 15.0, "low": 14.0, "high": 16.0}
    document = evidence.measurement(change=evidence.with_rows(FRAMES, wide))

    words = worded(compare(ours, written(tmp_path / "wide.json", document)))

    assert "none of these differences speaks for A or for B" in words
    assert not {"better", "worse", "best"} & set(words.replace(".", "").split())


def test_a_score_is_compared_on_the_same_items_where_one_was_piloted_against_the_other(tmp_path: Path) -> None:
    champion = evidence.pilot()
    champion["model"]["digest"] = f"sha256:{'b' * 64}"  # whom `evidence.pilot` is against
    left, right = written(tmp_path / "champion.json", champion), written(tmp_path / "ours.json", evidence.pilot())

    forth, back = compare(left, right), compare(right, left)

    there = next(each for each in forth.pairs if each.where == "layer 1")
    and_back = next(each for each in back.pairs if each.where == "layer 1")
    row = next(
        each
        for each in evidence.pilot()["rows"]
        if (each["layer"], each["head"], each["shots"], each["domain"], each["metric"])
        == (1, "ridge", "all", "in_domain", "balanced_accuracy")
    )
    assert there.paired_difference == row["delta"]
    assert there.paired == (row["delta_low"], row["delta_high"])
    assert and_back.paired_difference == -row["delta"]
    assert and_back.paired == (-row["delta_high"], -row["delta_low"])
    assert "on the same test items" in worded(forth)


def test_scores_of_strangers_have_no_paired_difference(ours: str) -> None:
    found = compare(ours, ours)

    assert all(each.paired is None for each in found.pairs)
    assert "Pilot one with --against the other" in worded(found)


def test_what_only_one_side_has_is_said(ours: str, tmp_path: Path) -> None:
    found = compare(ours, written(tmp_path / "ranks.json", evidence.measurement()))

    assert found.only_left == ("pilot.keyword",)
    assert any("Only in A: pilot.keyword" in line for line in report(found).about)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"dtype": "bfloat16"}, ["rank.dtype"]),
        ({"protocol": {"frame_stride": 5, "channel": 1}}, ["rank.channel", "rank.frame_stride"]),
        ({"corpus": f"sha256:{'f' * 64}"}, ["rank.corpus_digest"]),
        ({"preset": "rankme_t"}, ["rank.preset"]),
        ({"protocol": {"sampling": {"utterances": 90, "seed": 1}}}, ["rank.sampling.seed"]),
        ({"protocol": {"epsilon": {"rankme": 1e-5}}}, ["rank.epsilon.rankme"]),
    ],
    ids=["dtype", "stride", "corpus", "preset", "seed", "epsilon"],
)
def test_ranks_of_another_convention_are_refused_by_name(
    ours: str, tmp_path: Path, how: Document, named: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        compare(ours, written(tmp_path / "other.json", evidence.measurement(**how)))

    assert refused.value.exit_code == 2
    assert str(refused.value.what).endswith(": " + ", ".join(named))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("draws", 3, "pilot.keyword.draws"),
        ("test_share", 0.3, "pilot.keyword.test_share"),
        ("seed", 1, "pilot.keyword.seed"),
    ],
)
def test_scores_of_another_convention_are_refused_by_name(
    ours: str, tmp_path: Path, field: str, value: object, named: str
) -> None:
    other = evidence.pilot()
    other["tasks"][0]["protocol"][field] = value

    with pytest.raises(UsageError, match=named):
        compare(ours, written(tmp_path / "other.json", other))


def table(run: str, *, preset: str = "robust", shift: float = 0.0) -> Document:
    observations = tuple(
        Observation(run, step, layer, None, {"rank_frame": 10.0 + step + layer + shift}, {"pilot_keyword": 0.5})
        for step in (100, 200)
        for layer in (0, 1)
    )
    outcome = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
    return Trajectories(observations, (outcome,), Conventions({"rank.preset": preset})).document()


def test_tables_are_compared_place_by_place(tmp_path: Path) -> None:
    left = written(tmp_path / "a.json", table("seed_0"))

    same_run = compare(left, written(tmp_path / "b.json", table("seed_0", shift=2.0)))
    other_run = compare(left, written(tmp_path / "c.json", table("seed_1", shift=3.0)))

    assert {each.difference for each in same_run.pairs if each.what == "rank_frame"} == {2.0}
    assert same_run.pairs[0].where == "seed_0, step 100, layer 0"
    assert {each.difference for each in other_run.pairs if each.what == "rank_frame"} == {3.0}
    assert other_run.pairs[0].where == "step 100, layer 0"


def test_tables_that_share_no_run_are_refused_where_there_are_several(tmp_path: Path) -> None:
    several = table("seed_0")
    several["rows"] += table("seed_1")["rows"]

    with pytest.raises(UsageError, match="no training run in common"):
        compare(written(tmp_path / "a.json", several), written(tmp_path / "b.json", table("seed_2")))


def test_tables_of_another_convention_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rank\.preset"):
        compare(
            written(tmp_path / "a.json", table("seed_0")),
            written(tmp_path / "b.json", table("seed_0", preset="rankme_t")),
        )


def study(**more: Any) -> Document:
    return {
        "kind": "CorrelationStudy", "conventions": {"rank.preset": "robust"}, "window": {"from_step": 1}, "seed": 0,
        "within_layer": [{"layer": 1, "task": "keyword", "rho": 0.5}],
    } | more  # fmt: skip


def test_studies_are_compared_number_by_number(tmp_path: Path) -> None:
    other = study(within_layer=[{"layer": 1, "task": "keyword", "rho": 0.75}])

    found = compare(written(tmp_path / "a.json", study()), written(tmp_path / "b.json", other))

    (pair,) = found.pairs
    assert (pair.where, pair.difference) == ("within_layer.keyword,1.rho", 0.25)


def test_studies_of_another_window_or_seed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"study\.seed, study\.window\.from_step"):
        compare(
            written(tmp_path / "a.json", study()),
            written(tmp_path / "b.json", study(seed=1, window={"from_step": 300})),
        )


def test_a_directory_of_results_is_what_lies_in_it(ours: str, tmp_path: Path) -> None:
    for name, document in (("measurement", evidence.measurement()), ("pilot", evidence.pilot())):
        written(tmp_path / "results" / f"{name}.json", copy.deepcopy(document))

    found = compare(ours, str(tmp_path / "results"))

    assert {each.difference for each in found.pairs} == {0.0}


@pytest.mark.parametrize("text", ["nowhere.json", "empty", "models:/encoder", "runs:/"])
def test_what_names_nothing_is_refused(ours: str, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    with pytest.raises(UsageError):
        compare(ours, text)


def test_things_of_different_kinds_are_refused(ours: str, tmp_path: Path) -> None:
    for document in (study(), {"kind": "RankMeasurement"} | {}, {"no": "kind"}, evidence.pilot(tasks=("speaker",))):
        pilot_only = written(tmp_path / "pilot.json", evidence.pilot())
        with pytest.raises(UsageError):
            compare(pilot_only, written(tmp_path / "other.json", document))

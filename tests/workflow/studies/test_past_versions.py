"""Outcomes of registered versions: their own tag, or rows of a file that name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gated import MODEL, Hall

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow.studies.past_versions import outcomes_of

NOTHING = Trajectories((), (), Conventions({}))


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    """A registry with three versions of two trainings, of which two have a tag that says what became of them."""
    hall = Hall.built(tmp_path, monkeypatch)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", hall.client._registry_uri)
    for training, step, outcome in (("first", 400, "bad"), ("first", 800, "good"), ("second", 400, None)):
        number = hall.version()
        hall.client.set_model_version_tag(MODEL, number, "training_run", training)
        hall.client.set_model_version_tag(MODEL, number, "training_step", str(step))
        if outcome is not None:
            hall.client.set_model_version_tag(MODEL, number, "outcome", outcome)
    return hall


def test_tags_of_versions_and_rows_of_a_file_say_the_same(hall: Hall, tmp_path: Path) -> None:
    tagged = outcomes_of(NOTHING, None, [f"models:/{MODEL}"])
    rows = [{"version": 1, "outcome": "bad"}, {"version": f"models:/{MODEL}/2", "outcome": "good"}]
    file = tmp_path / "outcomes.json"
    file.write_text(json.dumps([*rows, {"version": 9, "outcome": "bad"}]), encoding="utf-8")
    written = outcomes_of(NOTHING, file, [f"models:/{MODEL}"])

    assert tagged == ({("first", 400): False, ("first", 800): True}, ())
    assert written == (tagged[0], ("9",))


def test_a_tag_that_says_neither_is_refused_by_the_version(hall: Hall) -> None:
    hall.client.set_model_version_tag(MODEL, "3", "outcome", "so-so")
    with pytest.raises(UsageError, match=rf"tag outcome of models:/{MODEL}/3"):
        outcomes_of(NOTHING, None, [f"models:/{MODEL}"])


def test_a_least_score_without_scores_is_refused() -> None:
    with pytest.raises(UsageError, match="--good-from"):
        outcomes_of(NOTHING, None, (), good_from=0.85)

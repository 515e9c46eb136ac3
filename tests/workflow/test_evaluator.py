"""`mlflow.models.evaluate(…, evaluators="mlflow_rank")`, on a real store: what it hears, leaves, signs and refuses."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from evidence import rule
from filed import Desk, key_of

from mlflow_rank.cli.assess import assess_command
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.presented import present
from mlflow_rank.registry.runs.evaluation import evaluated_address, given_data
from mlflow_rank.workflow import RankRequest, Setting, measure, record
from mlflow_rank.workflow.evaluating import Evaluation, NotApprovedError
from mlflow_rank.workflow.evaluator import MODEL_TYPE, RankEvaluator
from mlflow_rank.workflow.evaluator_config import DATA, EvaluatorConfig
from mlflow_rank.workflow.policies import read_trust_file

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # MLflow's own use of pandas
TRUST = Path("trust.yaml")
BRIEFLY: dict[str, Any] = {
    "shots": ["all"], "draws": 1, "heads": "ridge", "control": False, "log_mel": False, "blocks": 4, "device": "cpu",
    "intervals": False,
}  # fmt: skip


@dataclass(frozen=True)
class Laboratory:
    """A store with version 1 of `tiny`, a desk with keys and trust, and labelled words."""

    desk: Desk
    words: Path
    evaluate: Callable[..., Any]

    @property
    def frame(self) -> pd.DataFrame:
        return pd.read_json(self.words, lines=True)


@pytest.fixture(scope="module")
def laboratory(
    tmp_path_factory: pytest.TempPathFactory, listeners: pytest.MonkeyPatch, words: Path, tiny_hubert: Path
) -> Iterator[Laboratory]:
    from mlflow_rank.registry.runs.run_claim import Destination

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        for draw in ("draw_figures", "draw_pilot"):  # which takes longest, and is looked at elsewhere
            patch.setattr(f"mlflow_rank.workflow.recording.{draw}", lambda *_: [])
        place = tmp_path_factory.mktemp("laboratory")
        patch.setenv("MLFLOW_RANK_CACHE", str(place / "cache"))
        patch.chdir(place)
        measured = measure(Setting(model=str(tiny_hubert), device="cpu"), RankRequest(str(words), intervals=False))
        record(measured, Destination(run_name="registered"), register="tiny")

        def evaluate(model: Any = None, data: Any = None, **more: Any) -> Any:
            from mlflow.models import evaluate

            data = pd.read_json(words, lines=True) if data is None else data
            config = BRIEFLY | {"cache": place / "cache"} | more.pop("config", {})
            asked = {"model_type": MODEL_TYPE, "evaluators": "mlflow_rank", "dataset_path": str(words)} | more
            return evaluate(model, data, evaluator_config=config, **asked)

        yield Laboratory(Desk.laid(place), words, evaluate)


# a registered version, from its name to signed evidence


@dataclass(frozen=True)
class Evaluated:
    result: Any
    run: Any
    files: Path


@pytest.fixture(scope="module")
def evaluated(laboratory: Laboratory) -> Evaluated:
    """Version 1 of `tiny`, evaluated on words, signed by the lab, and decided on."""
    import mlflow

    laboratory.desk.policy(
        rule("pilot_at_least", "above-chance", value=0.34, bound="point"),
        match={"models": ["tiny"], "targets": ["alias:champion"]},
    )
    settings = {"key": "lab.key", "policy": "policy.yaml", "trust": "trust.yaml", "enforce": True}
    settings |= {"first_promotion": True}
    with mlflow.start_run(run_name="evaluated") as run:
        result = laboratory.evaluate("models:/tiny/1", targets="keyword", config=settings)
        files = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="mlflow_rank"))
    return Evaluated(result, mlflow.get_run(run.info.run_id), files)


def test_the_metrics_are_those_of_an_assessment_and_stand_in_the_run(evaluated: Evaluated) -> None:
    metrics = evaluated.result.metrics

    assert {"rank_frame/layer_00", "rank_utterance/layer_02", "pilot_keyword/layer_01"} <= set(metrics)
    assert metrics.items() <= evaluated.run.data.metrics.items()


def test_the_evidence_is_in_the_run_signed_by_the_key_and_about_the_files_of_the_version(
    evaluated: Evaluated, laboratory: Laboratory
) -> None:
    trust = read_trust_file(TRUST)
    about = evaluated.run.data.tags["mlflow_rank.files_digest"]

    for kind in ("measurement", "pilot"):
        presented = present((evaluated.files / "evidence" / f"{kind}.dsse.json").read_bytes(), trust=trust)
        assert presented.kind == kind
        assert [each.name for each in presented.signers] == ["lab"]
        assert presented.statement is not None
        assert {each.digest for each in presented.statement.subjects} == {about}


def test_the_result_holds_evidence_and_documents_and_survives_saving(evaluated: Evaluated, tmp_path: Path) -> None:
    from mlflow.models import EvaluationResult

    evaluated.result.save(str(tmp_path / "saved"))
    loaded = EvaluationResult.load(str(tmp_path / "saved"))

    names = {"measurement.json", "pilot.json", "measurement.dsse.json", "pilot.dsse.json", "decision.json"}
    assert set(loaded.artifacts) == names
    again = present(json.dumps(loaded.artifacts["pilot.dsse.json"].content).encode(), trust=read_trust_file(TRUST))
    assert (again.kind, [each.name for each in again.signers]) == ("pilot", ["lab"])
    for artifact in evaluated.result.artifacts.values():
        assert artifact._load() == artifact.content  # from where its address says that it lies


def test_the_decision_is_on_the_registered_version_and_stands_among_the_files(evaluated: Evaluated) -> None:
    decision = json.loads((evaluated.files / "decision.json").read_text())

    assert decision == evaluated.result.artifacts["decision.json"].content
    assert (decision["verdict"], decision["request"]["model"], decision["request"]["version"]) == (
        "approve",
        "tiny",
        "1",
    )


def test_documents_name_utterances_as_the_manifest_does(evaluated: Evaluated) -> None:
    pilot = json.loads((evaluated.files / "pilot.json").read_text())

    tested = pilot["tasks"][0]["splits"]["test"]
    assert tested
    assert not [key for key in tested if key.startswith("/")]
    assert pilot["tasks"][0]["domains"]["in_domain"]["source"] == DATA


# which encoder, on which data


def test_an_encoder_that_is_no_model_of_mlflow_is_evaluated_by_its_address(laboratory: Laboratory) -> None:
    from mlflow import MlflowClient

    result = laboratory.evaluate(
        config={"model": "module:listeners:plain", "layers": "blocks.*", "task": "keyword,speaker", "control": True}
    )

    assert {"pilot_keyword/layer_01", "pilot_speaker/layer_02", "rank_frame_random/layer_01"} <= set(result.metrics)
    run = MlflowClient().get_run(result.run_id)
    assert run.data.params["model.spec"] == "module:listeners:plain"
    assert set(result.artifacts) == {"measurement.json", "pilot.json", "measurement.dsse.json", "pilot.dsse.json"}


def test_a_list_of_files_is_measured_without_labels_and_unsigned(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RANK_KEY", raising=False)
    files = [str(path) for path in sorted(laboratory.words.parent.glob("ann_*.wav"))]

    result = laboratory.evaluate(
        data=files, config={"model": "module:listeners:plain", "layers": "blocks.*", "labels": None}
    )

    assert not [name for name in result.metrics if name.startswith("pilot")]
    document = result.artifacts["measurement.json"].content
    assert document["audio"]["utterances"] == len(files)
    assert document["audio"]["kind"] == "rows"
    assert result.artifacts["measurement.dsse.json"].content["signatures"] == []


def test_what_the_policies_do_not_approve_ends_the_evaluation_where_that_was_asked_for(laboratory: Laboratory) -> None:
    import mlflow

    Path("asking").mkdir()
    text = Path("policy.yaml").read_text().replace("tiny", "listen*")
    Path("asking/policy.yaml").write_text(text)
    config = {"model": "module:listeners:plain", "layers": "blocks.*", "policy": "asking", "enforce": "true"}

    with mlflow.start_run() as run, pytest.raises(NotApprovedError, match=r"could not decide|do not approve") as raised:
        laboratory.evaluate(config=config)

    assert raised.value.exit_code == 1
    decision = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/mlflow_rank/decision.json")
    assert decision["verdict"] == "deny"
    assert str(decision["id"]) in str(raised.value)


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("keyword", "keyword"), ("label", "keyword"), ("speaker", "speaker"), ("textgrid", "phone"),
        ("phones", "phone"), ("mood", "label:mood"), ("label:mood", "label:mood"),
    ],
)  # fmt: skip
def test_the_column_that_targets_names_says_which_task_is_piloted(target: str, task: str) -> None:
    pytest.importorskip("mlflow")
    from mlflow_rank.registry.runs.evaluation import GivenData

    data = GivenData([], target, None)

    assert [each.task for each in Evaluation(EvaluatorConfig(), "starter", data, "").pilots()] == [task]
    asked = EvaluatorConfig.of({"task": "speaker"})
    assert [each.task for each in Evaluation(asked, "starter", data, "").pilots()] == ["speaker"]


def test_cells_that_are_missing_are_as_if_they_were_not_there() -> None:
    from mlflow.models.evaluation import EvaluationDataset

    frame = pd.DataFrame({
        "path": ["a.wav", "b.wav"], "start": [0.5, float("nan")], "mood": ["calm", None], "shift": [1, 2],
    })  # fmt: skip

    given = given_data(EvaluationDataset(frame, targets="mood", path="corpus/dev.csv"))

    assert given.rows == [
        {"path": "a.wav", "start": 0.5, "mood": "calm", "shift": 1},
        {"path": "b.wav", "start": None, "mood": None, "shift": 2},
    ]
    assert (given.target, given.path) == ("mood", "corpus/dev.csv")


def test_numbers_are_no_audio() -> None:
    from mlflow.models.evaluation import EvaluationDataset

    with pytest.raises(UsageError) as raised:
        given_data(EvaluationDataset([[0.1, 0.2], [0.3, 0.4]]))

    assert raised.value.got == "an array of shape (2, 2) and type float64"


def test_nothing_is_evaluated_without_knowing_which_encoder(laboratory: Laboratory) -> None:
    with pytest.raises(UsageError, match="which encoder"):
        laboratory.evaluate(lambda frame: frame)


def test_two_encoders_are_refused_and_another_name_of_the_same_is_not(laboratory: Laboratory) -> None:
    from mlflow import MlflowClient

    source = MlflowClient().get_model_version("tiny", "1").source
    logged = source.removeprefix("models:/")

    assert evaluated_address(object(), logged, None) == f"models:/{logged}"
    assert evaluated_address(object(), logged, "models:/tiny/1") == "models:/tiny/1"
    with pytest.raises(UsageError, match="two encoders are named") as raised:
        evaluated_address(object(), logged, "models:/tiny/2")
    assert "models:/tiny/1" in str(raised.value.expected)


# how


def test_the_configuration_has_the_options_of_assess_with_their_defaults() -> None:
    """What MLflow itself says (where the run goes, the model) is no option; rows stand in place of the starter."""
    of_mlflow = {"mlflow", "tracking_uri", "experiment", "run_name", "json", "register"}
    options = {option.opts[0].removeprefix("--").replace("-", "_"): option for option in assess_command.params}
    context = click.Context(assess_command)
    config = EvaluatorConfig()

    assert set(EvaluatorConfig.model_fields) == set(options) - of_mlflow
    given = {
        name: options[name].get_default(context)
        for name in EvaluatorConfig.model_fields
        if name not in ("model", "audio", "labels")
    }
    assert EvaluatorConfig.of(given) == config
    assert (config.audio, config.labels, config.model) == (DATA, DATA, None)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"hour": 1.0}, "got:      hour"),
        ({"hours": "long"}, "bad value of hours"),
        ({"shots": ["some"]}, "bad value of shots"),
        ({"workers": 0}, "bad value of workers"),
        ({"to": "nowhere"}, "no such target"),
        ({"policy": "none.yaml"}, "cannot be read"),
        ({"key": "none.key"}, "none.key"),
        ({"preset": "best"}, "no such preset"),
        ({"enforce": True}, "no policy to enforce"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object], what: str
) -> None:
    from mlflow.models.evaluation import EvaluationDataset

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    data = EvaluationDataset(pd.DataFrame({"path": ["a.wav"]}))
    config = {"model": "module:listeners:plain", "layers": "blocks.*", "cache": tmp_path / "cache"} | config

    with pytest.raises(UsageError, match=what):
        RankEvaluator().evaluate(dataset=data, run_id="none", evaluator_config=config)

    assert not (tmp_path / "heard").exists()


def test_texts_mean_what_they_mean_on_the_command_line() -> None:
    config = EvaluatorConfig.of(
        {"hours": "none", "shots": "1,all", "task": "keyword, speaker", "control": "false", "workers": "auto"}
    )

    assert (config.hours, config.shots, config.task) == (None, (1, "all"), ("keyword", "speaker"))
    assert (config.control, config.workers) == (False, None)


def test_the_key_comes_from_the_configuration_or_else_the_environment_and_nobody_is_asked(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RANK_KEY", raising=False)
    assert EvaluatorConfig().signing_key() is None

    monkeypatch.setenv("MLFLOW_RANK_KEY", "ann.key")
    of_environment = EvaluatorConfig().signing_key()
    of_configuration = EvaluatorConfig.of({"key": "lab.key"}).signing_key()

    assert of_environment is not None
    assert of_configuration is not None
    assert of_environment.public.key_id == key_of("ann").public.key_id
    assert of_configuration.public.key_id == key_of("lab").public.key_id


def test_metrics_of_predictions_are_refused(laboratory: Laboratory) -> None:
    from mlflow.models import make_metric

    def score(eval_df: pd.DataFrame, builtin_metrics: dict[str, float]) -> float:
        return 1.0

    with pytest.raises(UsageError, match="no predictions"):
        laboratory.evaluate(
            config={"model": "module:listeners:plain"},
            extra_metrics=[make_metric(eval_fn=score, greater_is_better=True)],
        )


# as MLflow finds it


def test_mlflow_finds_the_evaluator_by_its_name_and_for_its_type_of_model_only() -> None:
    from mlflow.models.evaluation import ModelEvaluator, list_evaluators
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

    assert "mlflow_rank" in list_evaluators()
    found = _model_evaluation_registry.get_evaluator("mlflow_rank")
    assert isinstance(found, RankEvaluator)
    assert found.can_evaluate(model_type=MODEL_TYPE, evaluator_config={})
    for other in ("classifier", "regressor", "text", None):
        assert not found.can_evaluate(model_type=other, evaluator_config={})
    for name in ModelEvaluator.__abstractmethods__:
        asked = inspect.signature(getattr(ModelEvaluator, name)).parameters
        ours = inspect.signature(getattr(RankEvaluator, name)).parameters
        taken_up = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in ours.values())
        assert taken_up or set(asked) <= set(ours)

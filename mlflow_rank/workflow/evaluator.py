"""The evaluator that `mlflow.models.evaluate(…, evaluators="mlflow_rank")` finds: an assessment as MLflow asks for it.

MLflow loads this file before every evaluation, also of other models, so what listens is imported when it is to listen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    from mlflow.models import EvaluationResult

MODEL_TYPE = "speech-encoder"


class RankEvaluator:
    """Measures the rank of every layer of an encoder, pilots it on the labels of the data, and leaves evidence.

    It meets the interface of `mlflow.models.ModelEvaluator` without deriving from it, as that would load MLflow.
    """

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: Mapping[str, object], **_: object) -> bool:
        """Return whether this is an evaluation of a speech encoder: MLflow asks every evaluator about every model."""
        return model_type == MODEL_TYPE

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, object] | None = None,
        model: Any = None,
        model_id: str | None = None,
        **unused: Any,
    ) -> EvaluationResult:
        """Assess the encoder, log everything into the run, and return the metrics with the evidence.

        Args:
            dataset: MLflow's `EvaluationDataset` of a data frame with a manifest's columns, or of a list of files.
                Paths are relative to `dataset_path`, or where that is none, to the current directory.
            run_id: the run to log into; a second evaluation within one run goes into a child run.
            evaluator_config: options of `mlflow-rank assess`, by the same names; see `EvaluatorConfig`.
            model: what MLflow loaded; its bytes are fetched again by its id, as evidence is about files.
            model_id: of the logged model.
            unused: `model_type`, and what an encoder without predictions has no use for.

        Raises:
            UsageError: the model, the data or the configuration is wrong, or metrics are asked for that are computed
                from predictions.
            MeasurementError: too much audio cannot be used, the encoder returns NaN, or the store cannot be reached.
            NotApprovedError: the policies refuse, and the configuration says `enforce`.
        """
        from mlflow_rank.registry.runs.evaluation import evaluated_address, given_data
        from mlflow_rank.workflow.evaluating import Evaluation
        from mlflow_rank.workflow.evaluator_config import EvaluatorConfig

        foreign = [name for name in ("extra_metrics", "custom_artifacts") if unused.get(name)]
        if foreign:
            raise UsageError(
                "an encoder makes no predictions that these could be computed from",
                got=", ".join(foreign),
                expected="neither extra_metrics nor custom_artifacts",
            )
        config = EvaluatorConfig.of(evaluator_config)
        address = evaluated_address(model, model_id, config.model)
        return Evaluation(config, address, given_data(dataset), run_id).concluded(lambda: datetime.now(UTC))

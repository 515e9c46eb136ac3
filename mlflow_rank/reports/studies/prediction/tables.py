"""The tables of a study of prediction: what came of triage, how far each model was off, what it leaned on, and all."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.reports.studies.prediction.words import ANSWERS, MODELS, name_of, verdict_of
from mlflow_rank.reports.studies.report import Cell, ReportTable
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rivals import CANDIDATE
from mlflow_rank.studies.prediction.scores import Answer
from mlflow_rank.studies.prediction.study import NoPrediction, Prediction, PredictionStudy

_FEW = 1  # pilot scores whose models are printed on a terminal: more would scroll the verdicts away


def tables(study: PredictionStudy) -> tuple[ReportTable, ...]:
    """Return them; errors are in points of a hundred, shares in per cent."""
    made = [each for each in study.predictions if isinstance(each, Prediction)]
    return (_triage(study), *([_models(made), _importances(made), _predictions(made)] if made else []))


def _triage(study: PredictionStudy) -> ReportTable:
    columns = (
        "pilot score", "answer", "runs", "error", "by step", "less, %", "low", "high",
        "order, %", "by step, %", "one step, %", "lost", "skip, %",
    )  # fmt: skip
    return ReportTable(
        name="triage",
        title="Are ranks good enough for triage? Ranks and step against step only, on held-out runs",
        columns=columns,
        rows=tuple(tuple(_triage_row(each)) for each in study.predictions),
        note="Error and lost in points. Less: by how much the error is smaller than by step only, with its interval. "
        "Order: clear pairs of checkpoints in right order; one step: those of two unseen runs. Lost: if only the "
        "better half is piloted. Skip: what need not have been piloted. – is not enough.",
        digits=dict.fromkeys(columns, 0) | dict.fromkeys(("error", "by step", "lost"), 1),
    )


def _triage_row(found: Prediction | NoPrediction) -> Iterator[Cell]:
    yield from (name_of(found.outcome), ANSWERS[verdict_of(found)])
    if isinstance(found, NoPrediction):
        yield from [None] * 11
        return
    yield len(found.rows.runs)
    yield from (_value(found.scores[CANDIDATE].error), _value(found.scores["step"].error))
    yield from _three(found.gains["step"])
    yield from (_value(found.triage.ordered), _value(found.triage_by_step.ordered), _value(found.at_one_step))
    yield from (_value(found.triage.lost), _value(found.triage.skippable))


def _models(made: list[Prediction]) -> ReportTable:
    rows = [
        (
            name_of(each.outcome),
            MODELS[name],
            *_three(scores.error),
            *_three(scores.r2, 1.0),
            *_three(scores.spearman, 1.0),
        )
        for each in made
        for name, scores in each.scores.items()
    ]
    points = dict.fromkeys(("error", "error low", "error high"), 1)
    return ReportTable(
        name="models",
        title="How far each model was off on runs that it had not seen",
        columns=(
            "pilot score", "model", "error", "error low", "error high", "R2", "R2 low", "R2 high",
            "Spearman", "Spearman low", "Spearman high",
        ),
        rows=tuple(rows),
        note="Error: mean absolute, in points. R2: 0 is no better than the run's own mean. Spearman: checkpoints of a "
        "run within a layer; – where a prediction never changes.",
        digits=points,
        on_terminal=len(made) <= _FEW,
    )  # fmt: skip


def _importances(made: list[Prediction]) -> ReportTable:
    rows = [
        (name_of(each.outcome), name, *_three(answer)) for each in made for name, answer in each.importances.items()
    ]
    return ReportTable(
        name="importances",
        title="What the prediction leans on",
        columns=("pilot score", "input", "error grows by", "low", "high"),
        rows=tuple(rows),
        note="Points by which the error on held-out runs grows when the input is mixed up among the checkpoints of a "
        "run. Ranks that say the same share what they are worth.",
        on_terminal=False,
    )


def _predictions(made: list[Prediction]) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for each in made:
        sign = -1.0 if each.outcome.lower_is_better else 1.0
        predicted, of = each.found.by(CANDIDATE), each.rows
        rows += [
            (
                each.outcome.name,
                str(of.run[at]),
                int(of.step[at]),
                int(of.layer[at]),
                sign * float(of.score[at]),
                sign * float(predicted[at]),
            )
            for at in range(len(of.score))
        ]
    return ReportTable(
        name="predictions",
        title="Every layer of every checkpoint, predicted by models that did not see its run",
        columns=("pilot score", "run", "step", "layer", "measured", "predicted"),
        rows=tuple(rows),
        digits={"measured": 4, "predicted": 4},
        on_terminal=False,
    )


def _value(answer: Answer, scale: float = 100.0) -> float | None:
    return scale * answer.value if isinstance(answer, OverRuns) else None


def _three(answer: Answer, scale: float = 100.0) -> tuple[float | None, float | None, float | None]:
    if not isinstance(answer, OverRuns):
        return None, None, None
    return scale * answer.value, scale * answer.low, scale * answer.high

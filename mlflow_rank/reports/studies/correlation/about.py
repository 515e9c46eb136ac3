"""How a study of correlation was got: data, window, what was taken off, tests and correction, intervals, seed."""

from __future__ import annotations

from mlflow_rank.reports.studies.correlation.names import measured_otherwise, sentence
from mlflow_rank.reports.studies.correlation.results import Correlated
from mlflow_rank.reports.studies.correlation.words import CORRECTIONS
from mlflow_rank.reports.subject import counted

_QUESTIONS = (
    ("within_layer", "partial", "within layers"),
    ("between_runs", "matched_step", "between runs"),
    ("across_layers", "checkpoint", "across layers"),
)


def about(study: Correlated) -> tuple[str, ...]:
    """Return the sentences that say how."""
    settings, window = study.document["settings"], study.document["window"]
    minimum, runs = settings["minimum"], study.document["runs"]
    fewest, most = (pick([run["checkpoints"] for run in runs] or [0]) for pick in (min, max))
    each = counted(fewest, "checkpoints") if fewest == most else f"{fewest} to {most} checkpoints"
    correction = CORRECTIONS.get(str(settings["correction"]), str(settings["correction"]))
    return (
        (
            f"{counted(len(runs), 'training runs')} of {each}, {counted(len(study.layers), 'layers')}, steps "
            f"{window['from_step']:,} to {window['to_step']:,}; {counted(len(study.predictors), 'ranks')} and "
            f"{counted(len(study.outcomes), 'pilot scores')}. Error rates count negated: more is better."
        ),
        *(sentence(each) for each in measured_otherwise(study.outcomes)),
        (
            "The headline is the partial Spearman correlation within a layer: a smooth curve over log step, and the "
            f"loss (known for {sum(bool(run['loss_known']) for run in runs)} of {len(runs)}), are taken off both "
            "sides. With the trend left in, two numbers that only rise correlate by about .85: that is no tracking."
        ),
        (
            "Rank is said to track a score where at least half of the layers are above 0 after correction and none is "
            "below; to pick the layer where it loses less than a random one, and no more than the last one or the one "
            "that was best in the other runs, by intervals of the differences, which are not corrected for their "
            "number."
        ),
        (
            f"p is from circular shifts within runs, or permuted runs; {correction} over all ranks, pilot scores and "
            f"layers of a question (Spearman: {_families(study)})."
        ),
        (
            f"Intervals are of 95 %, {settings['resamples']:,} resamples, seed {study.document['seed']}. "
            f"Below {minimum['checkpoints']} checkpoints of a run, {minimum['runs']} runs or {minimum['layers']} "
            "layers, what needs them has no number."
        ),
        (
            "Layers are chosen by the pilot. Whether rank may be used for triage is the word of `mlflow-rank study "
            "predict`; no study approves a version."
        ),
    )


def _families(study: Correlated) -> str:
    found = ((words, study.family(question, view)) for question, view, words in _QUESTIONS)
    said = [
        f"{words} {counted(family.tests, 'tests')}, {family.significant:,} at or below .05"
        for words, family in found
        if family is not None
    ]
    return "; ".join(said) or "no test was possible"

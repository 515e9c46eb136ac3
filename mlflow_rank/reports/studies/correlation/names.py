"""What ranks, pilot scores and numbers are called in a study of correlation."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_rank.reports.pilot_words import metric_name
from mlflow_rank.reports.studies.correlation.results import Document, Known
from mlflow_rank.reports.untrusted_text import plain

_RANKS = {
    "rank_frame": "rank of frames",
    "rank_utterance": "rank of utterance means",
    "rank_frame_uncentred": "uncentred rank of frames",
    "rank_utterance_uncentred": "uncentred rank of utterance means",
    "rankme_frame": "RankMe of frames",
    "rankme_utterance": "RankMe of utterance means",
    "rankme_t": "RankMe-t",
}
_DOMAINS = {"in_domain": "in domain", "out_of_domain": "out of domain"}
_LONGEST = 40  # characters of a task's name: it is a person's own


def rank_name(predictor: str) -> str:
    """Return what a rank is called.

    >>> rank_name("rank_frame"), rank_name("total_variance_frame")
    ('rank of frames', 'total variance frame')
    """
    return _RANKS.get(predictor, plain(predictor.replace("_", " ")))


def task_name(outcome: Document, longest: int = _LONGEST) -> str:
    """Return a task's name, its end cut where it is longer than that."""
    said = plain(outcome["task"])
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


def domain_name(outcome: Document) -> str:
    """Return where the pilot's test items came from."""
    return _DOMAINS.get(str(outcome["domain"]), plain(outcome["domain"]).replace("_", " "))


def score_name(outcome: Document, longest: int = _LONGEST) -> str:
    """Return what a pilot score is called.

    >>> score_name({"task": "keyword", "domain": "out_of_domain"})
    'keyword out of domain'
    """
    return f"{task_name(outcome, longest)} {domain_name(outcome)}"


def measure_name(outcome: Document) -> str:
    """Return what an axis of scores is called."""
    return f"{metric_name(str(outcome['metric']))}, %" + (" (less is better)" if outcome["lower_is_better"] else "")


def measured_otherwise(outcomes: Sequence[Document]) -> list[str]:
    """Return a sentence on each pilot score that has another metric than its task has in domain.

    >>> one = {"task": "speaker", "domain": "in_domain", "metric": "balanced_accuracy"}
    >>> measured_otherwise([one, {**one, "domain": "out_of_domain", "metric": "eer_cosine"}])
    ['speaker out of domain is measured by EER by cosine, not by balanced accuracy as in domain.']
    """
    inside = {each["task"]: str(each["metric"]) for each in outcomes if each["domain"] == "in_domain"}
    return [
        f"{score_name(each)} is measured by {metric_name(str(each['metric']))}, not by "
        f"{metric_name(inside[each['task']])} as in domain."
        for each in outcomes
        if inside.get(each["task"], each["metric"]) != each["metric"]
    ]


def sentence(text: str) -> str:
    """Return text with its first letter large, and nothing else changed.

    >>> sentence("rank of frames"), sentence("RankMe-t")
    ('Rank of frames', 'RankMe-t')
    """
    return text[:1].upper() + text[1:]


def scores_listed(chosen: Sequence[Document], all_of_them: Sequence[Document]) -> str:
    """Return pilot scores in few words, the domains of a task together.

    >>> both = [{"task": "phone", "domain": each} for each in ("in_domain", "out_of_domain")]
    >>> scores_listed(both, [*both, {"task": "speaker", "domain": "in_domain"}]), scores_listed(both, both)
    ('phone in and out of domain', 'both pilot scores')
    """
    if len(chosen) == len(all_of_them) > 1:
        return "both pilot scores" if len(chosen) == 2 else f"all {len(chosen)} pilot scores"
    tasks: dict[str, list[Document]] = {}
    for each in chosen:
        tasks.setdefault(str(each["task"]), []).append(each)
    return ", ".join(
        f"{task_name(domains[0])} in and out of domain" if len(domains) == 2 else score_name(domains[0])
        for domains in tasks.values()
    )


def signed(value: float) -> str:
    """Return a correlation with its sign.

    >>> signed(0.614), signed(-0.2), signed(-0.001)
    ('+0.61', '-0.20', '+0.00')
    """
    return f"{round(value, 2) + 0.0:+.2f}"


def points(value: float) -> str:
    """Return a share in points of a hundred.

    >>> points(0.1249), points(0.0)
    ('12.5', '0.0')
    """
    return f"{round(100 * value, 1) + 0.0:.1f}"


def with_interval(found: Known) -> str:
    """Return a correlation with its interval where it has one."""
    return signed(found.value) + (f" {signed_bounds(found)}" if found.interval else "")


def signed_bounds(found: Known) -> str:
    """Return the interval of a correlation, empty where there is none."""
    return f"[{signed(found.interval[0])}, {signed(found.interval[1])}]" if found.interval else ""


def lost_points(found: Known) -> str:
    """Return points lost with their interval where they have one."""
    return points(found.value) + (f" {point_bounds(found)}" if found.interval else "")


def point_bounds(found: Known) -> str:
    """Return an interval in points of a hundred, empty where there is none."""
    return f"[{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""

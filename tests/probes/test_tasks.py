"""What the text of `--task` means."""

from __future__ import annotations

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.scores import METRICS
from mlflow_rank.probes.tasks import parse_task


@pytest.mark.parametrize(
    ("text", "kind", "field", "disjoint_by", "primary"),
    [
        ("keyword", "label", "keyword", "group", "balanced_accuracy"),
        ("label:alarm kind", "label", "alarm kind", "group", "balanced_accuracy"),
        ("label:label:x", "label", "label:x", "group", "balanced_accuracy"),
        ("speaker", "speaker", "speaker", "session", "balanced_accuracy"),
        ("phone", "phone", "phones", "group", "balanced_frame_accuracy"),
    ],
)
def test_a_task_says_what_it_reads_and_what_is_kept_apart(text, kind, field, disjoint_by, primary):
    task = parse_task(text)
    assert (task.name, task.kind, task.field, task.disjoint_by) == (text, kind, field, disjoint_by)
    assert task.metrics[0] == primary
    assert set(task.metrics) <= set(METRICS)
    assert METRICS[primary].direction == "higher"  # what the learning curve and the choice of a layer rest on


@pytest.mark.parametrize("text", ["", "label:", "label", "Keyword", "words", " keyword"])
def test_no_other_text_is_a_task(text):
    with pytest.raises(UsageError) as raised:
        parse_task(text)
    assert raised.value.got == repr(text)
    assert raised.value.expected == "phone, keyword, speaker or label:FIELD"

"""Times with a zone, written in one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.instant import Instant


def test_the_text_and_the_moment_are_kept():
    instant = Instant.of("2026-03-01T12:30:00.25+05:30")
    assert instant.text == "2026-03-01T12:30:00.25+05:30"
    assert instant.moment == datetime(2026, 3, 1, 7, 0, 0, 250_000, UTC)
    assert instant.moment.utcoffset() == timedelta(hours=5, minutes=30)


@hypothesis.given(st.datetimes(timezones=st.just(UTC)))
def test_what_python_writes_is_read(moment):
    assert Instant.of(moment.isoformat()).moment == moment


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z",
     "2026-01-01T00:00Z", "20260101T000000Z", "2026-W01-1T00:00:00Z", "2026-01-01T00:00:00z", "２026-01-01T00:00:00Z",
     "2026-01-01T00:00:00+99:00", "2026-01-01T00:00:00Z\n", "0000-01-01T00:00:00Z", "now"],
)  # fmt: skip
def test_another_form_is_refused(text):
    with pytest.raises(EvidenceError, match="no time with a zone"):
        Instant.of(text)

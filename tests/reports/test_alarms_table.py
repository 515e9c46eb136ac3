from __future__ import annotations

import io
import re

import pytest
from verdicts import alarm

from mlflow_rank.reports.alarms_table import print_alarms


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def printed(*alarms: object, columns: int | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    stream = io.StringIO()
    if columns is not None and monkeypatch is not None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
    print_alarms(alarms, stream)  # type: ignore[arg-type]
    return stream.getvalue()


OPEN = alarm(since=132_200, layers=range(48))
OVER = alarm("divergence", since=81_800, layers=(10, 11, 14), closed_step=110_200)


@pytest.mark.parametrize("columns", [80, 200])
def test_open_alarms_come_first_and_every_line_fits(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", printed(OVER, OPEN, columns=columns, monkeypatch=monkeypatch))
    lines = shown.splitlines()
    assert all(len(line) <= columns for line in lines)
    told = " ".join(" ".join(lines).split())
    assert told.index("OPEN since 132,200") < told.index("81,800 to 110,200")
    assert told.index("0-47") < told.index("10-11, 14")


def test_a_file_gets_every_word_in_ascii() -> None:
    told = printed(OPEN)
    assert told.isascii()
    assert "Look" in told
    assert "40,000" in told


def test_what_is_over_asks_for_nothing() -> None:
    assert "Next" not in printed(OVER)


def test_a_quiet_run_says_so() -> None:
    assert printed() == "no alarm was raised\n"


def test_text_that_steers_a_terminal_is_written_out() -> None:
    assert "\x1b" not in printed(alarm(saw="red \x1b[31m"))

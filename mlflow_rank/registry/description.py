"""The decision in a version's description: between two marks, so that what people wrote around it stays."""

from __future__ import annotations

BEGIN, END = "<!-- mlflow-rank: decision -->", "<!-- mlflow-rank: end -->"
MOST_CHARACTERS = 5000  # that MLflow's column holds
_CUT = "\n\n… cut here; the whole decision is in the ledger.\n"


def with_decision(description: str | None, table: str) -> str:
    """Return a description with the table of a decision in place of the last one; people's words are never cut.

    >>> print(with_decision("Trained on Tuesday.", "| rule | result |"))
    Trained on Tuesday.
    <BLANKLINE>
    <!-- mlflow-rank: decision -->
    | rule | result |
    <!-- mlflow-rank: end -->
    """
    before, after = _around(description or "")
    words = "\n\n".join(part for part in (before, after) if part)
    room = MOST_CHARACTERS - len(words) - len(BEGIN) - len(END) - 4
    if len(table) > room:
        lines, table = table[: max(room - len(_CUT), 0)].rpartition("\n")[0], ""
        table = lines + _CUT if lines else ""
    if not table:
        return words[:MOST_CHARACTERS]
    block = f"{BEGIN}\n{table.strip()}\n{END}"
    return f"{words}\n\n{block}" if words else block


def without_decision(description: str) -> str:
    """Return what people wrote in a description: a copy of a version was not decided on.

    >>> without_decision(with_decision("Trained on Tuesday.", "| rule | result |"))
    'Trained on Tuesday.'
    """
    return "\n\n".join(part for part in _around(description) if part) if BEGIN in description else description


def _around(description: str) -> tuple[str, str]:
    before, begin, rest = description.partition(BEGIN)
    if not begin:
        return description.rstrip(), ""
    _, _, after = rest.partition(END)
    return before.rstrip(), after.strip()

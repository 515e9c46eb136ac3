"""What the gate writes into a version's description: between marks, so that what people wrote around it stays.

A notice of what nobody may overlook comes first, then people's words, then the decision. A mark stands at the end of
the first line of what it marks: lists of versions show how a description begins, as it is written.
"""

from __future__ import annotations

BEGIN, END = "<!-- mlflow-rank: decision -->", "<!-- mlflow-rank: end -->"
NOTICE = "<!-- mlflow-rank: notice -->"
MOST_CHARACTERS = 5000  # that MLflow's column holds
_CUT = "\n\n… cut here; the whole decision is in the ledger.\n"


def with_decision(description: str | None, table: str) -> str:
    """Return a description with the table of a decision in place of the last one; people's words are never cut.

    >>> print(with_decision("Trained on Tuesday.", "### APPROVED\\n| rule | result |"))
    Trained on Tuesday.
    <BLANKLINE>
    ### APPROVED <!-- mlflow-rank: decision -->
    | rule | result |
    <!-- mlflow-rank: end -->
    """
    before, _, after = _parted(description or "", BEGIN)
    words = _together(before, after)
    room = MOST_CHARACTERS - len(words) - len(_block(BEGIN, "")) - 2
    if len(table) > room:
        lines, table = table[: max(room - len(_CUT), 0)].rpartition("\n")[0], ""
        table = lines + _CUT if lines else ""
    return _together(words, _block(BEGIN, table)) if table else words[:MOST_CHARACTERS]


def with_notice(description: str | None, notice: str) -> str:
    """Return a description that begins with a notice in place of the last one; an empty one takes it away.

    The decision is cut where both have no room; the notice is left out where people's words leave none.

    >>> print(with_notice("Trained on Tuesday.", "### FLAGGED"))
    ### FLAGGED <!-- mlflow-rank: notice -->
    <BLANKLINE>
    <!-- mlflow-rank: end -->
    <BLANKLINE>
    Trained on Tuesday.
    >>> with_notice(with_notice("Trained on Tuesday.", "### FLAGGED"), "")
    'Trained on Tuesday.'
    """
    before, _, after = _parted(description or "", NOTICE)
    rest = _together(before, after)
    if not notice:
        return rest
    before, table, after = _parted(rest, BEGIN)
    words, block = _together(before, after), _block(NOTICE, notice)
    if len(words) + len(block) + 2 > MOST_CHARACTERS:
        return rest
    said = _together(block, words)
    return with_decision(said, table) if table else said


def without_gate(description: str) -> str:
    """Return what people wrote in a description: a copy of a version was not decided on.

    >>> without_gate(with_decision("Trained on Tuesday.", "| rule | result |"))
    'Trained on Tuesday.'
    """
    for mark in (NOTICE, BEGIN):
        if mark in description:
            before, _, after = _parted(description, mark)
            description = _together(before, after)
    return description


def _block(mark: str, text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return f"{first} {mark}\n{rest}\n{END}"


def _parted(description: str, mark: str) -> tuple[str, str, str]:
    """Return what stands before the block of a mark, what it says, and what stands after it."""
    before, found, rest = description.partition(mark)
    if not found:
        return description.rstrip(), "", ""
    before, _, first = before.rpartition("\n")
    said, _, after = rest.partition(END)
    return before.rstrip(), f"{first.rstrip()}{said}".strip(), after.strip()


def _together(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)

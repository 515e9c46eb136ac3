"""Why a version is promoted or not, in plain sentences: the verdict now, what lacks, who can supply it, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.registry.clients.outlook_document import Matter, Need, Outlook, Placement
from mlflow_rank.reports.untrusted_text import plain

_COMMANDS = {
    "evidence": "mlflow-rank submit {version}",
    "approval": 'mlflow-rank approve {version} --to {target} --key FILE --comment "…"',
    "waiver": 'mlflow-rank waive {version} --to {target} --rule RULE --reason "…" --ticket … --key FILE',
}
FIRST = 3  # needs that are named where there is little room
_OVERDUE = "REVIEW OVERDUE SINCE"


def why_lines(outlook: Outlook, target: str) -> Iterator[str]:
    """Yield what stands in the way of a version, line by line; the outlook must be of this version and target."""
    return (shown(line) for line in _lines(outlook, target))


def _lines(outlook: Outlook, target: str) -> Iterator[str]:
    yield verdict_line(outlook, target)
    placed = outlook.at(target)
    if placed is None or not outlook.version or placed.version != outlook.version.number:
        yield f"  {target} is {placed_words(placed)}"
    for matter in outlook.matters:
        if matter.target == target and _is_about(matter, outlook):
            yield f"  {matter_words(outlook.model, matter)}"
    yield from _needs(outlook, target, None)
    step = next_step(outlook, target)
    if step:
        yield f"Next: {step}"


def verdict_line(outlook: Outlook, target: str) -> str:
    """Return the verdict now, as one sentence."""
    about = f"{address_of(outlook)} to {target}"
    placed = outlook.at(target)
    if placed is not None and outlook.version is not None and placed.version == outlook.version.number:
        return f"{address_of(outlook)} is at {target}{since_words(placed)}."
    reason = outlook.stands.reason if outlook.stands else ""
    answer = outlook.answer
    if answer == "free":
        return f"{about}: nobody is asked. {reason}"
    if answer == "shut":
        return f"{about}: the gate is shut, its rules cannot be read: {'; '.join(outlook.problems)}."
    if answer == "uncovered":
        return f"{about}: REFUSED. {reason}"
    decision = (outlook.version.decision if outlook.version else None) or {}
    if answer == "approved":
        approved = decision.get("verdict") == "approve"
        return f"{about}: {'would be approved now' if approved else 'nothing is enforced yet, so nothing stops it'}."
    said = str(decision.get("sentence") or "").removeprefix("denied: ")
    word = "REFUSED" if answer == "refused" else "not yet"
    return f"{about}: {word}{f': {said}' if said else ''}."


def need_lines(outlook: Outlook, target: str, *, most: int | None = None) -> Iterator[str]:
    """Yield what lacks, each with who can supply it and by which command; the first few, where `most` says so."""
    return (shown(line) for line in _needs(outlook, target, most))


def _needs(outlook: Outlook, target: str, most: int | None) -> Iterator[str]:
    needs: Sequence[Need] = outlook.version.missing if outlook.version else ()
    for need in needs[:most]:
        yield f"  - {need.sentence}"
        command = _COMMANDS.get(need.kind)
        if command is not None and need.who:
            yield f"      {listed(need.who)}: {command.format(version=address_of(outlook), target=target)}"
        elif need.who:
            yield f"      ask {listed(need.who)}"
    if most is not None and len(needs) > most:
        yield f"  and {len(needs) - most} more: mlflow-rank why {address_of(outlook)} --to {target}"


def next_step(outlook: Outlook, target: str) -> str | None:
    """Return the command that comes next; None where there is nothing to do, or what lacks says it."""
    version = outlook.version.number if outlook.version else ""
    placed = outlook.at(target)
    address = address_of(outlook)
    if placed is not None and placed.version == version and not placed.by_break_glass:
        return None
    asked = bool(outlook.open("request", target=target, version=version))
    if outlook.answer in ("approved", "free"):
        return f"mlflow-rank promote {address} --to {target}"
    if outlook.answer == "missing" and not asked:
        return f"mlflow-rank submit {address} --to {target}"
    if outlook.answer == "missing" and not outlook.automatic:
        return f"mlflow-rank promote {address} --to {target} --wait 2h"
    return None


def matter_words(model: str, matter: Matter) -> str:
    """Return what is open, in a sentence; what must not be overlooked begins in capitals."""
    about = f"{model} {matter.version}"
    by = matter.by or "somebody unknown"
    said = f": {matter.words}" if matter.words else ""
    if matter.kind == "request":
        return f"{by} asked on {when(matter.at)} for {about} to go to {matter.target}{said}"
    if matter.kind == "flag":
        where = "at" if matter.placed else "no longer at"
        return f"FLAGGED: {about}, {where} {matter.target}, since {when(matter.at)}{said}"
    ticket = f" ({matter.ticket})" if matter.ticket else ""
    until = f"; it holds until {when(matter.expires_at)}" if matter.expires_at else ""
    if matter.review_by is None:
        review = "; NOT REVIEWED"
    else:
        review = f"; {_OVERDUE if matter.overdue else 'to be reviewed by'} {when(matter.review_by)}"
    placed = f"{by} put {about} at {matter.target} on {when(matter.at)}, WITHOUT APPROVAL"
    return f"BREAK-GLASS: {placed}{ticket}{said}{until}{review}"


def since_words(placed: Placement) -> str:
    """Return since when, by whom and on what a version is where it is."""
    at = f" since {when(placed.at)}" if placed.at else ""
    by = f" by {placed.by}" if placed.by else ""
    behalf = f" for {placed.on_behalf_of}" if placed.on_behalf_of else ""
    if placed.by_break_glass:
        return f"{at}{by}, by break-glass {placed.decision}: WITHOUT APPROVAL"
    return f"{at}{by}{behalf}" + (f", on decision {placed.decision}" if placed.decision else ", on no decision")


def placed_words(placed: Placement | None) -> str:
    """Return what a target points at."""
    return "empty" if placed is None else f"at version {placed.version}{since_words(placed)}"


def address_of(outlook: Outlook) -> str:
    """Return the version that an outlook is about, as MLflow addresses it; the model where it is about none."""
    return f"models:/{outlook.model}" + (f"/{outlook.version.number}" if outlook.version else "")


def when(at: str | None) -> str:
    """Return a time to the second, in UTC.

    >>> when("2026-11-26T02:39:59.123Z")
    '2026-11-26 02:39:59'
    """
    return "?" if at is None else at[:19].replace("T", " ")


def listed(names: Sequence[str]) -> str:
    """Return names of which any will do.

    >>> listed(["ann"]), listed(["ann", "bob", "dora"])
    ('ann', 'ann, bob or dora')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def shown(line: str) -> str:
    r"""Return a line that is safe to print, with its indent.

    >>> shown("  a\x1b[2J\nb")
    '  a\\x1b[2J b'
    """
    return line[: len(line) - len(line.lstrip(" "))] + plain(line)


def _is_about(matter: Matter, outlook: Outlook) -> bool:
    return matter.kind != "request" or outlook.version is None or matter.version == outlook.version.number

"""Flags and break-glasses as markdown, for the top of a version's description: loud, short, and with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.registry.gate.notices import Notice
from mlflow_rank.reports.decision_markdown import RECORD, headed, why_command
from mlflow_rank.reports.untrusted_text import in_markdown


def notices_in_description(notices: Sequence[Notice]) -> str:
    """Return what nobody may overlook of a version, as markdown; nothing where there is nothing."""
    return "\n\n".join("\n".join(_flag(each) if each.kind == "flag" else _break_glass(each)) for each in notices)


def _flag(notice: Notice) -> Iterator[str]:
    where = "at" if notice.placed else "formerly at"
    yield from headed(f"FLAGGED: {_about(notice)} {where} {in_markdown(notice.target)}")
    yield ""
    against = in_markdown(notice.words("sentence") or "something")
    yield (
        f"Since {_when(notice.at)} this speaks against it: **{against}**. What approved it, beneath, is older. "
        f"What to do: {why_command(notice.model, notice.version, notice.target)}. {_record('decision', notice)}"
    )


def _break_glass(notice: Notice) -> Iterator[str]:
    target = in_markdown(notice.target)
    where = f"is at {target}" if notice.placed else f"was put at {target}, where it no longer is,"
    yield from headed(f"BREAK-GLASS: {_about(notice)} {where} WITHOUT APPROVAL")
    yield ""
    by = in_markdown(" and ".join(notice.signed_by) or "somebody")
    ticket, reason = notice.words("ticket"), notice.words("reason")
    why = f" ({in_markdown(ticket)})" if ticket else ""
    why += f": {in_markdown(reason.rstrip('.'))}" if reason else ""
    until = f" It holds until {_when(notice.words('expires_at'))}." if notice.placed else ""
    yield f"**{by}** put it there on {_when(notice.at)}{why}.{until} {_review(notice)} {_record('break-glass', notice)}"


def _review(notice: Notice) -> str:
    if not notice.waits:
        return "It was reviewed; that approves nothing."
    review_by = notice.words("review_by")
    until = f", to be reviewed by {_when(review_by)}" if review_by else ""
    return f"**NOT REVIEWED**{until}: `mlflow-rank status` says how."


def _record(named: str, notice: Notice) -> str:
    return f"**Full record:** [{named} {notice.basis}]({RECORD}{notice.basis}), or `mlflow-rank audit history`."


def _about(notice: Notice) -> str:
    return in_markdown(f"{notice.model} version {notice.version}")


def _when(at: str | None) -> str:
    return "an unknown time" if at is None else f"{in_markdown(at[:16].replace('T', ' '))} UTC"

"""Who is at the door: the user that the server has authenticated, or the name of nobody in particular."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

ANONYMOUS = "anonymous"
GATE = "mlflow-rank-gate"  # how the gate calls itself, as an actor and in checkpoints
_LONGEST = 300  # of what a client may say about itself


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls, and whether the server knows it: without authentication a name is only what somebody says.

    `on_behalf_of` is who asked for what the gate does by itself.
    """

    name: str
    verified: bool
    on_behalf_of: str | None = None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        asked = {} if self.on_behalf_of is None else {"on_behalf_of": self.on_behalf_of}
        return {"name": self.name, "verified": self.verified, **asked}


def actor_here() -> Actor:
    """Return who calls: under basic-auth the authenticated user; headers that claim a user are not believed."""
    from flask import g, has_request_context

    if has_request_context():
        user = getattr(g, "mlflow_authenticated_user", None)
        return Actor(str(user), verified=True) if user else Actor(ANONYMOUS, verified=False)
    try:
        return Actor(getpass.getuser(), verified=False)
    except (KeyError, OSError):  # a container may run as a number without a name
        return Actor(ANONYMOUS, verified=False)


def origin_here() -> dict[str, object]:
    """Return where a call comes from: address, request and program of a request, or that it is none."""
    from flask import has_request_context, request

    if not has_request_context():
        return {"by": "python"}
    return {
        "by": "http",
        "address": request.remote_addr,
        "request": f"{request.method} {request.path}"[:_LONGEST],
        "program": (request.user_agent.string or "")[:_LONGEST],
    }

"""Break-glasses whose time is over, found by the clock: nobody calls at that moment, so the server looks by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from mlflow_rank.audit.lookups import placed_on
from mlflow_rank.registry.gate.actor import GATE, Actor
from mlflow_rank.registry.gate.basis import BREAK_GLASS
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.consequences import Consequences


def end_emergencies(store: Any, now: datetime, stopping: Callable[[], bool] = lambda: False) -> None:
    """Go back from every version whose break-glass has expired, in all workspaces; see `Consequences`.

    Args:
        store: with the gate.
        now: the time.
        stopping: says whether to leave the rest to another time.
    """
    from mlflow.utils.workspace_context import clear_server_request_workspace, set_server_request_workspace

    with store.gate.sessions.reading() as session:
        workspaces = {each.workspace for each in placed_on(session.connection(), BREAK_GLASS)}
    for workspace in sorted(workspaces):
        if stopping():
            return
        call = Call("tending", workspace, (), {}, Actor(GATE, verified=True), {"by": "clock"})
        set_server_request_workspace(workspace)  # for the methods of MLflow's store that are called
        try:
            Consequences(store.gate, store.hands).end_break_glasses(call, now)
        finally:
            clear_server_request_workspace()

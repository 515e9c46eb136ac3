"""Asking a gate over HTTP, as MLflow's own client asks: same credentials, workspace and certificates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.gate.records import API

_LONGEST = 300  # characters of what somebody else's server says


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; `body` is empty where that is no JSON object."""

    status: int
    body: Mapping[str, Any]
    text: str

    @property
    def in_words(self) -> str:
        """The answer, for an error."""
        return f"HTTP {self.status}: {self.text[:_LONGEST]}"


def asked(uri: str, path: str, *, what: str, expected: str = "") -> Answer:
    """Ask one of the routes of a gate.

    Args:
        uri: of the server.
        path: after the routes' beginning, quoted.
        what: the error's first words where there is no answer.
        expected: what was expected to answer.

    Raises:
        EvidenceError: the server does not answer.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        answer = http_request(get_default_host_creds(uri), f"{API}/{path}", "GET", max_retries=1, raise_on_status=False)
    except MlflowException as error:
        lines = str(error).splitlines() or ["no reason given"]
        raise EvidenceError(what, got=lines[0][:_LONGEST], expected=expected) from error
    try:
        body = json.loads(answer.content)
    except ValueError:
        body = None
    return Answer(answer.status_code, body if isinstance(body, dict) else {}, answer.text)

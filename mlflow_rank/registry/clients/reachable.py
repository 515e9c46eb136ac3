"""Asking whether a store answers beside a training that goes on: nothing of the process is changed for it.

`connected_client` sets variables of the environment for a moment, which a training in another thread would notice.
"""

from __future__ import annotations

import os

from mlflow_rank.registry.clients.connection import probe_database, unreachable

_SECONDS = 5.0  # for one question, as `connected_client` has it
_GONE = range(500, 600)  # what a proxy says of a server that is away


def check_reachable(uri: str, *, what_is_safe: str) -> None:
    """Find out within seconds that a store is away; whatever is not clearly away is left for MLflow to try.

    MLflow itself would try for minutes, which delays what comes after a short outage as much as a long one.

    Args:
        uri: MLflow's tracking URI.
        what_is_safe: what the error says about work done so far.

    Raises:
        MeasurementError: nobody answers there.
    """
    try:
        if uri.startswith(("http://", "https://")):
            _check_server(uri)
        else:
            probe_database(uri)
    except Exception as error:  # whatever a driver raises, the answer is the same
        raise unreachable(uri, error, what_is_safe=what_is_safe) from error


def _check_server(uri: str) -> None:
    import requests  # which MLflow asks with: the same proxies

    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    if insecure:  # asking would warn on each request; MLflow does so already
        return
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=_SECONDS, allow_redirects=False, stream=True)
    except requests.exceptions.SSLError:  # its certificates may be known to MLflow alone
        return
    with answer:
        if answer.status_code in _GONE:
            raise ConnectionError(f"it answers {answer.status_code} {answer.reason}")

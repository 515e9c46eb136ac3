"""`mlflow-rank server`: `mlflow server` with the gate in its registry and the seal on approved files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, say
from mlflow_rank.cli.signing import TRUST


@click.command(
    "server",
    short_help="MLflow's server, with the gate in its registry.",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},  # -h is MLflow's --host
)
@click.option(
    "--backend-store-uri",
    "backend",
    default="sqlite:///mlflow.db",
    show_default=True,
    envvar="MLFLOW_BACKEND_STORE_URI",
    help="Database of runs and registry, without rank+ in front.",
)
@click.option(
    "--registry-store-uri",
    "registry",
    type=OPTIONAL_TEXT,
    default=None,
    envvar="MLFLOW_REGISTRY_STORE_URI",
    help="Database of the registry, where that is another.  [default: --backend-store-uri]",
)
@click.option(
    "--policies",
    type=click.Path(path_type=Path),
    default=Path("policies"),
    show_default=True,
    envvar="MLFLOW_RANK_POLICIES",
    help="Directory of policies; what they do not allow is refused. Also MLFLOW_RANK_POLICIES.",
)
@TRUST
@click.option(
    "--gate-key",
    type=OPTIONAL_PATH,
    default=None,
    envvar="MLFLOW_RANK_GATE_KEY",
    help="Private key that signs decisions; its passphrase is in MLFLOW_RANK_GATE_KEY_PASSPHRASE. Also "
    "MLFLOW_RANK_GATE_KEY.  [default: decisions are not signed]",
)
@click.option(
    "--webhooks",
    type=OPTIONAL_PATH,
    default=None,
    envvar="MLFLOW_RANK_WEBHOOKS",
    help="Who outside is told of requests, approvals, refusals and moves: see `mlflow-rank webhooks`. Also "
    "MLFLOW_RANK_WEBHOOKS.  [default: nobody]",
)
@click.option("--basic-auth", is_flag=True, help="Users and permissions by MLflow's basic-auth.")
@click.argument("others", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF MLFLOW SERVER]...")
def server_command(**options: Any) -> None:
    """Start `mlflow server` so that no client, page or script moves a protected alias or stage past the policies.

    The registry is served from behind the gate: versions become champion only if the policies in --policies approve
    their signed evidence. Files of approved versions cannot be overwritten through the server. Every attempt is in the
    ledger, which lies in the same database: see `mlflow-rank audit`.

    Every option of `mlflow server` is passed on as it is: --host, --port, --workers, --artifacts-destination,
    --static-prefix, --allowed-hosts, --enable-workspaces, --uvicorn-opts, … Not possible are --app-name, --dev,
    --artifacts-only, --gunicorn-opts and --waitress-opts, under which the seal would be missing.

    Policies, trust and key are read again whenever they change. Where a policy cannot be read, or there is none, the
    server starts and the gate stays shut.

    Whoever has the database's password can go past any server; `mlflow-rank audit reconcile` finds that.

    \b
    Examples:
      mlflow-rank server --policies policies/ --trust trust.yaml --gate-key gate.key
      mlflow-rank server --backend-store-uri postgresql+psycopg2://mlflow@db/mlflow --host 0.0.0.0 --workers 4 \\
                         --allowed-hosts mlflow.lab --artifacts-destination s3://models --basic-auth
    """
    from mlflow_rank.workflow.serving import ServerRequest, announcement, launch, prepare_basic_auth, run_server

    starting = launch(ServerRequest(**options), os.environ)
    for line in announcement(starting):
        say(line)
    environment = dict(starting.environment)
    if options["basic_auth"]:
        environment |= prepare_basic_auth(environment)
    sys.exit(run_server(starting.command, environment))

"""`mlflow-rank study protocol`: how an organisation measures, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, check_places, paths, say
from mlflow_rank.cli.study.options import PRESENTATION
from mlflow_rank.cli.study.presenting import present


@click.command("protocol", short_help="How you measure, on one page, for others to measure alike.")
@paths("--policy", help="Policy files, or directories of them.  [required]")
@click.option("--measurement", type=OPTIONAL_PATH, default=None, help="A measurement's JSON: its convention and audio.")
@click.option("--pilot", type=OPTIONAL_PATH, default=None, help="A pilot's JSON: its protocol and corpora.")
@PRESENTATION
def protocol_command(policy: tuple[Path, ...], **options: Any) -> None:
    """State on one page how you measure: sampling, convention, rules, people, cadence, and what is never done.

    It is written from your policies, and from a measurement and a pilot where they are given, else from the tool's
    defaults. The same input gives the same page and the same digest, so that two sites can see whether their numbers
    may be compared. Markdown goes to stdout; --output also gets protocol.md and an HTML page.

    \b
    Examples:
      mlflow-rank study protocol --policy policies/speech-encoder.yaml > PROTOCOL.md
      mlflow-rank study protocol --policy policies/ --measurement ranks.json --pilot pilot.json --output protocol/
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.reports.studies.protocol.report import markdown, report
    from mlflow_rank.workflow.studies.protocol import protocol

    check_places(options)
    if not policy:
        raise UsageError("there is no policy to state", expected="--policy FILE", remedy="see policies/")
    statement = protocol(policy, measurement=options["measurement"], pilot=options["pilot"])
    page = markdown(statement)
    present(report(statement), options, instead=page)
    if options["output"] is not None:
        place = options["output"] / "protocol.md"
        place.write_text(page, encoding="utf-8")
        say(f"written to {place}")

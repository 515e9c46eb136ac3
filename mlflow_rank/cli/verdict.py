"""What a decision is on the command line: printed, written in other tools' forms, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, all_of, check_file, say

if TYPE_CHECKING:
    from mlflow_rank.policy import Decision, Watched
    from mlflow_rank.workflow.policies import PolicyFile

APPROVED, REFUSED, UNDECIDED = 0, 1, 3
_EXIT_BADNESS = {APPROVED: 0, UNDECIDED: 1, REFUSED: 2}

FORMS = all_of(
    click.option(
        "--json", "json_to", type=OPTIONAL_PATH, default=None, help="Write the decision as JSON to FILE; - for stdout."
    ),
    click.option(
        "--markdown",
        "markdown_to",
        type=OPTIONAL_PATH,
        default=None,
        help="As a comment for a pull request; FILE or -.",
    ),
    click.option("--sarif", "sarif_to", type=OPTIONAL_PATH, default=None, help="As SARIF 2.1.0 for code scanning."),
    click.option("--junit", "junit_to", type=OPTIONAL_PATH, default=None, help="As JUnit XML for test reports."),
)


def check_forms(options: Mapping[str, Any]) -> None:
    """Refuse two documents on one stdout, and places that cannot be written to.

    Raises:
        UsageError: one of these.
    """
    from mlflow_rank.errors import UsageError

    places = {name: options[f"{name}_to"] for name in ("json", "markdown", "sarif", "junit")}
    on_stdout = [f"--{name}" for name, place in places.items() if str(place) == "-"]
    if len(on_stdout) > 1:
        raise UsageError("stdout holds one document", got=" and ".join(on_stdout), expected="files for all but one")
    for name, place in places.items():
        check_file(f"--{name}", place)


def present_verdict(
    decision: Decision | None,
    watched: Sequence[Watched],
    files: Sequence[PolicyFile],
    options: Mapping[str, Any],
    *,
    on_stderr: bool = False,
) -> int:
    """Print and write what was decided and watched, and return the exit code.

    0: approved, or clear. 1: refused, or a rule of a watch policy fails. 3: nothing speaks against it, but something is
    missing. A decision counts before what is only watched.
    """
    from mlflow_rank.reports.decision_table import print_decision, print_watch

    written = _documents(decision, watched, files)
    alone = [name for name in written if str(options[f"{name}_to"]) == "-"]
    for name, text in written.items():
        place: Path | None = options[f"{name}_to"]
        if place is not None and str(place) != "-":
            _write(place, text())
            say(f"written to {place}")
    if alone:
        click.echo(written[alone[0]](), nl=False)
    else:
        stream = sys.stderr if on_stderr else sys.stdout
        for each in watched:
            print_watch(each, stream=stream)
        if decision is not None:
            print_decision(decision, stream=stream)
    return exit_code(decision, watched)


def exit_code(decision: Decision | None, watched: Sequence[Watched]) -> int:
    """Return 0, 1 or 3 for what was decided, or, where nothing was to be decided, for what was watched."""
    from mlflow_rank.policy import Deny

    if decision is not None:
        if not isinstance(decision, Deny):
            return APPROVED
        return UNDECIDED if decision.undecided else REFUSED
    if all(each.outcome == "clear" for each in watched):
        return APPROVED
    return UNDECIDED if all(each.undecided or each.outcome == "clear" for each in watched) else REFUSED


def _write(place: Path, text: str) -> None:
    from mlflow_rank.errors import UsageError

    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("the decision cannot be written there", got=f"{place}: {error.strerror}") from error


def _documents(decision: Decision | None, watched: Sequence[Watched], files: Sequence[PolicyFile]) -> dict[str, Any]:
    """Return how each form is written: one document, of the decision where there is one, else of the worst news."""
    import json

    from mlflow_rank.reports.decision_junit import decision_junit
    from mlflow_rank.reports.decision_markdown import decision_markdown
    from mlflow_rank.reports.decision_sarif import decision_sarif

    paths = {file.policy.digest: file.path.as_posix() for file in files}
    lines = {(file.policy.digest, rule): line for file in files for rule, line in file.lines.items()}
    said = decision if decision is not None else max(watched, key=lambda each: _EXIT_BADNESS[exit_code(None, [each])])
    return {
        "json": lambda: json.dumps(said.document(), indent=1) + "\n",
        "markdown": lambda: decision_markdown(said),
        "sarif": lambda: json.dumps(decision_sarif(said, policy_files=paths, lines=lines), indent=1) + "\n",
        "junit": lambda: decision_junit(said),
    }

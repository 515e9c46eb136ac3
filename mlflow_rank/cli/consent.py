"""What `approve`, `reject` and `waive` share: a word is handed in at the gate, or written to a file to be handed on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, TARGET, aftermath, end_with
from mlflow_rank.cli.decide import BESIDE_A_VERSION, question_of
from mlflow_rank.cli.options import OPTIONAL_PATH, all_of, paths, say
from mlflow_rank.cli.progress import Spoken

if TYPE_CHECKING:
    from mlflow_rank.evidence.statement import Statement
    from mlflow_rank.policy import PromotionPolicy
    from mlflow_rank.workflow.acting import Aimed
    from mlflow_rank.workflow.consenting import Promotion

WHERE = all_of(
    click.argument("version", required=False),
    TARGET,
    paths("--policy", help="Your own copies of the policies: any difference to the gate's is an error."),
    SERVER,
    JSON,
    click.option(
        "--output",
        type=OPTIONAL_PATH,
        default=None,
        help="Write it to this new FILE instead of handing it in; --policy and the options below say what it is about.",
    ),
    BESIDE_A_VERSION,
)
"""Which promotion it is, and whether it is seen by the gate or worked out here."""
_ONLY_HERE = (
    "evidence", "files", "name", "champion", "champion_evidence", "first_promotion", "approval", "waiver", "requester",
)  # fmt: skip


def seen_by_the_gate(version: str | None, options: Mapping[str, Any]) -> tuple[Aimed, Promotion]:
    """Return the promotion as the gate sees it, and show it; it must be as one's own copies of policies say.

    Raises:
        UsageError: no version is named, or options are given that only `--output` needs.
        EvidenceError: the policies are others than one's own copies.
    """
    import sys

    from mlflow_rank.cli.at_the_gate import aimed_at
    from mlflow_rank.errors import UsageError
    from mlflow_rank.reports.standing_table import print_promotion
    from mlflow_rank.workflow.consenting import Promotion, compare_policies
    from mlflow_rank.workflow.policies import read_policies

    given = [name for name in _ONLY_HERE if options[name]]
    if version is None or given:
        got = f"--{given[0].replace('_', '-')}".replace("--files", "--model") if given else "no version"
        raise UsageError("this is for words that are written to a file", got=got, expected="VERSION, or --output FILE")
    files = read_policies(options["policy"]) if options["policy"] else []
    aimed = aimed_at(version, options)
    promotion = Promotion.at_gate(aimed)
    if files:
        compare_policies(aimed, files)
    print_promotion(aimed.outlook, aimed.target, stream=sys.stderr if options["as_json"] else None)
    return aimed, promotion


def worked_out_here(version: str | None, options: Mapping[str, Any]) -> tuple[Promotion, list[PromotionPolicy]]:
    """Return the promotion that the options of `decide` describe, and the policies that are asked about it.

    Raises:
        UsageError: there is no policy that is asked, or no such file.
    """
    from mlflow_rank.workflow.consenting import Promotion, matching
    from mlflow_rank.workflow.deciding import case_of
    from mlflow_rank.workflow.policies import read_policies, read_trust_file

    question = question_of({**options, "version": version})
    files = read_policies(options["policy"])
    case = case_of(question, read_trust_file(options["trust"]), Spoken())
    policies = matching(files, case)
    return Promotion.of_case(case, policies), policies


def hand_in(aimed: Aimed, kind: str, statement: Statement, key: Any, options: Mapping[str, Any], *, done: str) -> None:
    """Hand a word in, say what became of it and how things stand then, and end."""
    outcome = aimed.act(kind, statement, key)
    end_with(outcome, options, [done, *aftermath(outcome)])


def write(file: Path, envelope: bytes) -> None:
    """Write an envelope to a new file.

    Raises:
        UsageError: it cannot be written, or there is one already: nobody's word is written over.
    """
    from mlflow_rank.errors import UsageError

    try:
        with file.open("xb") as new:
            new.write(envelope)
    except OSError as error:
        raise UsageError("this cannot be written", got=f"{file}: {error.strerror}", expected="a new file") from error
    say(f"written to {file}")

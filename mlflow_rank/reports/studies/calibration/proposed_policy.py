"""A calibration as the text of a policy file, ready to be read, changed and committed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.reports.studies.calibration.proposed_rules import ProposedRule, proposed_rules, said_of
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.studies.calibration.study import Calibration
from mlflow_rank.studies.trajectories import Trajectories

WIDTH = 112  # characters of a comment, within the 120 of a line
_PLAIN_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_TRUTHS = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")  # words that YAML does not read as words


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """Whose policy it is, whom it is asked about, and which number of a rank its rules read.

    `rank_bound` is `corrected` or `point`: what the table holds.
    """

    name: str
    owners: tuple[str, ...]
    models: tuple[str, ...]
    target: str = "alias:champion"
    rank_bound: str = "corrected"


def proposed_policy(found: Calibration, table: Trajectories, terms: PolicyTerms) -> str:
    """Return the YAML text of a policy, the same for the same calibration.

    Args:
        found: a calibration that proposes a pilot floor; without one the text is no policy that loads.
        table: what it was calibrated on.
        terms: what no data say.
    """
    preset = table.conventions.settings.get("rank.preset")
    lines = [
        "# yaml-language-server: $schema=policy.schema.json",
        "#",
        *_comment(" ".join(_header(found, table)), indent=0),
        "apiVersion: mlflow-rank/v1",
        "kind: PromotionPolicy",
        "",
        "metadata:",
        f"  name: {_scalar(terms.name)}",
        "  revision: 1 # goes up with every change; approvals hold for one revision",
        f"  owners: {_scalar(list(terms.owners))} # who answers for this file",
        "  description: >-",
        "    Calibrated on past versions with a known outcome. Ranks may veto and never approve; pilots approve.",
        "",
        "match:",
        f"  models: {_scalar(list(terms.models))} # names of registered models",
        f"  targets: {_scalar([terms.target])}",
        "",
        "mode: warn # shows what would be refused, and stops nothing; enforce, once that has looked right for a while",
        "promote: manual",
        "",
        "evidence:",
        "  max_age: 30d # starting point",
        "  signed_by: [measurer] # a role in trust.yaml",
        f"  preset: {_scalar(preset if preset in ('robust', 'rankme_t') else 'robust')} # of the table",
        "",
        "rules:",
        *(line for rule in proposed_rules(found, table, terms.rank_bound) for line in _written(rule)),
        "",
        "approvals:",
        "  count: 1 # starting point; people, never who asks, never who signed the evidence",
        "  signed_by: [reviewer]",
    ]
    return "\n".join(lines) + "\n"


def _header(found: Calibration, table: Trajectories) -> Iterator[str]:
    (good, good_runs), (bad, bad_runs) = found.cases.counts(True), found.cases.counts(False)
    yield (
        f"Proposed by `mlflow-rank study calibrate` from {bad} bad versions of {bad_runs} trainings and {good} good "
        f"ones of {good_runs}, at a false-promotion rate of {100 * found.alpha:g} %. Read it before it is used."
    )
    if found.together is not None:
        yield (
            f"All floors together: {said_of(found.together)} Starting points, and rules that compare with the "
            "champion, are not counted in this."
        )
    yield f"Table: {digest_of(table.document())}. Conventions: {digest_of(table.conventions.document())}:"
    yield "the limits hold only for what is measured and piloted under these (mlflow-rank study compare)."


def _comment(text: str, *, indent: int) -> list[str]:
    pad = " " * indent
    return [f"{pad}# {line}" for line in textwrap.wrap(plain(text), WIDTH - indent)]


def _written(rule: ProposedRule) -> Iterator[str]:
    yield from _comment(rule.comment, indent=2)
    for number, (name, value) in enumerate(rule.fields.items()):
        yield f"  {'- ' if number == 0 else '  '}{name}: {_scalar(value)}"


def _scalar(value: object) -> str:
    """Return a value as YAML reads it back: words and numbers as they are, other text in quotes.

    >>> _scalar("pilot_best"), _scalar("no"), _scalar([0, 3])
    ('pilot_best', '"no"', '[0, 3]')
    """
    if isinstance(value, str) and _PLAIN_WORD.fullmatch(value) and value not in _TRUTHS:
        return value
    return json.dumps(value)

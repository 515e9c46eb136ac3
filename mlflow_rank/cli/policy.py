"""`mlflow-rank policy`: check, explain and try out policies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, check_file, paths, say
from mlflow_rank.cli.signing import TRUST
from mlflow_rank.reports.untrusted_text import in_lines, plain

if TYPE_CHECKING:
    from mlflow_rank.policy.load import Policy
    from mlflow_rank.policy.scope import Standing

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@click.group("policy", short_help="Check, explain and try out policies.")
def policy_group() -> None:
    """Check, explain and try out policies: YAML files that say what a model must show before it is promoted."""


@policy_group.command("check", short_help="Whether policies can be used; mistakes as file:line:column.")
@FILES
def check(files: tuple[Path, ...]) -> None:
    """Read policy files (or directories of them) and say everything that is wrong with them, as file:line:column.

    Exit codes: 0 all of them can be used, 2 some cannot.
    """
    from mlflow_rank.workflow.policies import read_policies

    for each in read_policies(files):
        policy = each.policy
        named = f"{policy.metadata.name} r{policy.metadata.revision}"
        click.echo(f"{plain(each.path)}: ok, {named}, {_sort(policy)}, {policy.digest}")


def _sort(policy: Policy) -> str:
    from mlflow_rank.policy import Exemption, PromotionPolicy

    if isinstance(policy, Exemption):
        return f"exemption of {len(policy.models)} {'name' if len(policy.models) == 1 else 'names'} without rules"
    sort = f"{policy.mode} promotion" if isinstance(policy, PromotionPolicy) else "watch"
    return f"{sort} policy of {len(policy.rules)} rules"


@policy_group.command("schema", short_help="The JSON Schema by which editors complete policies.")
def schema() -> None:
    """Print the JSON Schema of policies.

    With the YAML extension of an editor, a first line `# yaml-language-server: $schema=policy.schema.json` in a policy
    completes and checks it as you type.
    """
    from mlflow_rank.policy.load import policy_schema

    click.echo(json.dumps(policy_schema(), indent=1, sort_keys=True))


@policy_group.command("explain", short_help="A policy in plain sentences.")
@FILES
def explain_command(files: tuple[Path, ...]) -> None:
    """Put policies and exemptions into plain sentences: whom they are for, what each rule asks, and who must agree."""
    from mlflow_rank.policy.explain import explain
    from mlflow_rank.workflow.policies import read_policies

    click.echo(in_lines("\n".join(explain(each.policy) for each in read_policies(files))), nl=False)


@policy_group.command("coverage", short_help="Registered models that no policy covers.")
@paths("--policy", help="Policy files, or directories of them.  [required]")
@click.option(
    "--to", "target", type=OPTIONAL_TEXT, default=None, help="Only this target.  [default: all that are named]"
)
@click.option("--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow's store.  [default: MLflow's choice]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def coverage_command(policy: tuple[Path, ...], target: str | None, tracking_uri: str | None, as_json: bool) -> None:
    """List registered models with the policies that are asked when they are promoted; uncovered ones come first.

    An alias that policies leave ungated, and a model that an Exemption names and no policy does, count as covered.

    Exit codes: 0 every model is covered, 1 some are not: their promotion would be denied.
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.policy.coverage import coverage, protected_targets
    from mlflow_rank.registry.clients.connection import connected_client
    from mlflow_rank.registry.runs.evidence_files import registered_models
    from mlflow_rank.workflow.deciding import asked_target
    from mlflow_rank.workflow.policies import read_policies

    if not policy:
        raise UsageError("there is no policy to look at", expected="--policy FILE")
    policies = [each.policy for each in read_policies(policy)]
    targets = [asked_target(target)] if target else protected_targets(policies)
    models = [name for name, _ in registered_models(connected_client(tracking_uri))]
    found = coverage(policies, models, targets)
    found.sort(key=lambda each: (each.kind != "uncovered", each.model, each.target))
    if as_json:
        click.echo(json.dumps([_row(each) for each in found], indent=1))
    else:
        for each in found:
            said = {"governed": ", ".join(_asked(each)), "uncovered": "NOT COVERED"}.get(each.kind, each.kind)
            click.echo(f"{plain(each.model)}  {each.target}  {said}")
        say(f"{sum(each.kind == 'uncovered' for each in found)} of {len(found)} are not covered")
    sys.exit(1 if any(each.kind == "uncovered" for each in found) else 0)


def _row(found: Standing) -> dict[str, Any]:
    return {
        "model": found.model,
        "target": found.target,
        "standing": found.kind,
        "policies": _asked(found),
        "reason": found.reason,
    }


def _asked(found: Standing) -> list[str]:
    return [policy.metadata.name for policy in found.policies]


@policy_group.command("replay", short_help="What changed policies would have decided.")
@paths("--policy", help="The changed policies: files, or directories of them.  [required]")
@paths("--decisions", help="Decisions that were written (decision.dsse.json), or directories of them.  [required]")
@paths("--evidence", help="Where the evidence of those decisions is kept.  [required]")
@TRUST
@click.option("--json", "json_to", type=OPTIONAL_PATH, default=None, help="Write JSON to FILE; - for stdout.")
def replay_command(policy: tuple[Path, ...], **options: Any) -> None:
    """Decide recorded decisions again by changed policies, each at its own time, and say which verdicts flip.

    Where the changed policies leave an alias ungated, or exempt a model, nobody would be asked: that flips too.

    Exit codes: 0 none flips, 1 some do, 3 evidence of some is not at hand.
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.policies import promotion_policies, read_policies, read_trust_file
    from mlflow_rank.workflow.replaying import replay_files

    if not policy or not options["decisions"]:
        raise UsageError(
            "replay needs policies and decisions", expected="--policy FILE --decisions FILE --evidence DIR"
        )
    json_to = options["json_to"]
    check_file("--json", json_to)
    files = read_policies(policy)
    policies, every = promotion_policies(files), [each.policy for each in files]
    if not policies:
        kinds = " and ".join(sorted({each.kind for each in every}))
        raise UsageError("none of these policies decides", got=f"only {kinds}", expected="a PromotionPolicy")
    decided = replay_files(policies, options["decisions"], options["evidence"], read_trust_file(options["trust"]))
    replayed = [each.under(every) for each in decided]
    rows: list[dict[str, Any]] = [
        {
            "id": each.recorded.id,
            "model": each.recorded.case.request.model,
            "target": each.recorded.case.request.target,
            "decided_at": each.recorded.at.isoformat(),
            "was": each.recorded.verdict,
            "would_be": each.would_be,
            "flips": each.flips,
            "missing": list(each.recorded.missing),
            "because": each.because,
        }
        for each in replayed
    ]
    if str(json_to) == "-":
        click.echo(json.dumps(rows, indent=1))
    else:
        for row in rows:
            mark = "FLIPS" if row["flips"] else "stays"
            said = f"{row['id']}  {row['model']}  {row['was']} -> {row['would_be']}: {row['because']}"
            click.echo(f"{mark}  {in_lines(said)}")
            if row["missing"]:
                click.echo(f"       {len(row['missing'])} of its statements are not at hand")
        if json_to is not None:
            json_to.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            say(f"written to {json_to}")
    flips, missing = sum(each.flips for each in replayed), sum(bool(each.recorded.missing) for each in replayed)
    say(f"{flips} of {len(replayed)} decisions flip")
    sys.exit(3 if missing else 1 if flips else 0)

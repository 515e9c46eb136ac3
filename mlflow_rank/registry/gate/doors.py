"""The table of doors: every public method of MLflow's registry store, and what the gate does about it.

A door is a call that can change what a consumer resolves. A method that a newer MLflow adds is in no row: a test then
fails, and the store refuses to be built, until somebody has decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Rule = Literal["decided", "watched", "vetted", "harmless", "through", "read"]
RULES: Mapping[Rule, str] = {
    "decided": "moves a model to a target: policies decide on the evidence, and the move happens only if they approve",
    "watched": "may change what consumers resolve: refused where a protected target would point elsewhere afterwards",
    "vetted": "changes no target, but could carry something in: what is given is looked at first",
    "harmless": "changes nothing that a consumer resolves",
    "through": "only calls other methods of this table",
    "read": "changes nothing",
}


@dataclass(frozen=True, slots=True)
class Door:
    """A public method of MLflow's store, what the gate does about it, and why."""

    method: str
    rule: Rule
    why: str


DOORS: Mapping[str, Door] = {
    door.method: door
    for door in (
        Door("set_registered_model_alias", "decided", "an alias says which version consumers load"),
        Door("transition_model_version_stage", "decided", "a stage says it too, and may archive other versions"),
        Door("delete_registered_model_alias", "watched", "consumers of the alias would load nothing"),
        Door("delete_model_version", "watched", "drops the aliases of the version, and takes it out of its stage"),
        Door("delete_registered_model", "watched", "drops every version and alias"),
        Door("rename_registered_model", "watched", "takes aliases and stages to another name, by a database cascade"),
        Door("create_registered_model", "vetted", "may bring tags; a copy begins with it"),
        Door("create_model_version", "vetted", "may bring tags, and files that are not the run's or the model's own"),
        Door("copy_model_version", "through", "create_registered_model and create_model_version"),
        Door("set_model_version_tag", "vetted", "carries evidence in, under the reserved prefix"),
        Door("delete_model_version_tag", "vetted", "must not take the gate's tags away"),
        Door(
            "set_registered_model_tag",
            "vetted",
            "must not write the gate's tags, nor make a model of a prompt with a champion",
        ),
        Door("delete_registered_model_tag", "vetted", "must not take the gate's tags away"),
        Door("update_registered_model", "harmless", "a description"),
        Door("update_model_version", "harmless", "a description; what the gate writes into it is no evidence"),
        Door("create_prompt", "through", "create_registered_model"),
        Door("create_prompt_version", "through", "create_model_version"),
        Door("delete_prompt", "through", "delete_registered_model"),
        Door("delete_prompt_version", "through", "delete_model_version"),
        Door("set_prompt_tag", "through", "set_registered_model_tag"),
        Door("delete_prompt_tag", "through", "delete_registered_model_tag"),
        Door("set_prompt_version_tag", "through", "set_model_version_tag"),
        Door("delete_prompt_version_tag", "through", "delete_model_version_tag"),
        Door("set_prompt_alias", "through", "set_registered_model_alias"),
        Door("delete_prompt_alias", "through", "delete_registered_model_alias"),
        Door("link_prompts_to_trace", "harmless", "writes into the tracking store"),
        Door("link_prompt_version_to_model", "harmless", "writes into the tracking store"),
        Door("link_prompt_version_to_run", "harmless", "writes into the tracking store"),
        Door("create_webhook", "harmless", "tells others of changes; makes none"),
        Door("update_webhook", "harmless", "tells others of changes; makes none"),
        Door("delete_webhook", "harmless", "tells others of changes; makes none"),
        Door("test_webhook", "harmless", "sends a message; nothing changes here"),
        Door("get_registered_model", "read", ""),
        Door("search_registered_models", "read", ""),
        Door("get_latest_versions", "read", ""),
        Door("get_model_version", "read", ""),
        Door("get_model_version_by_alias", "read", ""),
        Door("get_model_version_download_uri", "read", ""),
        Door("search_model_versions", "read", ""),
        Door("get_prompt", "read", ""),
        Door("search_prompts", "read", ""),
        Door("get_prompt_version", "read", ""),
        Door("get_prompt_version_by_alias", "read", ""),
        Door("search_prompt_versions", "read", ""),
        Door("get_webhook", "read", ""),
        Door("list_webhooks", "read", ""),
        Door("list_webhooks_by_event", "read", ""),
    )
}
GUARDED = tuple(door.method for door in DOORS.values() if door.rule in ("decided", "watched", "vetted"))


def undecided_methods(store: type) -> list[str]:
    """Return the public methods of a store that no row of the table is about."""
    return sorted(set(_public_methods(store)) - set(DOORS))


def _public_methods(store: type) -> Iterable[str]:
    for name in dir(store):
        if not name.startswith("_") and callable(getattr(store, name)):
            yield name

"""MLflow's own webhooks for moves that the gate makes itself, of which no handler of MLflow's knows."""

from __future__ import annotations

from typing import Any


def alias_moved(store: Any, name: str, alias: str, version: str) -> None:
    """Have MLflow send what its handler sends when somebody sets an alias: `model_version_alias.created`.

    Call it after the commit. It raises nothing: MLflow logs what goes wrong, and sends in threads of its own.

    Args:
        store: MLflow's registry store, which knows who wants to hear it.
        name: of the registered model.
        alias: that points at the version now.
        version: its number.
    """
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks.delivery import deliver_webhook
    from mlflow.webhooks.types import ModelVersionAliasCreatedPayload

    deliver_webhook(
        event=WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED),
        payload=ModelVersionAliasCreatedPayload(name=name, alias=alias, version=version),
        store=store,
    )

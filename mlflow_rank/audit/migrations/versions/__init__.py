"""The revisions; each `upgrade` takes the operations as an argument, since Alembic's global ones bear no threads."""

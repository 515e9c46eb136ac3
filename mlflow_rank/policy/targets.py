"""What a model is promoted to: an alias or a stage, written in one way only."""

from __future__ import annotations

import re
import unicodedata


def canonical_target(text: str) -> str:
    """Return a promotion target in its only form, so that `alias:Champion` cannot pass by `alias:champion`.

    Raises:
        ValueError: there is no such target, or it only looks like one.

    >>> canonical_target("alias:Champion"), canonical_target("stage:production")
    ('alias:champion', 'stage:Production')
    """
    sort, _, name = unicodedata.normalize("NFKC", text).strip().casefold().partition(":")
    if not name.isascii():
        raise ValueError(f"{text!r} holds letters that look like others; write it in plain ASCII")
    target = f"stage:{name.capitalize()}" if sort == "stage" else f"{sort}:{name}"
    if not re.fullmatch(r"alias:[a-z0-9][a-z0-9_-]{0,254}|stage:(Staging|Production|Archived|None)", target):
        raise ValueError(f"{text!r} is no target; write alias:NAME or stage:Staging, Production or Archived")
    return target

"""Chance that depends on names and a seed only: not on file order, platform or library version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b


def seeded_order(names: Iterable[str], *salt: str | int) -> list[str]:
    """Return the distinct names in an order that `salt` (seed, purpose, draw number …) decides.

    >>> seeded_order(["ann", "bob", "cid"], 0) == seeded_order(["cid", "ann", "bob", "bob"], 0)
    True
    """
    return sorted(set(names), key=lambda name: (_place(name, salt), name))


def spread(keys: Sequence[str], units: Sequence[str], *salt: str | int) -> list[int]:
    """Return the positions of all keys in a seeded order whose every beginning takes evenly from the units.

    `keys` (distinct) and `units` have one entry per item. Units take turns, so among the first k no unit gives two
    items more than another that still had one to give.

    >>> order = spread(["a1", "a2", "a3", "b1"], ["a", "a", "a", "b"], 7)
    >>> sorted("aaab"[position] for position in order[:2])
    ['a', 'b']
    """
    of_unit: dict[str, list[int]] = {}
    for position, unit in enumerate(units):
        of_unit.setdefault(unit, []).append(position)
    turns: list[tuple[int, int, int]] = []
    for number, unit in enumerate(seeded_order(of_unit, *salt)):
        within = sorted(of_unit[unit], key=lambda position: (_place(keys[position], salt), keys[position]))
        turns.extend((turn, number, position) for turn, position in enumerate(within))
    return [position for _, _, position in sorted(turns)]


def _place(name: str, salt: tuple[str | int, ...]) -> bytes:
    text = "\x1f".join([*map(str, salt), name])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()

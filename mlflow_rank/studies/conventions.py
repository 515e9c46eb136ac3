"""What the numbers of a study mean, setting by setting: two sets of numbers are put together only where all agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_rank.errors import UsageError

Setting = str | int | float | bool | None
ABSENT = "(not set)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two sides do not share, with what each has."""

    setting: str
    left: Setting
    right: Setting

    def __str__(self) -> str:
        return f"{self.setting}: {self.left!r} and {self.right!r}"


@dataclass(frozen=True, slots=True)
class Conventions:
    """Settings by dotted name: those of ranks begin with `rank.`, those of a task's pilot with `pilot.<task>.`.

    What differs between the things compared (encoder, layer, step) is no setting.
    """

    settings: Mapping[str, Setting]

    def part(self, prefix: str) -> Conventions:
        """Return those whose names begin with a prefix, such as `rank.`."""
        return Conventions({name: value for name, value in self.settings.items() if name.startswith(prefix)})

    def document(self) -> dict[str, Setting]:
        """Return them JSON-ready, by name."""
        return dict(sorted(self.settings.items()))


def differing(left: Conventions, right: Conventions) -> tuple[Difference, ...]:
    """Return every setting in which two conventions differ, by name; one that a side lacks is `(not set)` there.

    >>> differing(Conventions({"rank.dtype": "float32"}), Conventions({"rank.dtype": "bfloat16"}))
    (Difference(setting='rank.dtype', left='float32', right='bfloat16'),)
    """
    names = sorted({*left.settings, *right.settings})
    pairs = ((name, left.settings.get(name, ABSENT), right.settings.get(name, ABSENT)) for name in names)
    return tuple(Difference(name, one, other) for name, one, other in pairs if _differ(one, other))


def ensure_same(named: Mapping[str, Conventions]) -> Conventions:
    """Return the conventions that all share, by the name of who has them.

    Raises:
        UsageError: there are none, or two differ; the error names every setting that does.
    """
    if not named:
        raise UsageError("there is nothing to compare", got="no numbers", expected="ranks or pilots of a checkpoint")
    (first, shared), *others = named.items()
    for name, each in others:
        differences = differing(shared, each)
        if differences:
            raise UsageError(
                "numbers of different conventions cannot be compared: " + ", ".join(d.setting for d in differences),
                got=f"{first} and {name} have " + "; ".join(str(each) for each in differences),
                expected="the same settings everywhere",
                remedy="measure and pilot all of them with the same options",
            )
    return shared


def _differ(left: Setting, right: Setting) -> bool:
    """Say whether two values differ; True is not 1, but 1.0 is."""
    return isinstance(left, bool) is not isinstance(right, bool) or left != right

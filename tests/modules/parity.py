"""Two stores that are asked the same: what each answers, in a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

_MOMENT = re.compile(r"time(stamp)?$|_at$")
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_STORE = re.compile(r"\b\w+Store\b")  # which errors of methods that a store lacks name


@dataclass(frozen=True)
class Each:
    """A value that differs between the two stores, such as a random identifier: theirs, and ours."""

    theirs: Any
    ours: Any

    def map(self, change: Callable[[Any], Any]) -> Each:
        """Return what `change` makes of both."""
        return Each(change(self.theirs), change(self.ours))


@dataclass
class Pair:
    """MLflow's own store and ours; `pair.METHOD(…)` calls both, and `agrees` fails where their answers differed."""

    theirs: Any
    ours: Any
    asked: set[str] = field(default_factory=set)
    refused: int = 0
    differences: list[str] = field(default_factory=list)

    def __getattr__(self, method: str) -> Callable[..., Each]:
        """Return what calls this method of both; it returns what they returned, or the exceptions that they raised."""
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*arguments: Any, **named: Any) -> Each:
            self.asked.add(method)
            theirs = _outcome(self.theirs, method, _side(arguments, "theirs"), _side(named, "theirs"))
            ours = _outcome(self.ours, method, _side(arguments, "ours"), _side(named, "ours"))
            self.refused += isinstance(theirs, Exception)
            if plain(ours) != plain(theirs):
                self.differences.append(f"{method}{arguments}{named or ''}: {plain(ours)}, not {plain(theirs)}")
            return Each(theirs, ours)

        return call

    def agrees(self, *, refused: int) -> None:
        """Fail if any answers differed, or if fewer than so many calls were refused: there was little to compare."""
        different, self.differences = self.differences, []
        assert not different, "\n".join(different)
        assert self.refused >= refused


def plain(value: Any) -> Any:
    """Return an answer as lists and dictionaries, without moments, and random identifiers all alike."""
    if isinstance(value, MlflowException):
        return "refused", value.error_code, plain(value.message)
    if isinstance(value, BaseException):
        return "raised", type(value).__name__, _STORE.sub("the store", plain(str(value)))
    if isinstance(value, PagedList):
        return [plain(each) for each in value], plain(value.token)
    if isinstance(value, list | tuple | set):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items() if not _MOMENT.search(str(key))}
    if isinstance(value, str):
        return _RANDOM_ID.sub("(random)", value)
    if isinstance(value, Enum) or not hasattr(value, "__dict__"):
        return value
    return type(value).__name__, plain(vars(value))


def rows(uri: str) -> dict[str, list[Any]]:
    """Return the rows of every table of MLflow's registry, without moments and secrets."""
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine, only=lambda name, _: name.startswith(("registered_model", "model_version", "webhook")))
    with engine.connect() as connection:
        return {name: _plain_rows(connection.execute(table.select())) for name, table in tables.tables.items()}


def _plain_rows(found: sqlalchemy.CursorResult[Any]) -> list[str]:
    return sorted(repr(plain(_without_secret(row))) for row in found.mappings())


def _without_secret(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "secret"}  # encrypted with something random


def _side(given: Any, side: str) -> Any:
    if isinstance(given, Each):
        return getattr(given, side)
    if isinstance(given, dict):
        return {name: _side(each, side) for name, each in given.items()}
    if isinstance(given, tuple):
        return tuple(_side(each, side) for each in given)
    return given


def _outcome(store: Any, method: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    try:
        return getattr(store, method)(*arguments, **named)
    except Exception as error:  # whatever it is: the other store must raise the same
        return error

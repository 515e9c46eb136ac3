"""How models and versions are named on the command line: MLflow's addresses, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlflow_rank.errors import UsageError

VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
_MODEL = re.compile(r"models:/(?P<name>[^/@]+)")


@dataclass(frozen=True, slots=True)
class Named:
    """A registered version."""

    model: str
    version: str

    def __str__(self) -> str:
        return f"models:/{self.model}/{self.version}"


def named_version(text: str) -> Named:
    """Return the version that an address names.

    Raises:
        UsageError: it names none.

    >>> named_version("models:/encoder/007").version
    '7'
    """
    found = VERSION.fullmatch(text)
    if found is None:
        raise UsageError("this is no registered version", got=text, expected="models:/NAME/VERSION")
    return Named(found["name"], str(int(found["version"])))


def named_model(text: str) -> str:
    """Return the model that an address names.

    Raises:
        UsageError: it names none.

    >>> named_model("models:/encoder")
    'encoder'
    """
    found = _MODEL.fullmatch(text)
    if found is None:
        raise UsageError("this is no registered model", got=text, expected="models:/NAME")
    return found["name"]


def named_either(text: str) -> tuple[str, str | None]:
    """Return the model that an address names, and its version, where it names one.

    Raises:
        UsageError: it names neither.

    >>> named_either("models:/encoder"), named_either("models:/encoder/7")
    (('encoder', None), ('encoder', '7'))
    """
    if _MODEL.fullmatch(text):
        return named_model(text), None
    if VERSION.fullmatch(text):
        named = named_version(text)
        return named.model, named.version
    raise UsageError("this is no registered model", got=text, expected="models:/NAME or models:/NAME/VERSION")

"""What went wrong, what was given, what was expected, and what to do next."""

from __future__ import annotations


class MlflowRankError(Exception):
    """An error a person can act on: `what` happened, what we `got`, what we `expected`, and the `remedy`.

    `exit_code` is what the command line returns: 2 for a wrong call or input, 3 where nothing could be decided.

    >>> print(UsageError("no such layer", got="layer 40", expected="0 to 12", remedy="list them with --layers all"))
    no such layer
      got:      layer 40
      expected: 0 to 12
      next:     list them with --layers all
    """

    exit_code = 3
    heading = "error: "  # what the command line prints before it

    def __init__(
        self, what: str, *, got: str | None = None, expected: str | None = None, remedy: str | None = None
    ) -> None:
        self.what, self.got, self.expected, self.remedy = what, got, expected, remedy
        lines = [what]
        for label, value in (("got:", got), ("expected:", expected), ("next:", remedy)):
            if value is not None:
                lines.append(f"  {label:<9} {value}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.args, self.__dict__)  # so that it crosses from a worker process whole


def _restored(kind: type[MlflowRankError], args: tuple[str, ...], state: dict[str, object]) -> MlflowRankError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(MlflowRankError):
    """The call or its input is wrong; the same call would fail again (exit 2)."""

    exit_code = 2


class MeasurementError(MlflowRankError):
    """The call is right but nothing trustworthy could be measured (exit 3)."""


class EvidenceError(MlflowRankError):
    """A piece of evidence, a key or a signature cannot be read or does not hold (exit 3)."""


class LedgerError(MlflowRankError):
    """The ledger cannot be read or written, or what it should say does not fit into it (exit 3)."""


class MissingDependencyError(UsageError):
    """An optional package is needed and absent."""

    def __init__(self, package: str, *, needed_for: str, install: str) -> None:
        super().__init__(
            f"{package} is not installed", expected=f"{package}, for {needed_for}", remedy=f"pip install {install}"
        )

"""YAML that decides something: nothing ambiguous is guessed, and every complaint says file:line:column.

PyYAML alone keeps the last of two equal keys, reads `no` as false and `1e-3` as text, and lets one small file name
itself a billion times. Here the parser's events become a tree of JSON values with positions, and the tree is validated
as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from mlflow_rank.errors import UsageError

MOST_CHARACTERS = 1_000_000  # a policy of 50 rules has about 20,000
MOST_VALUES = 100_000  # in one document; a policy of 500 rules has about 6,000
MOST_PROBLEMS = 100  # that are said at once; nobody reads more
DEEPEST = 32  # nested lists and mappings; our documents need six
_EXACT = 2**53 - 1  # the largest whole number that every JSON reader keeps exactly (RFC 8785, appendix D)
_LARGEST = 1e15  # of other numbers: the difference of two such is still one that canonical JSON can write
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?")
_LIKE_A_NUMBER = re.compile(
    r"[-+]?(\.?[0-9][0-9_.:]*(e[-+]?[0-9]+)?|0[xob][0-9a-f_]+|\.(inf|nan)|inf|nan)", re.IGNORECASE
)
_LIKE_A_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]+ ?([Zz]|[-+][0-9:]+)?)?")
_NO_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2, c-printable
_LIKE_A_SWITCH = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"})

PLACED = "placed"
"""Type of a `PydanticCustomError` whose context has `problems`: pairs of a path in the document and a message."""

Path = tuple[str | int, ...]
Place = tuple[int, int]
Model = TypeVar("Model")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong at a place: `line` and `column` from 1, `field` as in `rules[2].bound`, and what it is."""

    line: int
    column: int
    field: str
    message: str

    def text(self, named: str) -> str:
        """Return the problem as one line.

        >>> Problem(3, 9, "rules[0].value", "must be a number").text("policies/mine.yaml")
        'policies/mine.yaml:3:9: rules[0].value: must be a number'
        """
        said = f"{named}:{self.line}:{self.column}: {self.field}: {self.message}"
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in said)  # one line, whatever it says


class DocumentError(UsageError):
    """A document that cannot be used; `problems` lists everything that is wrong, in order of place."""

    heading = ""  # each line begins with file:line:column, as editors and CI read it

    def __init__(self, named: str, problems: Sequence[Problem]) -> None:
        self.named, self.problems = named, tuple(sorted(problems))
        shown = [problem.text(named) for problem in self.problems[:MOST_PROBLEMS]]
        if len(self.problems) > MOST_PROBLEMS:
            last = self.problems[MOST_PROBLEMS]
            more = f"and {len(self.problems) - MOST_PROBLEMS:,} more problems, from here on"
            shown.append(Problem(last.line, last.column, "document", more).text(named))
        super().__init__("\n".join(shown))


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A YAML document as JSON values, and where each of them stands; `named` is its name in messages."""

    named: str
    value: object
    places: dict[Path, Place]

    @classmethod
    def of(cls, text: str, *, named: str) -> YamlDocument:
        """Read the one document in `text`.

        Anchors, aliases, tags, merge keys, duplicate keys, plain `yes`, `no`, `1e-3`, `.nan`, `0x10`, `1_000` and the
        like are refused: what two readers would read differently must be written plainly.

        Raises:
            DocumentError: with every place where that is so, or the first at which the text is no YAML.
        """
        if len(text) > MOST_CHARACTERS:
            raise DocumentError(
                named,
                [Problem(1, 1, "document", f"has {len(text):,} characters; {MOST_CHARACTERS:,} are the most")],
            )
        unreadable = _NO_TEXT.search(text)
        if unreadable:
            line = text.count("\n", 0, unreadable.start()) + 1
            column = unreadable.start() - text.rfind("\n", 0, unreadable.start())
            message = f"is no YAML: U+{ord(unreadable[0]):04X} is no character of a text"
            raise DocumentError(named, [Problem(line, column, "document", message)])
        reader = _Reader(text, named)
        return cls(named, reader.document(), reader.places)

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem at `path`, placed at the nearest part of it that the document has."""
        line, column = self.place(path)
        return Problem(line, column, _in_words(path), message)

    def place(self, path: Path) -> Place:
        """Return line and column, from 1, of the value at `path`, or of the nearest part of it that is there."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return (1, 1)

    def validate(self, model: type[Model] | TypeAdapter[Model]) -> Model:
        """Return the document as a Pydantic model, validated as JSON in strict mode.

        Raises:
            DocumentError: with every field that does not fit.
        """
        adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
        try:
            return adapter.validate_json(json.dumps(self.value, allow_nan=False), strict=True)
        except ValidationError as error:
            raise DocumentError(self.named, list(self._complaints(error))) from error

    def _complaints(self, error: ValidationError) -> Iterator[Problem]:
        for each in error.errors():
            path = self._real(each["loc"], keep_last=each["type"] == "missing")
            if each["type"] == PLACED:  # a validator that knows the places within its part itself
                yield from (self.problem((*path, *within), said) for within, said in each["ctx"]["problems"])
            elif each["type"] != "too_short" or not self._at(path):  # else items do not fit, and have their complaints
                yield self._complaint(each, path)

    def _at(self, path: Path) -> object:
        value: Any = self.value
        for part in path:
            value = value[part]
        return value

    def _complaint(self, error: Any, path: Path) -> Problem:
        message = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            message = "there is no such field"
        elif error["type"] == "missing":
            message = "is missing"
        elif error["type"] == "too_short":
            message = "is empty; at least one is needed"
        elif error["type"] == "union_tag_not_found":
            message = f"{error['ctx']['discriminator'].strip(chr(39))} is missing, which says what this is"
        elif error["type"] == "union_tag_invalid":
            known = str(error["ctx"]["expected_tags"]).replace("'", "")
            message = f"there is no {error['ctx']['tag']!r}; there are {known}"
            by = (*path, error["ctx"]["discriminator"].strip("'"))
            path = by if by in self.places else path
        return self.problem(path, message)

    def _real(self, location: Sequence[str | int], *, keep_last: bool) -> Path:
        """Return the path of an error without what is no part of the document, such as the tag of a union."""
        path: Path = ()
        for position, part in enumerate(location):
            if (*path, part) in self.places or (keep_last and position == len(location) - 1):
                path = (*path, part)
        return path


class _Reader:
    """Makes JSON values of the parser's events, and notes where each begins."""

    def __init__(self, text: str, named: str) -> None:
        self.named = named
        self.places: dict[Path, Place] = {}
        self._problems: list[Problem] = []
        self._events = self._parsed(text)

    def document(self) -> object:
        """Return the value of the only document."""
        event = next(self._events)
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise DocumentError(self.named, [Problem(1, 1, "document", "is empty")])
        value = self._value(event, ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._note(event, (), "a second document begins here; one is expected")
        if self._problems:
            raise DocumentError(self.named, self._problems)
        return value

    def _parsed(self, text: str) -> Iterator[yaml.Event]:
        # libyaml where PyYAML was built with it: ten times as fast, the same events
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(text, Loader=loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            said = ", ".join(part for part in (error.context, error.problem) if part)
            raise DocumentError(self.named, [Problem(line, column, "document", f"is no YAML: {said}")]) from error
        except (yaml.YAMLError, UnicodeError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise DocumentError(self.named, [Problem(1, 1, "document", f"is no YAML: {said}")]) from error

    def _note(self, event: yaml.Event, path: Path, message: str) -> None:
        self._problems.append(Problem(*_start(event), _in_words(path), message))

    def _value(self, event: yaml.Event, path: Path) -> object:
        self.places[path] = _start(event)
        if len(self.places) > MOST_VALUES or len(self._problems) > MOST_PROBLEMS:
            self._note(event, (), f"has more than {MOST_VALUES:,} values, or {MOST_PROBLEMS} problems, up to here")
            raise DocumentError(self.named, self._problems)
        if len(path) > DEEPEST:
            self._note(event, path[:4], f"is nested deeper than {DEEPEST} levels")
            raise DocumentError(self.named, self._problems)
        if isinstance(event, yaml.AliasEvent):
            self._note(event, path, "an alias (*) stands here; write the value out")
            return None
        if getattr(event, "anchor", None) is not None:
            self._note(event, path, "an anchor (&) stands here; write values out where they are needed")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(event, path, f"a tag ({tag}) stands here; plain values are expected")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._mapping(path)

    def _list(self, path: Path) -> list[object]:
        values: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _mapping(self, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._note(event, path, "a key is a list, a mapping or an alias; keys are plain text")
                self._value(event, (*path, ""))
                self._value(next(self._events), (*path, ""))
                continue
            key = event.value
            within = (*path, key)
            if event.anchor is not None or event.tag is not None:
                self._note(event, path, "an anchor (&) or a tag (!) stands before a key; keys are plain text")
            if key == "<<":
                self._note(event, path, "a merge key (<<) stands here; write the fields out")
            elif key in values:
                first, column = self.places[within]
                self._note(event, within, f"is here twice; the first is at {first}:{column}")
            start = _start(event)
            read = self._value(next(self._events), within)
            if key not in values:
                values[key] = read
            if not isinstance(read, str | int | float | bool):
                self.places[within] = start  # of the key: the value begins on a line of its own
        return values

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        text = event.value
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        if text in ("", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if text.lower() in _LIKE_A_SWITCH:
            self._note(event, path, f'{text} is read differently by different readers; write true, false or "{text}"')
            return None
        if _INTEGER.fullmatch(text):
            return self._whole(event, text, path)
        if _DECIMAL.fullmatch(text):
            if abs(float(text)) <= _LARGEST:
                return float(text)
            self._note(event, path, f"{text[:40]} is too large a number")
            return None
        if _LIKE_A_NUMBER.fullmatch(text) and not _LIKE_A_TIME.fullmatch(text):
            self._note(
                event, path, f"{text[:40]} is read differently by different readers; write a plain number such as 0.001"
            )
            return None
        return text

    def _whole(self, event: yaml.ScalarEvent, text: str, path: Path) -> int | None:
        if len(text) > len(str(_EXACT)) + 1 or abs(int(text)) > _EXACT:
            self._note(event, path, f"{text[:20]}{'…' if len(text) > 20 else ''} is too large a whole number")
            return None
        return int(text)


def _start(event: yaml.Event) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _in_words(path: Path) -> str:
    """Return a path as people write it.

    >>> _in_words(("rules", 2, "bound"))
    'rules[2].bound'
    """
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else str(part)
    return words or "document"

"""YAML that decides: what two readers would read differently is refused, and nothing but DocumentError ever escapes."""

from __future__ import annotations

import json
import time
from typing import Annotated, Literal

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.strict_yaml import DEEPEST, MOST_CHARACTERS, DocumentError, Problem, YamlDocument

LOADERS = ["CSafeLoader", "SafeLoader"]


@pytest.fixture(params=LOADERS)
def loader(request, monkeypatch):
    """Read by libyaml, and by PyYAML alone where libyaml is missing."""
    if request.param == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")


def value(text: str) -> object:
    return YamlDocument.of(text, named="it").value


def refused(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        YamlDocument.of(text, named="it")
    return str(caught.value).splitlines()


# what is read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a: 1", {"a": 1}),
        ("a: 1.5\nb: -0.25\nc: 1.0e-3\nd: 2.5E+3", {"a": 1.5, "b": -0.25, "c": 0.001, "d": 2500.0}),
        ("a: true\nb: false\nc: null\nd:", {"a": True, "b": False, "c": None, "d": None}),
        ("a: 'no'\nb: \"1e-3\"\nc: '~'", {"a": "no", "b": "1e-3", "c": "~"}),
        (
            "a: 30d\nb: v1.2.3\nc: alias:champion\nd: 2026-01-31T09:30:00Z",
            {"a": "30d", "b": "v1.2.3", "c": "alias:champion", "d": "2026-01-31T09:30:00Z"},
        ),
        ("a: [1, {b: c}, []]\nd: {}", {"a": [1, {"b": "c"}, []], "d": {}}),
        ("a: >\n  folded\n  text\nb: |\n  as it\n  is\n", {"a": "folded text\n", "b": "as it\nis\n"}),
        ("# a comment\n---\na: 1 # another\n...\n", {"a": 1}),
        ("'a b': 1\nno: 2\n1: 3", {"a b": 1, "no": 2, "1": 3}),  # keys are text, whatever they look like
        ("a: 9007199254740991\nb: -9007199254740991", {"a": 2**53 - 1, "b": 1 - 2**53}),
        ("- é\n- 日本\n- 😀", ["é", "日本", "😀"]),
    ],
)
def test_it_reads(loader, text, read):
    assert value(text) == read


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abz-_ é", min_size=1), inner, max_size=3),
    max_leaves=8,
)


def written_out(part: object) -> str:
    """A value as YAML that leaves nothing to guess: text in quotes, numbers with a point."""
    if isinstance(part, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {written_out(each)}" for key, each in part.items()) + "}"
    if isinstance(part, list):
        return "[" + ", ".join(map(written_out, part)) + "]"
    text = json.dumps(part, ensure_ascii=False)
    return text.replace("e", ".0e") if isinstance(part, float) and "." not in text else text


@hypothesis.given(plain)
def test_it_reads_back_what_is_written_plainly(written):
    assert value(written_out(written)) == written


# what is refused


@pytest.mark.parametrize(
    "text",
    [
        "1e-3",
        "1e3",
        "1.5e3",
        ".5",
        "5.",
        "+1",
        "0x10",
        "0o17",
        "0b1",
        "017",
        "1_000",
        "12:30",
        "12:30:45",
        ".inf",
        "-.inf",
        ".NaN",
        ".nan",
        "nan",
        "inf",
        "-inf",
        "NaN",
        "INF",
        "1.2.3",
        "-.5",
    ],
)
def test_what_is_a_number_to_some_readers_only_is_refused(loader, text):
    assert refused(f"a: {text}") == [
        f"it:1:4: a: {text} is read differently by different readers; write a plain number such as 0.001"
    ]


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "y", "n", "Yes", "NO", "True", "FALSE", "Null", "NULL", "~"]
)
def test_what_is_a_switch_to_some_readers_only_is_refused(loader, text):
    assert refused(f"a:\n  - {text}") == [
        f'it:2:5: a[0]: {text} is read differently by different readers; write true, false or "{text}"'
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 9007199254740992", "1:4: a: 9007199254740992 is too large a whole number"),
        ("a: -" + 5000 * "9", f"1:4: a: -{19 * '9'}… is too large a whole number"),
        ("a: 1.0e+999", "1:4: a: 1.0e+999 is too large a number"),
        ("a: 1.0e+16", "1:4: a: 1.0e+16 is too large a number"),  # of which canonical JSON would lose the last digits
        ("a: 1\nb: 2\na: 3", "3:1: a: is here twice; the first is at 1:4"),
        ("a: {b: 1, c: {}, b: 2}", "1:18: a.b: is here twice; the first is at 1:8"),
        ("a: 1\n'a': 3", "2:1: a: is here twice; the first is at 1:4"),
        ("a: [1, {b: 2, b: 3}]", "1:15: a[1].b: is here twice; the first is at 1:12"),
        ("a: &x 1", "1:4: a: an anchor (&) stands here; write values out where they are needed"),
        ("a: *x", "1:4: a: an alias (*) stands here; write the value out"),
        ("&x a: 1", "1:1: document: an anchor (&) or a tag (!) stands before a key; keys are plain text"),
        ("!!str a: 1", "1:1: document: an anchor (&) or a tag (!) stands before a key; keys are plain text"),
        ("a: !!int 1", "1:4: a: a tag (tag:yaml.org,2002:int) stands here; plain values are expected"),
        (
            "a: !!python/object:os.system []",
            "1:4: a: a tag (tag:yaml.org,2002:python/object:os.system) stands here; plain values are expected",
        ),
        ("a: ! 1", "1:4: a: a tag (!) stands here; plain values are expected"),
        ("<<: {a: 1}", "1:1: document: a merge key (<<) stands here; write the fields out"),
        ("[a]: 1", "1:1: document: a key is a list, a mapping or an alias; keys are plain text"),
        ("{a: 1}: 1", "1:1: document: a key is a list, a mapping or an alias; keys are plain text"),
        ("", "1:1: document: is empty"),
        ("# only a comment", "1:1: document: is empty"),
        ("a: 1\n---\nb: 2", "2:1: document: a second document begins here; one is expected"),
        ("a: 1\n...\n---\n", "3:1: document: a second document begins here; one is expected"),
        ("a: b: c", "1:5: document: is no YAML: mapping values are not allowed in this context"),
        ("a: b\n\x00", "2:1: document: is no YAML: U+0000 is no character of a text"),
        ("a: \x1b[2J", "1:4: document: is no YAML: U+001B is no character of a text"),
        ("é: \ud800", "1:4: document: is no YAML: U+D800 is no character of a text"),
        ("a: \ufffe", "1:4: document: is no YAML: U+FFFE is no character of a text"),
    ],
)
def test_it_is_refused_where_it_stands(loader, text, said):
    problems = refused(text)

    assert problems[0].startswith(f"it:{said}") or (
        problems[0].startswith("it:1:5: document: is no YAML") and "b: c" in text
    )


@pytest.mark.parametrize(
    "text", ["a: [1", "a: {b", "\ta: 1", "a: 'b", "- a\nb: 1", "%YAML 9.9\n---\na: 1", "a: @b", "}", ": :\n:"]
)
def test_what_is_no_yaml_is_refused_with_a_place(loader, text):
    problem = refused(text)[0]

    assert problem.startswith("it:")
    assert " document: " in problem


def test_all_that_is_refused_comes_at_once_in_order_of_place():
    text = "b: yes\na: [1e3, &x 2, {c: .nan, c: 1}]\nb: 1\nd: !!int 1\n"

    assert [each.split(": ")[0] for each in refused(text)] == [
        "it:1:4",
        "it:2:5",
        "it:2:10",
        "it:2:20",
        "it:2:26",
        "it:3:1",
        "it:4:4",
    ]


# attacks


def test_as_deep_as_allowed_is_read_and_no_deeper(loader):
    assert value("[" * DEEPEST + "]" * DEEPEST)
    assert "nested deeper than 32 levels" in refused("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2))[0]


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 200_000, "? " * 200_000, "[{a: " * 100_000])
def test_nesting_without_end_is_refused_at_once(loader, text):
    start = time.perf_counter()
    assert refused(text)
    assert time.perf_counter() - start < 5


def test_a_document_of_a_hundred_megabytes_is_not_looked_at():
    start = time.perf_counter()
    assert refused("a" * 100_000_000) == ["it:1:1: document: has 100,000,000 characters; 1,000,000 are the most"]
    assert time.perf_counter() - start < 1
    assert value("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS


def test_a_billion_laughs_are_refused(loader):
    laughs = "a: &a [lol]\n" + "".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
    )
    start = time.perf_counter()

    assert len(refused(laughs)) == 7 + 6 * 9
    assert time.perf_counter() - start < 1


def test_an_alias_of_itself_is_refused(loader):
    assert any("an alias" in each for each in refused("a: &a [*a]"))


@hypothesis.settings(max_examples=120)
@hypothesis.given(
    st.one_of(
        st.text(max_size=60),
        st.text("ab01.:-[]{},#&*!|>'\"%@`?~<= \n\t\\uUx\ud800\ufeffé", max_size=60),
        st.lists(
            st.sampled_from(
                [
                    "a: ",
                    "- ",
                    "? ",
                    ": ",
                    "[",
                    "]",
                    "{",
                    "}",
                    "&a ",
                    "*a ",
                    "!!x ",
                    "<<: ",
                    "\n",
                    " ",
                    "'",
                    "1e3",
                    "---\n",
                    "...\n",
                    "|\n",
                    "%TAG ! x\n",
                    "yes",
                    "\\ud800",
                    '"',
                ]
            ),
            max_size=25,
        ).map("".join),
    )
)
def test_whatever_comes_is_read_as_json_or_refused_with_places(text):
    document, problems = read_or_refused(text)

    assert (document is None) == bool(problems)
    assert all(each.line >= 1 and each.column >= 1 for each in problems)
    if document is not None:
        assert canonical_json(document.value)
        assert document.places[()]


def read_or_refused(text: str) -> tuple[YamlDocument | None, tuple[Problem, ...]]:
    try:
        return YamlDocument.of(text, named="it"), ()
    except DocumentError as error:
        return None, error.problems


def test_what_is_refused_is_a_wrong_input():
    assert issubclass(DocumentError, UsageError)


@hypothesis.settings(max_examples=100)
@hypothesis.given(st.data())
def test_a_document_with_a_character_changed_is_read_or_refused(data):
    text = "kind: PromotionPolicy\nrules:\n  - {id: a, value: 0.5, layers: [1, 2]}\n  - id: 'b'\n    why: >\n      so\n"
    at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 3))
    changed = text[:at] + data.draw(st.text(max_size=3)) + text[at + cut :]

    document, problems = read_or_refused(changed)

    assert (document is None) == bool(problems)
    assert document is None or canonical_json(document.value)


# places


def test_every_value_has_its_place():
    document = YamlDocument.of("a:\n  - 1\n  - b: 2\nc: {d: e}\n", named="it")

    assert document.place(("a", 0)) == (2, 5)
    assert document.place(("a", 1, "b")) == (3, 8)
    assert document.place(("c", "d")) == (4, 8)
    assert document.place(("a",)) == (1, 1)  # of the key, as the list begins on a line of its own
    assert document.place(("a", 7, "x")) == (1, 1)  # the nearest that is there
    assert document.place(("nothing",)) == (1, 1)
    assert document.problem(("a", 1, "z"), "is missing") == Problem(3, 5, "a[1].z", "is missing")


# validation


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Cat(Strict):
    kind: Literal["cat"]
    lives: int = 9


class Dog(Strict):
    kind: Literal["dog"]
    names: Annotated[tuple[str, ...], Field(min_length=1)]


class Zoo(Strict):
    animals: Annotated[tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...], Field(min_length=1)]
    size: float | None = None


def complaints(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        YamlDocument.of(text, named="zoo").validate(Zoo)
    return str(caught.value).splitlines()


def test_a_document_that_fits_becomes_a_model():
    zoo = YamlDocument.of("animals:\n  - {kind: dog, names: [rex]}\nsize: 3\n", named="zoo").validate(Zoo)

    assert (zoo.animals[0].names, zoo.size) == (("rex",), 3.0)
    assert YamlDocument.of("[1, 2]", named="it").validate(TypeAdapter(list[int])) == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("animals:\n  - {kind: cow}", ["zoo:2:12: animals[0].kind: there is no 'cow'; there are cat, dog"]),
        ("animals:\n  - {lives: 1}", ["zoo:2:5: animals[0]: kind is missing, which says what this is"]),
        ("animals:\n  - {kind: cat, lives: 1.5}", ["zoo:2:24: animals[0].lives: Input should be a valid integer"]),
        ("animals:\n  - {kind: cat, lives: '1'}", ["zoo:2:24: animals[0].lives: Input should be a valid integer"]),
        ("animals:\n  - {kind: cat, tail: 1}", ["zoo:2:23: animals[0].tail: there is no such field"]),
        ("animals:\n  - {kind: dog}", ["zoo:2:5: animals[0].names: is missing"]),
        ("animals:\n  - {kind: dog, names: []}", ["zoo:2:17: animals[0].names: is empty; at least one is needed"]),
        ("animals: []", ["zoo:1:1: animals: is empty; at least one is needed"]),
        ("animals: {}", ["zoo:1:1: animals: Input should be a valid array"]),
        ("size: 1.5", ["zoo:1:1: animals: is missing"]),
        ("[]", ["zoo:1:1: document: Input should be an object"]),
        (
            "animals:\n  - {kind: cat, lives: x}\n  - {kind: dog}\nsize: big\nplace: here",
            [
                "zoo:2:24: animals[0].lives: Input should be a valid integer",
                "zoo:3:5: animals[1].names: is missing",
                "zoo:4:7: size: Input should be a valid number",
                "zoo:5:8: place: there is no such field",
            ],
        ),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(text, said):
    assert complaints(text) == said

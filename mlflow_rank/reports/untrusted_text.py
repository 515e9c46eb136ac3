"""Text that others wrote (names of models, groups, people; reasons), made harmless for the place where it is shown."""

from __future__ import annotations

import re

_BREAK = "\u200b"  # zero width: no mention, reference, address or emoji survives it, and nobody sees it
_ENTITIES = str.maketrans(
    {sign: f"&#{ord(sign)};" for sign in "|`*[]\\~$!"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
)
_AT_START = re.compile(r"^(?:[-+=]+|[0-9]+[.)])(?=\s|$)")  # would begin a list or underline a heading
_NUMBERS = re.compile(r"[-+]?[0-9.,]+(?: \[[-+0-9., ]+\])?")  # which need no escape, and are read in the source too
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9_])_|_(?![A-Za-z0-9_])|(?<=_)_")  # within a word it is only a sign
_REFERENCE = re.compile(r"\bGH-(?=[0-9])|\bwww(?=\.)|:(?=//)|:(?=[a-z+-][a-z0-9_+-]*:)|[@#]", re.IGNORECASE)
_XML_FORBIDS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production [2]


def plain(text: object) -> str:
    r"""Return text on one line, with signs that steer a terminal or turn the direction of reading written out.

    >>> plain("a\tb\n"), plain("\x1b[31mred"), plain("left\u202eright")
    ('a b', '\\x1b[31mred', 'left\\u202eright')
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in " ".join(str(text).split()))


def in_lines(text: object) -> str:
    r"""Return text with its line breaks and indents, and with signs that steer a terminal written out.

    >>> print(in_lines("a\x1b[2J\n  b"))
    a\x1b[2J
      b
    """
    lines = (
        "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line) for line in str(text).split("\n")
    )
    return "\n".join(lines)


def in_markdown(text: object) -> str:
    """Return text that markdown and HTML show as it stands: nothing in it links, mentions, formats or ends a cell.

    It holds on GitHub and in MLflow's pages (showdown), in a paragraph, a table, and within HTML.

    >>> in_markdown("a|b <img src=x> [x](y)")
    'a&#124;b &lt;img src=x&gt; &#91;x&#93;(y)'
    >>> in_markdown("balanced_accuracy of 3.5 %")
    'balanced_accuracy of 3.5 %'
    >>> in_markdown("+.339 [.293, .385]")
    '+.339 [.293, .385]'
    """
    said = plain(text)
    if _NUMBERS.fullmatch(said):
        return said
    said = _REFERENCE.sub(rf"\g<0>{_BREAK}", said)
    said = said.translate(_ENTITIES)
    said = _OUTER_UNDERSCORE.sub("&#95;", said)
    return _AT_START.sub(lambda found: found[0][:-1] + f"&#{ord(found[0][-1])};", said)


def in_sarif(text: object) -> str:
    """Return text for a SARIF message, where brackets would link and braces would be filled in.

    >>> in_sarif("see [here](http://x) {0}")
    'see \\\\[here\\\\](http://x) {{0}}'
    """
    said = re.sub(r"([\\\[\]])", r"\\\1", plain(text))
    return said.replace("{", "{{").replace("}", "}}")


def in_xml(text: object) -> str:
    r"""Return text without what XML 1.0 has no way to write, escaped or not.

    >>> in_xml("a\x00b\ufffe")
    'ab'
    """
    return _XML_FORBIDS.sub("", str(text))

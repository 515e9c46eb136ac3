"""A figure's SVG within a page: as one picture with words for those who cannot see it, and with ids of its own."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, fromstring, tostring

from mlflow_rank.reports.untrusted_text import in_xml

_WITHOUT_MEANING_HERE = ("metadata", "style")  # who drew it; and a style that would hold for the whole page
_STROKES = "stroke-linejoin: round; stroke-linecap: butt"  # what that style says, for the figure alone
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(svg: str, prefix: str, words: str) -> str:
    """Return the text of an SVG file as an element for HTML, where names of namespaces are not needed.

    Args:
        svg: as `save_figure` wrote it.
        prefix: put before every id, so that figures of one page never share one.
        words: what the figure shows.

    Raises:
        xml.etree.ElementTree.ParseError: it is no SVG.
    """
    root = fromstring(in_xml(svg))  # noqa: S314 -- a file that was drawn here, a moment ago
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): _own(_local(name), value, prefix) for name, value in element.items()}
        for child in [child for child in element if _local(child.tag) in _WITHOUT_MEANING_HERE]:
            element.remove(child)
    root.attrib = {name: value for name, value in root.items() if name == "viewBox"}
    root.attrib |= {"role": "img", "aria-label": words, "style": _STROKES}
    return _text(root)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _own(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    return _REFERENCE.sub(rf"url(#{prefix}-\1)", value)


def _text(root: Element) -> str:
    return tostring(root, encoding="unicode").strip()

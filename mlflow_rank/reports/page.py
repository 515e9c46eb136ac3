"""What every page shares: one file without network and script, readable at 500 pixels, in the reader's own scheme."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from mlflow_rank.reports.untrusted_text import plain

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 12px; max-width: 860px; background: Canvas; color: CanvasText;
  font: 14px/1.45 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 20px; margin: 4px 0; } h2 { font-size: 16px; margin: 20px 0 6px; }
p { margin: 4px 0; } .soft { opacity: .72; }
figure { margin: 8px 0; background: #fff; border-radius: 4px; }
figure svg { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 4px; text-align: right; white-space: nowrap; border-bottom: 1px solid #8884; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
"""


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """Return a page as HTML, with its title as its first heading.

    Args:
        title: anybody's text.
        body: lines of HTML beneath the title.
        style: what this sort of page has beyond the shared look.
    """
    return "\n".join(_lines(title, body, style))


def said(text: object) -> str:
    """Return anybody's text as HTML shows it: on one line, and nothing in it is a tag."""
    return escape(plain(text))


def _lines(title: str, body: Iterable[str], style: str) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{said(title)}</title><style>{_STYLE}{style}</style></head><body>"
    yield f"<h1>{said(title)}</h1>"
    yield from body
    yield "</body></html>"
    yield ""

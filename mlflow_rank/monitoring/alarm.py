"""What a monitor says when training goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["constant_collapse", "dimensional_collapse", "divergence", "disagreement"]
KINDS: tuple[Kind, ...] = ("constant_collapse", "dimensional_collapse", "divergence", "disagreement")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that went wrong in some layers, from its first sign to its end.

    `since_step` is the first point at which it showed, `raised_step` the one at which it was sure enough to say so,
    `closed_step` the one from which it was over (None: it is open). `layers` are indices, ascending. `saw` says what
    was seen with its numbers, `sure` how sure that is, `next` what to do; each is one sentence.
    """

    id: str
    kind: Kind
    since_step: int
    raised_step: int
    layers: tuple[int, ...]
    saw: str
    sure: str
    next: str
    closed_step: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still holds."""
        return self.closed_step is None

    @property
    def message(self) -> str:
        """All of it in one line."""
        layers = f"layer{'' if len(self.layers) == 1 else 's'} {', '.join(map(str, self.layers))}"
        ended = "" if self.closed_step is None else f" Over since step {self.closed_step}."
        return f"{self.saw} Since step {self.since_step}, in {layers}. {self.sure} {self.next}{ended}"

    def document(self) -> Mapping[str, object]:
        """Return the alarm as evidence and files hold it, JSON-ready."""
        own = asdict(self)
        kind = own.pop("kind")
        return {
            **own,
            "layers": list(self.layers),
            "alarm": kind,
            "state": "open" if self.is_open else "closed",
            "message": self.message,
        }

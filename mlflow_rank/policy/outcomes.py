"""What came of a rule: pass, fail, unknown with a cause, or waived; with what was seen, the bound, and the margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class Cause(StrEnum):
    """Why a rule could not be answered. Each has a remedy, and none of them ever approves."""

    MISSING_EVIDENCE = "missing_evidence"
    UNREADABLE = "unreadable"
    WRONG_SUBJECT = "wrong_subject"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KEY = "unknown_key"
    KEY_NOT_VALID_YET = "key_not_valid_yet"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    WRONG_ROLE = "wrong_role"
    STALE = "stale"
    FROM_THE_FUTURE = "from_the_future"
    WRONG_PRESET = "wrong_preset"
    NOT_IN_EVIDENCE = "not_in_evidence"
    NOT_MEASURED = "not_measured"
    NOT_CORRECTED = "not_corrected"
    NO_INTERVAL = "no_interval"
    NO_BASELINE = "no_baseline"
    NOT_PAIRED = "not_paired"
    NO_LAYER_CHOSEN = "no_layer_chosen"
    CHAMPION_UNKNOWN = "champion_unknown"
    OTHER_CHAMPION = "other_champion"
    OTHER_CONVENTION = "other_convention"
    BOUND_AT_CHANCE = "bound_at_chance"
    SUBJECT_NOT_CHECKED = "subject_not_checked"
    EVALUATOR_ERROR = "evaluator_error"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self]


REMEDIES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.MISSING_EVIDENCE: "give it with --evidence; ranks and pilots come from mlflow-rank assess --key KEY",
        Cause.UNREADABLE: "make the evidence again; this file is damaged or was written by something else",
        Cause.WRONG_SUBJECT: "assess the very files that are to be promoted",
        Cause.UNSIGNED: "sign it: assess again with --key KEY",
        Cause.BAD_SIGNATURE: "do not use this file: it is not what was signed; find out who changed it",
        Cause.UNKNOWN_KEY: "add the signer's key to the trust file if you trust them, or have a trusted key sign",
        Cause.KEY_NOT_VALID_YET: "sign with a key that is in force",
        Cause.KEY_EXPIRED: "sign with a key that is in force",
        Cause.KEY_REVOKED: "have it made and signed again with a key that is not revoked",
        Cause.WRONG_ROLE: "have it signed by somebody with a role that the policy names under evidence.signed_by",
        Cause.STALE: "assess again: this evidence is too old",
        Cause.FROM_THE_FUTURE: "set the clocks of the machine that measured and of this one, and assess again",
        Cause.WRONG_PRESET: "measure with the preset that the policy names",
        Cause.NOT_IN_EVIDENCE: "measure or pilot what the rule asks for: layer, level, task, domain, head and shots",
        Cause.NOT_MEASURED: "give the measurement what it lacked; the cause stands in the finding",
        Cause.NOT_CORRECTED: "measure more audio: correction needs four rows per dimension and several blocks",
        Cause.NO_INTERVAL: "measure with intervals, on two groups (speakers, devices) or more",
        Cause.NO_BASELINE: "pilot with the baseline: --control true and --log-mel true",
        Cause.NOT_PAIRED: "compare encoders of one frame rate on the same test items",
        Cause.NO_LAYER_CHOSEN: "pilot the task that is to choose the layer, on two layers or more",
        Cause.CHAMPION_UNKNOWN: "give the champion's evidence (--champion-evidence), or say --first-promotion",
        Cause.OTHER_CHAMPION: "pilot again --against the version that is champion now",
        Cause.OTHER_CONVENTION: "measure both with one convention, on the same audio",
        Cause.BOUND_AT_CHANCE: "raise the rule's value: guessing reaches it",
        Cause.SUBJECT_NOT_CHECKED: "give the model's files with --model, so that they are hashed",
        Cause.EVALUATOR_ERROR: "report this as a fault of mlflow-rank, with the policy and the evidence",
    }
)

Result = Literal["pass", "fail", "unknown", "waived"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen: the number held against the bound, its estimate and 95 % interval, on n (rows or test items)."""

    value: float | str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"value": self.value, "estimate": self.estimate, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule, checked.

    `layer` is the layer that decided it, the worst of those asked for, and `layers` how many passed and were asked.
    `bound` is what it was held against, `margin` how much room was left (negative: how much was missing), both in the
    unit of the observed value. `evidence` are the digests of the statements that it was read from. A waived finding
    keeps what it would have been in `underlying`. `measured` says that a number was held against the bound.
    """

    rule: str
    kind: str
    severity: Literal["block", "warn"]
    result: Result
    sentence: str
    cause: Cause | None = None
    observed: Observation | None = None
    bound: float | str | None = None
    margin: float | None = None
    layer: int | str | None = None
    layers: tuple[int, int] | None = None
    evidence: tuple[str, ...] = ()
    underlying: Result | None = None
    waiver: str | None = None
    proves: bool = False

    @property
    def counts_as_pass(self) -> bool:
        """Whether `decide` may count it."""
        return self.result in ("pass", "waived")

    @property
    def ran(self) -> bool:
        """Whether a number was held against the bound: an unknown did not run."""
        return (self.underlying or self.result) in ("pass", "fail") and self.observed is not None

    @property
    def shows_a_pilot(self) -> bool:
        """Whether it is a pilot that passed on a measured score: what no approval can be without."""
        return self.proves and self.severity == "block" and self.result == "pass" and self.observed is not None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "rule": self.rule,
            "kind": self.kind,
            "severity": self.severity,
            "result": self.result,
            "underlying": self.underlying,
            "cause": self.cause.value if self.cause else None,
            "remedy": self.cause.remedy if self.cause else None,
            "observed": self.observed.document() if self.observed else None,
            "bound": self.bound,
            "margin": self.margin,
            "layer": self.layer,
            "layers": None if self.layers is None else {"passed": self.layers[0], "asked": self.layers[1]},
            "evidence": list(self.evidence),
            "waiver": self.waiver,
            "sentence": self.sentence,
        }

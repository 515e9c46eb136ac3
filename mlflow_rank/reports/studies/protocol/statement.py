"""How an organisation measures, on one page: from its policies, the presets, and what was measured under them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.monitoring.cadence import Cadence
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.probe_set import COUNT, SECONDS
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy
from mlflow_rank.reports.studies.protocol.rules import people, rule_lines
from mlflow_rank.spectra.convention import PRESETS
from mlflow_rank.spectra.metrics import METRICS
from mlflow_rank.studies.conventions import Conventions, Setting

KIND = "Protocol"
MOST_LINES, MOST_WORDS = 60, 700  # that fit on a page of A4
FURNITURE_LINES = 21  # title, name and digest, and six headings with the blank lines around them
FURNITURE_WORDS = 40
NEVER = (
    "Rank alone never approves a model: it may veto, a pilot that passed decides.",
    "Rank does not pick the layer: the pilot does, inside its training labels.",
    "Numbers of different conventions are never compared; `mlflow-rank study compare` names what differs.",
    "What is unknown (no evidence, too few rows, a bad signature) never approves.",
    "A pilot rule is never waived, and a study approves nothing.",
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines."""

    name: str
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProtocolStatement:
    """The page: its sections, what its numbers mean, and the ids of rules that have no room on it in words."""

    name: str
    sections: tuple[Section, ...]
    conventions: Conventions
    policies: tuple[Mapping[str, object], ...]
    left_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """`sha256:…` of what it says: the same policies and evidence give the same."""
        return digest_of(self._content())

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {**self._content(), "digest": self.digest}

    def _content(self) -> dict[str, object]:
        return {
            "kind": KIND,
            "conventions": self.conventions.document(),
            "policies": [dict(each) for each in self.policies],
            "statement": {each.heading: list(each.lines) for each in self.sections},
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class Practice:
    """How it is measured and piloted, setting by setting.

    `audio` says what the measurement heard, None where there is none.
    """

    conventions: Conventions
    audio: Mapping[str, object] | None = None


def state(policies: Sequence[Policy], practice: Practice) -> ProtocolStatement:
    """Return the page about the policies, in order of their names; exemptions are named only."""
    ordered = sorted(policies, key=lambda each: each.metadata.name)
    asking = [each for each in ordered if isinstance(each, PromotionPolicy | WatchPolicy)]
    before = (
        Section("ranks", "How wide: ranks", tuple(_ranks(practice))),
        Section("pilots", "How good: pilots", tuple(_pilots(practice))),
    )
    after = (
        Section("people", "Who", tuple(line for each in asking for line in people(each))),
        Section("cadence", "When", tuple(_cadence(ordered))),
        Section("never", "Never", NEVER),
    )
    around = [*before, *after]
    rules, left_out = _fitting(asking, around)
    return ProtocolStatement(
        name=", ".join(f"{each.metadata.name} r{each.metadata.revision}" for each in ordered),
        sections=(*before, Section("rules", "What must hold", tuple(rules)), *after),
        conventions=practice.conventions,
        policies=tuple(
            {
                "name": each.metadata.name,
                "revision": each.metadata.revision,
                "policy": each.kind,
                "digest": each.digest,
            }
            for each in ordered
        ),
        left_out=tuple(left_out),
    )


def _fitting(
    policies: Sequence[PromotionPolicy | WatchPolicy], around: Sequence[Section]
) -> tuple[list[str], list[str]]:
    """Return the rules that fit on the page with the sections around them, and the ids of the others."""
    lines = MOST_LINES - FURNITURE_LINES - sum(len(each.lines) for each in around)
    words = MOST_WORDS - FURNITURE_WORDS - sum(len(line.split()) + 1 for each in around for line in each.lines)
    allowance = words
    while True:
        rules, left_out = rule_lines(policies, lines=lines, words=allowance)
        over = sum(len(line.split()) + 1 for line in rules) - words
        if over <= 0 or allowance <= 0:
            return rules, left_out
        allowance -= max(over, 10)


def _ranks(practice: Practice) -> Iterator[str]:
    said = practice.conventions.settings
    preset = PRESETS[str(said["rank.preset"])]
    metric, centred = preset.headline
    epsilons = sorted(name for name in preset.metrics if METRICS[name].epsilon is not None)
    yield (
        f"Preset {preset.name}, read first: {metric.replace('_', ' ')}, {'mean taken off' if centred else 'mean in'}; "
        f"levels {_listed(preset.levels)}; ε = {METRICS[epsilons[0]].epsilon:g} in {_listed(epsilons)}, outside the "
        "division, and none elsewhere."
    )
    yield (
        f"Sampling: {_budget(said)}, spread over speakers and lengths, seed {_of(said, 'rank.sampling.seed')}, "
        f"{_lengths(said)}every {_nth(said.get('rank.frame_stride'))}frame, channel "
        f"{said.get('rank.channel') or 'mix'}; activations {_of(said, 'rank.dtype')}, sums float64, nothing padded on "
        "CPU."
    )
    yield (
        f"Intervals: 95 %, jackknife over {_of(said, 'rank.blocks')} blocks of whole speakers where known; below four "
        "rows per dimension a rank is not corrected for its bias, below one it is unknown."
    )
    if practice.audio is None:
        yield "Audio: not fixed here (give --measurement); only ranks on the same audio are compared."
    else:
        audio = practice.audio
        minutes = audio.get("minutes")
        heard = f"{minutes:.1f}" if isinstance(minutes, int | float) else "?"
        yield (
            f"Audio: {heard} min, {audio.get('utterances')} utterances, {audio.get('speakers')} speakers, corpus "
            f"{_short(said.get('rank.corpus_digest'))}."
        )


def _pilots(practice: Practice) -> Iterator[str]:
    tasks = sorted({name.split(".")[1] for name in practice.conventions.settings if name.startswith("pilot.")})
    alike: dict[str, list[str]] = {}
    for task in tasks:
        metric = str(practice.conventions.settings.get(f"pilot.{task}.metric")).replace("_", " ")
        alike.setdefault(_piloted(practice, task), []).append(f"{task} ({metric})")
    yield from (f"{', '.join(names)}: {how}" for how, names in alike.items())
    if tasks:
        yield (
            "Beside every score: chance, log-mel features, the same architecture with random weights, and a 95 % "
            "interval over speakers; the champion is compared on the same items."
        )
    else:
        yield "None is asked for by these policies."


def _piloted(practice: Practice, task: str) -> str:
    prefix = f"pilot.{task}."
    said = practice.conventions.part(prefix).settings
    share = said.get(f"{prefix}test_share")
    tested = f"{100 * share:g} %" if isinstance(share, int | float) else "?"
    corpora = [
        f"{where.replace('_', ' ')} {_short(said.get(f'{prefix}{where}.corpus_digest'))}"
        for where in ("in_domain", "out_of_domain")
        if f"{prefix}{where}.corpus_digest" in said
    ]
    known = f"corpora {_listed(corpora)}" if corpora else "corpora not fixed here (give --pilot)"
    return (
        f"{_of(said, prefix + 'head')} head, {_of(said, prefix + 'pooling')} pooling, "
        f"{_shots(said.get(prefix + 'shots'))} labels a class, {_of(said, prefix + 'draws')} draws, seed "
        f"{_of(said, prefix + 'seed')}, {tested} of the groups tested, apart by {_of(said, prefix + 'disjoint_by')}; "
        f"{known}."
    )


def _cadence(policies: Sequence[Policy]) -> Iterator[str]:
    for each in policies:
        if isinstance(each, PromotionPolicy | WatchPolicy):
            yield f"{each.metadata.name}: evidence counts for {each.evidence.max_age}."
    cadence, limits = Cadence(), Limits()
    yield (
        f"While it trains: {COUNT} utterances of {SECONDS:g} s, always the same, at steps 0, 1, 2, 4, … and every "
        f"{cadence.every}, for at most {100 * (cadence.max_overhead or 1):g} % of the training's time; at most "
        f"{limits.false_alarms:g} false alarms a point."
    )


def _budget(said: Mapping[str, Setting]) -> str:
    hours, utterances = said.get("rank.sampling.hours"), said.get("rank.sampling.utterances")
    parts = [f"{hours:g} h" if isinstance(hours, int | float) else "", f"{utterances} utterances" if utterances else ""]
    return " and ".join(part for part in parts if part) + " at most" if any(parts) else "all of it"


def _lengths(said: Mapping[str, Setting]) -> str:
    shortest, longest = (said.get(f"rank.sampling.{name}_duration") for name in ("min", "max"))
    known = isinstance(shortest, int | float) and isinstance(longest, int | float)
    return f"utterances of {shortest:g} to {longest:g} s, " if known else ""


def _nth(stride: Setting) -> str:
    return "" if stride in (None, 1) else f"{stride}th "


def _shots(most: Setting) -> str:
    return "all" if most == "all" else f"up to {'?' if most is None else most}"


def _of(said: Mapping[str, Setting], name: str) -> object:
    value = said.get(name)
    return "?" if value is None else f"{value:g}" if isinstance(value, float) else value


def _short(digest: object) -> str:
    return str(digest)[:19] if digest else "unknown"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""What a study of short sounds found, in sentences for whoever must decide whether rank may be believed there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_rank.spectra.sample import ROWS_TO_CORRECT
from mlflow_rank.studies.short_sounds.precision import Needed, TooFewCounts
from mlflow_rank.studies.short_sounds.study import LEVELS, RANDOM, SHUFFLED, Comparison, ShortSoundsStudy

WHOM = {SHUFFLED: "its shuffled copy", RANDOM: "random weights"}
ROWS = {"frame": "frames of all clips pooled", "utterance": "one mean per clip"}


def verdicts(study: ShortSoundsStudy) -> Iterator[str]:
    """Yield the findings, the one on whole clips first."""
    for level in LEVELS:
        yield _on_whole_clips(study.of(SHUFFLED, level)[0], level, study.layer)
    for level in LEVELS:
        yield _over_conditions(study, level)
    yield _over_layers(study)
    for other in study.others:
        if other != SHUFFLED:
            yield _on_whole_clips(study.of(other, "frame")[0], "frame", study.layer)
    yield from _clips(study)
    yield _therefore(study)


def about(study: ShortSoundsStudy) -> Iterator[str]:
    """Yield how it was found."""
    said: Mapping[str, Any] = study.settings
    skipped = f", {said['clips_skipped']} unusable" if said["clips_skipped"] else ""
    left = f", {said['clips_left_over']} left over" if said["clips_left_over"] else ""
    yield (
        f"{said['clips']:,} clips of {said['labels']} ({said['groups']} by {said['group_unit']}, {said['classes']} "
        f"classes of {said['task']}, median {said['median_seconds']:.2g} s{skipped}{left}); encoder {said['model']}, "
        f"{said['dtype']}, seed {said['seed']}."
    )
    chosen = "asked for" if study.layer_asked else "chosen by the pilot of whole clips inside its training clips"
    yield f"Tables are of layer {study.layer}, {chosen}, the same in every condition; files hold every layer."
    yield (
        "Ranks are centred effective ranks, of frames pooled over clips and of one mean per clip; below as many rows "
        "as dimensions they are unknown, as a rank of so few rows reads their number. So does the rank of a single "
        "short clip, which is why none is shown. Below four rows per dimension ranks read low and are not corrected. "
        "Compare within a line: the same clips, the same N. N may differ down a column."
    )
    yield (
        "The shuffled copy has the same weights, the entries of each tensor in another order. An order is right or "
        "wrong only where the intervals of the ratio of ranks and of the pilot's difference both leave out a tie. All "
        f"intervals are 95 %: of ranks by the jackknife over {said['blocks']} blocks of "
        f"{'clips' if said['block_unit'] == 'utterance' else said['block_unit'] + 's'}, of pilots over the groups "
        f"tested. {len(study.of(SHUFFLED, 'frame')) * len(LEVELS)} orders are read, without a correction for that."
    )
    yield (
        f"Pilot: {said['head']} with all labels, mean-pooled, balanced accuracy, no {said['group_unit']} trained and "
        "tested on. Clips are cut to their loudest stretch, never padded; bursts repeat a clip that is too short. "
        f"Noise: {said['noise']}, its power over the whole window against the sound's within its bursts."
    )


def percent(share: float | None) -> str:
    """Return a share in whole percent.

    >>> percent(0.924), percent(None)
    ('92 %', 'unknown')
    """
    return "unknown" if share is None else f"{100 * share:.0f} %"


def _on_whole_clips(each: Comparison, level: str, layer: int) -> str:
    whom, rows = WHOM[each.other], ROWS[level]
    lead = f"Whole clips, {rows} (layer {layer}), against {whom}"
    if each.order == "unknown" or each.rank.shown is None or each.other_rank.shown is None:
        return f"{lead}: unknown, {each.cause}."
    between = "<" if each.rank.shown < each.other_rank.shown else ">"
    ranks = f"rank {each.rank.shown:.1f} {between} {each.other_rank.shown:.1f}"
    interval = f"ratio {each.ratio.value:.2f} [{each.ratio.low:.2f}, {each.ratio.high:.2f}]"
    pilots = (
        f"{percent(None if each.pilot is None else each.pilot.value)} against "
        f"{percent(None if each.other_pilot is None else each.other_pilot.value)}"
    )
    tail = f" ({each.cause})" if each.order == "undecided" else ""
    return f"{lead}: the order is {each.order.upper()}, {ranks} ({interval}) while the pilot says {pilots}{tail}."


def _over_conditions(study: ShortSoundsStudy, level: str) -> str:
    found = study.of(SHUFFLED, level)
    wrong = [each.condition.name for each in found if each.order == "wrong"]
    others = [f"{each.condition.name} ({each.order})" for each in found if each.order != "wrong"]
    few, names = ("Wrong", wrong) if len(wrong) <= len(others) else ("All but", others)
    named = f" {few}: {'; '.join(names)}." if wrong and others else ""
    return f"In {len(found)} conditions, {ROWS[level]}, the order is {_counted(found)}.{named}"


def _over_layers(study: ShortSoundsStudy) -> str:
    parts = []
    for level in LEVELS:
        found = [study.of(SHUFFLED, level, layer)[0] for layer in study.layers]
        parts.append(f"{ROWS[level]}: {_counted(found)}")
    return f"Over the {len(study.layers)} layers on whole clips, {'; '.join(parts)}."


def _counted(found: tuple[Comparison, ...] | list[Comparison]) -> str:
    counts = Counter(str(each.order) for each in found)
    orders = ("right", "wrong", "undecided", "unknown")
    return ", ".join(f"{order} in {counts[order]}" for order in orders if counts[order])


def _clips(study: ShortSoundsStudy) -> Iterator[str]:
    precision = study.precision
    for level in LEVELS:
        what = f"A rank known to ±{100 * precision.targets.rank:g} % ({ROWS[level]})"
        yield _needed(what, precision.ranks[level])
    yield _needed(f"A pilot known to ±{100 * precision.targets.pilot:g} points", precision.pilot)


def _needed(what: str, needed: Needed | TooFewCounts) -> str:
    if isinstance(needed, TooFewCounts):
        return f"{what}: how many clips that takes is not known, {needed.cause}."
    measured = [each.clips for each in needed.widths]
    beyond = f", outside the {min(measured):,} to {max(measured):,} measured" if needed.extrapolated else ""
    if needed.clips == needed.least > 1:
        beyond += (
            f"; its width alone would take fewer, but below {needed.least:,} it is unknown, and below "
            f"{math.ceil(ROWS_TO_CORRECT * needed.least):,} not corrected for its bias"
        )
    slower = (
        f" But widths shrink more slowly than 1/√n (power {needed.slope:.2f}): more clips of the same devices may "
        "never do, other devices might."
        if needed.levels_off
        else ""
    )
    return f"{what} takes about {needed.clips:,} clips [{needed.low:,}, {needed.high:,}]{beyond}.{slower}"


def _therefore(study: ShortSoundsStudy) -> str:
    orders = {each.order for level in LEVELS for each in study.of(SHUFFLED, level)}
    if "wrong" in orders:
        return (
            "So a higher rank on these sounds does not mean a better encoder: use it to see one encoder change on the "
            "same clips, and let the pilot decide."
        )
    if "right" in orders:
        return (
            "Nowhere was the order wrong with these sounds, this encoder and this copy: that allows rank as an early "
            "sign here, and no approval by it."
        )
    return "No order could be decided: more clips, or clips of more devices, are needed before rank says anything here."

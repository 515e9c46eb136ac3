from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.sampling import Sampling, draw
from mlflow_rank.speech.utterance import AudioFile, Utterance


def utterance(number: int, seconds: float, speaker: str | None) -> Utterance:
    key = f"{number}.wav"
    return Utterance(key=key, source=AudioFile(Path(key)), duration=seconds, speaker=speaker)


@st.composite
def corpora(draw_from, most_speakers: int = 12) -> list[Utterance]:
    parts = draw_from(
        st.lists(
            st.tuples(st.floats(0.06, 29.0), st.one_of(st.none(), st.integers(0, most_speakers - 1))),
            min_size=1,
            max_size=60,
        )
    )
    return [utterance(n, seconds, None if s is None else f"s{s}") for n, (seconds, s) in enumerate(parts)]


samplings = st.builds(
    Sampling,
    hours=st.one_of(st.none(), st.floats(30 / 3600, 0.3)),
    utterances=st.one_of(st.none(), st.integers(1, 40)),
    seed=st.integers(0, 3),
    blocks=st.integers(2, 12),
)


def keys(utterances) -> list[str]:
    return [each.key for each in utterances]


@given(corpora(), samplings, st.randoms(use_true_random=False))
def test_the_sample_does_not_depend_on_the_order_of_files(corpus, sampling, random):
    shuffled = corpus.copy()
    random.shuffle(shuffled)
    assert draw(shuffled, sampling) == draw(iter(corpus), sampling)


@given(corpora(), samplings)
def test_no_budget_is_exceeded_and_nothing_vanishes(corpus, sampling):
    sample = draw(corpus, sampling)
    taken = sample.utterances
    assert sampling.utterances is None or len(taken) <= sampling.utterances
    assert sampling.hours is None or sample.seconds <= sampling.hours * 3600 + 1e-9
    assert len(taken) + sum(part.utterances for part in sample.left_out) == len(corpus)
    seconds = sample.seconds + math.fsum(part.seconds for part in sample.left_out)
    assert math.isclose(seconds, math.fsum(each.duration for each in corpus))
    assert sum(s.available for s in sample.strata) == len(corpus)
    assert sum(s.taken for s in sample.strata) == len(taken)


@given(corpora(), samplings)
def test_everything_is_taken_where_it_fits(corpus, sampling):
    sample = draw(corpus, Sampling(hours=1.0, seed=sampling.seed))
    assert keys(sample.utterances) == sorted(keys(corpus))


@given(corpora(), samplings)
def test_every_speaker_is_heard_where_the_budget_allows(corpus, sampling):
    speakers = {each.speaker for each in corpus} - {None}
    longest = max(each.duration for each in corpus)
    hours = max(len(speakers), 1) * longest * 1.001 / 3600
    sample = draw(corpus, Sampling(hours=hours, seed=sampling.seed))
    assert {each.speaker for each in sample.utterances} - {None} == speakers
    assert sample.speakers == len(speakers)


@given(corpora(), samplings)
def test_blocks_partition_the_sample_and_split_no_speaker(corpus, sampling):
    sample = draw(corpus, sampling)
    members = [key for block in sample.blocks for key in keys(block.utterances)]
    assert sorted(members) == keys(sample.utterances) == sorted(set(members))
    assert [block.index for block in sample.blocks] == list(range(len(sample.blocks)))
    assert all(block.utterances for block in sample.blocks)
    speakers = {each.speaker for each in sample.utterances}
    by_speaker = None not in speakers and len(speakers) >= 8
    assert sample.block_unit == ("speaker" if by_speaker else "utterance")
    assert len(sample.blocks) == min(sampling.blocks, len(speakers) if by_speaker else len(members))
    if by_speaker:
        homes = Counter(s for block in sample.blocks for s in {each.speaker for each in block.utterances})
        assert set(homes.values()) == {1}


def test_blocks_by_utterance_are_nearly_equal_in_duration():
    corpus = [utterance(n, 1.0 + n % 7, None) for n in range(200)]
    seconds = [block.seconds for block in draw(corpus, Sampling()).blocks]
    assert max(seconds) - min(seconds) <= 7.0


def test_strata_share_the_budget_in_proportion():
    corpus = [utterance(n, (0.5, 3.0, 12.0)[n % 3], f"s{n % 4}") for n in range(2_400)]
    sample = draw(corpus, Sampling(hours=1.0))
    shares = [s.taken_seconds / s.available_seconds for s in sample.strata]
    assert len(shares) == 12
    assert 3600 - 12 <= sample.seconds <= 3600
    assert max(shares) - min(shares) < 0.02


def test_another_seed_draws_another_sample_as_large():
    corpus = [utterance(n, 2.0, f"s{n % 20}") for n in range(400)]
    one, other = (draw(corpus, Sampling(hours=0.05, seed=seed)) for seed in (0, 1))
    assert len(one.utterances) == len(other.utterances) == 90
    assert 5 < len(set(keys(one.utterances)) & set(keys(other.utterances))) < 45


def test_a_small_stratum_is_in_about_as_often_as_its_share():
    corpus = [utterance(n, 5.0, None) for n in range(19)] + [utterance(99, 0.5, None)]
    drawn = sum("99.wav" in keys(draw(corpus, Sampling(utterances=5, seed=seed)).utterances) for seed in range(400))
    assert 60 <= drawn <= 140  # a quarter of 400, ± 4.6 standard deviations


def test_what_is_left_out_is_said_with_its_reason():
    corpus = [utterance(0, 0.02, "a"), utterance(1, 45.0, "a"), *(utterance(n, 10.0, "a") for n in range(2, 12))]
    sample = draw(corpus, Sampling(hours=50 / 3600))
    left_out = {part.reason: (part.utterances, part.seconds) for part in sample.left_out}
    assert left_out == {"too_short": (1, 0.02), "too_long": (1, 45.0), "budget": (5, 50.0)}


def test_a_sample_describes_itself_in_json():
    corpus = [utterance(n, 0.5 if n % 2 else 3.0, f"s{n % 9}") for n in range(18)]
    said = json.loads(json.dumps(draw(corpus, Sampling(frame_stride=5, blocks=3)).describe()))
    assert said["design"]["frame_stride"] == 5
    assert (said["utterances"], said["speakers"], said["block_unit"]) == (18, 9, "speaker")
    assert said["hours"] == pytest.approx((9 * 0.5 + 9 * 3.0) / 3600)
    assert [block["utterances"] for block in said["blocks"]] == [6, 6, 6]
    assert [(row["duration"], row["taken"]) for row in said["strata"]] == [("under 1 s", 9), ("2 to 4 s", 9)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hours", 0.0),
        ("hours", math.nan),
        ("hours", math.inf),
        ("utterances", 0),
        ("utterances", 2.5),
        ("frame_stride", 0),
        ("min_duration", -1.0),
        ("max_duration", 0.05),
        ("max_duration", math.inf),
        ("seed", -1),
        ("blocks", 1),
    ],
)
def test_a_design_outside_its_range_is_refused_by_name(field, value):
    with pytest.raises(UsageError, match=field) as caught:
        Sampling(**{field: value})
    assert caught.value.got == repr(value)
    assert caught.value.expected


def test_a_corpus_with_nothing_of_allowed_length_is_refused_with_the_counts():
    with pytest.raises(UsageError, match="no utterance within the duration limits") as caught:
        draw([utterance(0, 0.01, None), utterance(1, 60.0, None)], Sampling())
    assert caught.value.got == "1 under 0.05 s, 1 over 30 s"


def test_a_budget_below_every_utterance_is_refused():
    with pytest.raises(UsageError, match="the budget holds no utterance") as caught:
        draw([utterance(0, 10.0, "a")], Sampling(hours=0.001))
    assert "10 s" in str(caught.value.expected)


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        draw([utterance(0, 1.0, "a"), utterance(0, 2.0, "b")], Sampling())

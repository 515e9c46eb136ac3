"""Sequence errors against jiwer and against the definition."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.edit_errors import collapse, edit_errors, sequence_tallies
from mlflow_rank.probes.scores import METRICS, replicates

sequences = st.lists(st.integers(0, 4), max_size=12)


def test_errors_equal_jiwers_on_random_sequences():
    rng = np.random.default_rng(0)
    references = [rng.integers(0, 6, rng.integers(1, 30)).tolist() for _ in range(200)]
    hypotheses = [rng.integers(0, 6, rng.integers(0, 30)).tolist() for _ in range(200)]
    found = edit_errors(references, hypotheses)

    def words(sequence):
        return " ".join(f"w{symbol}" for symbol in sequence)

    for reference, hypothesis, errors in zip(references, hypotheses, found, strict=True):
        expected = jiwer.process_words(words(reference), words(hypothesis))
        assert errors[:3].sum() == expected.substitutions + expected.deletions + expected.insertions
        assert errors[1] - errors[2] == expected.deletions - expected.insertions
    groups = [f"s{number % 5}" for number in range(200)]
    whole = jiwer.wer([words(r) for r in references], [words(h) for h in hypotheses])
    found = replicates("per", sequence_tallies(references, [hypotheses], groups))
    assert found.full[0] == pytest.approx(whole)
    first = slice(0, None, 5)
    alone = jiwer.wer([words(r) for r in references[first]], [words(h) for h in hypotheses[first]])
    assert found.alone[0, 0] == pytest.approx(alone)


@given(pairs=st.lists(st.tuples(sequences, sequences), min_size=1, max_size=6))
def test_pairs_do_not_change_one_another_and_lengths_add_up(pairs):
    references, hypotheses = [list(part) for part in zip(*pairs, strict=True)]
    found = edit_errors(references, hypotheses)
    for reference, hypothesis, errors in zip(references, hypotheses, found, strict=True):
        np.testing.assert_array_equal(errors, edit_errors([reference], [hypothesis])[0])
        substitutions, deletions, insertions, length = errors.tolist()
        assert min(substitutions, deletions, insertions) >= 0
        assert length == len(reference)
        assert length - deletions + insertions == len(hypothesis)
        assert substitutions + deletions <= length
        mirrored = edit_errors([hypothesis], [reference])[0]
        assert mirrored[:3].tolist() == [substitutions, insertions, deletions]


def test_many_pairs_are_aligned_in_batches_of_bounded_memory(monkeypatch):
    rng = np.random.default_rng(1)
    references, hypotheses = [[rng.integers(0, 9, rng.integers(0, 20)).tolist() for _ in range(50)] for _ in range(2)]
    whole = edit_errors(references, hypotheses)
    monkeypatch.setattr("mlflow_rank.probes.edit_errors.CELLS", 30)
    np.testing.assert_array_equal(edit_errors(references, hypotheses), whole)


def test_an_empty_answer_deletes_everything_and_a_perfect_one_errs_nowhere():
    assert edit_errors([[1, 2, 3], [4], []], [[], [4], [5, 5]]).tolist() == [[0, 3, 0, 3], [0, 0, 0, 1], [0, 0, 2, 0]]
    assert edit_errors([], []).shape == (0, 4)


def test_repeats_merge_before_silence_is_dropped():
    assert collapse([]) == []
    assert collapse([7, 7, 7]) == [7]
    assert collapse([1, 1, 0, 1, 2, 2, 0], dropped={0}) == [1, 1, 2]
    assert collapse(np.array([-1, -1])) == []


def test_sequences_that_do_not_pair_up_are_refused():
    with pytest.raises(UsageError, match="do not pair up"):
        edit_errors([[1]], [])
    with pytest.raises(UsageError, match="do not pair up"):
        sequence_tallies([[1], [2]], [[[1]]], ["a", "b"])


def test_an_utterance_without_phones_is_not_counted():
    tallies = sequence_tallies([[1, 2], []], [[[1, 2], [3]]], ["a", "b"])
    assert tallies.groups == ("a",)
    assert replicates("per", tallies).full.tolist() == [0.0]


def test_no_knowledge_scores_what_the_metric_calls_chance():
    tallies = sequence_tallies([[1, 2], [3]], [[[], []]], ["a", "b"])
    assert replicates("per", tallies).full.tolist() == [METRICS["per"].chance(40)]

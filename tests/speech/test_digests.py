from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.digests import content_digest, corpus_digest

digests = st.lists(st.integers(0, 9).map(lambda n: "sha256:" + hashlib.sha256(bytes([n])).hexdigest()), min_size=1)


@given(digests, st.randoms(use_true_random=False))
def test_a_corpus_digest_does_not_depend_on_order(parts, random):
    shuffled = parts.copy()
    random.shuffle(shuffled)
    assert corpus_digest(shuffled) == corpus_digest(iter(parts))


@given(digests, digests)
def test_two_corpora_have_one_digest_only_if_they_hold_the_same_sound_as_often(one, other):
    assert (corpus_digest(one) == corpus_digest(other)) == (sorted(one) == sorted(other))


@pytest.mark.parametrize("parts", [[], ["sha256:12"], ["md5:" + 64 * "0"], ["sha256:" + 64 * "A"]])
def test_what_is_no_digest_is_refused(parts):
    with pytest.raises(UsageError, match="digest"):
        corpus_digest(parts)


def test_a_content_digest_is_over_rate_shape_and_little_endian_samples():
    samples = np.array([[0.5, -0.25], [0.125, 1.0]], dtype=np.float32)
    written_out = hashlib.sha256(b"8000 2 2\n" + struct.pack("<4f", 0.5, -0.25, 0.125, 1.0)).hexdigest()
    assert content_digest(samples, 8_000) == f"sha256:{written_out}"
    assert content_digest(np.asfortranarray(samples), 8_000) == f"sha256:{written_out}"
    assert content_digest(samples.reshape(4, 1), 8_000) != f"sha256:{written_out}"
    assert content_digest(samples, 16_000) != f"sha256:{written_out}"

"""Base64 with one spelling: whatever else Python's decoder takes is refused."""

from __future__ import annotations

import base64

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.strict_base64 import decode_base64


@hypothesis.given(st.binary())
def test_both_alphabets_are_read_where_both_are_allowed(data):
    standard, url_safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    assert decode_base64(standard, named="it") == decode_base64(standard, named="it", url_safe=True) == data
    assert decode_base64(url_safe, named="it", url_safe=True) == data
    if url_safe != standard:
        with pytest.raises(EvidenceError, match="it is no base64"):
            decode_base64(url_safe, named="it")


@pytest.mark.parametrize(
    "text",
    ["YQ", "YQ=", "YQ===", "YR==", "YWJ=", "YQ==\n", " YQ==", "Y Q==", "YQ==YQ==", "=", "====", "Y", "YQ=a", "+_+_",
     "==QY", "é", "\ud800", "YQ\x00==", "🙂", "YQ==\u200b"],
    ids=ascii,
)  # fmt: skip
def test_other_spellings_are_refused(text):
    with pytest.raises(EvidenceError, match="it is no base64"):
        decode_base64(text, named="it", url_safe=True)


@hypothesis.given(st.text("AQYgwz+/-_= \n", max_size=12) | st.text())
def test_no_two_texts_of_one_alphabet_are_the_same_bytes(text):
    try:
        data = decode_base64(text, named="it", url_safe=True)
    except EvidenceError:
        return
    assert text.encode() in (base64.b64encode(data), base64.urlsafe_b64encode(data))

"""Coverage-guided fuzzing of everything that reads what strangers wrote: `python fuzz_readers.py TARGET [CORPUS] …`.

Only our own errors may come out. TARGET is one of those below, or all. Options after it are libFuzzer's:
-max_total_time=600, -runs=100000, ….
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["mlflow_rank"]):
    from mlflow_rank.errors import EvidenceError
    from mlflow_rank.evidence.keys import PublicKey
    from mlflow_rank.evidence.presented import present
    from mlflow_rank.evidence.statement import read_statement
    from mlflow_rank.evidence.strict_json import parse_json
    from mlflow_rank.evidence.strict_yaml import DocumentError
    from mlflow_rank.evidence.trust import TrustStore, read_trust
    from mlflow_rank.policy import load_policy

NOBODY = TrustStore(apiVersion="mlflow-rank/v1", kind="TrustStore", keys=())


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


TARGETS = {
    "policy": lambda data: load_policy(text_of(data), named="fuzzed.yaml"),
    "trust": lambda data: read_trust(text_of(data), named="fuzzed.yaml"),
    "json": lambda data: parse_json(data, named="fuzzed"),
    "statement": lambda data: read_statement(data, named="fuzzed"),
    "key": lambda data: PublicKey.from_text(text_of(data)),
    "evidence": lambda data: present(data, trust=NOBODY),  # never raises: what is wrong becomes a problem
}
MAY_RAISE = (EvidenceError, DocumentError)
ALL = tuple(TARGETS)


def once(target: str, data: bytes) -> None:
    with suppress(*(() if target == "evidence" else MAY_RAISE)):
        TARGETS[target](data)


def main() -> None:
    target = sys.argv.pop(1)
    if target == "all":  # the first byte says which
        atheris.Setup(sys.argv, lambda data: once(ALL[data[0] % len(ALL)], data[1:]) if data else None)
    else:
        atheris.Setup(sys.argv, lambda data: once(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Fewer labelled utterances than the starter corpus has: a study hears them at every checkpoint of every run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from mlflow_rank.speech.starter.corpus import StarterCorpus

# of each speaker in each session, which for keywords is a take of twenty words
KEPT = {
    "in_domain/phones": 4,
    "in_domain/keywords": 10,
    "in_domain/speakers": 4,
    "out_of_domain/phones": 4,
    "out_of_domain/keywords": 10,
    "out_of_domain/speakers": 2,
}


def fewer(corpus: StarterCorpus, name: str, into: Path) -> Path:
    """Write a manifest of the first utterances of each speaker and session of a part, and return where it lies."""
    manifest = corpus.manifest(name)
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        place = (row["speaker"], row["session"])
        seen[place] += 1
        if seen[place] <= KEPT[name]:
            kept.append(row | {"path": str(manifest.parent / row["path"])})
    into.mkdir(parents=True, exist_ok=True)
    path = into / manifest.name
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:  # one written anew would have all heard again
        path.write_text(text, encoding="utf-8")
    return path

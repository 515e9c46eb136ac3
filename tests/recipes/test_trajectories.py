"""The committed study: its table is whole, the README says what is in it, and fewer labels are the same ones again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean, median

import pytest
from scipy.stats import spearmanr

from mlflow_rank.speech.starter.corpus import StarterCorpus
from mlflow_rank.studies.trajectories import Trajectories, read_trajectories
from recipes.trajectories.labels import KEPT, fewer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAID = {
    "phones, in domain": "pilot_phone",
    "phones, out of domain": "pilot_phone_ood",
    "keywords, in domain": "pilot_keyword",
    "keywords, out of domain": "pilot_keyword_ood",
    "speakers, in domain": "pilot_speaker",
    "speakers, out of domain (EER)": "pilot_speaker_ood",
}


@pytest.fixture(scope="module")
def table() -> Trajectories:
    return read_trajectories(json.loads((ROOT / "docs/studies/starter_trajectories.json").read_text(encoding="utf-8")))


def test_the_committed_table_has_four_runs_of_ten_checkpoints_beside_random_weights(table: Trajectories) -> None:
    steps = {table.steps(run) for run in table.runs}
    assert steps == {(0, 336, 400, 476, 566, 673, 800, 951, 1131, 1345, 1600)}
    assert len(table.runs) == 4
    assert table.layers == tuple(range(6))
    assert {each.name for each in table.outcomes} == set(SAID.values())
    assert all(len(each.scores) == len(SAID) for each in table.observations)
    assert not any(place in json.dumps(table.document()) for place in ("/home", "/tmp", "/root", "/work"))


def test_the_readme_says_how_rank_and_step_go_with_each_pilot(table: Trajectories) -> None:
    """By scipy, run by run, without any of the product's statistics."""
    trained = table.where(lambda each: each.step >= 300)

    def middle(name: str, outcome: str) -> float:
        sign = -1 if table.outcome(outcome).lower_is_better else 1
        layers = []
        for layer in trained.layers:
            of_runs = []
            for run in trained.runs:
                rows = [each for each in trained.observations if (each.run, each.layer) == (run, layer)]
                values = [float(each.step) if name == "step" else each.ranks[name] for each in rows]
                of_runs.append(float(spearmanr(values, [sign * each.scores[outcome] for each in rows]).statistic))
            layers.append(mean(of_runs))
        return median(layers)

    for words, outcome in SAID.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| {words} |"))
        said = [float(cell.replace("−", "-")) for cell in re.findall(r"\| ([+−]\.\d\d) (?=\|)", row)]
        assert said == pytest.approx([middle("rank_frame", outcome), middle("step", outcome)], abs=0.011), words


def test_fewer_labels_are_the_first_of_each_speaker_and_session_and_written_once(tmp_path: Path) -> None:
    name = "in_domain/phones"
    rows = [
        {"path": f"{speaker}/{session}_{take}.wav", "speaker": speaker, "session": session}
        for speaker in ("ann", "bob")
        for session in ("morning", "evening")
        for take in range(KEPT[name] + 2)
    ]
    corpus = StarterCorpus(tmp_path, "sha256:0")
    corpus.manifest(name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    path = fewer(corpus, name, tmp_path / "fewer")

    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(kept) == 2 * 2 * KEPT[name]
    assert all(Path(row["path"]).is_relative_to(tmp_path) for row in kept)
    written = path.stat().st_mtime_ns
    assert fewer(corpus, name, tmp_path / "fewer").stat().st_mtime_ns == written

"""What every folder of tests shares: hypothesis profiles, seconds of sound, and encoders that take milliseconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# One thread for each process of the suite, set before numpy and torch read it: the suite itself runs in parallel, and
# threads that wait for one another on a busy machine make tiny matrices ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DO_NOT_TRACK"] = "true"  # MLflow reports its use otherwise, and waits where there is no network

import hypothesis
import loaded_once
import made_once
import numpy as np
import pytest
import soundfile
import tables_at_once

# No deadlines: a busy machine is no fault of the code. `ci` draws the same examples every time, `dev` others and more.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=40)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

REPOSITORY = Path(__file__).parents[1]
MODULES = Path(__file__).parent / "modules"
RATE = 16_000

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True, scope="module")
def _mlflow_as_it_was() -> Iterator[None]:
    """Have MLflow ask where it asked before: what sets its address in one test sets it for the whole process."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)
    for module, name in (("_tracking_service", "_tracking_uri"), ("_model_registry", "_registry_uri")):
        utils = sys.modules.get(f"mlflow.tracking.{module}.utils")
        if utils is not None:
            setattr(utils, name, None)


@pytest.fixture(scope="session")
def postgresql_uri() -> str:
    """The server that the tests may do everything with: without one they are skipped, but fail where CI asks for it."""
    uri = os.environ.get("MLFLOW_RANK_TEST_POSTGRES")
    if uri:
        return uri
    missing = "MLFLOW_RANK_TEST_POSTGRES names no PostgreSQL server (a URI as SQLAlchemy has it; see .ci/postgresql)"
    if os.environ.get("CI_REQUIRES_POSTGRES") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(autouse=True, scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Name the directory of what is made once for all processes of this run."""
    mine = tmp_path_factory.getbasetemp()
    place = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    os.environ[made_once.PLACE] = str(place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Spare MLflow the making of its tables, as soon as something has imported it."""
    tables_at_once.copy_from_now_on()


SHARING = {
    "test_concurrency.py": "a gated server of two workers",
    "test_faults.py": "a gated server of two workers",
    "test_racing_promotions.py": "a gated server of two workers",
}


LONGEST = (
    "test_readme.py",
    "test_project.py",
    *SHARING,
    "test_starter_encoder.py",
    "test_parity.py",
    "test_app.py",
    "test_interruption.py",
    "test_no_way_around.py",
    "test_people_at_a_server.py",
    "test_doctor.py",
    "test_doors_over_rest.py",
    "test_actors_and_workspaces.py",
    "test_alarm_rates.py",
    "test_distributed.py",
    "test_monitored_run_at_a_server.py",
    "test_lightning.py",
    "test_huggingface.py",
)
"""Files that take about a minute or more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give every file to one process, so that what a module makes is made once; files that share servers likewise."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return SHARING.get(file.rpartition("/")[2], file)

    return ByFile(config, log)


def speech(samples: int, seed: int) -> np.ndarray:
    """Noise with a colour and a loudness of its own, so that utterances differ in their means."""
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.2, 0.95)
    noise = rng.normal(size=samples)
    for index in range(1, samples):
        noise[index] += colour * noise[index - 1]
    return 0.3 * rng.uniform(0.3, 1.0) * noise / np.abs(noise).max()


@pytest.fixture(scope="session")
def make_recordings() -> Callable[..., Path]:
    """Write `count` wavs of 0.15 to 0.25 s below a directory; some are equally long. Seeded by number."""

    def make(directory: Path, count: int = 12, lengths: Sequence[int] = (2400, 3200, 4000)) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            samples = speech(lengths[number % len(lengths)], seed=number)
            soundfile.write(directory / f"utterance_{number:02d}.wav", samples, RATE)
        return directory

    return make


@pytest.fixture(scope="session")
def recordings(make_recordings: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two dozen short wavs. Read it, change nothing in it."""
    return make_recordings(tmp_path_factory.mktemp("audio") / "recordings", count=24)


@pytest.fixture(scope="session")
def make_words() -> Callable[..., Path]:
    """Write short words by several speakers and a manifest of them; returns its path.

    Every word has a pitch and every speaker a loudness and a noise, so that even random weights tell words apart. Rows
    have `keyword`, `speaker` and `session`, of which each speaker has two. Seeded by speaker and number.
    """

    def make(
        directory: Path,
        *,
        speakers: Sequence[str] = ("ann", "bob", "cid", "dot", "eve", "fay"),
        words: Sequence[str] = ("go", "stop", "up"),
        each: int = 4,
        noise: float = 0.05,
    ) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        rows, times = [], np.arange(1600) / RATE
        for speaker in speakers:
            rng = np.random.default_rng(list(speaker.encode()))
            loudness = rng.uniform(0.3, 0.9)
            for word, pitch in zip(words, (400.0, 1200.0, 3000.0, 6000.0), strict=False):
                for number in range(each):
                    tone = np.sin(2 * np.pi * pitch * rng.uniform(0.97, 1.03) * times)
                    name = f"{speaker}_{word}_{number}.wav"
                    samples = 0.5 * loudness * (tone + noise * rng.normal(size=len(times)))
                    soundfile.write(directory / name, samples, RATE)
                    session = f"session {number % 2}"
                    rows.append({"path": name, "keyword": word, "speaker": speaker, "session": session})
        manifest = directory / "words.jsonl"
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return manifest

    return make


@pytest.fixture(scope="session")
def words(make_words: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of three words by six speakers, four of each. Read it, change nothing in its directory."""
    return make_words(tmp_path_factory.mktemp("labelled") / "words")


@pytest.fixture(scope="session")
def tiny_hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT of two blocks and 8 dimensions with random weights, in transformers' form."""
    from mlflow_rank.speech.torchaudio_backend import import_torchaudio

    import_torchaudio()  # before transformers, which imports it by itself
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    directory = tmp_path_factory.mktemp("tiny") / "hubert"
    with torch.random.fork_rng():
        torch.manual_seed(11)
        config = HubertConfig(
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8, 8),
            conv_stride=(10, 8),
            conv_kernel=(10, 8),
            num_feat_extract_layers=2,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
        )
        HubertModel(config).save_pretrained(directory)
    Wav2Vec2FeatureExtractor().save_pretrained(directory)
    return directory


def plain_environment(**more: str) -> dict[str, str]:
    """Return this environment without what MLflow reads from it; one thread; the modules for tests importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    kept |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(MODULES), "HF_HUB_OFFLINE": "1"}
    return kept | more


@pytest.fixture
def mlflow_rank(tmp_path: Path) -> Run:
    """Run the command line as its own process in `tmp_path`, with a cache of its own; return what it said."""

    def run(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return loaded_once.run(
            ["-m", "mlflow_rank", *map(str, arguments)],
            cwd=tmp_path,
            env=plain_environment(MLFLOW_RANK_CACHE=str(tmp_path / "cache"), **(environment or {})),
            timeout=300,  # s; sixty times what it takes on a quiet machine
        )

    return run

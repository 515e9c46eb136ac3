"""Lightning's Trainer, monitored."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from training_loops import Recorder, batches, differing, readings, recording, settings, watching, weights

import mlflow_rank
from tests.conftest import plain_environment

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:You're resuming from a checkpoint that ended before the epoch ended",
)


@pytest.fixture(scope="module")
def loops() -> Any:
    """Trainings of Lightning, which is imported by whoever runs these tests, not by whoever collects them."""
    return import_module("lightning_loops")


def test_a_monitor_hears_of_every_step_from_zero_with_its_loss(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    taught = loops.Taught(tiny_hubert)
    seen: list[float] = []
    step = taught.training_step

    def seeing(batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = step(batch, batch_idx)
        seen.append(loss.item())
        return loss

    taught.training_step = seeing
    loops.trainer(tmp_path, [loops.LightningHook(open_monitor)]).fit(taught, loops.data())
    (monitor,) = opened
    assert monitor.model is taught
    assert monitor.steps == [0, 1, 2, 3, 4, 5, 6]
    assert monitor.losses == dict(enumerate(seen, start=1))
    assert monitor.closed == 1


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
def test_steps_and_losses_are_the_optimisers_whatever_the_gradient_accumulation(
    loops: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    taught = loops.Taught(tiny_hubert).eval()  # nothing is drawn, and
    taught.configure_optimizers = lambda: torch.optim.SGD(taught.parameters(), lr=0.0)  # nothing is learnt
    hook = loops.LightningHook(open_monitor)
    loops.trainer(tmp_path, [hook], accumulate_grad_batches=3, max_steps=2).fit(taught, loops.data())
    with torch.no_grad():
        each = [taught.model(**batch)["loss"].item() for batch in batches(6)]
    assert opened[0].steps == [0, 1, 2]
    assert opened[0].losses == pytest.approx({1: sum(each[:3]) / 3, 2: sum(each[3:]) / 3}, rel=1e-5)


def test_steps_of_several_optimisers_count_together(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    loops.trainer(tmp_path, [loops.LightningHook(open_monitor)]).fit(loops.TwoOptimisers(tiny_hubert), loops.data())
    assert opened[0].steps == [0, 2, 4, 6]
    assert opened[0].losses == {}


def test_a_training_stops_at_the_step_at_which_its_monitor_asks_for_it(
    loops: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording(stop_at=3)
    training = loops.trainer(tmp_path, [loops.LightningHook(open_monitor)])
    training.fit(loops.Taught(tiny_hubert), loops.data())
    assert training.global_step == 3
    assert (opened[0].steps, opened[0].closed) == ([0, 1, 2, 3], 1)


def test_a_resumed_training_begins_at_the_step_of_its_checkpoint(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    hook = loops.LightningHook(open_monitor)
    every = loops.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1)
    loops.trainer(tmp_path, [hook, every], max_steps=4).fit(loops.Taught(tiny_hubert), loops.data())
    resumed = loops.trainer(tmp_path, [hook, every])
    resumed.fit(loops.Taught(tiny_hubert), loops.data(), ckpt_path=tmp_path / "step=2.ckpt")
    assert [monitor.steps for monitor in opened] == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]


def test_a_monitor_hears_where_each_checkpoint_lies_once_it_is_there(
    loops: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    every = loops.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1, save_last=True)
    loops.trainer(tmp_path, [loops.LightningHook(open_monitor), every]).fit(loops.Taught(tiny_hubert), loops.data())
    (monitor,) = opened
    assert monitor.checkpoints == [
        (tmp_path / name, step) for step in (2, 4, 6) for name in ("last.ckpt", f"step={step}.ckpt")
    ]
    told = monitor.told.index(("checkpoint", tmp_path / "step=2.ckpt", 2))
    assert ("step", 2) in [each[:2] for each in monitor.told[:told]]
    assert ("step", 3) not in [each[:2] for each in monitor.told[:told]]


def test_a_checkpoint_of_the_end_of_an_epoch_is_told_with_its_step(
    loops: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    best = loops.ModelCheckpoint(tmp_path, "{step}", monitor="validation", save_top_k=2)
    settings = {"max_steps": -1, "max_epochs": 2, "limit_train_batches": 3, "limit_val_batches": 1}
    loops.trainer(tmp_path, [loops.LightningHook(open_monitor), best], **settings).fit(
        loops.Validated(tiny_hubert), loops.data(), loops.data()
    )
    assert opened[0].checkpoints == [(tmp_path / "step=3.ckpt", 3), (tmp_path / "step=6.ckpt", 6)]


def test_validating_and_predicting_open_no_monitor(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    watching = loops.trainer(tmp_path, [loops.LightningHook(open_monitor)], limit_val_batches=1)
    watching.validate(loops.Validated(tiny_hubert), loops.data(), verbose=False)
    assert opened == []


def test_each_training_of_a_callback_has_a_monitor_of_its_own(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    hook = loops.LightningHook(open_monitor)
    for _ in range(2):
        loops.trainer(tmp_path, [hook], max_steps=2).fit(loops.Taught(tiny_hubert), loops.data())
    assert [(monitor.steps, monitor.closed) for monitor in opened] == [([0, 1, 2], 1), ([0, 1, 2], 1)]


@pytest.mark.parametrize("exception", [MemoryError, KeyboardInterrupt])
def test_a_training_that_an_exception_ends_has_its_monitor_closed(
    loops: Any, tiny_hubert: Path, tmp_path: Path, exception: type[BaseException]
) -> None:
    opened, open_monitor = recording()
    taught = loops.Taught(tiny_hubert)

    def failing(batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        raise exception

    taught.training_step = failing
    with pytest.raises((exception, SystemExit)):
        loops.trainer(tmp_path, [loops.LightningHook(open_monitor)]).fit(taught, loops.data())
    assert (opened[0].steps, opened[0].closed) == ([0], 1)


def test_a_monitor_that_raises_is_said_once_and_the_training_goes_on(
    loops: Any, tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, open_monitor = recording(fail_at=2)
    training = loops.trainer(tmp_path, [loops.LightningHook(open_monitor)])
    training.fit(loops.Taught(tiny_hubert), loops.data())
    assert training.global_step == 6
    assert (opened[0].steps[-1], opened[0].closed) == (2, 1)
    said = capsys.readouterr().err
    assert said.count("THE MONITOR IS OFF") == 1
    assert "it failed at step 2; training goes on without it. RuntimeError: the probe set has gone" in said


def test_weights_are_bitwise_the_same_with_a_monitor_and_without(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    with_it, without = loops.Taught(tiny_hubert), loops.Taught(tiny_hubert)
    callback = mlflow_rank.RankLightningCallback(**settings(tmp_path / "monitor"))
    loops.trainer(tmp_path, [callback]).fit(with_it, loops.data())
    loops.trainer(tmp_path, []).fit(without, loops.data())
    assert list(readings(tmp_path / "monitor")) == [0, 1, 2, 4, 6]
    assert differing(weights(with_it), weights(without)) == []
    assert differing(weights(with_it), weights(loops.Taught(tiny_hubert))) != []  # it did train


def test_a_resumed_training_goes_on_with_its_chart(loops: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    hook = loops.LightningHook(watching(tmp_path / "monitor"))
    every = loops.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    loops.trainer(tmp_path, [hook, every], max_steps=5).fit(loops.Taught(tiny_hubert), loops.data())
    before = readings(tmp_path / "monitor")
    loops.trainer(tmp_path, [hook, every]).fit(
        loops.Taught(tiny_hubert), loops.data(), ckpt_path=tmp_path / "step=3.ckpt"
    )
    after = readings(tmp_path / "monitor")
    assert (list(before), list(after)) == ([0, 1, 2, 4], [0, 1, 2, 4, 6])
    assert [after[step] for step in (0, 1, 2)] == [before[step] for step in (0, 1, 2)]


def test_the_run_of_a_trainings_mlflow_logger_is_found_in_its_module(
    loops: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    found: list[object] = []
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = loops.MLFlowLogger("runs", tracking_uri=uri, artifact_location=str(tmp_path / "artifacts"))

    def open_monitor(model: Any) -> Recorder:
        found.append(loops.mlflow_run_of(model))
        return Recorder()

    hook = loops.LightningHook(open_monitor)
    loops.trainer(tmp_path, [hook], max_steps=1, logger=logger, log_every_n_steps=1).fit(
        loops.Taught(tiny_hubert), loops.data()
    )
    loops.trainer(tmp_path, [hook], max_steps=1).fit(loops.Taught(tiny_hubert), loops.data())
    assert found == [(uri, logger.run_id), None]


HOME = """
import sys
{before}
from mlflow_rank.monitoring.lightning import LightningHook
print(LightningHook.__mro__[1].__module__)
"""


@pytest.fixture
def home_of_the_hook() -> Any:
    """Say in a fresh process, after `before`, which package the hook's base class comes from."""

    def ask(before: str) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, "-c", HOME.format(before=before)]
        return subprocess.run(script, capture_output=True, text=True, env=plain_environment(), timeout=300, check=False)

    return ask


def test_the_hook_is_a_callback_of_the_package_that_the_script_has_imported(home_of_the_hook: Any) -> None:
    said = home_of_the_hook(
        "import types\n"
        "sys.modules['pytorch_lightning'] = old = types.ModuleType('pytorch_lightning')\n"
        "old.Callback = type('Callback', (), {'__module__': 'pytorch_lightning'})"
    )
    assert said.stdout.strip() == "pytorch_lightning"


def test_without_lightning_the_hook_says_what_to_install(home_of_the_hook: Any) -> None:
    said = home_of_the_hook("sys.modules['lightning'] = sys.modules['pytorch_lightning'] = None")
    assert said.returncode != 0
    assert "MissingDependencyError: lightning is not installed" in said.stderr
    assert "pip install lightning" in said.stderr

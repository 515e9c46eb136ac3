"""The versions of a registered model as they come: the same looks as at a directory of checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mlflow_rank.monitoring.arrivals import PATIENCE, Checkpoint, PassedOver, Sight
from mlflow_rank.registry.runs.trained_versions import TRAINING_STEP, TrainedVersion, TrainedVersions


@dataclass(slots=True)
class VersionArrivals:
    """Looks at the versions of a model, again and again.

    `judged`, `last`, `every` and `patience` are as those of `Arrivals`. Where no version has a training step
    (`in_order`), its number stands for it.
    """

    versions: TrainedVersions
    judged: dict[str, int] = field(default_factory=dict)
    last: int | None = None
    every: int = 1
    patience: float = PATIENCE
    in_order: bool = False
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _there: dict[str, TrainedVersion] = field(default_factory=dict)
    _failed: dict[str, tuple[str, float]] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)

    def look(self) -> Sight:
        """Look once; raises as `TrainedVersions.listed`."""
        versions = self.versions.listed()
        before, self._there = self._there, {each.address: each for each in versions}
        if not self.judged:
            self.in_order = all(each.step is None for each in versions)
        passed = [self._gone(each) for name, each in before.items() if self._has_gone(name, each)]
        wanted = [each for each in versions if each.address not in self.judged and each.address not in self._over]
        ready: Checkpoint | None = None
        waiting: list[str] = []
        for each in sorted(wanted, key=lambda one: (self._step(one) or 0, one.number)):
            name, step = each.address, self._step(each)
            cause = self._out_of_question(each, step)
            if cause is not None:
                self._over.add(name)
                passed.append(PassedOver(name, step, cause))
            elif step is None or self._is_thinned(step):
                continue
            elif not each.ready or self._is_tried_later(name):
                waiting.append(name)
                break  # the later ones wait for it, as long as patience lasts
            else:
                ready = Checkpoint(name, name, step)
                break
        return Sight(ready, tuple(waiting), tuple(passed))

    def done(self, checkpoint: Checkpoint) -> None:
        """Tell that a version has its point."""
        self.judged[checkpoint.name] = checkpoint.step
        self.last = checkpoint.step

    def failed(self, checkpoint: Checkpoint, cause: str) -> None:
        """Tell that a version could not be loaded: it is offered again until patience is over."""
        self._failed[checkpoint.name] = (cause, self.clock() + self.patience / 10)

    def is_unchanged(self, checkpoint: Checkpoint) -> bool:
        """Whether nothing was changed while it was heard: a version's files are not to change."""
        return True

    def identity(self, name: str, files: object) -> str:
        """Return under which name a version is known as judged."""
        return name

    def run_of(self, address: str) -> str | None:
        """Return the run that made a version, None where none is known."""
        there = self._there.get(address)
        return None if there is None else there.run_id

    def _step(self, version: TrainedVersion) -> int | None:
        return version.number if self.in_order else version.step

    def _out_of_question(self, version: TrainedVersion, step: int | None) -> str | None:
        if step is None:
            return f"neither it nor its run has the tag {TRAINING_STEP}, as others have"
        if step in self.judged.values():
            return f"there is a point of step {step} already"
        if self.last is not None and step <= self.last:
            return f"step {self.last} was judged before it could be heard"
        if self.now() - version.created < self.patience:
            return None
        if not version.ready:
            return "it was never made ready"
        failed = self._failed.get(version.address)
        return None if failed is None else f"it cannot be loaded: {failed[0]}"

    def _is_thinned(self, step: int) -> bool:
        return self.last is not None and step < self.last + self.every

    def _is_tried_later(self, name: str) -> bool:
        return name in self._failed and self.clock() < self._failed[name][1]

    def _has_gone(self, name: str, version: TrainedVersion) -> bool:
        step = self._step(version)
        wanted = self.last is None or (step is not None and step > self.last)
        return name not in self._there and name not in self.judged and name not in self._over and wanted

    def _gone(self, version: TrainedVersion) -> PassedOver:
        return PassedOver(version.address, self._step(version), "it was deleted before it could be heard")

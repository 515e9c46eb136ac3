"""The versions of a registered model as they come: the same looks as at a directory of checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlflow_rank.monitoring.arrivals import PATIENCE, Checkpoint, PassedOver, Sight
from mlflow_rank.registry.runs.trained_versions import TRAINING_STEP, TrainedVersion, TrainedVersions


@dataclass(slots=True)
class VersionArrivals:
    """Looks at the versions of a model, again and again.

    `judged`, `last`, `every` and `patience` are as those of `Arrivals`. Where no version has a training step
    (`in_order`), its number stands for it. Tags are set after registering: a new version without a step is waited for
    until patience is over, before it is passed over and before numbers stand for steps.
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
    _first_seen: dict[str, float] = field(default_factory=dict)
    _failed: dict[str, tuple[str, float]] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)

    def look(self) -> Sight:
        """Look once; raises as `TrainedVersions.listed`."""
        versions = self.versions.listed()
        before, self._there = self._there, {each.address: each for each in versions}
        for name in self._there:
            self._first_seen.setdefault(name, self.clock())
        wanted = [each for each in versions if each.address not in self.judged and each.address not in self._over]
        untold = self._untold(versions, wanted)
        passed = [self._gone(each) for name, each in before.items() if self._has_gone(name, each)]
        ready: Checkpoint | None = None
        waiting = [each.address for each in untold[:1]]
        told = [each for each in wanted if each not in untold]
        for each in sorted(told, key=lambda one: (self._step(one) or 0, one.number)):
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

    def failed(self, checkpoint: Checkpoint, cause: str) -> bool:
        """Tell that a version could not be loaded; return whether it is offered again, as until patience is over."""
        self._failed[checkpoint.name] = (cause, self.clock() + self.patience / 10)
        there = self._there.get(checkpoint.name)
        return there is not None and self._is_new(there)

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
        if self._is_new(version):
            return None
        if not version.ready:
            return "it was never made ready"
        failed = self._failed.get(version.address)
        return None if failed is None else f"it cannot be loaded: {failed[0]}"

    def _is_new(self, version: TrainedVersion) -> bool:
        """Whether patience is not over: since it was made, or since we saw it where the server's clock is ahead."""
        seen = self._first_seen.get(version.address, self.clock())
        return self.now() - version.created < self.patience and self.clock() - seen < self.patience

    def _may_get_a_step(self, version: TrainedVersion) -> bool:
        return version.step is None and self._is_new(version)

    def _untold(self, versions: Sequence[TrainedVersion], wanted: Sequence[TrainedVersion]) -> Sequence[TrainedVersion]:
        """Return what waits for a version, the first of these, to get its step; settle what stands for steps."""
        if not self.judged:
            # not for ever, as new versions without a step may come all the time
            waited = self.clock() - min((self._first_seen[each.address] for each in wanted), default=0.0)
            without = all(each.step is None for each in versions)
            undecided = without and waited < self.patience and any(map(self._may_get_a_step, wanted))
            self.in_order = without and not undecided
            if undecided:
                return wanted
        first = min((each.number for each in wanted if not self.in_order and self._may_get_a_step(each)), default=None)
        return [each for each in wanted if first is not None and each.number >= first]

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

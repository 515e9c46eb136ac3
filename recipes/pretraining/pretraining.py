"""A pre-training run that can stop after any step and go on as if it had not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers import HubertModel

from recipes.pretraining.fault_injection import NONE, inject
from recipes.pretraining.plan import MIDDLE_LAYER, Plan, Stretch
from recipes.pretraining.self_distillation import SelfDistillation
from recipes.starter_encoder.cluster_prediction import ClusterPrediction, FrameClusters
from recipes.starter_encoder.model import MaskedPredictor, architecture
from recipes.starter_encoder.targets import cluster, layer_frames, mfcc
from recipes.starter_encoder.training import Iteration

State = Mapping[str, Any]


class Pretraining:
    """A plan being carried out on a stream of audio; `step` steps are behind it.

    Its weights depend on the plan, the stream and the number of CPU threads, and on nothing else. The global generator
    of torch is part of it (dropout draws from it): nothing else may draw from it meanwhile.
    """

    def __init__(self, plan: Plan, stream: np.ndarray) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.stream, self.step = plan, stream, 0
        self.encoder = HubertModel(architecture())
        self._clusters = np.zeros(0, np.int64)
        self._iteration: Iteration | None = None
        self._number = -1  # of the iteration
        self._faulty = False

    @property
    def is_over(self) -> bool:
        """Whether all steps are behind it."""
        return self.step >= self.plan.steps

    def advance(self) -> tuple[float, float]:
        """Take one step and return its loss and its score (see the objective)."""
        iteration = self._current()
        loss, score = iteration.advance()
        self.step += 1
        return loss, score

    def state(self) -> State:
        """Return all that the rest of the run depends on, for `torch.save`; not to be kept while it goes on."""
        own: dict[str, Any] = {
            "plan": self.plan.document(),
            "step": self.step,
            "number": self._number,
            "threads": torch.get_num_threads(),
            "encoder": self.encoder.state_dict(),
            "clusters": torch.from_numpy(self._clusters),
            "torch": torch.get_rng_state(),
        }
        if self._iteration is not None:
            own["iteration"] = _iteration_state(self._iteration)
        return own

    @classmethod
    def resumed(cls, plan: Plan, stream: np.ndarray, state: State) -> Pretraining:
        """Return the run of a state, to go on by `plan`.

        Raises:
            UsageError: the state is of a run that was planned otherwise.
        """
        plan.check_continues(state["plan"], state["step"])
        run = cls(plan, stream)
        run.encoder.load_state_dict(state["encoder"])
        run.step, run._clusters = state["step"], state["clusters"].numpy()
        if "iteration" in state:
            run._number = state["number"]
            run._iteration = run._new_iteration(plan.stretches[run._number], run._number)
            _restore(run._iteration, state["iteration"])
        torch.set_rng_state(state["torch"])
        return run

    def _current(self) -> Iteration:
        """Return the iteration of the next step, beginning it where it is new, with the fault in it where it is due."""
        stretches = self.plan.stretches
        number = next(number for number, stretch in enumerate(stretches) if self.step < stretch.end)
        if self._iteration is None or number != self._number:
            stretch = stretches[number]
            if self.plan.objective == "clusters":
                features = mfcc(self.stream) if number == 0 else layer_frames(self.encoder, self.stream, MIDDLE_LAYER)
                self._clusters = cluster(features, stretch.clusters, seed=self.plan.seed)
            self._iteration, self._number, self._faulty = self._new_iteration(stretch, number), number, False
        if self.plan.fault != NONE and self.step >= self.plan.onset and not self._faulty:
            inject(self.plan.fault, self._iteration, seed=self.plan.seed)
            self._faulty = True
        return self._iteration

    def _new_iteration(self, stretch: Stretch, number: int) -> Iteration:
        if self.plan.objective == "self_distillation":
            objective: Any = SelfDistillation(self.encoder)
        else:
            model = MaskedPredictor(self.encoder, stretch.clusters)
            objective = ClusterPrediction(model, FrameClusters(self._clusters))
        return Iteration(objective, self.stream, stretch.schedule, seed=self.plan.seed + number)


def _iteration_state(iteration: Iteration) -> State:
    objective, draws = iteration.objective, iteration.draws
    teacher = objective.teaching.teacher.state_dict() if isinstance(objective, SelfDistillation) else {}
    return {
        "done": iteration.done,
        "head": objective.model.head.state_dict(),
        "teacher": teacher,
        "optimizer": iteration.optimizer.state_dict(),
        "rng": json.dumps(draws.rng.bit_generator.state),
        "generator": draws.generator.get_state(),
    }


def _restore(iteration: Iteration, state: State) -> None:
    objective, draws = iteration.objective, iteration.draws
    iteration.done = state["done"]
    objective.model.head.load_state_dict(state["head"])
    if isinstance(objective, SelfDistillation):
        objective.teaching.teacher.load_state_dict(state["teacher"])
    iteration.optimizer.load_state_dict(state["optimizer"])
    draws.rng.bit_generator.state = json.loads(state["rng"])
    draws.generator.set_state(state["generator"])

"""Training as a federation with one client would do it, every update under the same defences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from textleak.core.bounds import Count
from textleak.core.randomness import derived, stream
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.defences import Defences, Memory
from textleak.training import train
from textleak.training.step import Loss


class Learner(Protocol):
    """A model with examples to learn from and others to be tested on."""

    @property
    def module(self) -> nn.Module:
        """The model."""

    @property
    def names(self) -> Sequence[str]:
        """The parameters that are trained."""

    @property
    def count(self) -> int:
        """How many examples there are to learn from."""

    def loss(self, rows: Sequence[int]) -> Tensor:
        """The mean training loss of these examples."""

    def accuracy(self) -> float:
        """The fraction of test examples that the model gets right as it stands."""


class LearningOptions(BaseModel):
    """How long and how fast.

    Attributes:
        steps: exchanges with the client.
        batch_size: examples an exchange, drawn without replacement.
        rate: the server's learning rate; after `fedavg` the weight delta is taken as it is.
        momentum: the server's.
        seed: seeds the batches and the defences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Count = 100
    batch_size: Count = 8
    rate: float = Field(default=0.02, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    seed: int = 0


def learn(learner: Learner, defences: Defences, options: LearningOptions) -> float:
    """Test accuracy after a training under `defences`; the model is put back as it was.

    Raises:
        ConfigError: a defence does not fit the model.
    """
    module = learner.module
    before = {name: value.detach().clone() for name, value in module.state_dict().items()}
    try:
        _train(learner, defences, options)
        return learner.accuracy()
    finally:
        module.load_state_dict(before)


def _train(learner: Learner, defences: Defences, options: LearningOptions) -> None:
    plan = defences.plan(learner.names)
    parameters = dict(learner.module.named_parameters())
    solver = torch.optim.SGD(
        [parameters[name] for name in plan.names], lr=options.rate, momentum=options.momentum
    )
    if plan.local is not None:  # the mean gradient times rate and steps is the weight delta
        solver = torch.optim.SGD(
            solver.param_groups[0]["params"], plan.local.rate * plan.local.steps
        )
    draws = stream(options.seed, "learning", "batches")
    memory: Memory = []
    for step in range(options.steps):
        rows = draws.permutation(learner.count)[: options.batch_size].tolist()
        seed = derived(options.seed, "learning", "exchange", step)
        gradients = train(
            learner.module,
            plan,
            _loss_of(learner, rows),
            count=len(rows),
            seed=seed,
        )
        update = SharedUpdate(gradients, UpdateMetadata())
        shared = defences.protect(update, seed=seed, memory=memory).gradients
        for name in plan.names:
            parameters[name].grad = shared[name].to(parameters[name])
        solver.step()
    solver.zero_grad()


def _loss_of(learner: Learner, rows: Sequence[int]) -> Loss:
    """The loss of an exchange's examples, by their places among its `rows`."""
    return lambda chosen: learner.loss([rows[i] for i in chosen])

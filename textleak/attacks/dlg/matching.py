"""The continuous stage: optimise dummy inputs and soft labels until their gradient matches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.attacks.dlg.dummy import Dummy
from textleak.attacks.dlg.facts import Facts
from textleak.attacks.dlg.items import SoftLabels
from textleak.attacks.dlg.options import DlgOptions
from textleak.gradients import Matcher, Recorder, value_and_slope
from textleak.models.text_model import TextModel
from textleak.optim import BatchedLBFGS, LBFGSOptions

_PAPER_INNER = 20  # DLG, section 4.1: L-BFGS with 20 inner iterations


@dataclass(frozen=True)
class Objective:
    """The distance of R dummy batches' gradients from the shared one, as a function of variables.

    Attributes:
        model: the public model.
        facts: the frame of the batch.
        dummy: the input's variables, the first `dummy.size` columns.
        labels: the labels' variables, the rest.
        matcher: compares gradients.
        at_once: how many dummy batches one pass takes at most; None is all.
    """

    model: TextModel
    facts: Facts
    dummy: Dummy
    labels: SoftLabels
    matcher: Matcher
    at_once: int | None = None

    def start(self, restarts: int) -> Tensor:
        """Random variables (R, D)."""
        parts = [self.dummy.start(restarts), self.labels.start(restarts)]
        return torch.cat(parts, 1).to(self.model.device)

    def __call__(self, variables: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (R,) and their gradients (R, D) at `variables` (R, D)."""
        return value_and_slope(self._distances, variables, self.at_once)

    def values(self, variables: Tensor) -> Tensor:
        """Distances (R,) alone at `variables` (R, D), which is cheaper."""
        parts = variables.detach().split(self.at_once or len(variables))  # type: ignore[no-untyped-call]
        return torch.cat([self._distances(part, differentiable=False) for part in parts])

    def _distances(self, variables: Tensor, *, differentiable: bool = True) -> Tensor:
        return self.matcher(
            lambda recorder: self._losses(variables, recorder),
            candidates=len(variables),
            batch=self.facts.sequences,
            differentiable=differentiable,
        )

    def _losses(self, variables: Tensor, recorder: Recorder) -> Tensor:
        inputs, labels = torch.split(variables, [self.dummy.size, self.labels.size], dim=1)
        mask = self.facts.attention_mask.repeat(len(variables), 1).to(self.model.device)
        types = self.model.token_types(self.facts.frame)  # (B, T)
        states = self.model.family.encode(
            inputs_embeds=self.dummy.embeddings(inputs, recorder),
            attention_mask=mask,
            token_types=None if types is None else types.repeat(len(variables), 1).to(mask.device),
        )
        return self.labels.loss(states, labels)


def at_once(model: TextModel, wanted: int | None) -> int | None:
    """How many candidates one pass takes: as many as wanted, and as the model's family allows."""
    most = model.family.at_once
    return wanted if most is None else min(most, wanted or most)


Iterate = tuple[Tensor, Tensor, int]  # variables (R, D), distances (R,), evaluations so far


def minimise(objective: Objective, start: Tensor, options: DlgOptions) -> Iterator[Iterate]:
    """Yield the start, then the variables after every iteration, until every restart rests."""
    runner: Callable[[Objective, Tensor, DlgOptions], Iterator[Iterate]]
    runner = _paper if options.optimizer == "paper" else _line_search
    return runner(objective, start, options)


def _line_search(objective: Objective, start: Tensor, options: DlgOptions) -> Iterator[Iterate]:
    solver = BatchedLBFGS(start, objective, LBFGSOptions(history=options.history))
    yield solver.points, solver.values, solver.evaluations * len(start)
    while not bool(solver.stalled.all()):
        solver.step()
        yield solver.points, solver.values, solver.evaluations * len(start)


def _paper(objective: Objective, start: Tensor, options: DlgOptions) -> Iterator[Iterate]:
    """L-BFGS as the paper's code runs it: learning rate 1, no line search, restarts coupled."""
    variables = start.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [variables],
        lr=1.0,
        max_iter=_PAPER_INNER,
        history_size=options.history,
        tolerance_grad=0,
        tolerance_change=0,
    )
    values, _ = objective(start)
    evaluations = len(start)
    yield start, values, evaluations

    def closure() -> Tensor:
        nonlocal values, evaluations
        values, variables.grad = objective(variables)
        evaluations += len(start)
        return values.sum()

    while bool(torch.isfinite(variables).all()):
        solver.step(closure)  # type: ignore[no-untyped-call]
        yield variables.detach().clone(), values, evaluations

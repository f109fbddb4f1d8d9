"""What one evaluation of a gradient distance costs: engine beside oracle, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from textleak.bench.floor import Rates, floor_seconds, measure_rates
from textleak.bench.memory import peak_bytes
from textleak.gradients import (
    Distance,
    EngineMatcher,
    Forward,
    Matcher,
    OracleMatcher,
    Recorder,
    parameter_gradients,
)
from textleak.models import TextModel


@dataclass(frozen=True)
class Problem:
    """Something to match: a model, a shared gradient and a dummy batch. Any modality will do.

    Attributes:
        module: the public model.
        shared: the shared gradients.
        dummy: makes a dummy for R candidates, a leaf.
        forward: the closure for a dummy and R.
        batch: B, the sequences of one candidate.
    """

    module: nn.Module
    shared: Mapping[str, Tensor]
    dummy: Callable[[int], Tensor]
    forward: Callable[[Tensor, int], Forward]
    batch: int = 1


@dataclass(frozen=True)
class Measurement:
    """The cost of one value and its gradient; seconds are per candidate, medians over rounds.

    Attributes:
        restarts: R, evaluated at once by the engine; the oracle takes them one by one.
        seconds_oracle: of double backward.
        seconds_engine: of the engine.
        seconds_prepare: what the engine does once for a shared gradient.
        peak_bytes_oracle: tensor memory that one evaluation takes beyond what was there before.
        peak_bytes_engine: the same for the engine, all its candidates together.
        floor_seconds: the layer-sized products and bytes that the engine cannot do without.
        floor_seconds_dense: the same where the shared gradient has no thin form (six products).
        rates: the processor's measured rates behind the floors.
    """

    restarts: int
    seconds_oracle: float
    seconds_engine: float
    seconds_prepare: float
    peak_bytes_oracle: int
    peak_bytes_engine: int
    floor_seconds: float
    floor_seconds_dense: float
    rates: Rates

    @property
    def ratio(self) -> float:
        """How many times quicker the engine is per candidate."""
        return self.seconds_oracle / self.seconds_engine


def measure(
    problem: Problem, distance: Distance, candidates: Sequence[int], rounds: int = 5
) -> list[Measurement]:
    """Measure both sides at each number of candidates, alternating in every round.

    The oracle evaluates one candidate at a time: one graph over all of them would cost it more.
    """
    began = time.perf_counter()
    engine = EngineMatcher(problem.module, problem.shared, distance)
    evaluate(engine, problem, problem.dummy(1), 1)
    prepare = time.perf_counter() - began
    oracle = OracleMatcher(problem.module, problem.shared, distance)
    sides: list[tuple[Matcher, int]] = [(oracle, 1), *((engine, count) for count in candidates)]
    dummies = [problem.dummy(count) for _, count in sides]
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):  # the first round warms up
        for (matcher, count), dummy, kept in zip(sides, dummies, seconds, strict=True):
            elapsed = evaluate(matcher, problem, dummy, count) / count
            if turn:
                kept.append(elapsed)
    peaks = [
        peak_bytes(partial(evaluate, matcher, problem, dummy, count), dummy.device)
        for (matcher, count), dummy in zip(sides, dummies, strict=True)
    ]
    rates = measure_rates(dummies[0].device, dummies[0].dtype)
    return [
        Measurement(
            restarts=count,
            seconds_oracle=median(seconds[0]),
            seconds_engine=median(seconds[index]),
            seconds_prepare=prepare,
            peak_bytes_oracle=peaks[0],
            peak_bytes_engine=peaks[index],
            floor_seconds=_floor(problem, dummies[index], count, rates, thin=True),
            floor_seconds_dense=_floor(problem, dummies[index], count, rates, thin=False),
            rates=rates,
        )
        for index, (_, count) in enumerate(sides)
        if index
    ]


def evaluate(matcher: Matcher, problem: Problem, dummy: Tensor, candidates: int) -> float:
    """Seconds for the distances of all candidates and their gradient."""
    _synchronize(dummy.device)
    began = time.perf_counter()
    forward = problem.forward(dummy, candidates)
    distances = matcher(forward, candidates=candidates, batch=problem.batch)
    torch.autograd.grad(distances.sum(), dummy)
    _synchronize(dummy.device)
    return time.perf_counter() - began


def masked_words(model: TextModel, tokens: int, batch: int = 1, seed: int = 0) -> Problem:
    """A masked-language-model client: 15 % of the positions bear loss, and the attacker knows them.

    Args:
        model: the language model.
        tokens: T.
        batch: B.
        seed: draws the words, the masked positions and the dummies.
    """
    words = model.word_table
    source = torch.Generator().manual_seed(seed)
    masked = max(1, round(0.15 * tokens))
    places = torch.stack(
        [torch.randperm(tokens, generator=source)[:masked].sort().values for _ in range(batch)]
    ).to(words.device)
    labels = torch.randint(len(words), (batch, masked), generator=source).to(words.device)
    secret = torch.randint(len(words), (batch, tokens), generator=source).to(words.device)
    width, scale = words.shape[1], float(words.detach().std())

    def forward(dummy: Tensor, candidates: int) -> Forward:
        def losses(_: Recorder) -> Tensor:
            states = model.family.encode(inputs_embeds=dummy)
            rows = places.repeat(candidates, 1).unsqueeze(2).expand(-1, -1, states.shape[2])
            masked_states = states.gather(1, rows).flatten(0, 1)
            logits = model.family.word_logits(masked_states)
            targets = labels.repeat(candidates, 1).flatten()
            each = nn.functional.cross_entropy(logits, targets, reduction="none")
            return each.view(candidates, -1).mean(1)

        return losses

    def dummy(candidates: int) -> Tensor:
        drawn = torch.randn(candidates * batch, tokens, width, generator=source) * scale
        return drawn.to(words).detach().requires_grad_()

    client = forward(words.detach()[secret], 1)
    shared = parameter_gradients(model.module, lambda: client(NoLookups()).sum())
    return Problem(model.module, shared, dummy, forward, batch)


class NoLookups:
    """The recorder of a forward pass outside any matcher, for closures that look nothing up."""

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """See `Recorder.lookup`."""
        raise NotImplementedError("this benchmark looks up no words")


def _floor(problem: Problem, dummy: Tensor, candidates: int, rates: Rates, thin: bool) -> float:
    forward = partial(problem.forward(dummy, candidates), NoLookups())
    return floor_seconds(problem.module, forward, rates, thin) / candidates


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""From an update to the sequences of a causal model's batch: words, prefixes, targets, sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.prefix.outcome import OutcomeOptions, Targets, targets_of
from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path, Sight, Tree, TreeOptions, grow
from textleak.attacks.prefix.words import WordOptions, Words
from textleak.core.bounds import Count
from textleak.core.errors import UpdateError
from textleak.evidence.spans import row_span
from textleak.models.decoder_parts import DecoderParts, Probe
from textleak.models.families.decoder import Decoder


class PrefixOptions(BaseModel):
    """How a causal batch is read.

    Attributes:
        most: a batch of more sequences is none: targets whose states are alike share their loss in
            no whole numbers.
        words: which words count as found.
        tree: which prefixes do.
        outcome: which targets do.
        probes: how many probes judge a prefix where the update is noisy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: WordOptions = Field(default_factory=WordOptions)
    tree: TreeOptions = Field(default_factory=TreeOptions)
    outcome: OutcomeOptions = Field(default_factory=OutcomeOptions)
    probes: Count = 12
    most: Count = 4096


@dataclass(frozen=True)
class Solved:
    """What an update gives of a causal batch.

    Attributes:
        tree: the prefixes.
        targets: what they were trained to predict; None where no shared gradient tells.
        stages: what each step gave, in words.
    """

    tree: Tree
    targets: Targets | None
    stages: list[str] = field(default_factory=list)


def solve(
    family: Decoder,
    shared: Mapping[str, Tensor],
    longest: int,
    options: PrefixOptions,
    on_level: Callable[[Mapping[Path, float]], None] = lambda nodes: None,
) -> Solved:
    """Words, then the prefixes they form, then what each was trained to predict.

    Args:
        family: handles on the public model.
        shared: the update's gradients.
        longest: no sequence has more words.
        options: what counts as found.
        on_level: told the prefixes so far, position by position.

    Raises:
        UpdateError: no shared gradient shows words, or none shows prefixes.
    """
    states = PrefixStates(family.module)
    sights = _sights(family.parts, shared, options.probes)
    rank = min(sight.span.rank for sight in sights)
    words = Words(family, states, shared, options.words, rank)
    tree = grow(states, sights, words.at, longest, options.tree, on_level)
    stages = [f"{words.found} words", f"{len(tree.nodes)} prefixes"]
    if tree.stopped:
        return Solved(tree, None, [*stages, "stopped by the budget"])
    if not tree.complete:
        stages.append("more prefixes than the width can hold: cut off")
    nodes = sorted(tree.nodes)
    targets = targets_of(family.module, family.parts, shared, nodes, options.outcome)
    if targets is None:
        stages.append("what was predicted is not shared")
    return Solved(tree, targets, stages)


def _sights(parts: DecoderParts, shared: Mapping[str, Tensor], most: int) -> list[Sight]:
    """The probes that judge prefixes: the first that is exact, or several of a noisy update."""
    sights: list[Sight] = []
    for probe in parts.prefixes:
        gradients = probe.gradients(shared)
        if not gradients or not _square(probe, gradients):
            continue
        span = row_span(gradients)
        if not span.rank or not len(span.complement):
            continue
        sights.append(Sight(probe, span))
        if not span.noisy or len(sights) == most:
            break
    if not sights:
        raise UpdateError(
            "no shared gradient tells prefixes apart: the batch fills the width of all, or none of a "
            "block's projections is shared"
        )
    return sights if sights[0].span.noisy else sights[-1:]


def _square(probe: Probe, gradients: list[Tensor]) -> bool:
    """Whether the gradients have as many rows as their inputs are wide, so that none is hidden."""
    return sum(map(len, gradients)) >= gradients[0].shape[1]


@dataclass(frozen=True)
class Sequence:
    """One recovered sequence.

    Attributes:
        ids: its tokens, the last one included, which is only a label.
        bears: for each token, whether it was predicted.
        count: how often it is in the batch.
    """

    ids: Path
    bears: tuple[bool, ...]
    count: int


def next_token_sequences(solved: Solved) -> list[Sequence]:
    """The sequences of a next-token batch.

    A prefix that was trained c times to predict w, and goes on c' times behind w, ends c - c' times
    with w as its last token. Words that bear no loss, such as a prompt's, are passed on the way.
    """
    if solved.targets is None:
        return [
            Sequence(leaf, (False, *[True] * (len(leaf) - 1)), 1) for leaf in solved.tree.leaves()
        ]
    targets = solved.targets
    weights, unit = targets.weights, _unit(targets)
    flows = _flows(solved.tree, weights)
    found = []
    for node, own in sorted(weights.items()):
        for word, amount in own.items():
            path = (*node, word)
            ending = amount - flows.get(path, 0.0)
            count = round(ending / unit)
            if count > 0 and ending > targets.doubt.get(node, 0.0):
                bears = (False, *(path[:n] in weights for n in range(1, len(path))))
                found.append(Sequence(path, bears, count))
    return found


def _flows(tree: Tree, weights: Mapping[Path, Mapping[int, float]]) -> dict[Path, float]:
    """The loss that each prefix bears or, where it bears none, those that continue it."""
    flows: dict[Path, float] = {}
    behind: dict[Path, float] = defaultdict(float)
    for node in sorted(tree.nodes, key=len, reverse=True):
        own = sum(weights[node].values()) if node in weights else behind[node]
        flows[node] = own
        behind[node[:-1]] += own
    return flows


def class_sequences(solved: Solved) -> list[tuple[Path, int, int]]:
    """The sequences of a classification batch: tokens, class, and how often."""
    if solved.targets is None:
        return [(leaf, 0, 1) for leaf in solved.tree.leaves()]
    weights, unit = solved.targets.weights, _unit(solved.targets)
    return [
        (node, label, round(amount / unit))
        for node, own in sorted(weights.items())
        for label, amount in own.items()
        if round(amount / unit) > 0
    ]


def _unit(targets: Targets) -> float:
    """The share of the loss of one target: the smallest amount, but for what is only rounding or noise."""
    amounts = [
        amount
        for node, own in targets.weights.items()
        for amount in own.values()
        if amount > targets.doubt.get(node, 0.0)
    ]
    if not amounts:
        return 1.0
    values = torch.tensor(amounts).sort().values
    half = int((values.cumsum(0) < 0.5 * values.sum()).sum())  # half of the loss is in larger ones
    least = float(values[values > 0.05 * float(values[half])][0])
    values = values[values >= least]
    counts = (values / least).round()
    return float((values * counts).sum() / counts.square().sum())

"""From variables to a batch: the nearest words, the labels, and how sure they are."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.attacks.matching.facts import free_places
from textleak.attacks.matching.nearest import Nearest
from textleak.attacks.matching.objective import Objective
from textleak.core.batch import TokenBatch
from textleak.core.reconstruction import Candidate

KEPT = 8  # nearest words kept in the result


def decode(
    objective: Objective, variables: Tensor, value: float, nearest: int = KEPT
) -> tuple[Candidate, Nearest]:
    """One batch's variables (D,) as words and labels, with so many nearest words of each place."""
    facts = objective.facts
    inputs, labels = torch.split(variables, [objective.dummy.size, objective.labels.size])
    found = objective.dummy.nearest(inputs, max(KEPT, nearest))
    ids = facts.frame.clone()
    ids[facts.free] = found.ids[:, 0]
    batch = objective.model.task.relabelled(
        TokenBatch(ids, facts.attention_mask, objective.labels.decide(labels))
    )
    return with_neighbours(batch, value, found, facts.free), found


def with_neighbours(
    batch: TokenBatch, objective: float, nearest: Nearest, free: Tensor
) -> Candidate:
    """`batch` with what the dummy says of each free place's neighbours."""
    words = batch.input_ids[free]  # (N,)
    chosen = nearest.ids == words[:, None]  # (N, k)
    weights = nearest.weights()
    sure = torch.ones_like(free, dtype=weights.dtype)
    sure[free] = (weights * chosen).sum(1)
    pairs: list[list[list[tuple[int, float]]]] = [[[] for _ in range(n)] for n in batch.lengths]
    for (row, place), ids, distances in zip(
        free_places(free), nearest.ids.tolist(), nearest.distances.tolist(), strict=True
    ):
        pairs[row][place] = list(zip(ids[:KEPT], distances[:KEPT], strict=True))
    confidence = [row[:n].tolist() for row, n in zip(sure, batch.lengths, strict=True)]
    return Candidate(batch, confidence, objective, pairs)

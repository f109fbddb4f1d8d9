"""Take the gradient of sentences already found off the update: what is left belongs to the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textleak.core.batch import padded
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.evidence.first_layer import FirstLayer
from textleak.gradients import parameter_gradients
from textleak.models.text_model import TextModel

FITS = 1e-3  # least squares on exact rows leave 1e-6
_ROUNDING = 1e-4  # a row that shrank by this much is used up: fp32 sums leave 1e-6


@dataclass(frozen=True)
class LogitGradients:
    """The loss's gradient at the logits of distinct sentences.

    Attributes:
        values: (S, C), summed over the repeats of a sentence.
        error: the part of the fitted rows that is left unexplained, relative.
    """

    values: Tensor
    error: float


def fit_logit_gradients(
    model: TextModel,
    layer: FirstLayer,
    sentences: list[tuple[int, ...]],
    pairs: list[tuple[int, int]],
    deltas: Tensor,
) -> LogitGradients:
    """Logit gradients of found sentences from the input gradients of settled pairs.

    The gradient at a pair is the sum over its sentences of their input gradients, which are linear in
    the logit gradients. Pairs that also stand in a sentence not found yet do not fit and are
    dropped, worst first.

    Args:
        model: the public classifier.
        layer: its first layer.
        sentences: the sentences found.
        pairs: (word id, place) of the settled pairs.
        deltas: (n, H) their gradients.
    """
    slopes = _input_slopes(model, sentences)  # (C - 1, S, T, H)
    classes, count = slopes.shape[0] + 1, len(sentences)
    rows, targets = [], []
    standing = [layer.standing(torch.tensor(ids)) for ids in sentences]
    for (word, row), delta in zip(pairs, deltas, strict=True):
        place = row % layer.count
        owners = [
            s
            for s, ids in enumerate(sentences)
            if place < len(ids)
            and ids[place] == word
            and not (layer.typed and int(standing[s][place]) != row)
        ]
        if owners:
            block = torch.zeros(delta.shape[0], count, classes - 1).double()
            for s in owners:
                block[:, s] = slopes[:, s, place].T.double()
            rows.append(block.flatten(1))
            targets.append(delta)
    if not rows:
        return LogitGradients(torch.zeros(count, classes).double(), float("inf"))
    free, error = _trimmed(torch.stack(rows), torch.stack(targets))
    values = torch.zeros(count, classes).double()
    values[:, :-1] = free.view(count, classes - 1)
    values[:, -1] = -values[:, :-1].sum(1)
    return LogitGradients(values, error)


def _trimmed(rows: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """Least squares over blocks (n, H, U) against (n, H), blocks that do not fit left out."""
    scale = targets.norm(dim=1).clamp_min(1e-300)
    rows, targets = rows / scale[:, None, None], targets / scale[:, None]
    kept = torch.ones(len(rows), dtype=torch.bool)
    while True:
        system, wanted = rows[kept].flatten(0, 1), targets[kept].flatten()
        solution = torch.linalg.lstsq(system, wanted[:, None], driver="gelsd").solution[:, 0]
        misfit = (rows @ solution - targets).norm(dim=1)
        worst = float(misfit[kept].max())
        if worst < FITS or int(kept.sum()) <= max(1, len(rows) // 3):
            return solution, worst
        kept &= misfit < max(worst * 0.5, FITS)


def _input_slopes(model: TextModel, sentences: list[tuple[int, ...]]) -> Tensor:
    """Input gradients of each logit less the last; (C - 1, S, T, H)."""
    ids, mask = padded(sentences, int(model.tokenizer.pad_token_id))
    sums: list[Tensor] = []
    norm = model.family.embeddings.norm
    if norm is None:
        raise UpdateError("gradients at the sum of embeddings need a norm behind it: there is none")

    def keep(_: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        sums.append(inputs[0].detach().requires_grad_())
        return (sums[0],)

    handle = norm.layer.register_forward_pre_hook(keep)
    try:
        with torch.enable_grad():
            states = model.states(ids, mask)
            logits = model.family.class_logits(states, mask)
    finally:
        handle.remove()
    slopes = [
        torch.autograd.grad((logits[:, c] - logits[:, -1]).sum(), sums[0], retain_graph=True)[0]
        for c in range(logits.shape[1] - 1)
    ]
    return torch.stack(slopes)


def deflated(
    model: TextModel,
    update: SharedUpdate,
    sentences: list[tuple[int, ...]],
    gradients: LogitGradients,
) -> SharedUpdate:
    """The update less the gradient of `sentences`; rows of tables that are used up are zero."""
    ids, mask = padded(sentences, int(model.tokenizer.pad_token_id))
    weights = gradients.values.float()

    def linear() -> Tensor:
        states = model.states(ids, mask)
        return (model.family.class_logits(states, mask) * weights).sum()

    own = parameter_gradients(model.module, linear, list(update.gradients))
    left = {name: g - own[name] for name, g in update.gradients.items()}
    embeddings = model.family.embeddings
    for table in (embeddings.words, embeddings.positions):
        if table is not None and table.name in left:
            name = table.name
            used = left[name].norm(dim=1) < _ROUNDING * update.gradients[name].norm(dim=1)
            left[name][used] = 0
    return replace(update, gradients=left)

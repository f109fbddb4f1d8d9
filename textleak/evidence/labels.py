"""Class labels, repeats of a sentence and the batch size, from the classifier's gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.update import SharedUpdate
from textleak.evidence.factor import oddness
from textleak.models.inputs import inputs_of
from textleak.models.text_model import TextModel

_WHOLE = 0.05  # how far from whole numbers counts may lie
_CLEAR = 1e-3  # the same of a fitted factor: single precision leaves 1e-5


@dataclass(frozen=True)
class ClassCounts:
    """How often each distinct sentence stands in the batch with each class.

    Attributes:
        counts: (S, C) whole numbers.
        batch_size: their sum.
        error: the largest distance of an estimate from its whole number.
    """

    counts: Tensor
    batch_size: int
    error: float


def logit_gradients(weight: Tensor, bias: Tensor | None, pooled: Tensor) -> Tensor:
    """The loss's gradient at each distinct sentence's logits, summed over its repeats; (S, C).

    The classifier's weight gradient is sum_s g_s pooled_s^T and its bias gradient sum_s g_s: linear
    equations for g.

    Args:
        weight: (C, H) gradient of the classifier's weight.
        bias: (C,) gradient of its bias, if shared.
        pooled: (S, H) the classifier's inputs.
    """
    features, targets = pooled.double(), weight.double()
    if bias is not None:
        one = torch.ones(len(features), 1).double() * features.norm(dim=1).mean()
        features = torch.cat([features, one], 1)
        targets = torch.cat([targets, bias.double()[:, None] * one[0]], 1)
    solution: Tensor = torch.linalg.lstsq(features.T, targets.T, driver="gelsd").solution
    return solution


def evident_labels(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> TokenBatch:
    """The batch with the labels that the gradient of the head's last layer shows for its words.

    Of tasks that do not hide where loss is borne; the batch as it is where that gradient is not shared, or
    under a loss whose slopes show no labels.
    """
    output = model.family.head.output
    weight = output.of(update.gradients)
    if weight is None or not model.task.readable:
        return batch
    on_device = batch.to(model.device)
    with torch.no_grad(), inputs_of(output.layer) as features:
        logits, _ = model.task.outputs(
            model, model.encode(on_device), on_device.attention_mask, on_device.labels
        )
    bias = output.bias_of(update.gradients)
    slopes = logit_gradients(weight, bias, features[0].flatten(0, -2).cpu())
    targets = model.task.read(logits.cpu(), slopes)
    if not batch.by_token:
        return TokenBatch(batch.input_ids, batch.attention_mask, targets)
    labels = batch.labels.clone()
    labels[labels != IGNORED] = targets
    return TokenBatch(batch.input_ids, batch.attention_mask, labels)


def class_counts(
    gradients: Tensor, probabilities: Tensor, batch_size: int | None, most: int = 8
) -> ClassCounts:
    """Repeats and classes of distinct sentences from their logit gradients.

    With mean cross-entropy over B sequences, B g_s = n_s p_s - m_s for a sentence that occurs n_s
    times, m_sc of them with class c. The counts are the smallest for which n_s p_s - B g_s is whole;
    an unknown B is the least for which these repeats sum to B. Where none fits, the gradients may
    carry a factor; where none fits either, each stands once.

    Args:
        gradients: (S, C) from `logit_gradients`.
        probabilities: (S, C) the public model's class probabilities.
        batch_size: B where it is granted.
        most: the most repeats of one sentence to try.
    """
    sizes = [batch_size] if batch_size else range(len(gradients), most * len(gradients) + 1)
    found: list[ClassCounts] = []
    for size in sizes:
        counts, errors = _fit(gradients.double() * size, probabilities.double(), most)
        found.append(ClassCounts(counts, int(counts.sum()), float(errors.max())))
        if found[-1].batch_size == size and found[-1].error < _WHOLE:
            break
    plain = found[-1] if found[-1].batch_size == size and found[-1].error < _WHOLE else None
    if plain is not None and plain.error < _CLEAR:
        return plain
    scaled = _at_a_factor(gradients.double(), probabilities.double(), batch_size, most)
    if scaled is not None or plain is not None:
        return scaled or plain  # type: ignore[return-value]
    if batch_size not in (None, len(gradients)):
        return found[0]
    # Nothing fits, as under noise: every sentence once is the plainest reading, and then only its
    # class's entry is negative.
    once = torch.nn.functional.one_hot(gradients.argmin(1), gradients.shape[1])
    return ClassCounts(once.to(found[0].counts), len(gradients), found[0].error)


def _at_a_factor(
    gradients: Tensor, probabilities: Tensor, batch_size: int | None, most: int
) -> ClassCounts | None:
    """The counts for which the gradients are c (n p - m) / B with one factor c for all sentences.

    The largest gradient gives a factor for each class that its sentence may have. Of two classes and
    one sentence every class fits with a factor of its own: the plainest one is taken.
    """
    first = int(gradients.norm(dim=1).argmax())
    alone = probabilities[first] - torch.eye(gradients.shape[1]).double()  # (C, C) p - e_c
    fits: list[tuple[float, float, ClassCounts]] = []
    for slope in alone:
        factor = float(gradients[first] @ slope / slope.square().sum())
        if factor == 0:
            continue
        counts, errors = _fit(gradients / factor, probabilities, most)
        size, error = int(counts.sum()), float(errors.max())
        if error < _CLEAR and batch_size in (None, size):
            odd = oddness(float(f"{factor * size:.6g}"))
            fits.append((odd, error, ClassCounts(counts, size, error)))
    return min(fits, key=lambda fit: fit[:2])[2] if fits else None


def _fit(scaled: Tensor, probabilities: Tensor, most: int) -> tuple[Tensor, Tensor]:
    repeats = torch.arange(1, most + 1).double()
    estimates = repeats[:, None, None] * probabilities - scaled  # (n, S, C)
    whole = estimates.round().clamp_min(0)
    errors = (estimates - whole).abs().amax(2)  # (n, S)
    errors = errors + (whole.sum(2) != repeats[:, None]) * 1.0
    # Many repeats fit anything by luck: more of them must fit better by as much.
    best = (errors * repeats[:, None] + 0.01 * (repeats[:, None] - 1)).argmin(0)
    rows = torch.arange(scaled.shape[0])
    return whole[best, rows], errors[best, rows]

"""The verdict on a recovered batch of sequences."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate
from textleak.core.verdict import PartVerdict, Verdict, alike, joined
from textleak.evidence.factor import oddness
from textleak.models.text_model import TextModel
from textleak.verdict.contrast import Contrast, own_parts
from textleak.verdict.examiner import Examiner
from textleak.verdict.neighbours import Neighbour, Neighbourhood
from textleak.verdict.options import VerdictOptions
from textleak.verdict.recompute import verify
from textleak.verdict.rounding import Rounding

ZERO = "the update is zero: it tells nothing"
NOTHING = "nothing was recovered"
FEW = "the update holds fewer numbers than the words need"
OTHER_CLASS = "another class explains the update as well, with a plainer factor"
NO_TRACE = "it leaves no trace in the update"


def judge(
    model: TextModel,
    update: SharedUpdate,
    batch: TokenBatch,
    examiner: Examiner | None = None,
) -> Verdict:
    """What `update` says of a recovered `batch`.

    Args:
        model: the public model, in evaluation mode.
        update: the shared update.
        batch: what was recovered.
        examiner: one that has looked at this model before, with its thresholds.
    """
    examiner = examiner or Examiner(model)
    chosen = examiner.options
    count = len(batch.input_ids)
    found = examiner.explanation(update, batch)
    error, scale = found.check.error, found.check.scale
    if not any(bool(g.any()) for g in update.gradients.values()):
        word = "consistent" if error == 0 else "unexplained"
        return alike(word, count, error, ZERO, scale=scale)  # type: ignore[arg-type]
    special = torch.tensor(sorted(set(model.tokenizer.all_special_ids)))
    words = torch.tensor([word for row in model.task.filled(batch) for word in row])
    if not len(words) or bool(torch.isin(words, special).all()):
        return alike("unexplained", count, error, NOTHING, scale=scale)
    if not found.holds(chosen) or found.units is None:
        near = found.distance if math.isfinite(found.distance) else None
        return alike("unexplained", count, error, "", scale=scale, distance=near)
    if _bits(update, batch, found.units) < _wanted(model, batch):
        return alike("consistent", count, error, FEW, scale=scale, distance=found.distance)
    own = own_parts(model, update, batch, found.gradients, found.units, chosen)
    pad = int(model.tokenizer.pad_token_id)
    contrast = Contrast(own, pad)
    assert own.parts.words is not None
    around = Neighbourhood(model, batch, own.parts.words)
    parts = _Trial(contrast, around, chosen).parts(count)
    if _other_class_plainer(model, update, batch, scale):
        parts = [PartVerdict("consistent", reason=OTHER_CLASS)]
    return joined(parts, error, scale, found.distance)


class _Trial:
    """Tries every sequence's neighbours, the quick bound for all of them at once."""

    def __init__(
        self,
        contrast: Contrast,
        around: Neighbourhood,
        options: VerdictOptions,
    ) -> None:
        self._contrast, self._around, self._options = contrast, around, options

    def parts(self, count: int) -> list[PartVerdict]:
        """The verdict on each sequence."""
        options = self._options
        traces = self._contrast.traces()
        words = [self._around.words(row) for row in range(count)]
        first = [
            one
            for row in range(count)
            for one in (*words[row][: options.tried], *self._around.others(row))
        ]
        open_ones: list[list[tuple[float, Neighbour]]] = [[] for _ in range(count)]
        for one, bound in zip(first, self._contrast.bounds(first), strict=True):
            if not bound >= options.apart:
                open_ones[one.row].append((bound, one))
        twins: list[list[int]] = [[] for _ in range(count)]
        for i, j, bound in self._contrast.twins():
            if not bound >= options.apart:
                twins[i].append(j)
        return [
            self._part(row, traces[row], open_ones[row], words[row][options.tried :])
            for row in range(count)
        ]

    def _part(
        self,
        row: int,
        trace: float,
        left: list[tuple[float, Neighbour]],
        words: list[Neighbour],
    ) -> PartVerdict:
        options = self._options
        failing = self._failing(left)
        if any(one.what == "another word" for one in failing):
            for start in range(0, len(words), options.more):
                group = words[start : start + options.more]
                bounds = self._contrast.bounds(group)
                more = [
                    (bound, one)
                    for bound, one in zip(bounds, group, strict=True)
                    if not bound >= options.apart
                ]
                worse = self._failing(more)
                failing += worse
                if not worse:
                    break
        if not failing:
            return PartVerdict("proven")
        places = tuple(sorted({place for one in failing for place in one.places}))
        kinds = ", ".join(dict.fromkeys(one.what for one in failing))
        if not trace >= options.apart and len(failing) > 1:
            return PartVerdict("consistent", places, NO_TRACE)
        where = f" at place {', '.join(map(str, places))}" if places else ""
        return PartVerdict("consistent", places, f"{kinds}{where} explains the update as well")

    def _failing(self, left: list[tuple[float, Neighbour]]) -> list[Neighbour]:
        """Those of the open neighbours that explain the update, by recomputing the nearest."""
        nearest = sorted(left, key=lambda pair: pair[0])[: self._options.exact]
        return [one for _, one in nearest if not self._contrast.exactly(one) >= self._options.apart]


def _other_class_plainer(
    model: TextModel, update: SharedUpdate, batch: TokenBatch, scale: float
) -> bool:
    """Whether a single sequence's other class of two is the likelier reading of the factor.

    With p - e_1 = -(p_0 / p_1) (p - e_0) the two classes' gradients are one but for a factor: the
    words are told apart, the class is by the factor alone.
    """
    if not model.task.one_class or len(batch.labels) != 1 or oddness(scale) == 0:
        return False
    if int(model.module.config.num_labels) != 2:  # type: ignore[union-attr, arg-type]
        return False
    other = verify(model, update, replace(batch, labels=1 - batch.labels))
    return other.near and oddness(other.scale) < oddness(scale)


def _bits(update: SharedUpdate, batch: TokenBatch, units: Rounding) -> float:
    """How many bits the update can tell: its independent numbers, each to its rounding.

    A layer's gradient over n tokens is a sum of n outer products. Two numbers tell nothing of the
    batch: the factor, and that gradients at scores add up to nothing.
    """
    tokens = int(batch.attention_mask.sum())
    numbers = 0
    for name, gradient in update.gradients.items():
        if units.units[name] > 0:
            whole = gradient.numel()
            numbers += min(whole, tokens * sum(gradient.shape)) if gradient.dim() == 2 else whole
    relative = min(max(units.relative, 1e-16), 0.5)
    return max(numbers - 2, 0) * -math.log2(relative)


def _wanted(model: TextModel, batch: TokenBatch) -> float:
    """How many bits the batch's words take."""
    return int(batch.attention_mask.sum()) * math.log2(max(len(model.tokenizer), 2))

"""How well whole sentences fit the row spaces of all layers' weight gradients, under noise of a known size.

What a linear layer is given at a token of the batch lies in the row space of its weight's gradient (DAGER,
Petrov et al. 2024, section 4), in the first layer and in every one behind it, for each sentence on its own.
Noise blurs the space: with rows and columns brought to unit noise, a singular direction of value s is known
up to e / sqrt(s^2 + e^2), where e is the largest singular value that noise alone has, and what lies outside
of the directions above e is unknown altogether (see `spans`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from textleak.core.randomness import stream
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel

_FULL = 0.9  # of the width: a row space of so many directions excludes nothing
Bearing = Literal["all", "first"]


@dataclass(frozen=True)
class NoisySpan:
    """The row space of one weight gradient.

    Attributes:
        layer: what the gradient is of.
        bearing: the tokens whose inputs lie in it: all of them, or the first of each sequence.
        basis: (r, in) orthonormal rows of the whitened space, above the noise.
        unknown: (r,) how much of each is noise, 0 to 1.
        scale: (in,) what brings inputs to the whitened space.
    """

    layer: nn.Module
    bearing: Bearing
    basis: Tensor
    unknown: Tensor
    scale: Tensor

    @classmethod
    def of(
        cls, layer: nn.Module, bearing: Bearing, gradient: Tensor, noise: Tensor
    ) -> NoisySpan | None:
        """The span of a gradient (out, in) with noise of deviation (out, in); None if it tells nothing."""
        gradient, noise = gradient.double(), noise.double()
        rows = noise.square().mean(1).sqrt()
        columns = (noise / rows[:, None]).square().mean(0).sqrt()
        white = gradient / rows[:, None] / columns
        edge = white.shape[0] ** 0.5 + white.shape[1] ** 0.5
        values, basis = _strong(white, edge)
        if not 0 < len(values) < _FULL * min(white.shape):
            return None
        unknown = edge / (values.square() + edge**2).sqrt()
        return cls(layer, bearing, basis.float(), unknown.float(), (1 / columns).float())

    def outside(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """The share of inputs (N, T, in) outside, in the mean over the tokens that bear; (N,)."""
        if self.bearing == "first" and inputs.dim() == 3:
            inputs = inputs[:, :1]
        if inputs.dim() == 2:
            inputs = inputs[:, None]
        mask = mask[:, : inputs.shape[1]].to(inputs)
        inputs = inputs * self.scale
        inside = inputs @ self.basis.T  # (N, T, r)
        left = (inputs - inside @ self.basis).square().sum(-1)
        left = left + (inside * self.unknown).square().sum(-1)
        share = left / inputs.square().sum(-1).clamp_min(1e-30)
        mean: Tensor = (share * mask).sum(1) / mask.sum(1)
        return mean


class LayerSpans:
    """The spans of every linear layer of a model whose gradient is shared.

    Args:
        model: the public model.
        update: the shared update.
        noise: the deviation of the noise in each number of it.
        tokens: how many go through the model in one pass.
    """

    def __init__(
        self,
        model: TextModel,
        update: SharedUpdate,
        noise: Mapping[str, Tensor],
        tokens: int = 1024,
    ) -> None:
        self._model, self._tokens = model, tokens
        found = (
            NoisySpan.of(
                layers[0],
                bearing,
                torch.cat([_view(layer, update.gradients[name]) for layer, name in group]),
                torch.cat([_view(layer, noise[name]) for layer, name in group]),
            )
            for bearing, group in _groups(model, update)
            for layers in [[layer for layer, _ in group]]
        )
        self.spans = [span for span in found if span is not None]

    def misfits(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """How little each sentence fits: the sum over layers of the logarithm of what lies outside.

        The unknown size of what a true sentence leaves is the same factor for all sentences.
        """
        found: list[float] = []
        longest = max(map(len, rows), default=1)
        step = max(1, self._tokens // longest)
        for start in range(0, len(rows), step):
            found += self._misfits(rows[start : start + step]).tolist()
        return found

    def _misfits(self, rows: Sequence[Sequence[int]]) -> Tensor:
        width = max(map(len, rows))
        pad = int(self._model.tokenizer.pad_token_id)
        ids = torch.full((len(rows), width), pad)
        mask = torch.zeros(len(rows), width).long()
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = torch.tensor(list(row)), 1
        with torch.no_grad():
            return self._of(ids.to(self._model.device), mask)

    def slopes(self, row: Sequence[int]) -> Tensor:
        """How a sentence's misfit changes with the word embedding at each place; (T, E)."""
        ids = torch.tensor([list(row)], device=self._model.device)
        embedded = self._model.word_table.detach()[ids].requires_grad_()
        with torch.enable_grad():
            total = self._of(ids, torch.ones_like(ids).cpu(), embedded).sum()
            found: Tensor = torch.autograd.grad(total, embedded)[0][0]
        return found.cpu()

    def _of(self, ids: Tensor, mask: Tensor, embedded: Tensor | None = None) -> Tensor:
        with _watched([span.layer for span in self.spans]) as seen:
            _read(self._model, ids, mask.to(ids.device), embedded)
        outside = [
            span.outside(seen[id(span.layer)][0][0].cpu(), mask).clamp_min(1e-30).log()
            for span in self.spans
        ]
        return torch.stack(outside).sum(0) / 2 if outside else torch.zeros(len(ids))


def _groups(
    model: TextModel, update: SharedUpdate
) -> Iterator[tuple[Bearing, list[tuple[nn.Module, str]]]]:
    """Layers with their weights' names that are given the same, and which tokens bear a gradient there."""
    names = {id(p): n for n, p in model.module.named_parameters() if n in update.gradients}
    skipped = {id(model.family.head.output.layer), id(model.module.get_output_embeddings())}  # type: ignore[operator]
    layers = [
        part
        for part in model.module.modules()
        if type(part).__name__ in ("Linear", "Conv1D")
        and id(part.weight) in names
        and id(part) not in skipped
    ]
    ids = stream(0, "evidence", "a sentence").below(len(model.tokenizer), 12)[None].to(model.device)
    with torch.enable_grad(), _watched(layers) as seen:
        total = _read(model, ids, torch.ones_like(ids))
        called = [layer for layer in layers if len(seen[id(layer)]) == 1]
        outputs = [seen[id(layer)][0][1] for layer in called]
        slopes = torch.autograd.grad(total, outputs, allow_unused=True)
    groups: dict[tuple[int, Bearing], list[tuple[nn.Module, str]]] = {}
    for layer, slope in zip(called, slopes, strict=True):
        bearing = None if slope is None else _bearing(model, slope)
        if bearing is not None:
            key = (id(seen[id(layer)][0][0]), bearing)
            groups.setdefault(key, []).append((layer, names[id(layer.weight)]))
    for (_, bearing), group in groups.items():
        yield bearing, group


def _bearing(model: TextModel, slope: Tensor) -> Bearing | None:
    """Which tokens a layer's gradient comes from, as a slope (1, T, out) or (1, out) at its output shows."""
    whole = slope.dim() == 2
    lively = torch.ones(1).bool() if whole else slope[0].abs().sum(1) > 0
    if bool(lively.all()):
        return "first" if whole else "all"
    pooled = model.task.bears == "sequences"
    return "first" if pooled and bool(lively[0]) and int(lively.sum()) == 1 else None


def _read(model: TextModel, ids: Tensor, mask: Tensor, embedded: Tensor | None = None) -> Tensor:
    """Run the model as its loss does, as far as no label is needed; a number that depends on all of it."""
    states = model.family.encode(
        input_ids=ids if embedded is None else None,
        inputs_embeds=embedded,
        attention_mask=mask,
        token_types=model.token_types(ids),
    )
    if model.task.bears == "sequences":
        return model.family.class_logits(states, mask)[:, 0].sum()
    if model.task.bears == "places" and not model.family.causal:
        return states[:, 1].sum()  # which places bear loss is not known
    return states.sum()


def _view(layer: nn.Module, tensor: Tensor) -> Tensor:
    return tensor.T if type(layer).__name__ == "Conv1D" else tensor


def _strong(white: Tensor, edge: float) -> tuple[Tensor, Tensor]:
    """The singular values above the edge and their right vectors, by the smaller Gram matrix."""
    tall = white.shape[0] >= white.shape[1]
    squares, vectors = torch.linalg.eigh(white.T @ white if tall else white @ white.T)
    above = squares > edge**2
    values, vectors = squares[above].sqrt(), vectors[:, above]
    return values, vectors.T if tall else (vectors.T @ white) / values[:, None]


@contextmanager
def _watched(layers: Sequence[nn.Module]) -> Iterator[dict[int, list[tuple[Tensor, Tensor]]]]:
    """What layers are given and give, by their identity."""
    seen: dict[int, list[tuple[Tensor, Tensor]]] = {id(layer): [] for layer in layers}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[id(layer)].append((inputs[0], output))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()

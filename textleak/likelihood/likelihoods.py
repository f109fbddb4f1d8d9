"""How likely whole batches are under known Gaussian noise, exactly: many in one pass, none formed.

With noise of deviation σ on every entry of an update u, a batch whose gradient is g has the log-likelihood
(<u, g> - |g|² / 2) / σ², in nats above an update of nothing. The inner products are those of thin factors
(`gradients.contrast`), so a noisy u is never compressed.

The parameters that only the head reads see last hidden states alone: their share of the likelihood
takes one forward pass through the encoder and none back. For classes it is most of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial

import torch
from scipy.stats import chi2
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.update import SharedUpdate
from textleak.gradients import parameter_gradients
from textleak.gradients.contrast import Against, Contrasts
from textleak.gradients.matcher import Recorder
from textleak.models.text_model import TextModel


class Likelihoods:
    """Scores batches of one number of sequences, and of one number of places that bear loss.

    Args:
        model: the public model, in evaluation mode.
        update: what was shared.
        std: the deviation of its noise.
        factor: whether an unknown factor stands before the gradient, as clipping leaves it; the
            likeliest one is taken.
        at_once: sequences in one pass.
        largest: tensors of more entries say nothing of a misfit: in them a thousandth of σ is seen as well.
    """

    def __init__(
        self,
        model: TextModel,
        update: SharedUpdate,
        std: float,
        *,
        factor: bool = False,
        at_once: int = 64,
        largest: int = 1_000_000,
    ) -> None:
        self._model, self._shared, self.std = model, update.gradients, std
        self._factor, self._at_once = factor, at_once
        self._whole = Contrasts(model.module, list(update.gradients))
        self._small = [n for n, tensor in update.gradients.items() if tensor.numel() <= largest]

    def __call__(self, batches: Sequence[TokenBatch]) -> Tensor:
        """Log-likelihoods in nats, (len(batches),)."""
        return self._by_chunks(batches, head=False)

    def of_head(self, batches: Sequence[TokenBatch]) -> Tensor:
        """The share of the parameters that only the head reads; (len(batches),)."""
        return self._by_chunks(batches, head=True)

    def of_states(self, states: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """The head's share for sequences one a batch with these last hidden states, (N, T, H); (N,)."""
        return self._of_head(states, mask, labels, len(states))

    def misfit(self, batch: TokenBatch) -> float:
        """How sure it is that `batch` is not behind the update, see `misfit_of`."""
        group = batch.to(self._model.device)
        loss = partial(self._model.loss, group)
        return self.misfit_of(parameter_gradients(self._model.module, loss, self._small))

    def misfit_of(self, own: Mapping[str, Tensor], rounding: float = 1e-5) -> float:
        """How sure it is that gradients `own` are not behind the update: -ln p, of the worst tensor among P.

        The true batch leaves noise alone: |u - g|² / σ² of a tensor of N entries is chi-squared with N degrees
        of freedom. p is its upper tail, times P. The difference itself is squared: |u|² - 2 <u, g> + |g|² of
        small noise is rounding.

        Args:
            own: the candidate's.
            rounding: the part of a tensor's norm that two computations of it in single precision may differ by.
        """
        pairs = [(self._shared[name].double(), own[name].double()) for name in self._small]
        factor = 1.0
        if self._factor:
            squared = sum(float(g.square().sum()) for _, g in pairs)
            factor = sum(float((u * g).sum()) for u, g in pairs) / max(squared, 1e-300)
        tails = []
        for u, g in pairs:
            variance = self.std**2 + (rounding * factor * float(g.norm())) ** 2 / u.numel()
            left = float((u - factor * g).square().sum()) / variance
            tails.append(float(chi2.logsf(left, u.numel())))
        return -min(tails, default=0.0) - math.log(max(len(pairs), 1))

    @property
    def by_head(self) -> bool:
        """Whether the head has parameters of its own in the update."""
        return self._head is not None

    def _by_chunks(self, batches: Sequence[TokenBatch], *, head: bool) -> Tensor:
        if not batches:
            return torch.zeros(0).double()
        size = max(1, self._at_once // len(batches[0].input_ids))
        parts = []
        for start in range(0, len(batches), size):
            group = _side_by_side(batches[start : start + size], self._pad).to(self._model.device)
            parts.append(self._of(group, len(batches[start : start + size]), head=head).cpu())
        return torch.cat(parts)

    def _of(self, group: TokenBatch, candidates: int, *, head: bool) -> Tensor:
        if head:
            with torch.no_grad():
                states = self._model.encode(group)
            return self._of_head(states, group.attention_mask, group.labels, candidates)

        def forward(recorder: Recorder) -> Tensor:
            return self._losses(
                self._model.encode(group), group.attention_mask, group.labels, candidates
            )

        found = self._whole.against(
            forward, candidates, self._shared, len(group.input_ids) // candidates
        )
        return self._nats(found)

    def _of_head(self, states: Tensor, mask: Tensor, labels: Tensor, candidates: int) -> Tensor:
        if self._head is None:
            return torch.zeros(candidates).double()

        def forward(recorder: Recorder) -> Tensor:
            return self._losses(states, mask, labels, candidates)

        batch = len(states) // candidates
        return self._nats(self._head.against(forward, candidates, self._shared, batch))

    def _losses(self, states: Tensor, mask: Tensor, labels: Tensor, candidates: int) -> Tensor:
        logits, targets = self._model.task.outputs(self._model, states, mask, labels)
        return self._model.task.candidate_losses(logits, targets, candidates)

    def _nats(self, found: Against) -> Tensor:
        dot, squared = found.dot.sum(0), found.squared.sum(0)
        if self._factor:
            return dot.clamp_min(0).square() / squared.clamp_min(1e-300) / 2 / self.std**2
        return (dot - squared / 2) / self.std**2

    @cached_property
    def _head(self) -> Contrasts | None:
        """The parameters that lie between last hidden states and the loss, and nowhere else."""
        model, task = self._model, self._model.task
        word = int(model.tokenizer.mask_token_id or model.tokenizer.unk_token_id or 0)
        ids = torch.full((1, 3), word, device=model.device)
        labels = ids if task.bears == "places" else task.unlabelled(ids).to(model.device)
        batch = TokenBatch(ids, torch.ones_like(ids), labels)
        tables = {model.family.embeddings.words.name}  # a tied one is read below as well
        named = {
            name: parameter
            for name, parameter in model.module.named_parameters()
            if name in self._shared and name not in tables
        }
        with torch.no_grad():
            states = model.encode(batch)
        asked = {name: parameter.requires_grad for name, parameter in named.items()}
        try:
            for parameter in named.values():
                parameter.requires_grad_(True)
            with torch.enable_grad():
                loss = self._losses(states, batch.attention_mask, batch.labels, 1).sum()
                slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        finally:
            for name, parameter in named.items():
                parameter.requires_grad_(asked[name])
        names = [n for n, slope in zip(named, slopes, strict=True) if slope is not None]
        return Contrasts(model.module, names) if names else None

    @property
    def _pad(self) -> int:
        return int(self._model.tokenizer.pad_token_id)


def _side_by_side(batches: Sequence[TokenBatch], pad: int) -> TokenBatch:
    """Whole batches one after another, padded to the widest."""
    width = max(batch.input_ids.shape[1] for batch in batches)

    def wide(values: Tensor, filling: int, *, by_token: bool = True) -> Tensor:
        if not by_token:
            return values
        return torch.nn.functional.pad(values, (0, width - values.shape[1]), value=filling)

    return TokenBatch(
        torch.cat([wide(batch.input_ids, pad) for batch in batches]),
        torch.cat([wide(batch.attention_mask, 0) for batch in batches]),
        torch.cat([wide(batch.labels, IGNORED, by_token=batch.by_token) for batch in batches]),
    )

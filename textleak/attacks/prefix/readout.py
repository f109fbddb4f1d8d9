"""From what the head reads to the slope of the loss by it, whatever stands behind the head.

Some families scale the head's output (Cohere, Granite) or cap it (Gemma 2) before the softmax, entry by
entry. With z = W y and logits f(z), the loss -log p_w has the slope W^T (f' p) - f'_w W_w by y.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textleak.models.decoder_parts import Projection


class Readout:
    """A model's head and what stands behind it.

    Args:
        module: the public model.
        head: its output projection.
        at_once: how many states are taken through it at a time; each costs a few rows of the
            vocabulary's length.

    Attributes:
        words: the head predicts words, not classes.
    """

    def __init__(self, module: nn.Module, head: Projection, at_once: int = 64) -> None:
        self._module, self._name, self._at_once = module, head.name, at_once
        layer = module.get_submodule(head.name)
        weight = module.get_parameter(f"{head.name}.weight").detach()
        self._table = weight.T if head.transposed else weight  # (V, H)
        bias = getattr(layer, "bias", None)
        self._bias = bias.detach() if isinstance(bias, Tensor) else None
        config = module.config
        self.words = len(self._table) >= int(config.vocab_size)  # type: ignore[union-attr, arg-type]

    def expected(self, given: Tensor) -> Tensor:
        """W^T (f' p) for what the head reads, (N, H); (N, H)."""
        parts = [
            (slopes * logits.softmax(1)) @ self._table
            for part in torch.split(given, self._at_once)
            for logits, slopes in [self._behind(part)]
        ]
        return torch.cat(parts)

    def rows(self, given: Tensor, targets: Tensor) -> Tensor:
        """f'_w W_w, one target (N,) for each of (N, H); (N, H)."""
        bias = 0 if self._bias is None else self._bias[targets]
        raw = (given * self._table[targets]).sum(1) + bias
        return self._slopes_of(raw)[:, None] * self._table[targets]

    def all_rows(self, given: Tensor) -> Tensor:
        """f'_w W_w of every target for one state (H,); (V, H)."""
        _, slopes = self._behind(given[None])
        return slopes[0][:, None] * self._table

    def _behind(self, given: Tensor) -> tuple[Tensor, Tensor]:
        raw = given @ self._table.T
        if self._bias is not None:
            raw = raw + self._bias
        return self._logits_of(raw)

    def _slopes_of(self, raw: Tensor) -> Tensor:
        return self._logits_of(raw[:, None])[1][:, 0]

    def _logits_of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The logits that the model makes of the head's output, and their slopes, entry by entry."""
        if not self.words:  # a classifier picks a position, and leaves the values alone
            return raw, torch.ones_like(raw)
        with torch.enable_grad():
            raw = raw.detach().requires_grad_()
            logits = self._run_behind(raw[None])[0]
            (slopes,) = torch.autograd.grad(logits.sum(), raw)
        return logits.detach(), slopes

    def _run_behind(self, raw: Tensor) -> Tensor:
        layer = self._module.get_submodule(self._name)
        handle = layer.register_forward_hook(lambda *_: raw)
        try:
            ids = torch.zeros(1, 1, dtype=torch.long, device=raw.device)
            found: Tensor = self._module(input_ids=ids, use_cache=False).logits
            return found
        finally:
            handle.remove()

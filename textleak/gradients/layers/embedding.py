"""Embeddings with hard ids: a one-hot factor."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.engine.factors import OneHot, Product
from textleak.gradients.layers.rule import Terms, by_candidate, has, needed, runs_as


class EmbeddingRule:
    """`nn.Embedding`; the row `padding_idx` has no gradient."""

    def fits(self, module: Any) -> bool:
        plain = runs_as(module, nn.Embedding) and has(module, "weight")
        return plain and module.max_norm is None and not module.scale_grad_by_freq

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return F.embedding(inputs, needed(module, "weight")), inputs

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        ids = saved.reshape(candidates, -1).long()
        slope = by_candidate(slope, candidates)
        if module.padding_idx is not None:
            slope = slope * (ids != module.padding_idx).unsqueeze(2).to(slope)
        yield "weight", Product(OneHot(ids, slope.dtype), slope)

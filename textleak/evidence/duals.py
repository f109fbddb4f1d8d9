"""Which token an attention context belongs to, from gradients at words that stand in one place.

Layer 0's attention output has the weight gradient G = sum_n o_n c_n^T over the batch's tokens n, with
contexts c_n and gradients o_n behind the projection. While both sets are independent,
c_i^T G^+ o_j = [i = j]. For a word that stands at one place, o_j can be read off: its row of the word
table's gradient gives the gradient x_j at the layer's input up to two numbers (the LayerNorm's
backward pass drops the part along 1 and along its output), the query, key and value gradients of that
input are determined by theirs, and what is left of x_j is o_j, because the residual connection adds the
input to the projection's output. The two numbers follow from o_j lying in the column space of G.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.spans import spectral_rank


def input_solution(inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Output gradients of a linear layer from its weight gradient and its possible inputs.

    Args:
        inputs: (E, H) possible inputs, dependent or not.
        gradient: (out, H) the weight's gradient.

    Returns:
        (E, out) least-norm output gradients, and (E,) how far each row is determined, 0 to 1.
    """
    left, values, right = torch.linalg.svd(inputs, full_matrices=False)
    rank = spectral_rank(values)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    return left / values @ (right @ gradient.T), left.square().sum(1)


def residual_gradients(
    layer: FirstLayer,
    words: Tensor,
    places: Tensor,
    deltas: Tensor,
    projected: Tensor,
    columns: Tensor,
) -> Tensor:
    """The gradient behind the attention output's projection at single-place words; (n, H).

    Args:
        layer: the public first layer.
        words: (n,) the words.
        places: (n,) their places.
        deltas: (n, H) their rows of the word table's gradient.
        projected: (n, 3H) their query, key and value gradients.
        columns: (H, N) orthonormal columns that hold every such gradient.
    """
    sums = layer.words[words].double() + layer.places[places]
    sigma = (sums.var(1, unbiased=False, keepdim=True) + layer.eps).sqrt()
    normal = layer.normalised(words, places)
    known = sigma * deltas / layer.scale - projected @ torch.cat(layer.weights)
    lost = torch.stack([torch.ones_like(normal), normal], 2) / layer.scale[:, None]  # (n, H, 2)
    outside_known = known - known @ columns @ columns.T
    outside_lost = lost - columns @ (columns.T @ lost)
    numbers = torch.linalg.lstsq(outside_lost, -outside_known[..., None]).solution  # (n, 2, 1)
    complete: Tensor = known + (lost @ numbers)[..., 0]
    return complete


def context_duals(gradient: Tensor, residuals: Tensor, rank: int) -> Tensor:
    """Vectors g_j = G^+ o_j with c_i . g_j = [i = j] for every context of the batch; (n, H).

    Args:
        gradient: (H, H) of the attention output's projection.
        residuals: (n, H) the o_j.
        rank: the rank of the gradient.
    """
    left, values, right = torch.linalg.svd(gradient.double())
    vectors: Tensor = residuals @ left[:, :rank] / values[:rank] @ right[:rank]
    return vectors

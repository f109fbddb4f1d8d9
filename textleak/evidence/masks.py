"""Which positions bore masked-LM loss, and the words under the masks, from the head's gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textleak.evidence.spans import row_span


def loss_bearing(dense: Tensor, states: Tensor) -> Tensor:
    """The tokens whose last hidden states lie in the row space of the head's first layer.

    Only loss-bearing positions reach the head, so its weight gradient is a sum over these.

    Args:
        dense: (H, H) gradient of the head's first layer.
        states: (N, H) last hidden states of all tokens.

    Returns:
        (M,) indices, rising.
    """
    span = row_span([dense])
    residual = span.residual(states)
    order = residual.argsort()
    return order[: span.rank].sort().values


def masked_labels(
    dense: Tensor, transform: nn.Module, states: Tensor, table: Tensor, bias: Tensor, words: Tensor
) -> tuple[Tensor, Tensor]:
    """The label of each loss-bearing position.

    The head's first layer has the gradient sum_m d_m s_m^T with known states s_m, so the d_m are its
    least-squares solution; and d_m is linear in the one-hot label: every word of the batch's labels
    is tried at every position.

    Args:
        dense: (H, H) gradient of the first layer's weight.
        transform: the head up to the decoder; its first layer is `transform.dense`.
        states: (M, H) states at loss-bearing positions.
        table: (V, H) decoder weights.
        bias: (V,) decoder bias.
        words: (L,) the words that may be labels.

    Returns:
        (M,) word ids and (M,) ratios of the second-best fit's residual to the best one's.
    """
    observed = torch.linalg.lstsq(states.double().T, dense.double().T, driver="gelsd").solution
    outputs: list[Tensor] = []
    first = transform.get_submodule("dense")
    handle = first.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        with torch.enable_grad():
            hidden = transform(states.detach().requires_grad_())
    finally:
        handle.remove()
    count = len(states)
    expected = torch.softmax(hidden.detach() @ table.T + bias, 1) @ table  # (M, H)
    base = torch.autograd.grad(hidden, outputs[0], expected / count, retain_graph=True)[0]
    fits = []
    for word in words.tolist():
        cotangent = table[word].expand_as(hidden) / count
        pulled = torch.autograd.grad(hidden, outputs[0], cotangent, retain_graph=True)[0]
        fits.append((observed - (base - pulled).double()).norm(dim=1))
    ranked = torch.stack(fits, 1).sort(1)  # (M, L)
    best = words[ranked.indices[:, 0]]
    if len(words) == 1:
        return best, torch.full((count,), float("inf"))
    return best, ranked.values[:, 1] / ranked.values[:, 0].clamp_min(1e-300)

"""Which positions bore masked-LM loss, and the words under the masks, from the head's gradients."""

from __future__ import annotations

import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import one_hot

from textleak.evidence.spans import row_span
from textleak.models.families import Head

WHOLE = 0.1  # how far a count may be from a whole number
_CLEAR, _FAINT = 2.0, 0.01  # noise alone gives 1, rounding up to 3 where loss gives hundreds
MOST_REPEATS = 4  # times the states: how many positions bear loss at most


def loss_bearing(dense: Tensor, states: Tensor) -> Tensor:
    """The tokens whose last hidden states lie in the row space of the head's first layer.

    Only loss-bearing positions reach the head, so its weight gradient is a sum over these. Under noise,
    which has no row space, those whose share in it stands out.

    Args:
        dense: (H, H) gradient of the head's first layer.
        states: (N, H) last hidden states of all tokens.

    Returns:
        (M,) indices, rising.
    """
    span = row_span([dense])
    blurred = span.noisy or span.rank > len(states)
    if blurred and len(states) < states.shape[1]:
        return _clear_shares(dense.double(), states.double())
    residual = span.residual(states)
    order = residual.argsort()
    return order[: span.rank].sort().values


def _clear_shares(dense: Tensor, states: Tensor) -> Tensor:
    """The states that `dense` = sum_n d_n s_n^T needs: whose d_n noise of what is left would not make."""
    slopes = torch.linalg.lstsq(states.T, dense.T, driver="gelsd").solution  # (N, H)
    noise = (dense.T - states.T @ slopes).std() * dense.shape[0] ** 0.5
    spread = noise * torch.linalg.pinv(states).norm(dim=0)  # (N,) of a slope that is noise alone
    times = slopes.norm(dim=1) / spread.clamp_min(1e-300)
    most = float(times.max())
    clear: Tensor = (times >= min(most, max(_CLEAR, _FAINT * most))).nonzero()[:, 0]
    return clear


def label_counts(dense: Tensor, head: Head, states: Tensor, words: Tensor) -> Tensor:
    """How often each word is the label of each loss-bearing state.

    The head's first layer has the gradient sum_m d_m s_m^T with known states s_m, so the d_m are its
    least-squares solution; and d_m is a sum over the labels of m, each 1/n of what that label alone
    would give. Equal states (a sentence that stands twice in the batch, or two that differ under the
    mask) share one m. The shares are whole numbers over the batch's n only for the right words.

    Args:
        dense: (H, H) gradient of the first layer's weight.
        head: the public head over words.
        states: (M, H) distinct states at loss-bearing positions.
        words: (L,) the words that may be labels.

    Returns:
        (M, L) counts, whole, at least one a row. Where no n makes the shares whole (rounding, noise)
        each row has its best-fitting word once.
    """
    observed = torch.linalg.lstsq(states.double().T, dense.double().T, driver="gelsd").solution
    alone = _gradients_of_labels(head, states, words)  # (M, L, H)
    shares = torch.stack(
        [
            torch.from_numpy(nnls(of_state.T.numpy(), seen.numpy())[0])
            for of_state, seen in zip(alone.cpu(), observed.cpu(), strict=True)
        ]
    )
    # One factor is in all shares: they add up to it, as counts add up to the batch's n.
    factor = float(shares.sum())
    if factor > 0:
        shares, observed = shares / factor, observed / factor
    for total in range(len(states), MOST_REPEATS * len(states) + 1):
        counts = (total * shares).round()
        whole = (total * shares - counts).abs().max() < WHOLE
        if whole and int(counts.sum()) == total and bool((counts.sum(1) > 0).all()):
            return counts.long()
    misfit = (observed[:, None] - alone / len(states)).norm(dim=2)
    return one_hot(misfit.argmin(1), len(words))


def _gradients_of_labels(head: Head, states: Tensor, words: Tensor) -> Tensor:
    """The loss's gradient at the first layer's output for each state and label, (M, L, H)."""
    outputs: list[Tensor] = []
    assert head.dense is not None
    assert head.transform is not None
    first = head.dense.layer
    handle = first.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        with torch.enable_grad():
            hidden = head.transform(states.detach().requires_grad_())
    finally:
        handle.remove()

    def pulled(cotangent: Tensor) -> Tensor:
        return torch.autograd.grad(hidden, outputs[0], cotangent, retain_graph=True)[0].double()

    table, bias = head.output.weight, head.output.bias
    logits = hidden.detach() @ table.T + (0 if bias is None else bias)
    expected = pulled(torch.softmax(logits, 1) @ table)
    each = [expected - pulled(table[word].expand_as(hidden)) for word in words.tolist()]
    return torch.stack(each, 1)

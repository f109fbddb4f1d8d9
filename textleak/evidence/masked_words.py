"""The words under the masks, read off the decoder's gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.evidence.spans import row_span


def masked_words(bias: Tensor, count: int) -> Tensor:
    """The `count` words that masked-LM predicted, with repeats.

    The decoder bias's gradient is the mean over masked positions of softmax minus one-hot: with M
    positions, a word under k masks has about -k/M there and no other word is negative
    (cf. iDLG, Zhao et al. 2020, for classes).

    Args:
        bias: (V,) the gradient of the decoder's bias.
        count: M, how many positions bore loss.

    Returns:
        (M,) word ids, rising.

    >>> masked_words(torch.tensor([0.1, -0.6, 0.1, -0.3]), 3).tolist()
    [1, 1, 3]
    """
    below = (-bias.double()).nan_to_num(0.0, 0.0, 0.0).clamp_min(0)
    words = below.topk(min(count, len(below))).indices
    shares = below[words]
    quota = count * shares / shares.sum().clamp_min(1e-300)
    repeats = quota.floor().clamp_min(0)
    repeats[shares > 0] = repeats[shares > 0].clamp_min(1)
    while int(repeats.sum()) != count:  # the largest remainder gives, the smallest takes
        off = quota - repeats
        if repeats.sum() < count:
            repeats[off.argmax()] += 1
        else:
            repeats[torch.where(repeats > 1, off, torch.inf).argmin()] -= 1
    return words.repeat_interleave(repeats.long()).sort().values


def masked_count(head_dense: Tensor) -> int:
    """How many positions bore loss: the rank of the gradient of the head's first dense layer.

    Args:
        head_dense: (H, H) that gradient; each position adds one outer product to it.
    """
    return row_span([head_dense]).rank

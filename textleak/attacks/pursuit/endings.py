"""The last token of each sequence, which is only ever a label.

The gradient is linear in the labels. With the head's input h_n at the end of prefix n, the probabilities
p_n, the output table W and any direction G in the space of the shared tensors,

    <G, g> = factor * sum over (n, w) of (W^T p_n - W_w) . (J_n G)

where J_n G is how h_n moves along G, for all prefixes by one product. Some random directions in the last
block make a short equation system: what follows inside the tree is known, and each leaf's word is found by
pursuit among all words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from textleak.attacks.prefix.readout import Readout
from textleak.attacks.prefix.tree import Path
from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening
from textleak.core.batch import padded
from textleak.core.errors import UpdateError
from textleak.core.randomness import stream
from textleak.models.decoder_parts import DecoderParts


def last_words(
    module: nn.Module,
    parts: DecoderParts,
    shared: Mapping[str, Tensor],
    leaves: Sequence[Path],
    ridge: float,
    directions: int = 32,
) -> list[int]:
    """The word behind each of `leaves`.

    Args:
        module: the public model.
        parts: its parts.
        shared: the update's gradients.
        leaves: each sequence but for its last token.
        ridge: of whitening, as a share of the largest eigenvalue.
        directions: how many are drawn, half as many more for each leaf.

    Raises:
        UpdateError: no block shares a gradient.
    """
    names = _last_shared(parts, shared)
    count = directions + directions // 2 * len(leaves)
    draws = stream(0, "endings")
    along = [
        {n: draws.normal(*shared[n].shape) / shared[n].float().norm() for n in names}
        for _ in range(count)
    ]
    given, moved = _moved(module, parts, leaves, along)  # (S, T, H), (m, S, T, H)
    seen = torch.tensor([sum(float((g[n] * shared[n]).sum()) for n in names) for g in along])
    readout = Readout(module, parts.head)
    known = torch.zeros(count)
    inside = Counter(leaf[:n] for leaf in leaves for n in range(1, len(leaf) + 1))
    ends: list[Tensor] = []
    for row, leaf in enumerate(leaves):
        states = given[row, : len(leaf)]  # (t, H)
        expected = readout.expected(states)
        following = torch.tensor(leaf[1:], dtype=torch.long)
        slopes = expected[:-1] - readout.rows(states[:-1], following)
        shares = torch.tensor([inside[leaf[: n + 1]] for n in range(1, len(leaf))])
        own = torch.tensor([inside[leaf[:n]] for n in range(1, len(leaf))])
        known += torch.einsum("mth,th,t->m", moved[:, row, : len(leaf) - 1], slopes, shares / own)
        ends.append((expected[-1] - readout.all_rows(states[-1])) @ moved[:, row, len(leaf) - 1].T)
    return _pursued(seen, known, ends, ridge)


def _pursued(seen: Tensor, known: Tensor, ends: Sequence[Tensor], ridge: float) -> list[int]:
    """One word for each leaf, in a whitened dictionary: what is known is chosen first."""
    view = View(seen[None], whitening(torch.cat(list(ends)), ridge))
    view.add(torch.cat([known[None], *ends]))
    if bool(known.any()):
        view.choose(0)
    words: dict[int, int] = {}
    size = len(ends[0])
    while len(words) < len(ends):
        scores = view.scores()
        scores[0] = -1
        for leaf in words:
            scores[1 + leaf * size : 1 + (leaf + 1) * size] = -1
        best = int(scores.argmax())
        view.choose(best)
        words[(best - 1) // size] = (best - 1) % size
    return [words[leaf] for leaf in range(len(ends))]


def _last_shared(parts: DecoderParts, shared: Mapping[str, Tensor]) -> list[str]:
    for block in reversed(parts.blocks):
        first = block[0]
        before = first.projections[0].name.split(f".{first.block}.")[0]
        start = f"{before}.{first.block}."
        names = [n for n, g in shared.items() if n.startswith(start) and bool(g.any())]
        if names:
            return names
    raise UpdateError("no block shares a gradient that tells last tokens")


def _moved(
    module: nn.Module,
    parts: DecoderParts,
    leaves: Sequence[Path],
    along: Sequence[Mapping[str, Tensor]],
) -> tuple[Tensor, Tensor]:
    """What the head reads at every place, and how it moves along each direction."""
    ids, mask = padded(leaves, 0)
    names = list(along[0])
    values = [module.get_parameter(name) for name in names]
    seen: list[Tensor] = []
    layer = module.get_submodule(parts.head.name)
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    device = values[0].device
    try:
        with torch.enable_grad():
            module(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
            given = seen[0]
            back = torch.zeros_like(given, requires_grad=True)
            slopes = torch.autograd.grad(given, values, back, create_graph=True)  # linear in `back`
            moved = []
            for direction in along:
                parts_of = [direction[name].to(slopes[0]) for name in names]
                moved.append(torch.autograd.grad(slopes, back, parts_of, retain_graph=True)[0])
    finally:
        handle.remove()
    return given.detach().cpu(), torch.stack(moved).detach().cpu()

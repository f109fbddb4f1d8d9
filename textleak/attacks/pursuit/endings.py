"""The last token of each sequence, which is only ever a label.

What a projection of the last block writes for a query (or behind the attention) is seen by its own place
alone. So the last label of a leaf n adds e_n x_n^T to its rows, with x_n what the projection reads at the
leaf's last place and e_n the slope of the loss by what it writes there; what the other labels add is
recomputed, one backward pass a leaf, and how often each leaf counts is fitted outside of all x_n. With the
head's input h_n, the probabilities p_n and the output table W

    e_n = count * (dh_n / dy_n)^T (W^T p_n - W_w)

is linear in the row of the word w, and the nearest word is it. Where keys and
values alone are shared, all places' x are told apart instead, and e_n is known up to its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from textleak.attacks.prefix.readout import Readout
from textleak.attacks.prefix.tree import Path
from textleak.attacks.pursuit.leaves import End, end_of, known_of, spread, telling_projections
from textleak.attacks.pursuit.noise import row_noise
from textleak.core.noise import NoiseLaw
from textleak.models.decoder_parts import DecoderParts


def last_words(
    module: nn.Module,
    parts: DecoderParts,
    shared: Mapping[str, Tensor],
    leaves: Sequence[Path],
    law: NoiseLaw | None = None,
    equations: int = 24,
    rounding: float = 1e-4,
) -> list[tuple[int, int]]:
    """The word behind each of `leaves`, and how often the sequence stands in the batch.

    Args:
        module: the public model.
        parts: its parts.
        shared: the update's gradients.
        leaves: each sequence but for its last token.
        law: of the noise that the protocol put on them.
        equations: no projection gives more than so many for each leaf.
        rounding: slopes are known to this share of themselves.

    Raises:
        UpdateError: no block shares a gradient.
    """
    telling, alone = telling_projections(module, parts, shared, len(leaves))
    ends = [end_of(module, parts, telling, leaf, equations) for leaf in leaves]
    known = [known_of(module, parts, telling, leaf) for leaf in leaves]
    parted = []
    for number, projection in enumerate(telling):
        rows = projection.rows(shared)
        assert rows is not None
        read = torch.stack([end.read[number] for end in ends]).double()  # (S, d)
        before = torch.stack([rest.rows[number] for rest in known]).double()  # (S, out, d)
        if not alone:
            read = torch.cat([read, *(rest.read[number].double() for rest in known)])
        parted.append((rows.double().cpu(), before, read))
    counts = _counts(parted)
    slopes, doubts = [], []
    for rows, before, read in parted:
        left = _left(rows, before, read, counts)[spread(len(rows), equations)]  # (out, n)
        noise = row_noise(rows, law).mean() * torch.linalg.pinv(read @ read.T).diagonal()
        doubt = (noise + (rounding * left).square().mean(0)).sqrt()  # (n,)
        slopes.append(left)
        doubts.append(doubt.expand_as(left))
    own, doubt = torch.cat(slopes), torch.cat(doubts)
    readout = Readout(module, parts.head)
    words = [
        _nearest(own[:, row], doubt[:, row], float(counts[row]), end, readout)
        for row, end in enumerate(ends)
    ]
    return list(zip(words, _times(counts), strict=True))


def _counts(parted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """How often each sequence counts, fitted outside of what is read, (S,); zeros where none can be."""
    fits = []
    for rows, known, read in parted:
        basis = torch.linalg.qr(read.T).Q  # (d, n)
        outside = (known - known @ basis @ basis.T).flatten(1)  # (S, out d)
        if len(basis) >= 2 * len(read) and bool(outside.any()):
            target = (rows - rows @ basis @ basis.T).flatten()[:, None]
            fits.append(torch.linalg.lstsq(outside.T, target, driver="gelsd").solution[:, 0])
    return torch.stack(fits).median(0).values if fits else torch.zeros(len(parted[0][1])).double()


def _times(counts: Tensor, near: float = 0.1) -> list[int]:
    """Counts as whole multiples of the least; once each where they are none.

    >>> _times(torch.tensor([0.1, 0.2, 0.1]))
    [1, 2, 1]
    >>> _times(torch.tensor([0.1, 0.16, 0.0]))
    [1, 1, 1]
    """
    if not bool((counts > 0).all()):
        return [1] * len(counts)
    times = counts / counts.min()
    whole = times.round()
    return whole.int().tolist() if bool(((times - whole).abs() < near).all()) else [1] * len(counts)


def _left(rows: Tensor, known: Tensor, read: Tensor, counts: Tensor) -> Tensor:
    """The slopes behind what the known part leaves of the rows, (out, n).

    Args:
        rows: (out, d).
        known: what the inner labels of each sequence add to them, (S, out, d).
        read: at the last places, and wherever else is to be told apart, (n, d).
        counts: how often each sequence counts, (S,).
    """
    rows = rows - torch.einsum("s,sod->od", counts, known)
    slopes: Tensor = torch.linalg.lstsq(read.T, rows.T, driver="gelsd").solution.T
    return slopes


def _nearest(own: Tensor, doubt: Tensor, count: float, end: End, readout: Readout) -> int:
    """The likeliest word: whose slopes, times the count, lie nearest `own` (c,), beside its doubt.

    Where the count is not known their directions are compared.
    """
    atoms = (readout.expected(end.head[None]) - readout.all_rows(end.head)) @ end.jacobian.T
    turned, wanted = atoms.cpu() / doubt.float(), (own / doubt).float()
    if count > 0:
        return int((count * turned - wanted).norm(dim=1).argmin())
    return int(((turned @ wanted) / turned.norm(dim=1).clamp_min(1e-30)).argmax())

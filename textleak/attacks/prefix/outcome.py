"""What each prefix was trained to predict, read off the last block's gradient.

Behind the last attention nothing passes from position to position. So the gradient of a projection there
is G = D^T A with the known inputs A of all prefixes, and least squares gives each prefix's row of D, the
slope of the loss by what the projection wrote. That slope is linear in the targets: of a prefix with the
probabilities p, trained c_w times to predict w,

    D_n = J_n^T sum_w c_w (W^T p - W_w) / M

with the output table W, the Jacobian J_n of what W reads, and M targets in all. Which w, and how often,
follows by pursuit; it needs no gradient of W itself, which may be frozen, withheld or tied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import nnls
from torch import Tensor, nn

from textleak.attacks.prefix.ends import Ends, ends_of, telling
from textleak.attacks.prefix.readout import Readout
from textleak.attacks.prefix.tree import Path
from textleak.core.bounds import Count
from textleak.models.decoder_parts import DecoderParts


class OutcomeOptions(BaseModel):
    """When a target counts.

    Attributes:
        explained: targets are looked for until they leave no more than this share of a slope,
        slack: or this many times what noise does.
        sure: so many standard errors of an amount may be noise.
        bears: a slope this small beside the largest is none: the prefix was trained on nothing.
        most: the most targets of one prefix that do not follow from its continuations.
        shortlist: how many targets are compared exactly, of those whose slopes point nearest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    explained: float = Field(default=2e-2, gt=0, lt=1)
    slack: float = Field(default=1.2, ge=1)
    sure: float = Field(default=3.0, ge=0)
    bears: float = Field(default=1e-4, gt=0, lt=1)
    most: Count = 8
    shortlist: Count = 1024

    def limit(self, share: float) -> float:
        """The share of a slope that its targets may leave, of which noise is `share`."""
        return max(self.explained, self.slack * share)


@dataclass(frozen=True)
class Targets:
    """What the prefixes were trained to predict.

    Attributes:
        weights: for each prefix that bore loss, its targets with the share of the loss of each.
        unexplained: for each of them, the share of its slope that these leave.
        doubt: for each of them, the share that noise may make; none of an exact update.
    """

    weights: dict[Path, dict[int, float]]
    unexplained: dict[Path, float]
    doubt: dict[Path, float] = field(default_factory=dict)


def targets_of(
    module: nn.Module,
    parts: DecoderParts,
    shared: Mapping[str, Tensor],
    nodes: Sequence[Path],
    options: OutcomeOptions | None = None,
) -> Targets | None:
    """What each of `nodes` was trained to predict; None where no gradient shared tells.

    Args:
        module: the public model.
        parts: its parts.
        shared: the update's gradients.
        nodes: every prefix of the batch; each with all of its own prefixes.
        options: when a target counts.
    """
    options = options or OutcomeOptions()
    projection = telling(parts, shared)
    if projection is None or not nodes:
        return None
    ends = ends_of(module, parts, projection, shared, nodes)
    readout = Readout(module, parts.head)
    following = _following(nodes) if readout.words else [[] for _ in nodes]
    expected = readout.expected(ends.given.detach())
    sizes = ends.slopes.norm(dim=1)
    bearing = [
        i for i, size in enumerate(sizes) if float(size) > options.bears * float(sizes.max())
    ]
    tries = []
    for sign in (1, -1):  # of the update's factor: a weight delta has the gradient's, turned
        turned = replace(ends, slopes=sign * ends.slopes)
        fits = _fits(_Pursuit(turned, expected, readout, options), bearing, following, options)
        tries.append(fits)
        if all(fit.left <= options.limit(ends.share(i)) for i, fit in fits.items()):
            break
    best = min(tries, key=lambda fits: sum(fit.left for fit in fits.values()))
    return Targets(
        {nodes[i]: best[i].weights() for i in bearing},
        {nodes[i]: best[i].left for i in bearing},
        {nodes[i]: best[i].doubt(float(ends.noise[i]), options.sure) for i in bearing},
    )


def _fits(
    pursuit: _Pursuit,
    bearing: list[int],
    following: Sequence[Sequence[int]],
    options: OutcomeOptions,
) -> dict[int, _Fit]:
    fits = pursuit.first(bearing, following)
    more = [i for i in bearing if fits[i].left > options.limit(pursuit.ends.share(i))]
    fits.update(pursuit.more(more, fits))
    return fits


def _following(nodes: Sequence[Path]) -> list[list[int]]:
    """For each prefix the words that continue it in the tree."""
    index = {node: i for i, node in enumerate(nodes)}
    words: list[list[int]] = [[] for _ in nodes]
    for node in nodes:
        if len(node) > 1:
            words[index[node[:-1]]].append(node[-1])
    return words


@dataclass(frozen=True)
class _Fit:
    """Targets of one prefix, the slopes that they give, (k, out), how much of each, and what is left."""

    words: list[int]
    atoms: Tensor
    amounts: Tensor
    left: float

    @classmethod
    def of(cls, slope: Tensor, words: list[int], atoms: Tensor) -> _Fit:
        if not words:
            return cls([], atoms, slope.new_zeros(0), 1.0)
        solution, left = nnls(atoms.T.numpy(), slope.numpy())
        return cls(words, atoms, torch.from_numpy(solution), float(left) / float(slope.norm()))

    def doubt(self, noise: float, sure: float) -> float:
        """The amount that `sure` standard errors of noise in the slope make, or what is left does.

        Args:
            noise: the norm of the noise.
            sure: how many standard errors.
        """
        counted = self.amounts > 0
        if not counted.any():
            return 0.0
        spread = torch.linalg.pinv(self.atoms[counted]).square().sum(0).max()
        error = noise * float(spread / self.atoms.shape[1]) ** 0.5
        largest = float(self.amounts.max())
        return float(max(sure * error, self.left * largest))

    def weights(self) -> dict[int, float]:
        pairs = zip(self.words, self.amounts.tolist(), strict=True)
        return {word: amount for word, amount in pairs if amount > 0}


class _Pursuit:
    """Finds the targets of prefixes: those that the tree suggests, then any word."""

    def __init__(
        self, ends: Ends, expected: Tensor, readout: Readout, options: OutcomeOptions
    ) -> None:
        self.ends, self._expected, self._readout = ends, expected, readout
        self._options = options

    def first(self, indices: list[int], candidates: Sequence[Sequence[int]]) -> dict[int, _Fit]:
        """Fit each prefix by its own candidates."""
        atoms: dict[int, list[Tensor]] = {index: [] for index in indices}
        for turn in range(max((len(candidates[i]) for i in indices), default=0)):
            words = torch.tensor([c[turn] if turn < len(c) else 0 for c in candidates])
            rows = self._readout.rows(self.ends.given.detach(), words)
            pulled = self.ends.pulled(self._expected - rows)
            for index in indices:
                if turn < len(candidates[index]):
                    atoms[index].append(pulled[index])
        empty = self.ends.slopes.new_zeros(0, self.ends.slopes.shape[1])
        return {
            i: _Fit.of(
                self.ends.slopes[i],
                list(candidates[i]),
                torch.stack(atoms[i]) if atoms[i] else empty,
            )
            for i in indices
        }

    def more(self, indices: list[int], fits: Mapping[int, _Fit]) -> dict[int, _Fit]:
        """Go on with any word for those prefixes whose candidates leave something."""
        if not indices:
            return {}
        jacobians = self.ends.jacobians(indices)
        return {i: self._continued(i, j, fits[i]) for i, j in zip(indices, jacobians, strict=True)}

    def _continued(self, index: int, jacobian: Tensor, fit: _Fit) -> _Fit:
        slope, known = self.ends.slopes[index], len(fit.words)
        given = self.ends.given[index].detach()
        apart = self._expected[index] - self._readout.all_rows(given)  # (V, H)
        lengths = apart.norm(dim=1).clamp_min(torch.finfo(apart.dtype).tiny)
        limit = self._options.limit(self.ends.share(index))
        while fit.left > limit and len(fit.words) < known + self._options.most:
            rest = slope - fit.amounts @ fit.atoms
            rough = (apart @ (jacobian @ rest).to(apart)) / lengths
            near = rough.topk(min(self._options.shortlist, len(rough))).indices
            atoms = apart[near].double() @ jacobian
            scores = (atoms @ rest) / atoms.norm(dim=1).clamp_min(1e-300)
            scores[torch.isin(near, torch.tensor(fit.words, dtype=torch.long))] = -torch.inf
            best = int(scores.argmax())
            words = [*fit.words, int(near[best])]
            fit = _Fit.of(slope, words, torch.cat([fit.atoms, atoms[best][None]]))
        return fit

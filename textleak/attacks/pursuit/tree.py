"""A tree of prefixes from few rows: one pursuit over many layers at once.

Every layer's rows are sums over the same prefixes, each layer with atoms of its own. The tree grows by the
continuation that explains most: with a score s in a layer, taking an atom lowers the determinant of that
layer's residual moment by the factor 1 - s, so that -log(1 - s), added over the layers, is the likelihood
that it gains. A wrong one on the way costs nothing as long as all that belong fit into the width: at the
end its coefficients are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.prefix.states import Extensions, Prefixes, PrefixStates, kept
from textleak.attacks.prefix.tree import Path, Tree
from textleak.attacks.pursuit.sight import Sight
from textleak.attacks.pursuit.view import View
from textleak.core.bounds import Count
from textleak.models.decoder_parts import Probe


class PursuitOptions(BaseModel):
    """When a pursuit ends.

    Attributes:
        explained: the rows are explained when no layer keeps more than this share of them. Measured
            after the last true atom 1e-4 and less, before it 1e-2 and more (SmolLM2-135M, rank 8).
        ridge: of whitening, as a share of the largest eigenvalue.
        layers: how many layers vote on prefixes.
        scouts: how many of them see every continuation.
        beam: how many continuations, those that the first of them favour, the others see at a time.
        paths: random paths of found words whose states whiten the deeper layers.
        length: words of each of these.
        words: a word counts while chance would bring no more than so many like it.
        chance: a prefix counts likewise.
        patience: so many in a row that do not count end a pursuit of words, or any under noise.
        deviations: under noise, a leaf stays whose coefficients stand out by so many standard deviations;
            the best of thousands by chance has 4.
        weakest: atoms are taken to give the rows no less than this share of what noise does.
        least: a chosen prefix whose coefficients are smaller, beside the largest, does not belong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    explained: float = Field(default=1e-3, gt=0, lt=1)
    ridge: float = Field(default=1e-6, gt=0, lt=1)
    layers: Count = 16
    scouts: Count = 1
    beam: Count = 16
    paths: Count = 120
    length: Count = 12
    words: float = Field(default=3.0, gt=0)
    chance: float = Field(default=0.01, gt=0)
    patience: Count = 20
    deviations: float = Field(default=5.0, gt=0)
    weakest: float = Field(default=0.05, gt=0)
    least: float = Field(default=1e-3, gt=0, lt=1)


def chosen_atoms(views: Sequence[View], options: PursuitOptions) -> list[int]:
    """The candidates, the same in all views, that explain their rows, in the order of their choice."""
    found: list[int] = []
    doubtful, most = 0, min(view.width for view in views) - 1
    while len(found) < most and doubtful <= options.patience and not explained(views, options):
        gains = gains_of(views)
        gain, index = (float(each) for each in gains.max(0))
        if gain <= 0:
            break
        doubtful = doubtful + 1 if by_chance(gains, gain) > options.words else 0
        found.append(int(index))
        for view in views:
            view.choose(found[-1])
    return found if explained(views, options) else found[: len(found) - doubtful]


def explained(views: Sequence[View], options: PursuitOptions) -> bool:
    """Whether what was chosen explains the rows of all views to the last: those without noise."""
    if any(view.noisy for view in views):
        return False
    return max(view.residual for view in views) <= options.explained


def probes_of(sights: Sequence[Sight]) -> list[Probe]:
    """Whose inputs the sights are made of, each once, in order."""
    return list(dict.fromkeys(sight.probe for sight in sights))


def grow_jointly(
    states: PrefixStates,
    views: Sequence[View],
    sights: Sequence[Sight],
    words: Tensor,
    longest: int,
    options: PursuitOptions,
    on_node: Callable[[dict[Path, float]], None] = lambda nodes: None,
) -> Tree:
    """The prefixes that explain the rows of all views, each with how many chance would bring."""
    most, noisy = min(view.width for view in views) - 1, any(view.noisy for view in views)
    nodes: dict[Path, float] = {}
    search = _Search(states, views, sights, words, options)
    doubtful = 0
    while len(nodes) < most and not explained(views, options):
        node, chance = search.taken(longest)
        if node in nodes:
            break  # nothing is left to be taken
        nodes[node] = chance
        on_node(nodes)
        doubtful = doubtful + 1 if chance > options.chance else 0
        if noisy and doubtful > options.patience:
            break  # without noise a wrong turn costs nothing
    if explained(views, options):
        return Tree(_needed(nodes, views, options.least), True)
    if noisy:
        return Tree(_outstanding(nodes, views, options.deviations), False)
    return Tree(_likely(nodes, options.chance), False)


class _Search:
    """The open continuations of a growing tree.

    The first views see every continuation: one block's work for each. The others see those that the
    first hold most of, as soon as they do.
    """

    def __init__(
        self,
        states: PrefixStates,
        views: Sequence[View],
        sights: Sequence[Sight],
        words: Tensor,
        options: PursuitOptions,
    ) -> None:
        self._states, self._sights, self._options = states, sights, options
        self._words = words
        self._probes = probes_of(sights)
        first = self._probes[: options.scouts]
        count = sum(sight.probe in first for sight in sights)
        self._scouts, self._judges = views[:count], views[count:]
        self._open: list[Path] = []
        self._held: dict[Path, Prefixes] = {}
        self._seen: dict[int, tuple[int, Extensions, int]] = {}  # place, what was found, its row
        self._order: list[int] = []  # the same places
        self._expand((), Prefixes(torch.zeros(1, 0, dtype=torch.long)))

    def taken(self, longest: int) -> tuple[Path, float]:
        """Take the continuation that gains most likelihood; with how many chance would bring."""
        gains = gains_of(self._scouts)
        self._look(gains.topk(min(self._options.beam, len(gains))).indices.tolist())
        total = gains[torch.tensor(self._order)]
        if self._judges:
            total = total + gains_of(self._judges)
        place = int(total.argmax())
        index = self._order[place]
        node = self._open[index]
        for view in self._scouts:
            view.choose(index)
        for view in self._judges:
            view.choose(place)
        if len(node) < longest:
            _, found, row = self._seen[index]
            memory = tuple(
                (keys[row : row + 1], values[row : row + 1]) for keys, values in found.memory
            )
            one, first = Extensions(range(1), [], memory), torch.zeros(1, 2, dtype=torch.long)
            prefix = kept(self._held[node[:-1]], one, torch.tensor(node[-1:]), first)
            self._expand(node, prefix)
        return node, by_chance(total, float(total[place]))

    def _expand(self, path: Path, prefix: Prefixes) -> None:
        self._held[path] = prefix
        probes = self._probes[: self._options.scouts]
        (found,) = self._states.extended(prefix, self._words, probes)
        self._show(self._scouts, self._sights, probes, [inputs[0] for inputs in found.inputs])
        self._open.extend((*path, word) for word in self._words.tolist())

    @staticmethod
    def _show(
        views: Sequence[View],
        sights: Sequence[Sight],
        probes: Sequence[Probe],
        inputs: Sequence[Tensor],
    ) -> None:
        """Give views what their sights make of the inputs of probes, (P, width) each."""
        for view, sight in zip(views, sights, strict=False):
            view.add(sight.atoms(inputs[probes.index(sight.probe)]))

    def _look(self, indices: Sequence[int]) -> None:
        """Show the other views those of the continuations that they have not seen."""
        fresh = [index for index in indices if index not in self._seen]
        if not fresh:
            return
        prefixes = [self._held[self._open[index][:-1]] for index in fresh]
        words = torch.tensor([self._open[index][-1] for index in fresh])
        found = self._states.continued(prefixes, words, self._probes)
        behind = self._sights[len(self._scouts) :]
        self._show(self._judges, behind, self._probes, [each[:, 0] for each in found.inputs])
        for row, index in enumerate(fresh):
            self._seen[index] = (len(self._order), found, row)
            self._order.append(index)


def gains_of(views: Sequence[View]) -> Tensor:
    """How much likelihood each candidate gains, over all views; nothing where it was chosen."""
    return torch.stack([-torch.log1p(-view.scores().clamp_max(1 - 1e-6)) for view in views]).sum(0)


def by_chance(gains: Tensor, gain: float) -> float:
    """How many candidates would gain so much if none belonged.

    By chance a score is of a Beta law, and -log(1 - s) falls off exponentially; how fast, the upper tail
    of all candidates tells, few of which ever belong.

    >>> draws = torch.distributions.Exponential(2.0).sample((100_000,))
    >>> 0.01 < by_chance(draws, 7.0) < 0.3  # 100,000 exp(-14) = 0.08
    True
    """
    last, tail = len(gains) // 100, len(gains) // 10
    if last < 1:
        return 0.0
    ordered = gains.topk(tail + 1).values
    width = float(ordered[last] - ordered[tail])
    return last * math.exp(-math.log(10) * (gain - float(ordered[last])) / max(width, 1e-12))


def _outstanding(
    nodes: dict[Path, float], views: Sequence[View], deviations: float
) -> dict[Path, float]:
    """Backward elimination: the leaf that stands out of noise least goes, until all that are left do."""
    kept = list(nodes)
    place = {path: index for index, path in enumerate(kept)}
    least = deviations * (2 * sum(view.rank for view in views)) ** 0.5
    while kept:
        signals = torch.stack([view.signals([place[path] for path in kept]) for view in views]).sum(
            0
        )
        inner = torch.tensor([any(other[:-1] == path for other in kept) for path in kept])
        signals = signals.masked_fill(inner, torch.inf)
        weakest = int(signals.argmin())
        if float(signals[weakest]) > least:
            break
        del kept[weakest]
    return {path: nodes[path] for path in kept}


def _likely(nodes: dict[Path, float], chance: float) -> dict[Path, float]:
    """The prefixes that are no chance, and what leads to them."""
    ends = [path for path, by in nodes.items() if by <= chance]
    needed = {path[:n] for path in ends for n in range(1, len(path) + 1)}
    return {path: nodes[path] for path in nodes if path in needed}


def _needed(nodes: dict[Path, float], views: Sequence[View], least: float) -> dict[Path, float]:
    """The prefixes with coefficients, and what leads to them."""
    weights = torch.stack([view.weights() for view in views]).max(0).values  # (nodes,)
    paths = list(nodes)
    ends = [path for path, weight in zip(paths, weights.tolist(), strict=True) if weight > least]
    needed = {path[:n] for path in ends for n in range(1, len(path) + 1)}
    return {path: nodes[path] for path in paths if path in needed}

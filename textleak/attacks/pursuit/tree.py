"""A tree of prefixes from few rows: one pursuit over many layers at once.

Every layer's rows are sums over the same prefixes, each layer with atoms of its own. The tree grows by the
continuation that explains most: with a score s in a layer, taking an atom lowers the determinant of that
layer's residual moment by the factor 1 - s, so that -log(1 - s), added over the layers, is the likelihood
that it gains. A wrong one on the way costs nothing as long as all that belong fit into the width: at the
end its coefficients are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.prefix.states import Extensions, Prefixes, PrefixStates, kept
from textleak.attacks.prefix.tree import Path, Tree
from textleak.attacks.pursuit.view import View
from textleak.core.bounds import Count
from textleak.models.decoder_parts import Probe


class PursuitOptions(BaseModel):
    """When a pursuit ends.

    Attributes:
        explained: the rows are explained when no layer keeps more than this share of them. Measured
            after the last true atom 1e-4 and less, before it 1e-2 and more (SmolLM2-135M, rank 8).
        share: at most this share of the width is chosen; more is no recovery.
        ridge: of whitening, as a share of the largest eigenvalue.
        layers: how many layers vote on prefixes.
        paths: random paths of found words whose states whiten the deeper layers.
        length: words of each of these.
        least: a chosen prefix whose coefficients are smaller, beside the largest, does not belong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    explained: float = Field(default=1e-3, gt=0, lt=1)
    share: float = Field(default=0.5, gt=0, lt=1)
    ridge: float = Field(default=1e-6, gt=0, lt=1)
    layers: Count = 8
    paths: Count = 120
    length: Count = 12
    least: float = Field(default=1e-3, gt=0, lt=1)


def chosen_atoms(view: View, options: PursuitOptions) -> list[int]:
    """The candidates of one view that explain its rows, in the order of their choice."""
    found: list[int] = []
    while view.residual > options.explained and len(found) < options.share * view.width:
        found.append(int(view.scores().argmax()))
        view.choose(found[-1])
    return found


def grow_jointly(
    states: PrefixStates,
    views: Sequence[View],
    probes: Sequence[Probe],
    words: Tensor,
    longest: int,
    options: PursuitOptions,
    on_node: Callable[[dict[Path, float]], None] = lambda nodes: None,
) -> Tree:
    """The prefixes that explain the rows of all views."""
    most = options.share * min(view.width for view in views)
    open_paths: list[tuple[Path, int]] = []
    held: dict[Path, tuple[Prefixes, Extensions]] = {}
    nodes: dict[Path, float] = {}

    def expand(prefixes: Prefixes, path: Path) -> None:
        (found,) = states.extended(prefixes, words, probes)
        held[path] = (prefixes, found)
        for view, inputs in zip(views, found.inputs, strict=True):
            view.add(inputs[0])
        open_paths.extend((path, column) for column in range(len(words)))

    expand(Prefixes(torch.zeros(1, 0, dtype=torch.long)), ())
    while len(nodes) < most and max(view.residual for view in views) > options.explained:
        index = _best(views)
        path, column = open_paths[index]
        node = (*path, int(words[column]))
        for view in views:
            view.choose(index)
        nodes[node] = max(view.residual for view in views)
        on_node(nodes)
        if len(node) < longest:
            prefixes, found = held[path]
            expand(kept(prefixes, found, words, torch.tensor([[0, column]])), node)
    complete = max(view.residual for view in views) <= options.explained
    return Tree(_needed(nodes, views, options.least) if complete else nodes, complete)


def _best(views: Sequence[View]) -> int:
    """The candidate that gains most likelihood; one that was chosen has nothing left to gain."""
    gains = [-torch.log1p(-view.scores().clamp_max(1 - 1e-6)) for view in views]  # each (P,)
    return int(torch.stack(gains).mean(0).argmax())


def _needed(nodes: dict[Path, float], views: Sequence[View], least: float) -> dict[Path, float]:
    """The prefixes with coefficients, and what leads to them."""
    weights = torch.stack([view.weights() for view in views]).max(0).values  # (nodes,)
    paths = list(nodes)
    ends = [path for path, weight in zip(paths, weights.tolist(), strict=True) if weight > least]
    needed = {path[:n] for path in ends for n in range(1, len(path) + 1)}
    return {path: nodes[path] for path in paths if path in needed}

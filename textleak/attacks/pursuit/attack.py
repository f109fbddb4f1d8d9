"""`subspace` on a causal model's adapter: words, then prefixes, then last tokens, by pursuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path
from textleak.attacks.pursuit.endings import last_words
from textleak.attacks.pursuit.tree import PursuitOptions, chosen_atoms, grow_jointly
from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening
from textleak.core.batch import TokenBatch, padded
from textleak.core.errors import UpdateError
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.decoder_parts import Probe
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel


def few_rows(family: Decoder, shared: Mapping[str, Tensor]) -> bool:
    """Whether what sees words shares fewer rows than their inputs are wide: spans are of no use then."""
    gradients = family.parts.words.gradients(shared)
    return bool(gradients) and sum(map(len, gradients)) < gradients[0].shape[1]


def run_pursuit(
    model: TextModel,
    family: Decoder,
    update: SharedUpdate,
    session: Session,
    options: PursuitOptions,
) -> Candidate:
    """Recover the batch behind few rows of a causal model's gradient.

    Raises:
        UpdateError: the task is not the next token, places enter by a table, the rows are zero, or they
            are not explained by words.
    """
    shared, states = update.gradients, PrefixStates(family.module)
    if not model.task.words:
        raise UpdateError(f"pursuit reads no labels of {model.task.name}: try dlg")
    if family.embeddings.positions is not None:
        raise UpdateError("pursuit needs inputs that show words alone, not their places: try dlg")
    rows = _rows(family.parts.words, shared)
    if rows is None:
        raise UpdateError("the first layer's rows are zero (an adapter's first step): try dlg")
    inputs = states.alone(family.parts.words, torch.arange(len(model.word_table)), 0).cpu()
    view = View(rows, whitening(inputs, options.ridge))
    view.add(inputs)
    words = torch.tensor(chosen_atoms(view, options))
    del inputs
    if view.residual > options.explained:
        raise UpdateError(f"{len(words)} words leave {view.residual:.0e} of the first layer's rows")

    def tell(nodes: Mapping[Path, float]) -> None:
        session.evaluated(1)
        leaves = _leaves(nodes)
        sure = [[1.0] * len(leaf) for leaf in leaves]
        found = Candidate(_batch(model, leaves), sure, min(nodes.values()))
        session.progress(found, stage="prefixes", iteration=len(nodes))

    probes = [p for p in family.parts.prefixes if _rows(p, shared) is not None][: options.layers]
    if not probes:
        raise UpdateError("no layer behind the first shares rows that tell prefixes")
    views = _views(states, probes, shared, words, options)
    tree = grow_jointly(states, views, probes, words, model.max_length - 1, options, tell)
    stages = [f"{len(words)} words", f"{len(tree.nodes)} prefixes"]
    leaves = _leaves(tree.nodes)
    sure = 1.0 if tree.complete else 0.5
    if tree.complete:
        ends = last_words(family.module, family.parts, shared, leaves, options.ridge)
        leaves = [(*leaf, word) for leaf, word in zip(leaves, ends, strict=True)]
    else:
        stages.append("the prefixes do not explain the rows: cut off")
    confidence = [[sure] * len(leaf) for leaf in leaves]
    return Candidate(_batch(model, leaves), confidence, 0.0, notes=tuple(stages))


def _rows(probe: Probe, shared: Mapping[str, Tensor]) -> Tensor | None:
    """The rows that are sums of what `probe` reads; None where none is shared or all are zero."""
    gradients = probe.gradients(shared)
    rows = torch.cat(gradients) if gradients else torch.zeros(0, 1)
    rows = rows[rows.any(1)]
    return rows.cpu() if len(rows) else None


def _views(
    states: PrefixStates,
    probes: Sequence[Probe],
    shared: Mapping[str, Tensor],
    words: Tensor,
    options: PursuitOptions,
) -> list[View]:
    """A view for each probe, whitened by random paths of the found words."""
    draws = torch.Generator().manual_seed(0)
    shape = (options.paths, options.length)
    paths = words[torch.randint(len(words), shape, generator=draws)]
    views = []
    for probe, seen in zip(probes, states.along(probes, paths), strict=True):
        rows = _rows(probe, shared)
        assert rows is not None
        views.append(View(rows, whitening(seen.cpu(), options.ridge)))
    return views


def _leaves(nodes: Mapping[Path, float]) -> list[Path]:
    inner = {path[:-1] for path in nodes}
    return [path for path in nodes if path not in inner]


def _batch(model: TextModel, rows: Sequence[Path]) -> TokenBatch:
    ids, mask = padded(rows, int(model.tokenizer.pad_token_id))
    return model.task.relabelled(TokenBatch(ids, mask, ids))

"""`subspace` on a causal model's adapter: words, then prefixes, then last tokens, by pursuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path, Tree
from textleak.attacks.pursuit.endings import last_words
from textleak.attacks.pursuit.noise import row_noise, weighed
from textleak.attacks.pursuit.tree import PursuitOptions, chosen_atoms, grow_jointly
from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening
from textleak.core.batch import TokenBatch, padded
from textleak.core.errors import UpdateError
from textleak.core.noise import NoiseLaw
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models.decoder_parts import Probe
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel


def few_rows(family: Decoder, shared: Mapping[str, Tensor]) -> bool:
    """Whether what sees words shares fewer rows than their inputs are wide: spans are of no use then."""
    gradients = family.parts.words.gradients(shared)
    return bool(gradients) and sum(map(len, gradients)) < gradients[0].shape[1]


def first_words(
    model: TextModel,
    shared: Mapping[str, Tensor],
    options: PursuitOptions,
    law: NoiseLaw | None = None,
) -> list[int]:
    """The words that the first layer's rows show, those first that explain most.

    Args:
        model: a causal model.
        shared: the update's gradients.
        options: when the pursuit ends.
        law: of the noise that the protocol put on them.

    Raises:
        UpdateError: places enter by a table, or the rows are zero.
    """
    family = model.family
    assert isinstance(family, Decoder)
    if family.embeddings.positions is not None:
        raise UpdateError("pursuit needs inputs that show words alone, not their places: try dlg")
    rows = _rows(family.parts.words, shared)
    if rows is None:
        raise UpdateError("the first layer's rows are zero (an adapter's first step): try dlg")
    states = PrefixStates(family.module)
    inputs = states.alone(family.parts.words, torch.arange(len(model.word_table)), 0).cpu()
    view = _view(rows, inputs, law, options)
    view.add(inputs)
    return chosen_atoms(view, options)


def run_pursuit(
    model: TextModel,
    family: Decoder,
    update: SharedUpdate,
    session: Session,
    options: PursuitOptions,
) -> Candidate:
    """Recover the batch behind few rows of a causal model's gradient.

    Raises:
        UpdateError: the task is not the next token, places enter by a table, or the rows are zero.
    """
    shared, states = update.gradients, PrefixStates(family.module)
    if not model.task.words:
        raise UpdateError(f"pursuit reads no labels of {model.task.name}: try dlg")
    law = _law(update)
    words = torch.tensor(first_words(model, shared, options, law))
    if not len(words):
        raise UpdateError("no word stands out of the noise on the first layer's rows")

    def tell(nodes: Mapping[Path, float]) -> None:
        session.evaluated(1)
        found = _candidate(model, Tree(dict(nodes), complete=False), ())
        session.progress(found, stage="prefixes", iteration=len(nodes))

    probes = [p for p in family.parts.prefixes if _rows(p, shared) is not None][: options.layers]
    if not probes:
        raise UpdateError("no layer behind the first shares rows that tell prefixes")
    views = _views(states, probes, shared, words, law, options)
    tree = grow_jointly(states, views, probes, words, model.max_length - 1, options, tell)
    stages = [f"{len(words)} words", f"{len(tree.nodes)} prefixes"]
    if not tree.nodes:
        raise UpdateError(f"found {stages[0]}, but no prefix stands out of the noise")
    if not tree.complete:
        stages.append("the prefixes do not explain the rows to the last")
    ends = last_words(family.module, family.parts, shared, tree.leaves(), options.ridge)
    return _candidate(model, tree, ends, stages)


def _candidate(
    model: TextModel, tree: Tree, ends: Sequence[int], notes: Sequence[str] = ()
) -> Candidate:
    """The leaves, each with its last word where they are known; sure as far as chance is ruled out."""
    leaves = tree.leaves()
    sure = [
        [1.0 if tree.complete else 1 / (1 + tree.nodes[leaf[:n]]) for n in range(1, len(leaf) + 1)]
        for leaf in leaves
    ]
    if ends:
        leaves = [(*leaf, word) for leaf, word in zip(leaves, ends, strict=True)]
        sure = [[*row, row[-1]] for row in sure]
    objective = min(tree.nodes.values(), default=0.0)
    return Candidate(_batch(model, leaves), sure, objective, notes=tuple(notes))


def _law(update: SharedUpdate) -> NoiseLaw | None:
    """The noise that the protocol is said to put on every entry."""
    law: NoiseLaw | None = None
    for defence in Defences.parse(update.metadata.defences).update:
        own = defence.noise(update.metadata.batch_size or 1)
        law = own.and_also(law) if own is not None else law
    return law


def _rows(probe: Probe, shared: Mapping[str, Tensor]) -> Tensor | None:
    """The rows that are sums of what `probe` reads; None where none is shared or all are zero."""
    gradients = probe.gradients(shared)
    rows = torch.cat(gradients) if gradients else torch.zeros(0, 1)
    rows = rows[rows.any(1)]
    return rows.cpu().float() if len(rows) else None


def _view(rows: Tensor, sample: Tensor, law: NoiseLaw | None, options: PursuitOptions) -> View:
    """A view whitened by a sample of what its probe reads, and by the noise."""
    variance = row_noise(rows, law)
    if not variance.any():
        return View(rows, whitening(sample, options.ridge))
    weighed_rows, noise = weighed(rows, variance, options.weakest)
    return View(weighed_rows, whitening(sample, options.ridge, noise), 1.0)


def _views(
    states: PrefixStates,
    probes: Sequence[Probe],
    shared: Mapping[str, Tensor],
    words: Tensor,
    law: NoiseLaw | None,
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
        views.append(_view(rows, seen.cpu(), law, options))
    return views


def _batch(model: TextModel, rows: Sequence[Path]) -> TokenBatch:
    ids, mask = padded(rows, int(model.tokenizer.pad_token_id))
    return model.task.relabelled(TokenBatch(ids, mask, ids))

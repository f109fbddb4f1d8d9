"""`subspace` on a causal model's adapter: words, then prefixes, then last tokens, by pursuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path, Tree
from textleak.attacks.pursuit.endings import last_words
from textleak.attacks.pursuit.noise import guessed_noise, row_noise, weighed
from textleak.attacks.pursuit.sight import Sight, sights_of
from textleak.attacks.pursuit.tree import (
    PursuitOptions,
    chosen_atoms,
    explained,
    grow_jointly,
    probes_of,
)
from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening
from textleak.core.batch import TokenBatch, padded
from textleak.core.errors import UpdateError
from textleak.core.noise import NoiseLaw
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel


def few_rows(family: Decoder, shared: Mapping[str, Tensor]) -> bool:
    """Whether what sees words shares fewer rows than their inputs are wide: spans are of no use then."""
    gradients = family.parts.words.gradients(shared)
    return bool(gradients) and sum(map(len, gradients)) < gradients[0].shape[1]


def first_words(
    model: TextModel,
    update: SharedUpdate,
    options: PursuitOptions,
) -> tuple[list[int], NoiseLaw | None]:
    """The words that the first layer's rows show, those first that explain most.

    Args:
        model: a causal model.
        update: what the client shared.
        options: when the pursuit ends.

    Returns:
        The words, and the law of the noise: a guess where none is stated and words do not explain the
        rows.

    Raises:
        UpdateError: places enter by a table, the rows are zero, or there are too many words for an
            adapter's first step.
    """
    family, shared, law = model.family, update.gradients, _stated(update)
    assert isinstance(family, Decoder)
    if family.embeddings.positions is not None:
        raise UpdateError("pursuit needs inputs that show words alone, not their places: try dlg")
    sights = sights_of(family.module, family.parts.words, shared)
    if not sights:
        raise UpdateError("the first layer's rows are all zero: try dlg")
    states = PrefixStates(family.module)
    inputs = states.alone(family.parts.words, torch.arange(len(model.word_table)), 0).cpu()
    chosen, views = _chosen(sights, inputs, law, options)
    if law is None and not (explained(views, options) or any(view.noisy for view in views)):
        atoms = sights[0].atoms(inputs).double()
        law = NoiseLaw("gaussian", guessed_noise(sights[0].rows, atoms.T @ atoms) ** 0.5)
        chosen, _ = _chosen(sights, inputs, law, options)
    return chosen, law


def _chosen(
    sights: Sequence[Sight], inputs: Tensor, law: NoiseLaw | None, options: PursuitOptions
) -> tuple[list[int], list[View]]:
    views = [_view(sight, inputs, law, options) for sight in sights]
    full = [view.rank for view in views if view.rank >= view.width]
    if full:
        raise UpdateError(
            f"an adapter's first step shows words while they are fewer than its rank, {full[0]}: try dlg"
        )
    for view, sight in zip(views, sights, strict=True):
        view.add(sight.atoms(inputs))
    return chosen_atoms(views, options), views


def run_pursuit(
    model: TextModel,
    family: Decoder,
    update: SharedUpdate,
    session: Session,
    options: PursuitOptions,
) -> Candidate:
    """Recover the batch behind few rows of a causal model's gradient.

    Raises:
        UpdateError: the task is not the next token, or see `first_words`.
    """
    shared, states = update.gradients, PrefixStates(family.module)
    if not model.task.words:
        raise UpdateError(f"pursuit reads no labels of {model.task.name}: try dlg")
    found, law = first_words(model, update, options)
    if not found:
        raise UpdateError("no word stands out of the noise on the first layer's rows")
    words = torch.tensor(found)

    def tell(nodes: Mapping[Path, float]) -> None:
        session.evaluated(1)
        found = _candidate(model, Tree(dict(nodes), complete=False), ())
        session.progress(found, stage="prefixes", iteration=len(nodes))

    seen = [sights_of(family.module, probe, shared) for probe in family.parts.prefixes]
    sights = [
        sight for found in [each for each in seen if each][: options.layers] for sight in found
    ]
    if not sights:
        raise UpdateError("no layer behind the first shares rows that tell prefixes")
    views = _views(states, sights, words, law, options)
    tree = grow_jointly(states, views, sights, words, model.max_length - 1, options, tell)
    stages = [f"{len(words)} words", f"{len(tree.nodes)} prefixes"]
    if not tree.nodes:
        raise UpdateError(f"found {stages[0]}, but no prefix stands out of the noise")
    if not tree.complete:
        stages.append("the prefixes do not explain the rows to the last")
    ends = last_words(family.module, family.parts, shared, tree.leaves(), law)
    return _candidate(model, tree, ends, stages)


def _candidate(
    model: TextModel, tree: Tree, ends: Sequence[tuple[int, int]], notes: Sequence[str] = ()
) -> Candidate:
    """The leaves, each with its last word and as often as it stands there; sure as far as chance is ruled out."""
    leaves = tree.leaves()
    sure = [
        [1.0 if tree.complete else 1 / (1 + tree.nodes[leaf[:n]]) for n in range(1, len(leaf) + 1)]
        for leaf in leaves
    ]
    if ends:
        again = [row for row, (_, times) in enumerate(ends) for _ in range(times)]
        leaves = [(*leaves[row], ends[row][0]) for row in again]
        sure = [[*sure[row], sure[row][-1]] for row in again]
    objective = min(tree.nodes.values(), default=0.0)
    return Candidate(_batch(model, leaves), sure, objective, notes=tuple(notes))


def _stated(update: SharedUpdate) -> NoiseLaw | None:
    """The noise that the protocol is said to put on every entry."""
    law: NoiseLaw | None = None
    for defence in Defences.parse(update.metadata.defences).update:
        own = defence.noise(update.metadata.batch_size or 1)
        law = own.and_also(law) if own is not None else law
    return law


def _view(sight: Sight, sample: Tensor, law: NoiseLaw | None, options: PursuitOptions) -> View:
    """A view whitened by a sample of what its probe reads, and by the noise."""
    variance = row_noise(sight.rows, law)
    atoms = sight.atoms(sample)
    if not variance.any():
        return View(sight.rows, whitening(atoms, options.ridge))
    rows, noise = weighed(sight.rows, variance, options.weakest)
    return View(rows, whitening(atoms, options.ridge, noise), 1.0)


def _views(
    states: PrefixStates,
    sights: Sequence[Sight],
    words: Tensor,
    law: NoiseLaw | None,
    options: PursuitOptions,
) -> list[View]:
    """A view for each sight, whitened by random paths of the found words."""
    draws = torch.Generator().manual_seed(0)
    shape = (options.paths, options.length)
    paths = words[torch.randint(len(words), shape, generator=draws)]
    probes = probes_of(sights)
    seen = dict(zip(probes, states.along(probes, paths), strict=True))
    return [_view(sight, seen[sight.probe], law, options) for sight in sights]


def _batch(model: TextModel, rows: Sequence[Path]) -> TokenBatch:
    ids, mask = padded(rows, int(model.tokenizer.pad_token_id))
    return model.task.relabelled(TokenBatch(ids, mask, ids))

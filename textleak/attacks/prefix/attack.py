"""`subspace` on a causal model: the tree of prefixes as an attack's run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from textleak.attacks.base import Session
from textleak.attacks.prefix.solve import (
    PrefixOptions,
    Solved,
    class_sequences,
    next_token_sequences,
    solve,
)
from textleak.attacks.prefix.tree import Path
from textleak.core.batch import IGNORED, TokenBatch, padded
from textleak.core.errors import UpdateError
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel


def run_prefixes(
    model: TextModel,
    family: Decoder,
    update: SharedUpdate,
    session: Session,
    options: PrefixOptions,
) -> Candidate:
    """Recover the batch behind the update of a causal model.

    Raises:
        UpdateError: the task's targets are neither next words nor one class, the shared gradients show
            no words or prefixes, or nothing was found.
    """
    if not (model.task.words or model.task.one_class):
        raise UpdateError(
            f"subspace on a decoder does not read labels of {model.task.name}: try dlg"
        )

    def tell(nodes: Mapping[Path, float]) -> None:
        session.evaluated(1)
        inner = {path[:-1] for path in nodes}
        leaves = [path for path in nodes if path not in inner]
        batch = _batch(model, leaves, None)
        session.progress(
            Candidate(batch, [[1.0] * len(leaf) for leaf in leaves], max(nodes.values())),
            stage="prefixes",
            iteration=max(map(len, leaves)),
        )

    solved = solve(family, update.gradients, model.max_length, options, tell)
    if not solved.tree.nodes:
        raise UpdateError("subspace found no prefix")
    return (_words if model.task.words else _classes)(model, solved, options.most)


def _words(model: TextModel, solved: Solved, most: int) -> Candidate:
    found = next_token_sequences(solved)
    _check_size(sum(s.count for s in found), most)
    rows = [s for s in found for _ in range(s.count)]
    batch = _batch(model, [row.ids for row in rows], None)
    labels = torch.full_like(batch.input_ids, IGNORED)
    for index, row in enumerate(rows):
        for place, bears in enumerate(row.bears):
            if bears:
                labels[index, place - 1] = row.ids[place]
    sure = [[1.0] * len(row.ids) for row in rows]
    batch = TokenBatch(batch.input_ids, batch.attention_mask, labels)
    return Candidate(batch, sure, 0.0, notes=tuple(solved.stages))


def _classes(model: TextModel, solved: Solved, most: int) -> Candidate:
    found = class_sequences(solved)
    _check_size(sum(n for *_, n in found), most)
    rows = [(ids, label) for ids, label, n in found for _ in range(n)]
    labels = torch.tensor([label for _, label in rows])
    batch = _batch(model, [ids for ids, _ in rows], labels)
    return Candidate(batch, [[1.0] * len(ids) for ids, _ in rows], 0.0, notes=tuple(solved.stages))


def _check_size(count: int, most: int) -> None:
    if not 0 < count <= most:
        raise UpdateError(
            f"subspace found prefixes, but their targets make a batch of {count} sequences: expected 1 "
            f"to {most}"
        )


def _batch(
    model: TextModel, rows: Sequence[Sequence[int]], labels: torch.Tensor | None
) -> TokenBatch:
    ids, mask = padded(rows, int(model.tokenizer.pad_token_id))
    return TokenBatch(ids, mask, model.task.unlabelled(ids) if labels is None else labels)

"""What `dlg` takes as given: the frame of every sentence, the possible words, their likely places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from textleak.attacks.matching.nearest import standing_words
from textleak.attacks.matching.options import MatchingOptions
from textleak.core.batch import length_mask
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.evidence.batch_words import used_words
from textleak.evidence.words import UsedWords
from textleak.models.text_model import TextModel

Place = tuple[int, ...]  # (sequence, position); of a class label: (sequence,)


@dataclass(frozen=True)
class Facts:
    """The public frame of the private batch.

    Attributes:
        attention_mask: (B, T).
        frame: (B, T) ids known beforehand: [CLS], [SEP], [PAD]; -1 where a word is wanted.
        words: (W,) ids that may stand at a free place.
        used: what the word table's gradient tells of the words, where it is shared.
    """

    attention_mask: Tensor
    frame: Tensor
    words: Tensor
    used: UsedWords | None

    @property
    def free(self) -> Tensor:
        """(B, T) the places at which a word is wanted."""
        return self.frame < 0

    @property
    def sequences(self) -> int:
        """B, the number of sequences."""
        return len(self.frame)

    @property
    def places(self) -> int:
        """N, the free places of the whole batch."""
        return int(self.free.sum())


def gather_facts(model: TextModel, update: SharedUpdate, options: MatchingOptions) -> Facts:
    """Collect what the threat model grants and what the gradients tell exactly.

    Raises:
        UpdateError: the sequence lengths are neither granted nor to be seen.
    """
    lengths = _lengths(model, update)
    frame = _frame(model, lengths, update.metadata.segments)
    masks = model.task.bears == "places"
    words = standing_words(model.tokenizer, masks=masks, framed=model.feed.framed)
    used = None
    if options.words == "gradient":
        used = used_words(model, update)
    if used is not None:
        seen = used.ids[torch.isin(used.ids, words)]
        if len(seen):
            words = seen
        else:  # noise can hide them all
            used = None
    return Facts(length_mask(lengths), frame, words, used)


def place_scores(model: TextModel, update: SharedUpdate, facts: Facts) -> Tensor | None:
    """How much of each word's gradient comes from each position, (T, W): about 1 where it stands.

    Row v of the word table's gradient sums what enters at the places of v, row t of the position
    table's what enters at place t of every sentence: least squares of the one on the other, exact
    for one sentence. None when the update shares only one of the two.
    """
    positions = position_rows(model, update)
    if facts.used is None or positions is None:
        return None
    width = facts.frame.shape[1]
    outside = positions[:width].double()
    outside = outside - outside @ facts.used.decoder.T @ facts.used.decoder  # (T, H)
    size = outside.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    index = torch.searchsorted(facts.used.ids, facts.words)
    deltas = facts.used.deltas[index]  # (W, H)
    solution: Tensor = torch.linalg.lstsq((outside / size).T, deltas.T, driver="gelsd").solution
    scores: Tensor = solution / size  # (T, W)
    return scores.float()


def position_norms(model: TextModel, update: SharedUpdate, facts: Facts) -> Tensor | None:
    """Norms of the position table's gradient rows, relative to the largest of a free place: (T,)."""
    positions = position_rows(model, update)
    if positions is None:
        return None
    norms = positions[: facts.frame.shape[1]].float().norm(dim=1)
    largest = norms[facts.free.any(0)].max()
    return norms / largest if largest > 0 else None


def position_rows(model: TextModel, update: SharedUpdate) -> Tensor | None:
    """The position table's gradient from the first place on, (P, H); None where there is none."""
    positions = model.family.embeddings.positions
    return None if positions is None else positions.of(update.gradients)


def _lengths(model: TextModel, update: SharedUpdate) -> list[int]:
    known = update.metadata.lengths
    if known is not None:
        return list(known)
    positions = position_rows(model, update)
    if update.metadata.batch_size in (None, 1) and positions is not None:
        active = positions.norm(dim=1).nonzero().flatten()
        if 0 < len(active) < len(positions):
            return [int(active[-1]) + 1]
    raise UpdateError(
        "dlg needs the sequence lengths: expected them in the update or as --lengths 12,9"
    )


def _frame(model: TextModel, lengths: list[int], segments: Sequence[int] | None) -> Tensor:
    begin, inner, end = (list(ids) for ids in astuple(model.marks))
    if inner and segments is None:
        raise UpdateError("dlg needs where second segments begin: expected them in the update")
    least = len(begin) + len(end) + 1
    if max(lengths) > model.max_length or min(lengths) < least:
        raise UpdateError(
            f"sequence lengths must lie between {least} and {model.max_length}, got {lengths}"
        )
    frame = torch.full((len(lengths), max(lengths)), -1)
    frame[:, : len(begin)] = torch.tensor(begin, dtype=torch.long)
    for row, length in enumerate(lengths):
        frame[row, length - len(end) : length] = torch.tensor(end, dtype=torch.long)
        frame[row, length:] = int(model.tokenizer.pad_token_id)
    for row, at in enumerate(segments or () if inner else ()):
        frame[row, at - len(inner) : at] = torch.tensor(inner, dtype=torch.long)
    return frame


def free_places(free: Tensor) -> list[Place]:
    """The places where `free` (B, T) is true, row by row."""
    return [(int(row), int(at)) for row, at in torch.nonzero(free)]

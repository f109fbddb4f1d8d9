"""From continuous embeddings to words: the nearest rows of the vocabulary."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

Metric = Literal["cosine", "l2"]


@dataclass(frozen=True)
class Nearest:
    """The k nearest words of each embedding.

    Attributes:
        ids: (N, k) word ids, nearest first.
        distances: (N, k) 1 - cosine, or Euclidean distance.
    """

    ids: Tensor
    distances: Tensor

    def weights(self, sharpness: float = 20.0) -> Tensor:
        """How clearly each of the k words stands out, (N, k); every row sums to 1."""
        return torch.softmax(-sharpness * self.distances, dim=1)


def nearest_words(
    embeddings: Tensor, table: Tensor, words: Tensor, *, k: int = 8, metric: Metric = "cosine"
) -> Nearest:
    """The k nearest of `words` for each embedding.

    Args:
        embeddings: (N, H).
        table: the word embeddings, (V, H).
        words: (W,) the ids that may be chosen.
        k: how many are kept; fewer when there are fewer words.
        metric: `"cosine"` or `"l2"`.

    Returns:
        Ids and distances, each (N, min(k, W)), on the CPU.
    """
    rows = table[words]
    embeddings = embeddings.to(rows)
    if metric == "cosine":
        distances = 1 - F.normalize(embeddings, dim=1) @ F.normalize(rows, dim=1).T  # (N, W)
    else:
        distances = torch.cdist(embeddings, rows)
    best = distances.topk(min(k, len(words)), dim=1, largest=False)
    return Nearest(words[best.indices.cpu()], best.values.cpu())


def standing_words(
    tokenizer: PreTrainedTokenizerBase, *, masks: bool, framed: bool = True
) -> Tensor:
    """The ids that can stand inside a sentence: no frame, no padding, no `[unused]` rows.

    Args:
        tokenizer: the model's tokenizer.
        masks: whether [MASK] can stand in the input.
        framed: the frame's tokens stand at places of their own; of packed rows they stand anywhere.

    Returns:
        (W,) rising ids.
    """
    barred = set(_ids(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}
    if not framed:
        barred -= {tokenizer.cls_token_id, tokenizer.sep_token_id}
    if masks:
        barred.discard(tokenizer.mask_token_id)
    vocabulary = tokenizer.get_vocab()
    unused = {i for word, i in vocabulary.items() if word.startswith("[unused")}
    return torch.tensor([i for i in range(len(tokenizer)) if i not in barred | unused])


def _ids(ids: Collection[int | None]) -> list[int]:
    return [i for i in ids if i is not None]

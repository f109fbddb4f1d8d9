"""Which words a place could hold, from how the head's input answers to a few that were tried there.

The state that a classifier reads is a smooth function of the word embedding at a place. Measured at n words it is
continued to all of them by ridge regression, and the head's likelihood of the continued states ranks the
vocabulary; the best are measured, and so on. A slope at one word says next to nothing: words lie too far apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.attacks.likelihood.options import LikelihoodOptions
from textleak.core.batch import TokenBatch
from textleak.likelihood.likelihoods import Likelihoods
from textleak.models.text_model import TextModel

_RIDGE = 0.1  # of the kernel's mean: the response is not linear


class Responses:
    """Proposes words for places of a single sequence by the state of its first token.

    Args:
        model: the public model.
        likelihoods: scores states.
        words: (W,) ids of the words that can stand.
        options: how many are measured.
    """

    def __init__(
        self, model: TextModel, likelihoods: Likelihoods, words: Tensor, options: LikelihoodOptions
    ) -> None:
        self._model, self._likelihoods = model, likelihoods
        self._words, self._options = words, options
        table = model.word_table.detach()[words].cpu()
        centred = table - table.mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        found = centred @ vectors[:, -options.pieces :]
        self._pieces = found / found.std()  # (W, pieces)

    @staticmethod
    def readable(model: TextModel, batch: TokenBatch) -> bool:
        """Whether the head reads the first token's state alone, and the batch is one sequence."""
        if model.task.bears != "sequences" or len(batch.input_ids) != 1:
            return False
        with torch.no_grad():
            states = model.encode(batch.to(model.device))
            mask = torch.ones_like(batch.attention_mask).to(model.device)
            whole = model.family.class_logits(states, mask)
            first = model.family.class_logits(states[:, :1], mask[:, :1])
        return bool(torch.allclose(whole, first, rtol=1e-4, atol=1e-6))

    def propose(self, batch: TokenBatch, place: int, evidence: Tensor) -> tuple[list[int], int]:
        """The likeliest words of those measured at a place, best first, and how many were.

        Args:
            batch: the sequence as it stands.
            place: where in it.
            evidence: (W,) nats that speak for each word besides.
        """
        current = (self._words == batch.input_ids[0, place]).nonzero().flatten()
        first = evidence.topk(min(self._options.pool, len(evidence))).indices
        spread = torch.randperm(len(self._words))[: self._options.pool]
        fresh = torch.cat([current, first, spread]).unique()  # type: ignore[no-untyped-call]
        seen, states = fresh[:0], torch.zeros(0)
        for look in range(self._options.looks + 1):
            answer = self._states(batch, place, self._words[fresh])
            seen, states = torch.cat([seen, fresh]), torch.cat([states, answer]) if look else answer
            if look == self._options.looks:
                break
            guessed = self._nats(batch, self._continued(seen, states)) + evidence
            guessed[seen] = -torch.inf
            fresh = guessed.topk(min(self._options.guesses, len(guessed))).indices
        nats = self._nats(batch, states) + evidence[seen]
        order = nats.argsort(descending=True)
        return self._words[seen[order]].tolist(), len(seen)

    def _continued(self, seen: Tensor, states: Tensor) -> Tensor:
        """The states of all words, (W, H), from those of the words seen, (n, H)."""
        known = self._pieces[seen]
        middle, mean = known.mean(0), states.mean(0)
        kernel = (known - middle) @ (known - middle).T
        ridge = _RIDGE * float(kernel.diagonal().mean()) * torch.eye(len(seen))
        weights = torch.linalg.solve(kernel + ridge, states - mean)
        found: Tensor = mean + (self._pieces - middle) @ ((known - middle).T @ weights)
        return found

    def _states(self, batch: TokenBatch, place: int, words: Tensor) -> Tensor:
        """The first token's states (n, H) with each of the words at the place."""
        ids = batch.input_ids.repeat(len(words), 1)
        ids[:, place] = words
        ids = ids.to(self._model.device)
        with torch.no_grad():
            return torch.cat(
                [
                    self._model.states(part, torch.ones_like(part))[:, 0]
                    for part in torch.split(ids, 64)
                ]
            ).cpu()

    def _nats(self, batch: TokenBatch, states: Tensor) -> Tensor:
        parts = []
        for part in torch.split(states.to(self._model.device), 4096):
            mask = torch.ones(len(part), 1, dtype=torch.long, device=part.device)
            labels = batch.labels.to(part.device).expand(len(part), *batch.labels.shape[1:])
            parts.append(self._likelihoods.of_states(part[:, None], mask, labels).cpu())
        return torch.cat(parts)

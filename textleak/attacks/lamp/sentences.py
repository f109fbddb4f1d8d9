"""Points of an objective seen as sentences: the norm of their embeddings, their order, their prior."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.lamp.options import LampOptions
from textleak.attacks.lamp.reordering import reorderings
from textleak.attacks.matching.objective import Objective
from textleak.core.batch import TokenBatch
from textleak.models.causal import LanguagePrior
from textleak.models.text_model import TextModel

_CHUNK = 16


class Sentences:
    """Points of the objective as sentences: their embeddings' norms, their order, their prior.

    Args:
        model: the public model.
        objective: what is minimised; a point is its variables (D,).
        session: counts evaluations.
        prior: judges texts, if anyone does.
        options: how it goes.
    """

    def __init__(
        self,
        model: TextModel,
        objective: Objective,
        session: Session,
        prior: LanguagePrior | None,
        options: LampOptions,
    ) -> None:
        self._model, self._objective, self._session = model, objective, session
        self._prior, self._options = prior, options
        self._norm = options.norm or float(model.word_table.detach().norm(dim=1).mean())
        counts = objective.facts.free.sum(1).tolist()
        self._blocks = torch.split(torch.arange(objective.facts.places), [int(n) for n in counts])

    def start(self) -> Tensor:
        """The best of random starts and of their orders, (R, D), its embeddings of usual norm."""
        points = self._objective.start(self._options.restarts * self._options.starts)
        values = self._values(points)
        best = points[values.argsort()[: self._options.restarts]]
        rows = self._rows(best)  # (R, N, H)
        for row, point in enumerate(best):
            orders = [
                torch.cat([b[torch.randperm(len(b))] for b in self._blocks])
                for _ in range(self._options.starts)
            ]
            tried = torch.stack([point, *(self._placed(point, order) for order in orders)])
            best[row] = tried[self._values(tried).argmin()]
        rows = self._rows(best)
        return self._with_rows(best, rows * self._norm / rows.norm(dim=2, keepdim=True))

    def penalty(self, points: Tensor) -> Tensor:
        """The regularisation of points (R, D), (R,)."""
        norms = self._rows(points).norm(dim=2).mean(1)
        distance: Tensor = (norms - self._norm).square()
        return self._options.norm_weight * distance

    def reordered(self, point: Tensor) -> Tensor:
        """The point (D,) with each sentence in the best order that was tried."""
        for index, block in enumerate(self._blocks):
            whole = torch.arange(self._objective.facts.places)
            tried = []
            for order in reorderings(len(block), self._options.moves):
                whole_order = whole.clone()
                whole_order[block] = block[order]
                tried.append(self._placed(point, whole_order))
            points = torch.stack(tried)
            values = self._values(points) + self._unlikeliness(points, index)
            point = points[int(values.argmin())]
        return point

    def _unlikeliness(self, points: Tensor, sentence: int) -> Tensor | float:
        """The weighted loss of the prior on one sentence of each point, (R,)."""
        if self._prior is None:
            return 0.0
        texts = [self._text(point, sentence) for point in points]
        share = self._options.prior_weight / len(self._blocks)
        return share * self._prior(texts).to(points)

    def _text(self, point: Tensor, sentence: int) -> str:
        objective, facts = self._objective, self._objective.facts
        inputs, labels = torch.split(point, [objective.dummy.size, objective.labels.size])
        ids = facts.frame.clone()
        ids[facts.free] = objective.dummy.nearest(inputs, 1).ids[:, 0]
        batch = TokenBatch(ids, facts.attention_mask, objective.labels.decide(labels))
        return self._model.decode(self._model.task.filled(batch)[sentence])

    def _values(self, points: Tensor) -> Tensor:
        self._session.check()
        self._session.evaluated(len(points))
        return torch.cat([self._objective.values(part) for part in torch.split(points, _CHUNK)])

    def _rows(self, points: Tensor) -> Tensor:
        """The embeddings of points (R, D), (R, N, H)."""
        size = self._objective.dummy.size
        return points[:, :size].view(len(points), self._objective.facts.places, -1)

    def _with_rows(self, points: Tensor, rows: Tensor) -> Tensor:
        return torch.cat([rows.flatten(1), points[:, self._objective.dummy.size :]], 1)

    def _placed(self, point: Tensor, order: Tensor) -> Tensor:
        """The point (D,) with its embeddings in another order."""
        rows = self._rows(point[None])[:, order]
        return self._with_rows(point[None], rows)[0]

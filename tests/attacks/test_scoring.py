"""Batches scored together against the plain gradient of each."""

from __future__ import annotations

import pytest
import torch

from tests.sharing import PrivateBatch, share
from textleak.attacks.scoring import BatchScorer
from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.models import TextModel, TokenBatch

SENTENCES = ["the cat sat on the mat .", "a dog ran ."]


def other_batches(private: PrivateBatch, count: int) -> list[TokenBatch]:
    draw = torch.Generator().manual_seed(0)
    found = [private.batch]
    for _ in range(count):
        ids = private.batch.input_ids.clone()
        ids[0, 1:4] = torch.randint(5, 25, (3,), generator=draw)
        found.append(TokenBatch(ids, private.batch.attention_mask, private.batch.labels))
    return found


@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_chunks_equal_the_oracle_one_by_one(task: str, request: pytest.FixtureRequest) -> None:
    model: TextModel = request.getfixturevalue(task)
    private, update = share(model, SENTENCES)
    shared = update.gradients
    batches = other_batches(private, 4)
    distance = Distance("relative-l2")
    found = BatchScorer(model, EngineMatcher(model.module, shared, distance), chunk=3)(batches)
    alone = BatchScorer(model, OracleMatcher(model.module, shared, distance), chunk=1)
    torch.testing.assert_close(found, alone(batches), rtol=1e-3, atol=1e-5)
    assert float(found[0]) < 1e-5 < float(found[1:].min())

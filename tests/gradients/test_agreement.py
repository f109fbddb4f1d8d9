"""A wrong word is seen, whatever its place; rounding is not."""

from __future__ import annotations

import pytest
import torch

from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.gradients import agreement, parameter_gradients
from textleak.models import TextModel, TokenBatch


def gradients(model: TextModel, batch: TokenBatch) -> dict[str, torch.Tensor]:
    return parameter_gradients(model.module, lambda: model.loss(batch))


@pytest.fixture
def private(mlm: TextModel) -> PrivateBatch:
    return Client(mlm, ClientOptions(seed=0)).prepare(["the cat sat on the mat and a dog ran ."])


def test_one_wrong_word_is_never_exact(mlm: TextModel, private: PrivateBatch) -> None:
    shared = gradients(mlm, private.batch)
    for place in range(1, private.batch.lengths[0] - 1):
        ids = private.batch.input_ids.clone()
        ids[0, place] = 5 + (ids[0, place] + 7) % 20
        wrong = TokenBatch(ids, private.batch.attention_mask, private.batch.labels)
        found = agreement(gradients(mlm, wrong), shared)
        assert not found.near
        assert found.worst > 1e4 * found.rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rounding_of_the_update_is_allowed(
    mlm: TextModel, private: PrivateBatch, dtype: torch.dtype
) -> None:
    own = gradients(mlm, private.batch)
    shared = {name: gradient.to(dtype) for name, gradient in own.items()}
    assert agreement(own, shared).near


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_widened_after_rounding_agree_better_than_rounding(
    mlm: TextModel, private: PrivateBatch, dtype: torch.dtype
) -> None:
    own = gradients(mlm, private.batch)
    widened = {name: gradient.to(dtype).float() for name, gradient in own.items()}
    found = agreement(own, widened)
    assert found.near
    assert found.error < 1e-6

"""What an update says of itself is refused where it cannot be true."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.consistency import (
    check_fits,
    check_lengths,
    check_no_weights,
    check_within,
    workable,
)
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.models import TextModel

SENTENCE = "the cat sat on a mat ."


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        (dict(batch_size=-1), "batch_size: expected 1 to 65536, got -1"),
        (dict(batch_size=10**9), "batch_size: expected 1 to 65536, got 1000000000"),
        (dict(lengths=()), "lengths: expected one a sequence, got none"),
        (dict(lengths=(0,)), "lengths: expected 1 to 1048576 each"),
        (dict(lengths=(5, -(10**12))), "lengths: expected 1 to 1048576 each"),
        (dict(batch_size=1, lengths=(5, 6, 7)), "lengths: expected 1, one a sequence, got 3"),
        (dict(lengths=(5,), labels=((1,), (0,))), "labels: expected 1, one a sequence, got 2"),
        (dict(labels=((-1,),)), "labels: expected 0 or more each, got -1"),
        (dict(task="classification", labels=((1, 0),)), "labels: expected one class a sequence"),
        (dict(task="image", labels=((),)), "labels: expected one class a sequence or image"),
        (dict(lengths=(5,), masked_positions=((5,),)), "masked_positions: expected 0 to 4 each"),
        (dict(masked_positions=((2, 2),)), "masked_positions: expected each once"),
        (
            dict(task="mlm", labels=((7, 8),), masked_positions=((1,),)),
            "labels: 2 words for 1 masked positions",
        ),
    ],
)
def test_a_contradiction_is_told(facts: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        UpdateMetadata(**facts)


def test_what_the_model_does_not_have() -> None:
    check_within(UpdateMetadata(labels=((1,),), lengths=(9,)), labels=2, longest=9)
    with pytest.raises(UpdateError, match="grants the label 2, the model has 0 to 1"):
        check_within(UpdateMetadata(labels=((2,),)), labels=2)
    with pytest.raises(UpdateError, match="states 10 tokens, the model takes at most 9"):
        check_within(UpdateMetadata(lengths=(10,)), labels=2, longest=9)


def test_lengths_that_the_positions_rule_out() -> None:
    rows = torch.zeros(9, 2)
    rows[:6] = 1
    for lengths in ((6,), (3, 6), (9,)):  # pruning may have emptied a row
        check_lengths(UpdateMetadata(lengths=lengths), rows)
    with pytest.raises(UpdateError, match=r"shows a sequence of 6 tokens; the longest .* has 5"):
        check_lengths(UpdateMetadata(lengths=(2, 5)), rows)
    check_lengths(UpdateMetadata(lengths=(2,)), torch.ones(9, 2))  # noise fills every row
    check_lengths(UpdateMetadata(lengths=(2,)), None)


EIGHT = [name for name in dir(torch) if name.startswith("float8")]


@pytest.mark.parametrize("name", EIGHT)
def test_eight_bits_are_refused(name: str) -> None:
    update = SharedUpdate({"w": torch.zeros(2).to(getattr(torch, name))}, UpdateMetadata())
    with pytest.raises(UpdateError, match=f"holds {name}, not float64, float32, bfloat16, float16"):
        check_fits(update, {"w": torch.zeros(2)})


def test_weights_are_no_update() -> None:
    draw = torch.Generator().manual_seed(0)
    weights = {"a": torch.randn(40, 30, generator=draw), "b": torch.zeros(30)}
    other = {name: torch.randn(w.shape, generator=draw) for name, w in weights.items()}
    for size in (1e-6, 1.0, 1e6):
        gradients = {name: size * value for name, value in other.items()}
        check_no_weights(SharedUpdate(gradients, UpdateMetadata()), weights)
    check_no_weights(SharedUpdate({"b": other["b"]}, UpdateMetadata()), weights)
    for changed in (0.0, 1e-2):
        near = {name: w + changed * other[name] for name, w in weights.items()}
        with pytest.raises(UpdateError, match="holds the model's weights, not an update"):
            check_no_weights(SharedUpdate(near, UpdateMetadata()), weights)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16]
)  # no half is so large
@pytest.mark.parametrize("size", [1e38, 1e-30])
def test_numbers_beyond_squares_are_scaled_by_a_power_of_two(
    dtype: torch.dtype, size: float
) -> None:
    values = torch.tensor([3.0, -1.0, 0.0], dtype=torch.float64) * size
    scaled = workable(SharedUpdate({"w": values.to(dtype)}, UpdateMetadata())).gradients["w"]
    assert scaled.dtype == dtype
    assert 0.5 <= float(scaled.abs().max()) < 1
    ratio = scaled.double()[:2] / values.to(dtype).double()[:2]
    assert ratio[0] == ratio[1] == 2.0 ** round(float(ratio[0].log2()))


def test_numbers_within_reach_are_left_alone() -> None:
    for values in (torch.tensor([1e-9, 1e9]), torch.zeros(3), torch.zeros(0)):
        update = SharedUpdate({"w": values}, UpdateMetadata())
        assert workable(update) is update


@pytest.mark.parametrize("size", [1e38, 1e-30])
def test_attacks_read_an_update_of_any_size(classifier: TextModel, size: float) -> None:
    from tests.sharing import share

    private, update = share(classifier, [SENTENCE], [1])
    largest = max(float(g.abs().max()) for g in update.gradients.values())
    sized = {name: g / largest * size for name, g in update.gradients.items()}
    update = SharedUpdate(sized, update.metadata)
    for attack in (Dlg(DlgOptions(iterations=30, restarts=4)), Subspace(SubspaceOptions())):
        found = attack(classifier, update)
        assert found.token_ids == private.original_ids
        assert torch.isfinite(torch.tensor(found.candidate.objective))

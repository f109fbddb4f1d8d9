"""An optimiser's state after its first step is the gradient, whichever optimiser and groups."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from textleak.core.errors import UpdateError
from textleak.models import TextModel
from textleak.updates import fitted, read
from textleak.updates.names import Known

Groups = Iterable[Any]
OPTIMISERS: dict[str, Callable[[Groups], torch.optim.Optimizer]] = {
    "AdamW": lambda groups: torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01),
    "Adam": lambda groups: torch.optim.Adam(groups, lr=1e-3, betas=(0.8, 0.99)),
    "Adam with decay": lambda groups: torch.optim.Adam(groups, lr=1e-3, weight_decay=0.01),
    "NAdam": lambda groups: torch.optim.NAdam(groups, lr=1e-3),
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "SGD with decay": lambda groups: torch.optim.SGD(
        groups, lr=0.1, momentum=0.9, weight_decay=0.01
    ),
}


def trained(
    model: TextModel, make: Callable[[Groups], torch.optim.Optimizer], groups: str, path: Path
) -> dict[str, Tensor]:
    """A step of a copy of the model; its gradient, and the state in a file."""
    module: nn.Module = copy.deepcopy(model.module)
    named = dict(module.named_parameters())
    sets: Groups = named.values()
    if groups == "Trainer":
        undecayed = {n for n in named if "bias" in n or "LayerNorm" in n}
        sets = [
            {"params": [p for n, p in named.items() if n not in undecayed]},
            {"params": [p for n, p in named.items() if n in undecayed], "weight_decay": 0.0},
        ]
    elif groups == "by dimension":
        sets = [
            {"params": [p for p in named.values() if p.dim() < 2]},
            {"params": [p for p in named.values() if p.dim() >= 2]},
        ]
    optimiser = make(sets)
    ids = torch.tensor([[2, 5, 7, 9, 3]])
    module(input_ids=ids, labels=ids).loss.backward()
    found = {n: p.grad.clone() for n, p in named.items() if p.grad is not None}
    optimiser.step()
    torch.save(optimiser.state_dict(), path)
    return found


@pytest.mark.parametrize("groups", ["one", "Trainer", "by dimension"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_state_after_one_step_is_the_gradient(
    name: str, groups: str, mlm: TextModel, tmp_path: Path
) -> None:
    truth = trained(mlm, OPTIMISERS[name], groups, tmp_path / "optimizer.pt")
    found = fitted(read(tmp_path / "optimizer.pt"), mlm).update.gradients
    assert found.keys() == truth.keys()
    for key, gradient in truth.items():
        # A moment is rounded twice; decay is added to the gradient first, which rounds their sum.
        size = gradient.abs() + 0.01 * Known.of(mlm.module).parameters[key].abs()
        assert bool(((found[key] - gradient).abs() <= 2**-21 * size).all())
        rows = gradient.flatten(1) if gradient.dim() == 2 else gradient[:, None]
        silent = ~rows.any(1)
        assert not bool(found[key][silent].any())


def test_later_steps_are_said_to_be_mixed(mlm: TextModel, tmp_path: Path) -> None:
    weight = [nn.Parameter(p.detach().clone()) for p in mlm.parameters.values()]
    optimiser = torch.optim.AdamW(weight)
    for _ in range(3):
        for one in weight:
            one.grad = torch.ones_like(one)
        optimiser.step()
    torch.save(optimiser.state_dict(), tmp_path / "o.pt")
    notes = fitted(read(tmp_path / "o.pt"), mlm).notes
    assert notes == ("a mixture of the gradients of 3 steps, from the optimiser's state",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state": {}, "param_groups": []}, "keeps no gradient"),
        ({"state": 3, "param_groups": []}, "no optimiser's state dict"),
        ({"state": {}, "param_groups": [{"lr": 1}]}, "no optimiser's state dict"),
        (
            {
                "state": {0: {"exp_avg": torch.ones(2), "step": torch.tensor(1.0)}},
                "param_groups": [{"params": [0], "betas": (0.9, 0.999)}],
            },
            "keeps 1 moments in 1 groups, which fit the model's 26",
        ),
    ],
)
def test_another_state_is_one_line(content: Any, said: str, mlm: TextModel, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "o.pt")
    with pytest.raises(UpdateError, match=said):
        fitted(read(tmp_path / "o.pt"), mlm)

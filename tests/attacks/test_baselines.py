"""The published baselines on a small model: they descend, they are seeded, they leave it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.sharing import PrivateBatch, share
from textleak.attacks import ATTACKS
from textleak.attacks.base import Session
from textleak.attacks.descent.tag import layer_weights
from textleak.attacks.lamp import LampOptions
from textleak.attacks.lamp.reordering import reorderings
from textleak.attacks.lamp.sentences import Sentences
from textleak.attacks.matching.descent import make_objective
from textleak.attacks.modality import TextModality
from textleak.core.errors import ModelError
from textleak.core.events import Event, Iteration
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.models import TextModel
from textleak.models.causal import load_prior

SENTENCE = "the cat broke a cup and ran on the mat ."
SHORT: dict[str, dict[str, Any]] = {
    "tag": {"iterations": 60},
    "cosine": {"iterations": 60},
    "lamp": {"iterations": 60, "starts": 8, "every": 20, "moves": 8, "learning_rate": 0.05},
}


def shared(model: TextModel, *sentences: str) -> tuple[PrivateBatch, SharedUpdate]:
    return share(model, sentences, threat_model=ThreatModel(labels=True))


def attack(
    name: str, model: TextModel, update: SharedUpdate, events: list[Event], **more: Any
) -> TextReconstruction:
    kind = ATTACKS.load(name)
    options = kind.options_class(**{"labels": "known", **SHORT[name], **more})
    found: TextReconstruction = kind(options)(model, update, on_event=events.append)
    return found


@pytest.mark.parametrize("name", SHORT)
def test_a_baseline_descends_and_finds_words(name: str, classifier: TextModel) -> None:
    private, update = shared(classifier, SENTENCE)
    events: list[Event] = []
    found = attack(name, classifier, update, events)
    path = [event.objective for event in events if isinstance(event, Iteration)]
    assert path[-1] < path[0]
    assert path == sorted(path, reverse=True)
    assert found.evaluations >= 60
    assert set(found.token_ids[0]) & set(private.original_ids[0][1:-1])


@pytest.mark.parametrize("name", SHORT)
def test_a_baseline_is_seeded_and_leaves_the_model_alone(name: str, mlm: TextModel) -> None:
    before = {key: value.clone() for key, value in mlm.module.state_dict().items()}
    _, update = shared(mlm, SENTENCE, "a dog sat !")
    one, two = (attack(name, mlm, update, [], iterations=3, labels="analytic") for _ in range(2))
    assert one.token_ids == two.token_ids
    assert one.candidate.objective == two.candidate.objective
    assert [len(ids) for ids in one.token_ids] == list(update.metadata.lengths or ())
    assert all(torch.equal(v, before[k]) for k, v in mlm.module.state_dict().items())


def test_lamp_takes_the_other_distance(classifier: TextModel) -> None:
    _, update = shared(classifier, SENTENCE)
    events: list[Event] = []
    attack("lamp", classifier, update, events, distance="tag", iterations=5)
    assert events


def test_l1_is_weighted_by_layer_in_engine_and_oracle(classifier: TextModel) -> None:
    _, update = shared(classifier, SENTENCE)
    other = shared(classifier, "a dog sat on the mat and ran .")[0].batch
    alphas = layer_weights(update.gradients)
    assert alphas["bert.embeddings.position_embeddings.weight"] == 1.0
    values = []
    for kind in (EngineMatcher, OracleMatcher):
        for factors in ({}, alphas):
            matcher = kind(
                classifier.module, update.gradients, Distance("tag", alpha=0.1, alphas=factors)
            )
            values.append(float(matcher(lambda _: classifier.loss(other), differentiable=False)))
    assert values[0] == pytest.approx(values[2], rel=1e-4)
    assert values[1] == pytest.approx(values[3], rel=1e-4)
    assert values[1] < values[0]


def test_reorderings_keep_every_word_and_begin_with_the_order_as_it_is() -> None:
    torch.manual_seed(0)
    orders = reorderings(6, 41)
    assert orders[0].tolist() == list(range(6))
    assert len(orders) == 41
    assert all(sorted(order.tolist()) == list(range(6)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) >= 15
    assert [order.tolist() for order in reorderings(1, 5)] == [[0]] * 5


@pytest.fixture(scope="module")
def gpt_folder(tmp_path_factory: pytest.TempPathFactory, mlm: TextModel) -> str:
    """A GPT-2 of one layer that knows the sentence, with the small tokenizer."""
    folder = tmp_path_factory.mktemp("prior")
    torch.manual_seed(0)
    size = len(mlm.tokenizer)
    config = GPT2Config(
        vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=32,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    module = GPT2LMHeadModel(config)
    ids = torch.tensor([mlm.tokenizer(SENTENCE, add_special_tokens=False)["input_ids"]])
    solver = torch.optim.Adam(module.parameters(), lr=0.03)
    for _ in range(60):
        solver.zero_grad()
        module(input_ids=ids, labels=ids).loss.backward()
        solver.step()
    module.save_pretrained(folder)
    mlm.tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_prior_prefers_the_text_that_it_knows_and_bears_company(gpt_folder: str) -> None:
    prior = load_prior(gpt_folder)
    texts = [SENTENCE, "mat the on ran and cup a broke cat the .", "the", ""]
    losses = prior(texts)
    assert float(losses[0]) < 1.0 < float(losses[1])
    alone = torch.cat([prior([text]) for text in texts])
    torch.testing.assert_close(losses, alone)


def test_lamp_orders_words_by_its_prior(gpt_folder: str, classifier: TextModel) -> None:
    private, update = shared(classifier, SENTENCE)
    options = LampOptions(labels="known", moves=40, prior_weight=1e3)
    objective = make_objective(classifier, update, options, Distance("cosine"))
    prior = load_prior(gpt_folder)
    sentences = Sentences(classifier, objective, Session(TextModality(classifier)), prior, options)
    words = private.batch.input_ids[0, 1:-1]
    torch.manual_seed(0)
    mixed = words[torch.randperm(len(words))]
    point = classifier.word_table.detach()[mixed].flatten()

    def loss(point: torch.Tensor) -> float:
        ids = objective.dummy.nearest(point, 1).ids[:, 0]
        return float(prior([classifier.decode(ids.tolist())]))

    better = sentences.reordered(sentences.reordered(point))
    assert loss(better) < loss(point) - 0.5
    assert sorted(better.tolist()) == sorted(point.tolist())


def test_a_prior_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no language model folder at './none'"):
        load_prior("./none")
    with pytest.raises(ModelError, match="cannot load the language model"):
        load_prior(str(tmp_path))

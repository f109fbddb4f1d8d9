"""Decoders: every family's batch comes back, whatever its norms, positions, blocks and head."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families.folders import CORPUS, DECODERS, make_folder

from textleak.attacks import ATTACKS
from textleak.attacks.prefix.states import Prefixes, PrefixStates, kept
from textleak.client import Client, ClientOptions
from textleak.client.client import PrivateBatch
from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.reconstruction import TextReconstruction
from textleak.core.update import SharedUpdate
from textleak.models import ModelOptions, TextModel, load_model
from textleak.models.families.decoder import Decoder


def model_of(tmp_path: Path, family: str, task: str = "causal") -> TextModel:
    return load_model(ModelOptions(name=make_folder(tmp_path, family, task)), task)


def shared_of(
    model: TextModel, sentences: list[str], labels: list[int] | None = None
) -> tuple[SharedUpdate, list[list[int]]]:
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(sentences, labels)
    return client.share(private), private.original_ids


def recovered(model: TextModel, update: SharedUpdate) -> TextReconstruction:
    kind = ATTACKS.load("subspace")
    return kind(kind.options_class())(model, update, seed=1)


@pytest.mark.parametrize("family", DECODERS)
def test_a_batch_of_next_tokens_comes_back(family: str, tmp_path: Path) -> None:
    model = model_of(tmp_path, family)
    update, truth = shared_of(model, CORPUS[:3])
    found = recovered(model, update)
    assert sorted(found.token_ids) == sorted(truth)
    assert found.verified


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_batch_of_classes_comes_back(family: str, tmp_path: Path) -> None:
    model = model_of(tmp_path, family, "classification")
    update, truth = shared_of(model, CORPUS[:3], [2, 0, 1])
    found = recovered(model, update)
    assert sorted(zip(found.token_ids, found.labels, strict=True)) == sorted(
        zip(truth, [[2], [0], [1]], strict=True)
    )
    assert found.verified


def test_twins_beginnings_and_repeated_first_words_come_back(tmp_path: Path) -> None:
    model = model_of(tmp_path, "llama")
    texts = ["rain rain rain fell", "rain fell on", "rain fell on the roof", "rain fell on"]
    update, truth = shared_of(model, texts)
    assert sorted(recovered(model, update).token_ids) == sorted(truth)


@pytest.mark.parametrize("factor", [7.0, -0.01, 65536.0])
def test_a_factor_changes_nothing(factor: float, tmp_path: Path) -> None:
    model = model_of(tmp_path, "llama")
    update, truth = shared_of(model, CORPUS[:2])
    scaled = {name: factor * gradient for name, gradient in update.gradients.items()}
    found = recovered(model, SharedUpdate(scaled, update.metadata))
    assert sorted(found.token_ids) == sorted(truth)


@pytest.mark.parametrize("pattern", ["*attn*", "*mlp*", "*.0.*"])
def test_part_of_the_blocks_is_enough_for_the_prefixes(pattern: str, tmp_path: Path) -> None:
    from textleak.core.threat_model import ThreatModel

    model = model_of(tmp_path, "llama")
    granted = ThreatModel(shared=("*layers.0.self_attn.[qkv]*", pattern))
    client = Client(model, ClientOptions(seed=0), granted)
    private = client.prepare(CORPUS[:2])
    found = recovered(model, client.share(private))
    for ids, truth in zip(sorted(found.token_ids), sorted(private.original_ids), strict=True):
        assert ids[: len(truth) - 1] == truth[:-1]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "opt"])
def test_words_side_by_side_leave_the_states_that_whole_texts_do(
    family: str, tmp_path: Path
) -> None:
    model = model_of(tmp_path, family)
    assert isinstance(model.family, Decoder)
    probe = model.family.parts.blocks[1][0]
    states = PrefixStates(model.module)
    words = torch.tensor([7, 9, 30])
    level = Prefixes(torch.zeros(1, 0, dtype=torch.long))
    for _ in range(3):
        (found,) = states.extended(level, words, [probe])
        for row in range(len(level)):
            for column, word in enumerate(words.tolist()):
                whole = torch.tensor([[*level.words[row].tolist(), word]])
                seen: list[torch.Tensor] = []
                module = model.module.get_submodule(probe.entry)
                hook = module.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
                with torch.no_grad():
                    model.module(input_ids=whole)
                hook.remove()
                error = (found.inputs[0][row, column] - seen[0][0, -1]).norm() / seen[0][
                    0, -1
                ].norm()
                assert float(error) < 64 * torch.finfo(torch.float32).eps
        level = kept(level, found, words, torch.tensor([[0, 1], [len(level) - 1, 2]]))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_updates_of_half_precision_come_back(kind: torch.dtype, tmp_path: Path) -> None:
    model = model_of(tmp_path, "llama")
    update, truth = shared_of(model, CORPUS[:2])
    halved = {name: gradient.to(kind).float() for name, gradient in update.gradients.items()}
    found = recovered(model, SharedUpdate(halved, update.metadata))
    assert sorted(found.token_ids) == sorted(truth)


def test_loss_on_the_answers_alone_tells_every_turn(tmp_path: Path) -> None:
    model = model_of(tmp_path, "llama")
    (row,) = model.tokenizer(["the cat sat down . rain fell on the roof . she sang"])["input_ids"]
    ids = torch.tensor([row])
    labels = torch.cat([ids[:, 1:], torch.full((1, 1), IGNORED)], dim=1)
    labels[:, [0, 1, 4, 5, 6]] = IGNORED  # two prompts
    batch = TokenBatch(ids, torch.ones_like(ids), labels)
    client = Client(model, ClientOptions(seed=0))
    found = recovered(model, client.share(PrivateBatch(batch, [row])))
    assert found.token_ids == [row]
    assert torch.equal(found.candidate.batch.labels, labels)
    assert found.verified


def test_a_text_that_fills_most_of_the_width_comes_back(tmp_path: Path) -> None:
    model = model_of(tmp_path, "llama")
    update, truth = shared_of(model, [" ".join(" ".join(CORPUS).split()[:55])])
    assert recovered(model, update).token_ids == truth

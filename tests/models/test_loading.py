from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from transformers import GPT2Config, GPT2Model

from textleak.core.errors import ConfigError, ModelError
from textleak.models import ModelOptions, TextModel, load_model, loading
from textleak.models.activations import ACTIVATIONS


def refused(name: str, match: str) -> None:
    with pytest.raises(ModelError, match=match) as error:
        load_model(ModelOptions(name=name))
    assert "\n" not in str(error.value)


def test_a_folder_gives_its_own_weights(mlm: TextModel, mlm_folder: str) -> None:
    assert mlm.recipe.name == mlm_folder
    assert mlm.notes == ()
    assert not mlm.module.training
    again = load_model(ModelOptions(name=mlm_folder))
    assert again.recipe.fingerprint == mlm.recipe.fingerprint


def test_random_weights_follow_their_seed(mlm: TextModel, mlm_folder: str) -> None:
    first, same, other = (
        load_model(ModelOptions(name=mlm_folder, weights="random", weights_seed=seed))
        for seed in (1, 1, 2)
    )
    assert first.recipe.fingerprint == same.recipe.fingerprint != other.recipe.fingerprint
    assert first.recipe.fingerprint != mlm.recipe.fingerprint
    assert first.notes == ("random weights, seed 1",)


def test_loading_leaves_the_random_state_alone(mlm_folder: str) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    load_model(ModelOptions(name=mlm_folder, weights="random"))
    assert torch.equal(before, torch.get_rng_state())


def test_a_head_that_is_not_in_the_checkpoint_is_said(mlm_folder: str) -> None:
    model = load_model(ModelOptions(name=mlm_folder, num_labels=4), "classification")
    assert "not in the checkpoint" in model.notes[0]
    assert model.parameters["classifier.weight"].shape[0] == 4


def test_a_classifier_keeps_its_number_of_classes(classifier: TextModel) -> None:
    assert classifier.parameters["classifier.weight"].shape[0] == 3
    assert classifier.notes == ()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_swapped_in(mlm_folder: str, name: str) -> None:
    model = load_model(ModelOptions(name=mlm_folder, activation=name))
    assert model.recipe.activation == name
    assert bool(model.notes) == (name != "keep")


def test_an_unknown_activation_is_told_the_nearest(mlm_folder: str) -> None:
    with pytest.raises(ConfigError, match="unknown activation 'tahn'; did you mean 'tanh'"):
        load_model(ModelOptions(name=mlm_folder, activation="tahn"))


@pytest.mark.parametrize(("slip", "meant"), [("minlm", "minilm"), ("bert-mimi", "bert-mini")])
def test_a_slip_of_the_pen_never_asks_the_hub(
    monkeypatch: pytest.MonkeyPatch, slip: str, meant: str
) -> None:
    monkeypatch.setattr(loading, "local_only", lambda source: pytest.fail("asked the Hub"))
    refused(slip, f"unknown model '{slip}'; did you mean '{meant}'")


def test_a_hub_id_without_network_fails_at_once_and_quietly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = []

    class Session:
        def head(self, url: str, timeout: float) -> None:
            requests.append((url, timeout))
            raise ConnectionError("no network")

    loading.local_only.cache_clear()
    monkeypatch.setattr(loading, "get_session", Session)
    monkeypatch.setattr(loading, "HF_HUB_OFFLINE", False)
    with caplog.at_level(logging.WARNING):
        refused("somebody/some-model", "not in the local cache and the Hub does not answer")
    loading.local_only.cache_clear()
    assert len(requests) == 1
    assert requests[0][1] <= 5
    assert caplog.records == []


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "a/b/c", "~/none"])
def test_a_path_is_never_taken_for_a_hub_id(name: str) -> None:
    refused(name, "no model folder at")


def test_folders_that_are_no_models_say_what_they_lack(tmp_path: Path, mlm_folder: str) -> None:
    refused(str(tmp_path), "it has no config.json")
    tiny_config().save_pretrained(tmp_path)
    refused(str(tmp_path), "it has no tokenizer")
    tiny_tokenizer().save_pretrained(tmp_path)
    refused(str(tmp_path), "cannot load weights")
    whole = tmp_path / "whole"
    shutil.copytree(mlm_folder, whole)
    weights = whole / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    refused(str(whole), "cannot load weights")
    (whole / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    refused(str(whole), "cannot load a model from the folder")


def test_a_family_without_a_head_for_the_task_is_refused(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=25, n_positions=24, n_embd=16, n_layer=1, n_head=2)
    GPT2Model(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    refused(str(tmp_path), "models of the family 'gpt2' have no head for mlm")

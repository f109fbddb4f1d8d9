"""Adapters: what is trained, what is read from a folder, and how its tensors are called."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from families.folders import make_folder
from safetensors.torch import load_file, save_file

from textleak.core.errors import ConfigError, ModelError
from textleak.models import ModelOptions, TextModel, load_model
from textleak.models.adapters import own_names
from textleak.models.inspection import inspect_model

peft = pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_folder(tmp_path_factory.mktemp("llama"), "llama", "causal")


def adapted(base: str, adapter: str = "lora:rank=2", **more: int) -> TextModel:
    return load_model(ModelOptions(name=base, adapter=adapter, **more), "causal")


def saved(model: TextModel, path: Path, **settings: object) -> str:
    """The adapter of `model` as peft writes it."""
    config = peft.LoraConfig(r=2, lora_alpha=16, target_modules=["q_proj", "v_proj"], **settings)
    fresh = load_model(ModelOptions(name=model.recipe.name), "causal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' of what peft asks it
        wrapped = peft.get_peft_model(fresh.module, config)
    own = {n: p for n, p in fresh.module.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in model.parameters.items():
            own[name].copy_(parameter)
    wrapped.save_pretrained(path)
    return str(path)


def test_the_adapter_alone_is_trained(base: str) -> None:
    model = adapted(base)
    plain = load_model(ModelOptions(name=base), "causal")
    assert {name.split(".")[-3] for name in model.parameters} == {"lora_A", "lora_B"}
    assert not any("lora" in name for name in plain.parameters)
    zero = [name for name, p in model.parameters.items() if not p.any()]
    assert zero == [name for name in model.parameters if "lora_B" in name]
    assert type(model.module) is type(plain.module)


def test_public_steps_move_b_and_only_the_adapter(base: str) -> None:
    first, again = (adapted(base, adapter_steps=2) for _ in range(2))
    assert all(bool(p.any()) for p in first.parameters.values())
    assert first.recipe.fingerprint == again.recipe.fingerprint
    assert first.recipe.fingerprint != adapted(base).recipe.fingerprint
    assert next(first.module.parameters()).dtype == torch.float32
    assert all(p.grad is None for p in first.module.parameters())
    assert torch.equal(first.word_table, adapted(base).word_table)


def test_the_seed_draws_the_adapter(base: str) -> None:
    marks = {adapted(base, adapter_seed=seed).recipe.fingerprint for seed in (0, 0, 1)}
    assert len(marks) == 2


@pytest.mark.parametrize(
    ("spec", "ending"),
    [
        ("lora:rank=2,dora=true", "lora_magnitude_vector.default.weight"),
        ("lora:rank=2,save=lm_head", "lm_head.modules_to_save.default.weight"),
        ("lora:rank=2,targets=all-linear,rslora=true", "down_proj.lora_A.default.weight"),
    ],
)
def test_what_peft_offers_is_trained(base: str, spec: str, ending: str) -> None:
    model = adapted(base, spec)
    assert any(name.endswith(ending) for name in model.parameters)
    facts = inspect_model(ModelOptions(name=base, adapter=spec), "causal")
    assert facts.parameters == {n: p.numel() for n, p in model.parameters.items()}


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"modules_to_save": ["lm_head"]}])
def test_a_trained_adapter_comes_from_its_folder(
    base: str, tmp_path: Path, settings: dict[str, object]
) -> None:
    spec = "lora:rank=2,targets=q_proj+v_proj"
    spec += {"use_dora": ",dora=true", "modules_to_save": ",save=lm_head"}.get(
        next(iter(settings), ""), ""
    )
    model = adapted(base, spec, adapter_steps=1)
    read = adapted(base, saved(model, tmp_path / "adapter", **settings))
    assert read.recipe.fingerprint == model.recipe.fingerprint
    names = own_names(
        load_file(tmp_path / "adapter" / "adapter_model.safetensors"), read.parameters
    )
    assert set(names.values()) == set(read.parameters)


def test_a_folder_that_is_no_adapter_is_refused(base: str, tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(ModelError, match=match) as error:
            adapted(base, str(tmp_path))
        assert "\n" not in str(error.value)

    refused("it has no adapter_config.json")
    saved(adapted(base, "lora:rank=2,targets=q_proj+v_proj"), tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    whole = load_file(weights)
    first = next(iter(whole))
    save_file({name: t for name, t in whole.items() if name != first}, weights)
    refused("lacks 'model.layers.0")
    save_file({**whole, first: whole[first][:1].clone()}, weights)
    refused("has the shape")
    save_file({**whole, "more": whole[first].clone()}, weights)
    refused("no parameter of the adapter")
    weights.write_bytes(b"no tensors")
    refused("not a whole safetensors file")
    (tmp_path / "adapter_config.json").write_text("{}")
    refused("of the kind None, not LORA")
    (tmp_path / "adapter_config.json").write_text("{")
    refused("cannot read adapter_config.json")


@pytest.mark.parametrize(
    ("adapter", "match"),
    [
        ("lroa:rank=2", "unknown adapter 'lroa'; did you mean 'lora'"),
        ("lora:rnak=2", "unknown option of lora 'rnak'; did you mean 'rank'"),
        ("lora:rank", "an adapter is written lora:rank=8"),
        ("lora:rank=[", "option of lora: rank: input should be a valid integer"),
        ("lora:rank=0", "option of lora: rank: input should be greater than or equal to 1"),
        ("lora:dropout=1", "option of lora: dropout: input should be less than 1"),
        ("lora:bias=some", "option of lora: bias: input should be 'none', 'all' or 'lora_only'"),
        ("lora:targets=q_prj", "unknown target of lora 'q_prj'; did you mean 'q_proj'"),
        ("lora:targets=q_proj+all-linear", "expected all-linear alone"),
        ("lora:save=lm_haed", "unknown module to save 'lm_haed'; did you mean 'lm_head'"),
        ("./none", "no adapter folder at './none'"),
    ],
)
def test_what_is_not_written_as_an_adapter_is_refused(base: str, adapter: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match.replace("(", r"\(")) as error:
        adapted(base, adapter)
    assert "\n" not in str(error.value)


def test_steps_without_an_adapter_are_refused(base: str) -> None:
    with pytest.raises(ConfigError, match="expected one, as lora:rank=8"):
        load_model(ModelOptions(name=base, adapter_steps=2), "causal")

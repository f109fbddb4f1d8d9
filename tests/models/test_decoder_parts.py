"""An adapter's halves in the parts of a decoder: the first reads what its layer reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from families.folders import make_folder

from textleak.models import ModelOptions, load_model
from textleak.models.families.decoder import Decoder

pytest.importorskip("peft")


@pytest.mark.parametrize("more", ["", ",dora=true"])
def test_the_halves_of_an_adapter_are_told_apart(tmp_path: Path, more: str) -> None:
    base = make_folder(tmp_path, "llama", "causal")
    plain = load_model(ModelOptions(name=base), "causal").family
    spec = f"lora:rank=2,targets=q_proj+v_proj{more}"
    adapted = load_model(ModelOptions(name=base, adapter=spec), "causal").family
    assert isinstance(plain, Decoder)
    assert isinstance(adapted, Decoder)
    for before, after in zip(plain.parts.blocks, adapted.parts.blocks, strict=True):
        assert len(before) == len(after)
        first = [p.name.split("self_attn.")[1] for p in after[0].projections]
        assert {"q_proj.lora_A.default", "v_proj.lora_A.default", "k_proj"} <= set(first)
        inner = [p.name.split("self_attn.")[1] for p in after[0].inner]
        assert set(inner) >= {"q_proj.lora_B.default", "v_proj.lora_B.default"}
        assert not any(probe.inner for probe in after[1:])

"""Defences by name, and how they are written on a command line."""

from __future__ import annotations

from typing import Any

from textleak.core.registry import Registry
from textleak.core.written import written_options
from textleak.defences.base import Defence

DEFENCES: Registry[type[Defence[Any]]] = Registry(
    "defence",
    {
        "gaussian": "textleak.defences.noise:GaussianNoise",
        "laplacian": "textleak.defences.noise:LaplacianNoise",
        "fp16": "textleak.defences.precision:Float16",
        "bf16": "textleak.defences.precision:BFloat16",
        "int8": "textleak.defences.precision:Int8",
        "prune": "textleak.defences.pruning:MagnitudePruning",
        "topk": "textleak.defences.topk:TopK",
        "clip": "textleak.defences.clipping:Clip",
        "dpsgd": "textleak.defences.dpsgd:DpSgd",
        "withhold": "textleak.defences.local_training:Withhold",
        "dropout": "textleak.defences.local_training:Dropout",
        "fedavg": "textleak.defences.local_training:FedAvg",
    },
    "textleak.defences",
)
_SYNONYMS = {"pruning": "prune"}


def parse_defence(text: str) -> Defence[Any]:
    """Build the defence that `text` names, with its options as `name:key=value,key=value`.

    >>> parse_defence("gaussian:std=1e-3").spec
    'gaussian:std=0.001'
    >>> parse_defence("fp16").spec
    'fp16'

    Raises:
        ConfigError: no such defence, an unknown option, or a value that is not valid.
    """
    name, _, settings = text.strip().partition(":")
    kind = DEFENCES.load(_SYNONYMS.get(name, name))
    usage = f"a defence is written name:key=value, got {text!r}"
    return kind(written_options(kind.options_class, name, settings, usage))

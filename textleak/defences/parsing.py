"""Defences by name, and how they are written on a command line."""

from __future__ import annotations

from typing import Any

import yaml

from textleak.core.config import validated
from textleak.core.errors import ConfigError, unknown
from textleak.core.registry import Registry
from textleak.core.yaml_values import parse_yaml
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
    fields = kind.options_class.model_fields
    given: dict[str, Any] = {}
    for setting in filter(None, settings.split(",")):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not value:
            raise ConfigError(f"a defence is written name:key=value, got {text!r}")
        if key not in fields:
            raise ConfigError(unknown(f"option of {name}", key, fields))
        given[key] = _value(value)
    return kind(validated(kind.options_class, given, f"option of {name}: "))


def _value(text: str) -> Any:
    """A number or a word; a shell pattern may not be YAML."""
    try:
        return parse_yaml(text)[0]
    except yaml.YAMLError:
        return text

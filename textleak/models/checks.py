"""What a model's folder must hold and say, so that what is audited is what its name promises."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from textleak.errors import ModelError
from textleak.update import Task

# The heads whose training loss is not the task's, by the ends of transformers' names for them.
OTHER_LOSSES: dict[str, tuple[str, ...]] = {
    "classification": (
        "ForTokenClassification",
        "ForQuestionAnswering",
        "ForMultipleChoice",
        "ForNextSentencePrediction",
    ),
    "mlm": ("ForCausalLM", "LMHeadModel"),
}
_POOLER = ".pooler"  # made anew like a head: masked-LM does without, classification trains it


def check_loss(name: str, config: PretrainedConfig, task: Task) -> None:
    """Refuse a configuration that asks for another loss than the one that is audited.

    Raises:
        ModelError: the folder trains something else than `task`.
    """
    for architecture in config.architectures or ():
        if architecture.endswith(OTHER_LOSSES.get(task, ())):
            raise ModelError(
                f"{name!r} is a {architecture}, whose loss is not that of the task {task!r}"
            )
    if task != "classification":
        return
    kind = config.problem_type
    if kind not in (None, "single_label_classification"):
        raise ModelError(
            f"{name!r} is trained by {kind} (its problem_type): only single-label classification is "
            "audited"
        )
    if len(config.id2label or ()) < 2:
        raise ModelError(
            f"{name!r} has one label, which transformers takes for regression: only single-label "
            "classification is audited"
        )


def check_tokenizer(name: str, tokenizer: PreTrainedTokenizerBase, task: Task) -> None:
    """Refuse a tokenizer without the tokens that frame, fill and mask sentences.

    Raises:
        ModelError: one is missing.
    """
    needed = ["cls", "sep", "pad", *(["mask"] if task == "mlm" else [])]
    lacking = [kind for kind in needed if getattr(tokenizer, f"{kind}_token_id") is None]
    if lacking:
        raise ModelError(
            f"the tokenizer of {name!r} has no {' and no '.join(lacking)} token: expected "
            f"{', '.join(needed)}"
        )


def check_weights(name: str, module: nn.Module, info: dict[str, Any]) -> None:
    """Refuse a checkpoint that leaves part of the body to chance, does not fit, or is not finite.

    Args:
        name: of the model.
        module: as it was loaded.
        info: transformers' account of the loading.

    Raises:
        ModelError: what is wrong with the checkpoint.
    """
    for key, theirs, ours in sorted(info["mismatched_keys"]):
        raise ModelError(
            f"the checkpoint of {name!r} has {key!r} of shape {tuple(theirs)}, its configuration of "
            f"{tuple(ours)}"
        )
    body = f"{module.base_model_prefix}."
    lacking = [key for key in sorted(info["missing_keys"]) if _in_body(key, body)]
    if lacking:
        total = sum(_in_body(key, body) for key in module.state_dict())
        hint = _prefix(info["unexpected_keys"], lacking)
        raise ModelError(
            f"the checkpoint of {name!r} lacks {len(lacking)} of {total} weights of the model's body, "
            f"as {lacking[0]!r}"
            + (
                f": its keys begin with {hint!r}, save the model without that wrapper"
                if hint
                else ""
            )
        )
    for key, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelError(f"the weights of {name!r} hold NaN or infinite values, at {key!r}")


def _in_body(key: str, body: str) -> bool:
    return key.startswith(body) and _POOLER not in key


def _prefix(unexpected: Iterable[str], lacking: Collection[str]) -> str:
    """What stands before a key that is missing in one that is too many."""
    for key in sorted(unexpected):
        for wanted in lacking:
            if key.endswith("." + wanted):
                return key.removesuffix(wanted)
    return ""

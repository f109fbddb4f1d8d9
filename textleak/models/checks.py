"""What a model's folder must hold and say, so that what is audited is what its name promises."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from textleak.core.errors import ModelError

_POOLER = ".pooler"  # made anew like a head: masked-LM does without, classification trains it


def check_tokenizer(name: str, tokenizer: PreTrainedTokenizerBase, needed: Sequence[str]) -> None:
    """Refuse a tokenizer without the tokens that frame, fill and mask sentences.

    Raises:
        ModelError: one is missing.
    """
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

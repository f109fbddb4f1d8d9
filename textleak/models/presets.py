"""Shapes of well-known models, for random weights in their own initialisation (as in the DLG paper)."""

from __future__ import annotations

from collections.abc import Callable

from transformers import (
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

# name: (layers, hidden size, attention heads); BERT's and GPT-2's feed-forward is four times as wide.
SIZES: dict[str, tuple[int, int, int]] = {
    "bert-tiny": (2, 128, 2),
    "bert-mini": (4, 256, 4),
    "bert-small": (4, 512, 8),
    "bert-medium": (8, 512, 8),
    "bert-base": (12, 768, 12),
    "bert-large": (24, 1024, 16),
    "gpt2-tiny": (2, 128, 2),
    "gpt2-mini": (4, 256, 4),
    "gpt2": (12, 768, 12),
    "llama-tiny": (2, 128, 4),
    "llama-mini": (4, 256, 4),
    "llama-small": (12, 576, 9),
}


def preset_config(name: str, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """The configuration of the preset called `name`, for the words of `tokenizer`."""
    layers, hidden, heads = SIZES[name]
    return _MAKERS[name.partition("-")[0]](tokenizer, layers, hidden, heads)


def _bert(
    tokenizer: PreTrainedTokenizerBase, layers: int, hidden: int, heads: int
) -> PretrainedConfig:
    return BertConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )


def _gpt2(
    tokenizer: PreTrainedTokenizerBase, layers: int, hidden: int, heads: int
) -> PretrainedConfig:
    return GPT2Config(
        vocab_size=len(tokenizer),
        n_layer=layers,
        n_embd=hidden,
        n_head=heads,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _llama(
    tokenizer: PreTrainedTokenizerBase, layers: int, hidden: int, heads: int
) -> PretrainedConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 3),
        intermediate_size=hidden * 8 // 3,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


_MAKERS: dict[str, Callable[[PreTrainedTokenizerBase, int, int, int], PretrainedConfig]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "llama": _llama,
}

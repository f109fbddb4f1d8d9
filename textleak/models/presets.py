"""Google's BERT sizes, for random weights in BERT's own initialisation (as in the DLG paper)."""

from __future__ import annotations

from transformers import BertConfig

# name: (layers, hidden size, attention heads); the feed-forward is four times the hidden size.
SIZES: dict[str, tuple[int, int, int]] = {
    "bert-tiny": (2, 128, 2),
    "bert-mini": (4, 256, 4),
    "bert-small": (4, 512, 8),
    "bert-medium": (8, 512, 8),
    "bert-base": (12, 768, 12),
    "bert-large": (24, 1024, 16),
}


def preset_config(name: str, vocab_size: int) -> BertConfig:
    """The BERT configuration of the preset called `name`, for a vocabulary of `vocab_size` words."""
    layers, hidden, heads = SIZES[name]
    return BertConfig(
        vocab_size=vocab_size,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )

"""Where a BERT keeps the parts of its embeddings and of each layer, by parameter name."""

from __future__ import annotations

EMBEDDINGS = "bert.embeddings."
TYPE_TABLE = EMBEDDINGS + "token_type_embeddings.weight"
EMBEDDING_NORM = EMBEDDINGS + "LayerNorm."
HEAD_TRANSFORM = "cls.predictions.transform"
HEAD_DENSE = HEAD_TRANSFORM + ".dense."
DECODER_BIAS = "cls.predictions.bias"
CLASSIFIER = "classifier."


def layer(index: int) -> str:
    """The prefix of encoder layer `index`.

    >>> layer(0)
    'bert.encoder.layer.0.'
    """
    return f"bert.encoder.layer.{index}."


def projections(index: int) -> tuple[str, str, str]:
    """The query, key and value projections of layer `index`, without `weight` or `bias`."""
    prefix = layer(index) + "attention.self."
    return prefix + "query.", prefix + "key.", prefix + "value."


def attention_output(index: int) -> str:
    """The projection behind layer `index`'s attention; its input is the context."""
    return layer(index) + "attention.output.dense."


def intermediate(index: int) -> str:
    """The first feed-forward projection of layer `index`."""
    return layer(index) + "intermediate.dense."

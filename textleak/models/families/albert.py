"""ALBERT (Lan et al. 2020): factorised tables, and layers that share their weights."""

from __future__ import annotations

from torch import Tensor

from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer


class Albert(Family):
    """Narrow embeddings projected to the model's width; one group of weights for many layers.

    A shared layer's gradient is a sum over all the layers that it stands for: its row space holds the
    inputs of each of them.
    """

    @property
    def embeddings(self) -> Embeddings:
        """Words, positions and types under one norm, projected."""
        part = self.body.embeddings
        return Embeddings(
            words=self.table(part.word_embeddings),
            positions=self.table(part.position_embeddings),
            types=self.table(part.token_type_embeddings),
            norm=self.norm(part.LayerNorm),
            projection=self.projection(self.body.encoder.embedding_hidden_mapping_in),
        )

    def layer(self, index: int) -> Layer:
        """The layer that stands for layer `index`."""
        encoder = self.body.encoder
        groups = len(encoder.albert_layer_groups)
        part = encoder.albert_layer_groups[index * groups // self.layers].albert_layers[0]
        heads = int(self.config.num_attention_heads)
        return Layer(
            query=self.projection(part.attention.query),
            key=self.projection(part.attention.key),
            value=self.projection(part.attention.value),
            output=self.projection(part.attention.dense),
            feed_forward=(self.projection(part.ffn),),
            down=self.projection(part.ffn_output),
            norm=self.norm(part.attention.LayerNorm),
            feed_forward_norm=self.norm(part.full_layer_layer_norm),
            heads=heads,
            key_heads=heads,
        )

    @property
    def head(self) -> Head:
        """`predictions`, or the classifier behind the pooler."""
        if hasattr(self.module, "predictions"):
            words = self.module.predictions
            return self.word_head(words.decoder, words.dense)
        return Head(self.projection(self.module.classifier))

    def word_logits(self, states: Tensor) -> Tensor:
        """Through `predictions`."""
        logits: Tensor = self.module.predictions(states)
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The pooled first state, classified."""
        pooled = self.body.pooler_activation(self.body.pooler(states[:, 0]))
        logits: Tensor = self.module.classifier(self.module.dropout(pooled))
        return logits

"""BERT (Devlin et al. 2019): norms behind, learned positions, two token types."""

from __future__ import annotations

from torch import Tensor

from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer


class Bert(Family):
    """BERT, and the frame of those that kept its layers' names."""

    @property
    def embeddings(self) -> Embeddings:
        """Words, positions and types under one norm."""
        part = self.body.embeddings
        return Embeddings(
            words=self.table(part.word_embeddings),
            positions=self.table(part.position_embeddings),
            types=self.table(part.token_type_embeddings),
            norm=self.norm(part.LayerNorm),
        )

    def layer(self, index: int) -> Layer:
        """Encoder layer `index`."""
        part = self.body.encoder.layer[index]
        own = part.attention.self
        heads = int(self.config.num_attention_heads)
        return Layer(
            query=self.projection(own.query),
            key=self.projection(own.key),
            value=self.projection(own.value),
            output=self.projection(part.attention.output.dense),
            feed_forward=(self.projection(part.intermediate.dense),),
            down=self.projection(part.output.dense),
            norm=self.norm(part.attention.output.LayerNorm),
            feed_forward_norm=self.norm(part.output.LayerNorm),
            heads=heads,
            key_heads=heads,
        )

    @property
    def head(self) -> Head:
        """The word head `cls`, or the classifier behind the pooler."""
        if not hasattr(self.module, "cls"):
            return Head(self.projection(self.module.classifier))
        words = self.module.cls.predictions
        return Head(
            output=self.projection(words.decoder),
            dense=self.projection(words.transform.dense),
            transform=words.transform,
            tied=words.decoder.weight is self.body.embeddings.word_embeddings.weight,
        )

    def word_logits(self, states: Tensor) -> Tensor:
        """Through `cls`."""
        logits: Tensor = self.module.cls(states)
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The pooled first state, classified."""
        pooled = self.module.dropout(self.body.pooler(states))
        logits: Tensor = self.module.classifier(pooled)
        return logits

"""DeBERTa-v2 and v3 (He et al. 2021): content and relative position attend apart."""

from __future__ import annotations

from torch import Tensor

from textleak.core.errors import ModelError
from textleak.models.families.bert import Bert
from textleak.models.families.parts import Embeddings, Head, Layer


class DebertaV2(Bert):
    """Attention adds terms of content and distance; most have no table of positions."""

    at_once = 1  # the table of relative positions is read once for all sequences
    plain_attention = False

    @property
    def embeddings(self) -> Embeddings:
        """Words, positions and types where there are any, under one norm."""
        part = self.body.embeddings
        places, types = part.position_embeddings, part.token_type_embeddings
        return Embeddings(
            words=self.table(part.word_embeddings),
            positions=None if places is None else self.table(places),
            types=None if types is None else self.table(types),
            norm=self.norm(part.LayerNorm),
            projection=None if part.embed_proj is None else self.projection(part.embed_proj),
        )

    def layer(self, index: int) -> Layer:
        """Encoder layer `index`."""
        part = self.body.encoder.layer[index]
        own = part.attention.self
        heads = int(self.config.num_attention_heads)
        return Layer(
            query=self.projection(own.query_proj),
            key=self.projection(own.key_proj),
            value=self.projection(own.value_proj),
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
        """The word head `cls`, or the classifier."""
        if hasattr(self.module, "lm_predictions"):
            raise ModelError("DeBERTa-v2's word head without `legacy` is not known: expected `cls`")
        return super().head

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The pooled first state, classified."""
        pooled = self.module.dropout(self.module.pooler(states))
        logits: Tensor = self.module.classifier(pooled)
        return logits

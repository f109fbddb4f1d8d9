"""ModernBERT (Warner et al. 2024): rotary positions, norms in front, a gated feed-forward."""

from __future__ import annotations

from torch import Tensor

from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer


class ModernBert(Family):
    """No table of positions: places enter by rotation alone."""

    @property
    def embeddings(self) -> Embeddings:
        """Words under one norm."""
        part = self.body.embeddings
        return Embeddings(self.table(part.tok_embeddings), norm=self.norm(part.norm))

    def layer(self, index: int) -> Layer:
        """Encoder layer `index`; the first has no norm in front of its attention."""
        part = self.body.layers[index]
        query, key, value = self.fused(part.attn.Wqkv, 3)
        heads = int(self.config.num_attention_heads)
        return Layer(
            query=query,
            key=key,
            value=value,
            output=self.projection(part.attn.Wo),
            feed_forward=self.fused(part.mlp.Wi, 2),
            down=self.projection(part.mlp.Wo),
            norm=None if index == 0 else self.norm(part.attn_norm),
            feed_forward_norm=self.norm(part.mlp_norm),
            heads=heads,
            key_heads=heads,
            pre_norm=True,
        )

    @property
    def head(self) -> Head:
        """The decoder or classifier; a word's or token's state goes through `head` first."""
        dense = self.module.head.dense
        if hasattr(self.module, "decoder"):
            return self.word_head(self.module.decoder, dense)
        return Head(self.projection(self.module.classifier))

    def word_logits(self, states: Tensor) -> Tensor:
        """Head, decoder."""
        logits: Tensor = self.module.decoder(self.module.head(states))
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The first state, or the mean of all, through head and classifier."""
        pooled = states[:, 0]
        if self.config.classifier_pooling == "mean":
            mask = states.new_ones(states.shape[:2]) if attention_mask is None else attention_mask
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.token_logits(pooled)

    def token_logits(self, states: Tensor) -> Tensor:
        """Head, classifier."""
        logits: Tensor = self.module.classifier(self.module.drop(self.module.head(states)))
        return logits

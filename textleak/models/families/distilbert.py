"""DistilBERT (Sanh et al. 2019): BERT without token types, with half the layers."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer


class DistilBert(Family):
    """Words and positions under one norm; heads in the module itself."""

    @property
    def embeddings(self) -> Embeddings:
        """Words and positions."""
        part = self.body.embeddings
        return Embeddings(
            words=self.table(part.word_embeddings),
            positions=self.table(part.position_embeddings),
            norm=self.norm(part.LayerNorm),
        )

    def layer(self, index: int) -> Layer:
        """Block `index`."""
        part = self.body.transformer.layer[index]
        heads = int(self.config.n_heads)
        return Layer(
            query=self.projection(part.attention.q_lin),
            key=self.projection(part.attention.k_lin),
            value=self.projection(part.attention.v_lin),
            output=self.projection(part.attention.out_lin),
            feed_forward=(self.projection(part.ffn.lin1),),
            down=self.projection(part.ffn.lin2),
            norm=self.norm(part.sa_layer_norm),
            feed_forward_norm=self.norm(part.output_layer_norm),
            heads=heads,
            key_heads=heads,
        )

    @property
    def head(self) -> Head:
        """`vocab_projector` behind its transform, or the classifier."""
        if hasattr(self.module, "vocab_projector"):
            return self.word_head(self.module.vocab_projector, self.module.vocab_transform)
        return Head(self.projection(self.module.classifier))

    def word_logits(self, states: Tensor) -> Tensor:
        """Transform, activation, norm, decoder."""
        module = self.module
        hidden = module.activation(module.vocab_transform(states))
        logits: Tensor = module.vocab_projector(module.vocab_layer_norm(hidden))
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The first state through `pre_classifier`."""
        pooled = F.relu(self.module.pre_classifier(states[:, 0]))
        logits: Tensor = self.module.classifier(self.module.dropout(pooled))
        return logits

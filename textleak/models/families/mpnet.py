"""MPNet (Song et al. 2020): RoBERTa's frame with relative positions beside the learned ones."""

from __future__ import annotations

from torch import Tensor

from textleak.models.families.parts import Embeddings, Layer
from textleak.models.families.roberta import Roberta


class MPNet(Roberta):
    """No token types; every layer adds one bias a head for the distance of two tokens."""

    at_once = 1  # the table of relative positions is read once for all sequences

    @property
    def embeddings(self) -> Embeddings:
        """Words and positions."""
        part = self.body.embeddings
        return Embeddings(
            words=self.table(part.word_embeddings),
            positions=self.table(part.position_embeddings, int(part.padding_idx) + 1),
            norm=self.norm(part.LayerNorm),
        )

    def layer(self, index: int) -> Layer:
        """Encoder layer `index`."""
        part = self.body.encoder.layer[index]
        own = part.attention.attn
        heads = int(self.config.num_attention_heads)
        return Layer(
            query=self.projection(own.q),
            key=self.projection(own.k),
            value=self.projection(own.v),
            output=self.projection(own.o),
            feed_forward=(self.projection(part.intermediate.dense),),
            down=self.projection(part.output.dense),
            norm=self.norm(part.attention.LayerNorm),
            feed_forward_norm=self.norm(part.output.LayerNorm),
            heads=heads,
            key_heads=heads,
        )

    def relative_bias(self, offsets: Tensor) -> Tensor | None:
        """By the bucket of each distance."""
        encoder = self.body.encoder
        table: Tensor = encoder.relative_attention_bias.weight.detach()
        return table[encoder.relative_position_bucket(offsets)].T

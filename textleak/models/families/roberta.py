"""RoBERTa (Liu et al. 2019) and what kept its shape: XLM-R, CamemBERT."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from textleak.models.families.bert import Bert
from textleak.models.families.parts import Embeddings, Head


class Roberta(Bert):
    """BERT's layers; positions begin behind the padding's row, the word head is `lm_head`."""

    @property
    def embeddings(self) -> Embeddings:
        """As BERT's, the first position in row `padding_idx` + 1."""
        part = self.body.embeddings
        first = int(part.padding_idx) + 1
        return replace(super().embeddings, positions=self.table(part.position_embeddings, first))

    @property
    def head(self) -> Head:
        """`lm_head`, or the classifier's last layer."""
        if hasattr(self.module, "lm_head"):
            words = self.module.lm_head
            return self.word_head(words.decoder, words.dense)
        classifier = self.module.classifier
        return Head(self.projection(getattr(classifier, "out_proj", classifier)))

    def word_logits(self, states: Tensor) -> Tensor:
        """Through `lm_head`."""
        logits: Tensor = self.module.lm_head(states)
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The classification head, which takes the first state itself."""
        logits: Tensor = self.module.classifier(states)
        return logits

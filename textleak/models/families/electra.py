"""ELECTRA (Clark et al. 2020): BERT's layers behind narrower embeddings."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from textleak.models.families.bert import Bert
from textleak.models.families.parts import Embeddings, Head


class Electra(Bert):
    """Embeddings projected to the model's width where the two differ; a generator's word head."""

    @property
    def embeddings(self) -> Embeddings:
        """As BERT's, projected."""
        project = getattr(self.body, "embeddings_project", None)
        return replace(
            super().embeddings, projection=None if project is None else self.projection(project)
        )

    @property
    def head(self) -> Head:
        """The generator's head, or the classifier's last layer."""
        if hasattr(self.module, "generator_lm_head"):
            dense = self.module.generator_predictions.dense
            return self.word_head(self.module.generator_lm_head, dense)
        classifier = self.module.classifier
        return Head(self.projection(getattr(classifier, "out_proj", classifier)))

    def word_logits(self, states: Tensor) -> Tensor:
        """Through the generator's predictions."""
        hidden = self.module.generator_predictions(states)
        logits: Tensor = self.module.generator_lm_head(hidden)
        return logits

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The classification head, which takes the first state itself."""
        logits: Tensor = self.module.classifier(states)
        return logits

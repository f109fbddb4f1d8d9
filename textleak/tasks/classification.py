"""Classification of sequences: one class each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from transformers import PretrainedConfig

from textleak.core.batch import TokenBatch
from textleak.core.errors import DataError, ModelError
from textleak.tasks.base import Chances, Label, TextTask

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel

# What transformers takes for a sequence head's loss, and the task that audits it.
PROBLEMS = {
    "single_label_classification": "classification",
    "multi_label_classification": "multi-label",
    "regression": "regression",
}


class SequenceTask(TextTask):
    """A label for each whole sequence, through the sequence head.

    Attributes:
        problem: transformers' name of the loss.
    """

    auto_class = "AutoModelForSequenceClassification"
    refused = (
        "ForTokenClassification",
        "ForQuestionAnswering",
        "ForMultipleChoice",
        "ForNextSentencePrediction",
    )
    problem: ClassVar[str]

    def check(self, name: str, config: PretrainedConfig) -> None:
        """Refuse a configuration whose `problem_type`, or number of labels, is another task's."""
        super().check(name, config)
        one = len(config.id2label or ()) < 2
        kind = config.problem_type or ("regression" if one else None)
        if kind is None or kind == self.problem:
            return
        said = "its problem_type" if config.problem_type else "it has one label"
        other = PROBLEMS.get(kind)
        hint = f"expected the task {other!r}" if other else f"known: {', '.join(PROBLEMS)}"
        raise ModelError(f"{name!r} is trained by {kind} ({said}), not by {self.name}: {hint}")

    def width(self, model: TextModel) -> int:
        """The number of labels of the sequence head."""
        return int(model.module.config.num_labels)  # type: ignore[union-attr, arg-type]

    def outputs(
        self, model: TextModel, states: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of every sequence."""
        return model.family.class_logits(states, attention_mask), labels


class Classification(SequenceTask):
    """One class a sequence; labels are (B,) class indices."""

    name = "classification"
    one_class = True
    problem = "single_label_classification"

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences with their classes as given, or drawn."""
        classes, count = self.width(model), len(input_ids)
        if given is None:
            labels = chances.stream("classes").below(classes, count)
            return TokenBatch(input_ids, attention_mask, labels)
        if len(given) != count:
            raise DataError(f"expected {count} labels, one a sentence, got {len(given)}")
        if not all(isinstance(label, int) and 0 <= label < classes for label in given):
            raise DataError(f"labels must lie between 0 and {classes - 1}, got {list(given)}")
        return TokenBatch(input_ids, attention_mask, torch.tensor(list(given)))

    def other(self, model: TextModel, labels: Tensor, alone: bool) -> Tensor | None:
        """The next class. Of two classes and one sequence each gives the other's gradient but a factor."""
        classes = self.width(model)
        if classes < 2 or (classes == 2 and alone):
            return None
        return (labels + 1) % classes

"""What the attacker is assumed to know: printed with every result, stored in every file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import MOST_PATTERNS
from textleak.core.task_names import TASKS

Patterns = Annotated[tuple[str, ...], Field(max_length=MOST_PATTERNS)]


class ThreatModel(BaseModel):
    """What an honest-but-curious observer of one shared update is granted.

    The model's architecture, weights and tokenizer are always public, and so is the training task.

    Attributes:
        batch_size: the number of sequences in the batch.
        lengths: the token count of every sequence, special tokens included.
        labels: the class labels, or the words under the masks.
        masked_positions: the places at which masked-LM loss was taken.
        dropout: the client trained with dropout on (its noise is never known to the attacker).
        shared: shell patterns of the names of the parameters whose gradients are shared.
        withheld: which of those are not shared after all, in words; their gradients are missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    batch_size: bool = True
    lengths: bool = True
    labels: bool = False
    masked_positions: bool = False
    dropout: bool = False
    shared: Patterns = ("*",)
    withheld: Patterns = ()

    def shares(self, parameter: str) -> bool:
        """Whether the gradient of the parameter called `parameter` is part of the update."""
        return any(fnmatchcase(parameter, pattern) for pattern in self.shared)

    def describe(self, task: str | None = None) -> str:
        """One line for people: what is known and what is not.

        Args:
            task: the training task; only masked-LM has masks, and images have no lengths.

        >>> ThreatModel().describe()
        'known: model, task, batch size, lengths; not known: labels, masked positions; shared: all parameters'
        >>> ThreatModel(withheld=("embeddings",)).describe("image")
        'known: model, task, batch size; not known: labels; shared: all parameters but embeddings'
        """
        facts = {
            "batch size": self.batch_size,
            "lengths": self.lengths,
            "labels": self.labels,
            "masked positions": self.masked_positions,
        }
        about = None if task is None else TASKS.load(task)
        if about is not None and about.bears != "places":
            del facts["masked positions"]
        if about is not None and not about.lengths:
            del facts["lengths"]
        known = ["model", "task", *(name for name, granted in facts.items() if granted)]
        hidden = [name for name, granted in facts.items() if not granted]
        parts = ["known: " + ", ".join(known)]
        if hidden:
            parts.append("not known: " + ", ".join(hidden))
        everything = "*" in self.shared
        shared = "all parameters" if everything else ", ".join(self.shared)
        parts.append(f"shared: {' but '.join((shared, *self.withheld))}")
        if self.dropout:
            parts.append("dropout on")
        return "; ".join(parts)

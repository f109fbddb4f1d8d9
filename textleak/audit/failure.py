"""An update that an attack could not finish: recorded as such, so that the others are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from textleak.audit.result import BatchResult, SequenceResult
from textleak.audit.score import frame_of
from textleak.core.batch import TokenBatch
from textleak.core.errors import TextleakError
from textleak.core.reconstruction import Candidate, TextReconstruction
from textleak.core.verdict import alike
from textleak.models.text_model import TextModel


def failed_update(
    model: TextModel, error: Exception, seconds: float, references: Sequence[Sequence[int]]
) -> BatchResult:
    """The result of an update whose attack raised `error`: nothing recovered, nothing scored.

    An attack that fails has shown nothing of what leaks, so its sentences count in no mean.

    Args:
        model: the model, for its tokenizer.
        error: what was raised.
        seconds: the time that was spent.
        references: the true token ids, special tokens included.
    """
    frame = frame_of(model)
    sequences = []
    for ids in references:
        inner = frame.inner(ids)
        sequences.append(SequenceResult("", [], reference=model.decode(inner), reference_ids=inner))
    nothing = torch.zeros(0, 0, dtype=torch.long)
    found = TextReconstruction(
        attack="",
        candidate=Candidate(TokenBatch(nothing, nothing, nothing), [], math.inf),
        token_ids=[],
        texts=[],
        labels=[],
        evaluations=0,
        seconds=seconds,
        gradient_error=math.inf,
        verdict=alike("unexplained", 0, math.inf, ""),
    )
    return BatchResult(sequences, found, failure=told(error))


def told(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TextleakError) else f"{type(error).__name__}: {text}"[:300]

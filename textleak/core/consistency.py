"""Whether what an update says of itself can be true: of itself, of its model, beside its tensors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from textleak.core.errors import UpdateError
from textleak.core.task_names import TASKS

if TYPE_CHECKING:
    from textleak.core.update import SharedUpdate, UpdateMetadata

MOST_SEQUENCES = 65_536  # of a batch; evidence is looked through once for each
MOST_TOKENS = 1_048_576  # of a sequence, whatever the model
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SQUARES_FROM, SQUARES_TO = 1e-12, 1e12  # a largest entry whose square single precision holds well
ALIKE = 0.5  # of the weights' norm; see `holds_weights`


def contradiction(facts: UpdateMetadata) -> str | None:
    """What of `facts` cannot be true beside the rest of them, in words; None where all can."""
    size, lengths = facts.batch_size, facts.lengths
    if size is not None and not 1 <= size <= MOST_SEQUENCES:
        return f"batch_size: expected 1 to {MOST_SEQUENCES}, got {size}"
    if lengths is not None and not lengths:
        return "lengths: expected one a sequence, got none"
    if any(not 1 <= length <= MOST_TOKENS for length in lengths or ()):
        return f"lengths: expected 1 to {MOST_TOKENS} each, got {_cut(lengths)}"
    count = size if size is not None else None if lengths is None else len(lengths)
    listed = {
        "lengths": lengths,
        "segments": facts.segments,
        "labels": facts.labels,
        "masked_positions": facts.masked_positions,
    }
    for name, rows in listed.items():
        if rows is not None and len(rows) != (len(rows) if count is None else count):
            return f"{name}: expected {count}, one a sequence, got {len(rows)}"
    longest = lengths or (MOST_TOKENS,) * len(facts.segments or ())
    if any(not 0 < n < most for n, most in zip(facts.segments or (), longest, strict=False)):
        return f"segments: expected fewer tokens than each sequence has, got {_cut(facts.segments)}"
    return _wrong_labels(facts) or _wrong_places(facts)


def _wrong_labels(facts: UpdateMetadata) -> str | None:
    rows = facts.labels or ()
    about = None if facts.task is None else TASKS.load(facts.task)
    bounded = about is None or about.bounded
    if bounded and any(label < 0 for row in rows for label in row):
        return f"labels: expected 0 or more each, got {min(min(row) for row in rows if row)}"
    if about is not None and about.one_class and any(len(row) != 1 for row in rows):
        wrong = next(row for row in rows if len(row) != 1)
        return f"labels: expected one class a sequence or image, got {_cut(wrong)}"
    return None


def _wrong_places(facts: UpdateMetadata) -> str | None:
    rows = facts.masked_positions or ()
    lengths = facts.lengths or (MOST_TOKENS,) * len(rows)
    for row, length in zip(rows, lengths, strict=False):
        if any(not 0 <= place < length for place in row):
            return f"masked_positions: expected 0 to {length - 1} each, got {_cut(row)}"
        if len(set(row)) != len(row):
            return f"masked_positions: expected each once, got {_cut(row)}"
    drawn = facts.task is not None and TASKS.load(facts.task).bears == "places"
    if facts.labels is not None and drawn:
        for words, row in zip(facts.labels, rows, strict=False):
            if len(words) != len(row):
                return f"labels: {len(words)} words for {len(row)} masked positions of a sequence"
    return None


def _cut(values: object) -> str:
    text = str(values)
    return text if len(text) <= 60 else text[:60] + "…"


def check_within(facts: UpdateMetadata, *, labels: int | None, longest: int | None = None) -> None:
    """Refuse facts that the model rules out.

    Args:
        facts: what the update says of itself.
        labels: how many labels the model knows: classes, or words; None where they have no bound.
        longest: the most tokens that a sequence may have; None for images.

    Raises:
        UpdateError: a label or length that the model does not have.
    """
    highest = max((label for row in facts.labels or () for label in row), default=0)
    if labels is not None and highest >= labels:
        raise UpdateError(f"the update grants the label {highest}, the model has 0 to {labels - 1}")
    length = max(facts.lengths or (0,))
    if longest is not None and length > longest:
        raise UpdateError(f"the update states {length} tokens, the model takes at most {longest}")


def check_lengths(facts: UpdateMetadata, at_places: Tensor | None) -> None:
    """Refuse lengths that the position table's gradient rules out.

    Only the rows of places that the batch used are not zero. Noise fills them all, and then nothing
    is told; pruning empties some, so that lengths may be longer than what is seen.

    Args:
        facts: what the update says of itself, or is said of it.
        at_places: (P, H) that gradient, where it is shared.

    Raises:
        UpdateError: a sequence is longer than any that is stated.
    """
    if facts.lengths is None or at_places is None:
        return
    used = (at_places != 0).any(1).nonzero().flatten()
    if 0 < len(used) < len(at_places) and int(used[-1]) >= max(facts.lengths):
        raise UpdateError(
            f"the update shows a sequence of {int(used[-1]) + 1} tokens; the longest that is stated "
            f"has {max(facts.lengths)}"
        )


def check_fits(update: SharedUpdate, parameters: Mapping[str, Tensor]) -> None:
    """Raise UpdateError unless every shared gradient fits a parameter by name and shape and is finite.

    Args:
        update: the shared update.
        parameters: the model's parameters by name.
    """
    for name, gradient in update.gradients.items():
        if name not in parameters:
            close = difflib.get_close_matches(name, list(parameters), n=1)
            hint = f"; the nearest is {close[0]!r}" if close else ""
            raise UpdateError(f"the update's {name!r} is no parameter of the model{hint}")
        expected = tuple(parameters[name].shape)
        if tuple(gradient.shape) != expected:
            raise UpdateError(
                f"the update's {name!r} has shape {tuple(gradient.shape)}, the model's {expected}"
            )
        if gradient.dtype not in DTYPES:
            known = ", ".join(_bare(dtype) for dtype in DTYPES)
            raise UpdateError(f"the update's {name!r} holds {_bare(gradient.dtype)}, not {known}")
        if not torch.isfinite(gradient).all():
            raise UpdateError(f"the update's {name!r} holds NaN or infinite values")


def _bare(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_no_weights(update: SharedUpdate, parameters: Mapping[str, Tensor]) -> None:
    """Refuse weights in the place of gradients: a checkpoint has the same names and shapes.

    Raises:
        UpdateError: the tensors are the model's own weights, or hardly changed ones.
    """
    if holds_weights(update, parameters):
        raise UpdateError(
            "the file holds the model's weights, not an update: expected gradients, or weights "
            "before minus weights after"
        )


def holds_weights(update: SharedUpdate, parameters: Mapping[str, Tensor]) -> bool:
    """Whether the tensors are the model's own weights, or hardly changed ones.

    A gradient g of any size is no nearer to weights w than |w| times the sine of the angle between
    them: within half of |w| only below 30 degrees. In thousands of dimensions that is no chance.
    """
    apart = size = 0.0
    for name, gradient in update.gradients.items():
        weight = parameters[name].detach().to("cpu", torch.float64)
        apart += float((gradient.double() - weight).square().sum())
        size += float(weight.square().sum())
    return size > 0 and apart < ALIKE**2 * size


def workable(update: SharedUpdate) -> SharedUpdate:
    """The update by a power of two, where its numbers are too small or too large to be squared.

    What an attack makes of it says nothing of the factor; what is found is checked against `update`.
    """
    sizes = (float(g.abs().max()) for g in update.gradients.values() if g.numel())
    largest = max(sizes, default=0.0)
    if largest == 0 or SQUARES_FROM <= largest <= SQUARES_TO:
        return update
    factor = torch.tensor(largest, dtype=torch.float64).frexp().exponent
    scaled = {
        name: torch.ldexp(gradient.double(), -factor).to(gradient.dtype)
        for name, gradient in update.gradients.items()
    }
    return replace(update, gradients=scaled)

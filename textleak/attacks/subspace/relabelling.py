"""Class labels that bring a batch's update nearest to the shared one, where noise hides what shows them."""

from __future__ import annotations

from dataclasses import replace

from textleak.attacks.base import Session
from textleak.attacks.dlg.moves import class_moves
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel

_ROUNDS = 3  # every class of every sentence is tried so often at most


def with_nearer_labels(
    model: TextModel, update: SharedUpdate, candidate: Candidate, session: Session
) -> Candidate:
    """The candidate with one label after the other changed while that comes closer.

    Of tasks with one class a sequence; another candidate is handed back as it is.
    """
    if not model.task.one_class or session.spent:
        return candidate
    error = session.modality.error(update, candidate)
    for _ in range(_ROUNDS):
        moves = list(class_moves(candidate.batch, model.label_count))
        others = [replace(candidate, batch=move.apply(candidate.batch)) for move in moves]
        errors = [session.modality.error(update, other) for other in others]
        session.evaluated(len(others))
        best = min(range(len(others)), key=errors.__getitem__, default=0)
        if not others or errors[best] >= error:
            break
        candidate, error = others[best], errors[best]
    return candidate

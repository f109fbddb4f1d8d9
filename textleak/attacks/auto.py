"""`auto`: exact recovery where it reaches, gradient matching from its evidence where not; likelihoods under noise."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from textleak.attacks.base import Attack, Session
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.likelihood import Likelihood, LikelihoodOptions
from textleak.attacks.likelihood.attack import suits
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.batch import TokenBatch
from textleak.core.budget import BudgetSpent
from textleak.core.errors import TextleakError, UpdateError
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel


class AutoOptions(BaseModel):
    """Settings of the attacks.

    Attributes:
        likelihood: of `likelihood`, which is taken where noise is stated or seen on one sequence's rows.
        subspace: of `subspace`, which goes first.
        dlg: of `dlg`, which goes on where the first one's batch is not proven.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    likelihood: LikelihoodOptions = Field(default_factory=LikelihoodOptions)
    subspace: SubspaceOptions = Field(default_factory=SubspaceOptions)
    dlg: DlgOptions = Field(default_factory=DlgOptions)


class Auto(Attack[AutoOptions]):
    """`subspace`, and `dlg` from what that found where its batch is not proven; `likelihood` under noise."""

    name: ClassVar[str] = "auto"
    options_class: ClassVar[type[BaseModel]] = AutoOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """The proven batch, or the better of the two attempts by their gradients."""
        if suits(model, update):
            found = Likelihood(self.options.likelihood).run(model, update, session)
            return _noted(found, "noise: by likelihood")
        try:
            solved = Subspace(self.options.subspace).run(model, update, session)
        except TextleakError as error:
            return self._by_dlg_alone(model, update, session, f"subspace: {error}")
        session.best = solved  # what is handed back where the budget ends what follows
        if session.spent:
            return solved
        if session.modality.explains(update, solved):
            return _noted(solved, "explained by subspace")
        left = session.modality.error(update, solved)
        reason = f"subspace left a gradient error of {left:.1e}"
        start = None
        if any(max(row) > 0 for row in solved.confidence):
            update = _with_lengths(update, solved)
            start = _in_order(solved.batch, update.metadata.lengths)
        try:
            matched = Dlg(self.options.dlg).run(model, update, session, start)
        except TextleakError as error:
            return _noted(solved, f"{reason}; dlg: {error}")
        except BudgetSpent:
            matched = session.best
        if matched is solved or session.modality.error(update, matched) > left:
            return _noted(solved, f"{reason}; dlg did not come closer")
        return _noted(matched, f"{reason}; matched by dlg")

    def _by_dlg_alone(
        self, model: TextModel, update: SharedUpdate, session: Session, reason: str
    ) -> Candidate:
        try:
            return _noted(Dlg(self.options.dlg).run(model, update, session), f"{reason}; dlg alone")
        except TextleakError as error:
            raise UpdateError(f"{reason}; dlg: {error}") from error


def _with_lengths(update: SharedUpdate, found: Candidate) -> SharedUpdate:
    """The update with the lengths that were found granted, where none are."""
    if update.metadata.lengths is not None:
        return update
    lengths = tuple(found.batch.lengths)
    if update.metadata.batch_size not in (None, len(lengths)):
        return update  # it is contradicted by what was found
    granted = {"lengths": lengths, "batch_size": len(lengths)}
    return replace(update, metadata=update.metadata.model_copy(update=granted))


def _in_order(batch: TokenBatch, lengths: tuple[int, ...] | None) -> TokenBatch | None:
    """The batch with its sequences in the order of the granted lengths, if they are the same."""
    if lengths is None or sorted(batch.lengths) != sorted(lengths):
        return None
    left = list(range(len(lengths)))
    order = []
    for length in lengths:
        order.append(next(row for row in left if batch.lengths[row] == length))
        left.remove(order[-1])
    return batch.take(order)


def _noted(candidate: Candidate, note: str) -> Candidate:
    return replace(candidate, notes=(*candidate.notes, note))

"""`auto`: exact recovery where it reaches, gradient matching started from its evidence where not."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from textleak.attacks.base import Attack, Session
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.attacks.verification import verify
from textleak.errors import UpdateError
from textleak.models.text_model import TextModel
from textleak.reconstruction import Candidate
from textleak.update import SharedUpdate


class AutoOptions(BaseModel):
    """Settings of the two attacks.

    Attributes:
        subspace: of `subspace`, which goes first.
        dlg: of `dlg`, which goes on where the first one's batch is not proven.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subspace: SubspaceOptions = Field(default_factory=SubspaceOptions)
    dlg: DlgOptions = Field(default_factory=DlgOptions)


class Auto(Attack[AutoOptions]):
    """`subspace`, and `dlg` with the lengths that it found where its batch is not proven."""

    name: ClassVar[str] = "auto"
    options_class: ClassVar[type[BaseModel]] = AutoOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """The proven batch, or the better of the two attempts by their gradients."""
        exact: Candidate | None = None
        try:
            exact = Subspace(self.options.subspace).run(model, update, session)
        except UpdateError as error:
            reason = str(error)
        else:
            check = verify(model, update, exact.batch)
            if check.exact:
                return _noted(exact, "proven by subspace")
            reason = f"subspace left a gradient error of {check.error:.1e}"
        try:
            matched = Dlg(self.options.dlg).run(model, _with_lengths(update, exact), session)
        except UpdateError:
            if exact is None:
                raise
            return _noted(exact, reason)
        if exact is not None and verify(model, update, matched.batch).error > check.error:
            return _noted(exact, f"{reason}; dlg did not come closer")
        return _noted(matched, f"{reason}; matched by dlg")


def _with_lengths(update: SharedUpdate, found: Candidate | None) -> SharedUpdate:
    """The update with the lengths that were found granted, where none are."""
    if found is None or update.metadata.lengths is not None:
        return update
    lengths = tuple(found.batch.lengths)
    granted = {"lengths": lengths, "batch_size": update.metadata.batch_size or len(lengths)}
    return replace(update, metadata=update.metadata.model_copy(update=granted))


def _noted(candidate: Candidate, note: str) -> Candidate:
    return replace(candidate, notes=(*candidate.notes, note))

"""How hard the search for the likeliest batch tries."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Count


class LikelihoodOptions(BaseModel):
    """Settings of `likelihood`.

    Attributes:
        std: the deviation of the noise; None takes the stated one, or reads it off rows of the
            embedding tables that should be zero.
        lengths: of a single sequence, the likeliest, from which a search starts; the next one where no batch
            fits.
        words: tried at each place in a sweep, those that the rows make likeliest.
        exact: moves of a sweep that are scored in full, the best by the quick score.
        blocks: reorderings tried in a sweep.
        pool: words that a place's response is first measured at.
        guesses: words that each further look at the response proposes.
        looks: how often it is looked at.
        pieces: directions of the embeddings by which a response is told.
        sweeps: at the most.
        sure: a place is left alone while the rows give its word a share of more than e to the minus this.
        nearest: words nearest to the one that stands at a place, tried in the end.
        doubt: a batch is settled for where what it leaves of the update is noise to all appearance: at
            likelier than e to the minus this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    std: float | None = Field(default=None, gt=0)
    lengths: Count = 3
    words: Count = 32
    exact: Count = 6
    blocks: Count = 64
    pool: Count = 48
    guesses: Count = 32
    looks: Count = 2
    pieces: Count = 128
    sweeps: Count = 4
    sure: float = Field(default=0.01, ge=0)
    nearest: Count = 3
    doubt: float = Field(default=6.9, gt=0)

"""How texts become what a model is fed; public, as the rest of a training protocol is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_ROW = 1_048_576  # tokens of a row, whatever the model

RowLength = Annotated[int, Field(ge=1, le=MOST_ROW)]


class Feed(BaseModel):
    """How texts are fed.

    Attributes:
        pairs: a text is two segments, with the separator between them and token types where the model
            has any.
        packed: texts follow one another, each with its special tokens, cut into rows of `max_length`
            tokens; what fills no row is left out, unless it is all there is.
        special_tokens: the tokenizer's frame stands around each text.
        max_length: tokens that a text is cut to, or that a packed row has; the model's own where None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    pairs: bool = False
    packed: bool = False
    special_tokens: bool = True
    max_length: RowLength | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Feed:
        if self.pairs and (self.packed or not self.special_tokens):
            raise ValueError("pairs have a frame of special tokens and rows of their own")
        return self

    @property
    def framed(self) -> bool:
        """Whether every sequence begins and ends with the tokenizer's special tokens."""
        return self.special_tokens and not self.packed

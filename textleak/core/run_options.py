"""What every run has to say, whatever it is that leaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import MOST_DEFENCES, Count, Seed, Threads
from textleak.core.budget import Budget
from textleak.core.option import ATTACK, CLIENT, MODEL, SHOW, Option
from textleak.core.protocol import StatedProtocol
from textleak.core.threat_model import Patterns
from textleak.core.validation import validated

Run = TypeVar("Run", bound="RunOptions")
Specs = Annotated[tuple[str, ...], Field(max_length=MOST_DEFENCES)]


class RunOptions(BaseModel):
    """What is attacked and how. Each field's `Option` says what it is.

    `protocol` goes before `defences`. `options` are those of the attack, by name; a subclass names its private data, and its model.
    Update `i` of a run takes `seed + i`, its client `client_seed + i`; noise from a known seed protects nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    MODALITY: ClassVar[str] = "text"
    SOURCES: ClassVar[tuple[str, ...]] = ()  # any of them given replaces all of them,
    WITH_SOURCE: ClassVar[tuple[str, ...]] = ()  # and these, which belong to them

    model: Annotated[str, Option("A model's name, a folder, a Hub id.", MODEL, ("-m",))]
    weights_seed: Annotated[Seed, Option("Seeds weights that are not loaded.", MODEL)] = 0
    activation: Annotated[str, Option("keep, or a smooth one put in everywhere.", MODEL)] = "keep"
    device: Annotated[str, Option("cpu, cuda …", MODEL)] = "cpu"
    threads: Annotated[
        Threads | None, Option("Threads for torch; default: the idle cores.", MODEL)
    ] = None
    share: Annotated[Patterns, Option("Pattern of parameters to share; repeat.", CLIENT)] = ("*",)
    defences: Annotated[
        Specs,
        Option("As gaussian:std=1e-3; repeat for several.", CLIENT, ("--defence", "--defense")),
    ] = ()
    protocol: Annotated[
        StatedProtocol | None,
        Option("As lr=1e-3,steps=4,minibatch=2,clip=1,precision=bf16.", CLIENT),
    ] = None
    client_seed: Annotated[
        Seed | None,
        Option("Seeds masks, drawn classes, dropout, noise. Else the operating system's.", CLIENT),
    ] = None
    attack: Annotated[str, Option("See textleak list attacks.", ATTACK, ("-a",))] = "dlg"
    options: Annotated[
        dict[str, Any],
        Option("Any other attack option, as key=value; repeat.", ATTACK, ("--set",)),
    ] = {}
    time_limit: Annotated[
        float | None,
        Field(gt=0),
        Option("Seconds for an update's attack; then its best.", ATTACK),
    ] = None
    max_evaluations: Annotated[Count | None, Option("Candidate gradients, likewise.", ATTACK)] = (
        None
    )
    seed: Annotated[Seed, Option("Seeds the attack; default 0.", ATTACK)] = 0
    every: Annotated[
        int, Field(ge=1), Option("Iterations between lines and history rows; default 10.", SHOW)
    ] = 10

    @property
    def budget(self) -> Budget:
        """What the attack on an update may spend."""
        return Budget(self.time_limit, self.max_evaluations)

    @property
    def stated(self) -> tuple[str, ...]:
        """All that the client does before it shares, as defences are written."""
        return (*(self.protocol.defences if self.protocol else ()), *self.defences)

    def merged(self: Run, given: Mapping[str, Any], named: Mapping[str, str] | None = None) -> Run:
        """This configuration with `given` over it; private data given replace those of a file.

        Args:
            given: values by field.
            named: what an error calls those that were not given by their own name.

        Raises:
            ConfigError: an unknown key or a value of the wrong type.
        """
        base = self.model_dump(exclude_unset=True)
        if any(given.get(key) for key in self.SOURCES):
            for key in (*self.SOURCES, *self.WITH_SOURCE):
                base.pop(key, None)
        options = {**base.get("options", {}), **given.get("options", {})}
        return validated(type(self), {**base, **given, "options": options}, named=named)

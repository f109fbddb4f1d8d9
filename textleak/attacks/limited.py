"""An attack that gets so much processor time and no more."""

from __future__ import annotations

import time
from typing import Any

from textleak.attacks.base import Attack
from textleak.core.events import Event, OnEvent
from textleak.core.reconstruction import Reconstruction
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel


class Limited:
    """An attack that is interrupted after so many seconds, as a user would with Ctrl-C.

    Processor time, not the clock: a busy machine gives an attack no less.

    Args:
        attack: the attack.
        seconds: what it may take of all threads together, looked at at every iteration.
    """

    def __init__(self, attack: Attack[Any], seconds: float) -> None:
        self.attack, self.seconds = attack, seconds

    def __call__(
        self, model: TextModel, update: SharedUpdate, *, seed: int, on_event: OnEvent | None
    ) -> Reconstruction:
        """Attack, and hand back the best so far when the time is up."""
        stop = time.process_time() + self.seconds

        def watch(event: Event) -> None:
            if on_event is not None:
                on_event(event)
            if event.kind == "iteration" and time.process_time() > stop:
                raise KeyboardInterrupt

        return self.attack(model, update, seed=seed, on_event=watch)

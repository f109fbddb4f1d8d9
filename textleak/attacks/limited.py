"""An attack that gets so much time and no more."""

from __future__ import annotations

import time
from typing import Any

from textleak.attacks.base import Attack
from textleak.events import Event, OnEvent
from textleak.models.text_model import TextModel
from textleak.reconstruction import Reconstruction
from textleak.update import SharedUpdate


class Limited:
    """An attack that is interrupted after so many seconds, as a user would with Ctrl-C.

    Args:
        attack: the attack.
        seconds: how long it may take, looked at whenever it tells of an iteration.
    """

    def __init__(self, attack: Attack[Any], seconds: float) -> None:
        self.attack, self.seconds = attack, seconds

    def __call__(
        self, model: TextModel, update: SharedUpdate, *, seed: int, on_event: OnEvent | None
    ) -> Reconstruction:
        """Attack, and hand back the best so far when the time is up."""
        stop = time.monotonic() + self.seconds

        def watch(event: Event) -> None:
            if on_event is not None:
                on_event(event)
            if event.kind == "iteration" and time.monotonic() > stop:
                raise KeyboardInterrupt

        return self.attack(model, update, seed=seed, on_event=watch)

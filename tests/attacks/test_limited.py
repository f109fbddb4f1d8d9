"""An attack that gets so much processor time hands back its best so far."""

from __future__ import annotations

from fake_attack import FakeAttack, FakeOptions

from tests.sharing import share
from textleak.attacks.limited import Limited
from textleak.core.events import Event
from textleak.models import TextModel


def test_it_stops_when_its_time_is_up_and_only_then(mlm: TextModel) -> None:
    _, update = share(mlm, ["the cat sat on the mat ."])
    attack, events = FakeAttack(FakeOptions(iterations=3)), list[Event]()
    cut = Limited(attack, 0.0)(mlm, update, seed=0, on_event=events.append)
    assert cut.interrupted
    assert len(events) == 3  # started, one iteration, finished
    whole = Limited(attack, 1000.0)(mlm, update, seed=0, on_event=None)
    assert not whole.interrupted

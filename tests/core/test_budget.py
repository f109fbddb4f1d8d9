"""A budget ends what is under way once, and what follows runs to its end."""

from __future__ import annotations

import pytest

from textleak.core.budget import Budget, BudgetSpent, Meter, checkpoint


def test_seconds_are_those_of_its_clock() -> None:
    now = [5.0]
    meter = Meter(Budget(seconds=2, clock=lambda: now[0]))
    now[0] = 6.9
    meter.check()
    assert not meter.spent
    now[0] = 7.0
    with pytest.raises(BudgetSpent):
        meter.check()
    assert meter.spent
    meter.check()  # said once: what is done with the best so far is not stopped


def test_evaluations_are_counted() -> None:
    meter = Meter(Budget(evaluations=3))
    meter.evaluations = 2
    meter.check()
    meter.evaluations = 3
    with pytest.raises(BudgetSpent):
        meter.check()


def test_no_error_handler_takes_it_for_its_own() -> None:
    assert not issubclass(BudgetSpent, Exception)


def test_a_checkpoint_looks_at_the_attack_under_way_only() -> None:
    meter = Meter(Budget(evaluations=0))
    checkpoint()
    with pytest.raises(BudgetSpent), meter.running():
        checkpoint()
    checkpoint()
    assert meter.spent

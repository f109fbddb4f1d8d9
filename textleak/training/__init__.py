"""How a client trains between two exchanges: public knowledge, so client and attacker share it.

    plan = TrainingPlan(names=("weight",), local=LocalSteps(steps=4))
    shared = train(module, plan, loss, count=8, seed=0)

A training defence changes the plan. The client carries it out on its private examples; an attacker
carries it out on a recovered batch to see whether the same update comes out.
"""

from textleak.core.training_plan import LocalSteps, PerExample, TrainingPlan
from textleak.training.step import train

__all__ = ["LocalSteps", "PerExample", "TrainingPlan", "train"]

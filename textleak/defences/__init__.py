"""Defences, by name: what a client does before it shares, in its training or to its update.

    defences = Defences.parse(["dpsgd:clip=1,noise=0.5", "fp16"])
    client = Client(model, defences=defences)

A training defence changes the plan that the client trains by; an update defence takes an update and
returns another one, whatever the gradients are of. All are public: the attacker is told of them.
"""

from textleak.defences.base import Defence, TrainingDefence, UpdateDefence
from textleak.defences.parsing import DEFENCES, parse_defence
from textleak.defences.stack import Defences, Memory, on_update

__all__ = [
    "DEFENCES",
    "Defence",
    "Defences",
    "Memory",
    "TrainingDefence",
    "UpdateDefence",
    "on_update",
    "parse_defence",
]

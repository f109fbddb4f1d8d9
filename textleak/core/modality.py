"""What running an attack asks of the kind of data that it recovers: text, or images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from textleak.core.events import End, Step
from textleak.core.reconstruction import Reconstruction
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict

ModelT = TypeVar("ModelT")
CandidateT = TypeVar("CandidateT")
ReconstructionT = TypeVar("ReconstructionT", bound=Reconstruction[Any])


class Modality(ABC, Generic[ModelT, CandidateT, ReconstructionT]):
    """A model's kind of data, for one run of an attack.

    Everything around an algorithm (validation, seed, budget, events, restoring) is written once, in
    `attacks/base.py`; what differs by the kind of data is asked here. None of it sees the truth.

    Args:
        model: the public model.
    """

    name: ClassVar[str]

    def __init__(self, model: ModelT) -> None:
        self.model = model

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The model's module, which a run leaves as it was found."""

    @abstractmethod
    def check(self, update: SharedUpdate) -> None:
        """Raise UpdateError where `update` does not fit the model."""

    @abstractmethod
    def prepared(self, update: SharedUpdate) -> SharedUpdate:
        """The update as algorithms take it."""

    @abstractmethod
    def objective(self, candidate: CandidateT) -> float:
        """The value that the attack minimised."""

    @abstractmethod
    def step(self, candidate: CandidateT, facts: dict[str, Any]) -> Step:
        """The event that shows `candidate`; `facts` are the fields that every step has."""

    @abstractmethod
    def explains(self, update: SharedUpdate, candidate: CandidateT) -> bool:
        """Whether `candidate` may be accepted: the end of a search, not a verdict."""

    @abstractmethod
    def error(self, update: SharedUpdate, candidate: CandidateT) -> float:
        """The relative error of the candidate's update against the shared one."""

    @abstractmethod
    def judge(self, update: SharedUpdate, candidate: CandidateT) -> Verdict:
        """What the update says of a finished recovery."""

    @abstractmethod
    def warnings(
        self, update: SharedUpdate, candidate: CandidateT, verdict: Verdict
    ) -> tuple[str, ...]:
        """What makes a recovery unreliable."""

    @abstractmethod
    def reconstruction(self, candidate: CandidateT, facts: dict[str, Any]) -> ReconstructionT:
        """What the attack returns; `facts` are the fields that every reconstruction has."""

    @abstractmethod
    def end(self, found: ReconstructionT, facts: dict[str, Any]) -> End:
        """The event that ends the attack; `facts` are the fields that every end has."""

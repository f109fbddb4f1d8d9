"""A differential-privacy guarantee: the numbers that make it up, and the sentence that states it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PrivacyGuarantee(BaseModel):
    """(ε, δ) differential privacy of one example's presence, over a whole training.

    Attributes:
        epsilon: ε; None where there is no noise to speak of or its seed is known: nothing is guaranteed.
        delta: δ.
        steps: steps of the whole training that it is stated for.
        sampling_rate: the chance of each example to be in a step's batch.
        noise_multiplier: noise in units of the clipping norm.
        accountant: how ε was computed.
        known_seed: the noise follows from a seed that was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epsilon: float | None
    delta: float
    steps: int
    sampling_rate: float
    noise_multiplier: float
    accountant: str
    known_seed: bool = False

    def from_known_seed(self) -> PrivacyGuarantee:
        """What is left of it where the noise can be drawn again: nothing, so no ε."""
        if self.epsilon is None:
            return self
        return self.model_copy(update={"epsilon": None, "known_seed": True})

    def describe(self) -> str:
        """One line for people.

        >>> PrivacyGuarantee(epsilon=2.1, delta=1e-5, steps=1000, sampling_rate=0.01,
        ...                  noise_multiplier=1.0, accountant="rdp").describe()
        'ε = 2.1, δ = 1e-05 after 1000 steps at sampling rate 0.01 (noise multiplier 1, rdp)'
        """
        absent = "its noise is from a known seed" if self.known_seed else "no noise to speak of"
        bound = f"no ε: {absent}" if self.epsilon is None else f"ε = {self.epsilon:.3g}"
        return (
            f"{bound}, δ = {self.delta:g} after {self.steps} steps at sampling rate "
            f"{self.sampling_rate:g} (noise multiplier {self.noise_multiplier:g}, "
            f"{self.accountant})"
        )

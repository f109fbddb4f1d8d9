"""A differential-privacy guarantee: the numbers that make it up, and the sentence that states it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PrivacyGuarantee(BaseModel):
    """(ε, δ) differential privacy of one example's presence, over a whole training.

    Attributes:
        epsilon: ε; None where there is no noise to speak of, so that nothing is guaranteed.
        delta: δ.
        steps: steps of the whole training that it is stated for.
        sampling_rate: the chance of each example to be in a step's batch.
        noise_multiplier: noise in units of the clipping norm.
        accountant: how ε was computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epsilon: float | None
    delta: float
    steps: int
    sampling_rate: float
    noise_multiplier: float
    accountant: str

    def describe(self) -> str:
        """One line for people.

        >>> PrivacyGuarantee(epsilon=2.1, delta=1e-5, steps=1000, sampling_rate=0.01,
        ...                  noise_multiplier=1.0, accountant="rdp").describe()
        'ε = 2.1, δ = 1e-05 after 1000 steps at sampling rate 0.01 (noise multiplier 1, rdp)'
        """
        bound = "no ε: no noise to speak of" if self.epsilon is None else f"ε = {self.epsilon:.3g}"
        return (
            f"{bound}, δ = {self.delta:g} after {self.steps} steps at sampling rate "
            f"{self.sampling_rate:g} (noise multiplier {self.noise_multiplier:g}, "
            f"{self.accountant})"
        )

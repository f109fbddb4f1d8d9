"""Differentially private SGD (Abadi et al., 2016), its ε by opacus' accountant."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Count
from textleak.core.errors import ConfigError
from textleak.core.noise import NoiseLaw
from textleak.core.privacy import PrivacyGuarantee
from textleak.defences.base import TrainingDefence
from textleak.training import PerExample, TrainingPlan

_ORDERS = [1 + x / 10 for x in range(1, 100)] + [*range(11, 64), 128, 256, 512, 1024]


class DpSgdOptions(BaseModel):
    """The mechanism, and the training that its ε is stated for.

    Attributes:
        clip: the largest norm that an example's gradient keeps.
        noise: the noise multiplier: standard deviation of the noise on the summed gradient, in
            units of `clip`.
        steps: steps of the whole training.
        rate: the chance of each example to be in a step's batch (Poisson sampling).
        delta: the δ at which ε is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    noise: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    steps: Count = 1000
    rate: float = Field(default=0.01, gt=0, le=1)
    delta: float = Field(default=1e-5, gt=0, lt=1)


class DpSgd(TrainingDefence[DpSgdOptions]):
    """Clips each example's gradient and adds noise to their sum."""

    name: ClassVar[str] = "dpsgd"
    options_class: ClassVar[type[BaseModel]] = DpSgdOptions
    promises: ClassVar[str] = (
        "(ε, δ) differential privacy of each example, whatever the attack, if the stated steps and "
        "sampling are kept to."
    )
    costs: ClassVar[str] = (
        "Accuracy, more the smaller ε, small batches and data sets most; a gradient an example."
    )
    reproducible: ClassVar[bool] = False

    def train(self, plan: TrainingPlan) -> TrainingPlan:
        """Clip and add noise at every step."""
        if plan.per_example is not None:
            raise ConfigError("dpsgd was given twice: expected one clipping norm and one noise")
        bounds = PerExample(clip=self.options.clip, noise=self.options.noise)
        return replace(plan, per_example=bounds)

    def noise(self, examples: int) -> NoiseLaw | None:
        """That of the mean over the examples."""
        std = self.options.noise * self.options.clip / max(examples, 1)
        return NoiseLaw("gaussian", std) if std else None

    def guarantee(self) -> PrivacyGuarantee:
        """ε by Rényi accounting of the subsampled Gaussian mechanism."""
        options = self.options
        return PrivacyGuarantee(
            epsilon=_epsilon(options),
            delta=options.delta,
            steps=options.steps,
            sampling_rate=options.rate,
            noise_multiplier=options.noise,
            accountant="rdp",
        )


def _epsilon(options: DpSgdOptions) -> float | None:
    """ε; None where the noise is too weak for any that a float can hold."""
    if options.noise == 0:
        return None
    from opacus.accountants import RDPAccountant  # here: it takes seconds to import

    accountant = RDPAccountant()
    accountant.history = [(options.noise, options.rate, options.steps)]
    with warnings.catch_warnings():  # of an optimum at the end of the orders: ε is valid anyway
        warnings.simplefilter("ignore")
        try:
            epsilon = float(accountant.get_epsilon(options.delta, alphas=_ORDERS))
        except ArithmeticError:  # a variance that underflows
            return None
    return epsilon if math.isfinite(epsilon) else None
